/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_ADDR_H
#define PEER_ADDR_H

#include <peer/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Addresses of IP and Ethernet, and their text. */

/** An IPv4 or IPv6 address without a port. All zero bytes with family 0 means "none". */
struct peer_addr {
    uint8_t family;    /* 4, 6, or 0 for none */
    uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

/** An Ethernet address. */
struct peer_mac {
    uint8_t bytes[6];
};

/** Room for the longest text of an address or MAC, with the terminating zero. */
enum { PEER_ADDR_TEXT = 46, PEER_MAC_TEXT = 18, PEER_ENDPOINT_TEXT = 56 };

/** Numeric text to address. Returns 0 or -EINVAL; no zone ids, no host names. */
PEER_EXPORT int peer_addr_parse(const char *text, struct peer_addr *ret_addr);
/** Writes the canonical text (RFC 5952 for IPv6) and returns `buf`. */
PEER_EXPORT const char *peer_addr_format(const struct peer_addr *addr, char buf[PEER_ADDR_TEXT]);
/** "192.0.2.1:80" or "[2001:db8::1]:80"; returns `buf`. */
PEER_EXPORT const char *peer_endpoint_format(const struct peer_addr *addr, uint16_t port,
                                             char buf[PEER_ENDPOINT_TEXT]);
PEER_EXPORT bool peer_addr_equal(const struct peer_addr *a, const struct peer_addr *b);

/** "02:00:00:00:00:01" (':' or '-'). Returns 0 or -EINVAL; refuses group addresses and all
 *  zeros. */
PEER_EXPORT int peer_mac_parse(const char *text, struct peer_mac *ret_mac);
PEER_EXPORT const char *peer_mac_format(const struct peer_mac *mac, char buf[PEER_MAC_TEXT]);

#ifdef __cplusplus
}
#endif

#endif
