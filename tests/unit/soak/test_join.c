/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of a run, joined: on one clock, each once, and none that is of another run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "soak/result.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <stdio.h>
#include <unistd.h>

enum { SHARDS = 4 };

static struct result_part part_of(uint64_t shard, uint64_t started_ns)
{
    struct result_part part = {.version = "1.2.3",
                               .host = "here",
                               .protocol = "http",
                               .target = "192.0.2.1:80",
                               .peer_count = 10,
                               .flows = 2,
                               .seed = 7,
                               .interval_ns = NS_PER_S,
                               .started_ns = 1000 * NS_PER_S + started_ns,
                               .duration_ns = 3 * NS_PER_S,
                               .shard = shard,
                               .shards = SHARDS};

    snprintf(part.peers, sizeof(part.peers), "198.18.%u.1-198.18.%u.10", (unsigned)shard,
             (unsigned)shard);
    return part;
}

/* Three intervals of a second, in each of which it completed 10 and more. */
static void make(struct result *result, struct result_part part)
{
    assert_int_equal(result_init(result), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct result_interval interval = {
            .start_ns = i * NS_PER_S, .length_ns = NS_PER_S, .counts.completed = 10 + i};
        assert_int_equal(result_take_interval(result, &interval), 0);
        result->found.counts.completed += 10 + i;
        hdr_record_value(result->found.histograms[PEER_HISTOGRAM_REQUEST],
                         (int64_t)(part.shard + 1) * 1000000);
    }
    const struct result_change change = {
        .at_ns = NS_PER_S, .wall_ns = part.started_ns + NS_PER_S, .shard = part.shard, .words = "x"};
    assert_int_equal(result_add_change(result, &change), 0);
    result->duration_ns = part.duration_ns;
    result->asked_rate = 11;
    assert_int_equal(result_add_part(result, &part), 0);
}

static int join(struct result *into, struct result_part part, struct peer_error *error)
{
    struct result result;

    make(&result, part);
    int status = result_join(into, &result, error);
    result_done(&result);
    return status;
}

static void test_parts_on_one_clock(void **state)
{
    static const uint64_t orders[][SHARDS] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};
    static const uint64_t later_ms[SHARDS] = {100, 0, 300, 2200};
    struct peer_error error;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        struct result sum;
        assert_int_equal(result_init(&sum), 0);
        for (size_t j = 0; j < SHARDS; j++) {
            uint64_t shard = orders[i][j];
            if (join(&sum, part_of(shard, later_ms[shard] * NS_PER_MS), &error) < 0)
                fail_msg("%s", error.text);
        }
        assert_int_equal(sum.part_count, SHARDS);
        assert_int_equal(sum.found.counts.completed, SHARDS * 33);
        assert_int_equal(sum.found.histograms[PEER_HISTOGRAM_REQUEST]->total_count, SHARDS * 3);
        assert_int_equal(sum.duration_ns, 5200 * NS_PER_MS);
        assert_true(sum.asked_rate == SHARDS * 11);
        assert_int_equal(sum.change_count, SHARDS);
        for (size_t k = 0; k < SHARDS; k++) /* one clock: as late as on the wall */
            assert_int_equal(sum.changes[k].at_ns, sum.changes[k].wall_ns - 1000 * NS_PER_S);
        assert_int_equal(sum.changes[0].shard, 1);
        assert_int_equal(sum.interval_count, 5); /* the last began two intervals later */
        uint64_t all = 0;
        for (size_t k = 0; k < sum.interval_count; k++)
            all += sum.intervals[k].counts.completed;
        assert_int_equal(all, SHARDS * 33);
        assert_int_equal(sum.intervals[1].counts.completed, 3 * 11);
        assert_int_equal(sum.intervals[2].counts.completed, 3 * 12 + 10);
        assert_int_equal(sum.intervals[4].counts.completed, 12);
        result_done(&sum);
    }
}

static void test_parts_of_other_runs(void **state)
{
    static const struct {
        size_t at;
        const char *other, *words;
    } rows[] = {
        {offsetof(struct result_part, version), "1.2.4",
         "version of peer is 1.2.4, that of the others 1.2.3"},
        {offsetof(struct result_part, protocol), "echo", "workload is echo"},
        {offsetof(struct result_part, target), "192.0.2.1:81", "target is 192.0.2.1:81"},
        {offsetof(struct result_part, peers), "198.18.0.10", "shards 0 and 1 have peers in common"},
    };
    struct result sum, nameless;
    struct peer_error error;

    (void)state;
    assert_int_equal(result_init(&sum), 0);
    assert_int_equal(join(&sum, part_of(0, 0), &error), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct result_part part = part_of(1, 0);
        strcpy((char *)&part + rows[i].at, rows[i].other);
        if (join(&sum, part, &error) != -EINVAL || !strstr(error.text, rows[i].words))
            fail_msg("%s: %s", rows[i].other, error.text);
    }
    struct result_part part = part_of(1, 0);
    part.interval_ns /= 2;
    assert_int_equal(join(&sum, part, &error), -EINVAL);
    assert_non_null(strstr(error.text, "another length"));
    part = part_of(1, 0);
    part.shards = 5;
    assert_int_equal(join(&sum, part, &error), -EINVAL);
    assert_non_null(strstr(error.text, "that has 4 shards, and this is shard 1 of 5"));
    assert_int_equal(join(&sum, part_of(0, 0), &error), -EINVAL);
    assert_non_null(strstr(error.text, "shard 0 of 4 is there twice"));
    assert_int_equal(result_init(&nameless), 0);
    assert_int_equal(result_join(&sum, &nameless, &error), -EINVAL);
    assert_non_null(strstr(error.text, "does not say"));
    result_done(&nameless);
    assert_int_equal(sum.part_count, 1); /* nothing was added */
    assert_int_equal(sum.found.counts.completed, 33);
    result_done(&sum);
}

static void test_parts_are_written_and_read(void **state)
{
    struct result result, read;
    struct result_part part = part_of(2, 12345);
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    make(&result, part);
    assert_int_equal(result_write(&result, fileno(file)), 0);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    assert_int_equal(result_read(fileno(file), &read, NULL), 0);
    assert_int_equal(read.part_count, 1);
    assert_memory_equal(&read.parts[0], &result.parts[0], sizeof(part));
    fclose(file);
    result_done(&result);
    result_done(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_on_one_clock),
        cmocka_unit_test(test_parts_of_other_runs),
        cmocka_unit_test(test_parts_are_written_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
