/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames are handed about by pointer and recycled. A frame that comes back goes on top of the list
 * of its size and is the first to go out again, so the bytes most likely to be in the cache are
 * used next. Nothing is cleared on the way out but the offload header: who takes a frame fills it.
 *
 * Under AddressSanitizer the contents of a kept frame are poisoned, so that a use after frame_put
 * is found although the memory is still ours.
 */
#include "packet/frame.h"

#include <linux/virtio_net.h>
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FRAME_POISON 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FRAME_POISON 1
#endif
#ifdef FRAME_POISON
#include <sanitizer/asan_interface.h>
#endif

enum { KEEP_SMALL = 1024, KEEP_LARGE = 64 };
enum { PRIVATE_TO_BYTES = offsetof(struct frame, bytes) - offsetof(struct frame, private) };

static_assert(sizeof(struct frame_offload) == sizeof(struct virtio_net_hdr), "the kernel's header");
static_assert(offsetof(struct frame_offload, gso_type) == offsetof(struct virtio_net_hdr, gso_type),
              "the kernel's header");
static_assert(offsetof(struct frame_offload, hdr_len) == offsetof(struct virtio_net_hdr, hdr_len),
              "the kernel's header");
static_assert(offsetof(struct frame_offload, gso_size) == offsetof(struct virtio_net_hdr, gso_size),
              "the kernel's header");
static_assert(offsetof(struct frame_offload, csum_start) ==
                  offsetof(struct virtio_net_hdr, csum_start),
              "the kernel's header");
static_assert(offsetof(struct frame_offload, csum_offset) ==
                  offsetof(struct virtio_net_hdr, csum_offset),
              "the kernel's header");
static_assert((int)FRAME_NEEDS_CSUM == VIRTIO_NET_HDR_F_NEEDS_CSUM &&
                  (int)FRAME_DATA_VALID == VIRTIO_NET_HDR_F_DATA_VALID &&
                  (int)FRAME_GSO_TCPV4 == VIRTIO_NET_HDR_GSO_TCPV4 &&
                  (int)FRAME_GSO_TCPV6 == VIRTIO_NET_HDR_GSO_TCPV6 &&
                  (int)FRAME_GSO_ECN == VIRTIO_NET_HDR_GSO_ECN,
              "the kernel's values");

static_assert(offsetof(struct frame, bytes) ==
                      offsetof(struct frame, offload) + sizeof(struct frame_offload) &&
                  offsetof(struct frame, bytes) % 16 == 0,
              "the frame follows its offload header, and is aligned");

static void poison(struct frame *frame)
{
#ifdef FRAME_POISON
    __asan_poison_memory_region(frame->private, PRIVATE_TO_BYTES + frame->room);
#else
    (void)frame;
#endif
}

static void unpoison(struct frame *frame)
{
#ifdef FRAME_POISON
    __asan_unpoison_memory_region(frame->private, PRIVATE_TO_BYTES + frame->room);
#else
    (void)frame;
#endif
}

static void free_all(struct frame *frame)
{
    while (frame) {
        struct frame *next = frame->next;
        unpoison(frame);
        free(frame);
        frame = next;
    }
}

void frame_pool_init(struct frame_pool *pool)
{
    *pool = (struct frame_pool){0};
}

void frame_pool_done(struct frame_pool *pool)
{
    assert(pool->used == 0);
    free_all(pool->free_small);
    free_all(pool->free_large);
    *pool = (struct frame_pool){0};
}

static struct frame *frame_new(uint32_t room)
{
    struct frame *frame = malloc(sizeof(*frame) + room);
    if (frame)
        frame->room = room;
    return frame;
}

static struct frame *frame_begin(struct frame_pool *pool, struct frame *frame, uint32_t len)
{
    frame->next = NULL;
    frame->pool = pool;
    frame->data = frame->bytes;
    frame->len = len;
    frame->offload = (struct frame_offload){0};
    pool->used++;
    return frame;
}

struct frame *frame_get(struct frame_pool *pool, uint32_t len)
{
    bool small = len <= FRAME_SMALL_BYTES;
    struct frame **list = small ? &pool->free_small : &pool->free_large;
    struct frame *frame = *list;

    if (len > FRAME_LARGE_BYTES)
        return NULL;
    if (frame) {
        *list = frame->next;
        --*(small ? &pool->free_small_count : &pool->free_large_count);
        unpoison(frame);
    } else {
        frame = frame_new(small ? FRAME_SMALL_BYTES : FRAME_LARGE_BYTES);
        if (!frame)
            return NULL;
    }
    return frame_begin(pool, frame, len);
}

struct frame *frame_get_fit(struct frame_pool *pool, uint32_t len)
{
    if (len <= FRAME_SMALL_BYTES || len >= FRAME_LARGE_BYTES)
        return frame_get(pool, len);
    struct frame *frame = frame_new(len);
    return frame ? frame_begin(pool, frame, len) : NULL;
}

struct frame *frame_copy_small(const struct frame *frame)
{
    if (frame->len > FRAME_SMALL_BYTES)
        return NULL;
    struct frame *copy = frame_get(frame->pool, frame->len);
    if (!copy)
        return NULL;
    copy->offload = frame->offload;
    memcpy(copy->data, frame->data, frame->len);
    return copy;
}

void frame_put(struct frame *frame)
{
    if (!frame)
        return;
    struct frame_pool *pool = frame->pool;
    bool small = frame->room == FRAME_SMALL_BYTES;
    struct frame **list = small ? &pool->free_small : &pool->free_large;
    size_t *count = small ? &pool->free_small_count : &pool->free_large_count;

    assert(pool->used > 0);
    pool->used--;
    bool fits = !small && frame->room != FRAME_LARGE_BYTES;
    if (fits || *count >= (small ? KEEP_SMALL : KEEP_LARGE)) {
        free(frame);
        return;
    }
    frame->next = *list;
    *list = frame;
    ++*count;
    poison(frame);
}
