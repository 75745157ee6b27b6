/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flows and listeners as callers of the library hold them. An event of a flow is a bit that is kept
 * until peer_net_pop_event takes it, so a flow has no queue and nothing is lost when many come.
 */
#include "lib/internal.h"

#include "flow/proxy_header.h"

#include <stdlib.h>
#include <string.h>

/* What was done to a flow has left timers and events: peer_net_fd is to tell in time. */
static void touched(struct peer_net *net)
{
    engine_touch(net->engine, !list_empty(&net->pending));
}

static struct peer_flow *flow_of(struct flow *flow)
{
    return (struct peer_flow *)(void *)flow;
}

static void on_event(struct flow *flow, unsigned events)
{
    struct peer_flow *handle = flow_of(flow);

    if (!handle->events)
        list_add_tail(&handle->net->pending, &handle->pending);
    handle->events |= events;
}

static void on_release(struct flow *flow)
{
    struct peer_flow *handle = flow_of(flow);

    list_remove(&handle->node);
    list_remove(&handle->pending);
    free(handle);
}

static const struct flow_ops ops = {.event = on_event, .release = on_release};

/* Callers act at any time, between two dispatches: what is sent must not look old. */
static struct flow *fresh(struct peer_flow *flow)
{
    engine_now_fresh_ns(flow->net->engine);
    return &flow->flow;
}

static struct peer_flow *handle_new(struct peer_net *net, struct peer_listener *listener,
                                    void *user)
{
    struct peer_flow *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return NULL;
    handle->net = net;
    handle->listener = listener;
    handle->user = user;
    list_init(&handle->pending);
    list_add_tail(&net->handles, &handle->node);
    return handle;
}

static int dress(struct peer_flow *handle, const struct peer_connect_config *config)
{
    struct manner_spec specs[MANNERS_MAX];
    if (!config->manners)
        return 0;
    int count =
        manners_read(handle->net, config->manners, config->udp, PEER_MANNER_CONNECT, specs, NULL);
    int status =
        count < 0 ? count : manners_check_target(handle->net, specs, count, &config->to, NULL);
    return status < 0 ? status : manners_dress(&handle->flow, specs, count);
}

int peer_connect(struct peer_net *net, const struct peer_connect_config *config,
                 struct peer_flow **ret_flow)
{
    struct stack_tuple tuple = {
        .remote = config->to, .local_port = config->from_port, .remote_port = config->to_port};
    int status = net_choose_peer(net, &config->from, &tuple.local);
    if (status < 0)
        return status;
    if (config->proxy_protocol > (config->udp ? 0 : PROXY_HEADER_BINARY))
        return -EINVAL;
    if (tuple.local.family != config->to.family)
        return -EAFNOSUPPORT;
    struct peer_flow *handle = handle_new(net, NULL, config->user);
    if (!handle)
        return -ENOMEM;
    handle->to = config->to;

    flow_init(&handle->flow, engine_flows(net->engine), &ops);
    flow_introduce(&handle->flow, config->proxy_protocol);
    status = dress(handle, config);
    if (status == 0)
        status = flow_connect(fresh(handle), config->udp ? IPPROTO_UDP : IPPROTO_TCP, &tuple,
                              config->timeout_ns);
    if (status < 0) {
        flow_free(&handle->flow);
        return status;
    }
    touched(net);
    *ret_flow = handle;
    return 0;
}

static struct flow *accept_handle(struct peer_net *net, struct peer_listener *listener)
{
    struct peer_flow *handle = handle_new(net, listener, listener->user);
    if (!handle)
        return NULL;
    flow_init_accepted(&handle->flow, engine_flows(net->engine), &ops);
    return &handle->flow;
}

/* Called by the engine when somebody calls a listener. */
struct flow *net_flow_accept(void *user, struct stack_listener *stack,
                             const struct stack_tuple *tuple)
{
    struct peer_net *net = user;
    struct peer_listener *listener = flow_listener_user(stack);

    struct flow *flow =
        listener->serving ? serve_accept(&listener->serve, tuple) : accept_handle(net, listener);
    if (flow && listener->manner_count)
        manners_dress_caller(listener, flow);
    return flow;
}

static int listener_manners(struct peer_listener *listener, const struct peer_listen_config *config)
{
    struct manner_spec specs[MANNERS_MAX];
    int count =
        manners_read(listener->net, config->manners, config->udp, PEER_MANNER_LISTEN, specs, NULL);
    if (count <= 0)
        return count;
    listener->manners = malloc((size_t)count * sizeof(*specs));
    if (!listener->manners)
        return -ENOMEM;
    memcpy(listener->manners, specs, (size_t)count * sizeof(*specs));
    listener->manner_count = count;
    return 0;
}

int peer_listen(struct peer_net *net, const struct peer_listen_config *config,
                struct peer_listener **ret_listener)
{
    enum serve_kind kind = config->serve ? serve_kind_parse(config->serve) : SERVE_NONE;
    uint8_t protocol = config->udp ? IPPROTO_UDP : IPPROTO_TCP;

    if ((config->serve && kind == SERVE_NONE) || (config->udp && kind == SERVE_HTTP))
        return -EINVAL;
    struct peer_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->net = net;
    int status = listener_manners(listener, config);
    if (status == 0)
        status = flows_listen(engine_flows(net->engine), protocol, &config->at, config->port,
                              listener, &listener->stack);
    if (status < 0) {
        free(listener->manners);
        free(listener);
        return status;
    }
    listener->user = config->user;
    listener->serving = kind != SERVE_NONE;
    serve_init(&listener->serve, engine_flows(net->engine), kind);
    list_add_tail(&net->listeners, &listener->node);
    *ret_listener = listener;
    return 0;
}

struct peer_listener *peer_listener_free(struct peer_listener *listener)
{
    struct list *node;

    if (!listener)
        return NULL;
    serve_done(&listener->serve);
    list_each(node, &listener->net->handles)
    {
        struct peer_flow *handle = list_entry(node, struct peer_flow, node);
        if (handle->listener == listener)
            handle->listener = NULL;
    }
    flows_unlisten(engine_flows(listener->net->engine), listener->stack);
    list_remove(&listener->node);
    free(listener->manners);
    free(listener);
    return NULL;
}

void *peer_listener_user(const struct peer_listener *listener)
{
    return listener->user;
}

void peer_listener_get_stats(const struct peer_listener *listener,
                             struct peer_serve_stats *ret_stats)
{
    const struct serve *serve = &listener->serve;

    *ret_stats = (struct peer_serve_stats){
        .accepted = serve->accepted,
        .open = serve->open_count,
        .requests = serve->requests,
        .bytes_received = serve->bytes_received,
        .bytes_sent = serve->bytes_sent,
    };
    flow_listener_stats(listener->stack, &ret_stats->cookies, &ret_stats->unheard);
}

void *peer_flow_user(const struct peer_flow *flow)
{
    return flow->user;
}

void peer_flow_set_user(struct peer_flow *flow, void *user)
{
    flow->user = user;
}

ssize_t peer_flow_write(struct peer_flow *flow, const void *data, size_t len)
{
    ssize_t done = flow_write(fresh(flow), data, len, 0);

    touched(flow->net);
    return done;
}

size_t peer_flow_write_room(const struct peer_flow *flow)
{
    return flow_write_room(&flow->flow);
}

int peer_flow_peek(struct peer_flow *flow, struct iovec *iov, int count)
{
    return flow_peek(&flow->flow, iov, count);
}

void peer_flow_consume(struct peer_flow *flow, size_t len)
{
    flow_consume(fresh(flow), len);
    touched(flow->net);
}

int peer_flow_shutdown(struct peer_flow *flow)
{
    int status = flow_shutdown(fresh(flow));

    touched(flow->net);
    return status;
}

void peer_flow_close(struct peer_flow *flow)
{
    flow_close(fresh(flow));
    touched(flow->net);
}

void peer_flow_reset(struct peer_flow *flow)
{
    flow_reset(fresh(flow));
    touched(flow->net);
}

struct peer_flow *peer_flow_free(struct peer_flow *flow)
{
    if (!flow || flow->gone)
        return NULL;
    flow->gone = true;
    flow->events = 0;
    list_remove(&flow->pending);
    flow_free(&flow->flow);
    return NULL;
}

void peer_flow_get_info(const struct peer_flow *flow, struct peer_flow_info *ret_info)
{
    flow_info(&flow->flow, ret_info);
}
