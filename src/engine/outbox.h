/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_OUTBOX_H
#define ENGINE_OUTBOX_H

#include "flow/flow.h"
#include "packet/frame.h"

#include <stdbool.h>

/**
 * Frames that wait, in their order, until all that was read has been worked on. Each write runs the
 * kernel's receive path, and that and the stack together are more code than the caches hold: one after
 * the other, each finds its own still there.
 *
 * A frame is copied. One that does not fit is for the caller to write, behind all that wait.
 */
enum { OUTBOX_FRAMES = 256, OUTBOX_BYTES = 64 * 1024, OUTBOX_FRAME_MOST = 2048 };

struct outbox {
    bool open;
    unsigned count;
    size_t used; /* of bytes */
    struct outbox_frame {
        struct frame_offload offload;
        struct iovec part;           /* of bytes */
        struct flow_awaited awaited; /* by whom; by nobody */
        uint64_t since_ns;           /* when it would have left */
    } frames[OUTBOX_FRAMES];
    uint8_t bytes[OUTBOX_BYTES];
};

/** Whether it has room for this one. */
bool outbox_fits(const struct outbox *outbox, const struct frame_parts *parts);
void outbox_add(struct outbox *outbox, const struct frame_parts *parts,
                const struct flow_awaited *awaited, uint64_t now_ns);

#endif
