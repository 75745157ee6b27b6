/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/measure.h"

#include "base/macro.h"
#include "soak/result_internal.h"

#include <hdr/hdr_histogram.h>
#include <stdlib.h>
#include <string.h>

int measure_init(struct measure *measure, uint64_t now_ns)
{
    memset(measure, 0, sizeof(*measure));
    measure->start_ns = measure->interval_start_ns = now_ns;
    int status = figures_init(&measure->found);
    if (status == 0)
        status = histogram_new(&measure->interval_request);
    /* Its pages are there from the beginning, and not when a latency comes that none was like. */
    for (size_t i = 0; i < RESULT_HISTOGRAMS && status == 0; i++)
        hdr_reset(measure->found.histograms[i]);
    return status;
}

void measure_done(struct measure *measure)
{
    figures_done(&measure->found);
    if (measure->interval_request)
        hdr_close(measure->interval_request);
    for (size_t i = measure->interval_taken; i < measure->interval_count; i++)
        result_interval_done(&measure->intervals[i]);
    free(measure->intervals);
    memset(measure, 0, sizeof(*measure));
}

void measure_restart(struct measure *measure, uint64_t start_ns)
{
    uint64_t warmed = measure->found.counts.completed;
    char cannot_open[RESULT_OPEN_TEXT]; /* fewer are open than were asked for, still */

    memcpy(cannot_open, measure->found.cannot_open, sizeof(cannot_open));
    figures_clear(&measure->found);
    memcpy(measure->found.cannot_open, cannot_open, sizeof(cannot_open));
    hdr_reset(measure->interval_request);
    measure->found.warmed = warmed;
    measure->before = (struct peer_soak_counts){0};
    measure->start_ns = measure->interval_start_ns = start_ns;
    for (size_t i = measure->interval_taken; i < measure->interval_count; i++)
        result_interval_done(&measure->intervals[i]);
    measure->interval_count = measure->interval_taken = 0;
}

void measure_latency(struct measure *measure, enum peer_soak_histogram which, uint64_t ns)
{
    int64_t value = (int64_t)MIN(ns, (uint64_t)RESULT_HIGHEST_NS);

    hdr_record_value(measure->found.histograms[which], value);
    if (which == PEER_HISTOGRAM_REQUEST)
        hdr_record_value(measure->interval_request, value);
}

void measure_since(struct measure *measure, enum peer_soak_histogram which, uint64_t from_ns,
                   uint64_t until_ns)
{
    measure_latency(measure, which, until_ns > from_ns ? until_ns - from_ns : 0);
}

static bool make_room(struct measure *measure)
{
    if (measure->interval_count < measure->interval_room)
        return true;
    if (measure->interval_taken) { /* what was taken makes room */
        measure->interval_count -= measure->interval_taken;
        memmove(measure->intervals, measure->intervals + measure->interval_taken,
                measure->interval_count * sizeof(*measure->intervals));
        measure->interval_taken = 0;
        return true;
    }
    size_t room = measure->interval_room ? 2 * measure->interval_room : 64;
    void *larger = realloc(measure->intervals, room * sizeof(*measure->intervals));
    if (!larger)
        return false;
    measure->intervals = larger;
    measure->interval_room = room;
    return true;
}

/* Without memory its latencies are lost from the series, or all of it. */
void measure_interval(struct measure *measure, uint64_t now_ns, uint64_t open)
{
    struct result_interval interval = {
        .start_ns = measure->interval_start_ns - measure->start_ns,
        .length_ns = now_ns - measure->interval_start_ns,
        .counts = counts_since(&measure->found.counts, &measure->before),
        .open = open,
    };

    if (make_room(measure)) {
        if (measure->interval_request->total_count)
            (void)packed_from(measure->interval_request, &interval.request);
        measure->intervals[measure->interval_count++] = interval;
    }
    measure->before = measure->found.counts;
    measure->interval_start_ns = now_ns;
    hdr_reset(measure->interval_request);
}

void measure_close(struct measure *measure, uint64_t now_ns, uint64_t open)
{
    if (measure->closed)
        return;
    if (now_ns > measure->interval_start_ns)
        measure_interval(measure, now_ns, open);
    measure->found.in_time = measure->found.counts;
    measure->end_ns = now_ns;
    measure->closed = true;
}

/* Anything but connections that were closed. */
static bool is_work(const struct peer_soak_counts *counts)
{
    return counts->completed || peer_soak_errors(counts) || counts->bytes_sent ||
           counts->bytes_received;
}

void measure_end(struct measure *measure, uint64_t now_ns, uint64_t open)
{
    struct peer_soak_counts late = counts_since(&measure->found.counts, &measure->before);

    if (now_ns > measure->interval_start_ns && is_work(&late)) {
        measure_interval(measure, now_ns, open);
        if (measure->interval_count > measure->interval_taken)
            measure->intervals[measure->interval_count - 1].after_end = true;
        return;
    }
    if (measure->interval_count == measure->interval_taken)
        return;
    struct result_interval *last = &measure->intervals[measure->interval_count - 1];
    counts_add(&last->counts, &late);
    measure->before = measure->found.counts;
}

int measure_pop_interval(struct measure *measure, struct result_interval *ret_interval)
{
    if (measure->interval_taken == measure->interval_count)
        return 0;
    *ret_interval = measure->intervals[measure->interval_taken++];
    return 1;
}
