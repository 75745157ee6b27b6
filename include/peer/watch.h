/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_WATCH_H
#define PEER_WATCH_H

#include <peer/soak.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What the application uses while it is soaked: memory, descriptors, threads and processor time of its
 * processes, all of them together, at the end of each interval (of 100 ms or longer). A process of its own
 * looks ("peer-watch"): it keeps the right to read /proc, in the net's namespace, and nobody waits for it.
 */
struct peer_watch;

struct peer_watch_config {
    const pid_t *pids; /* which; NULL: all that have a socket open which is called at `to` and `to_port`,
                        * as the workers of a server have. When none of these is left, likewise */
    size_t pid_count;  /* up to 64 */
    struct peer_addr to;
    uint16_t to_port;
    bool udp;
};
/** Before peer_confine. -errno with text: ESRCH (there is no such process), EACCES (it may not be looked
 *  into). Nobody has to listen yet. `watch` of struct peer_soak_config is then what looks. */
PEER_EXPORT int peer_watch_new_sized(struct peer_net *net, const struct peer_watch_config *config,
                                     size_t size, struct peer_watch **ret_watch,
                                     struct peer_error *error);
static inline int peer_watch_new(struct peer_net *net, const struct peer_watch_config *config,
                                 struct peer_watch **ret_watch, struct peer_error *error)
{
    return peer_watch_new_sized(net, config, sizeof(*config), ret_watch, error);
}
/** After the soak is freed. Takes NULL, returns NULL. */
PEER_EXPORT struct peer_watch *peer_watch_free(struct peer_watch *watch);

/** Of the `index`-th interval: 1; 0: there are no more; -ENODATA: it was not looked at. */
PEER_EXPORT int peer_result_get_watch_sized(const struct peer_result *result, size_t index,
                                            struct peer_watch_sample *ret_sample, size_t size);
static inline int peer_result_get_watch(const struct peer_result *result, size_t index,
                                        struct peer_watch_sample *ret_sample)
{
    return peer_result_get_watch_sized(result, index, ret_sample, sizeof(*ret_sample));
}

/** A process that was seen. `name` lives as long as the result. */
struct peer_watch_process {
    uint64_t pid;
    const char *name;
    uint64_t first_ns, last_ns; /* when, since the start of the measured time */
};
/** The `index`-th, in the order in which they were seen: 1, or 0 when there are no more. */
PEER_EXPORT int peer_result_get_process_sized(const struct peer_result *result, size_t index,
                                              struct peer_watch_process *ret_process, size_t size);
static inline int peer_result_get_process(const struct peer_result *result, size_t index,
                                          struct peer_watch_process *ret_process)
{
    return peer_result_get_process_sized(result, index, ret_process, sizeof(*ret_process));
}

enum peer_watch_figure { PEER_WATCH_RSS, PEER_WATCH_FDS, PEER_WATCH_THREADS };
/** How a figure developed since the application was started last, without the first tenth of it. */
struct peer_watch_growth {
    bool grows;         /* it rises steadily and to the end: by Mann and Kendall's test the whole series
                         * does, and its second half */
    double first, last; /* medians of the beginning and the end; bytes, for PEER_WATCH_RSS */
    double per_hour;    /* the median of all slopes between two samples (Theil and Sen's) */
    uint64_t span_ns;   /* of the samples */
};
/** 1; 0: there are too few samples to tell, which are less than some twenty. */
PEER_EXPORT int peer_result_get_growth_sized(const struct peer_result *result,
                                             enum peer_watch_figure figure,
                                             struct peer_watch_growth *ret_growth, size_t size);
static inline int peer_result_get_growth(const struct peer_result *result,
                                         enum peer_watch_figure figure,
                                         struct peer_watch_growth *ret_growth)
{
    return peer_result_get_growth_sized(result, figure, ret_growth, sizeof(*ret_growth));
}

#ifdef __cplusplus
}
#endif

#endif
