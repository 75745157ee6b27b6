/* SPDX-License-Identifier: BSD-3-Clause */
/* The series of intervals adds up to what was counted, wherever its borders fall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "soak/measure.h"

static uint64_t completed_in_series(struct measure *measure)
{
    struct result_interval interval;
    uint64_t completed = 0;

    while (measure_pop_interval(measure, &interval)) {
        completed += interval.counts.completed;
        result_interval_done(&interval);
    }
    return completed;
}

static void count(struct measure *measure, uint64_t requests)
{
    for (; requests; requests--) {
        measure->found.counts.completed++;
        measure_latency(measure, PEER_HISTOGRAM_REQUEST, 1000);
    }
}

static void intervals_add_up(void **state)
{
    (void)state;
    struct measure measure;
    assert_int_equal(measure_init(&measure, 5), 0);
    for (uint64_t i = 1; i <= 200; i++) {
        count(&measure, i);
        measure_interval(&measure, 5 + i * NS_PER_S, 1);
    }
    count(&measure, 7);
    measure_end(&measure, 5 + 200 * NS_PER_S + 1, 0);
    assert_int_equal(completed_in_series(&measure), 200 * 201 / 2 + 7);
    measure_done(&measure);
}

static void what_is_counted_at_the_end_of_the_last_interval_is_in_it(void **state)
{
    (void)state;
    struct measure measure;
    assert_int_equal(measure_init(&measure, 0), 0);
    count(&measure, 3);
    measure_interval(&measure, NS_PER_S, 1);
    count(&measure, 4);
    measure_end(&measure, NS_PER_S, 0);
    struct result_interval interval;
    assert_int_equal(measure_pop_interval(&measure, &interval), 1);
    assert_int_equal(interval.counts.completed, 7);
    assert_true(interval.length_ns == NS_PER_S);
    result_interval_done(&interval);
    assert_int_equal(measure_pop_interval(&measure, &interval), 0);
    measure_done(&measure);
}

static void a_restart_forgets(void **state)
{
    (void)state;
    struct measure measure;
    struct peer_latency latency;
    assert_int_equal(measure_init(&measure, 0), 0);
    count(&measure, 3);
    strcpy(measure.found.cannot_open, "no ports");
    measure_interval(&measure, NS_PER_S, 1);
    measure_restart(&measure, 2 * NS_PER_S);
    assert_string_equal(figures_first_error(&measure.found), "no ports"); /* they are few still */
    count(&measure, 5);
    measure_end(&measure, 3 * NS_PER_S, 0);
    histogram_summary(measure.found.histograms[PEER_HISTOGRAM_REQUEST], &latency);
    assert_int_equal(latency.count, 5);
    assert_int_equal(completed_in_series(&measure), 5);
    measure_done(&measure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_add_up),
        cmocka_unit_test(what_is_counted_at_the_end_of_the_last_interval_is_in_it),
        cmocka_unit_test(a_restart_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
