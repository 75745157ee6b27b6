/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LINK_FLIGHT_H
#define LINK_FLIGHT_H

#include "packet/frame.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Frames under way, by the time they arrive; equal times in the order they were put in. It is
 * intrusive (in `frame->next` and `frame->private`) and needs no memory of its own. Putting in is
 * O(1), taking out O(1) for frames that came in the order of their times, as without jitter, and
 * O(log n) amortised for the others.
 *
 * All zero is an empty one.
 */
struct flight {
    struct frame *first, *last; /* in the order of their times */
    struct frame *heap;         /* those that did not come in order: a pairing heap */
    uint32_t count;
    uint32_t next_order;
};

enum { FLIGHT_NOTE_BYTES = 32 }; /* room for what its owner wants to know of a frame */

void flight_put(struct flight *flight, struct frame *frame, uint64_t due_ns);
/** When the next one arrives, UINT64_MAX when there is none. */
uint64_t flight_next_ns(const struct flight *flight);
/** The next one, or NULL. */
struct frame *flight_take(struct flight *flight);
/** The owner's room within a frame that is under way. Copy it before the frame is handed on. */
void *flight_note(struct frame *frame);

#endif
