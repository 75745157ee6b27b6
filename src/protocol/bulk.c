/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protocols without answers: as many bytes as go, one way or the other, or none at all.
 */
#include "protocol/table.h"

#include "base/macro.h"

/* The same pattern again and again, never copied: it stays where it is as long as the soak. */
static void send_on(struct client *client, struct request *request)
{
    struct flow *flow = client_flow(client);
    ssize_t done;

    do {
        done = flow_write(flow, client_scratch(client), SOAK_SCRATCH_BYTES, FLOW_WRITE_STABLE);
    } while (done > 0);
    uint64_t written = flow_written(flow), acknowledged = written - MIN(flow_unacked(flow), written);
    client_counts(client)->bytes_sent += acknowledged - request_sent(request);
    request_set_sent(request, acknowledged);
}

static enum taken take_all(struct client *client, struct request *request, const char *data,
                           size_t len, size_t *ret_used)
{
    (void)client, (void)request, (void)data;
    *ret_used = len;
    return TAKEN_MORE;
}

static void only_take(struct client *client, struct request *request)
{
    (void)client, (void)request;
}

/* The application has sent all it has: that is what was waited for. */
static void received_all(struct client *client, struct request *request)
{
    client_end_after(client, false);
    request_done(request);
}

/* What the schedule wants beyond this one goes along in the same frame. */
static void send_datagrams(struct client *client, struct request *request)
{
    size_t size = (size_t)client_config(client)->message_bytes;
    uint64_t count = MIN(1 + client_behind(client), (uint64_t)FLOW_BURST);
    const uint8_t *pattern = client_scratch(client);

    count = MAX(MIN(count, FLOW_BURST_BYTES / size), 1u);
    if (count > 1) {
        ssize_t done = flow_write_burst(client_flow(client), pattern, count * size, size);
        client_counts(client)->bytes_sent += done > 0 ? (uint64_t)done : 0;
    } else {
        (void)client_write(client, pattern, size, 0);
    }
    client_also(client, count - 1);
    request_done(request);
}

/* To a connection that is held. */
static void send_message(struct client *client, struct request *request)
{
    size_t len = (size_t)MIN(client_config(client)->message_bytes, (uint64_t)SOAK_SCRATCH_BYTES);
    ssize_t done = client_write(client, client_scratch(client), len, FLOW_WRITE_STABLE);

    request_set_sent(request, done > 0 ? (uint64_t)done : 0);
}

/* What comes while we send is not asked for, but no harm. */
static const struct protocol_ops send_tcp = {.kind = PROTOCOL_STREAMS,
                                             .unasked = true,
                                             .ask = send_on,
                                             .take = take_all,
                                             .writable = send_on};
static const struct protocol_ops send_udp = {
    .kind = PROTOCOL_ASKS, .needs_rate = true, .unasked = true, .ask = send_datagrams};
static const struct protocol_ops receive_tcp = {.kind = PROTOCOL_STREAMS,
                                                .unasked = true,
                                                .ask = only_take,
                                                .take = take_all,
                                                .eof = received_all};
static const struct protocol_ops idle_tcp = {
    .kind = PROTOCOL_HOLDS, .unasked = true, .ask = send_message, .take = take_all};

const struct protocol protocol_send = {.name = "send", .tcp = &send_tcp, .udp = &send_udp};
const struct protocol protocol_receive = {.name = "receive", .tcp = &receive_tcp};
const struct protocol protocol_idle = {.name = "idle", .tcp = &idle_tcp};
