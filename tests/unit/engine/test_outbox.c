/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that wait to be written: each as it was given, in their order, as many as fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "engine/outbox.h"

static struct outbox *outbox;

static int set_up(void **state)
{
    (void)state;
    outbox = calloc(1, sizeof(*outbox));
    return outbox ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(outbox);
    return 0;
}

/* A frame of `len` bytes `fill`, in two parts. */
static bool add(uint8_t fill, size_t len)
{
    static uint8_t bytes[OUTBOX_FRAME_MOST + 1];
    const struct frame_offload offload = {.csum_start = fill};
    const struct iovec iov[2] = {{bytes, len / 3}, {bytes + len / 3, len - len / 3}};
    const struct frame_parts parts = {iov, 2, &offload};

    memset(bytes, fill, len);
    if (!outbox_fits(outbox, &parts))
        return false;
    outbox_add(outbox, &parts, &(struct flow_awaited){.as = fill}, fill);
    memset(bytes, 0, len); /* it was copied */
    return true;
}

static void assert_frame(unsigned i, uint8_t fill, size_t len)
{
    const struct outbox_frame *frame = &outbox->frames[i];
    const uint8_t *bytes = frame->part.iov_base;

    assert_int_equal(frame->part.iov_len, len);
    assert_int_equal(frame->offload.csum_start, fill);
    assert_int_equal(frame->since_ns, fill);
    assert_int_equal(frame->awaited.as, fill);
    for (size_t at = 0; at < len; at++)
        assert_int_equal(bytes[at], fill);
}

static void they_come_in_order_and_whole(void **state)
{
    static const size_t lens[] = {40, 1, OUTBOX_FRAME_MOST, 52, 1500};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lens); i++)
        assert_true(add((uint8_t)(i + 1), lens[i]));
    assert_int_equal(outbox->count, ARRAY_SIZE(lens));
    for (unsigned i = 0; i < ARRAY_SIZE(lens); i++)
        assert_frame(i, (uint8_t)(i + 1), lens[i]);
}

static void a_long_one_does_not_fit(void **state)
{
    (void)state;
    assert_false(add(1, OUTBOX_FRAME_MOST + 1));
    assert_int_equal(outbox->count, 0);
}

static void their_number_is_limited(void **state)
{
    (void)state;
    for (unsigned i = 0; i < OUTBOX_FRAMES; i++)
        assert_true(add((uint8_t)i, 40));
    assert_false(add(1, 40));
    assert_frame(OUTBOX_FRAMES - 1, (uint8_t)(OUTBOX_FRAMES - 1), 40);
}

static void their_bytes_are_limited(void **state)
{
    size_t used = 0;

    (void)state;
    for (; add(7, 1400); used += 1400)
        assert_true(used + 1400 <= OUTBOX_BYTES);
    assert_true(used + 1400 > OUTBOX_BYTES);
    assert_true(add(8, OUTBOX_BYTES - used));
    assert_false(add(9, 1));
    assert_frame(outbox->count - 1, 8, OUTBOX_BYTES - used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_come_in_order_and_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_one_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(their_number_is_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(their_bytes_are_limited, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
