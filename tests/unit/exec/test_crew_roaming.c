/* SPDX-License-Identifier: BSD-3-Clause */
/* With workers, flows can roam where whoever has them has two peers of their copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exec/exec.h"

static int check(const char *from, unsigned copies, unsigned workers)
{
    struct addr_set peers;
    struct peer_error error = {0};

    assert_int_equal(addr_set_parse(from, &peers, NULL), 0);
    int status = exec_crew_check_roaming(&peers, copies, workers, &error);
    assert_true(status == 0 || error.text[0]);
    addr_set_done(&peers);
    return status;
}

static void each_worker_needs_two_of_each_copy(void **state)
{
    (void)state;
    assert_int_equal(check("198.18.0.1-198.18.0.4", 1, 2), 0);
    assert_true(check("198.18.0.1-198.18.0.4", 1, 4) < 0);
    assert_true(check("198.18.0.1-198.18.0.4", 4, 2) < 0);
    assert_true(check("198.18.0.1", 1, 1) < 0);
    assert_int_equal(check("198.18.0.0/16", 8, 4), 0);
    assert_int_equal(check("2001:2::/112", 3, 7), 0);
}

static void a_single_one_may_be_the_neighbours(void **state)
{
    (void)state;
    /* 5 and 4 of 9; of the copies with 3 each the middle one has 2 there and 1 here. */
    assert_int_equal(check("198.18.0.1-198.18.0.9", 3, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_needs_two_of_each_copy),
        cmocka_unit_test(a_single_one_may_be_the_neighbours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
