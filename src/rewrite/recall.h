/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REWRITE_RECALL_H
#define REWRITE_RECALL_H

#include <stdint.h>

/**
 * A memory of fixed size for what may be forgotten: of those that share a set of four places, the
 * one used longest ago goes. Keys are 64 bits of SipHash under a secret: taken for equal when those
 * are. Zeroed but for `sets`, a power of two, it is empty; its memory is taken at the first use.
 */
struct recall_entry {
    uint64_t key; /* 0: empty */
    uint64_t value;
    uint64_t used_ns;
};

struct recall {
    struct recall_entry *entries;
    uint32_t sets;
};

enum { RECALL_WAYS = 4 };

/** The entry of that key, or NULL. */
struct recall_entry *recall_find(struct recall *recall, uint64_t key);
/** Overwrites. Without memory nothing is remembered. */
void recall_put(struct recall *recall, uint64_t key, uint64_t value, uint64_t now_ns);
void recall_done(struct recall *recall);

#endif
