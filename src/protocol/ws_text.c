/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text of a pattern. Two bytes of the pattern are a pair: about every eighth is a letter of two bytes
 * (U+0100 to U+017F), the others are two letters of one ('0' to 'o').
 */
#include "protocol/ws_text.h"

#include "base/macro.h"
#include "soak/pattern.h"

#include <string.h>

enum { BLOCK_BYTES = 1024 };

static void make_pair(uint8_t *pair, bool whole)
{
    if (whole && pair[0] >= 0xe0) {
        pair[0] = (uint8_t)(0xc4 | (pair[0] & 1));
        pair[1] = (uint8_t)(0x80 | (pair[1] & 0x3f));
        return;
    }
    pair[0] = (uint8_t)('0' + (pair[0] & 0x3f));
    pair[1] = (uint8_t)('0' + (pair[1] & 0x3f));
}

void ws_text_fill(uint64_t key, uint64_t base, uint64_t size, uint64_t at, void *out, size_t len)
{
    uint8_t block[BLOCK_BYTES + 2], *to = out;

    while (len) {
        const size_t skip = at % 2, part = MIN(len, (size_t)BLOCK_BYTES);
        const size_t pairs = (skip + part + 1) / 2;
        pattern_fill(key, base + at - skip, block, 2 * pairs);
        for (size_t i = 0; i < pairs; i++)
            make_pair(block + 2 * i, at - skip + 2 * i + 1 < size);
        memcpy(to, block + skip, part);
        to += part;
        at += part;
        len -= part;
    }
}

int64_t ws_text_check(uint64_t key, uint64_t base, uint64_t size, uint64_t at, const void *data,
                      size_t len)
{
    const uint8_t *from = data;
    uint8_t expected[BLOCK_BYTES];

    for (size_t done = 0; done < len; done += MIN(len - done, sizeof(expected))) {
        const size_t part = MIN(len - done, sizeof(expected));
        ws_text_fill(key, base, size, at + done, expected, part);
        if (memcmp(from + done, expected, part) == 0)
            continue;
        for (size_t i = 0;; i++) {
            if (from[done + i] != expected[i])
                return (int64_t)(at + done + i);
        }
    }
    return -1;
}
