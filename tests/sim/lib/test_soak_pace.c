/* SPDX-License-Identifier: BSD-3-Clause */
/* When requests are asked for: pauses from a distribution, and a rate that arrives at random. */
#include "soak_site.h"

static const struct page pages[] = {{NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
enum {
    REQUESTS = 2000,
    TRIP_US = 2000 /* from an answer's leaving to the next request's coming */
};

/* Of the gaps between requests as they came, in microseconds. */
static double mean_gap_us(const struct site *site)
{
    uint64_t last = site->requests - 1;

    assert_true(site->requests <= ARRAY_SIZE(site->at_ns));
    return (double)(site->at_ns[last] - site->at_ns[0]) / 1e3 / (double)last;
}

static double deviation_us(const struct site *site)
{
    double mean = mean_gap_us(site), sum = 0;

    for (uint64_t i = 1; i < site->requests; i++) {
        double off = (double)(site->at_ns[i] - site->at_ns[i - 1]) / 1e3 - mean;
        sum += off * off;
    }
    return sum / (double)(site->requests - 1); /* squared */
}

static void pauses_have_the_mean_of_their_distribution(void **state)
{
    static const struct {
        const char *think;
        double mean_us, deviation_us;
    } rows[] = {
        {"exponential 100ms", 100000, 100000},
        {"uniform 50ms 150ms", 100000, 28868},
        {"normal 100ms 10ms", 100000, 10000},
        {"lognormal 100ms 50ms", 100000, 50000},
        {"100ms", 100000, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct site *site = SITE_RUN(pages, .total = REQUESTS, .think = rows[i].think);
        double mean = mean_gap_us(site) - TRIP_US, squared = deviation_us(site);
        double most = 5 * rows[i].deviation_us / 44.7 + 1; /* five of the mean's own deviations */
        double wanted = rows[i].deviation_us * rows[i].deviation_us;
        assert_int_equal(site->requests, REQUESTS);
        if (mean < rows[i].mean_us - most || mean > rows[i].mean_us + most)
            fail_msg("%s: mean %f us", rows[i].think, mean);
        if (squared < 0.6 * wanted || squared > 1.6 * wanted + 1)
            fail_msg("%s: variance %f", rows[i].think, squared);
        site_free(site);
    }
}

static void many_think_side_by_side_and_all_end(void **state)
{
    (void)state;
    struct site *site = SITE_RUN(pages, .flows = 20, .think = "exponential 50ms",
                                 .duration_ns = 5 * NS_PER_S, .rate = 0);
    /* 20 of them, each 52 ms a request: 1923 of them, and of that a deviation of 44 */
    assert_in_range(site->requests, 1700, 2150);
    assert_int_equal(site->accepted, 20);
    assert_int_equal(site->soaking.counts.completed, site->requests);
    site_free(site);
}

static void a_random_rate_is_as_high_and_has_no_memory(void **state)
{
    (void)state;
    struct site *site =
        SITE_RUN(pages, .rate = 100, .poisson = true, .flows = 50, .duration_ns = 20 * NS_PER_S);
    double mean = mean_gap_us(site), squared = deviation_us(site);
    assert_in_range(site->requests, 1776, 2224); /* 2000, five deviations of 44.7 */
    assert_int_equal(site->soaking.counts.completed, site->requests);
    assert_int_equal(site->soaking.report.behind, 0);
    assert_true(site->soaking.report.corrected);
    assert_true(mean > 8900 && mean < 11200);
    assert_true(squared > 0.75 * mean * mean && squared < 1.3 * mean * mean);
    site_free(site);
}

static void a_random_rate_ends_at_n_and_opens_connections(void **state)
{
    (void)state;
    struct site *site = SITE_RUN(pages, .rate = 100, .poisson = true, .flows = 50, .total = 300,
                                 .warmup_ns = NS_PER_S, .requests_per_connection = 1);
    assert_int_equal(site->soaking.counts.completed, 300);
    assert_in_range(site->requests, 350, 450); /* with those of the warm-up */
    assert_int_equal(site->accepted, site->requests);
    /* A handshake before the request, which is wanted before both: 4 ms. */
    assert_in_range((uint64_t)site->soaking.report.request.p50, 3990, 4010);
    site_free(site);
}

/* One connection cannot keep up: latencies count from when each was wanted. */
static void what_a_random_rate_held_up_is_late(void **state)
{
    (void)state;
    struct site *site = SITE_RUN(pages, .rate = 450, .poisson = true, .duration_ns = 4 * NS_PER_S);
    struct peer_latency latency = site->soaking.report.request;
    /* A queue with one server, 2 ms each, 0.9 busy: in the mean it waits 9 ms, and longer than that
       in bursts. */
    assert_true(latency.mean > 4000 && latency.max > 15000);
    assert_true(site->soaking.report.corrected);
    site_free(site);
}

static void what_does_not_go_together_is_refused(void **state)
{
    const struct simnet_config net = {0};
    const struct end application = {0};
    struct peer_error error = {0};
    struct soaking soaking;

    (void)state;
    soaking_begin(&soaking, &net, &application);
    struct peer_soak_config config = {.poisson = true};
    assert_int_equal(soaking_start(&soaking, &config, &error), -EINVAL);
    config = (struct peer_soak_config){.think = "often"};
    assert_int_equal(soaking_start(&soaking, &config, &error), -EINVAL);
    assert_non_null(strstr(error.text, "often"));
    config = (struct peer_soak_config){.think = "1s", .think_ns = 5};
    assert_int_equal(soaking_start(&soaking, &config, &error), -EINVAL);
    soaking_end(&soaking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pauses_have_the_mean_of_their_distribution),
        TEST(many_think_side_by_side_and_all_end),
        TEST(a_random_rate_is_as_high_and_has_no_memory),
        TEST(a_random_rate_ends_at_n_and_opens_connections),
        TEST(what_a_random_rate_held_up_is_late),
        TEST(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
