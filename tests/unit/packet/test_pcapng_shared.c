/* SPDX-License-Identifier: BSD-3-Clause */
/* Several processes that write one capture by a socket: what each sends at once is whole blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packet/pcapng.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 3000, FRAMES = 3000, SHORT = 60, LONG = 9000 };

static struct pcapng *open_shared(int ends[2])
{
    struct pcapng *pcapng = NULL;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pcapng_adopt(ends[1], 1 << 20, MOST, "peer0", FRAME_IP, &pcapng), 0);
    return pcapng;
}

static void write_frame(struct pcapng *pcapng, size_t len)
{
    static uint8_t bytes[LONG];
    struct frame_offload none = {0};
    struct iovec part = {bytes, len};

    pcapng_write(pcapng, 1, PCAPNG_INBOUND, &(struct frame_parts){&part, 1, &none}, NULL);
}

/* The length of the next message, 0: there is none; how many blocks it is is added. */
static size_t next_message(int fd, size_t *blocks)
{
    static uint8_t bytes[1 << 17];
    ssize_t got = read(fd, bytes, sizeof(bytes));
    const size_t len = got > 0 ? (size_t)got : 0;
    uint32_t block, again;

    for (size_t at = 0; at < len; at += block, ++*blocks) {
        memcpy(&block, bytes + at + 4, sizeof(block));
        assert_true(block >= 12 && block % 4 == 0 && block <= len - at);
        memcpy(&again, bytes + at + block - 4, sizeof(again));
        assert_int_equal(block, again);
    }
    return len;
}

static void whole_blocks_go_together(void **state)
{
    size_t all = 0, messages = 0, blocks = 0;
    uint64_t frames, dropped;
    int ends[2];

    (void)state;
    struct pcapng *pcapng = open_shared(ends);
    for (int i = 0; i < FRAMES; i++)
        write_frame(pcapng, SHORT);
    for (size_t left = 1; left > 0;) {
        left = pcapng_drain(pcapng, 0);
        for (size_t len; (len = next_message(ends[0], &blocks)) > 0; messages++) {
            assert_true(len <= MOST);
            all += len;
        }
    }
    pcapng_get_counts(pcapng, &frames, &dropped);
    assert_int_equal(frames, FRAMES);
    assert_int_equal(dropped, 0);
    assert_int_equal(blocks, FRAMES + 2);
    assert_true(messages < all / MOST * 2);
    pcapng_free(pcapng);
    close(ends[0]);
}

static void a_block_that_is_longer_goes_alone(void **state)
{
    size_t blocks = 0;
    int ends[2];

    (void)state;
    struct pcapng *pcapng = open_shared(ends);
    write_frame(pcapng, SHORT);
    write_frame(pcapng, LONG);
    write_frame(pcapng, SHORT);
    assert_int_equal(pcapng_drain(pcapng, 0), 0);
    while (next_message(ends[0], &blocks) > 0 && blocks < 3)
        ;
    assert_int_equal(blocks, 3); /* section, interface, the first frame */
    assert_true(next_message(ends[0], &blocks) > LONG);
    assert_int_equal(blocks, 4);
    assert_true(next_message(ends[0], &blocks) > 0);
    assert_int_equal(blocks, 5);
    pcapng_free(pcapng);
    close(ends[0]);
}

/* With something unread at its death the socket is reset. */
static void a_reader_who_died_has_left(void **state)
{
    int ends[2];

    (void)state;
    struct pcapng *pcapng = open_shared(ends);
    close(ends[0]);
    write_frame(pcapng, SHORT);
    (void)pcapng_drain(pcapng, 0);
    assert_int_equal(pcapng_error(pcapng), -EPIPE);
    pcapng_free(pcapng);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_blocks_go_together),
        cmocka_unit_test(a_block_that_is_longer_goes_alone),
        cmocka_unit_test(a_reader_who_died_has_left),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
