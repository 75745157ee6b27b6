/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the object behind the verbs is a netlink socket and nothing else; nothing
 * is remembered about links or routes, so nothing can be stale. The verbs are in link.c, addr.c,
 * route.c and neigh.c.
 */
#include "kernel/netlink/rtnl_internal.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/rtnetlink.h>

/** `fd` < 0: open a socket of our own. */
static int rtnl_new(int fd, struct rtnl **ret_rtnl, struct peer_error *error)
{
    struct rtnl *rtnl = calloc(1, sizeof(*rtnl));
    if (!rtnl)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "no memory for a netlink socket");
    int r = fd < 0 ? nl_open(&rtnl->nl, NETLINK_ROUTE) : nl_adopt(&rtnl->nl, fd, NETLINK_ROUTE);
    if (r < 0) {
        free(rtnl);
        return error_set(error, PEER_ERROR_MACHINE, -r, "cannot %s a netlink route socket: %s",
                         fd < 0 ? "open" : "use the descriptor as", error_text(-r));
    }
    *ret_rtnl = rtnl;
    return 0;
}

int rtnl_open(struct rtnl **ret_rtnl, struct peer_error *error)
{
    return rtnl_new(-1, ret_rtnl, error);
}

int rtnl_adopt(int fd, struct rtnl **ret_rtnl, struct peer_error *error)
{
    if (fd < 0)
        return error_set(error, PEER_ERROR_MACHINE, EBADF,
                         "cannot use the descriptor as a netlink route socket: %s",
                         error_text(EBADF));
    return rtnl_new(fd, ret_rtnl, error);
}

int rtnl_fd(const struct rtnl *rtnl)
{
    return rtnl->nl.fd;
}

struct rtnl *rtnl_free(struct rtnl *rtnl)
{
    if (rtnl)
        nl_done(&rtnl->nl);
    free(rtnl);
    return NULL;
}

const char *rtnl_prefix_text(const struct addr_prefix *prefix, char buf[RTNL_PREFIX_TEXT])
{
    char addr[PEER_ADDR_TEXT];
    (void)snprintf(buf, RTNL_PREFIX_TEXT, "%s/%u", peer_addr_format(&prefix->addr, addr),
                   prefix->length);
    return buf;
}
