/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_RESULT_H
#define SOAK_RESULT_H

#include "soak/watched.h"

#include <peer/error.h>
#include <peer/soak.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hdr_histogram;

/**
 * What a soak found, as a value: no pointer into a run, a net or the kernel. Reports read nothing
 * else, whether it comes from this process, from another one, or from several that are added up.
 * Adding loses nothing: the histograms of the parts make the histogram of the whole.
 *
 * Latencies are kept in nanoseconds, up to an hour, with three significant digits. x_init, x_done
 * and x_add return 0 or -ENOMEM; after -ENOMEM a value is still one to call x_done with.
 */

enum { RESULT_HISTOGRAMS = 7, RESULT_ANSWERS = 32, RESULT_ANSWER_TEXT = 24 };
enum { RESULT_ERROR_TEXT = 240, RESULT_OPEN_TEXT = 160, RESULT_TLS_TEXT = 640 };
#define RESULT_HIGHEST_NS (INT64_C(3600) * 1000000000)

/** An empty histogram as all here are; -ENOMEM. */
int histogram_new(struct hdr_histogram **ret_histogram);
/** A histogram of more is none: thousands of them may be added up, and no sum is too large. */
#define RESULT_SAMPLES_MOST (UINT64_C(1) << 48)
/** -EOVERFLOW, and nothing was added, when that would be more than RESULT_SAMPLES_MOST. */
int histogram_add(struct hdr_histogram *into, const struct hdr_histogram *from);
/** As bytes, like a result. 0 or -errno of write(2), -ENOMEM. */
int histogram_write(const struct hdr_histogram *histogram, int fd);
/** Adds it to `into`, which is empty. -EINVAL with text for bytes that are none; as result_read. */
int histogram_read(int fd, struct hdr_histogram *into, struct peer_error *error);
/** The same from memory. */
int histogram_parse(const void *data, size_t len, struct hdr_histogram *into,
                    struct peer_error *error);
/** hdr_mean() to the bit, without its iterator; of one that is not empty. Nanoseconds. */
double histogram_mean(const struct hdr_histogram *histogram);
/** Microseconds. */
void histogram_summary(const struct hdr_histogram *histogram, struct peer_latency *ret_latency);
/** Counts for each bucket, whose bounds ascend; the sum of all samples in microseconds. */
struct peer_soak_bucket;
double histogram_count_below(const struct hdr_histogram *histogram,
                             struct peer_soak_bucket *buckets, size_t bucket_count);

/** What became of those requests that asked for one of a list. */
enum { TARGET_STATUSES = 8 };
struct target_figures {
    char *name; /* NULL while it goes on */
    uint64_t completed, errors;
    struct {
        uint16_t status; /* 0 in the last one: all others */
        uint64_t count;
    } statuses[TARGET_STATUSES]; /* by their first answer */
};
/** Counts answers with a status. */
void target_add_status(struct target_figures *target, unsigned status, uint64_t count);
/** Answers that have a name, as RCODEs have. */
struct answers {
    char kind[RESULT_ANSWER_TEXT], name[RESULT_ANSWER_TEXT]; /* empty: none yet */
    uint64_t count;
};

/** What the clients of one run did. */
struct figures {
    struct peer_soak_counts counts;    /* wanted in the measured time */
    struct peer_soak_counts in_time;   /* of these, what was done by its end */
    uint64_t codes[PEER_STATUS_CODES]; /* answers by status; [0]: none of these */
    struct answers answers[RESULT_ANSWERS];
    uint64_t carried;                  /* completed in the measured time, and wanted before it */
    uint64_t warmed;                   /* completed before measuring began */
    struct hdr_histogram *histograms[RESULT_HISTOGRAMS];         /* by enum peer_soak_histogram */
    char first_errors[PEER_SOAK_ERROR_KINDS][RESULT_ERROR_TEXT]; /* of each kind, in words */
    uint8_t first_error;                /* the first of all: its kind + 1; 0: none */
    char cannot_open[RESULT_OPEN_TEXT]; /* why connections were not opened */
    struct target_figures *targets;     /* those of the list; NULL: there is none */
    size_t target_count;
    char tls_agreed[RESULT_TLS_TEXT];   /* what the first connection with TLS agreed on */
};
int figures_init(struct figures *figures);
void figures_done(struct figures *figures);
/** Makes place for the figures of a list; -ENOMEM. */
int figures_list(struct figures *figures, size_t count);
/** Gives answers a name, before any are counted: `names` ends with NULL. */
void figures_name_answers(struct figures *figures, const char *kind, const char *const *names);
/** Counts one of a name that need not have been given before; beyond RESULT_ANSWERS they are "others". */
void figures_count_named(struct figures *figures, const char *kind, const char *name);
/** Adds; the first errors stay those of `into`, if it has any. */
int figures_add(struct figures *into, const struct figures *from);
/** The first error in words, or why connections were not opened; NULL: none. */
const char *figures_first_error(const struct figures *figures);
/** Back to nothing. */
void figures_clear(struct figures *figures);

/** A histogram that is only kept, packed: most counters of one are 0. */
struct packed {
    uint8_t *bytes;
    size_t len;
};
int packed_from(const struct hdr_histogram *histogram, struct packed *ret_packed);
/** Adds it to `into`; -EBADMSG for bytes that are none. */
int packed_add_to(const struct packed *packed, struct hdr_histogram *into);

/** One interval of the series. */
struct result_interval {
    uint64_t start_ns, length_ns; /* since the start of the measured time */
    uint64_t open;                /* connections at its end */
    bool after_end;               /* what came when the measured time was over */
    struct peer_soak_counts counts;
    struct packed request; /* latencies */
    struct result_watch watch;
};
/** Adds one of another run that began with this; whether both looked at one application. -ENOMEM. */
int result_interval_add(struct result_interval *into, const struct result_interval *from,
                        bool same_application);
/** Are two of them of the same time? */
bool result_interval_matches(const struct result_interval *a, const struct result_interval *b);
void result_interval_done(struct result_interval *interval);
/** As bytes, in memory for free(), and back. -ENOMEM; -EBADMSG for bytes that are none. */
int result_interval_pack(const struct result_interval *interval, uint8_t **ret_bytes,
                         size_t *ret_len);
int result_interval_parse(const void *data, size_t len, struct result_interval *ret_interval);
void result_interval_get(const struct result_interval *interval,
                         struct peer_soak_interval *ret_interval);

/** Clients with one manner. */
struct result_share {
    char name[32], spec[96];
    double share;
    uint64_t flows, open, begun, closed, reset, given_up;
    struct figures found;
};

/** Who found a part of it: one soak, on this machine or another. */
struct result_part {
    char version[32]; /* of peer */
    char host[64], protocol[32], target[64];
    char peers[256];     /* their addresses as ranges; "": too many of these */
    uint64_t peer_count, flows, seed, interval_ns;
    uint64_t started_ns; /* when measuring began, by the wall clock (Unix time) */
    uint64_t duration_ns;
    uint64_t shard, shards; /* which of how many; 0 of 0: it is no shard */
    uint64_t workers, workers_lost; /* by so many processes, 0: by one; what those found is missing */
};

/** What was changed on the way, by whom steered it. */
enum { RESULT_CHANGE_TEXT = 240 };
struct result_change {
    int64_t at_ns;    /* since the start of the measured time; less than 0: in the warm-up */
    uint64_t wall_ns; /* Unix time */
    uint64_t shard;   /* whose it is, where there are several */
    char words[RESULT_CHANGE_TEXT];
};
/** More are none. */
enum { RESULT_CHANGES_MOST = 65536 };
/** Of a result that was read from a journal: how far it goes. */
struct result_journal {
    bool is_one;
    bool complete;            /* the run has come to its end */
    uint64_t figures_ns;      /* of measured time: all figures up to then, */
    uint64_t intervals_ns;    /* and the intervals up to then */
    uint64_t damaged_at;      /* byte from which on nothing could be read; 0: all of it */
};

/** One rate that a search for the highest tried. */
struct result_step {
    double rate, reached, p99_us;
    bool kept;
    char why_not[128];
};

/** An objective in the words of peer/slo.h. */
struct result_objective {
    char text[80];
};

struct result {
    struct figures found; /* by the healthy clients */
    struct result_journal journal;
    uint64_t duration_ns, open, open_most, behind;
    uint64_t paused_ns; /* of `duration_ns`, with nothing wanted */
    double asked_rate;  /* 0: none */
    struct peer_soak_local local;
    uint64_t retransmits, syn_retransmits, syn_repeated;
    uint64_t ecn_connections, ecn_marked, ecn_reduced;
    double cpu_user_s, cpu_sys_s, cpu_spin_s, cpu_waited_s, cpu_throttled_s;
    uint64_t rss_bytes;
    struct peer_limit_stats limits;
    struct peer_link_stats uplink, downlink;
    struct result_share *shares;
    size_t share_count;
    struct result_interval *intervals; /* by their start */
    size_t interval_count;
    uint64_t stride_ns; /* so long one becomes by thinning; 0: as it was measured */
    struct result_process *processes; /* that were watched, in the order in which they were seen */
    size_t process_count;
    struct result_part *parts; /* by whom, in the order in which they were added */
    size_t part_count;
    struct result_change *changes; /* by their time */
    size_t change_count;
    struct result_step *steps; /* in the order in which they were tried */
    size_t step_count;
    struct result_objective *objectives; /* each once */
    size_t objective_count;
};
/** The time that rates are of: without the pauses. */
static inline uint64_t result_active_ns(const struct result *result)
{
    return result->duration_ns > result->paused_ns ? result->duration_ns - result->paused_ns : 0;
}
int result_init(struct result *result);
void result_done(struct result *result);
/** Adds what another found at the same time: counts, rates and costs add up, times do not. `open_most`
 *  is the sum too, the most that there can have been. Shares are matched by what was asked for,
 *  intervals by when they began. */
int result_add(struct result *into, const struct result *from);
/** Adds what another part of the same run found. Intervals are those of one clock on the wall, and the
 *  time is from the first beginning to the last end. -EINVAL with text, and nothing is added, for
 *  parts that are not of one run; -ENOMEM. */
int result_join(struct result *into, const struct result *from, struct peer_error *error);
void result_add_counts(struct peer_soak_counts *into, const struct peer_soak_counts *from);
int result_add_part(struct result *result, const struct result_part *part);
/** A process that was watched, if it is not there yet; else it was seen at these times too. */
int result_add_process(struct result *result, const struct result_process *process);
/** The interval that begins then; NULL: there is none. */
struct result_interval *result_find_interval(const struct result *result, uint64_t start_ns);
/** How a figure of the application developed, since it was restarted last. `at` is its offset in struct
 *  result_watch. */
void result_growth(const struct result *result, size_t at, double least,
                   struct growth *ret_growth);
/** Kept in order. -ENOMEM; -ENOSPC: there are RESULT_CHANGES_MOST. */
int result_add_change(struct result *result, const struct result_change *change);
int result_add_step(struct result *result, const struct result_step *step);
/** One that is there already is not added again. */
int result_add_objective(struct result *result, const char *text);
/** Room for one more, zeroed; NULL without memory. */
struct result_share *result_new_share(struct result *result);
/** One more of the same series; kept in order. */
int result_copy_interval(struct result *into, const struct result_interval *from);
/** The interval is the result's from then on; kept in order. */
int result_take_interval(struct result *result, struct result_interval *interval);
/** Likewise, of one later than all others. When there are more than `most`, neighbours become one, by
 *  exact sums, and from then on all that come become part of as long ones. */
int result_keep_interval(struct result *result, struct result_interval *interval, size_t most);
/** As many of those that are there become one as make about so long an interval. */
int result_regroup(struct result *result, uint64_t stride_ns);
/** By pairs, until there are no more than that. */
int result_thin(struct result *result, size_t most);
/** How long they are, but for single ones, by the first of them, which were thinned most; 0: there are
 *  none. */
uint64_t result_typical_interval(const struct result *result);

/** As bytes, the same on every machine. -errno of write(2), -ENOMEM. */
int result_write(const struct result *result, int fd);
/** Likewise, in memory for free(). -ENOMEM. */
int result_pack(const struct result *result, uint8_t **ret_bytes, size_t *ret_len);
/** `ret_result` is made by it; the bytes may be a journal's too. -EINVAL with text for bytes that are no result, or only a part of one;
 *  -ENOMEM, or -errno of read(2). */
int result_read(int fd, struct result *ret_result, struct peer_error *error);
/** The same from memory. */
int result_parse(const void *data, size_t len, struct result *ret_result, struct peer_error *error);

#endif
