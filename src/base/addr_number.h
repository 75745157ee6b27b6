/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_ADDR_NUMBER_H
#define BASE_ADDR_NUMBER_H

#include <endian.h>
#include <peer/addr.h>
#include <stddef.h>
#include <string.h>

/**
 * An address as a 128-bit number in host order, for arithmetic on ranges; for the files of
 * addr_set.h only. An IPv4 address is in the lower 32 bits. Two words instead of __int128, which
 * 32-bit machines lack.
 */
struct addr_number {
    uint64_t high, low;
};

/** Number of bits in an address of `family` (4 or 6). */
static inline unsigned addr_width(uint8_t family)
{
    return family == 4 ? 32 : 128;
}

static inline struct addr_number addr_number(const struct peer_addr *addr)
{
    if (addr->family == 4) {
        uint32_t word;
        memcpy(&word, addr->bytes, sizeof(word));
        return (struct addr_number){0, be32toh(word)};
    }
    uint64_t words[2];
    memcpy(words, addr->bytes, sizeof(words));
    return (struct addr_number){be64toh(words[0]), be64toh(words[1])};
}

static inline struct peer_addr addr_from_number(uint8_t family, struct addr_number n)
{
    struct peer_addr addr = {.family = family};
    if (family == 4) {
        uint32_t word = htobe32((uint32_t)n.low);
        memcpy(addr.bytes, &word, sizeof(word));
    } else {
        uint64_t words[2] = {htobe64(n.high), htobe64(n.low)};
        memcpy(addr.bytes, words, sizeof(words));
    }
    return addr;
}

static inline bool number_less(struct addr_number a, struct addr_number b)
{
    return a.high != b.high ? a.high < b.high : a.low < b.low;
}

static inline bool number_equal(struct addr_number a, struct addr_number b)
{
    return a.high == b.high && a.low == b.low;
}

/** Modulo 2^128, like the next one. */
static inline struct addr_number number_add(struct addr_number a, uint64_t n)
{
    uint64_t low = a.low + n;
    return (struct addr_number){a.high + (low < n), low};
}

static inline struct addr_number number_subtract(struct addr_number a, struct addr_number b)
{
    return (struct addr_number){a.high - b.high - (a.low < b.low), a.low - b.low};
}

/** The lowest `bits` (0 to 128) bits set. */
static inline struct addr_number number_mask(unsigned bits)
{
    return (struct addr_number){
        bits <= 64 ? 0 : UINT64_MAX >> (128 - bits),
        bits == 0 ? 0 : UINT64_MAX >> (bits >= 64 ? 0 : 64 - bits),
    };
}

static inline struct addr_number number_or(struct addr_number a, struct addr_number b)
{
    return (struct addr_number){a.high | b.high, a.low | b.low};
}

/** `a` without the bits of `b`. */
static inline struct addr_number number_clear(struct addr_number a, struct addr_number b)
{
    return (struct addr_number){a.high & ~b.high, a.low & ~b.low};
}

/** How many zero bits end the number; 128 for zero. */
static inline unsigned number_trailing_zeros(struct addr_number n)
{
    if (n.low)
        return (unsigned)__builtin_ctzll(n.low);
    return n.high ? 64 + (unsigned)__builtin_ctzll(n.high) : 128;
}

/**
 * The length of a prefix of `family`: decimal digits without sign, blanks or leading zeros.
 * Returns it or -EINVAL.
 */
int prefix_length_parse(const char *text, size_t len, uint8_t family);

#endif
