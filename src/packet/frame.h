/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_FRAME_H
#define PACKET_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/**
 * What stands before each frame on a device opened with IFF_VNET_HDR: the same ten bytes as the
 * kernel's `struct virtio_net_hdr`, in host byte order (static_assert-ed in frame.c). All zero
 * means: complete checksums, no segmentation.
 *
 * A frame with `gso_type` set is a super-segment: one IP packet of up to 64 KiB that stands for
 * several of `gso_size` payload bytes each. With FRAME_NEEDS_CSUM the field at
 * `csum_start + csum_offset` (from the start of the frame) holds only the pseudo-header's sum.
 */
struct frame_offload {
    uint8_t flags;        /* FRAME_NEEDS_CSUM, FRAME_DATA_VALID */
    uint8_t gso_type;     /* FRAME_GSO_*, perhaps | FRAME_GSO_ECN */
    uint16_t hdr_len;     /* bytes of all headers together, a hint */
    uint16_t gso_size;    /* payload bytes of each segment, without options */
    uint16_t csum_start;  /* where the checksummed part starts (transport header) */
    uint16_t csum_offset; /* of the checksum field, from csum_start */
};

enum { FRAME_NEEDS_CSUM = 1, FRAME_DATA_VALID = 2 };
enum {
    FRAME_GSO_NONE = 0,
    FRAME_GSO_TCPV4 = 1,
    FRAME_GSO_TCPV6 = 4,
    FRAME_GSO_UDP_L4 = 5,
    FRAME_GSO_ECN = 0x80
};

/** Layer of the frames: TUN carries IP packets, TAP Ethernet frames. */
enum frame_layer { FRAME_IP, FRAME_ETHERNET };

enum {
    FRAME_SMALL_BYTES = 2048,        /* room of a small frame */
    FRAME_LARGE_BYTES = 65536 + 256, /* room of a large frame: a super-segment with headers */
    FRAME_PRIVATE_BYTES = 64,        /* for whoever holds the frame (the stack's pbuf) */
};

/**
 * A frame in memory. Owned by exactly one holder at a time; taken from a pool and put back to it.
 * `bytes` is the buffer, `data..data+len` the frame in it. `offload` lies right before `bytes`, as
 * it does on a device (static_assert-ed in frame.c): one read brings both.
 */
struct frame {
    struct frame *next; /* for the holder's queue */
    struct frame_pool *pool;
    uint8_t *data;
    uint32_t len;
    uint32_t room; /* FRAME_SMALL_BYTES, FRAME_LARGE_BYTES, or what fits */
    _Alignas(16) uint8_t private[FRAME_PRIVATE_BYTES];
    uint8_t align[16 - sizeof(struct frame_offload)];
    struct frame_offload offload;
    uint8_t bytes[];
};

/** A whole frame, wherever its parts lie. */
struct frame_parts {
    const struct iovec *iov;
    int count;
    const struct frame_offload *offload;
};
/** Of a frame in memory; `part` is to be kept as long as what it returns. */
static inline struct frame_parts frame_whole(const struct frame *frame, struct iovec *part)
{
    *part = (struct iovec){frame->data, frame->len};
    return (struct frame_parts){part, 1, &frame->offload};
}

/** Recycled frames of two sizes, last in first out so that warm ones come first. */
struct frame_pool {
    struct frame *free_small, *free_large;
    size_t free_small_count, free_large_count;
    size_t used; /* frames out of the pool, of both sizes */
};

void frame_pool_init(struct frame_pool *pool);
/** Frees the kept frames. Frames still in use must have been put back: asserted. */
void frame_pool_done(struct frame_pool *pool);
/** A frame with room for `len` bytes (<= FRAME_LARGE_BYTES), `len` set, offload zero; or NULL. */
struct frame *frame_get(struct frame_pool *pool, uint32_t len);
/** Likewise, with a room that is no larger than needed, unless a small frame does: for what is kept
 *  for long. */
struct frame *frame_get_fit(struct frame_pool *pool, uint32_t len);
/** A small frame that is like this one; NULL when it is too long for that, or without memory. */
struct frame *frame_copy_small(const struct frame *frame);
/** Back to the pool; keeps at most 1024 small and 64 large ones. NULL is taken. */
void frame_put(struct frame *frame);

#endif
