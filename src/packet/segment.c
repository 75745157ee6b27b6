/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a network card does with a super-segment, in software.
 *
 * The headers are read once. Each segment is a copy of them followed by its share of the payload;
 * then the fields that differ are set (lengths, IPv4 id, TCP sequence number and flags) and the
 * checksums are computed over the finished bytes, which are in the cache just then.
 *
 * The super-segment has to lie in one piece for that. It does when it comes from the kernel; one
 * in several pieces is gathered into a frame of the pool first.
 */
#include "packet/segment.h"

#include "base/iov.h"
#include "packet/checksum.h"
#include "packet/fields.h"

#include <errno.h>
#include <netinet/in.h>

typedef void emit_fn(void *user, struct frame *frame);

struct split {
    const uint8_t *source; /* the whole super-segment */
    struct packet packet;
    uint32_t gso_size;
    struct frame_pool *pool;
    emit_fn *emit;
    void *user;
};

static bool fits_type(const struct packet *packet, uint8_t gso_type)
{
    switch (gso_type & ~FRAME_GSO_ECN) {
    case FRAME_GSO_TCPV4:
        return packet->kind == PACKET_TCP && packet->ip_version == 4;
    case FRAME_GSO_TCPV6:
        return packet->kind == PACKET_TCP && packet->ip_version == 6;
    case FRAME_GSO_UDP_L4:
        return packet->kind == PACKET_UDP;
    default:
        return false;
    }
}

static void set_ip(uint8_t *ip, uint32_t ip_len, uint32_t index)
{
    if (ip[0] >> 4 == 6) {
        put16(ip + 4, ip_len - IP6_HEADER);
        return;
    }
    put16(ip + 2, ip_len);
    put16(ip + 4, get16(ip + 4) + index);
    put16(ip + 10, 0);
    put_checksum(ip + 10, checksum_finish(checksum_add(0, ip, (ip[0] & 15u) * 4)));
}

static void set_tcp(uint8_t *tcp, uint32_t offset, bool first, bool last)
{
    put32(tcp + 4, get32(tcp + 4) + offset);
    if (!first)
        tcp[13] &= (uint8_t)~TCP_CWR; /* RFC 3168 6.1.2: once a reduction */
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

static void set_checksum(const struct packet *packet, uint8_t *transport, uint32_t len)
{
    uint8_t *field = transport + (packet->kind == PACKET_UDP ? UDP_CHECKSUM_AT : TCP_CHECKSUM_AT);

    put16(field, 0);
    uint64_t sum = checksum_pseudo(&packet->src, &packet->dst, packet->protocol, len);
    uint16_t checksum = checksum_finish(checksum_add(sum, transport, len));
    if (checksum == 0 && packet->kind == PACKET_UDP)
        checksum = UINT16_MAX;
    put_checksum(field, checksum);
}

/* Makes segment number `index`, which carries `len` bytes from `offset` of the payload on. */
static struct frame *make_segment(const struct split *split, uint32_t index, uint32_t offset,
                                  uint32_t len)
{
    const struct packet *packet = &split->packet;
    uint32_t header = packet->payload_at;
    struct frame *frame = frame_get(split->pool, header + len);

    if (!frame)
        return NULL;
    memcpy(frame->data, split->source, header);
    memcpy(frame->data + header, split->source + header + offset, len);
    uint8_t *transport = frame->data + packet->transport_at;
    uint32_t transport_len = frame->len - packet->transport_at;

    set_ip(frame->data + packet->ip_at, frame->len - packet->ip_at, index);
    if (packet->kind == PACKET_TCP)
        set_tcp(transport, offset, offset == 0, offset + len == packet->payload_len);
    else
        put16(transport + 4, transport_len);
    set_checksum(packet, transport, transport_len);
    return frame;
}

static int split_all(const struct split *split)
{
    uint32_t payload = split->packet.payload_len;
    uint32_t offset = 0, index = 0;

    do {
        uint32_t left = payload - offset;
        uint32_t len = left < split->gso_size ? left : split->gso_size;
        struct frame *frame = make_segment(split, index, offset, len);
        if (!frame)
            return -ENOMEM;
        split->emit(split->user, frame);
        offset += len;
        index++;
    } while (offset < payload);
    return (int)index;
}

/* Reads the headers of `source`, one piece, and splits it. */
static int split_super(const uint8_t *source, size_t len, const struct frame_offload *offload,
                       enum frame_layer layer, struct split *split)
{
    int status = packet_parse(source, len, layer, &split->packet);
    if (status < 0)
        return status;
    if (split->packet.fragment || offload->gso_size == 0 ||
        !fits_type(&split->packet, offload->gso_type))
        return -EBADMSG;
    split->source = source;
    split->gso_size = offload->gso_size;
    return split_all(split);
}

static struct frame *gather(const struct iovec *iov, int iov_count, size_t len,
                            struct frame_pool *pool)
{
    struct frame *frame = frame_get(pool, (uint32_t)len);
    if (frame)
        iov_gather(iov, iov_count, frame->data);
    return frame;
}

/* A frame of real size: only its checksum may be missing. */
static int pass_on(struct frame *frame, const struct frame_offload *offload, emit_fn *emit,
                   void *user)
{
    struct frame_offload rest = *offload;

    if (checksum_complete(frame->data, frame->len, &rest) < 0) {
        frame_put(frame);
        return -EBADMSG;
    }
    emit(user, frame);
    return 1;
}

int segment_split(const struct frame_parts *parts, enum frame_layer layer, struct frame_pool *pool,
                  void (*emit)(void *user, struct frame *frame), void *user)
{
    struct split split = {.pool = pool, .emit = emit, .user = user};
    const struct frame_offload *offload = parts->offload;
    size_t len = iov_total(parts->iov, parts->count);

    if (len == 0 || len > FRAME_LARGE_BYTES)
        return -EBADMSG;
    if (offload->gso_type != FRAME_GSO_NONE && parts->count == 1)
        return split_super(parts->iov[0].iov_base, len, offload, layer, &split);

    struct frame *whole = gather(parts->iov, parts->count, len, pool);
    if (!whole)
        return -ENOMEM;
    if (offload->gso_type == FRAME_GSO_NONE)
        return pass_on(whole, offload, emit, user);
    int status = split_super(whole->data, len, offload, layer, &split);
    frame_put(whole);
    return status;
}
