/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flow is found by what is in a packet's headers: one hash, a tag of 32 bits that is beside the
 * slot in the index, and one comparison, with the first cache line of the flow. The second one,
 * which every packet changes, is asked for meanwhile.
 */
#include "internal.h"

#include <string.h>

enum { WORDS4 = 2, WORDS6 = 5 };

/* Whole words: a hash that reads what was written in smaller pieces would wait for each. */
uint32_t tuple_tag(const struct rewrite *rewrite, int which, const struct tuple *tuple)
{
    uint64_t key[WORDS6];
    bool v4 = rewrite->family == 4;

    if (v4) {
        uint32_t near, far;
        memcpy(&near, tuple->near, sizeof(near));
        memcpy(&far, tuple->far, sizeof(far));
        key[0] = (uint64_t)near << 32 | far;
    } else {
        memcpy(key, tuple->near, 16);
        memcpy(key + 2, tuple->far, 16);
    }
    key[v4 ? WORDS4 - 1 : WORDS6 - 1] = (uint64_t)tuple->near_port << 48 |
                                        (uint64_t)tuple->far_port << 32 |
                                        (uint64_t)tuple->side << 16 | tuple->protocol;
    uint64_t len = (v4 ? WORDS4 : WORDS6) * sizeof(key[0]);
    return (uint32_t)(siphash(rewrite->secrets[which], key, len) >> 32);
}

static bool same_addr(uint8_t family, const uint8_t *a, const uint8_t *b)
{
    return family == 4 ? memcmp(a, b, 4) == 0 : memcmp(a, b, 16) == 0;
}

static bool is_inside(const struct rewrite_flow *flow, const struct tuple *tuple)
{
    const uint8_t *far = flow->marks & MARK_LOCALHOST ? flow->seen : flow->target;

    return flow->inside_port == tuple->near_port && flow->target_port == tuple->far_port &&
           flow->protocol == tuple->protocol && flow->side == tuple->side &&
           same_addr(flow->family, flow->inside, tuple->near) &&
           same_addr(flow->family, far, tuple->far);
}

static bool is_outside(const struct rewrite_flow *flow, const struct tuple *tuple)
{
    return flow->outside_port == tuple->near_port && flow->target_port == tuple->far_port &&
           flow->protocol == tuple->protocol && same_addr(flow->family, flow->peer, tuple->near) &&
           same_addr(flow->family, flow->target, tuple->far);
}

static inline struct rewrite_flow *
find(const struct rewrite *rewrite, int which, const struct tuple *tuple, uint32_t tag,
     bool (*fits)(const struct rewrite_flow *flow, const struct tuple *tuple))
{
    uint32_t at = tag, slot;

    while ((slot = slot_index_next(&rewrite->by[which], tag, &at)) != SLOT_NONE) {
        struct rewrite_flow *flow = flow_at(rewrite, slot);
        __builtin_prefetch(&flow->packets_out, 1);
        if (fits(flow, tuple))
            return flow;
    }
    return NULL;
}

struct rewrite_flow *find_inside(const struct rewrite *rewrite, const struct tuple *tuple,
                                 uint32_t tag)
{
    return find(rewrite, INSIDE, tuple, tag, is_inside);
}

struct rewrite_flow *find_outside(const struct rewrite *rewrite, const struct tuple *tuple,
                                  uint32_t tag)
{
    return find(rewrite, OUTSIDE, tuple, tag, is_outside);
}
