/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_LWIP_HOOKS_H
#define PEER_LWIP_HOOKS_H

/* Called by lwIP, defined in src/stack. */

#include "lwip/ip_addr.h"

u32_t peer_hook_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                        u16_t remote_port);

#endif
