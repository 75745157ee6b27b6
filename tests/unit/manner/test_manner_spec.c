/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Specifications of manners: what is taken, and the one line that names the word that is not.
 */
#include "manner/manner.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

static const struct manner_context soak = {.shares = true, .peers = 10};
static const struct manner_context one_flow = {.peers = 10};
static const struct manner_context listener = {.accepts = true, .shares = true, .peers = 10};

static struct manner_spec read_one(const struct manner_context *context, const char *text)
{
    struct manner_spec specs[MANNERS_MAX];
    struct peer_error error = {0};
    int count = manners_parse(text, context, specs, &error);

    if (count != 1)
        fail_msg("\"%s\": %d, %s", text, count, error.text);
    return specs[0];
}

static void expect_refused(const struct manner_context *context, const char *text, const char *word)
{
    struct manner_spec specs[MANNERS_MAX];
    struct peer_error error = {0};

    assert_int_equal(manners_parse(text, context, specs, &error), -EINVAL);
    assert_int_equal(error.kind, PEER_ERROR_USAGE);
    assert_null(strchr(error.text, '\n'));
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not point at %s: %s", text, word, error.text);
}

static void nothing_is_no_manner(void **state)
{
    struct manner_spec specs[MANNERS_MAX];

    (void)state;
    assert_int_equal(manners_parse(NULL, &soak, specs, NULL), 0);
    assert_int_equal(manners_parse("", &soak, specs, NULL), 0);
    assert_int_equal(manners_parse(" , ", &soak, specs, NULL), 0);
}

static void a_name_alone_has_the_defaults(void **state)
{
    (void)state;
    struct manner_spec spec = read_one(&one_flow, "slow-writer");
    assert_string_equal(spec.manner->name, "slow-writer");
    assert_int_equal(spec.value, 1);
    assert_int_equal(spec.when, MANNER_AT_CONNECTED);
    assert_false(spec.when_given);
    assert_true(spec.share < 0);
    assert_string_equal(spec.text, "slow-writer");
}

static void every_manner_reads_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; manner_at(i); i++)
        assert_ptr_equal(read_one(&soak, manner_at(i)->name).manner, manner_at(i));
}

static void a_share_a_value_and_a_time(void **state)
{
    (void)state;
    struct manner_spec spec = read_one(&soak, "slow-writer:5%:10B/s@200ms");
    assert_true(fabs(spec.share - 0.05) < 1e-9);
    assert_int_equal(spec.value, 10);
    assert_int_equal(spec.when, MANNER_AT_TIME);
    assert_int_equal(spec.at, 200 * NS_PER_MS);
    assert_true(spec.when_given);

    spec = read_one(&soak, "slow-reader:1.5KiB/s:0.5%");
    assert_true(fabs(spec.share - 0.005) < 1e-9);
    assert_int_equal(spec.value, 1536);
}

static void sizes_rates_and_states(void **state)
{
    (void)state;
    assert_int_equal(read_one(&soak, "syn-flood:20k/s").value, 20000);
    assert_int_equal(read_one(&soak, "tiny-segments:8B").value, 8);
    assert_int_equal(read_one(&soak, "pmtu:1KiB").value, 1024);
    struct manner_spec spec = read_one(&soak, "stall@4KiB");
    assert_int_equal(spec.when, MANNER_AT_BYTES);
    assert_int_equal(spec.at, 4096);
    assert_int_equal(read_one(&soak, "vanish@10s").at, 10 * NS_PER_S);
    assert_int_equal(read_one(&soak, "vanish@1m").at, 60 * NS_PER_S);
    assert_int_equal(read_one(&soak, "vanish@syn").when, MANNER_AT_SYN);
    assert_int_equal(read_one(&soak, "vanish@connected").when, MANNER_AT_CONNECTED);
    assert_int_equal(read_one(&soak, "no-close@request").when, MANNER_AT_REQUEST);
}

static void several_at_once(void **state)
{
    struct manner_spec specs[MANNERS_MAX];

    (void)state;
    assert_int_equal(manners_parse("vanish:2%@10s, slow-writer:5% stall:93%", &soak, specs, NULL),
                     3);
    assert_string_equal(specs[2].manner->name, "stall");
    assert_int_equal(manners_parse("overlap bad-checksum", &one_flow, specs, NULL), 2);
    assert_int_equal(manners_parse("overlap bad-checksum stall:10%", &listener, specs, NULL), 3);
    /* A flood is no share of the flows. */
    assert_int_equal(manners_parse("stall syn-flood:5/s", &soak, specs, NULL), 2);
    assert_true(specs[0].share == 1 && specs[1].share == 0);
}

static void unknown_words_are_named_with_a_suggestion(void **state)
{
    (void)state;
    expect_refused(&soak, "stal", "\"stal\" is no manner; did you mean \"stall\"?");
    expect_refused(&soak, "vansih:5%", "did you mean \"vanish\"?");
    expect_refused(&soak, "xyzzy", "\"xyzzy\" is no manner");
    expect_refused(&soak, "stall:5% :3%", "\"\" is no manner");
    expect_refused(&soak, "stall@conected", "did you mean \"@connected\"?");
    expect_refused(&soak, "stall@never-ever-at-all", "\"@never-ever-at-all\" is no time");
    expect_refused(&soak, "stall@", "\"@\" is no time");
}

static void shares_are_percentages_of_something(void **state)
{
    (void)state;
    expect_refused(&soak, "stall:120%", "\"120%\" is over 100%");
    expect_refused(&soak, "stall:0%", "\"0%\"");
    expect_refused(&soak, "stall:5%:6%", "\"6%\" after \"stall\"");
    expect_refused(&soak, "stall:60% vanish:50%", "\"vanish:50%\" makes it 110%");
    expect_refused(&soak, "stall vanish:5%", "\"vanish:5%\" makes it 105%");
    expect_refused(&one_flow, "stall:5%", "\"5%\" after \"stall\": there is one flow");
    expect_refused(&soak, "syn-flood:5%", "\"5%\" after \"syn-flood\"");
    expect_refused(&soak, "stall:x", "\"x\" after \"stall\"");
    expect_refused(&soak, "stall:", "\"\" after \"stall\"");
    expect_refused(&soak, "stall:-5%", "\"-5%\"");
}

static void units_are_never_left_out(void **state)
{
    (void)state;
    expect_refused(&soak, "stall:5", "\"5\" after \"stall\" has no unit; a share is written 5%");
    expect_refused(&soak, "slow-writer:10", "\"10\" after \"slow-writer\" has no unit");
    expect_refused(&soak, "syn-flood:1000", "\"1000\" after \"syn-flood\" has no unit");
    expect_refused(&soak, "stall@10", "\"@10\" has no unit");
    expect_refused(&soak, "slow-writer:10s", "\"10s\" after \"slow-writer\"");
    expect_refused(&soak, "stall:1KiB", "\"1KiB\" after \"stall\"");
}

static void values_have_bounds(void **state)
{
    (void)state;
    expect_refused(&soak, "syn-flood:200001/s", "out of range: 1 to 200000");
    expect_refused(&soak, "tiny-segments:0B", "\"0B\" after \"tiny-segments\"");
    expect_refused(&soak, "pmtu:67B", "\"67B\" after \"pmtu\"");
    expect_refused(&soak, "pmtu:1KiB:2KiB", "\"2KiB\" after \"pmtu\"");
}

static void not_everything_goes_everywhere(void **state)
{
    const struct manner_context udp = {.udp = true, .shares = true, .peers = 10};
    const struct manner_context alone = {.shares = true, .peers = 1};

    (void)state;
    expect_refused(&udp, "stall", "\"stall\" is no manner of UDP; those are vanish, ");
    assert_int_equal(read_one(&udp, "duplicate-data:5%").when, MANNER_AT_CONNECTED);
    expect_refused(&listener, "half-open", "\"half-open\"");
    expect_refused(&one_flow, "syn-flood", "\"syn-flood\"");
    expect_refused(&alone, "roam:5%", "\"roam\" needs a second peer");
    expect_refused(&soak, "half-open@10s", "\"@10s\" after \"half-open\"");
    expect_refused(&soak, "stall@syn", "\"@syn\" is too early for \"stall\"");
}

static void draws_keep_to_the_shares_and_to_the_seed(void **state)
{
    struct manner_spec specs[MANNERS_MAX];
    int counts[3] = {0}, repeated = 0;

    (void)state;
    assert_int_equal(manners_parse("stall:10%,vanish:2%", &listener, specs, NULL), 2);
    for (uint64_t n = 0; n < 1000; n++) {
        int drawn = manner_draw(specs, 2, 7, n);
        assert_in_range(drawn + 1, 0, 2);
        counts[drawn + 1]++;
        repeated += drawn == manner_draw(specs, 2, 7, n);
    }
    assert_int_equal(repeated, 1000);
    assert_in_range(counts[1], 98, 102);
    assert_in_range(counts[2], 18, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_manner),
        cmocka_unit_test(a_name_alone_has_the_defaults),
        cmocka_unit_test(every_manner_reads_by_its_name),
        cmocka_unit_test(a_share_a_value_and_a_time),
        cmocka_unit_test(sizes_rates_and_states),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(unknown_words_are_named_with_a_suggestion),
        cmocka_unit_test(shares_are_percentages_of_something),
        cmocka_unit_test(units_are_never_left_out),
        cmocka_unit_test(values_have_bounds),
        cmocka_unit_test(not_everything_goes_everywhere),
        cmocka_unit_test(draws_keep_to_the_shares_and_to_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
