/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "build.h"
#include "packets.h"

#include <errno.h>

/* RFC 1071, word by word. */
static uint16_t plain(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void agrees_with_the_definition_at_every_length_and_alignment(void **state)
{
    uint8_t data[300];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t at = 0; at < 9; at++) {
        for (size_t len = 0; len + at <= sizeof(data); len++)
            assert_int_equal(checksum_finish(checksum_add(0, data + at, len)),
                             plain(data + at, len));
    }
}

static void goes_on_from_an_earlier_sum(void **state)
{
    uint8_t data[200];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 91);
    for (size_t cut = 0; cut <= sizeof(data); cut += 2) {
        uint64_t sum = checksum_add(0, data, cut);
        sum = checksum_add(sum, data + cut, sizeof(data) - cut);
        assert_int_equal(checksum_finish(sum), plain(data, sizeof(data)));
    }
}

static void does_not_overflow_on_the_largest_words(void **state)
{
    static uint8_t data[FRAME_LARGE_BYTES];
    uint64_t sum = 0;

    (void)state;
    memset(data, 0xff, sizeof(data));
    for (int i = 0; i < 1000; i++)
        sum = checksum_add(sum, data, sizeof(data));
    assert_int_equal(checksum_finish(sum), 0);
}

static void accepts_every_good_packet(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        struct packet packet;
        (void)packet_parse(samples[i].bytes, samples[i].len, samples[i].layer, &packet);
        assert_true(checksum_verify(samples[i].bytes, samples[i].len, &packet));
    }
}

/* One changed bit in what the checksums cover is always found. */
static void refuses_every_changed_bit(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        struct packet packet;
        uint8_t copy[256];
        (void)packet_parse(sample->bytes, sample->len, sample->layer, &packet);
        if (packet.kind < PACKET_TCP || packet.kind == PACKET_IP || packet.fragment)
            continue;
        size_t end = packet.ip_at + packet.ip_len;
        size_t start = packet.ip_version == 4 ? packet.ip_at : packet.transport_at;
        for (size_t bit = start * 8; bit < end * 8; bit++) {
            memcpy(copy, sample->bytes, sample->len);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            struct packet changed;
            if (packet_parse(copy, sample->len, sample->layer, &changed) == 0 &&
                changed.kind == packet.kind)
                assert_false(checksum_verify(copy, sample->len, &changed));
        }
    }
}

static void takes_udp_without_checksum_over_ipv4_only(void **state)
{
    uint8_t v4[sizeof(udp4)], v6[sizeof(udp6)];
    struct packet packet;

    (void)state;
    memcpy(v4, udp4, sizeof(v4));
    memset(v4 + 26, 0, 2);
    assert_int_equal(packet_parse(v4, sizeof(v4), FRAME_IP, &packet), 0);
    assert_true(checksum_verify(v4, sizeof(v4), &packet));
    memcpy(v6, udp6, sizeof(v6));
    memset(v6 + 46, 0, 2);
    assert_int_equal(packet_parse(v6, sizeof(v6), FRAME_IP, &packet), 0);
    assert_false(checksum_verify(v6, sizeof(v6), &packet));
}

static void refuses_a_packet_that_was_cut(void **state)
{
    struct packet packet;

    (void)state;
    assert_int_equal(packet_parse(udp4, sizeof(udp4), FRAME_IP, &packet), 0);
    assert_false(checksum_verify(udp4, sizeof(udp4) - 1, &packet));
}

static void completes_what_the_offload_left_open(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct super super = {.layer = i & 1 ? FRAME_ETHERNET : FRAME_IP,
                              .ip_version = i & 2 ? 6 : 4,
                              .protocol = i & 4 ? IPPROTO_UDP : IPPROTO_TCP,
                              .payload_len = 1001};
        struct built *built = build(&super);
        struct packet packet;
        assert_int_equal(packet_parse(built->bytes, built->len, super.layer, &packet), 0);
        assert_false(checksum_verify(built->bytes, built->len, &packet));
        assert_int_equal(checksum_complete(built->bytes, built->len, &built->offload), 0);
        assert_int_equal(built->offload.flags, 0);
        assert_true(checksum_verify(built->bytes, built->len, &packet));
        /* Nothing is left to do: a second call changes nothing. */
        assert_int_equal(checksum_complete(built->bytes, built->len, &built->offload), 0);
        assert_true(checksum_verify(built->bytes, built->len, &packet));
        free(built);
    }
}

/* RFC 768: a sum of zero is sent as all ones. */
static void never_leaves_a_udp_checksum_of_zero(void **state)
{
    struct super super = {.ip_version = 6, .protocol = IPPROTO_UDP, .payload_len = 2};
    struct built *built = build(&super);
    struct frame_offload offload = built->offload;
    uint8_t *payload = built->bytes + built->payload_at;
    uint8_t *field = built->bytes + built->transport_at + 6;
    struct packet packet;
    uint16_t checksum, value;

    (void)state;
    /* Adding the checksum to a payload of zero makes the sum all ones, its complement zero. */
    memset(payload, 0, 2);
    uint8_t copy[64];
    memcpy(copy, built->bytes, built->len);
    assert_int_equal(checksum_complete(copy, built->len, &offload), 0);
    memcpy(&value, copy + built->transport_at + 6, 2);
    memcpy(payload, &value, 2);
    assert_int_equal(checksum_complete(built->bytes, built->len, &built->offload), 0);
    memcpy(&checksum, field, 2);
    assert_int_equal(checksum, 0xffff);
    assert_int_equal(packet_parse(built->bytes, built->len, FRAME_IP, &packet), 0);
    assert_true(checksum_verify(built->bytes, built->len, &packet));
    free(built);
}

static void refuses_a_checksum_field_outside_the_frame(void **state)
{
    uint8_t frame[40] = {0};
    static const struct {
        uint16_t start, offset;
        int status;
    } cases[] = {{20, 18, 0},           {20, 19, -EBADMSG}, {38, 0, 0},
                 {39, 0, -EBADMSG},     {40, 0, -EBADMSG},  {0xffff, 0xffff, -EBADMSG},
                 {20, 0xffff, -EBADMSG}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame_offload offload = {.flags = FRAME_NEEDS_CSUM,
                                        .csum_start = cases[i].start,
                                        .csum_offset = cases[i].offset};
        assert_int_equal(checksum_complete(frame, sizeof(frame), &offload), cases[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition_at_every_length_and_alignment),
        cmocka_unit_test(goes_on_from_an_earlier_sum),
        cmocka_unit_test(does_not_overflow_on_the_largest_words),
        cmocka_unit_test(accepts_every_good_packet),
        cmocka_unit_test(refuses_every_changed_bit),
        cmocka_unit_test(takes_udp_without_checksum_over_ipv4_only),
        cmocka_unit_test(refuses_a_packet_that_was_cut),
        cmocka_unit_test(completes_what_the_offload_left_open),
        cmocka_unit_test(never_leaves_a_udp_checksum_of_zero),
        cmocka_unit_test(refuses_a_checksum_field_outside_the_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
