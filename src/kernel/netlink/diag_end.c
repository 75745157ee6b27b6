/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a machine whose peers are gone still has its ends of their connections, and
 * would send for a quarter of an hour what they never acknowledged: onto a real network, where a
 * peer has never been. So these sockets are destroyed (SOCK_DESTROY, as "ss -K" does), each by the
 * cookie that the dump gave, so that no other can be meant. The program gets ECONNABORTED.
 *
 * A connection over IPv4 may have an IPv6 socket, with mapped addresses. What a time-wait or a
 * listening socket has to say nobody asks for any more.
 */
#include "kernel/netlink/diag_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

enum { PASSES = 4 };

struct sockets {
    struct diag *diag;
    const struct addr_set *peers;
    int ifindex, vrf;
    int ended;
};

static bool is_peers(const struct sockets *sockets, const struct inet_diag_msg *info)
{
    const struct peer_addr addr = diag_far_address(info);
    const int bound = (int)info->id.idiag_if;

    if (bound && bound != sockets->ifindex && bound != sockets->vrf)
        return false; /* of somebody of that address elsewhere */
    return addr.family == sockets->peers->family && addr_set_find(sockets->peers, &addr) >= 0;
}

static int destroy(struct sockets *sockets, const struct inet_diag_msg *found)
{
    const struct inet_diag_req_v2 info = {.sdiag_family = found->idiag_family,
                                          .sdiag_protocol = IPPROTO_TCP,
                                          .idiag_states = UINT32_MAX,
                                          .id = found->id};
    struct nl_request request;

    nl_begin(&request, SOCK_DESTROY, 0, &info, sizeof(info));
    int status = nl_call(&sockets->diag->nl, &request, NULL);
    if (status == 0)
        sockets->ended++;
    return status == -ENOENT ? 0 : status;
}

static int end_family(struct sockets *sockets, int family)
{
    const uint32_t silent = 1U << TCP_LISTEN | 1U << TCP_CLOSE | 1U << TCP_TIME_WAIT;
    const struct inet_diag_req_v2 info = {.sdiag_family = (uint8_t)family,
                                          .sdiag_protocol = IPPROTO_TCP,
                                          .idiag_states = ((2U << TCP_CLOSING) - 2) & ~silent};
    struct nl_answers answers = {0};
    struct nl_request request;

    nl_begin(&request, SOCK_DIAG_BY_FAMILY, 0, &info, sizeof(info));
    int status = nl_dump(&sockets->diag->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && status == 0;
         m = nl_next(&answers, m)) {
        const struct inet_diag_msg *found = diag_payload(m);
        if (found && is_peers(sockets, found))
            status = destroy(sockets, found);
    }
    nl_answers_done(&answers);
    return status;
}

void diag_end_connections(struct diag *diag, const struct addr_set *peers, int ifindex, int vrf)
{
    struct sockets sockets = {.diag = diag, .peers = peers, .ifindex = ifindex, .vrf = vrf};
    int status = 0;

    /* Until there is none: a program may have accepted or called while the table was read. */
    for (int i = 0; i < PASSES && status == 0; i++) {
        sockets.ended = 0;
        status = peers->family == 4 ? end_family(&sockets, AF_INET) : 0;
        if (status == 0)
            status = end_family(&sockets, AF_INET6);
        if (sockets.ended == 0)
            return;
    }
}
