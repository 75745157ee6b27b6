/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/**
 * Seeded random numbers (xoshiro256**, seeded by splitmix64). Every random choice of a run comes
 * from generators derived from one seed, so a run can be repeated. Not for secrets.
 */
struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
/**
 * What is drawn from the seed of a run. The numbers mean nothing, but a run is repeated by them: none
 * changes, and none is used twice.
 */
enum rng_purpose {
    RNG_WIRES = 0x319E5,      /* the key of the table of links */
    RNG_MACS = 0x4D4143,      /* the first peer's */
    RNG_STACK = 0x5354ACC,    /* its secrets: sequence numbers, ports, cookies */
    RNG_MANNERS = 0x4D414E4E, /* who misbehaves */
    RNG_TRACE = 0x54524143,   /* the port of the traced packet */
    RNG_LINKS = 0x6C696E6B,   /* their keys, of which each peer's direction has one */
    RNG_REWRITE = 0x52575254, /* the keys of the tables of address translation, and its ports */
    RNG_TARGETS = 0x54474554, /* which of a list is asked for next */
    RNG_THINK = 0x5448494E,   /* pauses between requests; below it, a run's number */
    RNG_ARRIVALS = 0x41525256, /* when requests of an open schedule are wanted; likewise */
    RNG_PROXY = 0x50524F5859, /* which peer a user's name means */
    RNG_LOGINS = 0x4C4F47494E, /* nonces of logins */
    RNG_SHARDS = 0x5348415244, /* their seeds */
};
/**
 * A generator of its own for `purpose`, an enum rng_purpose or, below one of those, any number;
 * independent of how often others were used.
 */
void rng_derive(struct rng *rng, uint64_t seed, uint64_t purpose);
uint64_t rng_next(struct rng *rng);
/** Uniform in [0, bound), without modulo bias; bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/** Uniform in [0, 1). */
double rng_unit(struct rng *rng);

/** SipHash-2-4 of `len` bytes under a 128-bit key: for ISNs, ports and hash tables. */
uint64_t siphash(const uint64_t key[2], const void *data, uint64_t len);

#endif
