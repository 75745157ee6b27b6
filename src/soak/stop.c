/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a run: nothing more begins, what is under way may end within its time, the rest is
 * closed a round at a time. Before the application's kernel has answered its FINs, more would only
 * fill the device's queue.
 */
#include "soak/run.h"

#include "base/macro.h"

#include <limits.h>
#include <stdlib.h>

static void close_measure(struct run *run)
{
    const struct soak *soak = run->soak;

    if (!run->measure.closed && run_is_healthy(run) && soak->measured)
        soak->measured(soak->measured_user, false);
    measure_close(&run->measure, run_now(run), run->open);
}

/* Nobody is left to ask them again: none was looked at. */
static void drop_again(struct run *run)
{
    while (!list_empty(&run->again))
        run->measure.found.counts.closed_idle += run_counts(run, request_drop_again(run));
}

void run_look(struct run *run)
{
    run->stopping |= run_exhausted(run) && run->open == 0;
    if (!run->stopping || run->over || run->open > 0 || !run_exhausted(run))
        return;
    drop_again(run);
    if (run_is_healthy(run) && (!shares_end(run->soak) || run->over))
        return;
    run->over = true;
    close_measure(run);
    measure_end(&run->measure, run_now(run), run->open);
    run_cancel_timers(run);
    if (!run_is_healthy(run) && soak_healthy(run->soak))
        run_look(soak_healthy(run->soak));
}

/* Gives up to `most` clients of a state up; returns how many that were. */
static int cut(struct run *run, enum client_state state, int most)
{
    struct list *list = &run->clients[state];
    int count = 0;

    for (; count < most && !list_empty(list); count++) {
        if (state == CLIENT_CONNECTING)
            client_let_go(client_of(list->next));
        else
            client_close(client_of(list->next));
    }
    return count;
}

/* Whether clients of this state wait for answers that still count. */
static bool awaits(const struct run *run, enum client_state state)
{
    bool may = run_asks(run) && !run->hurry;
    bool opened_for = run->schedule.by_opening || !list_empty(&run->again);
    bool does = state == CLIENT_BUSY || (opened_for && state <= CLIENT_GREETING);

    return may && does;
}

/* READY with a request under way: it has slots for more, and waits all the same. */
static int cut_ready(struct run *run, int most)
{
    struct list *node, *after;
    int count = 0;

    list_each_safe(node, after, &run->clients[CLIENT_READY])
    {
        struct client *client = client_of(node);
        if (count == most)
            break;
        if (client->under_way && awaits(run, CLIENT_BUSY)) {
            client_set_state(client, CLIENT_BUSY);
            continue;
        }
        client_close(client);
        count++;
    }
    return count;
}

void run_close_some(struct run *run)
{
    static const enum client_state states[] = {CLIENT_THINKING,   CLIENT_LEAVING,  CLIENT_ENDING,
                                               CLIENT_CONNECTING, CLIENT_GREETING, CLIENT_BUSY,
                                               CLIENT_HELD};
    int left = RUN_AT_ONCE - cut_ready(run, RUN_AT_ONCE);

    for (size_t i = 0; i < ARRAY_SIZE(states) && left > 0; i++) {
        if (!awaits(run, states[i]))
            left -= cut(run, states[i], left);
    }
    if (left == 0)
        run_arm(run, &run->opening, run_now(run) + 1);
    run_look(run);
}

void run_end_fire(struct timer *timer, uint64_t now_ns)
{
    struct run *run = list_entry(timer, struct run, end);

    (void)now_ns;
    if (!run->stopping) {
        run_serve(run); /* what was wanted until now */
        run_stop(run, run->config.timeout_ns);
        return;
    }
    run->hurry = true;
    run_close_some(run);
}

void run_stop(struct run *run, uint64_t grace_ns)
{
    if (!run->stopping) {
        run->behind = run_behind(run);
        if (timer_armed(&run->warm)) { /* then nothing was measured */
            run->behind = 0;
            run->schedule.warm_ns = run_now(run);
            run_begin_measuring(run);
        }
        close_measure(run);
        timer_cancel(run->flows->timers, &run->interval);
    }
    run->stopping = true;
    run->hurry |= grace_ns == 0;
    if (grace_ns)
        run_arm(run, &run->end, run_now(run) + grace_ns);
    run_close_some(run);
    if (run_is_healthy(run))
        (void)shares_end(run->soak);
}

struct run *run_free(struct run *run)
{
    if (!run)
        return NULL;
    run->stopping = run->hurry = true;
    run->config.close_with_reset = true;
    for (int state = 0; state < CLIENT_STATES; state++)
        cut(run, (enum client_state)state, INT_MAX);
    run_look(run);
    run_cancel_timers(run);
    for (struct list *node; (node = list_pop(&run->closing));)
        client_of(node)->run = NULL; /* they end by themselves */
    measure_done(&run->measure);
    free(run);
    return NULL;
}
