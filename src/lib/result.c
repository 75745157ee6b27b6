/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What soaks found, as callers of the library hold it: the value itself is src/soak/result.h.
 */
#include "lib/journal.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <peer/journal.h>
#include <peer/soak.h>
#include <peer/watch.h>
#include <stdlib.h>

struct peer_result *peer_result_new(void)
{
    struct peer_result *result = calloc(1, sizeof(*result));

    if (result && result_init(&result->value) < 0)
        return peer_result_free(result);
    return result;
}

struct peer_result *peer_result_free(struct peer_result *result)
{
    if (result)
        result_done(&result->value);
    free(result);
    return NULL;
}

int peer_result_add(struct peer_result *into, const struct peer_result *from)
{
    return result_add(&into->value, &from->value);
}

int peer_result_join(struct peer_result *into, const struct peer_result *from,
                     struct peer_error *error)
{
    return result_join(&into->value, &from->value, error);
}

int peer_result_get_part_sized(const struct peer_result *result, size_t index,
                               struct peer_result_part *ret_part, size_t size)
{
    if (index >= result->value.part_count)
        return 0;
    const struct result_part *part = &result->value.parts[index];
    const struct peer_result_part told = {
        .version = part->version,
        .host = part->host,
        .protocol = part->protocol,
        .target = part->target,
        .peers = part->peers,
        .peer_count = part->peer_count,
        .flows = part->flows,
        .seed = part->seed,
        .interval_ns = part->interval_ns,
        .started_ns = part->started_ns,
        .duration_ns = part->duration_ns,
        .shard = part->shard,
        .shards = part->shards,
        .workers = part->workers,
        .workers_lost = part->workers_lost,
    };
    border_give(ret_part, size, &told, sizeof(told));
    return 1;
}

int peer_result_write(const struct peer_result *result, int fd)
{
    return result_write(&result->value, fd);
}

int peer_result_read(int fd, struct peer_result **ret_result, struct peer_error *error)
{
    struct peer_result *result = calloc(1, sizeof(*result));

    if (!result)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    int status = result_read(fd, &result->value, error);
    if (status < 0)
        free(result);
    else
        *ret_result = result;
    return status;
}

int peer_result_get_extent_sized(const struct peer_result *result,
                                 struct peer_journal_extent *ret_extent, size_t size)
{
    const struct result_journal *journal = &result->value.journal;
    const struct peer_journal_extent told = {.complete = journal->complete,
                                             .figures_ns = journal->figures_ns,
                                             .intervals_ns = journal->intervals_ns,
                                             .damaged_at = journal->damaged_at};

    if (!journal->is_one)
        return 0;
    border_give(ret_extent, size, &told, sizeof(told));
    return 1;
}

int peer_result_get_watch_sized(const struct peer_result *result, size_t index,
                                struct peer_watch_sample *ret_sample, size_t size)
{
    const struct result *value = &result->value;

    if (index >= value->interval_count)
        return 0;
    if (!value->intervals[index].watch.taken)
        return -ENODATA;
    const struct peer_watch_sample told = watch_sample(&value->intervals[index].watch);
    border_give(ret_sample, size, &told, sizeof(told));
    return 1;
}

int peer_result_get_process_sized(const struct peer_result *result, size_t index,
                                  struct peer_watch_process *ret_process, size_t size)
{
    if (index >= result->value.process_count)
        return 0;
    const struct result_process *process = &result->value.processes[index];
    const struct peer_watch_process told = {.pid = process->pid,
                                            .name = process->name,
                                            .first_ns = process->first_ns,
                                            .last_ns = process->last_ns};
    border_give(ret_process, size, &told, sizeof(told));
    return 1;
}

int peer_result_get_growth_sized(const struct peer_result *result, enum peer_watch_figure figure,
                                 struct peer_watch_growth *ret_growth, size_t size)
{
    /* What it grows by at the least: less comes and goes with its load. */
    static const struct {
        size_t at;
        double least;
    } figures[] = {[PEER_WATCH_RSS] = {offsetof(struct result_watch, rss_bytes), 256 * 1024},
                   [PEER_WATCH_FDS] = {offsetof(struct result_watch, fds), 4},
                   [PEER_WATCH_THREADS] = {offsetof(struct result_watch, threads), 4}};
    struct growth growth = {.known = false};

    if ((unsigned)figure < ARRAY_SIZE(figures))
        result_growth(&result->value, figures[figure].at, figures[figure].least, &growth);
    if (!growth.known)
        return 0;
    const struct peer_watch_growth told = {.grows = growth.grows,
                                           .first = growth.first,
                                           .last = growth.last,
                                           .per_hour = growth.per_hour,
                                           .span_ns = growth.span_ns};
    border_give(ret_growth, size, &told, sizeof(told));
    return 1;
}

int peer_journal_end(struct peer_journal *journal, const struct peer_result *result)
{
    return journal_finish(journal, &result->value);
}

static void get_summaries(const struct figures *found, struct peer_latency *ret_handshake,
                          struct peer_latency *ret_first_byte, struct peer_latency *ret_request,
                          struct peer_latency *ret_tls)
{
    histogram_summary(found->histograms[PEER_HISTOGRAM_HANDSHAKE], ret_handshake);
    histogram_summary(found->histograms[PEER_HISTOGRAM_FIRST_BYTE], ret_first_byte);
    histogram_summary(found->histograms[PEER_HISTOGRAM_REQUEST], ret_request);
    histogram_summary(found->histograms[PEER_HISTOGRAM_TLS], ret_tls);
}

void peer_result_get_report_sized(const struct peer_result *result,
                                  struct peer_soak_report *ret_report, size_t size)
{
    const struct result *value = &result->value;
    const struct figures *found = &value->found;

    struct peer_soak_report report = {
        .counts = found->counts,
        .in_time = found->in_time,
        .carried = found->carried,
        .duration_ns = value->duration_ns,
        .open = value->open,
        .open_most = value->open_most,
        .asked_rate = value->asked_rate,
        .corrected = value->asked_rate > 0,
        .behind = value->behind,
        .local = value->local,
        .retransmits = value->retransmits,
        .syn_retransmits = value->syn_retransmits,
        .syn_repeated = value->syn_repeated,
        .ecn_connections = value->ecn_connections,
        .ecn_marked = value->ecn_marked,
        .ecn_reduced = value->ecn_reduced,
        .warmed = found->warmed,
        .cpu_waited_s = value->cpu_waited_s,
        .cpu_throttled_s = value->cpu_throttled_s,
        .cpu_user_s = value->cpu_user_s,
        .cpu_sys_s = value->cpu_sys_s,
        .cpu_spin_s = value->cpu_spin_s,
        .rss_bytes = value->rss_bytes,
        .limits = value->limits,
        .uplink = value->uplink,
        .downlink = value->downlink,
        .first_error = figures_first_error(found),
        .cannot_open = found->cannot_open[0] ? found->cannot_open : NULL,
        .tls_agreed = found->tls_agreed[0] ? found->tls_agreed : NULL,
        .paused_ns = value->paused_ns,
    };
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        if (found->first_errors[i][0])
            report.first_errors[i] = found->first_errors[i];
    }
    get_summaries(found, &report.handshake, &report.first_byte, &report.request, &report.tls);
    histogram_summary(found->histograms[PEER_HISTOGRAM_LOGIN], &report.login);
    histogram_summary(found->histograms[PEER_HISTOGRAM_WILL], &report.will);
    histogram_summary(found->histograms[PEER_HISTOGRAM_PING], &report.ping);
    border_give(ret_report, size, &report, sizeof(report));
}

uint64_t peer_result_get_status(const struct peer_result *result, unsigned status)
{
    return status < PEER_STATUS_CODES ? result->value.found.codes[status] : 0;
}

int peer_result_get_target_sized(const struct peer_result *result, size_t index,
                                 struct peer_soak_target *ret_target, size_t size)
{
    if (index >= result->value.found.target_count)
        return 0;
    const struct target_figures *found = &result->value.found.targets[index];
    struct peer_soak_target target = {.name = found->name,
                                      .completed = found->completed,
                                      .errors = found->errors};
    for (size_t i = 0; i < TARGET_STATUSES; i++) {
        target.statuses[i].status = found->statuses[i].status;
        target.statuses[i].count = found->statuses[i].count;
    }
    border_give(ret_target, size, &target, sizeof(target));
    return 1;
}

int peer_result_get_answers_sized(const struct peer_result *result, size_t index,
                                  struct peer_soak_answers *ret_answers, size_t size)
{
    const struct answers *found = result->value.found.answers;

    for (size_t i = 0; i < RESULT_ANSWERS; i++) {
        if (!found[i].count || index--)
            continue;
        const struct peer_soak_answers answers = {
            .kind = found[i].kind, .name = found[i].name, .count = found[i].count};
        border_give(ret_answers, size, &answers, sizeof(answers));
        return 1;
    }
    return 0;
}

int peer_result_get_interval_sized(const struct peer_result *result, size_t index,
                                   struct peer_soak_interval *ret_interval, size_t size)
{
    struct peer_soak_interval interval;

    if (index >= result->value.interval_count)
        return 0;
    result_interval_get(&result->value.intervals[index], &interval);
    border_give(ret_interval, size, &interval, sizeof(interval));
    return 1;
}

int peer_result_get_manner_sized(const struct peer_result *result, size_t index,
                                 struct peer_soak_manner *ret_manner, size_t size)
{
    if (index >= result->value.share_count)
        return 0;
    const struct result_share *share = &result->value.shares[index];
    struct peer_soak_manner manner = {
        .name = share->name,
        .spec = share->spec,
        .share = share->share,
        .flows = share->flows,
        .open = share->open,
        .begun = share->begun,
        .counts = share->found.counts,
        .closed = share->closed,
        .reset = share->reset,
        .given_up = share->given_up,
    };
    get_summaries(&share->found, &manner.handshake, &manner.first_byte, &manner.request,
                  &manner.tls);
    border_give(ret_manner, size, &manner, sizeof(manner));
    return 1;
}

static const struct hdr_histogram *histogram_of(const struct peer_result *result,
                                                enum peer_soak_histogram which)
{
    return (unsigned)which < RESULT_HISTOGRAMS ? result->value.found.histograms[which] : NULL;
}

int peer_result_print_histogram(const struct peer_result *result, enum peer_soak_histogram which,
                                int fd)
{
    const struct hdr_histogram *histogram = histogram_of(result, which);

    return histogram ? histogram_print(histogram, fd) : -EINVAL;
}

int peer_result_get_histogram(const struct peer_result *result, enum peer_soak_histogram which,
                              struct peer_histogram *into)
{
    const struct hdr_histogram *histogram = histogram_of(result, which);

    return histogram && into ? histogram_add(into->value, histogram) : -EINVAL;
}

int peer_result_get_interval_histogram(const struct peer_result *result, size_t index,
                                       struct peer_histogram *into)
{
    struct hdr_histogram *histogram;

    if (index >= result->value.interval_count || !into)
        return -EINVAL;
    if (histogram_new(&histogram) < 0)
        return -ENOMEM;
    int status = packed_add_to(&result->value.intervals[index].request, histogram);
    if (status == 0)
        status = histogram_add(into->value, histogram);
    hdr_close(histogram);
    return status == -EBADMSG ? -EINVAL : status;
}
