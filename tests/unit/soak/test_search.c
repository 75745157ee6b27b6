/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The search for the highest rate that holds: it finds the knee, in few steps, and a hiccup does not
 * lead it astray.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macro.h"
#include "soak/search.h"

/* What is found for a service that holds up to `knee`, and in how many steps. */
static double find(double low, double high, double knee, unsigned *ret_steps)
{
    struct rate_search search;
    double rate;

    rate_search_init(&search, low, high);
    for (*ret_steps = 0; rate_search_next(&search, &rate); ++*ret_steps) {
        assert_true(rate >= low && rate <= high);
        assert_true(*ret_steps < 60);
        rate_search_tell(&search, rate <= knee);
    }
    return search.kept;
}

static void test_finds_the_knee(void **state)
{
    unsigned steps;

    (void)state;
    for (double knee = 1000; knee < 200000; knee *= 1.013) {
        double found = find(1000, 200000, knee, &steps);
        if (found > knee || found < knee / SEARCH_NARROW)
            fail_msg("%g for %g", found, knee);
        assert_true(steps <= 30);
    }
}

static void test_beyond_the_bounds(void **state)
{
    unsigned steps;

    (void)state;
    assert_float_equal(find(1000, 200000, 500, &steps), 0, 0);
    assert_int_equal(steps, 2);
    assert_float_equal(find(1000, 50000, 80000, &steps), 50000, 0);
    assert_float_equal(find(0.1, 0.1, 1, &steps), 0.1, 0);
    assert_int_equal(steps, 1);
    assert_float_equal(find(0.1, 3, 1, &steps), 1, 0.02);
}

static void test_one_hiccup_is_forgiven(void **state)
{
    struct rate_search search;
    double rate;
    bool failed = false;

    (void)state;
    rate_search_init(&search, 1000, 64000);
    while (rate_search_next(&search, &rate)) {
        bool hiccup = !failed && rate == 8000;
        failed |= hiccup;
        rate_search_tell(&search, !hiccup && rate <= 30000);
    }
    assert_true(failed);
    assert_true(search.kept <= 30000 && search.kept >= 30000 / SEARCH_NARROW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_knee),
        cmocka_unit_test(test_beyond_the_bounds),
        cmocka_unit_test(test_one_hiccup_is_forgiven),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
