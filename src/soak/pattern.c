/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Word i of a stream is splitmix64's i-th output from the key. Each step of that can be undone, so a
 * word tells its place.
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

static uint64_t index_of(uint64_t key, uint64_t z)
{
    z ^= (z >> 31) ^ (z >> 62);
    z *= UINT64_C(0x319642b2d24d8ec3); /* the inverses, modulo 2^64 */
    z ^= (z >> 27) ^ (z >> 54);
    z *= UINT64_C(0x96de1b173f119089);
    z ^= (z >> 30) ^ (z >> 60);
    return (z - key) * UINT64_C(0xf1de83e19937733d) - 1;
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

bool pattern_find(uint64_t key, const void *data, size_t len, uint64_t *ret_offset)
{
    for (size_t at = 0; at < 8 && at + 8 <= len; at++) {
        uint64_t value, index;
        memcpy(&value, (const uint8_t *)data + at, sizeof(value));
        index = index_of(key, value);
        if (index > INT64_MAX / 8 || index * 8 < at)
            continue;
        *ret_offset = index * 8 - at;
        if (pattern_check(key, *ret_offset, data, len) < 0)
            return true;
    }
    return false;
}
