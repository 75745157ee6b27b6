/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_SHARD_H
#define BASE_SHARD_H

#include <stdint.h>

/**
 * What is shared by several processes is cut into as many parts, whose sizes differ by one at the most:
 * part `shard` of `total` is from shard_begin(total, shard, shards) to that of the next.
 */
enum { SHARDS_MOST = 65536 };
static inline uint64_t shard_begin(uint64_t total, uint64_t shard, uint64_t shards)
{
    return total / shards * shard + total % shards * shard / shards;
}
/** The part in which `index` (< total) is. */
static inline uint64_t shard_of(uint64_t total, uint64_t index, uint64_t shards)
{
    uint64_t shard = index / (total / shards + 1); /* or one of the following */

    while (shard + 1 < shards && shard_begin(total, shard + 1, shards) <= index)
        shard++;
    return shard;
}
/** One after the other in turn instead: how many of `total` are those of `shard`. */
static inline uint64_t shard_turns(uint64_t total, uint64_t shard, uint64_t shards)
{
    return total / shards + (shard < total % shards);
}

#endif
