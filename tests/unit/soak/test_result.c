/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Results add up without a loss: whatever the way in which one stream of samples is cut into parts,
 * their sum is the result of all, bit for bit, written and read in between or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"
#include "soak/measure.h"

#include <hdr/hdr_histogram.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARTS_MOST = 7, INTERVALS = 5, SAMPLES = 60 };

/* ---- results of drawn samples ---- */

static uint64_t draw_latency(struct rng *rng)
{
    uint64_t magnitude = rng_next(rng) % 42; /* up to an hour and beyond */

    return rng_next(rng) >> (63 - magnitude);
}

static void count(struct figures *found, struct rng *rng)
{
    static const char *const words[] = {"refused", "reset by somebody", "late"};
    uint64_t drawn = rng_next(rng);
    size_t kind = drawn % PEER_SOAK_ERROR_KINDS;

    found->counts.completed++;
    found->counts.bytes_received += drawn >> 40;
    found->in_time.completed += drawn & 1;
    found->codes[drawn % PEER_STATUS_CODES]++;
    if (drawn % 1000 == 0 && !found->first_errors[kind][0]) {
        snprintf(found->first_errors[kind], RESULT_ERROR_TEXT, "%s", words[drawn % 3]);
        if (!found->first_error)
            found->first_error = (uint8_t)(kind + 1);
    }
}

/* One sample, counted in `a` and in `b`. */
static void sample(struct measure *a, struct measure *b, struct rng *rng)
{
    struct rng same = *rng;
    uint64_t ns = draw_latency(rng);
    enum peer_soak_histogram which = (enum peer_soak_histogram)(rng_next(rng) % RESULT_HISTOGRAMS);

    measure_latency(a, which, ns);
    measure_latency(b, which, ns);
    same = *rng;
    count(&a->found, rng);
    count(&b->found, &same);
}

static void end_interval(struct measure *measure, unsigned number, uint64_t late_ns)
{
    measure_interval(measure, (number + 1) * NS_PER_S + late_ns, number);
}

/* What a run of `measure` found. */
static void to_result(struct measure *measure, struct result *ret_result)
{
    struct result_interval interval;

    assert_int_equal(result_init(ret_result), 0);
    assert_int_equal(figures_add(&ret_result->found, &measure->found), 0);
    ret_result->duration_ns = INTERVALS * NS_PER_S;
    ret_result->cpu_user_s = 0.25;
    ret_result->uplink.delayed = measure->found.counts.completed;
    ret_result->uplink.delay_mean_ns = 1000 * (measure->found.counts.completed % 7);
    ret_result->uplink.queued_max = measure->found.counts.completed;
    ret_result->local.syn_cookies = measure->found.counts.completed / 3;
    struct result_share *share = result_new_share(ret_result);
    assert_non_null(share);
    strcpy(share->name, "vanish");
    strcpy(share->spec, "vanish:2%");
    share->begun = 3;
    assert_int_equal(figures_add(&share->found, &measure->found), 0);
    while (measure_pop_interval(measure, &interval))
        assert_int_equal(result_take_interval(ret_result, &interval), 0);
}

/* ---- equality ---- */

static void assert_histograms(const struct hdr_histogram *a, const struct hdr_histogram *b)
{
    struct peer_latency one, other;

    assert_int_equal(a->counts_len, b->counts_len);
    assert_memory_equal(a->counts, b->counts, (size_t)a->counts_len * sizeof(*a->counts));
    assert_int_equal(a->total_count, b->total_count);
    histogram_summary(a, &one);
    histogram_summary(b, &other);
    assert_memory_equal(&one, &other, sizeof(one));
}

static void assert_figures(const struct figures *a, const struct figures *b, bool words)
{
    assert_memory_equal(&a->counts, &b->counts, sizeof(a->counts));
    assert_memory_equal(&a->in_time, &b->in_time, sizeof(a->in_time));
    assert_memory_equal(a->codes, b->codes, sizeof(a->codes));
    for (size_t i = 0; i < RESULT_HISTOGRAMS; i++)
        assert_histograms(a->histograms[i], b->histograms[i]);
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        assert_true(!a->first_errors[i][0] == !b->first_errors[i][0]);
        if (words)
            assert_string_equal(a->first_errors[i], b->first_errors[i]);
    }
    if (words)
        assert_int_equal(a->first_error, b->first_error);
}

static void assert_intervals(const struct result *a, const struct result *b)
{
    assert_int_equal(a->interval_count, b->interval_count);
    for (size_t i = 0; i < a->interval_count; i++) {
        const struct result_interval *one = &a->intervals[i], *other = &b->intervals[i];
        assert_memory_equal(&one->counts, &other->counts, sizeof(one->counts));
        assert_int_equal(one->request.len, other->request.len);
        assert_memory_equal(one->request.bytes, other->request.bytes, one->request.len);
    }
}

static void assert_changes(const struct result *a, const struct result *b)
{
    assert_int_equal(a->change_count, b->change_count);
    for (size_t i = 0; i < a->change_count; i++) {
        assert_int_equal(a->changes[i].at_ns, b->changes[i].at_ns);
        assert_int_equal(a->changes[i].wall_ns, b->changes[i].wall_ns);
        assert_int_equal(a->changes[i].shard, b->changes[i].shard);
        assert_string_equal(a->changes[i].words, b->changes[i].words);
    }
}

static void pass_through_bytes(struct result *result)
{
    struct peer_error error = {0};
    struct result again;
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(result_write(result, fileno(file)), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    if (result_read(fileno(file), &again, &error) < 0)
        fail_msg("%s", error.text);
    fclose(file);
    assert_figures(&result->found, &again.found, true);
    assert_intervals(result, &again);
    assert_changes(result, &again);
    assert_int_equal(result->paused_ns, again.paused_ns);
    assert_int_equal(result->part_count, again.part_count);
    for (size_t i = 0; i < result->part_count; i++) {
        assert_int_equal(result->parts[i].workers, again.parts[i].workers);
        assert_int_equal(result->parts[i].workers_lost, again.parts[i].workers_lost);
    }
    result_done(result);
    *result = again;
}

/* ---- tests ---- */

static void the_sum_of_the_parts_is_the_whole(uint64_t seed, size_t parts, bool written)
{
    struct measure all, part[PARTS_MOST];
    struct result whole, sum, one;
    struct rng rng;

    rng_seed(&rng, seed);
    assert_int_equal(measure_init(&all, 0), 0);
    for (size_t i = 0; i < parts; i++)
        assert_int_equal(measure_init(&part[i], 0), 0);
    for (unsigned number = 0; number < INTERVALS; number++) {
        for (uint64_t left = rng_next(&rng) % 3000; left; left--)
            sample(&part[rng_next(&rng) % parts], &all, &rng);
        end_interval(&all, number, 0);
        for (size_t i = 0; i < parts; i++)
            end_interval(&part[i], number, rng_next(&rng) % (NS_PER_S / 3));
    }
    to_result(&all, &whole);
    assert_int_equal(result_init(&sum), 0);
    for (size_t i = 0; i < parts; i++) {
        to_result(&part[i], &one);
        if (written)
            pass_through_bytes(&one);
        assert_int_equal(result_add(&sum, &one), 0);
        result_done(&one);
        measure_done(&part[i]);
    }
    assert_figures(&whole.found, &sum.found, false);
    assert_intervals(&whole, &sum);
    assert_int_equal(sum.share_count, 1);
    assert_figures(&whole.shares[0].found, &sum.shares[0].found, false);
    assert_int_equal(sum.shares[0].begun, 3 * parts);
    assert_int_equal(sum.uplink.delayed, whole.uplink.delayed);
    assert_true(sum.uplink.delay_mean_ns <= 6000);
    assert_true(sum.uplink.queued_max <= whole.uplink.queued_max);
    assert_true(sum.cpu_user_s == 0.25 * (double)parts);
    assert_int_equal(sum.duration_ns, INTERVALS * NS_PER_S);
    result_done(&sum);
    result_done(&whole);
    measure_done(&all);
}

static void parts_add_up(void **state)
{
    (void)state;
    for (size_t parts = 1; parts <= PARTS_MOST; parts++) {
        the_sum_of_the_parts_is_the_whole(parts, parts, false);
        the_sum_of_the_parts_is_the_whole(100 + parts, parts, true);
    }
}

/* Drawn ones; returns the sum of what they say. */
static uint64_t add_changes(struct result *result, struct rng *rng, uint64_t shard)
{
    uint64_t sum = 0;

    for (uint64_t left = rng_next(rng) % 40; left; left--) {
        uint64_t said = rng_next(rng) % 100000;
        struct result_change change = {.at_ns = (int64_t)(rng_next(rng) % (20 * NS_PER_S)) -
                                                (int64_t)(5 * NS_PER_S),
                                       .wall_ns = rng_next(rng),
                                       .shard = shard};
        snprintf(change.words, sizeof(change.words), "rate %llu", (unsigned long long)said);
        assert_int_equal(result_add_change(result, &change), 0);
        sum += said;
    }
    result->paused_ns = rng_next(rng) % NS_PER_S;
    return sum;
}

static void changes_are_all_kept_in_their_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct result sum, one;
        uint64_t said = 0, found = 0, paused_ns = 0;
        size_t count = 0;
        struct rng rng;

        rng_seed(&rng, seed);
        assert_int_equal(result_init(&sum), 0);
        for (uint64_t shard = 0; shard < 3; shard++) {
            assert_int_equal(result_init(&one), 0);
            said += add_changes(&one, &rng, shard);
            count += one.change_count;
            paused_ns = MAX(paused_ns, one.paused_ns);
            pass_through_bytes(&one);
            assert_int_equal(result_add(&sum, &one), 0);
            result_done(&one);
        }
        pass_through_bytes(&sum);
        assert_int_equal(sum.change_count, count);
        assert_int_equal(sum.paused_ns, paused_ns);
        for (size_t i = 0; i < count; i++) {
            assert_true(i == 0 || sum.changes[i - 1].at_ns <= sum.changes[i].at_ns);
            found += strtoull(sum.changes[i].words + strlen("rate "), NULL, 10);
        }
        assert_int_equal(found, said);
        result_done(&sum);
    }
}

static struct result_interval interval_at(uint64_t start_ns, uint64_t length_ns, uint64_t completed)
{
    return (struct result_interval){
        .start_ns = start_ns, .length_ns = length_ns, .open = 10, .counts.completed = completed};
}

static void add_series(struct result *sum, const struct result_interval *series, size_t count)
{
    struct result one;

    assert_int_equal(result_init(&one), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(result_copy_interval(&one, &series[i]), 0);
    assert_int_equal(result_add(sum, &one), 0);
    result_done(&one);
}

/* A machine that stands still for a while has one long interval in the place of several. */
static void an_interval_is_added_to_that_of_its_time_alone(void **state)
{
    const uint64_t s = NS_PER_S;
    const struct result_interval even[] = {interval_at(0, s, 1), interval_at(s, s, 2),
                                           interval_at(2 * s, s, 4), interval_at(3 * s, s, 8)};
    const struct result_interval stalled[] = {interval_at(1, s, 16),
                                              interval_at(s + 1, 5 * s / 2, 32)};
    struct result sum;

    (void)state;
    for (int order = 0; order < 2; order++) {
        assert_int_equal(result_init(&sum), 0);
        add_series(&sum, order ? stalled : even, order ? 2 : 4);
        assert_int_equal(sum.interval_count, order ? 2 : 4);
        add_series(&sum, order ? even : stalled, order ? 4 : 2);
        assert_int_equal(sum.interval_count, 4);
        assert_int_equal(sum.intervals[0].counts.completed, 1 + 16);
        assert_int_equal(sum.intervals[1].counts.completed, 2 + 32);
        assert_int_equal(sum.intervals[2].counts.completed, 4);
        assert_int_equal(sum.intervals[3].counts.completed, 8);
        assert_int_equal(sum.intervals[1].open, 20);
        assert_int_equal(sum.intervals[3].open, 10);
        result_done(&sum);
    }
}

static size_t write_one(uint8_t **ret_bytes)
{
    struct measure measure;
    struct result result;
    FILE *file = tmpfile();
    struct rng rng;

    assert_non_null(file);
    rng_seed(&rng, 7);
    assert_int_equal(measure_init(&measure, 0), 0);
    for (int i = 0; i < SAMPLES; i++) {
        measure_latency(&measure, PEER_HISTOGRAM_REQUEST, draw_latency(&rng));
        count(&measure.found, &rng);
    }
    end_interval(&measure, 0, 0);
    to_result(&measure, &result);
    measure_done(&measure);
    assert_int_equal(result_write(&result, fileno(file)), 0);
    result_done(&result);
    off_t len = lseek(fileno(file), 0, SEEK_END);
    *ret_bytes = malloc((size_t)len);
    assert_non_null(*ret_bytes);
    assert_int_equal(pread(fileno(file), *ret_bytes, (size_t)len, 0), len);
    fclose(file);
    return (size_t)len;
}

/* Never taken for a whole one, wherever it was cut. */
static void a_part_of_a_result_is_refused(void **state)
{
    (void)state;
    struct peer_error error;
    struct result result;
    uint8_t *bytes;
    size_t len = write_one(&bytes);

    for (size_t cut = 0; cut < len; cut++) {
        error = (struct peer_error){0};
        uint8_t *part = malloc(cut + 1); /* so that a sanitizer sees what reads beyond */
        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_int_equal(result_parse(part, cut, &result, &error), -EINVAL);
        assert_true(error.text[0]);
        free(part);
    }
    assert_int_equal(result_parse(bytes, len, &result, &error), 0);
    result_done(&result);
    free(bytes);
}

/* A later version may have written more. */
static void what_is_not_known_is_passed_over(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {77, 3, 1, 2, 3};
    const size_t head = strlen("peer result 1\n");
    struct peer_error error = {0};
    struct result result;
    uint8_t *bytes;
    size_t len = write_one(&bytes);

    uint8_t *more = malloc(len + sizeof(unknown));
    assert_non_null(more);
    memcpy(more, bytes, head);
    memcpy(more + head, unknown, sizeof(unknown));
    memcpy(more + head + sizeof(unknown), bytes + head, len - head);
    assert_int_equal(result_parse(more, len + sizeof(unknown), &result, &error), 0);
    assert_int_equal(result.found.counts.completed, SAMPLES);
    result_done(&result);
    free(more);
    free(bytes);
}

/* An interval in which nothing came, two of them at one time: as a fuzzer wrote them. */
static void intervals_without_a_request_add_up(void **state)
{
    (void)state;
    static const uint8_t records[] = "peer result 1\n\4\4\0\2\0\2\4\4\0\2\0\2\0";
    struct peer_error error = {0};
    struct result result, sum;

    assert_int_equal(result_parse(records, sizeof(records), &result, &error), 0);
    assert_int_equal(result_init(&sum), 0);
    assert_int_equal(result_add(&sum, &result), 0);
    assert_int_equal(result_add(&sum, &result), 0);
    result_done(&sum);
    result_done(&result);
}

static void bytes_that_were_changed_do_no_harm(void **state)
{
    (void)state;
    struct peer_error error;
    struct result result;
    struct rng rng;
    uint8_t *bytes;
    size_t len = write_one(&bytes);

    rng_seed(&rng, 3);
    for (int i = 0; i < SAMPLES; i++) {
        size_t at = (size_t)(rng_next(&rng) % len);
        uint8_t before = bytes[at];
        bytes[at] ^= (uint8_t)(1 + rng_next(&rng) % 255);
        if (result_parse(bytes, len, &result, &error) == 0)
            result_done(&result);
        bytes[at] = before;
    }
    free(bytes);
}

static void assert_damaged(const uint8_t *records, size_t len)
{
    uint8_t bytes[4096] = "peer result 1\n";
    size_t head = strlen((const char *)bytes);
    struct peer_error error = {0};
    struct result result;

    assert_true(head + len <= sizeof(bytes));
    memcpy(bytes + head, records, len);
    assert_int_equal(result_parse(bytes, head + len, &result, &error), -EINVAL);
    assert_string_equal(error.text, "it is damaged");
}

/* Small files that ask for much: memory for shares, time for intervals, sums that are negative. */
static void records_that_cost_more_than_they_are_worth_are_refused(void **state)
{
    static const uint8_t late_first[] = {4, 2, 9, 1, 4, 2, 8, 1, 0, 0};
    static const uint8_t too_many[] = {4,    15,   0,    1,    0,    0,    0, 1, 0, 0x81,
                                       0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0};
    uint8_t shares[2 * 300 + 2];

    (void)state;
    memset(shares, 0, sizeof(shares));
    for (size_t i = 0; i < 300; i++)
        shares[2 * i] = 3;
    assert_damaged(shares, sizeof(shares));
    assert_damaged(late_first, sizeof(late_first));
    assert_damaged(too_many, sizeof(too_many));
}

static void lost_workers_are_written_and_read(void **state)
{
    const struct result_part part = {.protocol = "http", .workers = 4, .workers_lost = 1};
    const struct result_part impossible = {.protocol = "http", .workers = 1, .workers_lost = 2};
    struct result result, again;
    uint8_t *bytes;
    size_t len;

    (void)state;
    assert_int_equal(result_init(&result), 0);
    assert_int_equal(result_add_part(&result, &part), 0);
    pass_through_bytes(&result);
    assert_int_equal(result.part_count, 1);
    assert_int_equal(result.parts[0].workers_lost, 1);
    assert_int_equal(result_add_part(&result, &impossible), 0);
    assert_int_equal(result_pack(&result, &bytes, &len), 0);
    assert_int_equal(result_parse(bytes, len, &again, NULL), -EINVAL);
    free(bytes);
    result_done(&result);
}

/* An interval without latencies has no bytes of them. */
static void an_interval_of_nothing_is_written_and_read(void **state)
{
    const struct result_interval nothing = interval_at(0, NS_PER_S, 0);
    struct result result;

    (void)state;
    assert_int_equal(result_init(&result), 0);
    assert_int_equal(result_copy_interval(&result, &nothing), 0);
    pass_through_bytes(&result);
    assert_int_equal(result.interval_count, 1);
    result_done(&result);
}

static void a_mean_is_that_of_hdr_to_the_bit(void **state)
{
    struct hdr_histogram *histogram;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7);
    for (int turn = 0; turn < 60; turn++) {
        assert_int_equal(histogram_new(&histogram), 0);
        for (uint64_t i = 0; i <= rng_below(&rng, 200); i++)
            hdr_record_values(histogram, (int64_t)rng_below(&rng, 1ull << rng_below(&rng, 42)),
                              1 + (int64_t)rng_below(&rng, 1000));
        double mean = histogram_mean(histogram), of_hdr = hdr_mean(histogram);
        assert_memory_equal(&mean, &of_hdr, sizeof(mean));
        hdr_close(histogram);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(a_mean_is_that_of_hdr_to_the_bit),
        cmocka_unit_test(changes_are_all_kept_in_their_order),
        cmocka_unit_test(an_interval_is_added_to_that_of_its_time_alone),
        cmocka_unit_test(a_part_of_a_result_is_refused),
        cmocka_unit_test(what_is_not_known_is_passed_over),
        cmocka_unit_test(intervals_without_a_request_add_up),
        cmocka_unit_test(bytes_that_were_changed_do_no_harm),
        cmocka_unit_test(records_that_cost_more_than_they_are_worth_are_refused),
        cmocka_unit_test(an_interval_of_nothing_is_written_and_read),
        cmocka_unit_test(lost_workers_are_written_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
