/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS as callers of the library hold it: a context that flows, listeners and soaks of its net share,
 * and what a flow has agreed on. Secrets go to the capture of the net, if there is one.
 */
#include "lib/internal.h"

#include <stdlib.h>

static void note_secret(void *user, const char *line)
{
    struct peer_net *net = user;

    engine_note_secret(net->engine, line);
}

static int make(struct peer_net *net, const struct peer_tls_config *config,
                struct peer_tls **ret_tls, struct peer_error *error)
{
    const struct tls_host host = {
        .secret = note_secret, .user = net, .peers = net->attachment.peers.count};
    struct peer_tls *tls = calloc(1, sizeof(*tls));

    if (!tls)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    int status = tls_context_new(config, &host, &tls->context, error);
    if (status < 0) {
        free(tls);
        return status;
    }
    tls->net = net;
    list_add_tail(&net->contexts, &tls->node);
    engine_expect_secrets(net->engine);
    tls_context_tell_secrets(tls->context, engine_captures(net->engine));
    *ret_tls = tls;
    return 0;
}

int peer_tls_new_sized(struct peer_net *net, const struct peer_tls_config *given, size_t size,
                       struct peer_tls **ret_tls, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_tls_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : make(net, &config, ret_tls, error);
}

struct peer_tls *peer_tls_free(struct peer_tls *tls)
{
    if (!tls)
        return NULL;
    if (tls->net)
        list_remove(&tls->node);
    tls_context_leave_host(tls->context);
    tls_context_free(tls->context);
    free(tls);
    return NULL;
}

void contexts_tell_secrets(struct peer_net *net)
{
    struct list *node;

    if (!list_empty(&net->contexts)) /* of a worker the engine is new */
        engine_expect_secrets(net->engine);
    list_each(node, &net->contexts)
        tls_context_tell_secrets(list_entry(node, struct peer_tls, node)->context,
                                 engine_captures(net->engine));
}

void contexts_leave(struct peer_net *net)
{
    struct list *node;

    while ((node = list_pop(&net->contexts))) {
        struct peer_tls *tls = list_entry(node, struct peer_tls, node);
        tls_context_leave_host(tls->context);
        tls->net = NULL;
    }
}

int peer_flow_get_tls_sized(const struct peer_flow *flow, struct peer_tls_info *ret_info,
                            size_t size)
{
    if (!net_is_ours(flow->net))
        return -ECHILD;
    struct peer_tls_info info;

    if (!tls_get_info(&flow->flow, &info))
        return -ENOENT;
    border_give(ret_info, size, &info, sizeof(info));
    return 0;
}
