/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections of a run: how many there should be, and their birth.
 *
 * At most CONNECTING_MAX handshakes are under way at once, less than what accept queues hold,
 * unless a rate asks for more; after a failure openings wait, up to a second, until one succeeds
 * again.
 */
#include "soak/run.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <stdio.h>

enum { CONNECTING_MAX = 256 };
#define BACKOFF_FIRST_NS (5 * NS_PER_MS)

/* A while without openings, longer with every round of failures. */
static void pause_openings(struct run *run)
{
    uint64_t delay_ns = BACKOFF_FIRST_NS << MIN(run->failures, 8u);

    if (run_now(run) < run->backoff_until_ns)
        return; /* others of the same round failed too */
    run->failures++;
    run->backoff_until_ns = run_now(run) + MIN(delay_ns, RUN_BACKOFF_MOST_NS);
}

/* A connection that was held for a while had been taken: what ends it is news. */
void run_back_off(const struct client *client)
{
    struct run *run = client->run;

    if (client->state == CLIENT_HELD && run_now(run) - client->started_ns >= RUN_BACKOFF_MOST_NS)
        run->failures = 0;
    pause_openings(run);
}

/* How many connections there is work for. */
static uint64_t wanted(const struct run *run)
{
    uint64_t left = run->stopping ? 0 : schedule_left(&run->schedule);
    uint64_t busy = run->in_state[CLIENT_BUSY] + run->in_state[CLIENT_HELD];
    uint64_t taken = run->schedule.by_opening ? run->open : busy;

    if (run_exhausted(run))
        return 0;
    if (left < run->config.flows) /* those that are busy will not take what is left */
        return MIN(run->config.flows, left + run->again_count + taken);
    return run->config.flows;
}

/* Counts a client that is connecting now, and what it was opened for. */
static int note_opened(struct client *client)
{
    struct run *run = client->run;
    bool parks = run->manner.manner && manner_never_opens(run->manner.manner);

    run->schedule.opened++;
    run->open++;
    run->open_most = MAX(run->open_most, run->open);
    run->measure.found.counts.opened++;
    client_set_state(client, parks ? CLIENT_ENDING : CLIENT_CONNECTING);
    if (!run->schedule.by_opening)
        return 0;
    if (parks) {
        (void)run_take(run);
        return 0;
    }
    return request_next(client) ? 0 : -ENOMEM;
}

static int open_one(struct run *run, struct client **ret_client)
{
    run_reach(run, run_now(run));
    int status = client_open(run, ret_client);
    if (status < 0)
        return status;
    status = note_opened(*ret_client);
    if (status < 0) {
        client_let_go(*ret_client);
        return status;
    }
    if (run->config.udp)
        client_connected(*ret_client);
    return 0;
}

static void opening_failed(struct run *run, int status)
{
    char *text = run->measure.found.cannot_open;

    if (!text[0])
        snprintf(text, sizeof(run->measure.found.cannot_open), "cannot open more flows: %s",
                 status == -EADDRINUSE ? "every port of every peer is in use"
                                       : error_text(-status));
    pause_openings(run);
}

struct client *run_open_one(struct run *run)
{
    struct client *client;

    int status = open_one(run, &client);
    if (status == 0)
        return client;
    opening_failed(run, status);
    return NULL;
}

/* In a pause connections are only wanted for requests that were wanted before it. */
static bool rests(const struct run *run)
{
    return run_is_paused(run) && list_empty(&run->again) && run_behind(run) == 0;
}

void run_open_more(struct run *run)
{
    uint64_t next_ns, want = wanted(run);
    uint64_t allowed = schedule_connections(&run->schedule, run_now(run), &next_ns);
    int batch = 0;

    if (rests(run))
        return;
    while (run->open < want && run->schedule.opened < allowed && !run->over) {
        if (run_now(run) < run->backoff_until_ns) {
            next_ns = run->backoff_until_ns;
            break;
        }
        if (run->in_state[CLIENT_CONNECTING] >= CONNECTING_MAX && run->config.connect_rate <= 0)
            return; /* the next one that is connected calls again */
        if (batch++ == RUN_AT_ONCE) {
            next_ns = run_now(run) + 1; /* let the answers in */
            break;
        }
        if (!run_open_one(run)) {
            next_ns = run->backoff_until_ns;
            break;
        }
        want = wanted(run);
    }
    if (run->open < want && next_ns != TIMER_NEVER)
        run_arm(run, &run->opening, MAX(next_ns, run_now(run) + 1));
}
