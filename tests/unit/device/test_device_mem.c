/* SPDX-License-Identifier: BSD-3-Clause */
#include "conformance.h"

#include "packet/checksum.h"

static struct device *other;

static struct device *pair(enum frame_layer layer, bool offload, size_t limit)
{
    struct device *device = NULL;

    other = NULL;
    assert_int_equal(device_mem_pair(layer, 1500, offload, limit, &device, &other), 0);
    return device;
}

static void carries_frames_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct device *device = pair(i & 1 ? FRAME_ETHERNET : FRAME_IP, i & 2, 100);
        assert_int_equal(device->layer, i & 1 ? FRAME_ETHERNET : FRAME_IP);
        assert_int_equal(device->mtu, 1500);
        assert_int_equal(device_fd(device), -1);
        device_conformance(device, other);
        assert_null(device_free(device));
        device_free(other);
    }
    assert_null(device_free(NULL));
}

static void limits_each_direction_by_itself(void **state)
{
    struct device *device = pair(FRAME_IP, false, 2);
    uint8_t frame[20] = {0x45}, out[20];

    (void)state;
    assert_int_equal(send_bytes(device, frame, 20), 0);
    assert_int_equal(send_bytes(device, frame, 20), 0);
    assert_int_equal(send_bytes(device, frame, 20), -EAGAIN);
    assert_int_equal(device->sent, 2);
    assert_int_equal(device->send_drops, 1);
    assert_int_equal(send_bytes(other, frame, 20), 0);
    expect_frame(other, out, 20);
    assert_int_equal(send_bytes(device, frame, 20), 0);
    assert_int_equal(send_bytes(device, frame, 20), -EAGAIN);
    device_free(device);
    device_free(other);
}

static void refuses_what_the_kernel_refuses(void **state)
{
    uint8_t frame[20] = {0x45};
    struct iovec iov = {frame, sizeof(frame)};
    struct frame_offload outside = {.flags = FRAME_NEEDS_CSUM, .csum_start = 19};
    struct frame_offload no_size = {.gso_type = FRAME_GSO_TCPV4};
    struct frame_offload super = {.gso_type = FRAME_GSO_TCPV4, .gso_size = 100};
    static uint8_t huge[FRAME_LARGE_BYTES + 1] = {0x45};

    (void)state;
    for (int offload = 0; offload < 2; offload++) {
        struct device *device = pair(FRAME_IP, offload, 9);
        assert_int_equal(send_bytes(device, frame, 0), -EINVAL);
        assert_int_equal(send_bytes(device, "\0", 1), -EINVAL);
        assert_int_equal(send_bytes(device, huge, sizeof(huge)), -EINVAL);
        assert_int_equal(device_send(device, &iov, 1, &outside), -EINVAL);
        assert_int_equal(device_send(device, &iov, 1, &no_size), -EINVAL);
        assert_int_equal(device_send(device, &iov, 1, &super), offload ? 0 : -EINVAL);
        assert_int_equal(device->send_drops, offload ? 5 : 6);
        device_free(device);
        device_free(other);
    }
    struct device *device = pair(FRAME_ETHERNET, true, 9);
    assert_int_equal(send_bytes(device, frame, 13), -EINVAL);
    assert_int_equal(send_bytes(device, frame, 14), 0);
    device_free(device);
    device_free(other);
}

static void completes_checksums_without_offload(void **state)
{
    struct device *device = pair(FRAME_IP, false, 9);
    uint8_t frame[28] = {0x45, [20] = 0x12, [21] = 0x34}, out[28];
    struct frame_offload open = {.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6};
    struct iovec iov = {frame, sizeof(frame)};

    (void)state;
    assert_int_equal(device_send(device, &iov, 1, &open), 0);
    struct frame_offload got = expect_frame(other, out, sizeof(out));
    assert_int_equal(got.flags, 0);
    assert_int_equal(out[26] << 8 | out[27], 0xffff - 0x1234);
    assert_int_equal(frame[26], 0);
    device_free(device);
    device_free(other);
}

static void tells_that_the_other_end_is_gone(void **state)
{
    struct device *device = pair(FRAME_IP, false, 9);
    uint8_t frame[20] = {0x45}, out[20];

    (void)state;
    assert_int_equal(send_bytes(other, frame, 20), 0);
    assert_int_equal(send_bytes(device, frame, 20), 0);
    device_free(other);
    assert_int_equal(send_bytes(device, frame, 20), -EBADFD);
    expect_frame(device, out, 20);
    assert_int_equal(recv_status(device), -EBADFD);
    device_free(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_frames_both_ways),
        cmocka_unit_test(limits_each_direction_by_itself),
        cmocka_unit_test(refuses_what_the_kernel_refuses),
        cmocka_unit_test(completes_checksums_without_offload),
        cmocka_unit_test(tells_that_the_other_end_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
