/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_TARGET_H
#define PROXY_TARGET_H

#include "http/head.h"

#include <peer/addr.h>

/** What a client of a proxy wants to reach: an address, or a name that somebody has to resolve. */

enum { PROXY_NAME_MOST = 255, PROXY_TARGET_TEXT = PROXY_NAME_MOST + 1 + sizeof("[]:65535") };

struct proxy_target {
    struct peer_addr addr; /* family 0: `name` is to be resolved */
    uint16_t port;
    char name[PROXY_NAME_MOST + 1]; /* "" when it was an address */
};

/** An IPv4 address that is written as an IPv6 one (RFC 4291, 2.5.5.2) is that IPv4 address. */
struct peer_addr proxy_addr_unmapped(struct peer_addr addr);
/**
 * A host as clients write it: an address, with or without brackets, or a name of letters, digits,
 * '-', '_' and '.'. 0, or -EINVAL with `why`; the port is left as it is.
 */
int proxy_target_set_host(struct proxy_target *target, struct http_text host, char why[HTTP_WHY]);
/**
 * "HOST:PORT", "[IPV6]:PORT" (RFC 3986 3.2). Without a port it is `port`, and when that is 0 an
 * error. 0, or -EINVAL with `why`.
 */
int proxy_target_parse(struct http_text authority, uint16_t port, struct proxy_target *ret_target,
                       char why[HTTP_WHY]);
/** "192.0.2.1:80", "[2001:db8::1]:80", "name:80"; returns `buf`. */
const char *proxy_target_format(const struct proxy_target *target, char buf[PROXY_TARGET_TEXT]);
bool proxy_target_equal(const struct proxy_target *a, const struct proxy_target *b);

#endif
