/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Soaks are changed while they go on, and say how they stand. What was changed is kept with the time:
 * by the net's clock, which becomes the one of the measured time when a result is made.
 */
#include "lib/soak_crew.h"
#include "lib/soaks.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* ---- changes ---- */

/* Lines of reports: what controls terminals is none of their business. */
static void copy_words(char to[RESULT_CHANGE_TEXT], const char *words)
{
    (void)snprintf(to, RESULT_CHANGE_TEXT, "%s", words);
    for (char *at = to; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    }
}

int peer_soak_note_change(struct peer_soak *soak, const char *words)
{
    struct result_change change = {.shard = soak->part.shards ? soak->part.shard : 0};

    if (!net_is_ours(soak->net))
        return -ECHILD;
    if (!words || !*words)
        return -EINVAL;
    change.at_ns = (int64_t)engine_now_fresh_ns(soak->net->engine);
    change.wall_ns = engine_wall_ns(soak->net->engine);
    copy_words(change.words, words);
    return result_add_change(&soak->series, &change);
}

/* Before a change: may it be, and is there room to note it? */
static int begin(struct peer_soak *soak, struct peer_error *error)
{
    if (!net_is_ours(soak->net))
        return -ECHILD;
    if (soak->net->hooks || soak->frees)
        return error_set(error, PEER_ERROR_USAGE, EBUSY, "a hook of the workload is being called");
    if (soak->series.change_count == RESULT_CHANGES_MOST)
        return error_set(error, PEER_ERROR_USAGE, ENOSPC, "%d changes were made: no more are kept",
                         RESULT_CHANGES_MOST);
    engine_now_fresh_ns(soak->net->engine);
    return 0;
}

static int end(struct peer_soak *soak, const char *words, int status, struct peer_error *error)
{
    if (status < 0)
        return status;
    engine_touch(soak->net->engine, false);
    if (peer_soak_note_change(soak, words) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return 0;
}

static int no_workers(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, EOWNERDEAD, "the workers are gone");
}

/* By the workers, each its part. */
static int order(struct peer_soak *soak, enum crew_word word, struct peer_error *error)
{
    const struct crew_message message = {.word = word};

    return soak->net->crew ? crew_order(soak->net->crew, &message, error) : no_workers(error);
}

static int set_rate(struct peer_soak *soak, double rate, struct peer_error *error)
{
    const struct crew_message message = {.word = CREW_RATE,
                                         .rate = rate / (double)MAX(soak->net->workers, 1u)};

    if (soak->run)
        return soak_set_rate(soak->run, rate, error);
    return soak->net->crew ? crew_order(soak->net->crew, &message, error) : no_workers(error);
}

static bool is_paused(const struct peer_soak *soak)
{
    if (soak->run)
        return soak_is_paused(soak->run);
    return soak->net->crew && soak_crew_of(soak->net->crew)->paused;
}

static int set_paused(struct peer_soak *soak, bool paused, struct peer_error *error)
{
    if (soak->run)
        return paused ? soak_pause(soak->run, error) : soak_go_on(soak->run, error);
    int status = order(soak, paused ? CREW_PAUSE : CREW_RESUME, error);
    if (status == 0)
        soak_crew_of(soak->net->crew)->paused = paused;
    return status;
}

static int set_manners(struct peer_soak *soak, const char *manners, struct peer_error *error)
{
    struct crew_message message = {.word = CREW_MANNERS};

    if (soak->run)
        return soak_set_manners(soak->run, *manners ? manners : NULL, error);
    if (strlen(manners) >= sizeof(message.text))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "so many manners are too many");
    (void)snprintf(message.text, sizeof(message.text), "%s", manners);
    return soak->net->crew ? crew_order(soak->net->crew, &message, error) : no_workers(error);
}

int peer_soak_set_rate(struct peer_soak *soak, double rate, struct peer_error *error)
{
    const uint64_t shards = MAX(soak->net->attachment.shards, UINT64_C(1));
    char words[64];
    int status = begin(soak, error);

    if (status < 0)
        return status;
    (void)snprintf(words, sizeof(words), "rate %.12g", rate);
    status = set_rate(soak, rate / (double)shards, error);
    return end(soak, words, status, error);
}

int peer_soak_pause(struct peer_soak *soak, struct peer_error *error)
{
    int status = begin(soak, error);

    if (status < 0 || is_paused(soak))
        return status;
    return end(soak, "pause", set_paused(soak, true, error), error);
}

int peer_soak_resume(struct peer_soak *soak, struct peer_error *error)
{
    int status = begin(soak, error);

    if (status < 0 || !is_paused(soak))
        return status;
    return end(soak, "resume", set_paused(soak, false, error), error);
}

static int check_manners(const struct peer_soak *soak, const char *manners,
                         struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];
    int count = manners_read(soak->net, manners, soak->protocol == IPPROTO_UDP, PEER_MANNER_SOAK,
                             specs, error);

    if (count > 0 && manners_check_tls(specs, count, soak->tls, error) < 0)
        return -EINVAL;
    return count < 0 ? count : manners_check_target(soak->net, specs, count, &soak->to, error);
}

int peer_soak_set_manners(struct peer_soak *soak, const char *manners, struct peer_error *error)
{
    char words[RESULT_CHANGE_TEXT];
    int status = begin(soak, error);

    if (status == 0 && manners && *manners)
        status = check_manners(soak, manners, error);
    if (status < 0)
        return status;
    (void)snprintf(words, sizeof(words), "manner %s", manners && *manners ? manners : "none");
    status = set_manners(soak, manners ? manners : "", error);
    return end(soak, words, status, error);
}

/* Which is `start_ns` later than the caller has it. */
static int get_change(const struct result *result, size_t index, uint64_t start_ns,
                      struct peer_soak_change *ret_change, size_t size)
{
    if (index >= result->change_count)
        return 0;
    const struct result_change *change = &result->changes[index];
    const struct peer_soak_change told = {.at_ns = change->at_ns - (int64_t)start_ns,
                                          .wall_ns = change->wall_ns,
                                          .shard = change->shard,
                                          .words = change->words};
    border_give(ret_change, size, &told, sizeof(told));
    return 1;
}

int peer_result_get_change_sized(const struct peer_result *result, size_t index,
                                 struct peer_soak_change *ret_change, size_t size)
{
    return get_change(&result->value, index, 0, ret_change, size);
}

int peer_soak_get_change_sized(const struct peer_soak *soak, size_t index,
                               struct peer_soak_change *ret_change, size_t size)
{
    return get_change(&soak->series, index, soak_measured_from_ns(soak), ret_change, size);
}

/* ---- how it stands ---- */

void peer_soak_get_state_sized(const struct peer_soak *soak, struct peer_soak_state *ret_state,
                               size_t size)
{
    struct peer_soak_state told = {.changes = soak->series.change_count};
    struct soak_state state;
    struct stack_stats sent;

    if (!soak->run) {
        if (soak->net->crew)
            soak_crew_get_state(soak->net->crew, &told);
        told.changes = soak->series.change_count;
        border_give(ret_state, size, &told, sizeof(told));
        return;
    }
    soak_get_state(soak->run, &state);
    flows_get_stats(engine_flows(soak->net->engine), &sent);
    told.counts = *soak_counts(soak->run, &told.open);
    told.flows = state.flows;
    told.rate = state.rate;
    told.behind = state.behind;
    told.paused = state.paused;
    told.warming = state.warming;
    told.ending = state.ending;
    told.elapsed_ns = state.until_ns - state.start_ns;
    told.paused_ns = state.paused_ns;
    told.syn_retransmits = sent.syn_retransmits - soak->sent_before.syn_retransmits;
    told.retransmits =
        sent.retransmits - soak->sent_before.retransmits - told.syn_retransmits;
    border_give(ret_state, size, &told, sizeof(told));
}

void peer_soak_get_local_sized(const struct peer_soak *soak, struct peer_soak_local *ret_local,
                               size_t size)
{
    struct peer_soak_local local;

    soak_read_local(soak, &local);
    border_give(ret_local, size, &local, sizeof(local));
}

static const struct figures *found_so_far(const struct peer_soak *soak)
{
    struct soak_state state;

    if (!soak->run) {
        const struct result *found = soak->net->crew ? soak_crew_snapshot(soak->net->crew) : NULL;
        return found ? &found->found : NULL;
    }
    soak_get_state(soak->run, &state);
    return state.found;
}

int peer_soak_get_buckets(const struct peer_soak *soak, enum peer_soak_histogram which,
                          struct peer_soak_bucket *buckets, size_t count, double *ret_sum_us)
{
    const struct figures *found = found_so_far(soak);

    if ((unsigned)which >= RESULT_HISTOGRAMS)
        return -EINVAL;
    if (!found)
        return -EPIPE;
    const struct hdr_histogram *histogram = found->histograms[which];
    *ret_sum_us = histogram_count_below(histogram, buckets, count);
    return 0;
}

uint64_t peer_soak_get_status(const struct peer_soak *soak, unsigned status)
{
    const struct figures *found = found_so_far(soak);

    return found && status < PEER_STATUS_CODES ? found->codes[status] : 0;
}
