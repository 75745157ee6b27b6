/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manners as callers of the library give them: in words. What they do is src/manner/manner.c.
 *
 * A handshake that is never finished, and a flood of them, only ever goes to this machine: with a
 * foreign target, which the net may have been allowed, it would be an attack on somebody else.
 */
#include "lib/internal.h"

#include <peer/manner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what there is ---- */

static void format_value(const struct manner *manner, char *buf, size_t room)
{
    static const char *const units[] = {
        [MANNER_BYTES_PER_S] = "B/s", [MANNER_PER_S] = "/s", [MANNER_BYTES] = "B"};

    if (manner->unit != MANNER_NO_VALUE)
        snprintf(buf, room, "%llu%s", (unsigned long long)manner->value, units[manner->unit]);
}

int peer_manner_sized(size_t index, struct peer_manner *ret_manner, size_t size)
{
    static const char *const states[] = {[MANNER_AT_SYN] = "syn",
                                         [MANNER_AT_CONNECTED] = "connected",
                                         [MANNER_AT_REQUEST] = "request"};
    const struct manner *manner = manner_at(index);

    if (!manner)
        return 0;
    struct peer_manner found = {.name = manner->name,
                                .about = manner->about,
                                .udp = manner->udp,
                                .tls = manner->tls,
                                .when = states[manner->when]};
    format_value(manner, found.value, sizeof(found.value));
    border_give(ret_manner, size, &found, sizeof(found));
    return 1;
}

int manners_read(const struct peer_net *net, const char *manners, bool udp,
                 enum peer_manner_use use, struct manner_spec specs[MANNERS_MAX],
                 struct peer_error *error)
{
    const struct manner_context context = {.udp = udp,
                                           .accepts = use == PEER_MANNER_LISTEN,
                                           .shares = use != PEER_MANNER_CONNECT,
                                           .peers = net ? net->attachment.peers.count : UINT64_MAX};

    return manners_parse(manners, &context, specs, error);
}

int peer_manners_check(const struct peer_net *net, const char *manners, bool udp,
                       enum peer_manner_use use, struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];

    return manners_read(net, manners, udp, use, specs, error);
}

int manners_check_target(struct peer_net *net, const struct manner_spec *specs, int count,
                         const struct peer_addr *to, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    for (int i = 0; i < count; i++) {
        if (!specs[i].manner->caller && !specs[i].manner->http2)
            continue;
        if (net_is_local(net, to) > 0)
            return 0;
        return error_set(error, PEER_ERROR_MACHINE, EPERM,
                         "\"%s\" goes to this machine's addresses only, and %s is none of them",
                         specs[i].manner->name, peer_addr_format(to, text));
    }
    return 0;
}

int manners_check_tls(const struct manner_spec *specs, int count, bool tls,
                      struct peer_error *error)
{
    for (int i = 0; i < count && !tls; i++) {
        if (specs[i].manner->tls)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%s\" is a manner of TLS, and these connections have none",
                             specs[i].manner->name);
    }
    return 0;
}

/* ---- flows ---- */

int manners_dress(struct flow *flow, const struct manner_spec *specs, int count)
{
    int status = 0;

    for (int i = 0; i < count && status == 0; i++)
        status = manner_start(flow, &specs[i], NULL);
    return status;
}

void manners_dress_caller(struct peer_listener *listener, struct flow *flow)
{
    int drawn = manner_draw(listener->manners, listener->manner_count,
                            listener->net->attachment.seed, listener->callers++);

    for (int i = 0; i < listener->manner_count; i++) {
        if (i == drawn || listener->manners[i].share < 0)
            (void)manner_start(flow, &listener->manners[i], NULL);
    }
}

int peer_flow_set_manners(struct peer_flow *flow, const char *manners, struct peer_error *error)
{
    if (!net_is_ours(flow->net))
        return -ECHILD;
    bool udp = flow_is_udp(&flow->flow);
    struct manner_spec specs[MANNERS_MAX];

    engine_now_fresh_ns(flow->net->engine);
    int count = manners_read(flow->net, manners, udp, PEER_MANNER_CONNECT, specs, error);
    for (int i = 0; i < count; i++) {
        if (manner_never_opens(specs[i].manner))
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%s\" is for a new connection; this one is open",
                             specs[i].manner->name);
    }
    if (count < 0)
        return count;
    if (manners_dress(&flow->flow, specs, count) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return 0;
}

int peer_flow_roam(struct peer_flow *flow, const struct peer_addr *to)
{
    if (!net_is_ours(flow->net))
        return -ECHILD;
    engine_now_fresh_ns(flow->net->engine);
    return flow_roam(&flow->flow, to);
}
