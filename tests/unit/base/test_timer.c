/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers against what the header says, and against a plain sorted model under random use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/timer.h"

enum { LOG_MAX = 4096 };

/* What fired, in order; the owner of each timer in these tests. */
struct bench {
    struct timers timers;
    int fired[LOG_MAX];
    int fired_count;
    uint64_t now_ns;
};

struct owner {
    struct bench *bench;
    int id;
    struct timer timer;
    struct owner *cancels; /* cancelled when this one fires */
    uint64_t again_ns;     /* armed for then when this one fires, 0: not */
    bool frees;            /* the owner goes when it fires */
};

static void owner_fire(struct timer *timer, uint64_t now_ns)
{
    struct owner *owner = list_entry(timer, struct owner, timer);
    struct bench *bench = owner->bench;

    assert_false(timer_armed(timer));
    assert_true(timer->deadline_ns <= now_ns);
    bench->now_ns = now_ns;
    if (bench->fired_count < LOG_MAX)
        bench->fired[bench->fired_count] = owner->id;
    bench->fired_count++;
    if (owner->cancels)
        timer_cancel(&bench->timers, &owner->cancels->timer);
    if (owner->again_ns)
        assert_int_equal(timer_arm(&bench->timers, timer, owner->again_ns), 0);
    if (owner->frees)
        free(owner);
}

static void owner_init(struct owner *owner, struct bench *bench, int id)
{
    *owner = (struct owner){.bench = bench, .id = id};
    timer_init(&owner->timer, owner_fire);
}

static void bench_init(struct bench *bench, struct owner *owners, int count)
{
    memset(bench, 0, sizeof(*bench));
    timers_init(&bench->timers);
    for (int i = 0; i < count; i++)
        owner_init(&owners[i], bench, i);
}

static void arm(struct owner *owner, uint64_t deadline_ns)
{
    assert_int_equal(timer_arm(&owner->bench->timers, &owner->timer, deadline_ns), 0);
}

static void expect_fired(const struct bench *bench, int count, const int *ids)
{
    assert_int_equal(bench->fired_count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(bench->fired[i], ids[i]);
}

#define EXPECT_FIRED(bench, ...)                                                                   \
    expect_fired(bench, (int)ARRAY_SIZE(((int[]){__VA_ARGS__})), (int[]){__VA_ARGS__})

static void nothing_armed_means_never(void **state)
{
    (void)state;
    struct bench bench;
    struct owner owner;
    bench_init(&bench, &owner, 1);
    assert_true(timers_next(&bench.timers) == TIMER_NEVER);
    assert_int_equal(timers_run(&bench.timers, UINT64_MAX, 10), 0);
    timer_cancel(&bench.timers, &owner.timer);
    timers_done(&bench.timers);
}

static void deadlines_fire_in_order_and_not_early(void **state)
{
    (void)state;
    struct bench bench;
    struct owner owners[3];
    bench_init(&bench, owners, 3);
    arm(&owners[0], 300);
    arm(&owners[1], 100);
    arm(&owners[2], 200);
    assert_true(timers_next(&bench.timers) == 100);
    assert_int_equal(timers_run(&bench.timers, 99, 10), 0);
    assert_int_equal(timers_run(&bench.timers, 200, 10), 2);
    assert_true(bench.now_ns == 200);
    assert_false(timer_armed(&owners[1].timer));
    assert_true(timer_armed(&owners[0].timer));
    assert_true(timers_next(&bench.timers) == 300);
    assert_int_equal(timers_run(&bench.timers, 1000, 10), 1);
    EXPECT_FIRED(&bench, 1, 2, 0);
    timers_done(&bench.timers);
}

static void equal_deadlines_fire_in_the_order_of_arming(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static struct owner owners[COUNT];
    static struct bench bench;
    bench_init(&bench, owners, COUNT);
    /* Across the wrap of the order counter too. */
    bench.timers.next_order = UINT32_MAX - COUNT / 2;
    for (int i = 0; i < COUNT; i++)
        arm(&owners[i], 50);
    assert_int_equal(timers_run(&bench.timers, 50, COUNT), COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(bench.fired[i], i);
    timers_done(&bench.timers);
}

static void arming_again_moves_and_goes_to_the_end_of_the_line(void **state)
{
    (void)state;
    struct bench bench;
    struct owner owners[4];
    bench_init(&bench, owners, 4);
    for (int i = 0; i < 4; i++)
        arm(&owners[i], 100);
    arm(&owners[0], 100); /* the same deadline: now last */
    arm(&owners[3], 10);  /* earlier */
    arm(&owners[1], 500); /* later */
    assert_int_equal(bench.timers.count, 4);
    assert_int_equal(timers_run(&bench.timers, 500, 10), 4);
    EXPECT_FIRED(&bench, 3, 2, 0, 1);
    timers_done(&bench.timers);
}

static void cancelled_timers_do_not_fire(void **state)
{
    (void)state;
    struct bench bench;
    struct owner owners[3];
    bench_init(&bench, owners, 3);
    for (int i = 0; i < 3; i++)
        arm(&owners[i], (uint64_t)i);
    timer_cancel(&bench.timers, &owners[1].timer);
    timer_cancel(&bench.timers, &owners[1].timer);
    assert_false(timer_armed(&owners[1].timer));
    assert_int_equal(timers_run(&bench.timers, 5, 10), 2);
    EXPECT_FIRED(&bench, 0, 2);
    timers_done(&bench.timers);
}

static void a_callback_may_cancel_what_is_due_in_the_same_run(void **state)
{
    (void)state;
    struct bench bench;
    struct owner owners[3];
    bench_init(&bench, owners, 3);
    for (int i = 0; i < 3; i++)
        arm(&owners[i], 7);
    owners[0].cancels = &owners[1];
    assert_int_equal(timers_run(&bench.timers, 7, 10), 2);
    EXPECT_FIRED(&bench, 0, 2);
    timers_done(&bench.timers);
}

static void a_callback_that_rearms_itself_is_held_by_the_limit(void **state)
{
    (void)state;
    struct bench bench;
    struct owner owners[2];
    bench_init(&bench, owners, 2);
    owners[0].again_ns = 7;
    arm(&owners[0], 7);
    arm(&owners[1], 7);
    assert_int_equal(timers_run(&bench.timers, 7, 4), 4);
    EXPECT_FIRED(&bench, 0, 1, 0, 0); /* the other one gets its turn */
    assert_true(timer_armed(&owners[0].timer));
    assert_int_equal(timers_run(&bench.timers, 7, 0), 0);
    owners[0].again_ns = 8;
    assert_int_equal(timers_run(&bench.timers, 7, 100), 1);
    assert_true(timers_next(&bench.timers) == 8);
    timers_done(&bench.timers);
}

static void a_callback_may_free_its_timer(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, NULL, 0);
    for (int i = 0; i < 20; i++) {
        struct owner *owner = malloc(sizeof(*owner));
        assert_non_null(owner);
        owner_init(owner, &bench, i);
        owner->frees = true;
        arm(owner, 3);
    }
    assert_int_equal(timers_run(&bench.timers, 3, 100), 20);
    timers_done(&bench.timers);
}

/* ---- random use, against a model ---- */

enum { MODEL_COUNT = 300 };

static bool model_before(const struct timer *a, const struct timer *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return (int32_t)(a->order - b->order) < 0;
}

/* The armed timer that must fire next, by looking at all. */
static struct owner *model_next(struct owner *owners)
{
    struct owner *next = NULL;
    for (int i = 0; i < MODEL_COUNT; i++)
        if (timer_armed(&owners[i].timer) &&
            (!next || model_before(&owners[i].timer, &next->timer)))
            next = &owners[i];
    return next;
}

static void agree_with_model(uint64_t now_ns, uint64_t ahead_ns)
{
    static struct owner owners[MODEL_COUNT];
    static struct bench bench;
    struct rng rng;
    rng_seed(&rng, 11);
    bench_init(&bench, owners, MODEL_COUNT);
    bench.timers.next_order = UINT32_MAX - 5000;
    for (int step = 0; step < 30000; step++) {
        struct owner *owner = &owners[rng_below(&rng, MODEL_COUNT)];
        uint64_t action = rng_below(&rng, 8);
        if (action < 4) {
            arm(owner, now_ns + rng_below(&rng, ahead_ns));
        } else if (action < 6) {
            timer_cancel(&bench.timers, &owner->timer);
        } else {
            struct owner *expected = model_next(owners);
            assert_true(timers_next(&bench.timers) ==
                        (expected ? expected->timer.deadline_ns : TIMER_NEVER));
            now_ns += rng_below(&rng, ahead_ns / 40);
            bench.fired_count = 0;
            int ran = timers_run(&bench.timers, now_ns, 1);
            bool due = expected && expected->timer.deadline_ns <= now_ns;
            assert_int_equal(ran, due);
            if (due)
                EXPECT_FIRED(&bench, expected->id);
        }
    }
    timers_done(&bench.timers);
}

static void random_use_agrees_with_a_plain_model(void **state)
{
    (void)state;
    /* From one step of the wheel to far beyond it. */
    for (int bits = 8; bits < 40; bits += 3) {
        agree_with_model(0, UINT64_C(1) << bits);
        agree_with_model(UINT64_C(0x123456789abcdef), UINT64_C(1) << bits);
    }
}

static void deadlines_around_the_borders_of_the_wheel_fire_in_order(void **state)
{
    (void)state;
    enum { STEP_BITS = 20, WINDOW_BITS = 28, WHEEL_BITS = 36, COUNT = 3 * 3 * 5 };
    static const int bits[] = {STEP_BITS, WINDOW_BITS, WHEEL_BITS};
    static struct owner owners[COUNT];
    static struct bench bench;
    for (uint64_t start = 0; start < 4; start++) {
        bench_init(&bench, owners, COUNT);
        assert_int_equal(timers_run(&bench.timers, start << WINDOW_BITS, 1), 0);
        int count = 0;
        for (int i = 0; i < 3; i++)
            for (uint64_t times = 1; times <= 3; times++)
                for (uint64_t off = 0; off < 5; off++)
                    arm(&owners[count++], (start << WINDOW_BITS) + (times << bits[i]) + off - 2);
        for (int i = 0; i < COUNT; i++) {
            uint64_t next_ns = timers_next(&bench.timers);
            assert_int_equal(timers_run(&bench.timers, next_ns - 1, 10), 0);
            assert_int_equal(timers_run(&bench.timers, next_ns, 1), 1);
            assert_int_equal(bench.fired[i], i);
        }
        timers_done(&bench.timers);
    }
}

static void a_hundred_thousand_timers_fire_in_order(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct owner *owners = calloc(COUNT, sizeof(*owners));
    static struct bench bench;
    struct rng rng;
    assert_non_null(owners);
    rng_seed(&rng, 12);
    bench_init(&bench, owners, COUNT);
    for (int i = 0; i < COUNT; i++)
        arm(&owners[i], rng_below(&rng, UINT64_C(1) << 40));
    for (int i = 0; i < COUNT; i += 2)
        timer_cancel(&bench.timers, &owners[i].timer);
    assert_int_equal(bench.timers.count, COUNT / 2);
    uint64_t last_ns = 0;
    for (int i = 0; i < COUNT / 2; i++) {
        uint64_t next_ns = timers_next(&bench.timers);
        assert_true(next_ns >= last_ns);
        assert_int_equal(timers_run(&bench.timers, next_ns, 1), 1);
        last_ns = next_ns;
    }
    assert_int_equal(bench.fired_count, COUNT / 2);
    assert_true(timers_next(&bench.timers) == TIMER_NEVER);
    timers_done(&bench.timers);
    free(owners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_armed_means_never),
        cmocka_unit_test(deadlines_fire_in_order_and_not_early),
        cmocka_unit_test(equal_deadlines_fire_in_the_order_of_arming),
        cmocka_unit_test(arming_again_moves_and_goes_to_the_end_of_the_line),
        cmocka_unit_test(cancelled_timers_do_not_fire),
        cmocka_unit_test(a_callback_may_cancel_what_is_due_in_the_same_run),
        cmocka_unit_test(a_callback_that_rearms_itself_is_held_by_the_limit),
        cmocka_unit_test(a_callback_may_free_its_timer),
        cmocka_unit_test(random_use_agrees_with_a_plain_model),
        cmocka_unit_test(deadlines_around_the_borders_of_the_wheel_fire_in_order),
        cmocka_unit_test(a_hundred_thousand_timers_fire_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
