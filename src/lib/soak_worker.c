/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker's part of a soak: see soak_crew.c. */
#include "lib/soak_crew.h"

#include "base/shard.h"

#include <stdlib.h>

static struct soak_work *work_of(const struct worker *worker)
{
    return worker->data;
}

void soak_worker_tell_measured(struct worker *worker, bool begins)
{
    worker_say(worker, &(struct crew_message){.word = CREW_MEASURED, .on = begins}, NULL, 0);
}

/* ---- figures ---- */

void soak_worker_fill(struct worker *worker, struct crew_told *told)
{
    if (work_of(worker) && work_of(worker)->soak)
        peer_soak_get_state(work_of(worker)->soak, &told->soak);
}

static void tell_intervals(struct worker *worker)
{
    struct result_interval interval;

    while (soak_take_interval(work_of(worker)->soak, &interval)) {
        uint8_t *bytes = NULL;
        size_t len = 0;
        if (result_interval_pack(&interval, &bytes, &len) == 0 && len <= CREW_PIECE)
            worker_say(worker, &(struct crew_message){.word = CREW_INTERVAL}, bytes, len);
        free(bytes);
        result_interval_done(&interval);
    }
}

static int pack_result(struct worker *worker, uint8_t **ret_bytes, size_t *ret_len)
{
    struct result result;
    int status = result_init(&result);

    if (status == 0)
        status = soak_fill_result(work_of(worker)->soak, &result);
    if (status == 0)
        status = result_pack(&result, ret_bytes, ret_len);
    result_done(&result);
    return status;
}

static void tell_result(struct worker *worker)
{
    struct crew_message message = {.word = CREW_FOUND};
    uint8_t *bytes = NULL;
    size_t len = 0;

    worker_tell_counts(worker);
    if (pack_result(worker, &bytes, &len) < 0)
        len = 0; /* which is no result, and so it is taken */
    for (size_t at = 0; at < len || at == 0; at += CREW_PIECE) {
        const size_t piece = MIN(len - at, (size_t)CREW_PIECE);
        message.on = at + piece < len;
        worker_say(worker, &message, bytes ? bytes + at : NULL, piece);
    }
    free(bytes);
}

void soak_worker_turned(struct worker *worker)
{
    struct soak_work *work = work_of(worker);

    tell_intervals(worker);
    if (work->over || !peer_soak_is_over(work->soak))
        return;
    work->over = true;
    worker_tell_counts(worker);
    worker_say(worker, &(struct crew_message){.word = CREW_OVER}, NULL, 0);
}

/* ---- orders ---- */

/* What is asked of the soak: done, or why not. */
static void steer(struct worker *worker, const struct crew_message *message)
{
    struct crew_message answer = {.word = CREW_DONE};
    struct soak *run = work_of(worker)->soak->run;

    engine_now_fresh_ns(worker->net->engine);
    if (message->word == CREW_RATE)
        answer.status = soak_set_rate(run, message->rate, &answer.error);
    else if (message->word == CREW_PAUSE)
        answer.status = soak_pause(run, &answer.error);
    else if (message->word == CREW_RESUME)
        answer.status = soak_go_on(run, &answer.error);
    else
        answer.status = soak_set_manners(run, *message->text ? message->text : NULL, &answer.error);
    if (answer.status < 0)
        answer.word = CREW_FAILED;
    engine_touch(worker->net->engine, false);
    worker_say(worker, &answer, NULL, 0);
}

void soak_worker_heed(struct worker *worker, const struct crew_message *message)
{
    if (!work_of(worker) || !work_of(worker)->soak)
        return;
    switch (message->word) {
    case CREW_STOP:
        peer_soak_stop(work_of(worker)->soak, message->grace_ns);
        break;
    case CREW_RESULT:
        tell_result(worker);
        break;
    case CREW_RATE:
    case CREW_PAUSE:
    case CREW_RESUME:
    case CREW_MANNERS:
        steer(worker, message);
        break;
    default:
        break;
    }
}

/* ---- beginning and end ---- */

/* Its part of the numbers; rates are cut too, and phases see to it that all together are even. */
static void cut(const struct worker *worker, struct peer_soak_config *config)
{
    const uint64_t index = worker->index, count = worker->crew->count;

    config->watch = NULL; /* the coordinator's */
    config->journal = NULL;
    config->flows = worker_part(worker, config->flows);
    config->touch = worker_part(worker, config->touch);
    config->total = shard_turns(config->total, index, count);
    config->rate /= (double)count;
    config->connect_rate /= (double)count;
}

int soak_worker_begin(struct worker *worker, const struct crew_message *go,
                      struct peer_error *error)
{
    const struct soak_crew *crew = soak_crew_of(worker->crew);
    struct peer_soak_config config = crew->config;
    const struct soak_part part = {go->start_ns, go->wall_ns, worker,
                                   MAX(config.flows, UINT64_C(1))};
    struct soak_work *work = calloc(1, sizeof(*work));

    if (!work)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    worker->data = work;
    cut(worker, &config);
    return soak_start_part(worker->net, &config, &part, &work->soak, error);
}

void soak_worker_end(struct worker *worker)
{
    work_of(worker)->soak = peer_soak_free(work_of(worker)->soak);
}
