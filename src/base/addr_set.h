/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_ADDR_SET_H
#define BASE_ADDR_SET_H

#include <peer/addr.h>
#include <peer/error.h>

/**
 * An ordered set of addresses of one family, kept as ranges: the peers. Addresses have an index
 * (0, 1, ...), in the order of the text. Size is in ranges, not in addresses, so a /64 is cheap.
 *
 * Text: a comma list of ADDR, ADDR/LEN and ADDR-ADDR. From an IPv4 prefix shorter than /31 the
 * network and broadcast addresses are left out, from an IPv6 prefix shorter than /127 the
 * subnet-router anycast address (RFC 4291, 2.6.1).
 */
struct addr_range {
    struct peer_addr first, last; /* inclusive */
    uint64_t base;                /* index of `first` */
};

struct addr_set {
    struct addr_range *ranges;
    size_t range_count;
    uint64_t count; /* addresses in all; capped at ADDR_SET_MAX */
    uint8_t family;
};

#define ADDR_SET_MAX ((uint64_t)1 << 32)

/**
 * Parses `text`; errors (bad address, bad prefix, end before start, overlap, two families,
 * multicast, loopback, 0.0.0.0, broadcast) are -EINVAL with one clear line that names the part.
 */
int addr_set_parse(const char *text, struct addr_set *ret_set, struct peer_error *error);
void addr_set_done(struct addr_set *set);

/** The address at `index` (< count). */
struct peer_addr addr_set_at(const struct addr_set *set, uint64_t index);
/** Index of `addr`, or -1. O(log ranges). */
int64_t addr_set_find(const struct addr_set *set, const struct peer_addr *addr);

/** One prefix that is part of a covering of ranges. */
struct addr_prefix {
    struct peer_addr addr;
    uint8_t length;
};
/**
 * The smallest list of prefixes that covers the set and nothing else, except that network and
 * broadcast addresses left out at parse time may be covered. `*ret_prefixes` is malloc-ed.
 * Returns the count or -errno (-E2BIG above 4096 prefixes).
 */
int addr_set_prefixes(const struct addr_set *set, struct addr_prefix **ret_prefixes);

/** ADDR/LEN -> prefix (host bits may be set). 0 or -EINVAL. A missing /LEN means the full length. */
int addr_prefix_parse(const char *text, struct addr_prefix *ret_prefix);
/** Whether two prefixes share an address. */
bool addr_prefix_overlap(const struct addr_prefix *a, const struct addr_prefix *b);
bool addr_prefix_contains(const struct addr_prefix *prefix, const struct peer_addr *addr);

bool addr_is_loopback(const struct peer_addr *addr);
bool addr_is_multicast(const struct peer_addr *addr);
bool addr_is_unspecified(const struct peer_addr *addr);
bool addr_is_link_local(const struct peer_addr *addr);

/** `mac` plus `n`, counting in the lower 40 bits. */
struct peer_mac mac_add(struct peer_mac mac, uint64_t n);

#endif
