/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_LWIP_HOOKS_H
#define PEER_LWIP_HOOKS_H

/* Called by lwIP, defined in src/stack. */

#include "lwip/ip_addr.h"

struct netif;

u32_t peer_hook_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                        u16_t remote_port);

static inline const ip6_addr_t *peer_hook_nd6_gateway(struct netif *netif, const ip6_addr_t *dest)
{
    (void)netif;
    return dest;
}

#endif
