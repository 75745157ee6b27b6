/* SPDX-License-Identifier: BSD-3-Clause */
/* A soak that is changed on its way, in virtual time: each figure is exact. */
#include "soak_site.h"

#include <math.h>
#include <peer/steer.h>

static const struct page pages[] = {{NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
enum { TRIP_US = 2000 }; /* for a handshake, and for a request */

static struct site *begin(struct peer_soak_config config)
{
    struct site *site = calloc(1, sizeof(*site));
    const struct simnet_config net = {.user = site};
    const struct end application = {.on_event = site_event,
                                    .drop_when_ended = true,
                                    .user = site,
                                    .own_bytes = sizeof(struct visit)};
    struct peer_error error = {0};

    assert_non_null(site);
    site->pages = pages;
    soaking_begin(&site->soaking, &net, &application);
    if (soaking_start(&site->soaking, &config, &error) < 0)
        fail_msg("%s", error.text);
    return site;
}
#define BEGIN(...) begin((struct peer_soak_config){__VA_ARGS__})

static void go(struct site *site, uint64_t ns)
{
    simnet_run_for(site->soaking.net, ns);
}

/* How many requests came from one time of the run to another, in milliseconds. */
static unsigned came(const struct site *site, uint64_t from_ms, uint64_t until_ms)
{
    unsigned count = 0;

    assert_true(site->requests <= ARRAY_SIZE(site->at_ns));
    for (uint64_t i = 0; i < site->requests; i++) {
        uint64_t at_ns = site->at_ns[i] - site->soaking.start_ns;
        count += at_ns >= from_ms * MS && at_ns < until_ms * MS;
    }
    return count;
}

static void set_rate(struct site *site, double rate)
{
    struct peer_error error = {0};

    if (peer_soak_set_rate(site->soaking.soak, rate, &error) < 0)
        fail_msg("%s", error.text);
}

static void pause_it(struct site *site)
{
    assert_int_equal(peer_soak_pause(site->soaking.soak, NULL), 0);
}

static void resume(struct site *site)
{
    assert_int_equal(peer_soak_resume(site->soaking.soak, NULL), 0);
}

/* Everything has one fate, and nothing was late. */
static void finish(struct site *site, uint64_t requests)
{
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    soaking_assert_counts(&site->soaking, requests, requests, 0);
    assert_int_equal(site->soaking.report.behind, 0);
}

static const char *change_at(const struct site *site, size_t index, int64_t at_ns)
{
    struct peer_soak_change change = {.words = ""};

    assert_int_equal(peer_result_get_change(site->soaking.result, index, &change), 1);
    assert_int_equal(change.at_ns, at_ns);
    assert_true(change.wall_ns > 0);
    return change.words;
}

/* ---- the rate ---- */

static void a_rate_changes_without_a_step(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .flows = 8, .duration_ns = 3 * NS_PER_S);
    go(site, NS_PER_S);
    set_rate(site, 500);
    go(site, NS_PER_S);
    set_rate(site, 10);
    finish(site, 100 + 500 + 10);
    assert_int_equal(came(site, 0, 1001), 100);
    assert_int_equal(came(site, 1001, 2001), 500);
    assert_int_equal(came(site, 2001, 3002), 10);
    assert_true(site->soaking.report.request.max < 2 * TRIP_US + 10);
    assert_true(site->soaking.report.asked_rate > 203 && site->soaking.report.asked_rate < 203.5);
    assert_string_equal(change_at(site, 0, NS_PER_S), "rate 500");
    assert_string_equal(change_at(site, 1, 2 * NS_PER_S), "rate 10");
    site_free(site);
}

/* A ramp of a thousand steps wants what its mean does: no step adds or loses one. */
static void many_small_changes_lose_nothing(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .flows = 8, .duration_ns = 10 * NS_PER_S);
    for (int i = 1; i < 1000; i++) {
        go(site, 10 * MS);
        set_rate(site, 100 + i * 0.2);
    }
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_in_range(site->soaking.counts.completed, 1998, 2001);
    assert_int_equal(site->soaking.report.behind, 0);
    site_free(site);
}

/* One connection can answer 500 a second: what was wanted before stays late, by its own time. */
static void what_was_wanted_before_stays_wanted(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 1000, .duration_ns = 4 * NS_PER_S);
    go(site, NS_PER_S);
    set_rate(site, 1);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    soaking_assert_counts(&site->soaking, 1003, 1003, 0);
    /* The thousandth was wanted at 0.999 s, and asked at 2 s. */
    assert_in_range((uint64_t)site->soaking.report.request.max, 990000, 1010000);
    assert_true(site->soaking.report.corrected);
    site_free(site);
}

static void a_soak_without_a_rate_gets_one(void **state)
{
    (void)state;
    struct site *site = BEGIN(.flows = 2, .duration_ns = 2 * NS_PER_S);
    go(site, NS_PER_S);
    uint64_t before = site->requests;
    assert_in_range(before, 900, 1000); /* two of them, 2 ms each */
    set_rate(site, 50);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_in_range(site->requests - before, 50, 54);
    assert_int_equal(site->soaking.report.behind, 0);
    site_free(site);
}

static void random_arrivals_change_their_rate_too(void **state)
{
    (void)state;
    struct site *site =
        BEGIN(.rate = 100, .poisson = true, .flows = 50, .duration_ns = 20 * NS_PER_S);
    go(site, 10 * NS_PER_S);
    set_rate(site, 10);
    go(site, 5 * NS_PER_S);
    pause_it(site);
    go(site, 2 * NS_PER_S);
    resume(site);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_in_range(came(site, 0, 10001), 850, 1150);
    assert_in_range(came(site, 10001, 15001), 22, 80);
    assert_int_equal(came(site, 15010, 17000), 0);
    assert_in_range(came(site, 17000, 20010), 10, 55);
    assert_int_equal(site->soaking.report.behind, 0);
    assert_true(site->soaking.report.request.max < 60000);
    site_free(site);
}

static void a_connection_for_each_request_follows_the_rate(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .requests_per_connection = 1, .flows = 20,
                              .duration_ns = 3 * NS_PER_S);
    go(site, NS_PER_S);
    set_rate(site, 300);
    go(site, NS_PER_S);
    pause_it(site);
    go(site, 500 * MS);
    resume(site);
    finish(site, 100 + 300 + 150);
    assert_int_equal(site->accepted, 550);
    assert_true(site->soaking.report.request.max < 10000);
    site_free(site);
}

/* ---- pauses ---- */

static void a_pause_leaves_nothing_to_catch_up_with(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .flows = 4, .duration_ns = 10 * NS_PER_S);
    struct peer_soak_state at = {.rate = 0};

    go(site, 2 * NS_PER_S + 5 * MS);
    pause_it(site);
    pause_it(site); /* it is */
    go(site, 3 * NS_PER_S);
    peer_soak_get_state(site->soaking.soak, &at);
    assert_true(at.paused);
    assert_int_equal(at.behind, 0);
    assert_int_equal(at.paused_ns, 3 * NS_PER_S);
    resume(site);
    finish(site, 700);
    assert_int_equal(came(site, 2010, 5005), 0);
    assert_int_equal(came(site, 5005, 10010), 500 - 1);
    assert_true(site->soaking.report.request.max < 2 * TRIP_US + 10);
    assert_int_equal(site->soaking.report.duration_ns, 10 * NS_PER_S);
    assert_int_equal(site->soaking.report.paused_ns, 3 * NS_PER_S);
    assert_int_equal((uint64_t)site->soaking.report.asked_rate, 100);
    assert_string_equal(change_at(site, 0, 2 * NS_PER_S + 5 * (int64_t)MS), "pause");
    assert_string_equal(change_at(site, 1, 5 * NS_PER_S + 5 * (int64_t)MS), "resume");
    struct peer_soak_change more = {.words = ""};
    assert_int_equal(peer_result_get_change(site->soaking.result, 2, &more), 0);
    site_free(site);
}

static void those_without_a_rate_rest_too(void **state)
{
    (void)state;
    struct site *site = BEGIN(.flows = 200, .total = 4000);
    go(site, 20 * MS);
    uint64_t before = site->requests;
    pause_it(site);
    go(site, 2 * MS);
    uint64_t under_way = site->requests;
    go(site, 5 * NS_PER_S);
    assert_int_equal(site->requests, under_way);
    assert_true(under_way - before <= 200);
    resume(site);
    finish(site, 4000);
    assert_int_equal(site->accepted, 200);
    assert_true(site->soaking.report.request.max < 50000);
    site_free(site);
}

/* A rate that is set in a pause is the one it goes on with; so is a run's that ends in one. */
static void a_pause_may_be_the_end(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .flows = 4, .duration_ns = 10 * NS_PER_S);
    go(site, NS_PER_S);
    pause_it(site);
    go(site, NS_PER_S);
    set_rate(site, 1000);
    go(site, NS_PER_S);
    resume(site);
    go(site, NS_PER_S);
    pause_it(site);
    go(site, NS_PER_S);
    peer_soak_stop(site->soaking.soak, NS_PER_S);
    finish(site, 101 + 1000);
    assert_int_equal(site->soaking.report.duration_ns, 5 * NS_PER_S);
    assert_int_equal(site->soaking.report.paused_ns, 3 * NS_PER_S);
    assert_int_equal((uint64_t)site->soaking.report.asked_rate, 550);
    struct peer_error error = {0};
    assert_int_equal(peer_soak_set_rate(site->soaking.soak, 5, &error), -EINVAL);
    assert_int_equal(peer_soak_resume(site->soaking.soak, &error), -EINVAL);
    site_free(site);
}

static void a_pause_of_the_warm_up_is_in_no_figure(void **state)
{
    (void)state;
    struct site *site =
        BEGIN(.rate = 100, .flows = 4, .warmup_ns = 2 * NS_PER_S, .duration_ns = 2 * NS_PER_S);
    go(site, NS_PER_S);
    pause_it(site);
    go(site, 2 * NS_PER_S); /* a second of it is measured */
    resume(site);
    finish(site, 99); /* the next one was a whole gap away when it paused */
    assert_int_equal(site->soaking.report.paused_ns, NS_PER_S);
    assert_string_equal(change_at(site, 0, -(int64_t)NS_PER_S), "pause");
    site_free(site);
}

static void so_many_requests_are_asked_whatever_is_changed(void **state)
{
    (void)state;
    struct site *site =
        BEGIN(.rate = 100, .flows = 4, .total = 300, .warmup_ns = NS_PER_S);
    go(site, 500 * MS);
    set_rate(site, 400);
    go(site, NS_PER_S);
    pause_it(site);
    go(site, NS_PER_S);
    set_rate(site, 20);
    resume(site);
    finish(site, 300);
    assert_int_equal(site->requests, 50 + 200 + 300);
    site_free(site);
}

static void connections_rest_in_a_pause(void **state)
{
    (void)state;
    struct site *site = BEGIN(.connect_rate = 100, .requests_per_connection = 1, .flows = 50,
                              .duration_ns = 4 * NS_PER_S);
    go(site, NS_PER_S);
    pause_it(site);
    go(site, 2 * NS_PER_S);
    assert_in_range(site->accepted, 99, 101);
    resume(site);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_in_range(site->accepted, 198, 201);
    site_free(site);
}

/* ---- manners ---- */

static void manners_come_and_go(void **state)
{
    (void)state;
    struct site *site = BEGIN(.flows = 10, .think_ns = 50 * MS, .duration_ns = 6 * NS_PER_S);
    struct peer_soak_manner share = {.name = ""};
    struct peer_soak_state at = {.rate = 0};
    struct peer_error error = {0};

    go(site, NS_PER_S);
    assert_int_equal(peer_soak_set_manners(site->soaking.soak, "vanish:30%", &error), 0);
    go(site, NS_PER_S);
    peer_soak_get_state(site->soaking.soak, &at);
    assert_int_equal(at.flows, 7);
    assert_int_equal(at.open, 7);
    assert_int_equal(peer_soak_set_manners(site->soaking.soak, NULL, &error), 0);
    go(site, NS_PER_S);
    peer_soak_get_state(site->soaking.soak, &at);
    assert_int_equal(at.open, 10);
    assert_int_equal(at.changes, 2);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_int_equal(peer_soak_errors(&site->soaking.counts), 0);
    assert_int_equal(peer_result_get_manner(site->soaking.result, 0, &share), 1);
    assert_string_equal(share.spec, "vanish:30%");
    assert_int_equal(share.flows, 3);
    assert_int_equal(share.begun, 3);
    assert_int_equal(share.open, 0);
    assert_string_equal(change_at(site, 0, NS_PER_S), "manner vanish:30%");
    assert_string_equal(change_at(site, 1, 2 * NS_PER_S), "manner none");
    site_free(site);
}

/* All of them wait for an answer: each gets it, and then there are fewer. */
static void busy_ones_have_their_answers_first(void **state)
{
    (void)state;
    struct site *site = BEGIN(.flows = 10, .duration_ns = 2 * NS_PER_S);
    struct peer_soak_state at = {.rate = 0};
    struct peer_error error = {0};

    for (int i = 0; i < 5; i++) {
        go(site, 100 * MS + (uint64_t)i * MS / 3);
        assert_int_equal(
            peer_soak_set_manners(site->soaking.soak, i % 2 ? NULL : "vanish:40%", &error), 0);
    }
    go(site, 100 * MS);
    peer_soak_get_state(site->soaking.soak, &at);
    assert_int_equal(at.open, 6);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_int_equal(peer_soak_errors(&site->soaking.counts), 0);
    assert_int_equal(site->soaking.counts.completed, site->soaking.counts.requests);
    site_free(site);
}

/* For a while all flows misbehave, and no healthy connection is wanted: none is made up for. */
static void a_rate_of_connections_goes_with_its_flows(void **state)
{
    (void)state;
    struct site *site = BEGIN(.connect_rate = 100, .requests_per_connection = 1, .flows = 1000,
                              .duration_ns = 5 * NS_PER_S);
    struct peer_error error = {0};

    go(site, NS_PER_S);
    assert_int_equal(peer_soak_set_manners(site->soaking.soak, "stall:100%", &error), 0);
    go(site, 2 * NS_PER_S);
    assert_in_range(site->accepted, 295, 305);
    assert_int_equal(peer_soak_set_manners(site->soaking.soak, NULL, &error), 0);
    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_in_range(site->accepted, 490, 510);
    assert_in_range(site->soaking.counts.established, 295, 305);
    site_free(site);
}

static void what_cannot_be_changes_nothing(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .flows = 4, .total = 100);
    struct peer_soak_change none = {.words = ""};
    struct peer_error error = {0};

    assert_int_equal(peer_soak_set_rate(site->soaking.soak, 0, &error), -EINVAL);
    assert_int_equal(peer_soak_set_rate(site->soaking.soak, -5, &error), -EINVAL);
    assert_int_equal(peer_soak_set_manners(site->soaking.soak, "rudeness:5%", &error), -EINVAL);
    assert_non_null(strstr(error.text, "rudeness"));
    assert_int_equal(peer_soak_set_manners(site->soaking.soak, "vanish:100%", &error), -EINVAL);
    assert_int_equal(peer_soak_note_change(site->soaking.soak, ""), -EINVAL);
    finish(site, 100);
    assert_int_equal(peer_result_get_change(site->soaking.result, 0, &none), 0);
    site_free(site);
}

static void buckets_hold_what_took_no_longer(void **state)
{
    (void)state;
    struct site *site = BEGIN(.rate = 100, .flows = 4, .total = 100);
    struct peer_soak_bucket buckets[] = {{1, 9}, {1000, 9}, {5000, 9}, {1e6, 9}, {INFINITY, 9}};
    const struct peer_soak *soak = site->soaking.soak;
    double sum_us = 0;

    soaking_finish(&site->soaking, 600 * NS_PER_S);
    assert_int_equal(
        peer_soak_get_buckets(soak, PEER_HISTOGRAM_REQUEST, buckets, ARRAY_SIZE(buckets), &sum_us),
        0);
    assert_int_equal(buckets[0].count, 0);
    assert_int_equal(buckets[1].count, 0);
    for (size_t i = 2; i < ARRAY_SIZE(buckets); i++)
        assert_int_equal(buckets[i].count, 100);
    assert_true(sum_us > 0.99 * 100 * site->soaking.report.request.mean &&
                sum_us < 1.01 * 100 * site->soaking.report.request.mean);
    assert_int_equal(peer_soak_get_status(soak, 200), 100);
    assert_int_equal(
        peer_soak_get_buckets(soak, (enum peer_soak_histogram)99, buckets, 1, &sum_us), -EINVAL);
    site_free(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rate_changes_without_a_step),
        TEST(many_small_changes_lose_nothing),
        TEST(what_was_wanted_before_stays_wanted),
        TEST(a_soak_without_a_rate_gets_one),
        TEST(random_arrivals_change_their_rate_too),
        TEST(a_connection_for_each_request_follows_the_rate),
        TEST(a_pause_leaves_nothing_to_catch_up_with),
        TEST(those_without_a_rate_rest_too),
        TEST(a_pause_may_be_the_end),
        TEST(a_pause_of_the_warm_up_is_in_no_figure),
        TEST(so_many_requests_are_asked_whatever_is_changed),
        TEST(connections_rest_in_a_pause),
        TEST(manners_come_and_go),
        TEST(busy_ones_have_their_answers_first),
        TEST(a_rate_of_connections_goes_with_its_flows),
        TEST(what_cannot_be_changes_nothing),
        TEST(buckets_hold_what_took_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
