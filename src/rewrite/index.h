/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REWRITE_INDEX_H
#define REWRITE_INDEX_H

#include <stdint.h>

#define SLOT_NONE UINT32_MAX

/**
 * Slots by a tag of 32 bits, the hash of what is in them: open addressing, a power of two of
 * entries, never more than 3/4 in use. Equal tags may belong to different keys, so the caller
 * compares. Zeroed, it is empty.
 */
struct slot_index {
    uint64_t *entries; /* tag << 32 | slot + 1; 0 is an empty one */
    uint32_t mask, count;
};

/** Makes room for one more: 0 or -ENOMEM. */
int slot_index_reserve(struct slot_index *index);
/** There must be room. */
void slot_index_put(struct slot_index *index, uint32_t tag, uint32_t slot);
/** It must be there. */
void slot_index_remove(struct slot_index *index, uint32_t tag, uint32_t slot);
void slot_index_done(struct slot_index *index);

/** The next slot of that tag, or SLOT_NONE; `*at` is the tag at first. */
static inline uint32_t slot_index_next(const struct slot_index *index, uint32_t tag, uint32_t *at)
{
    for (; index->entries; ++*at) {
        uint64_t entry = index->entries[*at & index->mask];
        if (entry == 0)
            return SLOT_NONE;
        if (entry >> 32 == tag) {
            ++*at;
            return (uint32_t)entry - 1;
        }
    }
    return SLOT_NONE;
}

#endif
