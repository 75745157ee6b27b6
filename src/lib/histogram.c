/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Histograms as callers of the library hold them: those of soaks, see src/soak/result.h.
 */
#include "lib/internal.h"

#include <hdr/hdr_histogram.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HIGHEST_US ((double)RESULT_HIGHEST_NS / 1e3)

struct peer_histogram *peer_histogram_new(void)
{
    struct peer_histogram *histogram = calloc(1, sizeof(*histogram));

    if (histogram && histogram_new(&histogram->value) < 0)
        return peer_histogram_free(histogram);
    return histogram;
}

struct peer_histogram *peer_histogram_free(struct peer_histogram *histogram)
{
    if (histogram && histogram->value)
        hdr_close(histogram->value);
    free(histogram);
    return NULL;
}

void peer_histogram_clear(struct peer_histogram *histogram)
{
    hdr_reset(histogram->value);
}

int peer_histogram_record(struct peer_histogram *histogram, double us, uint64_t count)
{
    if (!(us >= 0)) /* and what is no number */
        return -EINVAL;
    if (count > RESULT_SAMPLES_MOST - (uint64_t)histogram->value->total_count)
        return -EOVERFLOW;
    double ns = MIN(us, HIGHEST_US) * 1e3 + 0.5;
    hdr_record_values(histogram->value, MIN((int64_t)ns, RESULT_HIGHEST_NS), (int64_t)count);
    return 0;
}

int peer_histogram_add(struct peer_histogram *into, const struct peer_histogram *from)
{
    return histogram_add(into->value, from->value);
}

void peer_histogram_get_summary(const struct peer_histogram *histogram,
                                struct peer_latency *ret_latency)
{
    histogram_summary(histogram->value, ret_latency);
}

double peer_histogram_percentile(const struct peer_histogram *histogram, double percent)
{
    if (!histogram->value->total_count || !(percent >= 0))
        return 0;
    return (double)hdr_value_at_percentile(histogram->value, MIN(percent, 100.0)) / 1e3;
}

int histogram_print(const struct hdr_histogram *histogram, int fd)
{
    int copy = dup(fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");

    if (!file) {
        int code = errno;
        if (copy >= 0)
            close(copy);
        return -code;
    }
    errno = 0;
    /* It goes over it, and changes nothing. */
    int status = hdr_percentiles_print((struct hdr_histogram *)(uintptr_t)histogram, file, 5, 1000.0,
                                       CLASSIC);
    if (fclose(file) != 0 || status != 0)
        return errno ? -errno : -EIO;
    return 0;
}

int peer_histogram_print(const struct peer_histogram *histogram, int fd)
{
    return histogram_print(histogram->value, fd);
}

int peer_histogram_write(const struct peer_histogram *histogram, int fd)
{
    return histogram_write(histogram->value, fd);
}

int peer_histogram_read(int fd, struct peer_histogram **ret_histogram, struct peer_error *error)
{
    struct peer_histogram *histogram = peer_histogram_new();

    if (!histogram)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    int status = histogram_read(fd, histogram->value, error);
    if (status < 0)
        peer_histogram_free(histogram);
    else
        *ret_histogram = histogram;
    return status;
}
