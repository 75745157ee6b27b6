/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manners that show in frames: what lwIP sends in order and once leaves cut, out of order, twice,
 * or with a broken twin before it.
 *
 * A frame of such a connection is first made what a wire would carry: of real size, checksums
 * complete. Each such frame then becomes one or more:
 *
 *   out of order   a data segment is cut in the middle, the second half leaves first
 *   overlap        a data segment leaves as two: its first two thirds, and its last two thirds
 *   both           the last two thirds leave first
 *   duplicate      each data segment leaves twice
 *   bad checksum   before each segment a copy of it with a wrong TCP (or UDP) checksum
 *
 * Nothing is kept from one frame to the next, so nothing waits that lwIP believes to be sent, and
 * the last segment of a burst is treated as the others are.
 */
#include "stack/internal.h"

#include "packet/bytes.h"
#include "packet/segment.h"

#include <string.h>

struct mangling {
    struct stack *stack;
    uint64_t peer;
    unsigned modes;
};

static void add32(uint8_t *bytes, uint32_t more)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    value = lwip_htonl(lwip_ntohl(value) + more);
    memcpy(bytes, &value, sizeof(value));
}

static void emit_frame(const struct mangling *mangling, const struct frame *frame)
{
    struct iovec iov = {frame->data, frame->len};
    struct frame_offload offload = {0};

    mangling->stack->ops->output(mangling->stack->user, mangling->peer, &iov, 1, &offload);
}

/* The same frame with a checksum that is wrong, and never UDP's "none". */
static void emit_broken(const struct mangling *mangling, struct frame *frame, uint8_t *checksum)
{
    uint8_t right = checksum[1];

    checksum[1] ^= checksum[0] == 0 && right == 1 ? 2 : 1;
    emit_frame(mangling, frame);
    checksum[1] = right;
}

static void emit_mangled(const struct mangling *mangling, struct frame *frame,
                         const struct packet *packet)
{
    uint8_t *transport = frame->data + packet->transport_at;

    if (mangling->modes & STACK_MANGLE_BAD_CHECKSUM)
        emit_broken(mangling, frame, transport + (packet->kind == PACKET_TCP ? 16 : 6));
    emit_frame(mangling, frame);
    if (mangling->modes & STACK_MANGLE_DUPLICATE && packet->payload_len)
        emit_frame(mangling, frame);
}

static void set_lengths(struct frame *frame, const struct packet *packet)
{
    uint8_t *ip = frame->data + packet->ip_at;
    uint32_t ip_len = frame->len - packet->ip_at;

    if (packet->ip_version == 6) {
        put16(ip + 4, ip_len - IP6_HLEN);
        return;
    }
    put16(ip + 2, ip_len);
    put16(ip + 10, 0);
    uint16_t sum = checksum_finish(checksum_add(0, ip, (size_t)(ip[0] & 15) * 4));
    memcpy(ip + 10, &sum, sizeof(sum));
}

static void set_checksum(struct frame *frame, const struct packet *packet)
{
    uint8_t *tcp = frame->data + packet->transport_at;
    uint32_t len = frame->len - packet->transport_at;

    put16(tcp + 16, 0);
    uint64_t sum = checksum_pseudo(&packet->src, &packet->dst, IPPROTO_TCP, len);
    uint16_t checksum = checksum_finish(checksum_add(sum, tcp, len));
    memcpy(tcp + 16, &checksum, sizeof(checksum));
}

/* Bytes from..to of a segment's payload as a segment of their own. FIN and PSH stay with the
   end. */
static void emit_part(const struct mangling *mangling, const struct frame *whole,
                      const struct packet *packet, uint32_t from, uint32_t to)
{
    uint32_t header = packet->payload_at;
    struct packet part_packet = *packet;
    struct frame *part = frame_get(mangling->stack->frames, header + to - from);

    if (!part)
        return; /* lost: it will be sent again */
    memcpy(part->data, whole->data, header);
    memcpy(part->data + header, whole->data + header + from, to - from);
    uint8_t *tcp = part->data + packet->transport_at;
    add32(tcp + 4, from);
    if (to < packet->payload_len)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    set_lengths(part, packet);
    set_checksum(part, packet);
    part_packet.payload_len = to - from;
    emit_mangled(mangling, part, &part_packet);
    frame_put(part);
}

static void emit_parts(const struct mangling *mangling, const struct frame *whole,
                       const struct packet *packet)
{
    uint32_t len = packet->payload_len;
    bool overlap = mangling->modes & STACK_MANGLE_OVERLAP;
    const struct {
        uint32_t from, to;
    } parts[] = {{0, overlap ? (2 * len + 2) / 3 : (len + 1) / 2},
                 {overlap ? len / 3 : (len + 1) / 2, len}};
    int first = mangling->modes & STACK_MANGLE_REORDER ? 1 : 0;

    for (int i = 0; i < 2; i++)
        emit_part(mangling, whole, packet, parts[i ^ first].from, parts[i ^ first].to);
}

/* One frame as on a wire. */
static void mangle_frame(void *user, struct frame *frame)
{
    const struct mangling *mangling = user;
    struct packet packet;

    if (packet_parse(frame->data, frame->len, mangling->stack->layer, &packet) < 0 ||
        packet.fragment || (packet.kind != PACKET_TCP && packet.kind != PACKET_UDP))
        emit_frame(mangling, frame);
    else if (packet.kind == PACKET_TCP && packet.payload_len > 1 &&
             mangling->modes & (STACK_MANGLE_REORDER | STACK_MANGLE_OVERLAP))
        emit_parts(mangling, frame, &packet);
    else
        emit_mangled(mangling, frame, &packet);
    frame_put(frame);
}

/* A frame of a connection with CONN_MANNERED is about to leave; true when it was taken care of. */
bool manners_output(struct stack *stack, const struct pbuf *p, uint64_t peer,
                    const struct frame_offload *offload)
{
    const struct stack_conn *conn = stack->current;
    const struct manners *manners = conn->manners;

    if (conn->flags & CONN_VANISHED)
        return true;
    if (!manners->mangle && !manners->segment_most)
        return false;
    struct frame *whole = frame_get(stack->frames, p->tot_len);
    if (!whole)
        return true;
    pbuf_copy_partial(p, whole->data, p->tot_len, 0);
    struct mangling mangling = {.stack = stack, .peer = peer, .modes = manners->mangle};
    struct iovec part = {whole->data, whole->len};
    const struct frame_parts parts = {&part, 1, offload};
    (void)segment_split(&parts, stack->layer, stack->frames, mangle_frame, &mangling);
    frame_put(whole);
    return true;
}
