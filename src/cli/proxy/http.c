/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain requests of a client, one at a time: the next one is read when the answer to the one before
 * has passed, so that no answer overtakes another, wherever they come from. Answers pass as they are;
 * only their ends are looked for. The flow is kept for the next request to the same target of the
 * same user.
 */
#include "proxy.h"

#include <stdio.h>
#include <string.h>

static struct patron *patron_of(struct door_entry *entry)
{
    return (struct patron *)(void *)entry;
}

static void begin(struct patron *patron, bool reused)
{
    const struct proxy_client *client = &patron->asking->client;
    struct asking *asking = patron->asking;

    proxy_exchange_done(&patron->exchange);
    proxy_exchange_begin(&patron->exchange, &client->request);
    patron->exchanging = true;
    patron->reused = reused;
    patron->trouble = PROXY_OPEN;
    asking->kept = client->target;
    memcpy(asking->kept_user, client->user, sizeof(asking->kept_user));
}

void patron_exchange(struct patron *patron)
{
    const struct proxy_request *request = &patron->asking->client.request;

    begin(patron, false);
    if (door_say(&patron->entry, request->head, request->head_len) < 0)
        door_reset(&patron->entry, DOOR_FAILED);
    else
        door_guard(&patron->entry, true);
}

bool patron_exchange_again(struct patron *patron)
{
    const struct asking *asking = patron->asking;
    const struct proxy_client *client = &asking->client;

    if (!patron->entry.join.flow || !proxy_target_equal(&asking->kept, &client->target) ||
        strcmp(asking->kept_user, client->user) != 0)
        return false;
    begin(patron, true);
    return door_go_on(&patron->entry, client->request.head, client->request.head_len);
}

/* ---- bytes ---- */

size_t patron_to_flow(struct door_entry *entry, const char *data, size_t len)
{
    struct patron *patron = patron_of(entry);
    const char *why;

    const ssize_t passes = proxy_exchange_take_request(&patron->exchange, data, len, &why);
    if (passes >= 0)
        return (size_t)passes;
    patron->trouble = PROXY_FAILED;
    snprintf(patron->why, sizeof(patron->why), "%s", why);
    return 0;
}

size_t patron_to_client(struct door_entry *entry, const char *data, size_t len)
{
    struct patron *patron = patron_of(entry);

    const ssize_t passes = proxy_exchange_take_answer(&patron->exchange, data, len, patron->why);
    if (passes >= 0)
        return (size_t)passes;
    patron->trouble = PROXY_BAD_ANSWER;
    return 0;
}

/* ---- the end of an answer ---- */

static void end_in_order(struct patron *patron)
{
    patron->exchanging = false;
    door_let_go(&patron->entry);
    door_finish(&patron->entry, DOOR_CLOSED);
}

/* From here on it is another protocol's (RFC 9110 7.8). */
static void open_tunnel(struct patron *patron)
{
    patron->exchanging = false;
    patron_proxy(patron)->counts.tunnels++;
    door_guard(&patron->entry, false);
}

static void next_request(struct patron *patron)
{
    struct proxy *proxy = patron_proxy(patron);

    patron->exchanging = false;
    proxy_client_next(&patron->asking->client);
    door_set_deadline(&patron->entry, loop_now_ns(proxy->loop) + proxy->silent_ns);
    door_talk_again(&patron->entry);
}

static void answered(struct patron *patron)
{
    const struct proxy_exchange *exchange = &patron->exchange;

    if (exchange->client_keeps && !exchange->request_over && !exchange->tunnel &&
        !door_flow_ended(&patron->entry))
        return; /* the rest of the body is still wanted */
    patron_proxy(patron)->counts.requests++;
    if (exchange->tunnel)
        open_tunnel(patron);
    else if (exchange->client_keeps && exchange->request_over)
        next_request(patron);
    else
        end_in_order(patron);
}

/* ---- no answer, or none that is one ---- */

/* Nothing of the answer is with the client yet, so it can be told. */
static void tell(struct patron *patron, enum proxy_result result, const char *why)
{
    patron->exchanging = false;
    door_guard(&patron->entry, false);
    patron_refuse(patron, result, why);
}

/* The client sees what the application has done. */
static void flow_ended(struct patron *patron)
{
    const struct join_state *state = &patron->entry.join.state;
    const bool orderly = state->end == PEER_END_NONE || state->end == PEER_END_CLOSED;

    if (orderly && proxy_exchange_end(&patron->exchange))
        answered(patron);
    else if (!patron->exchange.answer_begun && !patron->reused)
        tell(patron,
             orderly                          ? PROXY_BAD_ANSWER
             : state->end == PEER_END_TIMEOUT ? PROXY_TIMED_OUT
                                              : PROXY_RESET,
             orderly ? "closed without an answer" : end_text(state->end));
    else if (orderly)
        end_in_order(patron);
    else
        door_reset(&patron->entry, DOOR_RESET);
}

static void in_trouble(struct patron *patron)
{
    if (patron->trouble == PROXY_BAD_ANSWER && !patron->exchange.answer_begun)
        tell(patron, PROXY_BAD_ANSWER, patron->why);
    else
        door_reset(&patron->entry, DOOR_FAILED);
}

void patron_moved(struct door_entry *entry)
{
    struct patron *patron = patron_of(entry);

    if (!patron->exchanging || !door_passed(entry))
        return;
    if (patron->trouble != PROXY_OPEN)
        in_trouble(patron);
    else if (patron->exchange.answer_over)
        answered(patron);
    else if (door_flow_ended(entry))
        flow_ended(patron);
    else
        door_pass_end(entry);
}
