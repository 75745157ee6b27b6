/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a dump of the neighbour table for one device, and what of it is ours to take
 * away.
 */
#include "kernel/wire/wire_internal.h"

#include <libmnl/libmnl.h>
#include <string.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

static bool parse(const struct nlmsghdr *message, int ifindex, struct wire_neighbour *ret)
{
    const struct nlattr *table[NDA_LLADDR + 1];
    struct wire_neighbour neighbour = {0};

    if (message->nlmsg_type != RTM_NEWNEIGH ||
        !nl_attributes(message, sizeof(struct ndmsg), table, NDA_LLADDR))
        return false;
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    if (info->ndm_ifindex != ifindex ||
        !nl_get_addr(table[NDA_DST], info->ndm_family, &neighbour.addr))
        return false;
    (void)nl_get(table[NDA_LLADDR], neighbour.mac.bytes, sizeof(neighbour.mac.bytes));
    neighbour.state = info->ndm_state;
    *ret = neighbour;
    return true;
}

int wire_neigh_each(struct rtnl *rtnl, int ifindex, uint8_t family,
                    int (*each)(void *user, const struct wire_neighbour *neighbour), void *user)
{
    const struct ndmsg info = {.ndm_family = (uint8_t)nl_family(family)};
    struct nl_answers answers = {0};
    struct nl_request request;
    struct wire_neighbour neighbour;

    nl_begin(&request, RTM_GETNEIGH, 0, &info, sizeof(info));
    nl_put_u32(&request, NDA_IFINDEX, (uint32_t)ifindex);
    int status = nl_dump(&rtnl->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && status == 0;
         m = nl_next(&answers, m))
        if (parse(m, ifindex, &neighbour))
            status = each(user, &neighbour);
    nl_answers_done(&answers);
    return status;
}

struct removal {
    struct rtnl *rtnl;
    int ifindex;
    const struct addr_set *peers;
    struct peer_mac first_mac;
};

static void remove_one(const struct removal *removal, const struct peer_addr *addr)
{
    const struct ndmsg info = {.ndm_family = (uint8_t)nl_family(addr->family),
                               .ndm_ifindex = removal->ifindex};
    struct nl_request request;

    nl_begin(&request, RTM_DELNEIGH, 0, &info, sizeof(info));
    nl_put_addr(&request, NDA_DST, addr);
    (void)nl_call(&removal->rtnl->nl, &request, NULL);
}

static int remove_if_ours(void *user, const struct wire_neighbour *neighbour)
{
    const struct removal *removal = user;
    const int64_t peer = addr_set_find(removal->peers, &neighbour->addr);

    if (peer < 0)
        return 0;
    const struct peer_mac mac = mac_add(removal->first_mac, (uint64_t)peer);
    if (neighbour->state & (NUD_INCOMPLETE | NUD_FAILED) ||
        memcmp(mac.bytes, neighbour->mac.bytes, sizeof(mac.bytes)) == 0)
        remove_one(removal, &neighbour->addr);
    return 0;
}

void wire_neigh_remove(struct rtnl *rtnl, int ifindex, const struct addr_set *peers,
                       struct peer_mac first_mac)
{
    struct removal removal = {
        .rtnl = rtnl, .ifindex = ifindex, .peers = peers, .first_mac = first_mac};

    (void)wire_neigh_each(rtnl, ifindex, peers->family, remove_if_ours, &removal);
}
