/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SUPPORT_KERNEL_DEVICE_H
#define TESTS_SUPPORT_KERNEL_DEVICE_H

#include "kernel/netlink/rtnl.h"
#include "kernel/netlink/tun.h"

/** A TUN device that is up, with 198.18.0.1/24 at the kernel's side. 0 or below; the test closes
 *  its descriptor. */
static inline int kernel_device_make(struct tun *ret_tun)
{
    const struct tun_config config = {.offload = true};
    const struct rtnl_link_change change = {.up = true};
    struct addr_prefix local;
    struct peer_error error;
    struct rtnl *rtnl;

    if (addr_prefix_parse("198.18.0.1/24", &local) < 0 || tun_open(&config, ret_tun, &error) < 0 ||
        rtnl_open(&rtnl, &error) < 0)
        return -1;
    int r = rtnl_addr_add(rtnl, ret_tun->ifindex, &local, &error);
    if (r == 0)
        r = rtnl_link_set(rtnl, ret_tun->ifindex, &change, &error);
    rtnl_free(rtnl);
    return r;
}

#endif
