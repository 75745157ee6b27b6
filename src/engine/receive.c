/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames in, from the device to whom they are for.
 *
 * The receive buffer is one large frame that is filled again and again, so that it stays warm: short
 * frames are copied out of it, and only a long one keeps it. All short ones that are there are read
 * before the first is worked on, since the kernel's reading, the stack and the kernel's receive path
 * behind each write need more code than the caches hold at once; a long one is worked on when it is
 * read. A large stack has its memory for them fetched meanwhile, see stack/prefetch.c.
 */
#include "engine/internal.h"

#include "base/macro.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "stack/stack.h"

#include <errno.h>

void receive_frame(struct engine *engine, struct frame *frame, uint64_t read_ns)
{
    if (engine->transit.arrive && engine->transit.arrive(engine->transit.user, frame))
        return;
    stack_input(engine->stack, frame, read_ns);
}

static void receive_by_wire(void *user, struct frame *frame)
{
    struct engine *engine = user;

    wires_send(engine->wires, engine->sender, LINK_DOWNLINK, frame, engine->now_ns);
}

/* Whose wire? Frames for nobody go straight, and are ignored by the stack. */
static bool goes_by_wire(struct engine *engine, const struct frame *frame)
{
    struct packet packet;
    int64_t peer;

    if (!engine->wires ||
        packet_parse(frame->data, frame->len, engine->device->layer, &packet) < 0 ||
        packet.kind == PACKET_OTHER)
        return false;
    peer = addr_set_find(engine->peers, &packet.dst);
    engine->sender = (uint64_t)peer;
    return peer >= 0;
}

static void count_frame(struct engine *engine, const struct frame *frame)
{
    engine->stats.frames_received++;
    engine->stats.bytes_received += frame->len;
}

/* A frame that goes to the stack as it is. */
static void note_frame(struct engine *engine, const struct frame *frame, uint64_t read_ns)
{
    struct iovec part;
    const struct frame_parts parts = frame_whole(frame, &part);

    count_frame(engine, frame);
    capture_frame(&engine->capture, read_ns, PCAPNG_OUTBOUND, &parts, NULL);
}

static void take_frame(struct engine *engine, struct frame *frame)
{
    if (goes_by_wire(engine, frame)) {
        struct iovec part;
        const struct frame_parts parts = frame_whole(frame, &part);

        count_frame(engine, frame);
        (void)segment_split(&parts, engine->device->layer, &engine->frames, receive_by_wire,
                            engine);
        frame_put(frame);
        return;
    }
    note_frame(engine, frame, engine->now_ns);
    receive_frame(engine, frame, engine->now_ns);
    (void)stack_deliver_opened(engine->stack);
}

/* Frames that were read and wait their turn. */
struct batch {
    struct {
        struct frame *frame;
        uint64_t read_ns;
        uint32_t hash; /* for stack_prefetch */
    } items[ROUND_FRAMES];
    int count;
};

/* Returns the buffer for the next one, NULL: this one keeps it, and the batch is complete. */
static struct frame *batch_add(struct engine *engine, struct batch *batch, struct frame *frame)
{
    const uint64_t read_ns = engine->clocked ? engine_clock_ns(CLOCK_MONOTONIC) : engine->now_ns;
    struct frame *copy = frame_copy_small(frame), *kept = copy ? copy : frame;

    note_frame(engine, kept, read_ns);
    batch->items[batch->count].frame = kept;
    batch->items[batch->count].read_ns = read_ns;
    batch->items[batch->count++].hash = 0;
    return copy ? frame : NULL;
}

/* Returns 1, 0 when there are no more, or -errno. */
static int batch_read(struct engine *engine, struct batch *batch)
{
    struct frame *frame = frame_get(&engine->frames, FRAME_LARGE_BYTES);
    int status = frame ? 1 : -ENOMEM;

    while (frame && batch->count < ROUND_FRAMES &&
           (status = device_recv(engine->device, frame)) > 0)
        frame = batch_add(engine, batch, frame);
    frame_put(frame);
    return status;
}

/* The memory for frame `i` is needed next. */
static void look_ahead(struct engine *engine, struct batch *batch, int i)
{
    for (int step = STACK_PREFETCH_STEPS; step >= 0; step--) {
        const int at = i + 1 + STACK_PREFETCH_STEPS - step;
        if (at < 0 || at >= batch->count)
            continue;
        if (step == 0)
            batch->items[at].hash = stack_prefetch_begin(engine->stack, batch->items[at].frame);
        else
            stack_prefetch(engine->stack, batch->items[at].hash, step);
    }
}

static void batch_work(struct engine *engine, struct batch *batch)
{
    const bool large = stack_is_large(engine->stack);

    if (batch->count > 1)
        engine_put_off(engine);
    for (int i = -STACK_PREFETCH_STEPS - 1; large && i < 0; i++)
        look_ahead(engine, batch, i);
    for (int i = 0; i < batch->count; i++) {
        if (large)
            look_ahead(engine, batch, i);
        const uint64_t read_ns = batch->items[i].read_ns;
        engine_set_now(engine, MAX(read_ns, engine->now_ns));
        receive_frame(engine, batch->items[i].frame, read_ns);
        (void)stack_deliver_opened(engine->stack);
    }
}

/* One frame, by its wire. Returns 1, 0 when there is none, or -errno. */
static int read_by_wire(struct engine *engine)
{
    struct frame *frame = frame_get(&engine->frames, FRAME_LARGE_BYTES);
    if (!frame)
        return -ENOMEM;
    int status = device_recv(engine->device, frame);
    if (status <= 0) {
        frame_put(frame);
        return status;
    }
    engine_refresh_now(engine);
    take_frame(engine, frame);
    return 1;
}

int receive_frames(struct engine *engine)
{
    struct batch batch;
    int count = 0, status = 1;

    while (status > 0 && count < ROUND_FRAMES) {
        if (engine->wires) {
            status = read_by_wire(engine);
            count += status > 0;
        } else {
            batch.count = 0;
            status = batch_read(engine, &batch);
            batch_work(engine, &batch);
            count += batch.count;
        }
    }
    return status < 0 ? status : count;
}
