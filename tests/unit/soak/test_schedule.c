/* SPDX-License-Identifier: BSD-3-Clause */
/* When requests and connections are wanted, as tables of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/macro.h"
#include "soak/schedule.h"

#include <errno.h>

#define S  NS_PER_S
#define MS NS_PER_MS

static void times_are_exact(void **state)
{
    (void)state;
    static const struct {
        double rate;
        uint64_t k, at_ns;
    } rows[] = {
        {1, 0, 0},
        {1, 1, S},
        {2.5, 1, 400 * MS},
        {2.5, 5, 2 * S},
        {0.1, 1, 10 * S},
        {0.1, 360, 3600 * S},
        {3, 1, 333333333},
        {3, 3, S},
        {3, 300000000, 100000000 * S},
        {20000, 1, 50000},
        {20000, 1728000000, 86400 * S},
        {1e9, 7, 7},
        {0.001, 3, 3000 * S},
        {2.0 / 3, 2, 3 * S},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(schedule_offset_ns(rows[i].rate, rows[i].k), rows[i].at_ns);
}

static void counts_agree_with_the_times(void **state)
{
    (void)state;
    static const double rates[] = {0.1, 1.0 / 3, 0.7,  1,     2.5,      3,
                                   7,   333.3,   1000, 20000, 123456.7, 1e9};
    static const uint64_t ks[] = {1, 2, 3, 5, 7, 100, 99999, 12345678};

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        assert_int_equal(schedule_count(rates[i], 0), 1); /* the first one at once */
        for (size_t j = 0; j < ARRAY_SIZE(ks); j++) {
            uint64_t at_ns = schedule_offset_ns(rates[i], ks[j]);
            assert_int_equal(schedule_count(rates[i], at_ns), ks[j] + 1);
            assert_int_equal(schedule_count(rates[i], at_ns - 1), ks[j]);
        }
    }
}

static struct schedule open_schedule(double rate, uint64_t warm_ns, uint64_t length_ns,
                                     uint64_t total)
{
    return (struct schedule){.rate = rate,
                             .start_ns = 5 * S,
                             .warm_ns = 5 * S + warm_ns,
                             .end_ns = length_ns ? 5 * S + warm_ns + length_ns : UINT64_MAX,
                             .total = total,
                             .flows = 1};
}

/* What a run wants in all when everything is taken at once. */
static void a_run_wants_what_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        double rate;
        uint64_t warm_ns, length_ns, total;
        uint64_t issued, counted;
    } rows[] = {
        {2.5, 0, 2 * S, 0, 5, 5}, /* 0, 0.4, .. 1.6: the end is not in it */
        {0.1, 0, 2 * S, 0, 1, 1},
        {0.1, 0, 20 * S, 0, 2, 2},
        {100, 0, 2 * S, 0, 200, 200},
        {100, S, 2 * S, 0, 300, 200}, /* the warm-up's are not counted */
        {100, S, 0, 30, 130, 30},     /* -n counts after it */
        {2.5, S, 0, 4, 7, 4},
        {100, S, 2 * S, 30, 130, 30}, /* whichever comes first */
        {100, S, 200 * MS, 30, 120, 20},
        {1000, 0, 0, 1000, 1000, 1000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct schedule schedule =
            open_schedule(rows[i].rate, rows[i].warm_ns, rows[i].length_ns, rows[i].total);
        uint64_t next_ns, last_ns = 0;
        while ((next_ns = schedule_next_ns(&schedule, 0)) != UINT64_MAX) {
            assert_true(next_ns >= last_ns);
            assert_int_equal(schedule_behind(&schedule, next_ns), 1);
            assert_int_equal(schedule_take(&schedule, next_ns), next_ns);
            last_ns = next_ns;
        }
        assert_int_equal(schedule.issued, rows[i].issued);
        assert_int_equal(schedule.counted, rows[i].counted);
        assert_int_equal(schedule_behind(&schedule, 1000 * S), 0);
    }
}

/* One flow, each answer takes 50 ms, 200/s are wanted: latency counts from the wanted time. */
static void what_a_slow_service_held_up_is_late(void **state)
{
    (void)state;
    struct schedule schedule = open_schedule(200, 0, S, 0);
    uint64_t now_ns = schedule.start_ns;

    for (uint64_t k = 0; k < 20; k++) {
        assert_int_equal(schedule_behind(&schedule, now_ns), k * 10 + 1 - k);
        uint64_t wanted_ns = schedule_take(&schedule, now_ns);
        now_ns += 50 * MS;
        assert_int_equal(now_ns - wanted_ns, 50 * MS + k * 45 * MS);
    }
    /* 200 were wanted until the end, 20 were asked: the end's own is not wanted. */
    assert_int_equal(schedule_behind(&schedule, schedule.end_ns), 180);
    assert_int_equal(schedule_behind(&schedule, schedule.end_ns + 9 * S), 180);
}

/* Times at random, whatever the rate was when they were drawn: what counts them and what takes them,
   seconds later, agree to the nanosecond. */
static void both_readers_of_random_times_agree(void **state)
{
    (void)state;
    enum { MOST = 16384 };
    static uint64_t due_ns[MOST];
    struct arrivals arrivals;
    struct schedule schedule = open_schedule(100, 0, 0, 0);
    struct rng rng;
    size_t due = 0;

    rng_seed(&rng, 11);
    arrivals_init(&arrivals, 100, &rng);
    schedule.arrivals = &arrivals;
    for (uint64_t at_ns = schedule.start_ns; at_ns < schedule.start_ns + 20 * S; at_ns += MS) {
        uint64_t step = (at_ns - schedule.start_ns) / MS;
        if (step % 1000 == 500)
            assert_int_equal(schedule_set_rate(&schedule, (double)(20 + step % 777), at_ns), 0);
        if (step % 5000 == 2700)
            assert_int_equal(schedule_pause(&schedule, at_ns), 0);
        if (step % 5000 == 3300)
            schedule_go_on(&schedule, at_ns);
        for (uint64_t behind = schedule_behind(&schedule, at_ns); due < behind; due++)
            due_ns[due] = at_ns;
        assert_true(due < MOST);
    }
    assert_true(due > 1000);
    for (size_t i = 0; i < due; i++) {
        uint64_t wanted_ns = schedule_take(&schedule, 100 * S);
        assert_true(wanted_ns <= due_ns[i] && wanted_ns + MS > due_ns[i]);
    }
    assert_int_equal(schedule_behind(&schedule, schedule.start_ns + 20 * S - MS), 0);
}

/* Evenly, with a backlog all the time. */
static void what_is_taken_late_was_wanted_in_its_time(void **state)
{
    (void)state;
    struct schedule schedule = open_schedule(100, 0, 0, 0);
    const uint64_t start_ns = schedule.start_ns;

    assert_int_equal(schedule_set_rate(&schedule, 10, start_ns + S + 5 * MS), 0);
    assert_int_equal(schedule_pause(&schedule, start_ns + 2 * S + 5 * MS), 0);
    schedule_go_on(&schedule, start_ns + 3 * S + 5 * MS);
    assert_int_equal(schedule_set_rate(&schedule, 1000, start_ns + 4 * S + 5 * MS), 0);
    assert_int_equal(schedule_behind(&schedule, start_ns + 4 * S + 5 * MS), 101 + 10 + 10);
    for (uint64_t k = 0; k <= 100; k++)
        assert_int_equal(schedule_take(&schedule, 0), start_ns + k * 10 * MS);
    for (uint64_t k = 0; k < 10; k++) /* half of the gap was left */
        assert_int_equal(schedule_take(&schedule, 0), start_ns + 1055 * MS + k * 100 * MS);
    for (uint64_t k = 0; k < 10; k++)
        assert_int_equal(schedule_take(&schedule, 0), start_ns + 3055 * MS + k * 100 * MS);
    assert_int_equal(schedule_next_ns(&schedule, 0), start_ns + 4005 * MS + 500000);
    assert_int_equal(schedule.earlier_count, 0);
}

/* Nothing is lost, and nothing is done by halves. */
static void too_many_rates_that_wait_are_refused(void **state)
{
    (void)state;
    struct schedule schedule = open_schedule(100, 0, 0, 0);
    uint64_t at_ns = schedule.start_ns;
    int changes = 0;

    do
        at_ns += S;
    while (schedule_set_rate(&schedule, 100 + changes, at_ns) == 0 && ++changes < 1000);
    assert_int_equal(changes, SCHEDULE_PHASES);
    double rate = schedule.rate;
    uint64_t behind = schedule_behind(&schedule, at_ns);
    assert_int_equal(schedule_pause(&schedule, at_ns), -EAGAIN);
    assert_true(schedule.rate == rate && !schedule.paused);
    for (uint64_t k = 0; k < behind; k++)
        (void)schedule_take(&schedule, at_ns);
    assert_int_equal(schedule_behind(&schedule, at_ns), 0);
    assert_int_equal(schedule_pause(&schedule, at_ns), 0);
}

static void behind_is_no_more_than_the_total(void **state)
{
    (void)state;
    struct schedule schedule = open_schedule(1000, 100 * MS, 0, 50);

    assert_int_equal(schedule_behind(&schedule, 15 * S), 150); /* 100 of the warm-up, and 50 */
    for (int i = 0; i < 100; i++)
        (void)schedule_take(&schedule, 15 * S);
    assert_int_equal(schedule.counted, 0);
    assert_int_equal(schedule_behind(&schedule, 15 * S), 50);
    assert_int_equal(schedule_left(&schedule), 50);
}

static void a_closed_schedule_counts_from_the_warm_up_on(void **state)
{
    (void)state;
    struct schedule schedule = open_schedule(0, S, 0, 3);

    for (int i = 0; i < 1000; i++)
        assert_int_equal(schedule_take(&schedule, schedule.warm_ns - 1), schedule.warm_ns - 1);
    assert_false(schedule_exhausted(&schedule));
    assert_int_equal(schedule_behind(&schedule, 10 * S), 0);
    for (int i = 0; i < 3; i++)
        (void)schedule_take(&schedule, schedule.warm_ns);
    assert_true(schedule_exhausted(&schedule));
    assert_int_equal(schedule_next_ns(&schedule, 10 * S), UINT64_MAX);
}

static void connections_are_wanted_in_time(void **state)
{
    (void)state;
    static const struct {
        double rate, connect_rate;
        uint64_t ramp_ns, flows;
        bool by_opening;
        uint64_t opened, at_ns; /* after the start */
        uint64_t allowed, next_ns;
    } rows[] = {
        {0, 0, 0, 10, false, 0, 0, UINT64_MAX, UINT64_MAX},
        {0, 2.5, 0, 10, false, 1, 0, 1, 400 * MS},
        {0, 2.5, 0, 10, false, 1, 400 * MS, 2, 400 * MS},
        {0, 0, S, 10, false, 1, 99 * MS, 1, 100 * MS},
        {0, 0, S, 10, false, 9, 900 * MS, 10, 900 * MS},
        {0, 0, S, 10, false, 10, 900 * MS, UINT64_MAX, UINT64_MAX}, /* the ramp is over */
        {100, 0, 0, 10, true, 5, 50 * MS, 6, 50 * MS},
        {100, 0, 0, 10, true, 200, 9 * S, 200, UINT64_MAX}, /* and so is the run: 2 s */
        {100, 5, 0, 10, false, 0, 0, 1, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct schedule schedule = open_schedule(rows[i].rate, 0, 2 * S, 0);
        uint64_t next_ns;
        schedule.connect_rate = rows[i].connect_rate;
        schedule.ramp_ns = rows[i].ramp_ns;
        schedule.flows = rows[i].flows;
        schedule.by_opening = rows[i].by_opening;
        schedule.opened = rows[i].opened;
        assert_int_equal(
            schedule_connections(&schedule, schedule.start_ns + rows[i].at_ns, &next_ns),
            rows[i].allowed);
        assert_int_equal(next_ns, rows[i].next_ns == UINT64_MAX
                                      ? UINT64_MAX
                                      : schedule.start_ns + rows[i].next_ns);
    }
}

/* What several processes want by their parts is what one wants by the whole: the same times. */
static void phases_make_the_whole(void **state)
{
    static const double rates[] = {0.5, 3, 700, 1001.5, 20000};
    static const unsigned counts[] = {2, 3, 7, 64};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(counts); j++) {
            const uint64_t length_ns = 4 * S;
            uint64_t wanted = 0, opened = 0, next_ns;
            for (unsigned part = 0; part < counts[j]; part++) {
                struct schedule schedule = open_schedule(rates[i] / counts[j], 0, length_ns, 0);
                schedule.by_opening = true;
                schedule_set_phase(&schedule, (double)part / counts[j]);
                for (uint64_t k = 0; k < 3; k++) {
                    const uint64_t whole = schedule_offset_ns(rates[i], k * counts[j] + part);
                    const uint64_t own = schedule_take(&schedule, 0) - schedule.start_ns;
                    assert_true(own + 1 >= whole && own <= whole + 1);
                }
                schedule.issued = 0;
                wanted += schedule_behind(&schedule, schedule.end_ns);
                opened += schedule_connections(&schedule, schedule.end_ns, &next_ns);
            }
            struct schedule whole = open_schedule(rates[i], 0, length_ns, 0);
            assert_int_equal(wanted, schedule_behind(&whole, whole.end_ns));
            assert_int_equal(opened, wanted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_exact),
        cmocka_unit_test(counts_agree_with_the_times),
        cmocka_unit_test(a_run_wants_what_was_asked_for),
        cmocka_unit_test(what_a_slow_service_held_up_is_late),
        cmocka_unit_test(both_readers_of_random_times_agree),
        cmocka_unit_test(what_is_taken_late_was_wanted_in_its_time),
        cmocka_unit_test(too_many_rates_that_wait_are_refused),
        cmocka_unit_test(behind_is_no_more_than_the_total),
        cmocka_unit_test(a_closed_schedule_counts_from_the_warm_up_on),
        cmocka_unit_test(connections_are_wanted_in_time),
        cmocka_unit_test(phases_make_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
