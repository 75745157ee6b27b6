/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Word i of a stream is splitmix64's i-th output from the key.
 */
#include "soak/pattern.h"

#include "base/macro.h"

#include <string.h>

enum { BLOCK_BYTES = 2048 };

static uint64_t word(uint64_t key, uint64_t index)
{
    uint64_t z = key + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void pattern_fill(uint64_t key, uint64_t offset, void *out, size_t len)
{
    uint8_t *at = out;

    while (len) {
        uint64_t value = word(key, offset / 8);
        size_t skip = offset % 8, count = MIN(len, 8 - skip);
        memcpy(at, (uint8_t *)&value + skip, count);
        at += count;
        offset += count;
        len -= count;
    }
}

int64_t pattern_check(uint64_t key, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint8_t expected[BLOCK_BYTES];

    for (size_t done = 0; done < len;) {
        size_t count = MIN(len - done, sizeof(expected));
        pattern_fill(key, offset + done, expected, count);
        if (memcmp(at + done, expected, count) != 0) {
            while (at[done] == expected[done % sizeof(expected)])
                done++;
            return (int64_t)(offset + done);
        }
        done += count;
    }
    return -1;
}
