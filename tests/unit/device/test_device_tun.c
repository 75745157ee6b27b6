/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sequenced packet socket keeps the bounds of each write as a TUN device does, so two of these
 * devices over a socket pair stand for the kernel's, and one against the bare socket lets the test
 * play a kernel that says odd things. The kernel's own is met in tests/netns/device.
 */
#include "conformance.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static void sockets(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static struct device *tun(int fd)
{
    struct device_tun_config config = {.fd = fd,
                                       .layer = FRAME_ETHERNET,
                                       .name = "peer0",
                                       .mtu = 9000,
                                       .local_mac = {{2, 0, 0, 0, 0, 9}},
                                       .offload_tcp = true};
    struct device *device = NULL;

    assert_int_equal(device_tun_new(&config, &device), 0);
    return device;
}

static void carries_frames_both_ways(void **state)
{
    int fds[2];

    (void)state;
    sockets(fds);
    struct device *a = tun(fds[0]), *b = tun(fds[1]);
    device_conformance(a, b);
    device_free(a);
    device_free(b);
    close_both(fds);
}

static void is_what_it_was_configured_to_be(void **state)
{
    int fds[2];

    (void)state;
    sockets(fds);
    struct device *device = tun(fds[0]);
    assert_int_equal(device_fd(device), fds[0]);
    assert_int_equal(device->layer, FRAME_ETHERNET);
    assert_string_equal(device->name, "peer0");
    assert_int_equal(device->mtu, 9000);
    assert_int_equal(device->local_mac.bytes[5], 9);
    assert_true(device->offload_tcp);
    assert_false(device->offload_udp);
    device_free(device);
    assert_int_equal(write(fds[1], "x", 1), 1); /* the descriptor stays its owner's */
    close_both(fds);
}

static void counts_a_full_queue_as_drops(void **state)
{
    static uint8_t frame[16000] = {0x45};
    int fds[2], status, sent = 0;

    (void)state;
    sockets(fds);
    struct device *device = tun(fds[0]);
    while ((status = send_bytes(device, frame, sizeof(frame))) == 0)
        sent++;
    assert_int_equal(status, -EAGAIN);
    assert_int_equal(device->sent, sent);
    assert_int_equal(device->send_drops, 1);
    device_free(device);
    close_both(fds);
}

/* An unconnected datagram socket refuses every write with an error of its own. */
static void reports_a_refused_frame(void **state)
{
    uint8_t frame[20] = {0x45};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void)state;
    struct device *device = tun(fd);
    assert_int_equal(send_bytes(device, frame, sizeof(frame)), -EINVAL);
    assert_int_equal(device->send_drops, 1);
    assert_int_equal(device->sent, 0);
    device_free(device);
    close(fd);
}

static void tells_that_the_device_is_gone(void **state)
{
    uint8_t frame[20] = {0x45};
    int fds[2];

    (void)state;
    sockets(fds);
    struct device *device = tun(fds[0]);
    close(fds[1]);
    assert_int_equal(recv_status(device), -EBADFD);
    assert_int_equal(send_bytes(device, frame, sizeof(frame)), -EBADFD);
    device_free(device);
    close(fds[0]);
}

/* ---- a kernel that says odd things ---- */

static void say(int fd, const struct frame_offload *offload, size_t frame_len)
{
    uint8_t frame[100] = {0x45};
    struct iovec iov[2] = {{(void *)(uintptr_t)offload, sizeof(*offload)}, {frame, frame_len}};

    assert_int_equal(writev(fd, iov, 2), sizeof(*offload) + frame_len);
}

static void skips_what_is_shorter_than_the_header(void **state)
{
    struct frame_offload none = {0};
    uint8_t out[100];
    int fds[2];

    (void)state;
    sockets(fds);
    struct device *device = tun(fds[0]);
    for (size_t len = 1; len < sizeof(none); len++)
        assert_int_equal(write(fds[1], "123456789", len), len);
    say(fds[1], &none, 33);
    expect_frame(device, out, 33);
    assert_int_equal(device->received, 1);
    assert_int_equal(recv_status(device), 0);
    say(fds[1], &none, 0);
    expect_frame(device, out, 0);
    device_free(device);
    close_both(fds);
}

static void takes_back_an_offload_that_does_not_fit(void **state)
{
    static const struct {
        struct frame_offload said, kept;
    } cases[] = {
        {{.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 16},
         {.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 16}},
        {{.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 18},
         {.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 18}},
        {{.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 19},
         {.csum_start = 20, .csum_offset = 19}},
        {{.flags = FRAME_NEEDS_CSUM | FRAME_DATA_VALID,
          .csum_start = 0xffff,
          .csum_offset = 0xffff},
         {.csum_start = 0xffff, .csum_offset = 0xffff}},
        {{.flags = FRAME_DATA_VALID}, {.flags = FRAME_DATA_VALID}},
        {{.gso_type = FRAME_GSO_TCPV4}, {.gso_type = FRAME_GSO_NONE}},
        {{.gso_type = FRAME_GSO_TCPV4, .gso_size = 9},
         {.gso_type = FRAME_GSO_TCPV4, .gso_size = 9}},
    };
    uint8_t out[100];
    int fds[2];

    (void)state;
    sockets(fds);
    struct device *device = tun(fds[0]);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        say(fds[1], &cases[i].said, 40);
        struct frame_offload got = expect_frame(device, out, 40);
        assert_memory_equal(&got, &cases[i].kept, sizeof(got));
    }
    device_free(device);
    close_both(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_frames_both_ways),
        cmocka_unit_test(is_what_it_was_configured_to_be),
        cmocka_unit_test(counts_a_full_queue_as_drops),
        cmocka_unit_test(reports_a_refused_frame),
        cmocka_unit_test(tells_that_the_device_is_gone),
        cmocka_unit_test(skips_what_is_shorter_than_the_header),
        cmocka_unit_test(takes_back_an_offload_that_does_not_fit),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
