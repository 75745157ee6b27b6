/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stack keeps of what it receives and has to send, in bytes of memory, and when it keeps no
 * more.
 *
 * Received frames become lwIP's pbufs. Short ones are copied into small buffers, since a connection
 * may keep them for long; long ones are lent to lwIP as they lie in the receive buffer, which goes
 * back to its pool when the last reference is dropped. Each is charged to a count while it is held:
 * pieces of packets to their peer, all else to one. A caller who sends single bytes to an owner who
 * does not read would have a buffer of 2 KiB for each; they are put together.
 *
 * Above the bound nothing is taken from a connection that holds its share already, as Linux does
 * when tcp_mem is used up: bytes behind a gap are dropped, and bytes that wait for an owner who does
 * not read, which their sender sends again. What an owner who reads at once receives is never in
 * the count.
 *
 * What is queued to be sent counts too when it was copied. It is looked at whenever lwIP is left.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include <assert.h>
#include <string.h>

enum { COPY_BELOW = 16384, JOIN_MOST = FRAME_SMALL_BYTES / 2, SEGMENT_COST = 256 };

/* A received frame as a pbuf; lies in the frame's private bytes. */
struct frame_pbuf {
    struct pbuf_custom custom;
    struct frame *frame;
    uint64_t *charged;
};
static_assert(sizeof(struct frame_pbuf) <= FRAME_PRIVATE_BYTES, "a frame has room for its pbuf");

static void frame_pbuf_free(struct pbuf *p)
{
    const struct frame_pbuf *wrap = (struct frame_pbuf *)(void *)p;

    *wrap->charged -= wrap->frame->room;
    frame_put(wrap->frame);
}

static struct pbuf *wrap_frame(struct frame *frame, uint32_t at, uint64_t *charged)
{
    struct frame_pbuf *wrap = (struct frame_pbuf *)(void *)frame->private;

    wrap->custom.custom_free_function = frame_pbuf_free;
    wrap->frame = frame;
    wrap->charged = charged;
    *charged += frame->room;
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)(frame->len - at), PBUF_REF, &wrap->custom,
                               frame->data + at, (u16_t)(frame->len - at));
}

struct pbuf *hold_frame(struct stack *stack, struct frame *frame, uint32_t at, uint64_t *charged)
{
    const uint32_t len = frame->len - at;

    if (len > 0xffff) {
        frame_put(frame);
        return NULL;
    }
    if (frame->room == FRAME_SMALL_BYTES || len >= COPY_BELOW)
        return wrap_frame(frame, at, charged);
    struct frame *fit = frame_get_fit(stack->frames, frame->len);
    if (fit)
        memcpy(fit->data, frame->data, frame->len);
    frame_put(frame);
    return fit ? wrap_frame(fit, at, charged) : NULL;
}

static struct frame_pbuf *wrap_of(struct pbuf *p)
{
    struct frame_pbuf *wrap = (struct frame_pbuf *)(void *)p;

    return p->flags & PBUF_FLAG_IS_CUSTOM && wrap->custom.custom_free_function == frame_pbuf_free
               ? wrap
               : NULL;
}

uint32_t hold_bytes(struct pbuf *p)
{
    const struct frame_pbuf *wrap = wrap_of(p);

    return wrap ? wrap->frame->room : p->len;
}

bool hold_joins(struct pbuf *tail, struct pbuf *p)
{
    if (p->len > JOIN_MOST || p->next || tail->ref != 1)
        return false;
    const struct frame_pbuf *wrap = wrap_of(tail);
    if (!wrap || wrap->frame->room != FRAME_SMALL_BYTES)
        return false;
    uint8_t *end = (uint8_t *)tail->payload + tail->len;
    if (end + p->len > wrap->frame->bytes + wrap->frame->room)
        return false;
    memcpy(end, p->payload, p->len);
    tail->len = (u16_t)(tail->len + p->len);
    tail->tot_len = tail->len;
    pbuf_free(p);
    return true;
}

bool hold_refuses(struct stack *stack, const struct stack_conn *conn, uint32_t seq)
{
    if (stack->held_bytes <= LIMIT_HELD_BYTES)
        return false;
    const bool behind_gap = seq != conn_tcp(conn)->rcv_nxt;
    if (!behind_gap && conn->rx_bytes < LIMIT_HELD_SHARE)
        return false;
    stack->stats.limits[behind_gap ? STACK_LIMIT_GAPS : STACK_LIMIT_UNREAD]++;
    return true;
}

/* ---- what is to be sent ---- */

void hold_queue(struct stack *stack, struct stack_conn *conn)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t bytes = 0;

    if (pcb && conn->flags & CONN_COPIES)
        bytes = pcb->snd_queuelen * (uint32_t)SEGMENT_COST + (TCP_SND_BUF - pcb->snd_buf);
    stack->queued_bytes += (uint64_t)bytes - conn->charged_bytes;
    conn->charged_bytes = bytes;
}

uint32_t hold_queue_room(const struct stack *stack, const struct stack_conn *conn)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    const uint32_t queued = TCP_SND_BUF - pcb->snd_buf;

    if (!(conn->flags & CONN_COPIES) || stack->queued_bytes <= LIMIT_QUEUED_BYTES)
        return pcb->snd_buf;
    return queued < LIMIT_QUEUED_SHARE ? LIMIT_QUEUED_SHARE - queued : 0;
}
