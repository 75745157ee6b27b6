/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flow is found by what is in a packet's headers: one hash, a tag of 32 bits that is beside the
 * slot in the index, and one comparison, with the first cache line of the flow. The second one,
 * which every packet changes, is asked for meanwhile.
 */
#include "internal.h"

#include <string.h>

/* Both addresses, both ports, protocol and side. */
enum { KEY4 = 16, KEY6 = 40 };

static uint8_t *put_half(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

uint32_t tuple_tag(const struct rewrite *rewrite, int which, const struct tuple *tuple)
{
    uint8_t key[KEY6];
    size_t addr = rewrite->family == 4 ? 4 : 16;
    uint8_t *at = key + 2 * addr;

    if (addr == 4) {
        memcpy(key, tuple->near, 4);
        memcpy(key + 4, tuple->far, 4);
    } else {
        memcpy(key, tuple->near, 16);
        memcpy(key + 16, tuple->far, 16);
    }
    at = put_half(at, tuple->near_port);
    at = put_half(at, tuple->far_port);
    at = put_half(at, tuple->side);
    put_half(at, tuple->protocol);
    uint64_t hash = siphash(rewrite->secrets[which], key, addr == 4 ? KEY4 : KEY6);
    return (uint32_t)(hash >> 32);
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
