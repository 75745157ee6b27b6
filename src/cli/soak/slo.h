/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SLO_H
#define CLI_SLO_H

#include "cli/cli.h"

#include <peer/slo.h>

/** What --slo asked for. Zeroed: nothing. */
enum { OBJECTIVES_MAX = 32 };
struct objectives {
    struct peer_slo *slos[OBJECTIVES_MAX];
    size_t count;
    bool each, errors; /* one of them is about each interval; about errors */
};
/** Of an option's text: 0, or -EINVAL with `why`. */
int objectives_add(struct objectives *objectives, const char *text, char why[128]);
void objectives_done(struct objectives *objectives);
/** True when all are kept. The first that is not is said on standard error. */
bool objectives_judge(const struct objectives *objectives, const struct peer_result *result);
/** Likewise of a soak that goes on, without those of which more is to come: `completed`. Fills in `why`:
 *  "p99<20ms: 23.10 ms". */
bool objectives_are_kept_so_far(const struct objectives *objectives,
                                const struct peer_result *result, char why[128]);
/** The same at the end. */
bool objectives_are_kept(const struct objectives *objectives, const struct peer_result *result,
                         char why[128]);
void objectives_print(const struct objectives *objectives, const struct peer_result *result);
json_t *objectives_json(const struct objectives *objectives, const struct peer_result *result);

#endif
