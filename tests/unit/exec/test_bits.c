/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macro.h"
#include "exec/bits.h"

#include <malloc.h>

static void a_number_is_there_until_it_is_removed(void **state)
{
    static const uint64_t numbers[] = {0, 1, 63, 64, 32767, 32768, 1000000, UINT32_MAX};
    struct bits bits = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        assert_false(bits_have(&bits, numbers[i]));
        assert_true(bits_add(&bits, numbers[i]));
        assert_false(bits_add(&bits, numbers[i]));
        assert_int_equal(bits.count, i + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        assert_true(bits_have(&bits, numbers[i]));
        assert_int_equal(bits_have(&bits, numbers[i] + 1), i == 0 || i == 2 || i == 4);
        bits_remove(&bits, numbers[i]);
        bits_remove(&bits, numbers[i]);
        assert_false(bits_have(&bits, numbers[i]));
        assert_int_equal(bits.count, ARRAY_SIZE(numbers) - i - 1);
    }
    bits_done(&bits);
    assert_false(bits_have(&bits, 1));
}

/* Two copies of a program have the halves of 2^32 peers, and use the first of each. */
static void far_numbers_take_little_memory(void **state)
{
    struct bits bits = {0};
    size_t used = 0;

    (void)state;
    assert_true(bits_add(&bits, 0));
    assert_true(bits_add(&bits, UINT64_C(1) << 31));
    used = malloc_usable_size(bits.pages);
    for (uint64_t i = 0; i < bits.page_count; i++)
        used += bits.pages[i] ? malloc_usable_size(bits.pages[i]) : 0;
    assert_true(used < 2 << 20);
    bits_done(&bits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_there_until_it_is_removed),
        cmocka_unit_test(far_numbers_take_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
