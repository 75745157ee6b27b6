/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_SOCKS_H
#define PROXY_SOCKS_H

#include "proxy/target.h"

#include <sys/types.h>

/** The header in front of each datagram of a UDP association (RFC 1928 7). */
enum { SOCKS_DATAGRAM_HEAD = 3 + 1 + 16 + 2 }; /* of an address, at the most */

/** Where the datagram's own bytes begin; -EINVAL for what is none, or is a fragment. */
ssize_t socks_datagram_parse(const void *data, size_t len, struct proxy_target *ret_target);
/** The header of one that came from there; its length. */
size_t socks_datagram_head(const struct peer_addr *addr, uint16_t port,
                           unsigned char head[SOCKS_DATAGRAM_HEAD]);

#endif
