/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_HISTOGRAM_H
#define PEER_HISTOGRAM_H

/**
 * Latencies as soaks have them: from a nanosecond to an hour with three significant digits, so
 * that one that is added to another loses nothing. Needs no net. See peer/peer.h for the conventions.
 */

#include <peer/error.h>
#include <peer/export.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Microseconds. All zero when `count` is. */
struct peer_latency {
    uint64_t count;
    double min, mean, p50, p90, p99, p999, max;
};

struct peer_histogram;

/** An empty one, of some 200 KiB. NULL without memory. */
PEER_EXPORT struct peer_histogram *peer_histogram_new(void);
PEER_EXPORT struct peer_histogram *peer_histogram_free(struct peer_histogram *histogram);
/** Back to nothing. */
PEER_EXPORT void peer_histogram_clear(struct peer_histogram *histogram);
/** `count` times this latency; more than an hour is an hour. -EINVAL: it is negative, or no number;
 *  -EOVERFLOW: more than 2^48 in all. */
PEER_EXPORT int peer_histogram_record(struct peer_histogram *histogram, double us, uint64_t count);
/** Adds all of `from`, which stays. -EOVERFLOW, and nothing was added. */
PEER_EXPORT int peer_histogram_add(struct peer_histogram *into, const struct peer_histogram *from);
PEER_EXPORT void peer_histogram_get_summary(const struct peer_histogram *histogram,
                                            struct peer_latency *ret_latency);
/** Microseconds that so many percent (0 to 100) of what was recorded did not exceed; 0 when there is
 *  none. */
PEER_EXPORT double peer_histogram_percentile(const struct peer_histogram *histogram, double percent);
/** Writes it in HdrHistogram's text format (microseconds). 0 or -errno. */
PEER_EXPORT int peer_histogram_print(const struct peer_histogram *histogram, int fd);
/** As bytes, the same on every machine. 0 or -errno. */
PEER_EXPORT int peer_histogram_write(const struct peer_histogram *histogram, int fd);
/** Up to the end of the file. -EINVAL with text for what is no histogram, or not all of one. */
PEER_EXPORT int peer_histogram_read(int fd, struct peer_histogram **ret_histogram,
                                    struct peer_error *error);

#ifdef __cplusplus
}
#endif

#endif
