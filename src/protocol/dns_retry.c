/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection closes in order when its answer is there, and is reset when nobody waits for it any
 * more. Either way its client may be gone before it: then it knows none.
 */
#include "protocol/dns_retry.h"

#include "base/macro.h"
#include "protocol/dns_message.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct dns_retry {
    struct flow flow; /* first */
    struct client *client;
    const struct dns_retry_ops *ops;
    struct list node; /* of the client's */
    unsigned slot;
    size_t query_len, answer_len;
    uint8_t query[2 + DNS_QUERY_MOST];
    uint8_t length[2]; /* of the answer, */
    uint8_t *answer;   /* which is here from then on */
};

static const struct flow_ops retry_flow_ops;

static struct dns_retry *retry_of(struct list *node)
{
    return list_entry(node, struct dns_retry, node);
}

static void give_up(struct dns_retry *retry)
{
    list_remove(&retry->node);
    retry->client = NULL;
    flow_free(&retry->flow);
}

static void fail(struct dns_retry *retry, enum peer_soak_error kind, const char *why)
{
    struct client *client = retry->client;
    const struct dns_retry_ops *ops = retry->ops;
    unsigned slot = retry->slot;

    give_up(retry);
    ops->answered(client, slot, NULL, 0, kind, why);
}

static void send_query(struct dns_retry *retry)
{
    ssize_t done = flow_write(&retry->flow, retry->query, retry->query_len, 0);

    if (done > 0)
        client_counts(retry->client)->bytes_sent += (size_t)done;
    if (done != (ssize_t)retry->query_len)
        fail(retry, PEER_SOAK_CLOSED_EARLY,
             "asked again over TCP: closed before the query was sent");
}

/* All is there: the memory stays until the end of the iteration. */
static void finish(struct dns_retry *retry, size_t len)
{
    struct client *client = retry->client;

    flow_close(&retry->flow);
    give_up(retry);
    retry->ops->answered(client, retry->slot, retry->answer, len, 0, NULL);
}

/* How many of `len` bytes at `data` are its own; -1 without memory. */
static ssize_t take_some(struct dns_retry *retry, const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (at < len && retry->answer_len < sizeof(retry->length))
        retry->length[retry->answer_len++] = data[at++];
    if (retry->answer_len < sizeof(retry->length))
        return (ssize_t)at;
    size_t whole = sizeof(retry->length) + (size_t)(retry->length[0] << 8 | retry->length[1]);
    if (!retry->answer && !(retry->answer = malloc(whole)))
        return -1;
    size_t part = MIN(len - at, whole - retry->answer_len);
    memcpy(retry->answer + retry->answer_len - sizeof(retry->length), data + at, part);
    retry->answer_len += part;
    return (ssize_t)(at + part);
}

static void receive(struct dns_retry *retry)
{
    struct iovec iov;

    while (flow_peek(&retry->flow, &iov, 1) > 0) {
        ssize_t used = take_some(retry, iov.iov_base, iov.iov_len);
        if (used < 0) {
            fail(retry, PEER_SOAK_CLOSED_EARLY, "out of memory");
            return;
        }
        client_counts(retry->client)->bytes_received += (size_t)used;
        bool more = (size_t)used < iov.iov_len;
        flow_consume(&retry->flow, (size_t)used);
        size_t len = (size_t)(retry->length[0] << 8 | retry->length[1]);
        if (retry->answer && retry->answer_len == len + sizeof(retry->length)) {
            finish(retry, len);
            return;
        }
        if (more)
            return;
    }
}

static void on_end(struct dns_retry *retry)
{
    switch (flow_end(&retry->flow)) {
    case PEER_END_REFUSED:
    case PEER_END_UNREACHABLE:
        fail(retry, PEER_SOAK_REFUSED, "asked again over TCP: connection refused");
        break;
    case PEER_END_RESET:
        fail(retry, PEER_SOAK_RESET, "asked again over TCP: connection reset");
        break;
    case PEER_END_TIMEOUT:
        fail(retry, PEER_SOAK_TIMEOUT, "asked again over TCP: no answer in time");
        break;
    default:
        fail(retry, PEER_SOAK_CLOSED_EARLY,
             "asked again over TCP: closed before the answer was complete");
    }
}

static void retry_event(struct flow *flow, unsigned events)
{
    struct dns_retry *retry = (struct dns_retry *)(void *)flow;

    if (events & FLOW_CONNECTED)
        send_query(retry);
    if (events & FLOW_READABLE && retry->client)
        receive(retry);
    if (events & (FLOW_EOF | FLOW_END) && retry->client)
        on_end(retry);
}

static void retry_release(struct flow *flow)
{
    struct dns_retry *retry = (struct dns_retry *)(void *)flow;

    free(retry->answer);
    free(retry);
}

static const struct flow_ops retry_flow_ops = {.event = retry_event, .release = retry_release};

bool dns_retry_start(struct client *client, struct list *retries, unsigned slot,
                     const uint8_t *query, const struct dns_retry_ops *ops)
{
    struct flow *flow = client_flow(client);
    struct stack_tuple tuple;
    struct dns_retry *retry = flow_tuple(flow, &tuple) ? calloc(1, sizeof(*retry)) : NULL;

    if (!retry)
        return false;
    retry->query_len = 2 + (size_t)(query[0] << 8 | query[1]);
    memcpy(retry->query, query, retry->query_len);
    retry->client = client;
    retry->slot = slot;
    retry->ops = ops;
    list_add_tail(retries, &retry->node);
    flow_init(&retry->flow, flow->flows, &retry_flow_ops);
    tuple.local_port = 0;
    if (flow_connect(&retry->flow, IPPROTO_TCP, &tuple, 0) == 0)
        return true;
    give_up(retry);
    return false;
}

void dns_retry_end(struct list *retries, unsigned slot)
{
    struct list *node, *after;

    list_each_safe(node, after, retries)
    {
        if (retry_of(node)->slot == slot)
            give_up(retry_of(node));
    }
}

void dns_retry_end_all(struct list *retries)
{
    while (!list_empty(retries))
        give_up(retry_of(retries->next));
}
