/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A day of a soak, in virtual time: what is kept of it does not grow with it, and its sums are exact. One
 * way takes 1 ms.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include <peer/journal.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define S NS_PER_S
enum { HOURS = 24, THINK_S = 60, MOST = 512 };

static void serve(struct end *end, unsigned events)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct iovec iov[4];
    size_t len = 0;

    if (events & FLOW_READABLE)
        len = iov_total(iov, flow_peek(&end->flow, iov, 4));
    if (len) {
        flow_consume(&end->flow, len);
        (void)flow_write(&end->flow, ok, strlen(ok), 0);
    }
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static size_t files_open(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Takes the intervals of an hour: how many requests were completed in them. */
static uint64_t take_hour(struct soaking *soaking)
{
    struct peer_soak_interval interval;
    uint64_t completed = 0;

    for (int minute = 0; minute < 60; minute++) {
        simnet_run_for(soaking->net, 60 * S);
        while (peer_soak_pop_interval(soaking->soak, &interval))
            completed += interval.counts.completed;
    }
    return completed;
}

static void assert_bounded(const struct soaking *soaking)
{
    struct peer_soak_interval interval;
    struct peer_result *result;
    size_t count = 0;

    assert_int_equal(peer_soak_get_result(soaking->soak, &result), 0);
    while (peer_result_get_interval(result, count, &interval))
        count++;
    assert_in_range(count, MOST / 2, MOST);
    assert_null(peer_result_free(result));
}

static void a_day_leaves_no_more_than_an_hour(void **state)
{
    const struct end application = {.on_event = serve, .drop_when_ended = true};
    char path[] = "/tmp/peer-soak-long-XXXXXX";
    struct peer_error error = {0};
    struct soaking soaking;
    struct peer_journal *journal;
    struct stat status;
    uint64_t completed = 0;
    size_t files = 0;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(peer_journal_new(path, &journal, &error), 0);
    const struct peer_soak_config config = {.flows = 2,
                                            .duration_ns = HOURS * 3600 * S,
                                            .think_ns = THINK_S * S,
                                            .interval_ns = 5 * S,
                                            .intervals_most = MOST,
                                            .journal = journal};
    soaking_begin(&soaking, &(struct simnet_config){.seed = 1}, &application);
    assert_int_equal(soaking_start(&soaking, &config, &error), 0);
    for (int hour = 0; hour < HOURS; hour++) {
        completed += take_hour(&soaking);
        assert_bounded(&soaking);
        files = files ? files : files_open();
        assert_int_equal(files_open(), files);
    }
    soaking_finish(&soaking, 60 * S);
    completed += take_hour(&soaking); /* the last ones */
    assert_int_equal(soaking.counts.completed, completed);
    assert_in_range(completed, 2 * 3600 * HOURS / THINK_S - 20, 2 * 3600 * HOURS / THINK_S + 20);
    assert_int_equal(peer_journal_end(journal, soaking.result), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_in_range(status.st_size, 2000, 1 << 20);
    soaking_end(&soaking);
    assert_null(peer_journal_free(journal));
    unlink(path);
}

/* Of the intervals that `result` has: in order, without holes, and how many requests they have. */
static uint64_t add_up(const struct peer_result *result)
{
    struct peer_soak_interval interval;
    uint64_t completed = 0, next_ns = 0;

    for (size_t i = 0; peer_result_get_interval(result, i, &interval); i++) {
        assert_int_equal(interval.start_ns, next_ns);
        next_ns += interval.length_ns;
        completed += interval.counts.completed;
    }
    return completed;
}

static void intervals_of_the_warmup_are_in_no_series(void **state)
{
    const struct end application = {.on_event = serve, .drop_when_ended = true};
    char path[] = "/tmp/peer-soak-long-XXXXXX";
    struct peer_error error = {0};
    struct peer_soak_interval interval;
    struct soaking soaking;
    struct peer_journal *journal;
    struct peer_result *written;
    int seen = 0;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(peer_journal_new(path, &journal, &error), 0);
    const struct peer_soak_config config = {.flows = 2,
                                            .duration_ns = 10 * S,
                                            .warmup_ns = 5 * S + S / 2,
                                            .rate = 20,
                                            .interval_ns = S,
                                            .keep_intervals = true,
                                            .journal = journal};
    soaking_begin(&soaking, &(struct simnet_config){.seed = 1}, &application);
    assert_int_equal(soaking_start(&soaking, &config, &error), 0);
    for (int second = 0; second < 5; second++) { /* who looks on sees them */
        simnet_run_for(soaking.net, S + S / 20);
        while (peer_soak_pop_interval(soaking.soak, &interval))
            seen += interval.counts.completed > 0;
    }
    assert_int_equal(seen, 5);
    for (int second = 0; second < 12; second++) {
        simnet_run_for(soaking.net, S);
        while (peer_soak_pop_interval(soaking.soak, &interval))
            ;
    }
    soaking_finish(&soaking, 60 * S);
    assert_int_equal(soaking.counts.completed, 200);
    assert_int_equal(add_up(soaking.result), 200);
    assert_int_equal(peer_journal_end(journal, soaking.result), 0);
    assert_null(peer_journal_free(journal));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(peer_result_read(fd, &written, &error), 0);
    close(fd);
    assert_int_equal(add_up(written), 200);
    assert_null(peer_result_free(written));
    soaking_end(&soaking);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_day_leaves_no_more_than_an_hour),
        TEST(intervals_of_the_warmup_are_in_no_series),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
