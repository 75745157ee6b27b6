/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flows and listeners as callers of the library hold them. An event of a flow is a bit that is kept
 * until peer_net_pop_event takes it, so a flow has no queue and nothing is lost when many come.
 */
#include "lib/internal.h"

#include "flow/proxy_header.h"

#include <stdlib.h>
#include <string.h>

/* Where to listen when no port is given: Linux's range of those that are chosen. */
enum { DSCP_MOST = 63 };
enum { LISTEN_FIRST = 32768, LISTEN_PORTS = 28232 };

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
    event_note(handle, events, engine_now_ns(handle->net->engine));
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

static int dress(struct peer_flow *handle, const struct peer_connect_config *config,
                 struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];
    if (!config->manners)
        return 0;
    int count =
        manners_read(handle->net, config->manners, config->udp, PEER_MANNER_CONNECT, specs, error);
    int status =
        count < 0 ? count : manners_check_target(handle->net, specs, count, &config->to, error);
    if (status == 0)
        status = manners_check_tls(specs, count, config->tls, error);
    if (status < 0)
        return status;
    status = manners_dress(&handle->flow, specs, count);
    return status < 0 ? error_set(error, PEER_ERROR_MACHINE, -status, "%s", error_text(-status))
                      : 0;
}

static int check_facts(const struct peer_connect_config *config, struct peer_error *error)
{
    if (config->udp &&
        (config->mss || config->receive_window || config->no_timestamps || config->no_sack))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "mss, receive_window, no_timestamps and no_sack are for TCP alone");
    if (config->dscp <= DSCP_MOST)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "dscp %d; %d is the most", config->dscp,
                     DSCP_MOST);
}

/* What the peer's TCP is like, where it is not as usual. */
static int set_facts(struct peer_flow *handle, const struct peer_connect_config *config,
                     struct peer_error *error)
{
    const struct stack_facts facts = {.window = config->receive_window,
                                      .mss = config->mss,
                                      .ttl = config->ttl,
                                      .dscp = config->dscp,
                                      .no_timestamps = config->no_timestamps,
                                      .no_sack = config->no_sack};

    if (!facts.window && !facts.mss && !facts.ttl && !facts.dscp && !facts.no_timestamps &&
        !facts.no_sack)
        return 0;
    int status = flow_set_facts(&handle->flow, config->to.family, &facts);
    if (status == -EINVAL)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "mss %d; it is 64 to what the MTU takes",
                         config->mss);
    return status < 0 ? error_set(error, PEER_ERROR_MACHINE, -status, "%s", error_text(-status))
                      : 0;
}

/* What the stack's answers come from, in words. */
static int refuse_connect(const struct peer_connect_config *config, const struct stack_tuple *tuple,
                          int code, struct peer_error *error)
{
    char from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT];

    (void)peer_endpoint_format(&tuple->local, config->from_port, from);
    (void)peer_endpoint_format(&tuple->remote, tuple->remote_port, to);
    if (code == EADDRINUSE && config->from_port)
        return error_set(error, PEER_ERROR_USAGE, code, "there is a flow from %s to %s already",
                         from, to);
    if (code == EADDRINUSE)
        return error_set(error, PEER_ERROR_MACHINE, code, "no port is left for one more flow to %s",
                         to);
    if (code == ENOSPC)
        return error_set(error, PEER_ERROR_MACHINE, code,
                         "as many flows are open as max_flows allows");
    return error_set(error, PEER_ERROR_MACHINE, code, "cannot connect to %s: %s", to,
                     error_text(code));
}

static int check_connect(struct peer_net *net, const struct peer_connect_config *config,
                         struct stack_tuple *tuple, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (net->gone)
        return error_set(error, PEER_ERROR_MACHINE, -net->gone, "%s", peer_strerror(net->gone));
    if (net_choose_peer(net, &config->from, &tuple->local) < 0)
        return error_set(error, PEER_ERROR_USAGE, EADDRNOTAVAIL, "%s is none of the peers",
                         peer_addr_format(&config->from, text));
    if (config->proxy_protocol > PROXY_HEADER_BINARY)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no version %d of PROXY headers",
                         config->proxy_protocol);
    int status = check_facts(config, error);
    if (status < 0)
        return status;
    if (config->udp && (config->proxy_protocol || config->tls))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s is for TCP alone",
                         config->tls ? "TLS" : "a PROXY header");
    if (tuple->local.family == config->to.family)
        return 0;
    return error_set(
        error, PEER_ERROR_USAGE, EAFNOSUPPORT, "%s is no IPv%d address, as the peers have",
        config->to.family ? peer_addr_format(&config->to, text) : "nothing", tuple->local.family);
}

/* See watch.c; it may have come back. */
static int check_target(struct peer_net *net, const struct peer_addr *to, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (!engine_is_barred(net->engine, to))
        return 0;
    if (net_is_local(net, to) == 0)
        return error_set(error, PEER_ERROR_MACHINE, ENETUNREACH,
                         "%s is no address of this machine any more",
                         peer_addr_format(to, text));
    engine_unbar(net->engine, to);
    return 0;
}

static int connect_new(struct peer_net *net, const struct peer_connect_config *config,
                       struct peer_flow **ret_flow, struct peer_error *error)
{
    struct stack_tuple tuple = {
        .remote = config->to, .local_port = config->from_port, .remote_port = config->to_port};
    int status = check_connect(net, config, &tuple, error);
    if (status == 0)
        status = check_target(net, &config->to, error);
    if (status < 0)
        return status;
    struct peer_flow *handle = handle_new(net, NULL, config->user);
    if (!handle)
        return refuse_connect(config, &tuple, ENOMEM, error);

    flow_init(&handle->flow, engine_flows(net->engine), &ops);
    flow_introduce(&handle->flow, config->proxy_protocol);
    status = set_facts(handle, config, error);
    if (status == 0)
        status = dress(handle, config, error);
    if (status == 0 && config->tls && tls_begin(&handle->flow, config->tls->context) < 0)
        status = refuse_connect(config, &tuple, ENOMEM, error);
    if (status == 0) {
        status = flow_connect(fresh(handle), config->udp ? IPPROTO_UDP : IPPROTO_TCP, &tuple,
                              config->timeout_ns);
        if (status < 0)
            (void)refuse_connect(config, &tuple, -status, error);
    }
    if (status < 0) {
        flow_free(&handle->flow);
        return status;
    }
    handle->tuple = tuple;
    touched(net);
    *ret_flow = handle;
    return 0;
}

int peer_connect_sized(struct peer_net *net, const struct peer_connect_config *given, size_t size,
                       struct peer_flow **ret_flow, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->workers && !net->worker)
        return net_check_alone(net, "flows", error);
    struct peer_connect_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : connect_new(net, &config, ret_flow, error);
}

static struct flow *accept_handle(struct peer_net *net, struct peer_listener *listener,
                                  const struct stack_tuple *tuple)
{
    struct peer_flow *handle = handle_new(net, listener, listener->user);
    if (!handle)
        return NULL;
    handle->tuple = *tuple;
    flow_init_accepted(&handle->flow, engine_flows(net->engine), &ops);
    return &handle->flow;
}

/* Called by the engine when somebody calls a listener. */
struct flow *net_flow_accept(void *user, struct stack_listener *stack,
                             const struct stack_tuple *tuple)
{
    struct peer_net *net = user;
    struct peer_listener *listener = flow_listener_user(stack);

    struct flow *flow = listener->serving ? serve_accept(&listener->serve, tuple)
                                          : accept_handle(net, listener, tuple);
    if (flow && listener->manner_count)
        manners_dress_caller(listener, flow);
    if (flow && listener->tls && tls_begin(flow, listener->tls) < 0) {
        flow_free(flow);
        return NULL;
    }
    return flow;
}

static int listener_manners(struct peer_listener *listener, const struct peer_listen_config *config,
                            struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];
    int count =
        manners_read(listener->net, config->manners, config->udp, PEER_MANNER_LISTEN, specs, error);
    if (count <= 0)
        return count;
    listener->manners = malloc((size_t)count * sizeof(*specs));
    if (!listener->manners)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    memcpy(listener->manners, specs, (size_t)count * sizeof(*specs));
    listener->manner_count = count;
    return 0;
}

/* Port 0: the first that is free, from a place on that the seed gives. */
static int listen_somewhere(struct peer_listener *listener, const struct peer_listen_config *config)
{
    struct peer_net *net = listener->net;
    const uint8_t protocol = config->udp ? IPPROTO_UDP : IPPROTO_TCP;
    const unsigned tries = config->port ? 1 : LISTEN_PORTS;
    int status = -EADDRINUSE;

    for (unsigned i = 0; i < tries && status == -EADDRINUSE; i++) {
        listener->port = config->port;
        if (!config->port)
            listener->port = (uint16_t)(LISTEN_FIRST +
                                        (net->attachment.seed + net->listen_turn++) % LISTEN_PORTS);
        status = flows_listen(engine_flows(net->engine), protocol, &config->at, listener->port,
                              listener, &listener->stack);
    }
    return status;
}

static int refuse_listen(const struct peer_listen_config *config, int code,
                         struct peer_error *error)
{
    char text[PEER_ADDR_TEXT] = "all peers";

    if (config->at.family)
        (void)peer_addr_format(&config->at, text);
    if (code == EADDRNOTAVAIL || code == EAFNOSUPPORT)
        return error_set(error, PEER_ERROR_USAGE, code, "%s is none of the peers", text);
    if (code == EADDRINUSE)
        return error_set(error, PEER_ERROR_USAGE, code,
                         "there is a listener at port %u of %s already", config->port, text);
    return error_set(error, PEER_ERROR_MACHINE, code, "cannot listen at port %u of %s: %s",
                     config->port, text, error_text(code));
}

static int read_serve(const struct peer_listen_config *config, enum serve_kind *ret_kind,
                      struct peer_error *error)
{
    *ret_kind = config->serve ? serve_kind_parse(config->serve) : SERVE_NONE;
    if (config->serve && *ret_kind == SERVE_NONE)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" can not be served; echo, discard, and http over TCP can",
                         config->serve);
    if (config->udp && *ret_kind == SERVE_HTTP)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "http is served over TCP alone");
    if (config->udp && config->tls)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "TLS is for TCP alone");
    return 0;
}

static int listen_new(struct peer_net *net, const struct peer_listen_config *config,
                      struct peer_listener **ret_listener, struct peer_error *error)
{
    enum serve_kind kind;
    int status = read_serve(config, &kind, error);
    if (status < 0)
        return status;
    struct peer_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return refuse_listen(config, ENOMEM, error);
    listener->net = net;
    status = listener_manners(listener, config, error);
    if (status == 0 && config->tls) {
        listener->tls = tls_context_hold(config->tls->context);
        status = tls_context_serve(listener->tls);
        if (status < 0)
            (void)error_set(error, PEER_ERROR_MACHINE, -status, "cannot make a certificate");
    }
    if (status == 0) {
        status = listen_somewhere(listener, config);
        if (status < 0)
            (void)refuse_listen(config, -status, error);
    }
    if (status < 0) {
        tls_context_free(listener->tls);
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

int peer_listen_sized(struct peer_net *net, const struct peer_listen_config *given, size_t size,
                      struct peer_listener **ret_listener, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->workers && !net->worker)
        return net_check_alone(net, "listeners", error);
    struct peer_listen_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : listen_new(net, &config, ret_listener, error);
}

uint16_t peer_listener_get_port(const struct peer_listener *listener)
{
    if (!net_is_ours(listener->net))
        return 0;
    return listener->port;
}

struct peer_listener *peer_listener_free(struct peer_listener *listener)
{
    struct list *node;

    if (!listener)
        return NULL;
    (void)owner_frees(listener->net);
    serve_done(&listener->serve);
    list_each(node, &listener->net->handles)
    {
        struct peer_flow *handle = list_entry(node, struct peer_flow, node);
        if (handle->listener == listener)
            handle->listener = NULL;
    }
    flows_unlisten(engine_flows(listener->net->engine), listener->stack);
    list_remove(&listener->node);
    tls_context_free(listener->tls);
    free(listener->manners);
    free(listener);
    return NULL;
}

void *peer_listener_user(const struct peer_listener *listener)
{
    return listener->user;
}

int peer_listener_get_stats_sized(const struct peer_listener *listener,
                                  struct peer_serve_stats *ret_stats, size_t size)
{
    if (!net_is_ours(listener->net))
        return -ECHILD;
    const struct serve *serve = &listener->serve;
    struct peer_serve_stats stats = {
        .accepted = serve->accepted,
        .open = serve->open_count,
        .requests = serve->requests,
        .bytes_received = serve->bytes_received,
        .bytes_sent = serve->bytes_sent,
    };
    flow_listener_stats(listener->stack, &stats.cookies, &stats.unheard);
    border_give(ret_stats, size, &stats, sizeof(stats));
    return 0;
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
    if (!net_is_ours(flow->net))
        return -ECHILD;
    ssize_t done = flow_write(fresh(flow), data, len, 0);

    touched(flow->net);
    return done;
}

size_t peer_flow_write_room(const struct peer_flow *flow)
{
    if (!net_is_ours(flow->net))
        return 0;
    return flow_write_room(&flow->flow);
}

int peer_flow_peek(struct peer_flow *flow, struct iovec *iov, int count)
{
    if (!net_is_ours(flow->net))
        return -ECHILD;
    return flow_peek(&flow->flow, iov, count);
}

void peer_flow_consume(struct peer_flow *flow, size_t len)
{
    if (!net_is_ours(flow->net))
        return;
    flow_consume(fresh(flow), len);
    touched(flow->net);
}

int peer_flow_shutdown(struct peer_flow *flow)
{
    if (!net_is_ours(flow->net))
        return -ECHILD;
    int status = flow_shutdown(fresh(flow));

    touched(flow->net);
    return status;
}

void peer_flow_close(struct peer_flow *flow)
{
    if (!net_is_ours(flow->net))
        return;
    flow_close(fresh(flow));
    touched(flow->net);
}

void peer_flow_reset(struct peer_flow *flow)
{
    if (!net_is_ours(flow->net))
        return;
    flow_reset(fresh(flow));
    touched(flow->net);
}

struct peer_flow *peer_flow_free(struct peer_flow *flow)
{
    if (!flow || flow->gone)
        return NULL;
    (void)owner_frees(flow->net);
    flow->gone = true;
    flow->events = 0;
    list_remove(&flow->pending);
    flow_free(&flow->flow);
    return NULL;
}

/* The stack forgets them with the end; who roamed is found at its last peer. */
static void recall_tuple(const struct peer_flow *flow, struct peer_flow_info *info)
{
    info->udp = flow_is_udp(&flow->flow);
    info->from = addr_set_at(&flow->net->attachment.peers, flow_peer(&flow->flow));
    info->from_port = flow->tuple.local_port;
    info->to = flow->tuple.remote;
    info->to_port = flow->tuple.remote_port;
}

int peer_flow_get_info_sized(const struct peer_flow *flow, struct peer_flow_info *ret_info,
                             size_t size)
{
    if (!net_is_ours(flow->net))
        return -ECHILD;
    struct peer_flow_info info;

    flow_info(&flow->flow, &info);
    if (!info.from.family)
        recall_tuple(flow, &info);
    border_give(ret_info, size, &info, sizeof(info));
    return 0;
}
