/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DEVICE_CONFORMANCE_H
#define TESTS_DEVICE_CONFORMANCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "device/device.h"

#include <errno.h>
#include <string.h>

/*
 * What holds for every pair of devices of which each receives what the other sends: the ends of a
 * pair in memory, two devices over a socket pair. On FRAME_IP frames start with a 4.
 */

static inline int send_bytes(struct device *device, const void *bytes, size_t len)
{
    struct frame_offload none = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, len};

    return device_send(device, &iov, 1, &none);
}

/* Receives one frame of exactly `len` bytes into `out`. */
static inline struct frame_offload expect_frame(struct device *device, void *out, size_t len)
{
    struct frame_pool pool;

    frame_pool_init(&pool);
    struct frame *frame = frame_get(&pool, FRAME_LARGE_BYTES);
    assert_int_equal(device_recv(device, frame), 1);
    assert_int_equal(frame->len, len);
    memcpy(out, frame->data, len);
    struct frame_offload offload = frame->offload;
    frame_put(frame);
    frame_pool_done(&pool);
    return offload;
}

static inline int recv_status(struct device *device)
{
    struct frame_pool pool;

    frame_pool_init(&pool);
    struct frame *frame = frame_get(&pool, FRAME_LARGE_BYTES);
    int status = device_recv(device, frame);
    frame_put(frame);
    frame_pool_done(&pool);
    return status;
}

static inline void conform_order(struct device *from, struct device *to)
{
    uint64_t sent = from->sent, received = to->received;
    uint8_t out[100];

    assert_int_equal(recv_status(to), 0);
    for (uint8_t i = 0; i < 10; i++) {
        uint8_t frame[60] = {0x45, i};
        assert_int_equal(send_bytes(from, frame, 20u + i), 0);
    }
    for (uint8_t i = 0; i < 10; i++) {
        expect_frame(to, out, 20u + i);
        assert_int_equal(out[1], i);
    }
    assert_int_equal(recv_status(to), 0);
    assert_int_equal(from->sent, sent + 10);
    assert_int_equal(to->received, received + 10);
}

/* A super-segment in as many pieces as are allowed arrives whole, its header unchanged. */
static inline void conform_super_segment(struct device *from, struct device *to)
{
    static uint8_t data[DEVICE_IOV_MAX * 1000], out[sizeof(data)];
    struct frame_offload offload = {.flags = FRAME_NEEDS_CSUM,
                                    .gso_type = FRAME_GSO_TCPV4,
                                    .hdr_len = 40,
                                    .gso_size = 1460,
                                    .csum_start = 20,
                                    .csum_offset = 16};
    struct iovec iov[DEVICE_IOV_MAX];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31 + i / 256);
    data[0] = 0x45;
    for (size_t i = 0; i < DEVICE_IOV_MAX; i++)
        iov[i] = (struct iovec){data + i * 1000, 1000};
    assert_int_equal(device_send(from, iov, DEVICE_IOV_MAX, &offload), 0);
    struct frame_offload got = expect_frame(to, out, sizeof(data));
    assert_memory_equal(&got, &offload, sizeof(got));
    assert_memory_equal(out, data, sizeof(data));
}

static inline void device_conformance(struct device *a, struct device *b)
{
    conform_order(a, b);
    conform_order(b, a);
    if (a->offload_tcp) {
        conform_super_segment(a, b);
        conform_super_segment(b, a);
    }
    assert_int_equal(a->send_drops, 0);
    assert_int_equal(b->send_drops, 0);
}

#endif
