/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run: when its clients ask, wait, and end.
 *
 * Closed: every client asks again as soon as it was answered (and has thought). Open (`rate`):
 * request k is wanted at start + k / rate (schedule.h); whichever client is ready takes it, and its
 * latency counts from the wanted time, late start and all, so that a service that stalls cannot
 * hide the requests that it kept from being sent (coordinated omission).
 *
 * What is measured is the requests that were wanted in the measured time: between the end of the
 * warm-up and the end of the duration. Their answers and errors count whenever they come, so that
 * the slow ones are not cut off; rates count only what was done within that time. An answer is
 * there when its frame was read, not when its turn among others came.
 */
#include "soak/run.h"

#include "base/macro.h"

#include <stdlib.h>

#define LEAVE_NS (5 * NS_PER_MS)

void run_arm(struct run *run, struct timer *timer, uint64_t deadline_ns)
{
    (void)timer_arm(run->flows->timers, timer, deadline_ns);
}

static struct client *first_of(struct run *run, enum client_state state)
{
    struct list *list = &run->clients[state];

    return list_empty(list) ? NULL : client_of(list->next);
}

bool run_exhausted(const struct run *run)
{
    return (run->stopping || schedule_exhausted(&run->schedule)) &&
           (list_empty(&run->again) || run->hurry);
}

/* ---- who is next ---- */

enum { SERVED_AT_ONCE = 4096 };

/* A request that is done at once (datagrams without answers) leads back here: the round that goes on
   already takes the next one. It has an end though more are due, or who cannot keep up would never come to
   look at the time, and at what came. */
void run_serve(struct run *run)
{
    struct client *client, *asked = NULL; /* who is over stays until the iteration's end */
    unsigned left = SERVED_AT_ONCE;

    if (run->serving)
        return;
    run->serving = true;
    while (!run_exhausted(run) && (client = first_of(run, CLIENT_READY)) && left-- > 0 &&
           (run_behind(run) > 0 || !list_empty(&run->again))) {
        if (asked && asked != client)
            client_tell_asked(asked);
        client_ask(client);
        asked = client;
    }
    if (asked)
        client_tell_asked(asked);
    run->serving = false;
    uint64_t next_ns = schedule_next_ns(&run->schedule, run_now(run));
    if (first_of(run, CLIENT_READY) && !run_exhausted(run) && next_ns != TIMER_NEVER)
        run_arm(run, &run->due, MAX(next_ns, run_now(run) + 1));
}

static bool may_ask(const struct client *client)
{
    return !client_is_over(client) && !client->last && !client->surplus && client->under_way < client->slots &&
           client->flow.state == FLOW_OPEN && !run_exhausted(client->run);
}

static void ask(struct client *client)
{
    struct run *run = client->run;

    if (client->under_way >= client->slots) { /* fewer than there were */
        client_set_state(client, client->under_way ? CLIENT_BUSY : CLIENT_GREETING);
        return;
    }
    if (run->schedule.rate > 0 || run_is_paused(run)) {
        client_set_state(client, CLIENT_READY);
        run_serve(run);
        return;
    }
    do
        client_ask(client);
    while (may_ask(client));
    client_tell_asked(client);
}

void run_go_on(struct run *run)
{
    uint64_t left = MIN(run->in_state[CLIENT_READY], (uint64_t)RUN_AT_ONCE);

    if (run->over || run->stopping)
        return;
    for (; left && run->schedule.rate <= 0 && !run_is_paused(run); left--)
        run_next(first_of(run, CLIENT_READY));
    if (run->schedule.rate > 0)
        run_serve(run);
    else if (first_of(run, CLIENT_READY) && !run_is_paused(run))
        run_arm(run, &run->due, run_now(run) + 1);
    if (!run->over)
        run_open_more(run);
}

static void thought_fire(struct timer *timer, uint64_t now_ns)
{
    struct client *client = list_entry(timer, struct thought, timer)->client;

    (void)now_ns;
    if (run_exhausted(client->run))
        client_end(client);
    else
        ask(client);
}

static void think(struct client *client)
{
    struct run *run = client->run;

    client_set_state(client, CLIENT_THINKING);
    if (run->pause.kind) {
        struct thought *thought = thought_of(client);
        thought->client = client;
        timer_init(&thought->timer, thought_fire);
        run_arm(run, &thought->timer, run_now(run) + pause_draw_ns(&run->pause, &run->pause_rng));
        return;
    }
    if (!timer_armed(&run->think))
        run_arm(run, &run->think, run_now(run) + run->config.think_ns);
}

/* If the application's FIN is first, TIME-WAIT is not ours. */
static void leave(struct client *client)
{
    struct run *run = client->run;

    client_set_state(client, CLIENT_LEAVING);
    if (!timer_armed(&run->leave))
        run_arm(run, &run->leave, run_now(run) + LEAVE_NS);
}

static bool is_left_to_close(const struct client *client)
{
    return client->last && client->remote_closes && client->flow.state == FLOW_OPEN &&
           !client->run->config.close_with_reset;
}

void run_next(struct client *client)
{
    struct run *run = client->run;
    bool waits = client->under_way > 0;

    if (share_parks(client)) {
        client_set_state(client, CLIENT_ENDING);
    } else if (!client->asked && !list_empty(&client->requests)) { /* opened for it */
        request_start(list_entry(client->requests.next, struct request, sibling));
    } else if (run_exhausted(run) || client->last || client->surplus || client->flow.state > FLOW_OPEN) {
        /* A FIN that came with the answer is no surprise to the next request. */
        if (waits)
            client_set_state(client, CLIENT_BUSY);
        else if (is_left_to_close(client))
            leave(client);
        else
            client_end(client);
    } else if (run->thinks && client->asked) {
        if (!waits)
            think(client);
    } else {
        ask(client);
    }
}

void run_after_end(struct run *run)
{
    if (run_exhausted(run) && run_asks(run) && !run->stopping)
        run_close_some(run); /* those that are ready wait for nothing */
    hold_look(run);
    run_look(run);
    if (!run->over)
        run_open_more(run);
}

/* ---- time-outs ---- */

static bool waits_for_answers(const struct run *run)
{
    return run_asks(run) && !share_is_patient(run);
}

static uint64_t began_first(const struct run *run, enum client_state state)
{
    const struct list *list = &run->clients[state];

    return list_empty(list) ? TIMER_NEVER : client_of(list->next)->started_ns;
}

static struct request *first_asked(const struct run *run)
{
    return list_empty(&run->asked) ? NULL : list_entry(run->asked.next, struct request, node);
}

void run_watch(struct run *run)
{
    uint64_t since;

    if (timer_armed(&run->sweep))
        return; /* never later than needed: it looks again when it fires */
    since = began_first(run, CLIENT_CONNECTING);
    if (!share_is_patient(run)) {
        since = MIN(since, began_first(run, CLIENT_GREETING));
        since = MIN(since, began_first(run, CLIENT_ENDING));
    }
    if (waits_for_answers(run) && first_asked(run))
        since = MIN(since, first_asked(run)->started_ns);
    if (since != TIMER_NEVER)
        run_arm(run, &run->sweep, since + run->config.timeout_ns);
}

static bool is_late(const struct run *run, uint64_t since_ns, uint64_t now_ns)
{
    return since_ns + run->config.timeout_ns <= now_ns;
}

static void expire_clients(struct run *run, enum client_state state, uint64_t now_ns)
{
    struct client *client;

    while ((client = first_of(run, state)) && is_late(run, client->started_ns, now_ns))
        client_fail(client, PEER_SOAK_TIMEOUT, "%s", client_late_text(client, NULL));
}

static void expire_requests(struct run *run, uint64_t now_ns)
{
    struct request *request;

    while ((request = first_asked(run)) && is_late(run, request->started_ns, now_ns)) {
        struct client *client = request->client;
        const char *text = client_late_text(client, request);
        if (client_ops(client)->lost)
            client_ops(client)->lost(client, request);
        if (run->config.udp || client_ops(client)->any_order)
            request_lose(request, PEER_SOAK_TIMEOUT, "%s", text);
        else
            client_fail(client, PEER_SOAK_TIMEOUT, "%s", text);
    }
}

/* No error: its answer was complete. */
static void expire_ending(struct run *run, uint64_t now_ns)
{
    struct client *client;

    while ((client = first_of(run, CLIENT_ENDING)) && is_late(run, client->started_ns, now_ns)) {
        run->ends_given_up++;
        client_end(client);
    }
}

static void sweep_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, sweep);

    expire_clients(run, CLIENT_CONNECTING, now_ns);
    if (!share_is_patient(run))
        expire_clients(run, CLIENT_GREETING, now_ns);
    if (waits_for_answers(run))
        expire_requests(run, now_ns);
    if (!share_is_patient(run))
        expire_ending(run, now_ns);
    if (!run->over)
        run_watch(run);
}

/* ---- timers ---- */

static void due_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, due);

    (void)now_ns;
    if (run_holds(run))
        hold_touch_some(run);
    else if (run->schedule.rate <= 0)
        run_go_on(run);
    else
        run_serve(run);
}

static void opening_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, opening);

    (void)now_ns;
    if (run->stopping || (run_exhausted(run) && run_asks(run)))
        run_close_some(run);
    else
        run_open_more(run);
}

static void think_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, think);
    struct client *client;

    while ((client = first_of(run, CLIENT_THINKING))) {
        uint64_t at_ns = client->started_ns + run->config.think_ns;
        if (at_ns > now_ns) {
            run_arm(run, &run->think, at_ns);
            return;
        }
        if (run_exhausted(run) || client->last)
            client_end(client);
        else
            ask(client);
    }
}

static void leave_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, leave);
    struct client *client;

    while ((client = first_of(run, CLIENT_LEAVING))) {
        if (client->started_ns + LEAVE_NS > now_ns) {
            run_arm(run, timer, client->started_ns + LEAVE_NS);
            return;
        }
        client_end(client);
    }
}

/* What is done for one may end it, and others: the walk begins anew then. */
static void nudge_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, nudge);
    struct list *node = run->asked.next;

    while (node != &run->asked) {
        struct request *request = list_entry(node, struct request, node);
        struct client *client = request->client; /* its memory stays until all have been told */
        uint32_t number = request->number;
        if (client_ops(client)->nudge && !client_ops(client)->nudge(client, request, now_ns))
            return;
        node = client_request_numbered(client, number) ? node->next : run->asked.next;
    }
}

static void interval_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, interval);

    measure_interval(&run->measure, now_ns, run->open);
    run_arm(run, timer, run->measure.interval_start_ns + run->config.interval_ns);
}

static void warm_fire(struct timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    run_begin_measuring(list_entry(timer, struct run, warm));
}

static const struct {
    size_t at;
    void (*fire)(struct timer *timer, uint64_t now_ns);
} run_timers[] = {
    {offsetof(struct run, due), due_fire},
    {offsetof(struct run, opening), opening_fire},
    {offsetof(struct run, sweep), sweep_fire},
    {offsetof(struct run, think), think_fire},
    {offsetof(struct run, leave), leave_fire},
    {offsetof(struct run, nudge), nudge_fire},
    {offsetof(struct run, interval), interval_fire},
    {offsetof(struct run, warm), warm_fire},
    {offsetof(struct run, end), run_end_fire},
    {offsetof(struct run, flood), share_flood_fire},
};

static struct timer *timer_at(struct run *run, size_t index)
{
    return (struct timer *)(void *)((char *)run + run_timers[index].at);
}

void run_cancel_timers(struct run *run)
{
    for (size_t i = 0; i < ARRAY_SIZE(run_timers); i++)
        timer_cancel(run->flows->timers, timer_at(run, i));
}

/* ---- birth ---- */

/* One for each run. */
static void derive_below(struct rng *rng, const struct run *run, enum rng_purpose purpose)
{
    rng_derive(rng, run->soak->seed, purpose);
    rng_derive(rng, rng_next(rng), run->number);
}

struct run *run_new(struct soak *soak, const struct peer_soak_config *config,
                    const struct manner_spec *manner)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->soak = soak;
    run->config = *config;
    run->flows = soak->flows;
    run->ops = soak_ops(config, soak->protocol);
    run->start_ns = soak->begin_ns ? soak->begin_ns : run_now(run);
    run->thinks = config->think_ns || soak->pause.kind;
    run->pause = soak->pause;
    if (manner) {
        run->manner = *manner;
        run->number = soak->run_count + 1;
    }
    derive_below(&run->pause_rng, run, RNG_THINK);
    for (size_t i = 0; i < ARRAY_SIZE(run->clients); i++)
        list_init(&run->clients[i]);
    list_init(&run->asked);
    list_init(&run->again);
    list_init(&run->closing);
    for (size_t i = 0; i < ARRAY_SIZE(run_timers); i++)
        timer_init(timer_at(run, i), run_timers[i].fire);
    if (measure_init(&run->measure, run->start_ns) < 0)
        return run_free(run);
    figures_name_answers(&run->measure.found, soak->protocol->answers.kind,
                         soak->protocol->answers.names);
    return run;
}

static void plan(struct run *run)
{
    const struct peer_soak_config *config = &run->config;
    uint64_t warm_ns = run->start_ns + config->warmup_ns;

    run->schedule = (struct schedule){
        .rate = config->rate,
        .connect_rate = config->connect_rate,
        .ramp_ns = config->ramp_ns,
        .flows = config->flows,
        .total = config->total,
        .by_opening = config->rate > 0 && config->requests_per_connection == 1,
        .start_ns = run->start_ns,
        .warm_ns = warm_ns,
        .end_ns = config->duration_ns ? warm_ns + config->duration_ns : UINT64_MAX,
    };
    schedule_set_phase(&run->schedule, run->soak->phase);
}

void run_begin(struct run *run)
{
    struct rng rng;

    plan(run);
    if (run->config.poisson && run->config.rate > 0) {
        derive_below(&rng, run, RNG_ARRIVALS);
        arrivals_init(&run->arrivals, run->config.rate, &rng);
        run->schedule.arrivals = &run->arrivals;
    }
    if (run->soak->paused)
        (void)schedule_pause(&run->schedule, run->start_ns);
    if (run->config.warmup_ns)
        run_arm(run, &run->warm, run->schedule.warm_ns);
    if (run_is_healthy(run))
        run_arm(run, &run->interval, run->start_ns + run->config.interval_ns);
    if (run->config.duration_ns)
        run_arm(run, &run->end, run->schedule.end_ns);
    run_open_more(run);
}
