/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture that is spread over files: each is one by itself, none is too long, nothing is missing or
 * there twice, however the stream is cut into pieces, and a full disk costs whole frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"
#include "packet/pcapring.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, PACKET = 6, SECRETS = 10 };
enum { FILES_MOST = 64, STREAM_MOST = 8 << 20 };

struct bench {
    struct pcapring *ring;
    struct pcapring_told told;
    int files[FILES_MOST]; /* in memory, in their order */
    unsigned count;
    int refuses; /* -errno instead of a next file */
    uint8_t *stream;
    size_t len;
    uint32_t frames;
};

static int new_file(void)
{
    int fd = memfd_create("ring", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* The ring closes what it has; this one stays to be read. */
static int next(void *user)
{
    struct bench *bench = user;

    if (bench->refuses)
        return bench->refuses;
    assert_true(bench->count < FILES_MOST);
    bench->files[bench->count] = new_file();
    return dup(bench->files[bench->count++]);
}

static void begin(struct bench *bench, uint64_t bytes)
{
    *bench = (struct bench){.count = 1, .stream = malloc(STREAM_MOST)};
    bench->files[0] = new_file();
    const struct pcapring_config config = {.fd = dup(bench->files[0]),
                                           .bytes = bytes,
                                           .next = next,
                                           .user = bench,
                                           .told = &bench->told};
    assert_non_null(bench->stream);
    assert_int_equal(pcapring_new(&config, &bench->ring), 0);
}

static void end(struct bench *bench)
{
    assert_null(pcapring_free(bench->ring));
    for (unsigned i = 0; i < bench->count; i++)
        close(bench->files[i]);
    free(bench->stream);
}

/* A block whose body begins with `number`. */
static void put_block(struct bench *bench, uint32_t type, uint32_t number, uint32_t len)
{
    uint8_t *at = bench->stream + bench->len;

    len = (MAX(len, 16U) + 3) / 4 * 4;
    assert_true(bench->len + len <= STREAM_MOST);
    memset(at, 0xa5, len);
    memcpy(at, &type, 4);
    memcpy(at + 4, &len, 4);
    memcpy(at + 8, &number, 4);
    memcpy(at + len - 4, &len, 4);
    bench->len += len;
}

static void put_head(struct bench *bench)
{
    put_block(bench, SECTION, 0, 48);
    put_block(bench, INTERFACE, 0, 40);
}

static void put_frames(struct bench *bench, struct rng *rng, uint32_t count, uint32_t most)
{
    for (; count; count--)
        put_block(bench, PACKET, bench->frames++, 40 + (uint32_t)rng_below(rng, most));
}

/* In pieces of any size. */
static void feed(struct bench *bench, struct rng *rng)
{
    for (size_t at = 0; at < bench->len;) {
        const size_t wanted = 1 + (size_t)rng_below(rng, 100000);
        const size_t part = MIN(bench->len - at, wanted);
        assert_int_equal(pcapring_take(bench->ring, bench->stream + at, part), 0);
        at += part;
    }
}

/* Checks the file and returns how many frames are in it, which follow `*at`; `ret_secrets` blocks. */
static uint32_t check_file(int fd, uint64_t most, uint32_t *at, uint32_t *ret_secrets)
{
    struct stat status;
    uint32_t frames = 0, type, len, number;

    assert_int_equal(fstat(fd, &status), 0);
    assert_true((uint64_t)status.st_size <= most);
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size + 1);
    assert_int_equal(pread(fd, bytes, size, 0), size);
    *ret_secrets = 0;
    for (size_t block = 0, index = 0; block < size; block += len, index++) {
        memcpy(&type, bytes + block, 4);
        memcpy(&len, bytes + block + 4, 4);
        memcpy(&number, bytes + block + 8, 4);
        assert_true(len <= size - block); /* whole */
        assert_true(index != 0 || type == SECTION);
        assert_true(index != 1 || type == INTERFACE);
        *ret_secrets += type == SECRETS;
        if (type != PACKET)
            continue;
        assert_true(number >= *at);
        *at = number + 1;
        frames++;
    }
    free(bytes);
    return frames;
}

static void each_file_is_a_capture_and_none_is_too_long(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng;
        struct bench bench;
        uint32_t at = 0, total = 0, secrets;
        rng_derive(&rng, seed, 1);
        begin(&bench, PCAPRING_LEAST);
        put_head(&bench);
        put_frames(&bench, &rng, 200, 20000);
        feed(&bench, &rng);
        assert_true(bench.count > 5);
        for (unsigned i = 0; i < bench.count; i++)
            total += check_file(bench.files[i], PCAPRING_LEAST, &at, &secrets);
        assert_int_equal(total, bench.frames); /* in order, so each once */
        assert_int_equal(bench.told.files, bench.count);
        assert_int_equal(bench.told.dropped, 0);
        assert_int_equal(bench.told.error, 0);
        end(&bench);
    }
}

static void the_last_secrets_are_in_the_next_file_too(void **state)
{
    struct rng rng;
    struct bench bench;
    uint32_t at = 0, secrets;

    (void)state;
    rng_derive(&rng, 1, 1);
    begin(&bench, PCAPRING_LEAST);
    put_head(&bench);
    for (uint32_t i = 0; i < 3; i++)
        put_block(&bench, SECRETS, i, 600);
    put_frames(&bench, &rng, 100, 5000);
    feed(&bench, &rng);
    assert_true(bench.count > 1);
    for (unsigned i = 0; i < bench.count; i++) {
        check_file(bench.files[i], PCAPRING_LEAST, &at, &secrets);
        assert_int_equal(secrets, 3);
    }
    end(&bench);
}

static void older_secrets_make_room_for_later_ones(void **state)
{
    struct rng rng;
    struct bench bench;
    uint32_t at = 0, secrets;

    (void)state;
    rng_derive(&rng, 1, 1);
    begin(&bench, PCAPRING_LEAST);
    put_head(&bench);
    for (uint32_t i = 0; i < 2000; i++) {
        put_block(&bench, SECRETS, i, 200);
        put_frames(&bench, &rng, 1, 300);
    }
    feed(&bench, &rng);
    assert_true(bench.count > 2);
    for (unsigned i = 0; i < bench.count; i++)
        assert_true(check_file(bench.files[i], PCAPRING_LEAST, &at, &secrets) > 0);
    assert_int_equal(at, bench.frames);
    end(&bench);
}

/* RLIMIT_FSIZE makes write(2) fail as a full disk does. */
static void a_full_disk_costs_whole_frames_which_are_counted(void **state)
{
    struct rng rng;
    struct rlimit before, limit;
    struct bench bench;
    uint32_t at = 0, secrets;

    (void)state;
    rng_derive(&rng, 1, 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    begin(&bench, 1 << 20);
    put_head(&bench);
    put_frames(&bench, &rng, 100, 5000);
    limit = (struct rlimit){100000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    feed(&bench, &rng);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(bench.told.error, -EFBIG);
    const uint64_t dropped = bench.told.dropped;
    assert_true(dropped > 0 && dropped < bench.frames);
    assert_int_equal(check_file(bench.files[0], 100000, &at, &secrets) + dropped, bench.frames);

    bench.len = 0; /* there is room again */
    put_frames(&bench, &rng, 10, 5000);
    feed(&bench, &rng);
    assert_int_equal(bench.told.dropped, dropped);
    at = 0;
    assert_int_equal(check_file(bench.files[0], 1 << 20, &at, &secrets) + dropped, bench.frames);
    end(&bench);
}

static void without_a_next_file_frames_are_counted_until_there_is_one(void **state)
{
    struct rng rng;
    struct bench bench;
    uint32_t at = 0, secrets, total = 0;

    (void)state;
    rng_derive(&rng, 1, 1);
    begin(&bench, PCAPRING_LEAST);
    bench.refuses = -EACCES;
    put_head(&bench);
    put_frames(&bench, &rng, 100, 5000);
    feed(&bench, &rng);
    assert_int_equal(bench.count, 1);
    assert_int_equal(bench.told.error, -EACCES);
    assert_true(bench.told.dropped > 0);
    bench.refuses = 0;
    bench.len = 0;
    put_frames(&bench, &rng, 50, 5000);
    feed(&bench, &rng);
    assert_true(bench.count > 1);
    for (unsigned i = 0; i < bench.count; i++)
        total += check_file(bench.files[i], PCAPRING_LEAST, &at, &secrets);
    assert_int_equal(total + bench.told.dropped, bench.frames);
    end(&bench);
}

static void what_is_no_stream_is_refused(void **state)
{
    static const uint32_t lengths[] = {0, 4, 11, 13, 300 << 10, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct bench bench;
        uint32_t words[8] = {PACKET, lengths[i]};
        begin(&bench, PCAPRING_LEAST);
        assert_int_equal(pcapring_take(bench.ring, words, sizeof(words)), -EBADMSG);
        assert_int_equal(pcapring_take(bench.ring, words, sizeof(words)), -EBADMSG);
        end(&bench);
    }
    assert_null(pcapring_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_file_is_a_capture_and_none_is_too_long),
        cmocka_unit_test(the_last_secrets_are_in_the_next_file_too),
        cmocka_unit_test(older_secrets_make_room_for_later_ones),
        cmocka_unit_test(a_full_disk_costs_whole_frames_which_are_counted),
        cmocka_unit_test(without_a_next_file_frames_are_counted_until_there_is_one),
        cmocka_unit_test(what_is_no_stream_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
