/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_REPORT_H
#define PEER_REPORT_H

/**
 * What soaks found, as a page for people: one file of HTML that needs no other and no network, with
 * tables, plots, and, where scripts run, plots that move. See peer/peer.h for the conventions.
 */

#include <peer/slo.h>
#include <peer/soak.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PEER_REPORT_RESULTS = 8 };

/** Zero is the default everywhere. */
struct peer_report_config {
    const struct peer_result *const *results; /* one, or several to compare */
    size_t result_count;                      /* PEER_REPORT_RESULTS at the most */
    const char *const *names;                 /* of each result; NULL: "1", "2" ... */
    const char *title;                        /* NULL: what was soaked */
    /** What is judged of each result, besides the objectives that it was noted to have. */
    const struct peer_slo *const *objectives;
    size_t objective_count;
};

/**
 * Writes the page. The same results make the same bytes. A series of more intervals than a plot can
 * show is thinned: several make one point, with the percentiles of all their samples, and the page
 * says so. -EINVAL: no result, or too many; -ENOMEM, or -errno of write(2).
 */
PEER_EXPORT int peer_report_write_sized(const struct peer_report_config *config, size_t size,
                                        int fd);
static inline int peer_report_write(const struct peer_report_config *config, int fd)
{
    return peer_report_write_sized(config, sizeof(*config), fd);
}

#ifdef __cplusplus
}
#endif

#endif
