/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SOAK_WORDS_H
#define CLI_SOAK_WORDS_H

/** What text and JSON say alike of what a soak found. */

#include "soak.h"

/** By hundreds, "2xx"; [0] is "other". */
extern const char *const soak_status_classes[PEER_STATUS_CLASSES];

struct soak_error_kind {
    const char *name, *text; /* in JSON, and in words */
    size_t at;               /* in struct peer_soak_counts */
};
extern const struct soak_error_kind soak_error_kinds[PEER_SOAK_ERROR_KINDS];
uint64_t soak_error_count(const struct peer_soak_counts *counts, size_t kind);

double soak_per_s(uint64_t count, uint64_t duration_ns);
/** The time that rates are of: the measured time without the pauses. */
uint64_t soak_active_ns(const struct peer_soak_report *report);
/** What rates are made of: all that was done in the measured time. */
struct peer_soak_counts soak_timed_counts(const struct peer_soak_report *report);
double soak_reached_rate(const struct peer_soak_report *report);
/** Answered, but only when the measured time was over. */
uint64_t soak_after_end(const struct peer_soak_report *report);
/** Why the rate was not reached, or NULL when it was. Who waits for a processor for a quarter of the
 *  time asks and reads too late, however little it uses. */
const char *soak_limited_by(const struct soak_run *run, const struct peer_soak_report *report);
/** The command that tells why nobody was reached; NULL when somebody was, or when the application was
 *  peer's own and is gone with it. */
const char *soak_trace_advice(const struct soak_run *run, const struct peer_soak_report *report,
                              char buf[TRACE_COMMAND]);

#endif
