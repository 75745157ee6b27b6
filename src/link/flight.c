/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two queues. A frame whose time is not before that of the last one in the list goes to the list's
 * end: without jitter that is every frame. The others go into a pairing heap (Fredman et al.,
 * 1986), where a node has its first child and its next sibling. The next frame is the earlier of
 * the list's first and the heap's root.
 *
 * Times are equal often, and the order must not depend on which of the two a frame is in: a number
 * counts up with each frame and decides.
 */
#include "link/flight.h"

#include <assert.h>
#include <stddef.h>

struct place {
    uint64_t due_ns;
    struct frame *child; /* in the heap; siblings are chained by frame->next */
    uint32_t order;
    _Alignas(8) uint8_t note[FLIGHT_NOTE_BYTES];
};

static_assert(sizeof(struct place) <= FRAME_PRIVATE_BYTES, "it lives in the frame");

static struct place *place_of(struct frame *frame)
{
    return (struct place *)(void *)frame->private;
}

static const struct place *place_of_const(const struct frame *frame)
{
    return (const struct place *)(const void *)frame->private;
}

static bool arrives_before(struct frame *a, struct frame *b)
{
    const struct place *left = place_of(a), *right = place_of(b);

    if (left->due_ns != right->due_ns)
        return left->due_ns < right->due_ns;
    return (int32_t)(left->order - right->order) < 0;
}

/* Two heaps to one; either may be empty. The root's `next` is without meaning. */
static struct frame *meld(struct frame *a, struct frame *b)
{
    if (!a || !b)
        return a ? a : b;
    if (arrives_before(b, a)) {
        struct frame *swap = a;
        a = b;
        b = swap;
    }
    b->next = place_of(a)->child;
    place_of(a)->child = b;
    return a;
}

/* The children of a root that was taken: melded in pairs, then the pairs, from the last. */
static struct frame *meld_siblings(struct frame *child)
{
    struct frame *pairs = NULL, *heap = NULL;

    while (child) {
        struct frame *a = child, *b = a->next;
        child = b ? b->next : NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct frame *pair = pairs;
        pairs = pair->next;
        heap = meld(heap, pair);
    }
    return heap;
}

void flight_put(struct flight *flight, struct frame *frame, uint64_t due_ns)
{
    struct place *place = place_of(frame);

    place->due_ns = due_ns;
    place->child = NULL;
    place->order = flight->next_order++;
    frame->next = NULL;
    flight->count++;
    if (flight->last && due_ns < place_of(flight->last)->due_ns) {
        flight->heap = meld(flight->heap, frame);
        return;
    }
    if (flight->last)
        flight->last->next = frame;
    else
        flight->first = frame;
    flight->last = frame;
}

uint64_t flight_next_ns(const struct flight *flight)
{
    uint64_t list = flight->first ? place_of_const(flight->first)->due_ns : UINT64_MAX;
    uint64_t heap = flight->heap ? place_of_const(flight->heap)->due_ns : UINT64_MAX;

    return list < heap ? list : heap;
}

static struct frame *take_first(struct flight *flight)
{
    struct frame *frame = flight->first;

    flight->first = frame->next;
    if (!flight->first)
        flight->last = NULL;
    return frame;
}

static struct frame *take_root(struct flight *flight)
{
    struct frame *frame = flight->heap;

    flight->heap = meld_siblings(place_of(frame)->child);
    return frame;
}

struct frame *flight_take(struct flight *flight)
{
    struct frame *frame;

    if (!flight->first && !flight->heap)
        return NULL;
    if (!flight->heap || (flight->first && arrives_before(flight->first, flight->heap)))
        frame = take_first(flight);
    else
        frame = take_root(flight);
    flight->count--;
    frame->next = NULL;
    return frame;
}

void *flight_note(struct frame *frame)
{
    return place_of(frame)->note;
}
