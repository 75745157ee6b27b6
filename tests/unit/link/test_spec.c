/* SPDX-License-Identifier: BSD-3-Clause */
/* What a link's text means, its canonical form, what is refused and in which words, and two
 * properties over random texts: canonical text is stable, and refusing leaves the result alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"
#include "link/spec.h"
#include "support/link_spec_format.h"

#define PERCENT (LINK_WHOLE / 100)

static struct link_spec spec_of(const char *text)
{
    struct link_spec spec;
    struct peer_error error = {0};
    if (link_spec_parse(text, LINK_UPLINK, &spec, &error) != 0)
        fail_msg("%s: %s", text, error.text);
    return spec;
}

static void expect_canonical(const char *text, enum link_direction direction, const char *expected)
{
    struct link_spec spec;
    struct peer_error error = {0};
    char buf[LINK_SPEC_TEXT];
    if (link_spec_parse(text, direction, &spec, &error) != 0)
        fail_msg("%s: %s", text, error.text);
    assert_string_equal(link_spec_format(&spec, buf), expected);
}

static void expect_refused(const char *text, const char *expected)
{
    struct link_spec spec, before;
    struct peer_error error = {0};
    memset(&spec, 0x5A, sizeof(spec));
    before = spec;
    assert_int_equal(link_spec_parse(text, LINK_UPLINK, &spec, &error), -EINVAL);
    assert_int_equal(error.code, EINVAL);
    assert_int_equal(error.kind, PEER_ERROR_USAGE);
    assert_string_equal(error.text, expected);
    assert_memory_equal(&spec, &before, sizeof(spec));
    assert_int_equal(link_spec_parse(text, LINK_UPLINK, &spec, NULL), -EINVAL);
}

static void every_word_sets_its_part(void **state)
{
    (void)state;
    struct link_spec spec = spec_of("delay 50ms 10ms 25% distribution pareto loss 1.5% 20% "
                                    "duplicate 0.1% 5% reorder 2% 50% gap 5 corrupt 0.25% 75% "
                                    "rate 10mbit limit 200");
    assert_int_equal(spec.delay_ns, 50 * NS_PER_MS);
    assert_int_equal(spec.jitter_ns, 10 * NS_PER_MS);
    assert_int_equal(spec.delay_correlation, 25 * PERCENT);
    assert_int_equal(spec.distribution, LINK_PARETO);
    assert_false(spec.gemodel);
    assert_int_equal(spec.loss.share, 15 * PERCENT / 10);
    assert_int_equal(spec.loss.correlation, 20 * PERCENT);
    assert_int_equal(spec.duplicate.share, PERCENT / 10);
    assert_int_equal(spec.duplicate.correlation, 5 * PERCENT);
    assert_int_equal(spec.reorder.share, 2 * PERCENT);
    assert_int_equal(spec.reorder.correlation, 50 * PERCENT);
    assert_int_equal(spec.gap, 5);
    assert_int_equal(spec.corrupt.share, PERCENT / 4);
    assert_int_equal(spec.corrupt.correlation, 75 * PERCENT);
    assert_int_equal(spec.rate_bit, 10000000);
    assert_int_equal(spec.limit, 200);
    assert_false(link_spec_is_clear(&spec));
}

static void what_is_not_said_is_netems_default(void **state)
{
    (void)state;
    struct link_spec spec = spec_of("delay 1ms 1us reorder 1%");
    assert_int_equal(spec.distribution, LINK_UNIFORM);
    assert_int_equal(spec.limit, LINK_LIMIT_DEFAULT);
    assert_int_equal(spec.gap, 1);
    assert_int_equal(spec.rate_bit, 0);
    spec = spec_of("loss gemodel 2%");
    assert_true(spec.gemodel);
    assert_int_equal(spec.gilbert.to_bad, 2 * PERCENT);
    assert_int_equal(spec.gilbert.to_good, 98 * PERCENT);
    assert_int_equal(spec.gilbert.bad_loss, LINK_WHOLE);
    assert_int_equal(spec.gilbert.good_loss, 0);
    spec = spec_of("loss gemodel 1% 20% 70% 0.1%");
    assert_int_equal(spec.gilbert.to_good, 20 * PERCENT);
    assert_int_equal(spec.gilbert.bad_loss, 70 * PERCENT);
    assert_int_equal(spec.gilbert.good_loss, PERCENT / 10);
}

static void times_have_the_units_of_tc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } times[] = {
        {"7ns", 7},
        {"7nsec", 7},
        {"7us", 7000},
        {"7usec", 7000},
        {"7usecs", 7000},
        {"7ms", 7000000},
        {"7msecs", 7000000},
        {"7s", 7 * NS_PER_S},
        {"7sec", 7 * NS_PER_S},
        {"7SECS", 7 * NS_PER_S},
        {"0.5ms", 500000},
        {".5ms", 500000},
        {"51.2MS", 51200000},
        {"3600s", LINK_DELAY_MAX_NS},
        {"0.4ns", 0},
        {"0.6ns", 1},
        {"5.ms", 5000000},
        {"000000000000001ms", 1000000},
    };
    char text[64];

    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        snprintf(text, sizeof(text), "delay %s", times[i].text);
        assert_int_equal(spec_of(text).delay_ns, times[i].ns);
    }
}

static void rates_have_the_units_of_tc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bit;
    } rates[] = {
        {"9bit", 9},
        {"9kbit", 9000},
        {"1.5mbit", 1500000},
        {"9Gbit", 9000000000},
        {"1tbit", 1000000000000},
        {"1kibit", 1024},
        {"1mibit", 1 << 20},
        {"1gibit", 1 << 30},
        {"9bps", 72},
        {"9kbps", 72000},
        {"9Mbps", 72000000},
        {"1gbps", 8000000000},
        {"1kibps", 8192},
        {"100tbit", LINK_RATE_MAX},
        {"1mibps", 8 << 20},
    };
    char text[64];

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        snprintf(text, sizeof(text), "rate %s", rates[i].text);
        assert_int_equal(spec_of(text).rate_bit, rates[i].bit);
    }
}

static void percentages_are_exact(void **state)
{
    (void)state;
    assert_int_equal(spec_of("loss 0.0000001%").loss.share, 1);
    assert_int_equal(spec_of("loss 100%").loss.share, LINK_WHOLE);
    assert_int_equal(spec_of("loss 100.000%").loss.share, LINK_WHOLE);
    assert_int_equal(spec_of("loss 0.1").loss.share, PERCENT / 10); /* as in tc: per cent */
    assert_int_equal(spec_of("loss 33.3333333%").loss.share, 333333333);
}

static void canonical_text_is_the_shortest_that_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"none", "none"},
        {"loss 0%", "none"},
        {"delay 0ms", "none"},
        {"loss gemodel 0% 5%", "none"},
        {"none loss 2%", "loss 2%"},
        {" \tloss\n 2 ", "loss 2%"},
        {"loss random 2% 25%", "loss 2% 25%"},
        {"loss 2% 0%", "loss 2%"},
        {"limit 1000 delay 1500ms", "delay 1500ms"},
        {"delay 2000ms", "delay 2s"},
        {"delay 51200us", "delay 51.2ms"},
        {"delay 1234567ns", "delay 1234.567us"},
        {"delay 999ns", "delay 999ns"},
        {"delay 0ms 5ms", "delay 0ns 5ms"},
        {"distribution normal delay 50ms 10ms", "delay 50ms 10ms distribution normal"},
        {"delay 50ms 10ms distribution uniform", "delay 50ms 10ms"},
        {"gap 5 reorder 25% delay 10ms", "delay 10ms reorder 25% gap 5"},
        {"delay 10ms reorder 25% gap 1", "delay 10ms reorder 25%"},
        {"delay 10ms reorder 0% gap 9", "delay 10ms"},
        {"loss gemodel 1%", "loss gemodel 1%"},
        {"loss gemodel 1% 99%", "loss gemodel 1%"},
        {"loss gemodel 1% 20% 100% 0%", "loss gemodel 1% 20%"},
        {"loss gemodel 1% 20% 70%", "loss gemodel 1% 20% 70%"},
        {"loss gemodel 1% 20% 100% 0.5%", "loss gemodel 1% 20% 100% 0.5%"},
        {"loss gemodel 0% 20% 100% 0.5%", "loss gemodel 0% 20% 100% 0.5%"},
        {"rate 1500kbit", "rate 1500kbit"},
        {"rate 2000kbit", "rate 2mbit"},
        {"rate 1mbps", "rate 8mbit"},
        {"rate 100tbit", "rate 100000gbit"},
        {"rate 1001bit limit 7", "rate 1001bit limit 7"},
        {"limit 7", "limit 7"},
        {"rate 1mbit corrupt 0.10% duplicate 3% 1%", "duplicate 3% 1% corrupt 0.1% rate 1mbit"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        expect_canonical(cases[i].text, LINK_UPLINK, cases[i].canonical);
        expect_canonical(cases[i].canonical, LINK_UPLINK, cases[i].canonical);
    }
}

static void the_longest_text_fits(void **state)
{
    (void)state;
    expect_canonical("delay 1234567.891us 1234567.891us 12.3456789% distribution normal "
                     "loss gemodel 12.3456789% 12.3456789% 12.3456789% 12.3456789% "
                     "duplicate 12.3456789% 12.3456789% reorder 12.3456789% 12.3456789% "
                     "gap 9999999 corrupt 12.3456789% 12.3456789% rate 99999999999999bit "
                     "limit 9999999",
                     LINK_UPLINK,
                     "delay 1234567.891us 1234567.891us 12.3456789% distribution normal "
                     "loss gemodel 12.3456789% 12.3456789% 12.3456789% 12.3456789% "
                     "duplicate 12.3456789% 12.3456789% reorder 12.3456789% 12.3456789% "
                     "gap 9999999 corrupt 12.3456789% 12.3456789% rate 99999999999999bit "
                     "limit 9999999");
}

static void clear_means_no_fault_at_all(void **state)
{
    (void)state;
    static const char *const impaired[] = {
        "delay 1ns",    "delay 0ns 1ns",        "loss 0.0000001%",    "loss gemodel 1%",
        "duplicate 1%", "delay 1ns reorder 1%", "corrupt 0.0000001%", "rate 100tbit"};
    struct link_spec spec = spec_of("none");
    assert_true(link_spec_is_clear(&spec));
    spec = spec_of("limit 5");
    assert_true(link_spec_is_clear(&spec));
    for (size_t i = 0; i < ARRAY_SIZE(impaired); i++) {
        spec = spec_of(impaired[i]);
        assert_false(link_spec_is_clear(&spec));
    }
}

/* ---- profiles ---- */

static void every_profile_is_canonical_in_both_directions(void **state)
{
    (void)state;
    size_t count;
    const struct link_profile *profiles = link_profiles(&count);
    assert_true(count >= 10);
    for (size_t i = 0; i < count; i++) {
        expect_canonical(profiles[i].uplink, LINK_UPLINK, profiles[i].uplink);
        expect_canonical(profiles[i].downlink, LINK_DOWNLINK, profiles[i].downlink);
        expect_canonical(profiles[i].name, LINK_UPLINK, profiles[i].uplink);
        expect_canonical(profiles[i].name, LINK_DOWNLINK, profiles[i].downlink);
        assert_true(strlen(profiles[i].about) > 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(profiles[i].name, profiles[j].name);
    }
}

static void the_named_ones_are_there(void **state)
{
    (void)state;
    static const char *const names[] = {"3g",    "4g",   "edge",      "gprs",     "dsl",
                                        "cable", "wifi", "satellite", "starlink", "lossy"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        (void)spec_of(names[i]);
}

static void words_after_a_profile_replace_its_own(void **state)
{
    (void)state;
    expect_canonical("3g loss 5%", LINK_UPLINK, "delay 150ms loss 5% rate 768kbit limit 60");
    expect_canonical("3g loss 5%", LINK_DOWNLINK, "delay 150ms loss 5% rate 1600kbit limit 70");
    expect_canonical("gprs loss gemodel 1% 20%", LINK_UPLINK,
                     "delay 250ms loss gemodel 1% 20% rate 50kbit limit 50");
    expect_canonical("bursty loss 3%", LINK_UPLINK, "loss 3%");
    expect_canonical("bursty loss 0%", LINK_UPLINK, "none");
    expect_canonical("wifi delay 3ms limit 1000 rate 1gbit", LINK_UPLINK,
                     "delay 3ms loss 0.2% rate 1gbit");
    /* The jitter of a profile goes with its delay, its distribution with the jitter. */
    expect_canonical("starlink delay 40ms", LINK_UPLINK, "delay 40ms loss 1% rate 13540kbit");
    expect_canonical("starlink delay 40ms 2ms", LINK_UPLINK,
                     "delay 40ms 2ms loss 1% rate 13540kbit");
    expect_canonical("starlink distribution pareto", LINK_UPLINK,
                     "delay 22ms 5ms distribution pareto loss 1% rate 13540kbit");
    expect_canonical("wifi reorder 1% gap 3", LINK_UPLINK,
                     "delay 20ms loss 0.2% reorder 1% gap 3 rate 30mbit");
}

/* ---- refusals ---- */

static const struct {
    const char *text, *why;
} refusals[] = {
    {"", "\"\" is no link; write one like \"delay 50ms loss 1%\", or \"none\""},
    {" \t", "\"\" is no link; write one like \"delay 50ms loss 1%\", or \"none\""},
    {"losss 5%", "\"losss\" is no impairment; did you mean \"loss\"?"},
    {"delay 5ms los 5%", "\"los\" is no impairment; did you mean \"loss\"?"},
    {"dup 5%", "\"dup\" is no impairment; did you mean \"duplicate\"?"},
    {"LOSS 5%", "\"LOSS\" is no impairment; there are delay, distribution, loss, duplicate, "
                "reorder, gap, corrupt, rate, limit, and named links"},
    {"satelite", "\"satelite\" is no impairment; did you mean \"satellite\"?"},
    {"3gg", "\"3gg\" is no impairment; did you mean \"3g\"?"},
    {"zzzzzzzz", "\"zzzzzzzz\" is no impairment; there are delay, distribution, loss, "
                 "duplicate, reorder, gap, corrupt, rate, limit, and named links"},
    {"loss 5% 3g", "\"3g\" names a whole link; it comes first, and alone"},
    {"3g gprs", "\"gprs\" names a whole link; it comes first, and alone"},
    {"loss 5% none", "\"none\" names a whole link; it comes first, and alone"},
    {"50ms", "\"50ms\" stands alone; say of what it is, as in \"delay 50ms\""},
    {"3%", "\"3%\" stands alone; say of what it is, as in \"delay 50ms\""},
    {"loss 1% loss 2%", "\"loss\" is there twice"},
    {"delay 1ms loss 1% delay 1ms", "\"delay\" is there twice"},
    {"loss gemodel 1% loss 2%", "\"loss\" is there twice"},
    {"delay", "\"delay\" needs a time, like 50ms, after it"},
    {"delay loss 1%", "\"delay\" needs a time, like 50ms, after it, not \"loss\""},
    {"delay 50", "\"50\" has no unit; write 50ms or 50us "
                 "(tc takes a bare number for microseconds)"},
    {"delay 50 ms", "\"50\" has no unit; write 50ms or 50us "
                    "(tc takes a bare number for microseconds)"},
    {"delay 50ms 10", "\"10\" has no unit; write 10ms or 10us "
                      "(tc takes a bare number for microseconds)"},
    {"delay 50mm", "\"50mm\" is no time; the units are ns, us, ms and s"},
    {"delay 50%", "\"50%\" is no time; the units are ns, us, ms and s"},
    {"delay -5ms", "\"-5ms\" is no time; write one like 50ms"},
    {"delay .ms", "\".ms\" is no time; write one like 50ms"},
    {"delay 1.2.3ms", "\"1.2.3ms\" is no time; the units are ns, us, ms and s"},
    {"delay 1234567890123456789ns", "\"1234567890123456789ns\" is no time; write one like "
                                    "50ms"},
    {"delay 3601s", "\"3601s\" is too long; an hour (3600s) is the most"},
    {"delay 999999999999999999s",
     "\"999999999999999999s\" is too long; an hour (3600s) is the most"},
    {"delay 10ms 25%", "\"25%\" stands where the jitter belongs; a correlation comes after "
                       "it: delay 50ms 10ms 25%"},
    {"delay 10ms 0ms 25%", "\"25%\" is a correlation without a value: \"delay\" is zero"},
    {"delay 10ms 1ms 25ms", "\"25ms\" is no percentage; write one like 2%"},
    {"delay 10ms 1ms 25% 3", "\"3\" is one value too many after \"delay\""},
    {"distribution normal", "\"distribution\" needs a jitter, as in \"delay 50ms 10ms "
                            "distribution normal\""},
    {"delay 5ms distribution normal", "\"distribution\" needs a jitter, as in \"delay 50ms "
                                      "10ms distribution normal\""},
    {"distribution", "\"distribution\" needs uniform, normal or pareto after it"},
    {"delay 5ms 1ms distribution gauss",
     "\"gauss\" is no distribution; there are uniform, normal and pareto"},
    {"loss", "\"loss\" needs a percentage, like 2%, after it"},
    {"loss random", "\"loss\" needs a percentage, like 2%, after it"},
    {"loss gemodel", "\"gemodel\" needs a percentage, like 2%, after it"},
    {"loss bernoulli 5%", "\"loss\" needs a percentage, like 2%, after it, not \"bernoulli\""},
    {"loss state 5%", "\"state\" is not offered; \"loss gemodel\" makes bursts as well"},
    {"loss 101%", "\"101%\" is over 100%"},
    {"loss 100.0000001%", "\"100.0000001%\" is over 100%"},
    {"loss 5% 150%", "\"150%\" is over 100%"},
    {"loss 5ms", "\"5ms\" is no percentage; write one like 2%"},
    {"loss -5%", "\"-5%\" is no percentage; write one like 2%"},
    {"loss 0% 25%", "\"25%\" is a correlation without a value: \"loss\" is zero"},
    {"loss 5% correlation 25%", "\"correlation\" is no word here; a correlation is the "
                                "percentage after the value: loss 2% 25%"},
    {"loss 1% 2% 3%", "\"3%\" is one value too many after \"loss\""},
    {"loss gemodel 1% 2% 3% 4% 5%", "\"5%\" is one value too many after \"gemodel\""},
    {"loss gemodel 1% 200%", "\"200%\" is over 100%"},
    {"duplicate 0% 1%", "\"1%\" is a correlation without a value: \"duplicate\" is zero"},
    {"reorder 25%", "\"reorder\" needs a delay for other packets to overtake, as in "
                    "\"delay 10ms reorder 25%\""},
    {"reorder 25% delay 0ms", "\"reorder\" needs a delay for other packets to overtake, as in "
                              "\"delay 10ms reorder 25%\""},
    {"delay 10ms gap 5", "\"gap\" needs \"reorder\", as in \"reorder 25% gap 5\""},
    {"delay 10ms reorder 5% gap 0", "\"0\" after \"gap\": the least is 1"},
    {"delay 10ms reorder 5% gap x", "\"gap\" needs a number of packets after it, not \"x\""},
    {"limit 0", "\"0\" after \"limit\": the least is 1"},
    {"limit 1.5", "\"1.5\" is no number of packets"},
    {"limit 10k", "\"10k\" is no number of packets"},
    {"limit 10000001", "\"10000001\" is too many; 10000000 is the most"},
    {"rate", "\"rate\" needs a rate, like 10mbit, after it"},
    {"rate 10", "\"10\" has no unit; write 10mbit or 10kbit "
                "(tc takes a bare number for bits a second)"},
    {"rate 10mb", "\"10mb\" is no rate; the units are bit, kbit, mbit, gbit (bits a second) "
                  "and bps, kbps, mbps, gbps (bytes a second)"},
    {"rate 0mbit", "\"0mbit\" lets nothing through; \"loss 100%\" says that"},
    {"rate 0.4bit", "\"0.4bit\" lets nothing through; \"loss 100%\" says that"},
    {"rate 101tbit", "\"101tbit\" is too fast; 100tbit is the most"},
    {"rate +1mbit", "\"+1mbit\" is no rate; write one like 10mbit"},
    {"rate 1mbit 20", "\"20\" is one value too many after \"rate\""},
    {"abcdefghijabcdefghijabcdefghijabcdefghijabcdefghij 5%",
     "\"abcdefghijabcdefghijabcdefghijabcdefghij\" is no impairment; there are delay, "
     "distribution, loss, duplicate, reorder, gap, corrupt, rate, limit, and named links"},
    {"\x01loss\x7f 5%", "\"?loss?\" is no impairment; did you mean \"loss\"?"},
};

static void refusals_point_at_the_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
        expect_refused(refusals[i].text, refusals[i].why);
}

/* ---- random texts ---- */

static void random_texts_are_refused_or_stable(void **state)
{
    (void)state;
    static const char *const words[] = {
        "delay", "loss",  "random", "gemodel", "duplicate", "reorder", "gap",          "corrupt",
        "rate",  "limit", "3g",     "none",    "starlink",  "normal",  "distribution", "pareto",
        "50ms",  "10ms",  "0ms",    "1.25us",  "3s",        "5%",      "0.001%",       "100%",
        "0%",    "25",    "7",      "10mbit",  "3kbps",     "1",       "-1",           "losss",
    };
    struct rng rng;
    int accepted = 0;
    rng_seed(&rng, 4);
    for (int i = 0; i < 300000; i++) {
        char text[256] = "", first[LINK_SPEC_TEXT], second[LINK_SPEC_TEXT];
        struct link_spec spec, again;
        struct peer_error error = {0};
        size_t count = 1 + rng_below(&rng, 8), len = 0;
        for (size_t j = 0; j < count; j++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s ",
                                    words[rng_below(&rng, ARRAY_SIZE(words))]);
        if (link_spec_parse(text, LINK_DOWNLINK, &spec, &error) != 0) {
            assert_int_equal(error.kind, PEER_ERROR_USAGE);
            assert_true(strlen(error.text) > 0);
            continue;
        }
        accepted++;
        link_spec_format(&spec, first);
        if (link_spec_parse(first, LINK_UPLINK, &again, &error) != 0)
            fail_msg("%s -> %s: %s", text, first, error.text);
        assert_string_equal(link_spec_format(&again, second), first);
        assert_int_equal(link_spec_is_clear(&spec), link_spec_is_clear(&again));
    }
    assert_true(accepted > 3000);
}

/* Figures of every size survive the way to text and back as they are. */
static void random_figures_come_back_exactly(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    for (int i = 0; i < 100000; i++) {
        struct link_spec spec, again;
        char text[LINK_SPEC_TEXT];
        link_spec_clear(&spec);
        spec.delay_ns = 1 + rng_below(&rng, LINK_DELAY_MAX_NS >> rng_below(&rng, 40));
        spec.jitter_ns = 1 + rng_below(&rng, LINK_DELAY_MAX_NS >> rng_below(&rng, 40));
        spec.rate_bit = 1 + rng_below(&rng, LINK_RATE_MAX >> rng_below(&rng, 46));
        spec.loss.share = (uint32_t)(1 + rng_below(&rng, LINK_WHOLE >> rng_below(&rng, 29)));
        spec.loss.correlation = (uint32_t)rng_below(&rng, LINK_WHOLE + 1);
        spec.corrupt.share = (uint32_t)(1 + rng_below(&rng, LINK_WHOLE));
        if (link_spec_parse(link_spec_format(&spec, text), LINK_UPLINK, &again, NULL) != 0)
            fail_msg("%s", text);
        assert_int_equal(again.delay_ns, spec.delay_ns);
        assert_int_equal(again.jitter_ns, spec.jitter_ns);
        assert_int_equal(again.rate_bit, spec.rate_bit);
        assert_int_equal(again.loss.share, spec.loss.share);
        assert_int_equal(again.loss.correlation, spec.loss.correlation);
        assert_int_equal(again.corrupt.share, spec.corrupt.share);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_sets_its_part),
        cmocka_unit_test(what_is_not_said_is_netems_default),
        cmocka_unit_test(times_have_the_units_of_tc),
        cmocka_unit_test(rates_have_the_units_of_tc),
        cmocka_unit_test(percentages_are_exact),
        cmocka_unit_test(canonical_text_is_the_shortest_that_is_exact),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(clear_means_no_fault_at_all),
        cmocka_unit_test(every_profile_is_canonical_in_both_directions),
        cmocka_unit_test(the_named_ones_are_there),
        cmocka_unit_test(words_after_a_profile_replace_its_own),
        cmocka_unit_test(refusals_point_at_the_word),
        cmocka_unit_test(random_texts_are_refused_or_stable),
        cmocka_unit_test(random_figures_come_back_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
