/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The series of a result, which is in order: one interval more, and those of another result, each to that
 * of its time.
 */
#include "soak/bytes.h"
#include "soak/result_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <stdlib.h>
#include <string.h>

void result_interval_done(struct result_interval *interval)
{
    free(interval->request.bytes);
    interval->request = (struct packed){0};
}

void result_interval_get(const struct result_interval *interval,
                         struct peer_soak_interval *ret_interval)
{
    struct hdr_histogram *histogram;
    struct peer_latency latency = {0};

    if (interval->request.len && histogram_new(&histogram) == 0) {
        if (packed_add_to(&interval->request, histogram) == 0)
            histogram_summary(histogram, &latency);
        hdr_close(histogram);
    }
    *ret_interval = (struct peer_soak_interval){.start_ns = interval->start_ns,
                                                .length_ns = interval->length_ns,
                                                .counts = interval->counts,
                                                .open = interval->open,
                                                .p50_us = latency.p50,
                                                .p99_us = latency.p99,
                                                .after_end = interval->after_end,
                                                .watched = interval->watch.taken,
                                                .watch = watch_sample(&interval->watch)};
}

static int interval_copy(const struct result_interval *from, struct result_interval *ret_interval)
{
    uint8_t *bytes = NULL;

    if (from->request.len) {
        bytes = malloc(from->request.len);
        if (!bytes)
            return -ENOMEM;
        memcpy(bytes, from->request.bytes, from->request.len);
    }
    *ret_interval = *from;
    ret_interval->request.bytes = bytes;
    return 0;
}

int result_interval_add(struct result_interval *into, const struct result_interval *from,
                        bool same_application)
{
    struct packed sum;

    int status = packed_sum(&into->request, &from->request, &sum);
    if (status < 0)
        return status;
    free(into->request.bytes);
    into->request = sum;
    counts_add(&into->counts, &from->counts);
    into->open += from->open;
    into->length_ns = MAX(into->length_ns, from->length_ns);
    watch_add(&into->watch, &from->watch, same_application);
    return 0;
}

/* Intervals of two runs that began together begin nearly together: nearer than half of the shorter
   one, so that two of one run are never the same. What came after the end is one in each run. */
bool result_interval_matches(const struct result_interval *a, const struct result_interval *b)
{
    uint64_t apart =
        a->start_ns > b->start_ns ? a->start_ns - b->start_ns : b->start_ns - a->start_ns;

    if (a->after_end || b->after_end)
        return a->after_end && b->after_end;
    return apart < (MIN(a->length_ns, b->length_ns) + 1) / 2;
}

/* The first that begins so late: they are in order. */
static size_t first_from(const struct result *result, uint64_t start_ns)
{
    size_t low = 0, high = result->interval_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (result->intervals[middle].start_ns < start_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct result_interval *find_same_time(const struct result *result,
                                              const struct result_interval *interval)
{
    uint64_t reach_ns = interval->after_end ? UINT64_MAX : interval->length_ns;
    uint64_t from_ns = interval->start_ns - MIN(interval->start_ns, reach_ns);

    for (size_t i = first_from(result, from_ns); i < result->interval_count; i++) {
        struct result_interval *other = &result->intervals[i];
        if (result_interval_matches(other, interval))
            return other;
        if (other->start_ns > interval->start_ns && other->start_ns - interval->start_ns > reach_ns)
            break;
    }
    return NULL;
}

struct result_interval *result_find_interval(const struct result *result, uint64_t start_ns)
{
    const size_t at = first_from(result, start_ns);

    return at < result->interval_count && result->intervals[at].start_ns == start_ns
               ? &result->intervals[at]
               : NULL;
}

int result_take_interval(struct result *result, struct result_interval *interval)
{
    size_t count = result->interval_count, at = count;

    if ((count & (count - 1)) == 0) { /* as many as it has room for */
        size_t room = count ? 2 * count : 1;
        void *larger = realloc(result->intervals, room * sizeof(*result->intervals));
        if (!larger)
            return -ENOMEM;
        result->intervals = larger;
    }
    while (at > 0 && result->intervals[at - 1].start_ns > interval->start_ns)
        at--;
    memmove(&result->intervals[at + 1], &result->intervals[at],
            (count - at) * sizeof(*result->intervals));
    result->intervals[at] = *interval;
    result->interval_count++;
    return 0;
}

int result_copy_interval(struct result *into, const struct result_interval *from)
{
    struct result_interval copy;
    int status = interval_copy(from, &copy);

    if (status < 0)
        return status;
    status = result_take_interval(into, &copy);
    if (status < 0)
        result_interval_done(&copy);
    return status;
}

struct adding {
    uint64_t later_ns;
    bool same_application;
};

static int add_interval(struct result *into, const struct result_interval *from,
                        const struct adding *adding)
{
    struct result_interval moved = *from;

    moved.start_ns += adding->later_ns;
    struct result_interval *same = find_same_time(into, &moved);
    return same ? result_interval_add(same, &moved, adding->same_application)
                : result_copy_interval(into, &moved);
}

/* Those of `from` in so long ones. */
static int add_regrouped(struct result *into, const struct result *from,
                         const struct adding *adding, uint64_t stride_ns)
{
    struct result copy = {.intervals = NULL};
    int status = 0;

    for (size_t i = 0; i < from->interval_count && status == 0; i++)
        status = result_copy_interval(&copy, &from->intervals[i]);
    if (status == 0)
        status = result_regroup(&copy, stride_ns);
    for (size_t i = 0; i < copy.interval_count && status == 0; i++)
        status = add_interval(into, &copy.intervals[i], adding);
    for (size_t i = 0; i < copy.interval_count; i++)
        result_interval_done(&copy.intervals[i]);
    free(copy.intervals);
    return status;
}

/* Where one of them was thinned more often the other one's become as long. */
int result_add_intervals(struct result *into, const struct result *from, uint64_t later_ns)
{
    const struct adding adding = {later_ns, result_has_processes_of(into, from)};
    const uint64_t mine_ns = result_typical_interval(into);
    const uint64_t theirs_ns = result_typical_interval(from);
    int status = 0;

    if (mine_ns && theirs_ns && mine_ns / 3 * 2 > theirs_ns)
        return add_regrouped(into, from, &adding, mine_ns);
    if (mine_ns && theirs_ns && theirs_ns / 3 * 2 > mine_ns)
        status = result_regroup(into, theirs_ns);
    for (size_t i = 0; i < from->interval_count && status == 0; i++)
        status = add_interval(into, &from->intervals[i], &adding);
    return status;
}

/* ---- alone, as bytes ---- */

int result_interval_pack(const struct result_interval *interval, uint8_t **ret_bytes,
                         size_t *ret_len)
{
    const struct result alone = {.intervals = (struct result_interval *)(uintptr_t)interval,
                                 .interval_count = 1};
    struct out out = {0};

    result_put_records(&out, &alone, RECORDS_INTERVALS);
    if (out.failed) {
        free(out.bytes);
        return -ENOMEM;
    }
    *ret_bytes = out.bytes;
    *ret_len = out.len;
    return 0;
}

int result_interval_parse(const void *data, size_t len, struct result_interval *ret_interval)
{
    struct in in = {data, (const uint8_t *)data + len, false};
    struct result alone = {.interval_count = 0};

    int status = result_get_records(&in, &alone, NULL);
    if (status == 0 && alone.interval_count == 1) {
        *ret_interval = alone.intervals[0];
        alone.interval_count = 0;
    } else if (status == 0) {
        status = -EBADMSG;
    }
    for (size_t i = 0; i < alone.interval_count; i++)
        result_interval_done(&alone.intervals[i]);
    free(alone.intervals);
    return status;
}
