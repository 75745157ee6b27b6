/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that are only held: the message on some of them (`touch`), and when it is enough.
 */
#include "soak/run.h"

#include "base/macro.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { TOUCH_LOOKS = 4096, TOUCH_AT_ONCE = 64 };

/* -n connections were made, or tried. The last ones are held long enough to learn whether they are
   taken. */
void hold_look(struct run *run)
{
    bool touches = run->config.touch && run->config.total >= run->config.flows;
    bool touched = run->touch_begun && !run->touch_left && !run->touch_open;
    uint64_t end_ns = run_now(run) + RUN_BACKOFF_MOST_NS;

    if (!run_holds(run) || run->hold_ends || !schedule_exhausted(&run->schedule) ||
        run->in_state[CLIENT_CONNECTING] || (touches && !touched))
        return;
    run->hold_ends = true;
    if (end_ns < run->schedule.end_ns)
        run_arm(run, &run->end, end_ns);
}

static void touch(struct client *client)
{
    struct run *run = client->run;

    if (!list_empty(&client->requests)) /* others left, and it is looked at again */
        return;
    run_reach(run, run_now(run));
    struct request *request = request_new(client, run_now(run));
    if (!request)
        return;
    request->first_byte = client->spoke;
    client_ops(client)->ask(client, request);
    if (client_is_over(client))
        return;
    if (request->sent_bytes)
        run->touch_open++;
    else
        request_free(request);
}

/* The message stays with the client: what comes next is the answer to it. */
void hold_writable(struct client *client)
{
    struct request *request = client_request(client);
    struct run *run = client->run;

    if (!request || !request->sent_bytes || flow_unacked(&client->flow))
        return;
    request->sent_bytes = 0; /* it is done */
    request_count(request, run_now(run));
    run->touch_open--;
    hold_look(run);
}

void hold_let_go(struct client *client)
{
    const struct request *request = client_request(client);

    if (request && request->sent_bytes)
        client->run->touch_open--;
}

/* Held clients, all of them open: a look at each, a round at a time, and a message on every n-th. */
void hold_touch_some(struct run *run)
{
    uint64_t step = MAX(run->config.flows / run->config.touch, 1u);
    int messages = 0;

    for (int i = 0; i < TOUCH_LOOKS && run->touch_left && messages < TOUCH_AT_ONCE; i++) {
        if (list_empty(&run->clients[CLIENT_HELD]))
            return;
        struct list *node = list_pop(&run->clients[CLIENT_HELD]);
        struct client *client = client_of(node);
        list_add_tail(&run->clients[CLIENT_HELD], node);
        run->touch_left--;
        if (client->id % step == 0) {
            touch(client);
            messages++;
        }
    }
    hold_look(run);
    if (run->touch_left)
        run_arm(run, &run->due, run_now(run) + 1);
}

static void maybe_touch(struct run *run)
{
    if (!run->config.touch || run->touch_begun || run->in_state[CLIENT_HELD] < run->config.flows)
        return;
    run->touch_begun = true;
    run->touch_left = run->config.flows;
    hold_touch_some(run);
}

/* Handshakes of TLS that were under way at once have each had buffers, between what stays: how many depends on
   how busy the machine was. Once all connections are open nobody needs that memory again. */
static void give_back(struct run *run)
{
    if (!run->soak->tls || run->gave_back || run->in_state[CLIENT_HELD] < run->config.flows)
        return;
    run->gave_back = true;
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void hold_connected(struct run *run)
{
    give_back(run);
    maybe_touch(run);
    hold_look(run);
}
