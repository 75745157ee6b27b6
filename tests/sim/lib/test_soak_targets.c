/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of targets: which is next, and what became of each. */
#include "soak_site.h"

static const struct page pages[] = {
    {"GET /a", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"},
    {"HEAD /a", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"},
    {"POST /b", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"},
    {NULL, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"},
};

static struct peer_targets *list(void)
{
    static const char text[] = "GET /a\n\nHEAD http://198.18.0.9/a\nX: y\n\nGET /c\n";
    static const char *const headers[] = {"X: of b", NULL};
    static const struct peer_target last = {
        .method = "POST", .url = "/b", .headers = headers, .body = "body", .body_len = 4};
    struct peer_targets *targets = peer_targets_new();

    assert_non_null(targets);
    assert_int_equal(peer_targets_parse(targets, text, strlen(text), NULL), 0);
    assert_int_equal(peer_targets_add(targets, &last, NULL), 0);
    return targets;
}

static struct peer_soak_target target(const struct site *site, size_t index)
{
    struct peer_soak_target target = {0};

    assert_int_equal(peer_result_get_target(site->soaking.result, index, &target), 1);
    return target;
}

static void targets_take_turns_and_are_counted_apart(void **state)
{
    static const struct {
        const char *name;
        unsigned status;
    } rows[] = {{"GET /a", 200}, {"HEAD /a", 200}, {"GET /c", 404}, {"POST /b", 201}};
    struct peer_targets *targets = list();
    struct peer_soak_target past;

    (void)state;
    struct site *site = SITE_RUN(pages, .targets = targets, .total = 402, .flows = 3);
    peer_targets_free(targets);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer_soak_target found = target(site, i);
        assert_string_equal(found.name, rows[i].name);
        assert_int_equal(found.completed, i < 2 ? 101 : 100);
        assert_int_equal(found.errors, 0);
        assert_int_equal(found.statuses[0].status, rows[i].status);
        assert_int_equal(found.statuses[0].count, found.completed);
        assert_int_equal(found.statuses[1].count, 0);
    }
    assert_int_equal(peer_result_get_target(site->soaking.result, 4, &past), 0);
    assert_int_equal(site->requests, 402);
    assert_int_equal(site_heard(site, "HEAD /a HTTP/1.1\r\nHost: 198.18.0.9"), 101);
    assert_int_equal(site_heard(site, "X: of b\r\n\r\nbody"), 100);
    assert_int_equal(peer_result_get_status(site->soaking.result, 404), 100);
    site_free(site);
}

static uint64_t at_random(uint64_t seed, uint64_t counts[4])
{
    struct peer_targets *targets = list();
    struct site *site = calloc(1, sizeof(*site));
    const struct simnet_config net = {.user = site, .seed = seed};
    const struct end application = {.on_event = site_event,
                                    .drop_when_ended = true,
                                    .user = site,
                                    .own_bytes = sizeof(struct visit)};
    const struct peer_soak_config config = {
        .targets = targets, .targets_at_random = true, .total = 1000};

    site->pages = pages;
    soaking_run(&site->soaking, &net, &application, &config);
    peer_targets_free(targets);
    for (size_t i = 0; i < 4; i++)
        counts[i] = target(site, i).completed;
    uint64_t hash = simnet_hash(site->soaking.net);
    site_free(site);
    return hash;
}

static void the_seed_chooses_at_random(void **state)
{
    uint64_t counts[4], again[4], sum = 0;

    (void)state;
    uint64_t hash = at_random(5, counts);
    assert_true(at_random(5, again) == hash);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(counts[i], again[i]);
        assert_in_range(counts[i], 190, 310); /* 250, with a deviation of 14 */
        sum += counts[i];
    }
    assert_int_equal(sum, 1000);
    (void)at_random(6, again);
    assert_memory_not_equal(counts, again, sizeof(counts));
}

static void what_was_not_expected_is_an_error_of_its_target(void **state)
{
    struct peer_targets *targets = list();
    struct site *site = calloc(1, sizeof(*site));
    const struct simnet_config net = {.user = site};
    const struct end application = {.on_event = site_event,
                                    .drop_when_ended = true,
                                    .user = site,
                                    .own_bytes = sizeof(struct visit)};
    const struct peer_soak_config config = {
        .targets = targets, .total = 40, .expect = "2xx", .requests_per_connection = 1};

    (void)state;
    site->pages = pages;
    soaking_run(&site->soaking, &net, &application, &config);
    peer_targets_free(targets);
    assert_int_equal(target(site, 0).completed, 10);
    assert_int_equal(target(site, 2).completed, 0);
    assert_int_equal(target(site, 2).errors, 10);
    assert_int_equal(target(site, 2).statuses[0].count, 10);
    assert_int_equal(site->accepted, 40);
    site_free(site);
}

static void results_with_targets_add_up(void **state)
{
    struct peer_targets *targets = list();
    FILE *file = tmpfile();
    struct peer_result *read = NULL, *sum = peer_result_new();
    struct peer_soak_target found;

    (void)state;
    assert_non_null(file);
    struct site *site = SITE_RUN(pages, .targets = targets, .total = 8);
    peer_targets_free(targets);
    assert_int_equal(peer_result_write(site->soaking.result, fileno(file)), 0);
    rewind(file);
    assert_int_equal(peer_result_read(fileno(file), &read, NULL), 0);
    assert_int_equal(peer_result_add(sum, read), 0);
    assert_int_equal(peer_result_add(sum, site->soaking.result), 0);
    assert_int_equal(peer_result_get_target(sum, 2, &found), 1);
    assert_string_equal(found.name, "GET /c");
    assert_int_equal(found.completed, 4);
    assert_int_equal(found.statuses[0].status, 404);
    assert_int_equal(found.statuses[0].count, 4);
    assert_int_equal(peer_result_get_target(sum, 4, &found), 0);
    fclose(file);
    peer_result_free(read);
    peer_result_free(sum);
    site_free(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(targets_take_turns_and_are_counted_apart),
        TEST(the_seed_chooses_at_random),
        TEST(what_was_not_expected_is_an_error_of_its_target),
        TEST(results_with_targets_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
