/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/outbox.h"

#include "base/iov.h"

#include <assert.h>

bool outbox_fits(const struct outbox *outbox, const struct frame_parts *parts)
{
    size_t len = iov_total(parts->iov, parts->count);

    return outbox->count < OUTBOX_FRAMES && len <= OUTBOX_FRAME_MOST &&
           len <= OUTBOX_BYTES - outbox->used;
}

void outbox_add(struct outbox *outbox, const struct frame_parts *parts,
                const struct flow_awaited *awaited, uint64_t now_ns)
{
    uint8_t *at = outbox->bytes + outbox->used;

    assert(outbox_fits(outbox, parts));
    size_t len = iov_gather(parts->iov, parts->count, at);
    outbox->frames[outbox->count++] =
        (struct outbox_frame){*parts->offload, {at, len}, *awaited, now_ns};
    outbox->used += len;
}
