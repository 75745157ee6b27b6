/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_WATCHED_H
#define SOAK_WATCHED_H

#include <peer/soak.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the application's processes used, all of them together, at the end of an interval. */
struct result_watch {
    bool taken; /* it was looked at */
    uint64_t processes, rss_bytes, fds, threads;
    uint64_t cpu_ns;   /* since the sample before */
    uint64_t restarts; /* since then: none of those of before was left, and others were there */
};
struct peer_watch_sample watch_sample(const struct result_watch *watch);
/** Of another application at the same time, or with `same` of the same one, as somebody else saw it. */
void watch_add(struct result_watch *into, const struct result_watch *from, bool same);
/** Of the interval that follows. */
void watch_append(struct result_watch *into, const struct result_watch *later);

/** One that was seen. */
struct result_process {
    uint64_t pid, started; /* `started`: see kernel/observe/process.h */
    char name[32];
    uint64_t first_ns, last_ns; /* when, since the start of the measured time */
};
enum { RESULT_PROCESSES_MOST = 1024 }; /* of more some are not told */

/** How a series develops. */
struct growth {
    bool known;         /* there are samples enough to tell; else nothing of the rest is */
    bool grows;         /* steadily, to the end, by more than it varies */
    double first, last; /* medians of its beginning and end */
    double per_hour;    /* Theil-Sen: the median of all slopes between two samples */
    uint64_t span_ns;   /* between the first and the last */
};
/**
 * Of `count` samples `values` at `times_ns`, which ascend. The first tenth is passed over, as whatever has
 * caches fills them then. It grows when by Mann and Kendall's test the whole series rises, and its second
 * half too (one that has come to a level does not), and the rise is `least` at the least.
 */
void growth_of(const uint64_t *times_ns, const double *values, size_t count, double least,
               struct growth *ret_growth);

#endif
