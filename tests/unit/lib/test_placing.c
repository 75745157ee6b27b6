/* SPDX-License-Identifier: BSD-3-Clause */
/* On how many processors workers run: decided by what is seen, look by look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macro.h"
#include "lib/placing.h"

/* A machine on which workers do so much on so many processors, beside an application. */
struct machine {
    unsigned all;
    double done[5];      /* on so many */
    double idle_left[5]; /* and what the left ones do not do */
    double others, idle; /* where the workers are, on all */
};

static struct placing_look look_at(const struct machine *machine, unsigned used)
{
    const bool all = used == machine->all;

    return (struct placing_look){.others = all ? machine->others : 0,
                                 .idle = all ? machine->idle : 0,
                                 .idle_left = machine->idle_left[used],
                                 .told = true,
                                 .done = machine->done[used]};
}

static struct placing_choice begin(unsigned workers, unsigned all)
{
    return (struct placing_choice){
        .workers = workers, .all = all, .used = placing_first(workers, all)};
}

/* How many of so many looks were on `used` processors. */
static unsigned looks_on(const struct machine *machine, struct placing_choice *choice, unsigned looks,
                         unsigned used)
{
    unsigned count = 0;

    for (unsigned i = 0; i < looks; i++) {
        const struct placing_look look = look_at(machine, choice->used);
        count += choice->used == used;
        (void)placing_decide(choice, &look);
        assert_in_range(choice->used, 1, machine->all);
    }
    return count;
}

static void an_application_that_costs_nothing(void **state)
{
    (void)state;
    const struct machine machine = {.all = 2, .done = {0, 1, 2}, .idle_left = {0, 1.0, 0}};
    struct placing_choice choice = begin(2, 2);

    assert_int_equal(choice.used, 1);
    assert_int_equal(looks_on(&machine, &choice, 1000, 2), 999);
}

static void an_application_that_fills_a_processor(void **state)
{
    (void)state;
    const struct machine machine = {.all = 2,
                                    .done = {0, 1, 0.7},
                                    .idle_left = {0, 0.05, 0},
                                    .others = 0.75,
                                    .idle = 0.4};
    struct placing_choice choice = begin(2, 2);

    assert_int_equal(looks_on(&machine, &choice, 1000, 1), 1000);
}

/* It idles for a moment, and the workers are moved for that; they are back soon. */
static void an_application_that_begins_late(void **state)
{
    (void)state;
    struct machine machine = {
        .all = 2, .done = {0, 1, 2}, .idle_left = {0, 1, 0}, .others = 0, .idle = 0};
    struct placing_choice choice = begin(2, 2);

    (void)looks_on(&machine, &choice, 10, 2);
    assert_int_equal(choice.used, 2);
    machine.others = 0.75;
    machine.idle = 0.4;
    machine.done[2] = 0.7;
    machine.idle_left[1] = 0.05;
    assert_true(looks_on(&machine, &choice, 100, 1) > 80);
}

/* It uses half a processor: the other half is worth a tenth. Trying costs less the longer a run is. */
static void a_try_that_is_worth_it_is_kept(void **state)
{
    (void)state;
    const struct machine machine = {.all = 2,
                                    .done = {0, 1, 1.1},
                                    .idle_left = {0, 0.45, 0},
                                    .others = 0.58,
                                    .idle = 0.2};
    struct placing_choice choice = begin(2, 2);

    assert_true(looks_on(&machine, &choice, 1000, 2) > 950);
}

static void a_try_in_vain_is_made_ever_more_seldom(void **state)
{
    (void)state;
    const struct machine machine = {.all = 2,
                                    .done = {0, 1, 1},
                                    .idle_left = {0, 0.45, 0},
                                    .others = 0.4,
                                    .idle = 0.2};
    struct placing_choice choice = begin(2, 2);

    const unsigned early = looks_on(&machine, &choice, 100, 2);
    const unsigned late = looks_on(&machine, &choice, 1000, 2);
    assert_in_range(early, 3, 15);
    assert_in_range(late, 3, 30);
}

static void workers_that_leave_processors_anyway(void **state)
{
    (void)state;
    const struct machine machine = {
        .all = 4, .done = {0, 1, 1, 1, 1}, .others = 2, .idle = 0};
    struct placing_choice choice = begin(3, 4);

    assert_int_equal(choice.used, 4);
    assert_int_equal(looks_on(&machine, &choice, 100, 4), 100);
}

/* As many of it as of workers: half of the processors are theirs at the least. */
static void an_application_of_many_processes(void **state)
{
    (void)state;
    struct placing_choice choice = begin(4, 4);

    for (unsigned i = 0; i < 1000; i++) {
        const struct placing_look look = {
            .others = 2, .idle = 0, .told = true, .done = 4.0 / choice.used};
        (void)placing_decide(&choice, &look);
        assert_in_range(choice.used, 2, 3);
    }
    assert_int_equal(choice.used, 2);
}

/* Workers that are in a long turn have not told of anything new. */
static void a_look_without_news(void **state)
{
    (void)state;
    const struct placing_look silent = {.idle_left = 0.4}, unused = {.idle_left = 1};
    struct placing_choice choice = begin(2, 2);

    for (unsigned i = 0; i < 100; i++)
        assert_false(placing_decide(&choice, &silent));
    assert_true(placing_decide(&choice, &unused));
    assert_int_equal(choice.used, 2);
}

static void one_processor(void **state)
{
    (void)state;
    assert_int_equal(placing_first(4, 1), 1);
    assert_int_equal(placing_first(2, 4), 4);
    assert_int_equal(placing_first(8, 4), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_application_that_costs_nothing),
        cmocka_unit_test(an_application_that_fills_a_processor),
        cmocka_unit_test(an_application_that_begins_late),
        cmocka_unit_test(a_try_that_is_worth_it_is_kept),
        cmocka_unit_test(a_try_in_vain_is_made_ever_more_seldom),
        cmocka_unit_test(workers_that_leave_processors_anyway),
        cmocka_unit_test(an_application_of_many_processes),
        cmocka_unit_test(a_look_without_news),
        cmocka_unit_test(one_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
