/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pings of ours, one at a time on a connection: each says its number, which its pong has to say too. One
 * that is due while a message is half written waits for the end of that.
 */
#include "protocol/ws_inside.h"

#include "base/macro.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

static void ping_at(struct ws_ping *ping, uint64_t at_ns)
{
    if (timer_arm(client_flow(ping->client)->flows->timers, &ping->timer, at_ns) < 0)
        client_fail(ping->client, PEER_SOAK_CLOSED_EARLY, "out of memory");
}

void ws_ping_send(struct client *client)
{
    struct ws_ping *ping = ws_of(client)->ping;

    if (!ping || !ping->due || ws_of(client)->said_close || !ws_is_between_frames(client))
        return;
    const uint32_t says = htobe32(ping->number + 1);
    if (!ws_send_control(client, WS_PING, (const uint8_t *)&says, sizeof(says)))
        return;
    ping->number++;
    ping->due = false;
    ping->awaited = true;
    ping->sent_ns = client_now(client);
    client_counts(client)->pings++;
    ping_at(ping, ping->sent_ns + client_config(client)->timeout_ns);
}

static void ping_fire(struct timer *timer, uint64_t now_ns)
{
    struct ws_ping *ping = list_entry(timer, struct ws_ping, timer);
    struct client *client = ping->client;

    if (ping->awaited) {
        client_fail(client, PEER_SOAK_TIMEOUT, "no pong in time");
        return;
    }
    ping->due = true;
    ping_at(ping, now_ns + client_config(client)->ping_ns); /* once more, if it cannot go now */
    if (!client_is_over(client))
        ws_ping_send(client);
}

bool ws_ping_begin(struct client *client)
{
    struct ws_ping *ping;

    if (!client_config(client)->ping_ns)
        return true;
    ping = calloc(1, sizeof(*ping));
    if (!ping) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return false;
    }
    ping->client = client;
    timer_init(&ping->timer, ping_fire);
    ws_of(client)->ping = ping;
    ping_at(ping, client_now(client) + client_config(client)->ping_ns);
    return !client_is_over(client);
}

/* A pong is whole: the one that is awaited? Others are allowed (5.5.3). */
void ws_ping_hear_pong(const struct ws_client *ws)
{
    struct ws_ping *ping = ws->ping;
    const uint32_t says = ping ? htobe32(ping->number) : 0;

    if (ping && ping->awaited && ws->talk->len == sizeof(says) &&
        memcmp(ws->talk->data, &says, sizeof(says)) == 0)
        ping->answered = true;
}

void ws_ping_look(struct client *client)
{
    struct ws_ping *ping = ws_of(client)->ping;

    if (!ping || !ping->answered)
        return;
    ping->awaited = ping->answered = false;
    client_latency(client, PEER_HISTOGRAM_PING, ping->sent_ns,
                   flow_arrived_last_ns(client_flow(client)));
    ping_at(ping, client_now(client) + client_config(client)->ping_ns);
}

void ws_ping_done(struct client *client)
{
    struct ws_client *ws = ws_of(client);

    if (ws->ping)
        timer_cancel(client_flow(client)->flows->timers, &ws->ping->timer);
    free(ws->ping);
    ws->ping = NULL;
}
