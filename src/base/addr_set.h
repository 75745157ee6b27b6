/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_ADDR_SET_H
#define BASE_ADDR_SET_H

#include <peer/addr.h>
#include <peer/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * An ordered set of addresses of one family, kept as ranges: the peers. Addresses have an index
 * (0, 1, ...), in the order of the text. Size is in ranges, not in addresses, so a /64 is cheap.
 *
 * Text: a comma list of ADDR, ADDR/LEN and ADDR-ADDR. From an IPv4 prefix shorter than /31 the
 * network and broadcast addresses are left out, from an IPv6 prefix shorter than /127 the
 * subnet-router anycast address (RFC 4291, 2.6.1). Host bits of ADDR/LEN are cleared. Parts that
 * follow each other in address and in text become one range.
 */
struct addr_range {
    struct peer_addr first, last; /* inclusive */
    bool skipped_before;          /* the address before `first` was left out of a prefix */
    bool skipped_after;           /* likewise after `last` */
    uint64_t base;                /* index of `first` */
};

struct addr_set {
    struct addr_range *ranges; /* in the order of the text */
    struct addr_range *sorted; /* the same by address; NULL when `ranges` is in that order itself */
    size_t range_count;
    uint64_t count; /* addresses in all; capped at ADDR_SET_MAX, those past it have no index */
    uint8_t family;
};

#define ADDR_SET_MAX      ((uint64_t)1 << 32)
#define ADDR_PREFIXES_MAX 4096

/**
 * Parses `text`; errors (bad address, bad prefix, end before start, overlap, two families,
 * multicast, loopback, 0.0.0.0, broadcast, and what else the kernel takes from no sender; a part
 * that begins after ADDR_SET_MAX addresses) are -EINVAL with one clear line that names the part.
 * -ENOMEM is the only other error. End the set with `addr_set_done`.
 */
int addr_set_parse(const char *text, struct addr_set *ret_set, struct peer_error *error);
/** Frees the ranges and zeroes the set. Takes a zeroed set, and NULL. */
void addr_set_done(struct addr_set *set);

/** The address at `index` (< count). */
struct peer_addr addr_set_at(const struct addr_set *set, uint64_t index);
/** Index of `addr`, or -1 (also for one past the cap). O(log ranges). */
int64_t addr_set_find(const struct addr_set *set, const struct peer_addr *addr);

/** The set as text that addr_set_parse takes; "" when it needs more than `room`. */
void addr_set_format(const struct addr_set *set, char *text, size_t room);
/** Whether they share an address. */
bool addr_set_overlap(const struct addr_set *a, const struct addr_set *b);
/** Another set of the same addresses and indices. 0 or -ENOMEM. */
int addr_set_copy(const struct addr_set *set, struct addr_set *ret_copy);
/** Cuts `set` down to `count` (> 0) addresses from index `first` on. 0 or -ENOMEM. */
int addr_set_slice(struct addr_set *set, uint64_t first, uint64_t count);

/** One prefix that is part of a covering of ranges. */
struct addr_prefix {
    struct peer_addr addr;
    uint8_t length;
};
/**
 * The smallest list of prefixes that covers the set and nothing else, except that network and
 * broadcast addresses left out at parse time may be covered. In the order of addresses; addresses
 * past the cap are covered too. `*ret_prefixes` is malloc-ed.
 * Returns the count or -errno (-E2BIG above ADDR_PREFIXES_MAX prefixes, -ENOMEM).
 */
int addr_set_prefixes(const struct addr_set *set, struct addr_prefix **ret_prefixes);

/** ADDR/LEN -> prefix (host bits may be set). 0 or -EINVAL. A missing /LEN means the full
 *  length. */
int addr_prefix_parse(const char *text, struct addr_prefix *ret_prefix);
/** Whether two prefixes share an address. A prefix or an address of family 0 shares nothing. */
bool addr_prefix_overlap(const struct addr_prefix *a, const struct addr_prefix *b);
bool addr_prefix_contains(const struct addr_prefix *prefix, const struct peer_addr *addr);

bool addr_is_loopback(const struct peer_addr *addr);
bool addr_is_multicast(const struct peer_addr *addr);
bool addr_is_unspecified(const struct peer_addr *addr);
bool addr_is_link_local(const struct peer_addr *addr);

/** `mac` plus `n`, counting in the lower 40 bits. */
struct peer_mac mac_add(struct peer_mac mac, uint64_t n);

#endif
