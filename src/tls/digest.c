/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SHA-1 (FIPS 180-4) and base64. OpenSSL's reads its configuration when it is first asked, which a
 * process that has confined itself cannot.
 */
#include "tls/digest.h"

#include <string.h>

enum { BLOCK_BYTES = 64 };

static uint32_t turn(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

static void add_block(uint32_t state[5], const uint8_t *block)
{
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (size_t i = 0; i < 80; i++) {
        static const uint32_t keys[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
        const uint32_t mixed = i < 20   ? (b & c) | (~b & d)
                               : i < 40 ? b ^ c ^ d
                               : i < 60 ? (b & c) | (b & d) | (c & d)
                                        : b ^ c ^ d;
        const uint32_t next = turn(a, 5) + mixed + e + keys[i / 20] + w[i];
        e = d;
        d = c;
        c = turn(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

int digest_sha1(const void *data, size_t len, uint8_t ret_digest[DIGEST_SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint8_t *at = data;
    uint8_t last[2 * BLOCK_BYTES] = {0};
    size_t left = len;

    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES)
        add_block(state, at);
    memcpy(last, at, left);
    last[left] = 0x80;
    const size_t total = left + 9 > BLOCK_BYTES ? 2 * BLOCK_BYTES : BLOCK_BYTES;
    for (size_t i = 0; i < 8; i++)
        last[total - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
    for (size_t i = 0; i < total; i += BLOCK_BYTES)
        add_block(state, last + i);
    for (size_t i = 0; i < DIGEST_SHA1_BYTES; i++)
        ret_digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    return 0;
}

void digest_base64(const void *data, size_t len, char *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = data;

    for (size_t i = 0; i < len; i += 3) {
        const size_t count = len - i < 3 ? len - i : 3;
        const uint32_t bits = (uint32_t)from[i] << 16 | (count > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                              (count > 2 ? from[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++)
            *out++ = k <= count ? letters[bits >> (18 - 6 * k) & 63] : '=';
    }
    *out = 0;
}
