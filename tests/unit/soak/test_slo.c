/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objectives: what is one, what is none and why, and whether a result kept it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "soak/slo.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>

/* 1000 requests of 1 to 1000 ms, 10 connections of 5 ms, 3 of the requests beyond timed out. */
static int make_result(void **state)
{
    static struct result result;
    struct hdr_histogram *latencies;

    assert_int_equal(result_init(&result), 0);
    for (int64_t i = 1; i <= 1000; i++)
        hdr_record_value(result.found.histograms[PEER_HISTOGRAM_REQUEST], i * 1000000);
    hdr_record_values(result.found.histograms[PEER_HISTOGRAM_HANDSHAKE], 5000000, 10);
    result.found.counts =
        (struct peer_soak_counts){.completed = 1000, .timeout = 3, .refused = 1, .established = 10};
    result.found.in_time = (struct peer_soak_counts){.completed = 900, .established = 10};
    result.found.carried = 50;
    result.duration_ns = 10 * NS_PER_S;
    for (unsigned i = 0; i < 3; i++) {
        struct result_interval interval = {
            .start_ns = i * 4 * NS_PER_S,
            .length_ns = (i < 2 ? 4 : 2) * NS_PER_S,
            .counts = {.completed = i < 2 ? 400 : 200, .timeout = i == 1 ? 3 : 0}};
        assert_int_equal(histogram_new(&latencies), 0);
        hdr_record_values(latencies, (i == 1 ? 30 : 10) * 1000000, 400);
        assert_int_equal(packed_from(latencies, &interval.request), 0);
        hdr_close(latencies);
        assert_int_equal(result_take_interval(&result, &interval), 0);
    }
    *state = &result;
    return 0;
}

static int free_result(void **state)
{
    result_done(*state);
    return 0;
}

static struct peer_slo_verdict judge(void **state, const char *text)
{
    struct peer_slo_verdict verdict;
    struct peer_error error;
    struct slo slo;

    if (slo_parse(text, &slo, &error) < 0)
        fail_msg("%s: %s", text, error.text);
    slo_judge(&slo, *state, &verdict);
    return verdict;
}

struct row {
    const char *text;
    bool kept;
    double value; /* within three digits */
};

static void check_rows(void **state, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct peer_slo_verdict verdict = judge(state, rows[i].text);
        if (verdict.kept != rows[i].kept || !verdict.measured ||
            verdict.value < rows[i].value * 0.999 || verdict.value > rows[i].value * 1.001)
            fail_msg("%s: %s, %g for %g", rows[i].text, verdict.kept ? "kept" : "not kept",
                     verdict.value, rows[i].value);
        assert_false(verdict.in_interval);
    }
}

static void test_kept_or_not(void **state)
{
    static const struct row rows[] = {
        {"p50<600ms", true, 500e3},
        {"p50 < 0.4s", false, 500e3},
        {"p99<=1s", true, 990e3},
        {"p99.9<1s", true, 999e3},
        {"p999<1s", true, 999e3},
        {"p9990<500ms", false, 999e3},
        {"max>999ms", true, 1000e3},
        {"min>=900us", true, 1000},
        {"mean<600ms", true, 500.5e3},
        {"request.p90<1s", true, 900e3},
        {"handshake.p99<5.1ms", true, 5e3},
        {"handshake.mean<1ms", false, 5e3},
        {"errors<5", true, 4},
        {"errors<4", false, 4},
        {"errors<=4", true, 4},
        {"errors<1%", true, 4.0 / 1004},
        {"errors<0.1%", false, 4.0 / 1004},
        {"errors.timeout<=3", true, 3},
        {"errors.reset<=0", true, 0},
        {"rate>=95", true, 95},
        {"rate>95", false, 95},
        {"rate<0.1k", true, 95},
        {"connections>=1", true, 1},
        {"completed>=1k", true, 1000},
    };

    check_rows(state, rows, ARRAY_SIZE(rows));
}

static void test_blanks_say_nothing(void **state)
{
    static const struct row rows[] = {
        {" p99 <= 1 s ", true, 990e3},
        {"p50<600 ms", true, 500e3},
        {"p50<\t0.4  s", false, 500e3},
        {"handshake.p99\t<\t5.1\tms", true, 5e3},
        {"errors < 1 %", true, 4.0 / 1004},
        {"errors < 0.1 %", false, 4.0 / 1004},
        {"rate < 0.1 k", true, 95},
        {"rate>=95/s", true, 95},
        {"rate < 0.1 k /s", true, 95},
        {"connections >= 1 /s", true, 1},
    };

    check_rows(state, rows, ARRAY_SIZE(rows));
}

static void test_each_interval(void **state)
{
    struct peer_slo_verdict verdict = judge(state, "p99<2s@each");

    assert_true(verdict.kept && verdict.in_interval);
    assert_int_equal(verdict.interval_start_ns, 4 * NS_PER_S);
    assert_float_equal(verdict.value, 30e3, 100);

    for (const char *const *text = (const char *const[]){"p99 < 2 s @each", "p99<2 s@ each ",
                                                         "p99\t<2s @ each", NULL}; *text; text++)
        assert_true(judge(state, *text).in_interval);

    verdict = judge(state, "errors<=2@each"); /* 4 in all, 3 in one interval */
    assert_false(verdict.kept);
    assert_int_equal(verdict.intervals_failed, 1);
    assert_float_equal(verdict.value, 3, 0.001);

    verdict = judge(state, "rate>=90@each"); /* the short one, of 100, is no measure of a rate */
    assert_true(verdict.kept && verdict.in_interval);
    verdict = judge(state, "rate>=96@each");
    assert_false(verdict.kept);
    assert_false(verdict.in_interval); /* the whole did not keep it, and each interval did */
    assert_float_equal(verdict.value, 95, 0.001);

    verdict = judge(state, "p99<20ms@each");
    assert_int_equal(verdict.intervals_failed, 1);
    assert_false(verdict.kept);
}

static void test_what_is_none(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "no comparison"},
        {"p99", "no comparison"},
        {"p99=20ms", "no comparison"},
        {"<20ms", "nothing"},
        {"p99<", "no time"},
        {"p99<20", "no time"},
        {"p99<20ms@all", "no time"},
        {"p99 < 20 ms ms", "\"20 ms ms\" is no time"},
        {"p99<2 0ms", "no time"},
        {"p99<20 /s", "no time"},
        {"errors<1/s", "no number"},
        {"rate > = 5k", "no number"},
        {"p99<-1ms", "no time"},
        {"p99<1e3ms", "no time"},
        {"p99<nanms", "no time"},
        {"p99<<20ms", "no time"},
        {"p<1s", "nothing"},
        {"p0<1s", "nothing"},
        {"p99.<1s", "nothing"},
        {"p9.9<1s", "nothing"},
        {"p12345678<1s", "nothing"},
        {"handshake<1s", "nothing"},
        {"errors<1ms", "no number, and no share"},
        {"rate>10%", "no number"},
        {"ratte>10", "did you mean \"rate\""},
        {"errors.timeouts<1", "did you mean \"errors.timeout\""},
        {"handshake.p99<1s@each", "of each interval only"},
        {"p99<000000000000000000000000000000000000000000000000000000000000000000000000000000020ms",
         "too long"},
    };
    struct peer_error error;
    struct slo slo;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (slo_parse(rows[i].text, &slo, &error) != -EINVAL || !strstr(error.text, rows[i].words))
            fail_msg("\"%s\": %s", rows[i].text, error.text);
    }
}

static void test_nothing_measured(void **state)
{
    struct peer_slo_verdict verdict = judge(state, "first_byte.p99<1000s");
    struct result nothing;

    assert_false(verdict.kept || verdict.measured);
    assert_int_equal(result_init(&nothing), 0);
    void *none = &nothing;
    assert_false(judge(&none, "errors<1%").kept);
    assert_true(judge(&none, "errors<1").kept);
    assert_false(judge(&none, "rate<1").measured);
    result_done(&nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_or_not),
        cmocka_unit_test(test_blanks_say_nothing),
        cmocka_unit_test(test_each_interval),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_nothing_measured),
    };

    return cmocka_run_group_tests(tests, make_result, free_result);
}
