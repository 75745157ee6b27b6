/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Super-segments of every kind are split and put together again; each piece must stand for itself
 * as a wire would carry it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "build.h"
#include "packet/segment.h"
#include "packets.h"

#include <errno.h>

enum { TCP_FIN = 1, TCP_PSH = 8, TCP_ACK = 16, TCP_CWR = 128 };

struct collect {
    const struct super *super;
    const struct built *built;
    uint32_t payload;
    int count;
};

static uint32_t read32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void check_tcp(const struct collect *collect, const uint8_t *tcp, const uint8_t *ip,
                      const struct packet *packet)
{
    bool last = collect->payload + packet->payload_len == collect->super->payload_len;
    uint8_t flags = TCP_ACK;

    if (collect->count == 0)
        flags |= TCP_CWR;
    if (last)
        flags |= TCP_FIN | TCP_PSH;
    assert_int_equal(packet->tcp_flags, flags);
    assert_int_equal(read32(tcp + 4), (uint32_t)BUILT_SEQ + collect->payload);
    assert_memory_equal(tcp + 20, collect->built->bytes + collect->built->transport_at + 20, 12);
    if (packet->ip_version == 4)
        assert_int_equal(ip[4] << 8 | ip[5], (uint16_t)((uint32_t)BUILT_ID + (uint32_t)collect->count));
}

static void take(void *user, struct frame *frame)
{
    struct collect *collect = user;
    const struct super *super = collect->super;
    struct packet packet;
    uint32_t left = super->payload_len - collect->payload;
    uint32_t whole = super->gso_size ? super->gso_size : super->payload_len;

    assert_int_equal(packet_parse(frame->data, frame->len, super->layer, &packet), 0);
    assert_int_equal(packet.kind, super->protocol == IPPROTO_TCP ? PACKET_TCP : PACKET_UDP);
    assert_true(checksum_verify(frame->data, frame->len, &packet));
    assert_int_equal(frame->offload.flags, 0);
    assert_int_equal(frame->offload.gso_type, FRAME_GSO_NONE);
    assert_int_equal(frame->len, packet.ip_at + packet.ip_len);
    assert_int_equal(packet.payload_len, left < whole ? left : whole);
    assert_memory_equal(frame->data, collect->built->bytes, collect->built->ip_at);
    for (uint32_t i = 0; i < packet.payload_len; i++)
        assert_int_equal(frame->data[packet.payload_at + i], payload_byte(collect->payload + i));
    if (super->protocol == IPPROTO_TCP)
        check_tcp(collect, frame->data + packet.transport_at, frame->data + packet.ip_at, &packet);
    collect->payload += packet.payload_len;
    collect->count++;
    frame_put(frame);
}

/* In `pieces` pieces of unequal, odd sizes. */
static int cut(const struct built *built, int pieces, struct iovec *iov)
{
    size_t at = 0;

    for (int i = 0; i < pieces - 1; i++) {
        size_t len = (size_t)i * 13 % 97;
        if (len > built->len - at)
            len = built->len - at;
        iov[i] = (struct iovec){(void *)(uintptr_t)(built->bytes + at), len};
        at += len;
    }
    iov[pieces - 1] = (struct iovec){(void *)(uintptr_t)(built->bytes + at), built->len - at};
    return pieces;
}

static void check_split(const struct super *super, int pieces)
{
    struct built *built = build(super);
    struct collect collect = {super, built, 0, 0};
    struct frame_pool pool;
    struct iovec iov[64];
    const struct frame_parts parts = {iov, cut(built, pieces, iov), &built->offload};
    uint32_t expected =
        super->gso_size ? (super->payload_len + super->gso_size - 1) / super->gso_size : 1;

    frame_pool_init(&pool);
    assert_int_equal(segment_split(&parts, super->layer, &pool, take, &collect),
                     expected ? expected : 1);
    assert_int_equal(collect.payload, super->payload_len);
    assert_int_equal(collect.count, expected ? expected : 1);
    frame_pool_done(&pool);
    free(built);
}

static void every_kind(uint32_t payload_len, uint16_t gso_size)
{
    for (int i = 0; i < 8; i++) {
        struct super super = {.layer = i & 1 ? FRAME_ETHERNET : FRAME_IP,
                              .ip_version = i & 2 ? 6 : 4,
                              .protocol = i & 4 ? IPPROTO_UDP : IPPROTO_TCP,
                              .payload_len = payload_len,
                              .gso_size = gso_size};
        check_split(&super, 1);
        check_split(&super, 2);
        check_split(&super, 64);
        super.complete = true;
        check_split(&super, 1);
    }
}

static void splits_every_kind_of_super_segment(void **state)
{
    (void)state;
    every_kind(64000, 1448);
    every_kind(2896, 1448);
    every_kind(1449, 1448);
}

static void splits_into_odd_sizes(void **state)
{
    (void)state;
    every_kind(1000, 1);
    every_kind(9999, 333);
    every_kind(65000, 65000);
}

static void yields_one_frame_when_the_payload_fits_one(void **state)
{
    (void)state;
    every_kind(1000, 1448);
    every_kind(0, 1448);
}

static void completes_a_frame_of_real_size(void **state)
{
    (void)state;
    every_kind(1400, 0);
    every_kind(0, 0);
}

static void carries_the_ecn_mark_as_plain_gso(void **state)
{
    struct super super = {
        .ip_version = 4, .protocol = IPPROTO_TCP, .payload_len = 5000, .gso_size = 1460};
    struct built *built = build(&super);
    struct collect collect = {&super, built, 0, 0};
    struct frame_pool pool;
    struct iovec iov = {built->bytes, built->len};
    const struct frame_parts parts = {&iov, 1, &built->offload};

    (void)state;
    built->offload.gso_type |= FRAME_GSO_ECN;
    frame_pool_init(&pool);
    assert_int_equal(segment_split(&parts, FRAME_IP, &pool, take, &collect), 4);
    frame_pool_done(&pool);
    free(built);
}

static void leave(void *user, struct frame *frame)
{
    assert_non_null(frame);
    frame_put(frame);
    ++*(int *)user;
}

static int split_sample(const uint8_t *bytes, size_t len, enum frame_layer layer,
                        struct frame_offload offload)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    const struct frame_parts parts = {&iov, 1, &offload};
    struct frame_pool pool;
    int emitted = 0;

    frame_pool_init(&pool);
    int status = segment_split(&parts, layer, &pool, leave, &emitted);
    assert_int_equal(emitted, status < 0 ? 0 : status);
    frame_pool_done(&pool);
    return status;
}

static void refuses_headers_that_do_not_fit_the_type(void **state)
{
    const struct frame_offload tcp4 = {.gso_type = FRAME_GSO_TCPV4, .gso_size = 100};
    const struct frame_offload tcp6 = {.gso_type = FRAME_GSO_TCPV6, .gso_size = 100};
    const struct frame_offload udp = {.gso_type = FRAME_GSO_UDP_L4, .gso_size = 100};
    const struct frame_offload unknown = {.gso_type = 3, .gso_size = 100};
    const struct frame_offload no_size = {.gso_type = FRAME_GSO_TCPV4};

    (void)state;
    assert_int_equal(split_sample(data6, sizeof(data6), FRAME_IP, tcp6), 1);
    assert_int_equal(split_sample(data6, sizeof(data6), FRAME_IP, tcp4), -EBADMSG);
    assert_int_equal(split_sample(fin4, sizeof(fin4), FRAME_IP, tcp6), -EBADMSG);
    assert_int_equal(split_sample(fin4, sizeof(fin4), FRAME_IP, udp), -EBADMSG);
    assert_int_equal(split_sample(udp4, sizeof(udp4), FRAME_IP, tcp4), -EBADMSG);
    assert_int_equal(split_sample(udp4, sizeof(udp4), FRAME_IP, unknown), -EBADMSG);
    assert_int_equal(split_sample(fin4, sizeof(fin4), FRAME_IP, no_size), -EBADMSG);
    assert_int_equal(split_sample(fin4, sizeof(fin4) - 1, FRAME_IP, tcp4), -EBADMSG);
    assert_int_equal(split_sample(fin4, sizeof(fin4), FRAME_ETHERNET, tcp4), -EBADMSG);
    assert_int_equal(split_sample(fin4, 0, FRAME_IP, tcp4), -EBADMSG);
    assert_int_equal(split_sample(first_fragment6, sizeof(first_fragment6), FRAME_IP, udp),
                     -EBADMSG);
}

static void refuses_an_offload_that_does_not_fit_the_frame(void **state)
{
    const struct frame_offload outside = {
        .flags = FRAME_NEEDS_CSUM, .csum_start = 40, .csum_offset = 16};

    (void)state;
    assert_int_equal(split_sample(fin4, sizeof(fin4), FRAME_IP, outside), -EBADMSG);
}

static void passes_other_frames_on_as_they_are(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++)
        assert_int_equal(split_sample(samples[i].bytes, samples[i].len, samples[i].layer,
                                      (struct frame_offload){0}),
                         1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_every_kind_of_super_segment),
        cmocka_unit_test(splits_into_odd_sizes),
        cmocka_unit_test(yields_one_frame_when_the_payload_fits_one),
        cmocka_unit_test(completes_a_frame_of_real_size),
        cmocka_unit_test(carries_the_ecn_mark_as_plain_gso),
        cmocka_unit_test(refuses_headers_that_do_not_fit_the_type),
        cmocka_unit_test(refuses_an_offload_that_does_not_fit_the_frame),
        cmocka_unit_test(passes_other_frames_on_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
