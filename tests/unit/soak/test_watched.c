/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the application uses: a leak is found below the noise of its load, and what goes up and down, fills
 * a cache or is restarted is none. Samples stay with their intervals whatever becomes of these.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"
#include "soak/result.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define S   NS_PER_S
#define MIB 1048576.0
enum { SAMPLES_MOST = 3000 };

/* ---- growth ---- */

/* At `t` of 0 to 1; `noise` of -1 to 1. */
typedef double shape(double t, double noise);

static double level(double t, double noise)
{
    (void)t;
    return 100 * MIB + 10 * MIB * noise;
}

static double leak(double t, double noise)
{
    return 100 * MIB + 20 * MIB * t + 5 * MIB * noise;
}

static double slow_leak(double t, double noise)
{
    return 100 * MIB + 1 * MIB * t + 0.2 * MIB * noise;
}

static double cache(double t, double noise)
{
    return 100 * MIB + 80 * MIB * (1 - exp(-20 * t)) + 1 * MIB * noise;
}

static double waves(double t, double noise)
{
    return 100 * MIB + 30 * MIB * sin(40 * t) + 3 * MIB * noise;
}

static double falls(double t, double noise)
{
    return 200 * MIB - 50 * MIB * t + 5 * MIB * noise;
}

static double steady(double t, double noise)
{
    (void)t;
    (void)noise;
    return 64 * MIB;
}

static double trifle(double t, double noise)
{
    (void)noise;
    return 64 * MIB + 8192 * floor(t * 10);
}

static struct growth growth(shape *of, size_t count, uint64_t seed)
{
    static uint64_t times[SAMPLES_MOST];
    static double values[SAMPLES_MOST];
    struct growth growth;
    struct rng rng;

    rng_seed(&rng, seed);
    for (size_t i = 0; i < count; i++) {
        times[i] = (i + 1) * S;
        values[i] = of((double)i / (double)count, 2 * rng_unit(&rng) - 1);
    }
    growth_of(times, values, count, 256 * 1024, &growth);
    return growth;
}

static void a_leak_grows_and_nothing_else_does(void **state)
{
    static const struct {
        shape *of;
        bool grows;
    } shapes[] = {{level, false},  {leak, true},   {slow_leak, true}, {cache, false}, {waves, false},
                  {falls, false}, {steady, false}, {trifle, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        static const size_t counts[] = {60, 300, 2048, 3000};
        for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
            for (uint64_t seed = 0; seed < 10; seed++) {
                const struct growth found = growth(shapes[i].of, counts[k], seed);
                assert_true(found.known);
                if (found.grows != shapes[i].grows)
                    fail_msg("shape %zu, %zu samples, seed %d", i, counts[k], (int)seed);
            }
        }
    }
}

static void the_slope_is_that_of_the_leak(void **state)
{
    (void)state;
    const struct growth found = growth(leak, 3000, 1);
    const double per_hour = 20 * MIB * 3600 / 3000;
    assert_true(fabs(found.per_hour - per_hour) < per_hour / 10);
    assert_true(found.first < found.last);
    assert_int_equal(found.span_ns, 2699 * S);
}

/* One sample in ten is far off: a garbage collection, say. */
static double spikes(double t, double noise)
{
    return 100 * MIB + 5 * MIB * t + (noise > 0.8 ? 500 * MIB : 0.1 * MIB * noise);
}

static void single_samples_do_not_decide(void **state)
{
    (void)state;
    const struct growth found = growth(spikes, 2000, 1);
    const double per_hour = 5 * MIB * 3600 / 2000;
    assert_true(found.grows);
    assert_true(fabs(found.per_hour - per_hour) < per_hour / 5);
}

static void few_samples_tell_nothing(void **state)
{
    (void)state;
    for (size_t count = 0; count < 22; count++)
        assert_false(growth(leak, count, 1).known);
    assert_true(growth(leak, 23, 1).known);
}

/* ---- in a result ---- */

static struct result_interval interval_of(uint64_t number, uint64_t rss, uint64_t restarts)
{
    return (struct result_interval){.start_ns = number * S,
                                    .length_ns = S,
                                    .watch = {.taken = true,
                                              .processes = 2,
                                              .rss_bytes = rss,
                                              .fds = 10 + number,
                                              .threads = 3,
                                              .cpu_ns = 1000,
                                              .restarts = restarts}};
}

static void make(struct result *result, uint64_t pid, size_t most, uint64_t rss)
{
    const struct result_process process = {
        .pid = pid, .started = 77, .name = "served", .first_ns = S, .last_ns = 5 * S};

    assert_int_equal(result_init(result), 0);
    assert_int_equal(result_add_process(result, &process), 0);
    for (uint64_t i = 0; i < 60; i++) {
        struct result_interval interval = interval_of(i, rss + i, i == 30);
        if (i % 7 == 3)
            interval.watch = (struct result_watch){.taken = false};
        assert_int_equal(result_keep_interval(result, &interval, most), 0);
    }
}

static uint64_t sum_of_cpu(const struct result *result)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < result->interval_count; i++)
        sum += result->intervals[i].watch.cpu_ns;
    return sum;
}

static void samples_stay_with_their_intervals(void **state)
{
    static const size_t mosts[] = {1000, 20, 7};

    (void)state;
    for (size_t m = 0; m < ARRAY_SIZE(mosts); m++) {
        struct peer_error error = {0};
        struct result result, again;
        FILE *file = tmpfile();
        assert_non_null(file);
        make(&result, 1, mosts[m], 1000);
        assert_int_equal(sum_of_cpu(&result), 51000); /* 9 of 60 were not looked at */
        assert_int_equal(result_write(&result, fileno(file)), 0);
        assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
        assert_int_equal(result_read(fileno(file), &again, &error), 0);
        assert_int_equal(again.interval_count, result.interval_count);
        for (size_t i = 0; i < result.interval_count; i++) {
            const struct result_watch *one = &result.intervals[i].watch;
            const struct result_watch *other = &again.intervals[i].watch;
            assert_int_equal(one->taken, other->taken);
            assert_int_equal(one->rss_bytes, other->rss_bytes);
            assert_int_equal(one->fds, other->fds);
            assert_int_equal(one->cpu_ns, other->cpu_ns);
            assert_int_equal(one->restarts, other->restarts);
        }
        assert_int_equal(again.process_count, 1);
        assert_string_equal(again.processes[0].name, "served");
        fclose(file);
        result_done(&result);
        result_done(&again);
    }
}

/* Two shards that soak one application see the same of it; two applications add up. */
static void applications_add_up_and_one_stays_one(void **state)
{
    (void)state;
    for (uint64_t other = 1; other <= 2; other++) {
        struct result sum, one;
        make(&sum, 1, 1000, 1000);
        make(&one, other, 1000, 1000);
        assert_int_equal(result_add(&sum, &one), 0);
        assert_int_equal(sum.process_count, other);
        assert_int_equal(sum.interval_count, 60);
        assert_int_equal(sum.intervals[5].watch.rss_bytes, other * 1005);
        assert_int_equal(sum.intervals[5].watch.processes, other * 2);
        result_done(&sum);
        result_done(&one);
    }
}

static void only_what_came_after_the_restart_counts(void **state)
{
    struct result result;
    struct growth found;

    (void)state;
    assert_int_equal(result_init(&result), 0);
    for (uint64_t i = 0; i < 200; i++) { /* it grows, and is restarted over and over, at last at 120 */
        const uint64_t rss = i < 120 ? 50000000 + 1000000 * (i % 40) : 50000000 + i % 3;
        struct result_interval interval = interval_of(i, rss, i % 40 == 0 && i && i <= 120);
        assert_int_equal(result_keep_interval(&result, &interval, 1000), 0);
    }
    result_growth(&result, offsetof(struct result_watch, rss_bytes), 256 * 1024, &found);
    assert_true(found.known);
    assert_false(found.grows);
    result_growth(&result, offsetof(struct result_watch, fds), 4, &found);
    assert_true(found.grows);
    result_done(&result);
}

/* Whoever looks at them has a terminal, or JSON of UTF-8. */
static void names_that_processes_gave_themselves_can_be_seen(void **state)
{
    static const struct {
        const char *given, *seen;
    } rows[] = {
        {"nginx: worker", "nginx: worker"},
        {"a\033[31m\nb\177\t", "a?[31m?b??"},
        {"gr\303\274n \342\202\254 \360\237\230\200", "gr\303\274n \342\202\254 \360\237\230\200"},
        {"\377\303", "??"},                        /* none at all, and half of one */
        {"\302\233m \300\200 \355\240\200", "??m ?? ???"}, /* C1, NUL in two bytes, a surrogate */
        {"\360\237\230", "???"},
        {"\364\220\200\200", "????"},
    };
    struct result result = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct result_process process = {.pid = i + 1};
        (void)snprintf(process.name, sizeof(process.name), "%s", rows[i].given);
        assert_int_equal(result_add_process(&result, &process), 0);
        assert_string_equal(result.processes[i].name, rows[i].seen);
    }
    result_done(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leak_grows_and_nothing_else_does),
        cmocka_unit_test(the_slope_is_that_of_the_leak),
        cmocka_unit_test(single_samples_do_not_decide),
        cmocka_unit_test(few_samples_tell_nothing),
        cmocka_unit_test(samples_stay_with_their_intervals),
        cmocka_unit_test(applications_add_up_and_one_stays_one),
        cmocka_unit_test(only_what_came_after_the_restart_counts),
        cmocka_unit_test(names_that_processes_gave_themselves_can_be_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
