/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does a service leak? Its memory goes up and down with its load, so a difference of two samples says
 * nothing; and it fills caches at first. Both tests here go by the order of samples and by medians: no
 * single one, and no third of them, decides. Samples are taken together in groups, by their medians, as
 * all pairs of groups are looked at.
 */
#include "soak/watched.h"

#include "base/macro.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_LEAST = 20, GROUPS = 64, PAIRS = GROUPS * (GROUPS - 1) / 2 };
#define SURE 3.29 /* standard deviations: by chance once in a thousand times */
#define HALF 2.33 /* of half of the samples */

struct peer_watch_sample watch_sample(const struct result_watch *watch)
{
    return (struct peer_watch_sample){.processes = watch->processes,
                                      .rss_bytes = watch->rss_bytes,
                                      .fds = watch->fds,
                                      .threads = watch->threads,
                                      .cpu_ns = watch->cpu_ns,
                                      .restarts = watch->restarts};
}

void watch_add(struct result_watch *into, const struct result_watch *from, bool same)
{
    if (!from->taken)
        return;
    if (!into->taken || same) {
        if (!into->taken || from->rss_bytes > into->rss_bytes)
            *into = *from;
        return;
    }
    into->processes += from->processes;
    into->rss_bytes += from->rss_bytes;
    into->fds += from->fds;
    into->threads += from->threads;
    into->cpu_ns += from->cpu_ns;
    into->restarts += from->restarts;
}

void watch_append(struct result_watch *into, const struct result_watch *later)
{
    const uint64_t cpu_ns = into->cpu_ns, restarts = into->restarts;

    if (!later->taken)
        return;
    *into = *later;
    into->cpu_ns += cpu_ns;
    into->restarts += restarts;
}

/* ---- growth ---- */

static int compare(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;

    return (one > other) - (one < other);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct series {
    double hours[GROUPS], values[GROUPS];
    size_t count;
};

/* Without memory there is one group fewer. */
static void take_groups(const uint64_t *times_ns, const double *values, size_t count,
                        struct series *ret)
{
    const size_t groups = MIN(count, (size_t)GROUPS);

    ret->count = 0;
    for (size_t i = 0; i < groups; i++) {
        const size_t from = i * count / groups, to = (i + 1) * count / groups;
        double *some = malloc((to - from) * sizeof(*some));
        if (!some)
            continue;
        memcpy(some, values + from, (to - from) * sizeof(*some));
        ret->values[ret->count] = median(some, to - from);
        ret->hours[ret->count] =
            ((double)times_ns[from] + (double)times_ns[to - 1]) / 2 / 3600e9;
        ret->count++;
        free(some);
    }
}

/* Mann and Kendall: how many pairs rise rather than fall, in standard deviations of what chance does. */
static double rise(const double *values, size_t count)
{
    const double n = (double)count;
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = i + 1; k < count; k++)
            sum += (values[k] > values[i]) - (values[k] < values[i]);
    }
    return sum <= 0 ? 0 : (sum - 1) / sqrt(n * (n - 1) * (2 * n + 5) / 18);
}

static double slope(const struct series *series)
{
    double slopes[PAIRS];
    size_t count = 0;

    for (size_t i = 0; i < series->count; i++) {
        for (size_t k = i + 1; k < series->count; k++) {
            const double hours = series->hours[k] - series->hours[i];
            if (hours > 0)
                slopes[count++] = (series->values[k] - series->values[i]) / hours;
        }
    }
    return count ? median(slopes, count) : 0;
}

/* The median of some at the beginning or the end. */
static double level(const struct series *series, size_t from)
{
    const size_t count = MAX(series->count / 8, (size_t)1);
    double some[GROUPS];

    memcpy(some, series->values + MIN(from, series->count - count), count * sizeof(*some));
    return median(some, count);
}

void growth_of(const uint64_t *times_ns, const double *values, size_t count, double least,
               struct growth *ret_growth)
{
    const size_t passed = count / 10;
    struct series series;

    *ret_growth = (struct growth){.known = false};
    if (count - passed < SAMPLES_LEAST)
        return;
    take_groups(times_ns + passed, values + passed, count - passed, &series);
    if (series.count < SAMPLES_LEAST)
        return;
    const size_t half = series.count / 2;
    const double hours = series.hours[series.count - 1] - series.hours[0];
    ret_growth->known = true;
    ret_growth->first = level(&series, 0);
    ret_growth->last = level(&series, series.count);
    ret_growth->per_hour = slope(&series);
    ret_growth->span_ns = times_ns[count - 1] - times_ns[passed];
    ret_growth->grows = rise(series.values, series.count) > SURE &&
                        rise(series.values + half, series.count - half) > HALF &&
                        ret_growth->per_hour * hours >= least &&
                        ret_growth->last - ret_growth->first >= least / 2;
}
