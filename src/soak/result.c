/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/result_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <peer/steer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 3 };

/* ---- histograms ---- */

int histogram_new(struct hdr_histogram **ret_histogram)
{
    return hdr_init(1, RESULT_HIGHEST_NS, DIGITS, ret_histogram) == 0 ? 0 : -ENOMEM;
}

int histogram_add(struct hdr_histogram *into, const struct hdr_histogram *from)
{
    uint64_t count = (uint64_t)into->total_count, more = (uint64_t)from->total_count;

    if (count > RESULT_SAMPLES_MOST || more > RESULT_SAMPLES_MOST - count)
        return -EOVERFLOW;
    hdr_add(into, from);
    return 0;
}

static double percentile_us(const struct hdr_histogram *histogram, double percentile)
{
    return (double)hdr_value_at_percentile(histogram, percentile) / 1e3;
}

double histogram_mean(const struct hdr_histogram *histogram)
{
    int64_t sum = 0, left = histogram->total_count;

    for (int32_t i = 0; left > 0 && i < histogram->counts_len; i++) {
        int64_t count = histogram->counts[i];
        if (!count)
            continue;
        sum += count * hdr_median_equivalent_value(histogram, hdr_value_at_index(histogram, i));
        left -= count;
    }
    return (double)sum / (double)histogram->total_count;
}

void histogram_summary(const struct hdr_histogram *histogram, struct peer_latency *ret_latency)
{
    *ret_latency = (struct peer_latency){.count = (uint64_t)histogram->total_count};
    if (!ret_latency->count)
        return;
    ret_latency->min = (double)hdr_min(histogram) / 1e3;
    ret_latency->mean = histogram_mean(histogram) / 1e3;
    ret_latency->p50 = percentile_us(histogram, 50);
    ret_latency->p90 = percentile_us(histogram, 90);
    ret_latency->p99 = percentile_us(histogram, 99);
    ret_latency->p999 = percentile_us(histogram, 99.9);
    ret_latency->max = (double)hdr_max(histogram) / 1e3;
}

double histogram_count_below(const struct hdr_histogram *histogram,
                             struct peer_soak_bucket *buckets, size_t bucket_count)
{
    struct hdr_iter samples;
    uint64_t count = 0;
    size_t at = 0;
    double sum_us = 0;

    hdr_iter_recorded_init(&samples, histogram);
    while (hdr_iter_next(&samples)) {
        double us = (double)hdr_median_equivalent_value(histogram, samples.value) / 1e3;
        while (at < bucket_count && us > buckets[at].most_us)
            buckets[at++].count = count;
        count += (uint64_t)samples.count;
        sum_us += us * (double)samples.count;
    }
    while (at < bucket_count)
        buckets[at++].count = count;
    return sum_us;
}

/* ---- figures ---- */

int figures_init(struct figures *figures)
{
    memset(figures, 0, sizeof(*figures));
    for (size_t i = 0; i < RESULT_HISTOGRAMS; i++) {
        if (histogram_new(&figures->histograms[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static void targets_done(struct figures *figures)
{
    for (size_t i = 0; i < figures->target_count; i++)
        free(figures->targets[i].name);
    free(figures->targets);
    figures->targets = NULL;
    figures->target_count = 0;
}

void figures_done(struct figures *figures)
{
    for (size_t i = 0; i < RESULT_HISTOGRAMS; i++) {
        if (figures->histograms[i])
            hdr_close(figures->histograms[i]);
        figures->histograms[i] = NULL;
    }
    targets_done(figures);
}

void figures_clear(struct figures *figures)
{
    struct hdr_histogram *histograms[RESULT_HISTOGRAMS];
    struct target_figures *targets = figures->targets;
    size_t count = figures->target_count;
    struct answers answers[RESULT_ANSWERS];

    for (size_t i = 0; i < count; i++)
        targets[i] = (struct target_figures){.name = targets[i].name};
    memcpy(histograms, figures->histograms, sizeof(histograms));
    for (size_t i = 0; i < RESULT_HISTOGRAMS; i++)
        hdr_reset(histograms[i]);
    for (size_t i = 0; i < RESULT_ANSWERS; i++)
        figures->answers[i].count = 0;
    memcpy(answers, figures->answers, sizeof(answers));
    memset(figures, 0, sizeof(*figures));
    memcpy(figures->histograms, histograms, sizeof(histograms));
    figures->targets = targets;
    figures->target_count = count;
    memcpy(figures->answers, answers, sizeof(answers));
}

/* ---- those of a list ---- */

int figures_list(struct figures *figures, size_t count)
{
    size_t had = figures->target_count;

    if (count <= had)
        return 0;
    struct target_figures *larger = realloc(figures->targets, count * sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    memset(larger + had, 0, (count - had) * sizeof(*larger));
    figures->targets = larger;
    figures->target_count = count;
    return 0;
}

void target_add_status(struct target_figures *target, unsigned status, uint64_t count)
{
    size_t i = 0;

    while (i + 1 < TARGET_STATUSES && target->statuses[i].count &&
           target->statuses[i].status != status)
        i++;
    target->statuses[i].status = i + 1 < TARGET_STATUSES ? (uint16_t)status : 0;
    target->statuses[i].count += count;
}

/* Where `from` is the same as in another list of the same file; a place of its own else. */
static int add_target(struct figures *into, size_t index, const struct target_figures *from)
{
    bool same = index < into->target_count;

    if (same && into->targets[index].name && from->name)
        same = strcmp(into->targets[index].name, from->name) == 0;
    if (!same) {
        index = into->target_count;
        if (figures_list(into, index + 1) < 0)
            return -ENOMEM;
    }
    struct target_figures *target = &into->targets[index];
    if (!target->name && from->name && !(target->name = strdup(from->name)))
        return -ENOMEM;
    target->completed += from->completed;
    target->errors += from->errors;
    for (size_t i = 0; i < TARGET_STATUSES; i++) {
        if (from->statuses[i].count)
            target_add_status(target, from->statuses[i].status, from->statuses[i].count);
    }
    return 0;
}

static int add_targets(struct figures *into, const struct figures *from)
{
    int status = 0;

    if (!into->target_count)
        status = figures_list(into, from->target_count);
    for (size_t i = 0; i < from->target_count && status == 0; i++)
        status = add_target(into, i, &from->targets[i]);
    return status;
}

/* ---- answers by name ---- */

void figures_name_answers(struct figures *figures, const char *kind, const char *const *names)
{
    for (size_t i = 0; names && names[i] && i < RESULT_ANSWERS; i++) {
        snprintf(figures->answers[i].kind, RESULT_ANSWER_TEXT, "%s", kind);
        snprintf(figures->answers[i].name, RESULT_ANSWER_TEXT, "%s", names[i]);
    }
}

/* Where answers of that name are counted: where there are too many names, among the others. */
static struct answers *answers_find(struct figures *figures, const struct answers *like)
{
    struct answers *answers = figures->answers;
    size_t i = 0;

    while (i + 1 < RESULT_ANSWERS && answers[i].name[0] &&
           (strcmp(answers[i].kind, like->kind) != 0 || strcmp(answers[i].name, like->name) != 0))
        i++;
    if (!answers[i].name[0]) {
        memcpy(answers[i].kind, like->kind, RESULT_ANSWER_TEXT);
        memcpy(answers[i].name, like->name, RESULT_ANSWER_TEXT);
        if (i + 1 == RESULT_ANSWERS)
            snprintf(answers[i].name, RESULT_ANSWER_TEXT, "others");
    }
    return &answers[i];
}

void figures_count_named(struct figures *figures, const char *kind, const char *name)
{
    struct answers like = {.count = 1};

    snprintf(like.kind, RESULT_ANSWER_TEXT, "%s", kind);
    snprintf(like.name, RESULT_ANSWER_TEXT, "%s", name);
    answers_add(figures, &like);
}

void answers_add(struct figures *into, const struct answers *from)
{
    if (from->count && from->name[0])
        answers_find(into, from)->count += from->count;
}

void counts_add(struct peer_soak_counts *into, const struct peer_soak_counts *from)
{
    const uint64_t *add = (const uint64_t *)from;
    uint64_t *to = (uint64_t *)into;

    for (size_t i = 0; i < COUNTS; i++)
        to[i] += add[i];
}

void result_add_counts(struct peer_soak_counts *into, const struct peer_soak_counts *from)
{
    counts_add(into, from);
}

struct peer_soak_counts counts_since(const struct peer_soak_counts *now,
                                     const struct peer_soak_counts *before)
{
    struct peer_soak_counts since = *now;
    const uint64_t *less = (const uint64_t *)before;
    uint64_t *of = (uint64_t *)&since;

    for (size_t i = 0; i < COUNTS; i++)
        of[i] -= less[i];
    return since;
}

static void keep_first_errors(struct figures *into, const struct figures *from)
{
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        if (!into->first_errors[i][0])
            memcpy(into->first_errors[i], from->first_errors[i], RESULT_ERROR_TEXT);
    }
    if (!into->first_error)
        into->first_error = from->first_error;
    if (!into->cannot_open[0])
        memcpy(into->cannot_open, from->cannot_open, RESULT_OPEN_TEXT);
    if (!into->tls_agreed[0])
        memcpy(into->tls_agreed, from->tls_agreed, RESULT_TLS_TEXT);
}

int figures_add(struct figures *into, const struct figures *from)
{
    counts_add(&into->counts, &from->counts);
    counts_add(&into->in_time, &from->in_time);
    for (size_t i = 0; i < PEER_STATUS_CODES; i++)
        into->codes[i] += from->codes[i];
    for (size_t i = 0; i < RESULT_ANSWERS; i++)
        answers_add(into, &from->answers[i]);
    into->carried += from->carried;
    into->warmed += from->warmed;
    for (size_t i = 0; i < RESULT_HISTOGRAMS; i++)
        hdr_add(into->histograms[i], from->histograms[i]);
    keep_first_errors(into, from);
    return add_targets(into, from);
}

const char *figures_first_error(const struct figures *figures)
{
    if (figures->first_error)
        return figures->first_errors[figures->first_error - 1];
    return figures->cannot_open[0] ? figures->cannot_open : NULL;
}

/* ---- parts ---- */

int result_add_part(struct result *result, const struct result_part *part)
{
    size_t size = (result->part_count + 1) * sizeof(*result->parts);
    struct result_part *larger = realloc(result->parts, size);

    if (!larger)
        return -ENOMEM;
    result->parts = larger;
    larger[result->part_count++] = *part;
    return 0;
}

/* ---- changes ---- */

int result_add_change(struct result *result, const struct result_change *change)
{
    size_t count = result->change_count, at = count;

    if (count == RESULT_CHANGES_MOST)
        return -ENOSPC;
    if ((count & (count - 1)) == 0) { /* as many as it has room for */
        size_t room = count ? 2 * count : 1;
        void *larger = realloc(result->changes, room * sizeof(*result->changes));
        if (!larger)
            return -ENOMEM;
        result->changes = larger;
    }
    while (at > 0 && result->changes[at - 1].at_ns > change->at_ns)
        at--;
    memmove(&result->changes[at + 1], &result->changes[at],
            (count - at) * sizeof(*result->changes));
    result->changes[at] = *change;
    result->change_count++;
    return 0;
}

/* What there is no room for is left out. */
static int add_change(struct result *into, const struct result_change *from, uint64_t later_ns)
{
    struct result_change moved = *from;

    moved.at_ns = (int64_t)((uint64_t)moved.at_ns + later_ns); /* files may say anything */
    int status = result_add_change(into, &moved);
    return status == -ENOSPC ? 0 : status;
}

/* ---- shares ---- */

struct result_share *result_new_share(struct result *result)
{
    size_t size = (result->share_count + 1) * sizeof(*result->shares);
    struct result_share *larger = realloc(result->shares, size);

    if (!larger)
        return NULL;
    result->shares = larger;
    struct result_share *share = &larger[result->share_count];
    memset(share, 0, sizeof(*share));
    if (figures_init(&share->found) < 0) {
        figures_done(&share->found);
        return NULL;
    }
    result->share_count++;
    return share;
}

static int add_share(struct result *into, const struct result_share *from)
{
    struct result_share *share = NULL;

    for (size_t i = 0; i < into->share_count; i++) {
        if (strcmp(into->shares[i].spec, from->spec) == 0)
            share = &into->shares[i];
    }
    if (!share) {
        share = result_new_share(into);
        if (!share)
            return -ENOMEM;
        memcpy(share->name, from->name, sizeof(share->name));
        memcpy(share->spec, from->spec, sizeof(share->spec));
        share->share = from->share;
    }
    share->flows += from->flows;
    share->open += from->open;
    share->begun += from->begun;
    share->closed += from->closed;
    share->reset += from->reset;
    share->given_up += from->given_up;
    return figures_add(&share->found, &from->found);
}

/* ---- the whole ---- */

#define FIELD(member, rule)                                                                        \
    {                                                                                              \
        offsetof(struct result, member), RESULT_##rule                                             \
    }
#define SUM(member)  FIELD(member, SUM)
#define MOST(member) FIELD(member, MOST)
#define REAL(member) FIELD(member, REAL)
#define LINK(link)                                                                                 \
    SUM(link.sent), SUM(link.delivered), SUM(link.lost), SUM(link.overflowed),                     \
        SUM(link.discarded), SUM(link.duplicated), SUM(link.corrupted), SUM(link.reordered),       \
        SUM(link.delayed), FIELD(link.delay_mean_ns, MEAN), MOST(link.delay_max_ns),               \
        SUM(link.queued), MOST(link.queued_max)
/* Their places in the bytes of a result: only ever add at the end. */
const struct result_field result_fields[] = {
    MOST(duration_ns),
    SUM(open),
    SUM(open_most),
    SUM(behind),
    REAL(asked_rate),
    SUM(local.listen_overflows),
    SUM(local.listen_drops),
    SUM(local.listener_drops),
    SUM(local.udp_receive_errors),
    SUM(local.retransmits),
    SUM(local.syn_cookies),
    SUM(local.request_queue_drops),
    SUM(local.overflow_aborts),
    SUM(local.device_drops),
    MOST(local.conntrack_count),
    MOST(local.conntrack_max),
    SUM(retransmits),
    SUM(syn_retransmits),
    SUM(syn_repeated),
    SUM(ecn_connections),
    SUM(ecn_marked),
    SUM(ecn_reduced),
    REAL(cpu_user_s),
    REAL(cpu_sys_s),
    REAL(cpu_spin_s),
    REAL(cpu_waited_s),
    REAL(cpu_throttled_s),
    SUM(rss_bytes),
    SUM(limits.half_open),
    SUM(limits.strangers),
    SUM(limits.icmp_errors),
    SUM(limits.challenges),
    SUM(limits.fragments),
    SUM(limits.unread),
    SUM(limits.gaps),
    SUM(limits.unacknowledged),
    SUM(limits.neighbours),
    LINK(uplink),
    LINK(downlink),
    MOST(paused_ns),
};
const size_t result_field_count = ARRAY_SIZE(result_fields);

/* Of all frames that were delayed. Before their numbers are added. */
static void add_mean(struct peer_link_stats *into, const struct peer_link_stats *from)
{
    double delayed = (double)into->delayed + (double)from->delayed;
    double sum = (double)into->delay_mean_ns * (double)into->delayed +
                 (double)from->delay_mean_ns * (double)from->delayed;

    if (delayed > 0)
        into->delay_mean_ns = (uint64_t)MIN(sum / delayed, (double)RESULT_HIGHEST_NS);
}

static void add_fields(struct result *into, const struct result *from)
{
    for (size_t i = 0; i < result_field_count; i++) {
        void *to = (char *)into + result_fields[i].at;
        const void *add = (const char *)from + result_fields[i].at;
        if (result_fields[i].rule == RESULT_REAL)
            *(double *)to += *(const double *)add;
        else if (result_fields[i].rule == RESULT_SUM)
            *(uint64_t *)to += *(const uint64_t *)add;
        else if (result_fields[i].rule == RESULT_MOST)
            *(uint64_t *)to = MAX(*(uint64_t *)to, *(const uint64_t *)add);
    }
}

int result_init(struct result *result)
{
    memset(result, 0, sizeof(*result));
    return figures_init(&result->found);
}

void result_done(struct result *result)
{
    figures_done(&result->found);
    for (size_t i = 0; i < result->share_count; i++)
        figures_done(&result->shares[i].found);
    free(result->shares);
    for (size_t i = 0; i < result->interval_count; i++)
        result_interval_done(&result->intervals[i]);
    free(result->intervals);
    free(result->processes);
    free(result->parts);
    free(result->changes);
    free(result->steps);
    free(result->objectives);
    memset(result, 0, sizeof(*result));
}

int result_add(struct result *into, const struct result *from)
{
    return result_add_later(into, from, 0);
}

int result_add_later(struct result *into, const struct result *from, uint64_t later_ns)
{
    int status = figures_add(&into->found, &from->found);

    add_mean(&into->uplink, &from->uplink);
    add_mean(&into->downlink, &from->downlink);
    add_fields(into, from);
    for (size_t i = 0; i < from->share_count && status == 0; i++)
        status = add_share(into, &from->shares[i]);
    if (status == 0)
        status = result_add_intervals(into, from, later_ns);
    if (status == 0)
        status = result_add_processes(into, from, later_ns);
    for (size_t i = 0; i < from->part_count && status == 0; i++)
        status = result_add_part(into, &from->parts[i]);
    for (size_t i = 0; i < from->change_count && status == 0; i++)
        status = add_change(into, &from->changes[i], later_ns);
    for (size_t i = 0; i < from->step_count && status == 0; i++)
        status = result_add_step(into, &from->steps[i]);
    for (size_t i = 0; i < from->objective_count && status == 0; i++)
        status = result_add_objective(into, from->objectives[i].text);
    return status;
}
