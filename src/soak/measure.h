/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_MEASURE_H
#define SOAK_MEASURE_H

#include <peer/soak.h>

struct hdr_histogram;

/**
 * Counts and latencies of a run, and their series by intervals. Latencies are kept in nanoseconds,
 * up to an hour, with three significant digits.
 */
struct measure {
    struct peer_soak_counts counts;
    struct hdr_histogram *histograms[3]; /* by enum peer_soak_histogram */
    struct hdr_histogram *interval_request;
    struct peer_soak_counts before;    /* counts at the start of this interval */
    struct peer_soak_counts in_time;   /* counts when the measured time ended */
    uint64_t codes[PEER_STATUS_CODES]; /* answers by status; [0]: none of these */
    uint64_t carried;                  /* completed in the measured time, and wanted before it */
    uint64_t warmed;                   /* completed before measuring began */
    const char *first_error;           /* one of these, NULL: none */
    char first_errors[PEER_SOAK_ERROR_KINDS][240]; /* the first of each kind, in words */
    char cannot_open[160];                         /* why connections were not opened */
    bool closed; /* the measured time is over; stragglers still count */
    uint64_t start_ns, interval_start_ns, end_ns;
    struct peer_soak_interval *intervals; /* complete and not taken yet */
    size_t interval_count, interval_room, interval_taken;
};

int measure_init(struct measure *measure, uint64_t now_ns);
void measure_done(struct measure *measure);
/** Forgets what was measured: the warm-up was over at `start_ns`, now or a little earlier. */
void measure_restart(struct measure *measure, uint64_t start_ns);
void measure_latency(struct measure *measure, enum peer_soak_histogram which, uint64_t ns);
/** From one time to another that may be earlier: what came unasked may have come before. */
void measure_since(struct measure *measure, enum peer_soak_histogram which, uint64_t from_ns,
                   uint64_t until_ns);
/** Ends an interval; `open` connections now. Without memory it is lost from the series. */
void measure_interval(struct measure *measure, uint64_t now_ns, uint64_t open);
/** The measured time ends, and with it its last interval. Once: later calls do nothing. */
void measure_close(struct measure *measure, uint64_t now_ns, uint64_t open);
/** All is over. What was done after the end is an interval of its own; connections that were only
 *  closed since are the last one's. */
void measure_end(struct measure *measure, uint64_t now_ns, uint64_t open);
int measure_pop_interval(struct measure *measure, struct peer_soak_interval *ret_interval);
void measure_summary(const struct measure *measure, enum peer_soak_histogram which,
                     struct peer_latency *ret_latency);

#endif
