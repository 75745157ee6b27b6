/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long runs: intervals that become fewer lose nothing but where in them it was, and a journal tells, at
 * whichever byte it ends, what had been written whole by then, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"
#include "soak/bytes.h"
#include "soak/journal.h"
#include "soak/measure.h"

#include <hdr/hdr_histogram.h>
#include <errno.h>
#include <stdlib.h>

#define S NS_PER_S

/* ---- intervals ---- */

/* A drawn one, whose samples are in `all` too. */
static struct result_interval draw(struct rng *rng, uint64_t number, struct hdr_histogram *all)
{
    struct result_interval interval = {
        .start_ns = number * S, .length_ns = S, .open = number % 100};
    struct hdr_histogram *histogram;

    assert_int_equal(histogram_new(&histogram), 0);
    for (uint64_t left = rng_below(rng, 20); left; left--) {
        const int64_t ns = (int64_t)(1000 + (rng_next(rng) >> (30 + rng_below(rng, 24))));
        hdr_record_value(histogram, ns);
        hdr_record_value(all, ns);
        interval.counts.completed++;
    }
    interval.counts.requests = interval.counts.completed;
    if (histogram->total_count)
        assert_int_equal(packed_from(histogram, &interval.request), 0);
    hdr_close(histogram);
    return interval;
}

static void assert_sum(const struct result *result, const struct hdr_histogram *all)
{
    struct hdr_histogram *sum;
    uint64_t completed = 0, end_ns = 0;

    assert_int_equal(histogram_new(&sum), 0);
    for (size_t i = 0; i < result->interval_count; i++) {
        const struct result_interval *interval = &result->intervals[i];
        assert_int_equal(interval->start_ns, end_ns); /* without a gap */
        end_ns = interval->start_ns + interval->length_ns;
        completed += interval->counts.completed;
        assert_int_equal(packed_add_to(&interval->request, sum), 0);
    }
    assert_int_equal(completed, all->total_count);
    assert_int_equal(sum->total_count, all->total_count);
    assert_memory_equal(sum->counts, all->counts, (size_t)sum->counts_len * sizeof(*sum->counts));
    hdr_close(sum);
}

static void fewer_intervals_are_exact_sums_of_the_same_length(void **state)
{
    static const size_t mosts[] = {2, 3, 10, 64, 100};

    (void)state;
    for (size_t m = 0; m < ARRAY_SIZE(mosts); m++) {
        struct hdr_histogram *all;
        struct result result;
        struct rng rng;
        uint64_t stride = 1;
        rng_seed(&rng, m);
        assert_int_equal(result_init(&result), 0);
        assert_int_equal(histogram_new(&all), 0);
        for (uint64_t i = 0; i < 700; i++) {
            struct result_interval interval = draw(&rng, i, all);
            assert_int_equal(result_keep_interval(&result, &interval, mosts[m]), 0);
            assert_true(result.interval_count <= mosts[m]);
            assert_int_equal(result.intervals[result.interval_count - 1].open, i % 100);
        }
        while (700 / stride > mosts[m])
            stride *= 2;
        for (size_t i = 0; i + 1 < result.interval_count; i++)
            assert_int_equal(result.intervals[i].length_ns, result.intervals[0].length_ns);
        assert_true(result.intervals[0].length_ns <= 2 * stride * S);
        assert_sum(&result, all);
        hdr_close(all);
        result_done(&result);
    }
}

static void what_came_after_the_end_stands_alone(void **state)
{
    struct result result;

    (void)state;
    assert_int_equal(result_init(&result), 0);
    for (uint64_t i = 0; i < 11; i++) {
        struct result_interval interval = {
            .start_ns = i * S, .length_ns = S, .after_end = i == 10, .counts.completed = 1};
        assert_int_equal(result_keep_interval(&result, &interval, 4), 0);
    }
    const struct result_interval *last = &result.intervals[result.interval_count - 1];
    assert_true(last->after_end);
    assert_int_equal(last->counts.completed, 1);
    result_done(&result);
}

/* One clock stood still for a while, and its interval is long: the others stay as they are. */
static void one_long_interval_makes_no_others_long(void **state)
{
    struct result result;
    uint64_t at_ns = 0, longest_ns = 0;

    (void)state;
    assert_int_equal(result_init(&result), 0);
    for (uint64_t i = 0; i < 101; i++) {
        const uint64_t length_ns = i == 50 ? 40 * S : S;
        struct result_interval interval = {.start_ns = at_ns, .length_ns = length_ns};
        at_ns += length_ns;
        assert_int_equal(result_keep_interval(&result, &interval, 100), 0);
    }
    for (size_t i = 0; i < result.interval_count; i++) {
        if (result.intervals[i].length_ns < 40 * S)
            longest_ns = MAX(longest_ns, result.intervals[i].length_ns);
    }
    assert_int_equal(longest_ns, 2 * S);
    result_done(&result);
}

/* Two parts of a run, of which one was thinned more often. */
static void parts_of_other_lengths_add_up(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct hdr_histogram *all;
        struct result parts[2], sum;
        struct rng rng;
        rng_seed(&rng, 5);
        assert_int_equal(histogram_new(&all), 0);
        assert_int_equal(result_init(&sum), 0);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(result_init(&parts[k]), 0);
            for (uint64_t i = 0; i < 64; i++) {
                struct result_interval interval = draw(&rng, i, all);
                assert_int_equal(result_keep_interval(&parts[k], &interval, k ? 100 : 16), 0);
            }
        }
        assert_int_equal(result_add(&sum, &parts[order]), 0);
        assert_int_equal(result_add(&sum, &parts[!order]), 0);
        assert_int_equal(sum.interval_count, 16);
        assert_sum(&sum, all);
        for (int k = 0; k < 2; k++)
            result_done(&parts[k]);
        result_done(&sum);
        hdr_close(all);
    }
}

/* ---- journals ---- */

enum { RECORDS = 60 };

struct book {
    struct out bytes;
    size_t ends[RECORDS * 2]; /* of records */
    size_t count;
};

/* As the process that writes does it. */
static void write_record(struct book *book, enum journal_kind kind, const struct result *result)
{
    struct out record = {0};
    uint8_t sum[JOURNAL_SUM];

    if (!book->bytes.len)
        bytes_put(&book->bytes, JOURNAL_LINE, strlen(JOURNAL_LINE));
    journal_put(&record, kind, result);
    journal_sum(record.bytes, record.len, sum);
    bytes_put(&book->bytes, record.bytes, record.len);
    bytes_put(&book->bytes, sum, sizeof(sum));
    assert_false(book->bytes.failed || record.failed);
    book->ends[book->count++] = book->bytes.len;
    free(record.bytes);
}

/* A run of RECORDS intervals, with its figures at each tenth one. */
static void write_book(struct book *book, bool ended)
{
    struct hdr_histogram *all;
    struct result result;
    struct rng rng;

    rng_seed(&rng, 3);
    *book = (struct book){.count = 0};
    assert_int_equal(result_init(&result), 0);
    assert_int_equal(histogram_new(&all), 0);
    write_record(book, JOURNAL_ALL, &result);
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct result_interval interval = draw(&rng, i, all);
        const struct result alone = {.intervals = &interval, .interval_count = 1};
        write_record(book, JOURNAL_INTERVAL, &alone);
        result.found.counts.completed += interval.counts.completed;
        result.duration_ns = interval.start_ns + interval.length_ns;
        assert_int_equal(result_keep_interval(&result, &interval, 1000), 0);
        if (i % 10 == 9)
            write_record(book, i == 29 ? JOURNAL_ALL : JOURNAL_STATE, &result);
    }
    if (ended)
        write_record(book, JOURNAL_END, NULL);
    hdr_close(all);
    result_done(&result);
}

/* The whole records of its first `len` bytes. */
static size_t whole_records(const struct book *book, size_t len)
{
    size_t count = 0;

    while (count < book->count && book->ends[count] <= len)
        count++;
    return count;
}

static void a_journal_tells_up_to_its_last_whole_record(void **state)
{
    struct peer_error error = {0};
    struct book book;
    struct result result;

    (void)state;
    write_book(&book, true);
    for (size_t len = 0; len <= book.bytes.len; len += len < 500 || len + 70 > book.bytes.len ? 1 : 61) {
        const size_t whole = whole_records(&book, len);
        int status = journal_parse(book.bytes.bytes, len, &result, &error);
        if (!whole) {
            assert_int_equal(status, -EINVAL);
            continue;
        }
        assert_int_equal(status, 0);
        /* Of eleven records after the first one is of figures. */
        const size_t intervals = MIN((whole - 1) / 11 * 10 + (whole - 1) % 11, (size_t)RECORDS);
        const size_t states = MIN((whole - 1) / 11, (size_t)RECORDS / 10);
        uint64_t completed = 0;
        assert_int_equal(result.interval_count, intervals);
        assert_int_equal(result.journal.intervals_ns, intervals * S);
        assert_int_equal(result.journal.figures_ns, states * 10 * S);
        assert_int_equal(result.journal.complete, whole == book.count);
        assert_int_equal(result.journal.damaged_at, len == book.ends[whole - 1] ? 0 : book.ends[whole - 1]);
        for (size_t i = 0; i < states * 10; i++)
            completed += result.intervals[i].counts.completed;
        assert_int_equal(result.found.counts.completed, completed);
        result_done(&result);
    }
    free(book.bytes.bytes);
}

static void a_bit_that_turned_ends_it_before_that_record(void **state)
{
    struct peer_error error = {0};
    struct book book;
    struct result result;
    struct rng rng;

    (void)state;
    write_book(&book, false);
    rng_seed(&rng, 9);
    for (int i = 0; i < 200; i++) {
        const size_t at = (size_t)rng_below(&rng, book.bytes.len);
        const uint8_t bit = (uint8_t)(1U << rng_below(&rng, 8));
        const size_t whole = whole_records(&book, at);
        book.bytes.bytes[at] ^= bit;
        int status = journal_parse(book.bytes.bytes, book.bytes.len, &result, &error);
        book.bytes.bytes[at] ^= bit;
        assert_int_equal(status, whole ? 0 : -EINVAL);
        if (status < 0)
            continue;
        assert_int_equal(result.journal.damaged_at, book.ends[whole - 1]);
        result_done(&result);
    }
    free(book.bytes.bytes);
}

/* When all is written anew in the middle, what stood before is not there twice. */
static void all_that_is_written_anew_replaces_what_was_before(void **state)
{
    struct peer_error error = {0};
    struct book book;
    struct result result;

    (void)state;
    write_book(&book, true);
    assert_int_equal(journal_parse(book.bytes.bytes, book.bytes.len, &result, &error), 0);
    assert_int_equal(result.interval_count, RECORDS);
    for (size_t i = 0; i < RECORDS; i++)
        assert_int_equal(result.intervals[i].start_ns, i * S);
    result_done(&result);
    free(book.bytes.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_intervals_are_exact_sums_of_the_same_length),
        cmocka_unit_test(what_came_after_the_end_stands_alone),
        cmocka_unit_test(one_long_interval_makes_no_others_long),
        cmocka_unit_test(parts_of_other_lengths_add_up),
        cmocka_unit_test(a_journal_tells_up_to_its_last_whole_record),
        cmocka_unit_test(a_bit_that_turned_ends_it_before_that_record),
        cmocka_unit_test(all_that_is_written_anew_replaces_what_was_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
