/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: RTM_NEWNEIGH with NUD_PERMANENT, which neither ages nor counts against
 * gc_thresh3. A set goes in datagrams of NL_BATCH_MAX messages with one acknowledgement each. A dump
 * may be asked for one device, which old kernels do not hear, so it is looked at once more.
 */
#include "kernel/netlink/rtnl_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/** header, ndmsg, an IPv6 address, a MAC; all multiples of four */
enum { NEIGH_BYTES = 16 + 12 + 20 + 12 };

static void build(struct nl_request *request, int ifindex, const struct peer_addr *addr,
                  const struct peer_mac *mac)
{
    const struct ndmsg info = {
        .ndm_family = (uint8_t)nl_family(addr->family),
        .ndm_ifindex = ifindex,
        .ndm_state = NUD_PERMANENT,
    };

    nl_begin(request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
    nl_put_addr(request, NDA_DST, addr);
    nl_put(request, NDA_LLADDR, mac->bytes, sizeof(mac->bytes));
}

static int neigh_fail(struct rtnl *rtnl, int status, int ifindex, const struct peer_addr *addr,
                      struct peer_error *error)
{
    char device[IF_NAMESIZE], text[PEER_ADDR_TEXT];
    return nl_fail(&rtnl->nl, status, error, "add neighbour %s dev %s",
                   peer_addr_format(addr, text), rtnl_device_text(rtnl, ifindex, device));
}

int rtnl_neigh_add(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr,
                   const struct peer_mac *mac, struct peer_error *error)
{
    struct nl_request request;

    build(&request, ifindex, addr, mac);
    int r = nl_call(&rtnl->nl, &request, NULL);
    return r < 0 ? neigh_fail(rtnl, r, ifindex, addr, error) : 0;
}

int rtnl_neigh_add_set(struct rtnl *rtnl, int ifindex, const struct addr_set *set, uint64_t count,
                       struct peer_mac first, struct peer_error *error)
{
    _Alignas(4) uint8_t bytes[NL_BATCH_MAX * NEIGH_BYTES];
    struct nl_request request;

    assert(count <= set->count);
    for (uint64_t done = 0; done < count;) {
        uint32_t n = 0, failed = 0;
        size_t len = 0;
        for (; n < NL_BATCH_MAX && done + n < count; n++) {
            const struct peer_addr addr = addr_set_at(set, done + n);
            const struct peer_mac mac = mac_add(first, done + n);
            build(&request, ifindex, &addr, &mac);
            assert(request.header.nlmsg_len <= sizeof(bytes) - len);
            memcpy(bytes + len, request.bytes, request.header.nlmsg_len);
            len += request.header.nlmsg_len;
        }
        int r = nl_batch(&rtnl->nl, bytes, len, n, &failed);
        if (r < 0) {
            const struct peer_addr addr = addr_set_at(set, done + failed);
            return neigh_fail(rtnl, r, ifindex, &addr, error);
        }
        done += n;
    }
    return 0;
}

bool rtnl_neigh_parse(const struct nlmsghdr *message, int *ret_ifindex,
                      struct rtnl_neighbour *ret_neighbour)
{
    const struct nlattr *table[NDA_LLADDR + 1];
    struct rtnl_neighbour neighbour = {0};

    if (message->nlmsg_type != RTM_NEWNEIGH ||
        !nl_attributes(message, sizeof(struct ndmsg), table, NDA_LLADDR))
        return false;
    const struct ndmsg *info = nl_payload(message, sizeof(*info));
    if (!nl_get_addr(table[NDA_DST], info->ndm_family, &neighbour.addr))
        return false;
    (void)nl_get(table[NDA_LLADDR], neighbour.mac.bytes, sizeof(neighbour.mac.bytes));
    neighbour.state = info->ndm_state;
    *ret_ifindex = info->ndm_ifindex;
    *ret_neighbour = neighbour;
    return true;
}

int rtnl_neigh_each(struct rtnl *rtnl, int ifindex, uint8_t family,
                    int (*each)(void *user, const struct rtnl_neighbour *neighbour), void *user)
{
    const struct ndmsg info = {.ndm_family = (uint8_t)nl_family(family)};
    struct nl_answers answers = {0};
    struct nl_request request;
    struct rtnl_neighbour neighbour;
    int where;

    nl_begin(&request, RTM_GETNEIGH, 0, &info, sizeof(info));
    nl_put_u32(&request, NDA_IFINDEX, (uint32_t)ifindex);
    int status = nl_dump(&rtnl->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && status == 0;
         m = nl_next(&answers, m))
        if (rtnl_neigh_parse(m, &where, &neighbour) && where == ifindex)
            status = each(user, &neighbour);
    nl_answers_done(&answers);
    return status;
}

/** A request about one entry. */
static void build_about(struct nl_request *request, uint16_t type, int ifindex,
                        const struct peer_addr *addr)
{
    const struct ndmsg info = {.ndm_family = (uint8_t)nl_family(addr->family),
                               .ndm_ifindex = ifindex};

    nl_begin(request, type, 0, &info, sizeof(info));
    nl_put_addr(request, NDA_DST, addr);
}

int rtnl_neigh_state(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr)
{
    struct nl_answers answers = {0};
    struct nl_request request;

    build_about(&request, RTM_GETNEIGH, ifindex, addr);
    int status = nl_call(&rtnl->nl, &request, &answers);
    const struct nlmsghdr *message = nl_next(&answers, NULL);
    const struct ndmsg *info = message ? nl_payload(message, sizeof(*info)) : NULL;
    if (status == 0 && info && message->nlmsg_type == RTM_NEWNEIGH)
        status = info->ndm_state;
    else if (status == -ENOENT)
        status = 0;
    nl_answers_done(&answers);
    return status;
}

int rtnl_neigh_del(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr)
{
    struct nl_request request;

    build_about(&request, RTM_DELNEIGH, ifindex, addr);
    return nl_call(&rtnl->nl, &request, NULL);
}
