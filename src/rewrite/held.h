/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REWRITE_HELD_H
#define REWRITE_HELD_H

#include "base/list.h"

#include <stdint.h>

/**
 * Copies of fragments that came before their first one: few and small, the oldest goes when there
 * are too many.
 */
enum { HELD_MOST = 64, HELD_BYTES = 256 * 1024 };

struct held_packet {
    struct list node;
    uint64_t key; /* what the fragments of its packet share */
    uint64_t came_ns;
    size_t len;
    uint8_t data[];
};

struct held {
    struct list packets; /* the oldest first */
    unsigned count;
    size_t bytes;
};

void held_init(struct held *held);
void held_done(struct held *held);
/** Without memory it is not held. */
void held_add(struct held *held, uint64_t key, const uint8_t *data, size_t len, uint64_t now_ns);
/** The oldest one of `key`, now the caller's to free, or NULL. What came `age_ns` ago or before is
 *  dropped. */
struct held_packet *held_take(struct held *held, uint64_t key, uint64_t now_ns, uint64_t age_ns);

#endif
