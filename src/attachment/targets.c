/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Crowds of flows go to few addresses: a look-up in the kernel costs as much as several packets. An
 * address has one place, and who comes last has it: nobody can make this grow.
 */
#include "attachment/targets.h"

#include "base/macro.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

#define STANDS_NS NS_PER_S

static size_t place_of(const struct peer_addr *addr)
{
    uint32_t hash = addr->family;

    for (size_t i = 0; i < sizeof(addr->bytes); i++)
        hash = hash * 31 + addr->bytes[i];
    return hash % TARGETS_ROOM;
}

static int ask(struct rtnl *rtnl, const struct peer_addr *addr)
{
    const struct rtnl_lookup lookup = {.dst = *addr};
    struct rtnl_route route;
    int status = rtnl_route_lookup(rtnl, &lookup, &route, NULL);

    if (status == -ENOBUFS || status == -ENOMEM || status == -EBADF)
        return status; /* it was not the kernel's verdict */
    return status == 0 && route.type == RTN_LOCAL;
}

int targets_find(const struct targets *targets, const struct peer_addr *addr, uint64_t now_ns)
{
    const struct target_answer *answer = &targets->answers[place_of(addr)];

    return peer_addr_equal(&answer->addr, addr) && now_ns - answer->asked_ns < STANDS_NS
               ? answer->local
               : -ENOENT;
}

void targets_note(struct targets *targets, const struct peer_addr *addr, bool local, uint64_t now_ns)
{
    targets->answers[place_of(addr)] =
        (struct target_answer){.addr = *addr, .local = local, .asked_ns = now_ns};
}

int targets_is_local(struct targets *targets, struct rtnl *rtnl, const struct peer_addr *addr,
                     uint64_t now_ns)
{
    int local = targets_find(targets, addr, now_ns);

    if (local >= 0)
        return local;
    local = ask(rtnl, addr);
    if (local >= 0)
        targets_note(targets, addr, local, now_ns);
    return local;
}
