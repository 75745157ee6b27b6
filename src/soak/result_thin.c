/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run of days has more intervals than anybody looks at or has memory for. When there are as many as
 * are to be kept, neighbours become one, two by two; from then on what is kept is so long from the
 * beginning: all have the same length, as those of another part of the run have. Nothing is lost but
 * where in an interval it was: counts and histograms are sums.
 *
 * Histograms stay packed meanwhile, as two thousand of them are added at a time and the network waits:
 * a microsecond or two each, where unpacked ones take a thousand times that.
 */
#include "soak/bytes.h"
#include "soak/result_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TYPICAL_OF = 15 };

/* ---- packed histograms ---- */

/* One pass over the counters of a packed histogram. */
struct walk {
    struct in in;
    uint64_t left; /* counters, with this one */
    uint64_t index, count;
};

static void walk_next(struct walk *walk)
{
    walk->left--;
    if (!walk->left)
        return;
    walk->index += 1 + bytes_get_number(&walk->in);
    walk->count = bytes_get_number(&walk->in);
}

static struct walk walk_begin(const struct packed *packed)
{
    struct walk walk = {.left = 0};

    if (!packed->len) /* and there may be no bytes to point at */
        return walk;
    walk.in = (struct in){packed->bytes, packed->bytes + packed->len, false};
    walk.left = bytes_get_number(&walk.in);
    if (!walk.left)
        return walk;
    walk.index = bytes_get_number(&walk.in);
    walk.count = bytes_get_number(&walk.in);
    return walk;
}

/* The next counter of either, or of both together; 0: there is none. */
static uint64_t next_of_two(struct walk *a, struct walk *b, uint64_t *ret_index)
{
    uint64_t count = 0;
    const bool first = a->left && (!b->left || a->index <= b->index);
    const bool second = b->left && (!a->left || b->index <= a->index);

    if (first) {
        *ret_index = a->index;
        count += a->count;
        walk_next(a);
    }
    if (second) {
        *ret_index = b->index;
        count += b->count;
        walk_next(b);
    }
    return count;
}

/* How many counters the sum has; 0 with `*ret_wrong` for more samples than one may have. */
static uint64_t count_counters(const struct packed *a, const struct packed *b, bool *ret_wrong)
{
    struct walk one = walk_begin(a), other = walk_begin(b);
    uint64_t used = 0, total = 0, index, count;

    while (!one.in.wrong && !other.in.wrong && (count = next_of_two(&one, &other, &index))) {
        used++;
        if (count > RESULT_SAMPLES_MOST - total) {
            *ret_wrong = true;
            return 0;
        }
        total += count;
    }
    *ret_wrong = one.in.wrong || other.in.wrong || one.left || other.left;
    return used;
}

int packed_sum(const struct packed *a, const struct packed *b, struct packed *ret_sum)
{
    struct walk one = walk_begin(a), other = walk_begin(b);
    uint64_t next = 0, index = 0, count;
    struct out out = {0};
    bool wrong;

    const uint64_t used = count_counters(a, b, &wrong);
    if (wrong)
        return -EBADMSG;
    if (used)
        bytes_put_number(&out, used);
    while ((count = next_of_two(&one, &other, &index))) {
        bytes_put_number(&out, index - next);
        bytes_put_number(&out, count);
        next = index + 1;
    }
    if (out.failed) {
        free(out.bytes);
        return -ENOMEM;
    }
    *ret_sum = (struct packed){out.bytes, out.len};
    return 0;
}

/* ---- intervals ---- */

/* The later one of two neighbours; `later` is done with then. */
static int append(struct result_interval *into, struct result_interval *later)
{
    struct packed sum;

    int status = packed_sum(&into->request, &later->request, &sum);
    if (status < 0)
        return status;
    free(into->request.bytes);
    into->request = sum;
    counts_add(&into->counts, &later->counts);
    into->length_ns = later->start_ns + later->length_ns - into->start_ns;
    into->open = later->open;
    watch_append(&into->watch, &later->watch);
    result_interval_done(later);
    return 0;
}

/* Does it become no longer than that? Their lengths are not the same to the nanosecond. */
static bool fits(const struct result_interval *into, const struct result_interval *later,
                 uint64_t stride_ns)
{
    return !into->after_end && !later->after_end && later->start_ns >= into->start_ns &&
           later->start_ns + later->length_ns - into->start_ns <= stride_ns + later->length_ns / 2;
}

int result_regroup(struct result *result, uint64_t stride_ns)
{
    struct result_interval *intervals = result->intervals;
    size_t kept = 0;
    int status = 0;

    for (size_t i = 0; i < result->interval_count; i++) {
        if (kept && status == 0 && fits(&intervals[kept - 1], &intervals[i], stride_ns)) {
            status = append(&intervals[kept - 1], &intervals[i]);
            if (status == 0)
                continue;
        }
        intervals[kept++] = intervals[i];
    }
    result->interval_count = kept;
    if (status == 0)
        result->stride_ns = stride_ns;
    return status;
}

uint64_t result_typical_interval(const struct result *result)
{
    uint64_t lengths[TYPICAL_OF];
    size_t count = 0;

    for (size_t i = 0; i < result->interval_count && count < TYPICAL_OF; i++) {
        const struct result_interval *interval = &result->intervals[i];
        size_t at = count;
        if (interval->after_end)
            continue;
        for (; at > 0 && lengths[at - 1] > interval->length_ns; at--)
            lengths[at] = lengths[at - 1];
        lengths[at] = interval->length_ns;
        count++;
    }
    return count ? lengths[(count - 1) / 2] : 0;
}

int result_thin(struct result *result, size_t most)
{
    int status = 0;

    while (status == 0 && result->interval_count > most) {
        const size_t before = result->interval_count;
        status = result_regroup(result, 2 * MAX(result_typical_interval(result), 1U));
        if (result->interval_count == before) /* as none are neighbours */
            break;
    }
    return status;
}

int result_keep_interval(struct result *result, struct result_interval *interval, size_t most)
{
    const size_t count = result->interval_count;

    if (count && result->stride_ns &&
        fits(&result->intervals[count - 1], interval, result->stride_ns))
        return append(&result->intervals[count - 1], interval);
    int status = result_take_interval(result, interval);
    return status < 0 ? status : result_thin(result, MAX(most, (size_t)2));
}
