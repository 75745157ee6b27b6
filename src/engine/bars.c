/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses to which nothing goes. One that was this machine's and is so no longer would be found
 * elsewhere: a host that forwards sends on what its peers say to it, with addresses that are nobody's.
 * Flows are not all that sends: acknowledgements of what is closing, answers, echo requests. So frames
 * are looked at, last of all, and only while there is such an address.
 */
#include "engine/internal.h"

#include "packet/fields.h"

#include <string.h>

static bool is_to(const struct peer_addr *addr, const uint8_t *header, size_t len)
{
    if (addr->family == 4)
        return len >= 20 && header[0] >> 4 == 4 && memcmp(header + 16, addr->bytes, 4) == 0;
    return len >= 40 && header[0] >> 4 == 6 && memcmp(header + 24, addr->bytes, 16) == 0;
}

/* Headers lie in the first part. */
bool bars_stop(const struct engine *engine, const struct frame_parts *parts)
{
    const size_t skip = engine->device->layer == FRAME_ETHERNET ? ETHERNET_HEADER : 0;

    if (parts->count < 1 || parts->iov[0].iov_len < skip)
        return false;
    for (unsigned i = 0; i < engine->barred_count; i++) {
        if (is_to(&engine->barred[i], (const uint8_t *)parts->iov[0].iov_base + skip,
                  parts->iov[0].iov_len - skip))
            return true;
    }
    return false;
}

bool engine_is_barred(const struct engine *engine, const struct peer_addr *addr)
{
    for (unsigned i = 0; i < engine->barred_count; i++) {
        if (peer_addr_equal(&engine->barred[i], addr))
            return true;
    }
    return false;
}

void engine_unbar(struct engine *engine, const struct peer_addr *addr)
{
    for (unsigned i = engine->barred_count; i-- > 0;) {
        if (peer_addr_equal(&engine->barred[i], addr))
            engine->barred[i] = engine->barred[--engine->barred_count];
    }
}

static void note(struct engine *engine, const struct peer_addr *addr)
{
    if (engine_is_barred(engine, addr))
        return;
    if (engine->barred_count == ENGINE_BARRED)
        memmove(engine->barred, engine->barred + 1,
                sizeof(*engine->barred) * --engine->barred_count);
    engine->barred[engine->barred_count++] = *addr;
}

void engine_bar(struct engine *engine, const struct peer_addr *addr)
{
    struct list *node = engine->flows.all.next;
    struct stack_tuple tuple;

    note(engine, addr);
    for (uint64_t left = engine->flows.count; left > 0 && node != &engine->flows.all; left--) {
        struct flow *flow = list_entry(node, struct flow, node);
        node = node->next;
        if (flow_tuple(flow, &tuple) && peer_addr_equal(&tuple.remote, addr))
            flow_lose(flow, PEER_END_TARGET);
    }
    flows_reap(&engine->flows);
}
