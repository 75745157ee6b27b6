/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/iov.h"
#include "packet/frame.h"

#include <string.h>

static void chooses_the_room_by_length(void **state)
{
    static const struct {
        uint32_t len, room;
    } cases[] = {{0, FRAME_SMALL_BYTES},
                 {FRAME_SMALL_BYTES, FRAME_SMALL_BYTES},
                 {FRAME_SMALL_BYTES + 1, FRAME_LARGE_BYTES},
                 {FRAME_LARGE_BYTES, FRAME_LARGE_BYTES}};
    struct frame_pool pool;

    (void)state;
    frame_pool_init(&pool);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame *frame = frame_get(&pool, cases[i].len);
        assert_non_null(frame);
        assert_int_equal(frame->len, cases[i].len);
        assert_int_equal(frame->room, cases[i].room);
        assert_ptr_equal(frame->data, frame->bytes);
        memset(frame->data, 0xab, frame->room);
        frame_put(frame);
    }
    assert_null(frame_get(&pool, FRAME_LARGE_BYTES + 1));
    assert_int_equal(pool.used, 0);
    frame_pool_done(&pool);
}

static void hands_out_the_warmest_frame_with_a_clean_header(void **state)
{
    struct frame_pool pool;

    (void)state;
    frame_pool_init(&pool);
    struct frame *first = frame_get(&pool, 10), *second = frame_get(&pool, 10);
    assert_int_equal(pool.used, 2);
    frame_put(first);
    second->data += 4;
    second->offload.flags = FRAME_NEEDS_CSUM;
    frame_put(second);
    frame_put(NULL);
    assert_int_equal(pool.free_small_count, 2);
    struct frame *again = frame_get(&pool, 20);
    assert_ptr_equal(again, second);
    assert_ptr_equal(again->data, again->bytes);
    assert_int_equal(again->offload.flags, 0);
    assert_int_equal(again->len, 20);
    frame_put(again);
    frame_pool_done(&pool);
}

static void keeps_a_bounded_number(void **state)
{
    struct frame_pool pool;
    struct frame *frames = NULL;

    (void)state;
    frame_pool_init(&pool);
    for (int i = 0; i < 1100; i++) {
        struct frame *frame = frame_get(&pool, i < 100 ? FRAME_LARGE_BYTES : 1);
        frame->next = frames;
        frames = frame;
    }
    for (int i = 0; i < 50; i++) {
        struct frame *frame = frame_get(&pool, 1);
        frame->next = frames;
        frames = frame;
    }
    while (frames) {
        struct frame *next = frames->next;
        frame_put(frames);
        frames = next;
    }
    assert_int_equal(pool.free_small_count, 1024);
    assert_int_equal(pool.free_large_count, 64);
    assert_int_equal(pool.used, 0);
    frame_pool_done(&pool);
}

static void a_short_frame_is_copied_into_a_small_one(void **state)
{
    struct frame_pool pool;

    (void)state;
    frame_pool_init(&pool);
    struct frame *large = frame_get(&pool, FRAME_LARGE_BYTES);
    memset(large->data, 'x', FRAME_SMALL_BYTES);
    large->offload = (struct frame_offload){.flags = FRAME_NEEDS_CSUM, .csum_start = 20};
    large->len = FRAME_SMALL_BYTES;
    struct frame *copy = frame_copy_small(large);
    assert_non_null(copy);
    assert_int_equal(copy->room, FRAME_SMALL_BYTES);
    assert_int_equal(copy->len, FRAME_SMALL_BYTES);
    assert_memory_equal(copy->data, large->data, FRAME_SMALL_BYTES);
    assert_memory_equal(&copy->offload, &large->offload, sizeof(large->offload));
    frame_put(copy);
    large->len = FRAME_SMALL_BYTES + 1;
    assert_null(frame_copy_small(large));
    frame_put(large);
    assert_int_equal(pool.used, 0);
    frame_pool_done(&pool);
}

static void gathers_pieces_and_skips_empty_ones(void **state)
{
    char a[] = "ab", b[] = "cde", out[6] = {0};
    struct iovec iov[] = {{a, 2}, {NULL, 0}, {b, 3}};

    (void)state;
    assert_int_equal(iov_total(iov, 3), 5);
    assert_int_equal(iov_gather(iov, 3, out), 5);
    assert_string_equal(out, "abcde");
    assert_int_equal(iov_total(iov, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_room_by_length),
        cmocka_unit_test(hands_out_the_warmest_frame_with_a_clean_header),
        cmocka_unit_test(keeps_a_bounded_number),
        cmocka_unit_test(a_short_frame_is_copied_into_a_small_one),
        cmocka_unit_test(gathers_pieces_and_skips_empty_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
