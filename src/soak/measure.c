/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/measure.h"

#include "base/macro.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 3 };
#define HIGHEST_NS (3600 * (int64_t)NS_PER_S)

int measure_init(struct measure *measure, uint64_t now_ns)
{
    memset(measure, 0, sizeof(*measure));
    measure->start_ns = measure->interval_start_ns = now_ns;
    for (size_t i = 0; i < ARRAY_SIZE(measure->histograms); i++) {
        if (hdr_init(1, HIGHEST_NS, DIGITS, &measure->histograms[i]) != 0)
            return -ENOMEM;
    }
    return hdr_init(1, HIGHEST_NS, DIGITS, &measure->interval_request) == 0 ? 0 : -ENOMEM;
}

void measure_done(struct measure *measure)
{
    for (size_t i = 0; i < ARRAY_SIZE(measure->histograms); i++) {
        if (measure->histograms[i])
            hdr_close(measure->histograms[i]);
    }
    if (measure->interval_request)
        hdr_close(measure->interval_request);
    free(measure->intervals);
    memset(measure, 0, sizeof(*measure));
}

void measure_restart(struct measure *measure, uint64_t start_ns)
{
    for (size_t i = 0; i < ARRAY_SIZE(measure->histograms); i++)
        hdr_reset(measure->histograms[i]);
    hdr_reset(measure->interval_request);
    measure->warmed = measure->counts.completed;
    measure->counts = measure->before = (struct peer_soak_counts){0};
    memset(measure->codes, 0, sizeof(measure->codes));
    memset(measure->first_errors, 0, sizeof(measure->first_errors));
    measure->first_error = NULL;
    measure->carried = 0;
    measure->start_ns = measure->interval_start_ns = start_ns;
    measure->interval_count = measure->interval_taken = 0;
}

void measure_latency(struct measure *measure, enum peer_soak_histogram which, uint64_t ns)
{
    int64_t value = (int64_t)MIN(ns, (uint64_t)HIGHEST_NS);

    hdr_record_value(measure->histograms[which], value);
    if (which == PEER_HISTOGRAM_REQUEST)
        hdr_record_value(measure->interval_request, value);
}

void measure_since(struct measure *measure, enum peer_soak_histogram which, uint64_t from_ns,
                   uint64_t until_ns)
{
    measure_latency(measure, which, until_ns > from_ns ? until_ns - from_ns : 0);
}

/* All members are counters of 64 bits. */
static struct peer_soak_counts combine(const struct peer_soak_counts *first,
                                       const struct peer_soak_counts *second, int sign)
{
    struct peer_soak_counts result;
    const uint64_t *a = (const uint64_t *)first, *b = (const uint64_t *)second;
    uint64_t *c = (uint64_t *)&result;

    for (size_t i = 0; i < sizeof(result) / sizeof(uint64_t); i++)
        c[i] = sign > 0 ? a[i] + b[i] : a[i] - b[i];
    return result;
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

static double percentile_us(const struct hdr_histogram *histogram, double percentile)
{
    return (double)hdr_value_at_percentile(histogram, percentile) / 1e3;
}

void measure_interval(struct measure *measure, uint64_t now_ns, uint64_t open)
{
    const struct hdr_histogram *histogram = measure->interval_request;

    if (make_room(measure)) {
        measure->intervals[measure->interval_count++] = (struct peer_soak_interval){
            .start_ns = measure->interval_start_ns - measure->start_ns,
            .length_ns = now_ns - measure->interval_start_ns,
            .counts = combine(&measure->counts, &measure->before, -1),
            .open = open,
            .p50_us = histogram->total_count ? percentile_us(histogram, 50) : 0,
            .p99_us = histogram->total_count ? percentile_us(histogram, 99) : 0,
        };
    }
    measure->before = measure->counts;
    measure->interval_start_ns = now_ns;
    hdr_reset(measure->interval_request);
}

void measure_close(struct measure *measure, uint64_t now_ns, uint64_t open)
{
    if (measure->closed)
        return;
    if (now_ns > measure->interval_start_ns)
        measure_interval(measure, now_ns, open);
    measure->in_time = measure->counts;
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
    struct peer_soak_counts late = combine(&measure->counts, &measure->before, -1);

    if (now_ns > measure->interval_start_ns && is_work(&late)) {
        measure_interval(measure, now_ns, open);
        if (measure->interval_count > measure->interval_taken)
            measure->intervals[measure->interval_count - 1].after_end = true;
        return;
    }
    if (measure->interval_count == measure->interval_taken)
        return;
    struct peer_soak_interval *last = &measure->intervals[measure->interval_count - 1];
    last->counts = combine(&last->counts, &late, 1);
    measure->before = measure->counts;
}

int measure_pop_interval(struct measure *measure, struct peer_soak_interval *ret_interval)
{
    if (measure->interval_taken == measure->interval_count)
        return 0;
    *ret_interval = measure->intervals[measure->interval_taken++];
    return 1;
}

void measure_summary(const struct measure *measure, enum peer_soak_histogram which,
                     struct peer_latency *ret_latency)
{
    const struct hdr_histogram *histogram = measure->histograms[which];

    *ret_latency = (struct peer_latency){.count = (uint64_t)histogram->total_count};
    if (!ret_latency->count)
        return;
    ret_latency->min = (double)hdr_min(histogram) / 1e3;
    ret_latency->mean = hdr_mean(histogram) / 1e3;
    ret_latency->p50 = percentile_us(histogram, 50);
    ret_latency->p90 = percentile_us(histogram, 90);
    ret_latency->p99 = percentile_us(histogram, 99);
    ret_latency->p999 = percentile_us(histogram, 99.9);
    ret_latency->max = (double)hdr_max(histogram) / 1e3;
}
