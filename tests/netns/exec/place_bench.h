/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PLACE_BENCH_H
#define PLACE_BENCH_H

/*
 * What the tests of places share: this program is also the one that runs in a place ("inside WORD
 * ARGS..."), and what it writes there comes back by a pipe. Frames of the device are seen here.
 */
#include "exec/place.h"
#include "support/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Long enough for the slowest machine; a test that gets there has failed. */
enum { PATIENCE_MS = 60000, VNET_BYTES = 10, FRAME_BYTES = 70000 };

static inline bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, timeout_ms) == 1;
}

static inline struct peer_addr addr_of(const char *text)
{
    struct peer_addr addr;

    assert_int_equal(peer_addr_parse(text, &addr), 0);
    return addr;
}

/* ---- a place with a program in it ---- */

struct bench {
    struct netns_origin origin;
    struct place_config config;
    struct place place;
    int output; /* of the program */
    char *argv[10];
};

/* An IPv4 place, unless the test changes it. */
static inline void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    assert_int_equal(netns_origin_take(&bench->origin), 0);
    bench->config = (struct place_config){.node = getenv("PLACE_NODE"),
                                          .inside = addr_of("198.18.0.2"),
                                          .mtu = 1500,
                                          .offload = true,
                                          .resolv_conf = "/dev/null",
                                          .program = {.argv = bench->argv}};
}

static inline void bench_make(struct bench *bench)
{
    struct peer_error error = {0};
    int ends[2];

    fflush(NULL);
    bench->config.program.origin = &bench->origin;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const int before = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
    const int status = place_make(&bench->config, &bench->place, &error);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(before);
    close(ends[1]);
    assert_string_equal(error.text, "");
    assert_int_equal(status, 0);
    bench->output = ends[0];
}

/* Starts this program in the place. */
static inline void bench_start(struct bench *bench, const char *word, const char *one,
                               const char *two)
{
    const char *const words[] = {"/proc/self/exe", "inside", word, one, two, NULL};
    struct peer_error error = {0};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        bench->argv[i] = (char *)(uintptr_t)words[i];
    bench_make(bench);
    (void)netns_isolate_start(&bench->place.isolated, &error);
    assert_string_equal(error.text, "");
}

/* A line that the program wrote. */
static inline void bench_line(const struct bench *bench, char *line, size_t size)
{
    size_t len = 0;

    while (len < size - 1 && is_readable(bench->output, PATIENCE_MS) &&
           read(bench->output, line + len, 1) == 1 && line[len] != '\n')
        len++;
    line[len] = '\0';
}

static inline void assert_line(const struct bench *bench, const char *expected)
{
    char line[256];

    bench_line(bench, line, sizeof(line));
    assert_string_equal(line, expected);
}

/* What it ended with, its exit status. */
static inline int bench_status(struct bench *bench)
{
    int value = -7, news = NETNS_NOTHING;

    while (news != NETNS_ENDED) {
        assert_true(is_readable(bench->place.isolated.control, PATIENCE_MS));
        news = netns_isolate_next(&bench->place.isolated, &value);
        assert_true(news >= 0);
    }
    assert_true(WIFEXITED(value));
    return WEXITSTATUS(value);
}

static inline void bench_done(struct bench *bench)
{
    place_end(&bench->place, 0);
    close(bench->output);
    netns_origin_done(&bench->origin);
}

/* ---- frames ---- */

/* The next frame of an IP version: its length without the virtio header, which lies before it. */
static inline size_t next_frame(const struct bench *bench, uint8_t *frame, int version)
{
    for (;;) {
        assert_true(is_readable(bench->place.tun_fd, PATIENCE_MS));
        const ssize_t len = read(bench->place.tun_fd, frame, FRAME_BYTES);
        assert_true(len > VNET_BYTES);
        if (frame[VNET_BYTES] >> 4 == version)
            return (size_t)len - VNET_BYTES;
    }
}

/* The answer to a UDP datagram over IPv4 that says the same: with both ends of addresses and ports
   exchanged the checksum, or the part of it that there is, stays right. */
static inline void send_back(const struct bench *bench, uint8_t *frame, size_t len)
{
    uint8_t *ip = frame + VNET_BYTES, *udp = ip + 4 * (ip[0] & 15), swap[4];

    memcpy(swap, ip + 12, 4);
    memcpy(ip + 12, ip + 16, 4);
    memcpy(ip + 16, swap, 4);
    memcpy(swap, udp, 2);
    memcpy(udp, udp + 2, 2);
    memcpy(udp + 2, swap, 2);
    assert_int_equal(write(bench->place.tun_fd, frame, len + VNET_BYTES), len + VNET_BYTES);
}

/* ---- the program ---- */

static inline socklen_t endpoint(const char *text, const char *port, struct sockaddr_storage *ret)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof(v4));
        return sizeof(v4);
    }
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        exit(9);
    memcpy(ret, &v6, sizeof(v6));
    return sizeof(v6);
}

static inline int call(const char *text, const char *port, int type)
{
    struct sockaddr_storage to;
    const socklen_t len = endpoint(text, port, &to);
    const int fd = socket(to.ss_family, type | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) < 0) {
        printf("%s\n", strerrorname_np(errno));
        exit(1);
    }
    return fd;
}

#endif
