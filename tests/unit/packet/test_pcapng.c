/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures are read back by a small reader that believes nothing: block lengths at both ends,
 * padding, options in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "build.h"
#include "packet/pcapng.h"
#include "packets.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct reader {
    uint8_t *bytes;
    size_t len, at;
};
struct block {
    uint32_t type, len;
    const uint8_t *body; /* without the leading and trailing lengths */
    uint32_t body_len;
};

static uint32_t read32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static uint16_t read16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, 2);
    return value;
}

static struct block next_block(struct reader *reader)
{
    const uint8_t *at = reader->bytes + reader->at;
    struct block block;

    assert_true(reader->len - reader->at >= 12);
    block.type = read32(at);
    block.len = read32(at + 4);
    assert_int_equal(block.len % 4, 0);
    assert_true(block.len >= 12 && block.len <= reader->len - reader->at);
    assert_int_equal(read32(at + block.len - 4), block.len);
    block.body = at + 8;
    block.body_len = block.len - 12;
    reader->at += block.len;
    return block;
}

/* The option `code` among those from `at` on; checks that the list ends where the block does. */
static const uint8_t *find_option(const struct block *block, uint32_t at, uint16_t code,
                                  uint16_t *ret_len)
{
    const uint8_t *found = NULL;

    for (;;) {
        assert_true(at + 4 <= block->body_len);
        uint16_t this = read16(block->body + at), len = read16(block->body + at + 2);
        if (this == code && code != 0) {
            found = block->body + at + 4;
            *ret_len = len;
        }
        at += 4 + (len + 3u) / 4 * 4;
        if (this == 0)
            break;
    }
    assert_int_equal(at, block->body_len);
    return found;
}

static void assert_option(const struct block *block, uint32_t at, uint16_t code, const void *value,
                          size_t len)
{
    uint16_t found_len = 0;
    const uint8_t *found = find_option(block, at, code, &found_len);

    assert_non_null(found);
    assert_int_equal(found_len, len);
    assert_memory_equal(found, value, len);
}

static void check_start(struct reader *reader, const char *ifname, uint16_t linktype)
{
    struct block section = next_block(reader), interface = next_block(reader);

    assert_int_equal(section.type, 0x0a0d0d0a);
    assert_int_equal(read32(section.body), 0x1a2b3c4d);
    assert_int_equal(read16(section.body + 4), 1);
    assert_int_equal(read16(section.body + 6), 0);
    assert_option(&section, 16, 4, "peer", 4);
    assert_int_equal(interface.type, 1);
    assert_int_equal(read16(interface.body), linktype);
    assert_option(&interface, 8, 2, ifname, strlen(ifname));
    assert_option(&interface, 8, 9, "\x09", 1);
}

struct expected {
    uint64_t wall_ns;
    uint32_t direction;
    const uint8_t *bytes;
    size_t len;
    const char *comment;
};

static void check_packet(struct reader *reader, const struct expected *expected)
{
    struct block block = next_block(reader);
    uint32_t options = 20 + ((uint32_t)expected->len + 3) / 4 * 4;
    uint16_t len;

    assert_int_equal(block.type, 6);
    assert_int_equal(read32(block.body), 0);
    assert_int_equal(read32(block.body + 4), expected->wall_ns >> 32);
    assert_int_equal(read32(block.body + 8), (uint32_t)expected->wall_ns);
    assert_int_equal(read32(block.body + 12), expected->len);
    assert_int_equal(read32(block.body + 16), expected->len);
    assert_memory_equal(block.body + 20, expected->bytes, expected->len);
    assert_option(&block, options, 2, &expected->direction, 4);
    if (expected->comment)
        assert_option(&block, options, 1, expected->comment, strlen(expected->comment));
    else
        assert_null(find_option(&block, options, 1, &len));
}

/* ---- files ---- */

static void temporary(char path[64])
{
    strcpy(path, "/tmp/peer-pcapng-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static struct reader slurp(const char *path)
{
    struct reader reader = {0};
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    reader.len = (size_t)status.st_size;
    reader.bytes = malloc(reader.len + 1);
    assert_int_equal(read(fd, reader.bytes, reader.len), status.st_size);
    close(fd);
    return reader;
}

static void done(struct reader *reader, const char *path)
{
    assert_int_equal(reader->at, reader->len);
    free(reader->bytes);
    unlink(path);
}

static void write_sample(struct pcapng *pcapng, const struct sample *sample, uint64_t wall_ns,
                         enum pcapng_direction direction, const char *comment)
{
    struct frame_offload none = {0};
    struct iovec iov[3] = {{(void *)(uintptr_t)sample->bytes, 7},
                           {NULL, 0},
                           {(void *)(uintptr_t)(sample->bytes + 7), sample->len - 7}};

    pcapng_write(pcapng, wall_ns, direction, &(struct frame_parts){iov, 3, &none}, comment);
}

static void writes_what_a_reader_expects(void **state)
{
    enum frame_layer layer = FRAME_IP;
    char path[64];

    (void)state;
    for (int round = 0; round < 2; round++, layer = FRAME_ETHERNET) {
        struct pcapng *pcapng = NULL;
        temporary(path);
        assert_int_equal(pcapng_open(path, "peer0", layer, &pcapng, NULL), 0);
        for (int i = 0; i < SAMPLES; i++)
            write_sample(pcapng, &samples[i], UINT64_C(1700000000123456789) + (uint64_t)i,
                         i & 1 ? PCAPNG_OUTBOUND : PCAPNG_INBOUND, i % 3 ? "why" : NULL);
        assert_int_equal(pcapng_error(pcapng), 0);
        assert_null(pcapng_free(pcapng));

        struct reader reader = slurp(path);
        check_start(&reader, "peer0", layer == FRAME_IP ? 101 : 1);
        for (int i = 0; i < SAMPLES; i++) {
            struct expected expected = {UINT64_C(1700000000123456789) + (uint64_t)i, i & 1 ? 2 : 1,
                                        samples[i].bytes, samples[i].len, i % 3 ? "why" : NULL};
            check_packet(&reader, &expected);
        }
        done(&reader, path);
    }
}

static void completes_the_checksum_of_a_super_segment_in_its_copy_only(void **state)
{
    struct super super = {
        .ip_version = 6, .protocol = IPPROTO_TCP, .payload_len = 65001, .gso_size = 1440};
    struct built *built = build(&super);
    struct built *complete = build(&super);
    struct iovec iov[2] = {{built->bytes, 33}, {built->bytes + 33, built->len - 33}};
    const struct frame_parts parts = {iov, 2, &built->offload};
    struct pcapng *pcapng;
    char path[64];

    (void)state;
    temporary(path);
    assert_int_equal(pcapng_open(path, "peer0", FRAME_IP, &pcapng, NULL), 0);
    for (int i = 0; i < 5; i++)
        pcapng_write(pcapng, 1, PCAPNG_OUTBOUND, &parts, NULL);
    assert_memory_equal(built->bytes, complete->bytes, built->len);
    assert_int_equal(built->offload.flags, FRAME_NEEDS_CSUM);
    pcapng_free(pcapng);

    assert_int_equal(checksum_complete(complete->bytes, complete->len, &complete->offload), 0);
    struct reader reader = slurp(path);
    struct expected expected = {1, 2, complete->bytes, complete->len, NULL};
    check_start(&reader, "peer0", 101);
    for (int i = 0; i < 5; i++)
        check_packet(&reader, &expected);
    done(&reader, path);
    free(built);
    free(complete);
}

static void cuts_a_long_comment_between_characters(void **state)
{
    char path[64], comment[2000], expected_comment[1024] = {0};
    struct pcapng *pcapng;

    (void)state;
    /* One byte, then characters of two: byte 1024 is the second half of one. */
    memset(comment, 0, sizeof(comment));
    comment[0] = 'x';
    for (int i = 1; i + 2 < (int)sizeof(comment); i += 2)
        memcpy(comment + i, "\xc3\xa9", 2);
    memcpy(expected_comment, comment, 1023);
    temporary(path);
    assert_int_equal(pcapng_open(path, "peer0", FRAME_IP, &pcapng, NULL), 0);
    write_sample(pcapng, &samples[0], 5, PCAPNG_INBOUND, comment);
    pcapng_free(pcapng);
    struct reader reader = slurp(path);
    struct expected expected = {5, 1, samples[0].bytes, samples[0].len, expected_comment};
    check_start(&reader, "peer0", 101);
    check_packet(&reader, &expected);
    done(&reader, path);
}

/* ---- secrets ---- */

static void check_secrets(struct reader *reader, const char *line)
{
    struct block block = next_block(reader);
    uint32_t len = (uint32_t)strlen(line);

    assert_int_equal(block.type, 10);
    assert_int_equal(read32(block.body), 0x544c534b);
    assert_int_equal(read32(block.body + 4), len);
    assert_memory_equal(block.body + 8, line, len);
    assert_int_equal(block.body_len, 8 + (len + 3) / 4 * 4);
}

static void check_samples(struct reader *reader, int from, int to)
{
    for (int i = from; i < to; i++) {
        struct expected expected = {(uint64_t)i, 1, samples[i % SAMPLES].bytes,
                                    samples[i % SAMPLES].len, NULL};
        check_packet(reader, &expected);
    }
}

static void write_samples(struct pcapng *pcapng, int from, int to)
{
    for (int i = from; i < to; i++)
        write_sample(pcapng, &samples[i % SAMPLES], (uint64_t)i, PCAPNG_INBOUND, NULL);
}

/* However often it is flushed meanwhile. */
static void secrets_stand_before_the_frames_of_two_rounds(void **state)
{
    static const char first[] = "CLIENT_RANDOM 01 02\n", second[] = "CLIENT_RANDOM 3 4\n";
    struct pcapng *pcapng;
    char path[64];

    (void)state;
    temporary(path);
    assert_int_equal(pcapng_open(path, "peer0", FRAME_IP, &pcapng, NULL), 0);
    write_samples(pcapng, 0, 2); /* of before */
    pcapng_keep(pcapng);
    pcapng_flush(pcapng);
    write_samples(pcapng, 2, 4);
    pcapng_flush(pcapng);
    pcapng_keep(pcapng);
    write_samples(pcapng, 4, 6);
    pcapng_flush(pcapng);
    pcapng_write_secrets(pcapng, first, strlen(first));
    pcapng_keep(pcapng);
    pcapng_flush(pcapng);
    pcapng_write_secrets(pcapng, second, strlen(second));
    write_samples(pcapng, 6, 7);
    pcapng_free(pcapng);

    struct reader reader = slurp(path);
    check_start(&reader, "peer0", 101);
    check_samples(&reader, 0, 2);
    check_secrets(&reader, first);
    check_samples(&reader, 2, 4);
    check_secrets(&reader, second);
    check_samples(&reader, 4, 7);
    done(&reader, path);
}

/* More than there is room for is kept, up to a bound; no frame is lost beyond it. */
static void a_round_may_be_long(void **state)
{
    static const char secret[] = "CLIENT_RANDOM 01 02\n";
    const struct {
        int frames;
        bool in_time;
    } cases[] = {{100, true}, {400, false}};
    struct super super = {.ip_version = 4, .protocol = IPPROTO_TCP, .payload_len = 60000};
    struct built *built = build(&super);
    struct iovec iov = {built->bytes, built->len};
    struct frame_offload none = {0};
    const struct frame_parts parts = {&iov, 1, &none};
    char path[64];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        struct pcapng *pcapng;
        temporary(path);
        assert_int_equal(pcapng_open(path, "peer0", FRAME_IP, &pcapng, NULL), 0);
        pcapng_keep(pcapng);
        for (int i = 0; i < cases[c].frames; i++)
            pcapng_write(pcapng, 7, PCAPNG_INBOUND, &parts, NULL);
        pcapng_write_secrets(pcapng, secret, strlen(secret));
        pcapng_free(pcapng);
        struct reader reader = slurp(path);
        struct expected expected = {7, 1, built->bytes, built->len, NULL};
        check_start(&reader, "peer0", 101);
        if (cases[c].in_time)
            check_secrets(&reader, secret);
        int found = 0, secrets = cases[c].in_time;
        while (reader.at < reader.len) {
            if (read32(reader.bytes + reader.at) == 10) {
                check_secrets(&reader, secret);
                secrets++;
            } else {
                check_packet(&reader, &expected);
                found++;
            }
        }
        assert_int_equal(found, cases[c].frames);
        assert_int_equal(secrets, 1);
        done(&reader, path);
    }
    free(built);
}

/* ---- pipes and errors ---- */

struct drain {
    int fd;
    struct reader reader;
};

/* Reads in small odd pieces until the end, so that the writer meets partial writes. */
static void *drain_run(void *arg)
{
    struct drain *drain = arg;
    struct reader *reader = &drain->reader;
    ssize_t len;

    reader->bytes = malloc(4 << 20);
    while ((len = read(drain->fd, reader->bytes + reader->len, 777)) > 0)
        reader->len += (size_t)len;
    return NULL;
}

static void write_through_pipe(bool non_blocking)
{
    struct super super = {.ip_version = 4, .protocol = IPPROTO_TCP, .payload_len = 60000};
    struct built *built = build(&super);
    struct iovec iov = {built->bytes, built->len};
    const struct frame_parts parts = {&iov, 1, &built->offload};
    struct pcapng *pcapng;
    struct drain drain = {0};
    pthread_t thread;
    int fds[2];

    /* Standard output is the pipe while the capture is opened. */
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
    if (non_blocking)
        assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    drain.fd = fds[0];
    assert_int_equal(pthread_create(&thread, NULL, drain_run, &drain), 0);
    dup2(fds[1], STDOUT_FILENO);
    int status = pcapng_open("-", "peer0", FRAME_IP, &pcapng, NULL);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fds[1]);
    assert_int_equal(status, 0);
    for (int i = 0; i < 20; i++)
        pcapng_write(pcapng, 7, PCAPNG_INBOUND, &parts, "piped");
    while (pcapng_drain(pcapng, 1000) > 0)
        ;
    assert_int_equal(pcapng_error(pcapng), 0);
    pcapng_free(pcapng);
    pthread_join(thread, NULL);

    checksum_complete(built->bytes, built->len, &built->offload);
    struct expected expected = {7, 1, built->bytes, built->len, "piped"};
    check_start(&drain.reader, "peer0", 101);
    for (int i = 0; i < 20; i++)
        check_packet(&drain.reader, &expected);
    assert_int_equal(drain.reader.at, drain.reader.len);
    free(drain.reader.bytes);
    close(fds[0]);
    free(built);
}

static void writes_to_standard_output_in_full(void **state)
{
    (void)state;
    write_through_pipe(false);
    write_through_pipe(true);
}

/* Reads what is in the pipe now, behind what was read before. */
static void read_now(struct reader *reader, int fd)
{
    ssize_t len;

    while ((len = read(fd, reader->bytes + reader->len, 65536)) > 0)
        reader->len += (size_t)len;
    assert_int_equal(errno, EAGAIN);
}

/* A pipe whose reader does not block, and a capture into it: by its path, or as standard output. */
static int open_pipe(bool shared, struct pcapng **ret_pcapng)
{
    char path[64] = "-";
    int fds[2];

    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    if (shared)
        dup2(fds[1], STDOUT_FILENO);
    else
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
    int status = pcapng_open(path, "peer0", FRAME_IP, ret_pcapng, NULL);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fds[1]);
    assert_int_equal(status, 0);
    return fds[0];
}

static void a_reader_who_pauses_finds_how_many_are_missing(void **state)
{
    struct super super = {.ip_version = 4, .protocol = IPPROTO_TCP, .payload_len = 60000};
    uint64_t frames, dropped, more;
    struct pcapng *pcapng;

    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct built *built = build(&super);
        struct iovec iov = {built->bytes, built->len};
        const struct frame_parts parts = {&iov, 1, &built->offload};
        struct reader reader = {.bytes = malloc(8 << 20)};
        int fd = open_pipe(shared, &pcapng);
        for (int i = 0; i < 100; i++)
            pcapng_write(pcapng, 7, PCAPNG_INBOUND, &parts, NULL);
        pcapng_get_counts(pcapng, &frames, &dropped);
        assert_int_equal(frames, 100);
        assert_in_range(dropped, 40, 70); /* of 6 MB about 3 MiB are in the pipe or kept */
        assert_true(pcapng_waits(pcapng));
        do
            read_now(&reader, fd);
        while (pcapng_drain(pcapng, 0) > 0);
        assert_false(pcapng_waits(pcapng));
        write_sample(pcapng, &samples[0], 8, PCAPNG_OUTBOUND, NULL);
        write_sample(pcapng, &samples[0], 9, PCAPNG_OUTBOUND, NULL);
        pcapng_flush(pcapng);
        read_now(&reader, fd);
        pcapng_get_counts(pcapng, &frames, &more);
        assert_int_equal(more, dropped);

        checksum_complete(built->bytes, built->len, &built->offload);
        struct expected before = {7, 1, built->bytes, built->len, NULL};
        check_start(&reader, "peer0", 101);
        for (uint64_t i = 0; i < 100 - dropped; i++)
            check_packet(&reader, &before);
        struct block first = next_block(&reader);
        assert_option(&first, 20 + ((uint32_t)samples[0].len + 3) / 4 * 4, 4, &dropped, 8);
        struct expected second = {9, 2, samples[0].bytes, samples[0].len, NULL};
        check_packet(&reader, &second);
        assert_int_equal(reader.at, reader.len);
        pcapng_free(pcapng);
        free(reader.bytes);
        free(built);
        close(fd);
    }
}

static void a_reader_who_takes_little_gets_whole_frames(void **state)
{
    struct super super = {.ip_version = 4, .protocol = IPPROTO_TCP, .payload_len = 1400};
    struct built *built = build(&super);
    struct iovec iov = {built->bytes, built->len};
    const struct frame_parts parts = {&iov, 1, &built->offload};
    struct reader reader = {.bytes = malloc(16 << 20)};
    uint64_t frames, dropped, seen = 0;
    struct pcapng *pcapng;
    ssize_t len;

    (void)state;
    int fd = open_pipe(false, &pcapng);
    for (int i = 0; i < 20000; i++) {
        pcapng_write(pcapng, 7, PCAPNG_INBOUND, &parts, NULL);
        if (i % 4 == 0 && (len = read(fd, reader.bytes + reader.len, 1000)) > 0)
            reader.len += (size_t)len;
    }
    do
        read_now(&reader, fd);
    while (pcapng_drain(pcapng, 0) > 0);
    read_now(&reader, fd);
    pcapng_get_counts(pcapng, &frames, &dropped);
    assert_int_equal(frames, 20000);
    assert_true(dropped > 0);
    check_start(&reader, "peer0", 101);
    for (; reader.at < reader.len; seen++)
        assert_int_equal(next_block(&reader).type, 6);
    assert_int_equal(seen, frames - dropped);
    pcapng_free(pcapng);
    free(reader.bytes);
    free(built);
    close(fd);
}

static void what_nobody_took_is_counted_at_the_end(void **state)
{
    struct super super = {.ip_version = 4, .protocol = IPPROTO_TCP, .payload_len = 60000};
    struct built *built = build(&super);
    struct iovec iov = {built->bytes, built->len};
    const struct frame_parts parts = {&iov, 1, &built->offload};
    struct reader reader = {.bytes = malloc(8 << 20)};
    uint64_t frames, dropped, whole = 0;
    struct pcapng *pcapng;

    (void)state;
    int fd = open_pipe(false, &pcapng);
    for (int i = 0; i < 60; i++)
        pcapng_write(pcapng, 7, PCAPNG_INBOUND, &parts, NULL);
    assert_true(pcapng_drain(pcapng, 0) > 0);
    pcapng_finish(pcapng);
    pcapng_write(pcapng, 7, PCAPNG_INBOUND, &parts, NULL);
    assert_int_equal(pcapng_drain(pcapng, 0), 0);
    pcapng_get_counts(pcapng, &frames, &dropped);
    pcapng_free(pcapng);
    while (read(fd, reader.bytes + reader.len, 1) == 1)
        reader.len++;
    check_start(&reader, "peer0", 101);
    while (reader.len - reader.at > built->len + 100) {
        (void)next_block(&reader);
        whole++;
    }
    assert_int_equal(frames, 61);
    assert_int_equal(whole + dropped, frames);
    free(reader.bytes);
    free(built);
    close(fd);
}

static void shows_the_headers_and_flushed_packets_at_once(void **state)
{
    struct pcapng *pcapng;
    char path[64];

    (void)state;
    temporary(path);
    assert_int_equal(pcapng_open(path, "peer0", FRAME_IP, &pcapng, NULL), 0);
    struct reader reader = slurp(path);
    check_start(&reader, "peer0", 101);
    assert_int_equal(reader.at, reader.len);
    free(reader.bytes);
    write_sample(pcapng, &samples[0], 5, PCAPNG_INBOUND, NULL);
    pcapng_flush(pcapng);
    reader = slurp(path);
    struct expected expected = {5, 1, samples[0].bytes, samples[0].len, NULL};
    check_start(&reader, "peer0", 101);
    check_packet(&reader, &expected);
    pcapng_free(pcapng);
    done(&reader, path);
}

static void remembers_a_closed_pipe_and_goes_on_without_it(void **state)
{
    struct pcapng *pcapng;
    char path[64];
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
    assert_int_equal(pcapng_open(path, "peer0", FRAME_IP, &pcapng, NULL), 0);
    close(fds[0]);
    write_sample(pcapng, &samples[0], 5, PCAPNG_INBOUND, NULL);
    assert_int_equal(pcapng_error(pcapng), 0);
    pcapng_flush(pcapng);
    assert_int_equal(pcapng_error(pcapng), -EPIPE);
    for (int i = 0; i < 10000; i++)
        write_sample(pcapng, &samples[0], 5, PCAPNG_INBOUND, NULL);
    pcapng_flush(pcapng);
    assert_int_equal(pcapng_error(pcapng), -EPIPE);
    pcapng_free(pcapng);
    close(fds[1]);
}

static void names_the_path_it_cannot_write(void **state)
{
    static const struct {
        const char *path;
        int code;
        enum peer_error_kind kind;
    } cases[] = {{"/nonexistent/x.pcapng", ENOENT, PEER_ERROR_USAGE},
                 {"/tmp", EISDIR, PEER_ERROR_USAGE},
                 {"/dev/full", ENOSPC, PEER_ERROR_MACHINE}};
    struct pcapng *pcapng = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer_error error = {0};
        assert_int_equal(pcapng_open(cases[i].path, "peer0", FRAME_IP, &pcapng, &error),
                         -cases[i].code);
        assert_int_equal(error.code, cases[i].code);
        assert_int_equal(error.kind, cases[i].kind);
        assert_non_null(strstr(error.text, cases[i].path));
        assert_null(pcapng);
    }
    assert_null(pcapng_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_a_reader_expects),
        cmocka_unit_test(completes_the_checksum_of_a_super_segment_in_its_copy_only),
        cmocka_unit_test(cuts_a_long_comment_between_characters),
        cmocka_unit_test(secrets_stand_before_the_frames_of_two_rounds),
        cmocka_unit_test(a_round_may_be_long),
        cmocka_unit_test(writes_to_standard_output_in_full),
        cmocka_unit_test(a_reader_who_pauses_finds_how_many_are_missing),
        cmocka_unit_test(a_reader_who_takes_little_gets_whole_frames),
        cmocka_unit_test(what_nobody_took_is_counted_at_the_end),
        cmocka_unit_test(shows_the_headers_and_flushed_packets_at_once),
        cmocka_unit_test(remembers_a_closed_pipe_and_goes_on_without_it),
        cmocka_unit_test(names_the_path_it_cannot_write),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
