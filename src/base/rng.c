/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xoshiro256** 1.0 (Blackman and Vigna, 2018), its state filled by splitmix64 as its authors
 * advise; SipHash-2-4 (Aumasson and Bernstein, 2012). All results are the same on machines of
 * either byte order.
 */
#include "base/rng.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static inline uint64_t rotate_left(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

/* ---- random numbers ---- */

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    /* Four outputs in a row are distinct, so the state is never the forbidden all-zero one. */
    for (int i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&seed);
}

void rng_derive(struct rng *rng, uint64_t seed, uint64_t purpose)
{
    /* Mixed once more after the purpose went in: neighbouring purposes share no part of a state. */
    uint64_t mixed = splitmix64(&seed) ^ purpose;

    rng_seed(rng, splitmix64(&mixed));
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    uint64_t draw, result;

    assert(bound > 0);
    /* Multiples of `bound` begin at draw - result; the last one is incomplete and drawn again. */
    do {
        draw = rng_next(rng);
        result = draw % bound;
    } while (draw - result > UINT64_MAX - (bound - 1));
    return result;
}

double rng_unit(struct rng *rng)
{
    /* 53 bits: as many as a double holds exactly, so 1.0 is never reached by rounding. */
    return (double)(rng_next(rng) >> 11) * 0x1.0p-53;
}

/* ---- SipHash ---- */

#define SIP_ROUND(v0, v1, v2, v3)                                                                  \
    do {                                                                                           \
        v0 += v1;                                                                                  \
        v2 += v3;                                                                                  \
        v1 = rotate_left(v1, 13) ^ v0;                                                             \
        v3 = rotate_left(v3, 16) ^ v2;                                                             \
        v0 = rotate_left(v0, 32);                                                                  \
        v2 += v1;                                                                                  \
        v0 += v3;                                                                                  \
        v1 = rotate_left(v1, 17) ^ v2;                                                             \
        v3 = rotate_left(v3, 21) ^ v0;                                                             \
        v2 = rotate_left(v2, 32);                                                                  \
    } while (0)

/* The last 0 to 7 bytes in the low end of a word, the length modulo 256 in its top byte. */
static uint64_t siphash_last_word(const uint8_t *bytes, uint64_t len)
{
    uint64_t word = len << 56;

    for (unsigned i = 0; i < (len & 7); i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

uint64_t siphash(const uint64_t key[2], const void *data, uint64_t len)
{
    const uint8_t *bytes = data;
    uint64_t v0 = key[0] ^ UINT64_C(0x736F6D6570736575);
    uint64_t v1 = key[1] ^ UINT64_C(0x646F72616E646F6D);
    uint64_t v2 = key[0] ^ UINT64_C(0x6C7967656E657261);
    uint64_t v3 = key[1] ^ UINT64_C(0x7465646279746573);
    uint64_t word;

    for (uint64_t left = len; left >= 8; left -= 8, bytes += 8) {
        memcpy(&word, bytes, sizeof(word));
        word = le64toh(word);
        v3 ^= word;
        SIP_ROUND(v0, v1, v2, v3);
        SIP_ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    word = siphash_last_word(bytes, len);
    v3 ^= word;
    SIP_ROUND(v0, v1, v2, v3);
    SIP_ROUND(v0, v1, v2, v3);
    v0 ^= word;
    v2 ^= 0xFF;
    for (int i = 0; i < 4; i++)
        SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}
