/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A soak by workers, as their coordinator sees it: they tell every interval, when measuring begins and
 * when it is over, and hear of stops and of orders. When all are over, what each found is added up.
 * When one is lost the others are told to stop, since rates and numbers are those of all, and the result
 * is theirs, which says how many are lost.
 */
#include "lib/soak_crew.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_NS   (100 * NS_PER_MS)
#define LOST_GRACE_NS NS_PER_S /* when one is lost: for what is under way with the others */

struct soak_crew *soak_crew_of(const struct crew *crew)
{
    return crew->data;
}

/* ---- what they tell ---- */

static int add_interval(struct soak_member *member, const void *data, size_t len)
{
    void *more = realloc(member->intervals,
                         (member->interval_count + 1) * sizeof(*member->intervals));

    if (!more)
        return -ENOMEM;
    member->intervals = more;
    int status = result_interval_parse(data, len, &member->intervals[member->interval_count]);
    member->interval_count += status == 0;
    return status;
}

static int add_bytes(struct soak_member *member, const void *data, size_t len, bool more)
{
    uint8_t *bytes = realloc(member->bytes, member->len + len);

    if (!bytes)
        return -ENOMEM;
    memcpy(bytes + member->len, data, len);
    member->bytes = bytes;
    member->len += len;
    member->found = !more;
    return 0;
}

static void drop_first(struct soak_member *member)
{
    result_interval_done(&member->intervals[0]);
    memmove(member->intervals, member->intervals + 1,
            --member->interval_count * sizeof(*member->intervals));
}

static void take_measured(struct crew *crew, struct soak_member *member, bool begins)
{
    struct soak_crew *own = soak_crew_of(crew);

    while (begins && member->interval_count) /* of the warm-up */
        drop_first(member);
    member->measured |= begins;
    if (begins && !own->measured)
        soak_is_being_measured(own->soak, true);
    if (begins && own->config.warmup_ns && !own->measured)
        own->measured_ns = crew->begun_ns + own->config.warmup_ns;
    own->measured |= begins;
}

static int take(struct crew *crew, unsigned index, const struct crew_message *message,
                const void *data, size_t len)
{
    struct soak_member *member = &soak_crew_of(crew)->members[index];

    switch (message->word) {
    case CREW_MEASURED:
        take_measured(crew, member, message->on);
        return 0;
    case CREW_INTERVAL:
        return add_interval(member, data, len);
    case CREW_OVER:
        member->over = true;
        return 0;
    case CREW_FOUND:
        return add_bytes(member, data, len, message->on);
    default:
        return 0;
    }
}

/* ---- beginning and end ---- */

static void lose(struct crew *crew, unsigned index)
{
    soak_crew_of(crew)->members[index].over = true;
    crew_tell(crew->net, &(struct crew_message){.word = CREW_STOP, .grace_ns = LOST_GRACE_NS});
}

static int check_part(uint64_t number, const char *what, const char *option, unsigned workers,
                      struct peer_error *error)
{
    if (!number || number >= workers)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "%llu %s%s (%s) cannot be shared by %u workers: ask for more, or take fewer `workers`",
                     (unsigned long long)number, what, number == 1 ? "" : "s", option, workers);
}

static int check(const struct peer_net *net, const struct peer_soak_config *config,
                 struct peer_error *error)
{
    const unsigned workers = net->workers;

    if (net->worker)
        return error_set(error, PEER_ERROR_USAGE, EOPNOTSUPP,
                         "a worker has a part of some work, and none of its own");
    if (net->crew)
        return error_set(error, PEER_ERROR_USAGE, EBUSY,
                         "the workers of this net are at work already; they do one thing at a time");
    if (config->workload)
        return error_set(error, PEER_ERROR_USAGE, EOPNOTSUPP,
                         "hooks of your own are called in this process: no `workers` then");
    int status = check_part(MAX(config->flows, UINT64_C(1)), "flow", "-c", workers, error);
    if (status == 0)
        status = check_part(config->total, "request", "-n", workers, error);
    if (status == 0)
        status = check_part(config->touch, "message", "`touch`", workers, error);
    return status;
}

static void free_member(struct soak_member *member)
{
    for (size_t i = 0; i < member->interval_count; i++)
        result_interval_done(&member->intervals[i]);
    free(member->intervals);
    free(member->bytes);
}

static void free_crew(struct crew *crew)
{
    struct soak_crew *own = soak_crew_of(crew);

    for (unsigned i = 0; i < PEER_WORKERS_MOST; i++)
        free_member(&own->members[i]);
    if (own->snapshot_ns)
        result_done(&own->snapshot);
    free(own);
}

static const struct crew_work soak_work = {
    .take = take,
    .lost = lose,
    .free = free_crew,
    .begin = soak_worker_begin,
    .turned = soak_worker_turned,
    .fill = soak_worker_fill,
    .heed = soak_worker_heed,
    .end = soak_worker_end,
};

int soak_crew_start(struct peer_net *net, struct peer_soak *soak,
                    const struct peer_soak_config *config, struct peer_error *error)
{
    int status = check(net, config, error);
    if (status < 0)
        return status;
    struct soak_crew *own = calloc(1, sizeof(*own));
    if (!own)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    own->soak = soak;
    own->config = *config;
    status = crew_start(net, &soak_work, own, error);
    if (status < 0)
        return status;
    if (!own->measured || !config->warmup_ns)
        own->measured_ns = net->crew->begun_ns;
    own->config = (struct peer_soak_config){.warmup_ns = config->warmup_ns};
    return 0;
}

/* ---- meanwhile ---- */

bool soak_crew_is_over(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++) {
        if (!soak_crew_of(crew)->members[i].over)
            return false;
    }
    return true;
}

void soak_crew_get_state(const struct crew *crew, struct peer_soak_state *ret_state)
{
    struct peer_soak_state sum = {.paused = soak_crew_of(crew)->paused};

    for (unsigned i = 0; i < crew->count; i++) {
        const struct peer_soak_state *told = &crew->members[i].told.soak;
        result_add_counts(&sum.counts, &told->counts);
        sum.open += told->open;
        sum.flows += told->flows;
        sum.rate += told->rate;
        sum.behind += told->behind;
        sum.warming |= told->warming;
        sum.ending |= told->ending;
        sum.elapsed_ns = MAX(sum.elapsed_ns, told->elapsed_ns);
        sum.paused_ns = MAX(sum.paused_ns, told->paused_ns);
        sum.retransmits += told->retransmits;
        sum.syn_retransmits += told->syn_retransmits;
    }
    *ret_state = sum;
}

const struct result *soak_crew_snapshot(struct crew *crew)
{
    struct soak_crew *own = soak_crew_of(crew);
    const uint64_t now_ns = engine_now_fresh_ns(crew->net->engine);

    if (own->snapshot_ns && now_ns < own->snapshot_ns + SNAPSHOT_NS)
        return &own->snapshot;
    if (own->snapshot_ns)
        result_done(&own->snapshot);
    own->snapshot_ns = 0;
    if (result_init(&own->snapshot) < 0 || soak_crew_get_result(crew, &own->snapshot) < 0) {
        result_done(&own->snapshot);
        return NULL;
    }
    own->snapshot_ns = now_ns;
    return &own->snapshot;
}

/* ---- intervals ---- */

/* The earliest that has come and not been taken; NULL: not all who are to tell one have. */
static const struct result_interval *earliest(const struct crew *crew)
{
    const struct soak_crew *own = soak_crew_of(crew);
    const struct result_interval *first = NULL;

    for (unsigned i = 0; i < crew->count; i++) {
        const struct soak_member *member = &own->members[i];
        if (!member->interval_count && !member->over)
            return NULL;
        if (own->measured && !member->measured && !member->over)
            return NULL; /* the others have done with their warm-up */
        const struct result_interval *next = member->interval_count ? member->intervals : NULL;
        if (next && (!first || next->after_end < first->after_end ||
                     (next->after_end == first->after_end && next->start_ns < first->start_ns)))
            first = next;
    }
    return first;
}

int soak_crew_pop_interval(struct crew *crew, struct result_interval *ret_interval)
{
    const struct result_interval *first = earliest(crew);
    struct result_interval sum = {.start_ns = 0};

    if (!first)
        return 0;
    sum.start_ns = first->start_ns;
    sum.length_ns = first->length_ns;
    sum.after_end = first->after_end;
    for (unsigned i = 0; i < crew->count; i++) {
        struct soak_member *member = &soak_crew_of(crew)->members[i];
        if (!member->interval_count || !result_interval_matches(&member->intervals[0], &sum))
            continue;
        if (result_interval_add(&sum, &member->intervals[0], true) < 0)
            crew->failed = -ENOMEM;
        drop_first(member);
    }
    *ret_interval = sum;
    return 1;
}

/* ---- what they found ---- */

/* One that is lost meanwhile has found nothing. */
static int await_found(struct crew *crew, unsigned index)
{
    int status = crew->failed;

    while (!soak_crew_of(crew)->members[index].found && !crew->members[index].lost && status == 0)
        status = crew_hear(crew, index);
    return crew->members[index].lost ? crew->failed : status;
}

static int add_found(struct crew *crew, unsigned index, struct result *result)
{
    struct soak_member *member = &soak_crew_of(crew)->members[index];
    struct result found;
    int status = await_found(crew, index);

    const bool is_found = status == 0 && member->found;
    if (is_found)
        status = result_parse(member->bytes, member->len, &found, NULL);
    free(member->bytes);
    member->bytes = NULL;
    member->len = 0;
    member->found = false;
    if (status < 0 || !is_found)
        return status;
    status = result_add(result, &found);
    result_done(&found);
    return status;
}

int soak_crew_get_result(struct crew *crew, struct result *result)
{
    int status = 0;

    crew_tell(crew->net, &(struct crew_message){.word = CREW_RESULT});
    for (unsigned i = 0; i < crew->count && status == 0; i++) {
        if (!crew->members[i].lost)
            status = add_found(crew, i, result);
    }
    return status < 0 ? status : crew->failed;
}
