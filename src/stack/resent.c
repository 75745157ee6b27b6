/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was sent again and is not acknowledged, and when: a table beside pcb->unacked, sorted by
 * sequence number. It exists only during a repair.
 */
#include "stack/recovery.h"

#include <stdlib.h>
#include <string.h>

static uint32_t place_of(const struct recovery *recovery, uint32_t seq)
{
    uint32_t low = 0, high = recovery->resent_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (TCP_SEQ_LT(recovery->resent[middle].seq, seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct resent *resent_find(const struct recovery *recovery, uint32_t seq)
{
    uint32_t place = place_of(recovery, seq);

    return place < recovery->resent_count && recovery->resent[place].seq == seq
               ? &recovery->resent[place]
               : NULL;
}

void resent_note(struct recovery *recovery, uint32_t seq, uint32_t sent_before, uint64_t now_ns)
{
    uint32_t place = place_of(recovery, seq);
    bool known = place < recovery->resent_count && recovery->resent[place].seq == seq;

    if (!known && recovery->resent_count == recovery->resent_room) {
        uint32_t room = MAX(2 * recovery->resent_room, 16u);
        struct resent *table = realloc(recovery->resent, room * sizeof(*table));
        if (!table)
            return;
        recovery->resent = table;
        recovery->resent_room = room;
    }
    struct resent *entry = &recovery->resent[place];
    if (!known)
        memmove(entry + 1, entry, (recovery->resent_count++ - place) * sizeof(*entry));
    *entry = (struct resent){
        .seq = seq, .sent_before = sent_before, .order = ++recovery->order, .at_ns = now_ns};
}

void resent_arrived(struct recovery *recovery, const struct resent *entry, uint64_t now_ns)
{
    if ((now_ns - entry->at_ns) / 1000 < recovery->min_rtt_us / 2)
        return;
    if ((int32_t)(entry->order - recovery->order_delivered) > 0)
        recovery->order_delivered = entry->order;
}

void resent_forget_acked(struct recovery *recovery, uint64_t now_ns)
{
    uint32_t count = place_of(recovery, recovery->una);

    if (!count)
        return;
    for (uint32_t i = 0; i < count; i++)
        resent_arrived(recovery, &recovery->resent[i], now_ns);
    recovery->resent_count -= count;
    memmove(recovery->resent, recovery->resent + count,
            recovery->resent_count * sizeof(*recovery->resent));
}
