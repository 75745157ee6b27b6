/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eight entries are a cache line, and a search seldom leaves the one it begins in. The tag is beside
 * the slot: other flows are not looked at on the way, neither by a search nor when the table grows
 * or closes the gap of a removed entry. It grows at once, not by and by: a million entries take a
 * few milliseconds, once.
 */
#include "rewrite/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_ENTRIES = 64 };
#define HUGE_BYTES ((uint64_t)1 << 21)

/* Searches go all over a large table: on huge pages, or each costs a walk of the page tables too. */
static uint64_t *new_entries(uint64_t count)
{
    uint64_t size = count * sizeof(uint64_t);

    if (size < HUGE_BYTES)
        return calloc(count, sizeof(uint64_t));
    uint64_t *entries = aligned_alloc(HUGE_BYTES, size);
    if (!entries)
        return NULL;
    (void)madvise(entries, size, MADV_HUGEPAGE);
    memset(entries, 0, size);
    return entries;
}

void slot_index_put(struct slot_index *index, uint32_t tag, uint32_t slot)
{
    uint32_t at = tag;

    assert(index->entries && index->count <= index->mask);
    while (index->entries[at & index->mask])
        at++;
    index->entries[at & index->mask] = (uint64_t)tag << 32 | (slot + 1);
    index->count++;
}

int slot_index_reserve(struct slot_index *index)
{
    uint64_t size = index->entries ? (uint64_t)index->mask + 1 : 0;

    if (((uint64_t)index->count + 1) * 4 <= size * 3)
        return 0;
    uint64_t new_size = size ? size * 2 : FIRST_ENTRIES;
    if (new_size > (uint64_t)UINT32_MAX + 1)
        return -ENOMEM;
    struct slot_index grown = {.entries = new_entries(new_size), .mask = (uint32_t)(new_size - 1)};
    if (!grown.entries)
        return -ENOMEM;
    for (uint64_t i = 0; i < size; i++) {
        uint64_t entry = index->entries[i];
        if (entry)
            slot_index_put(&grown, (uint32_t)(entry >> 32), (uint32_t)entry - 1);
    }
    free(index->entries);
    *index = grown;
    return 0;
}

/* The entries that follow the gap, up to an empty one, move into it when that is no farther from
 * where their search begins. */
static void close_gap(struct slot_index *index, uint32_t gap)
{
    for (uint32_t at = gap + 1;; at++) {
        uint64_t entry = index->entries[at & index->mask];
        if (entry == 0)
            break;
        uint32_t from_home = (at - (uint32_t)(entry >> 32)) & index->mask;
        if (from_home < ((at - gap) & index->mask))
            continue;
        index->entries[gap & index->mask] = entry;
        gap = at;
    }
    index->entries[gap & index->mask] = 0;
}

void slot_index_remove(struct slot_index *index, uint32_t tag, uint32_t slot)
{
    uint64_t entry = (uint64_t)tag << 32 | (slot + 1);
    uint32_t at = tag;

    while (index->entries[at & index->mask] != entry) {
        assert(index->entries[at & index->mask]);
        at++;
    }
    close_gap(index, at);
    index->count--;
}

void slot_index_done(struct slot_index *index)
{
    free(index->entries);
    *index = (struct slot_index){0};
}
