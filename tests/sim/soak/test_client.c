/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients of protocols that are not one question and one answer at a time: a server that speaks
 * first, a login, several requests at once on a connection, answers that overtake each other.
 */
#include "lines.h"

/* ---- protocols ---- */

/* Answers in the order of the requests. */
static void taken_in_order(struct client *client, struct request *request, enum taken taken)
{
    if (taken != TAKEN_ANSWER)
        return;
    assert_int_equal(lines_of(client)->answered, request_number(request));
    request_done(request);
}

static void taken_after_greeting(struct client *client, struct request *request, enum taken taken)
{
    if (request)
        taken_in_order(client, request, taken);
    else if (taken == TAKEN_ANSWER && lines_of(client)->line[0] == '2')
        client_ready(client, 1);
    else if (taken == TAKEN_ANSWER)
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the greeting is \"%s\"", lines_of(client)->line);
}

static void taken_after_login(struct client *client, struct request *request, enum taken taken)
{
    if (request)
        taken_in_order(client, request, taken);
    else if (taken == TAKEN_ANSWER && lines_of(client)->line[0] == '+')
        client_ready(client, SLOTS);
    else if (taken == TAKEN_ANSWER)
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the login was refused");
}

static void wait_for_greeting(struct client *client)
{
    (void)client;
}

static void log_in(struct client *client)
{
    (void)client_write(client, "me\n", 3, 0);
}

#define LINES(how, ...)                                                                            \
    {                                                                                              \
        .name = "lines", .client_bytes = sizeof(struct lines), .tcp = &(const struct protocol_ops) \
        {                                                                                          \
            .kind = PROTOCOL_ASKS, .ask = ask, .take = take, .taken = how, __VA_ARGS__             \
        }                                                                                          \
    }
static const struct protocol one_by_one = LINES(taken_in_order, .opened = NULL);
static const struct protocol greeted = LINES(taken_after_greeting, .opened = wait_for_greeting);
static const struct protocol with_login = LINES(taken_after_login, .opened = log_in);
static const struct protocol pipelined = LINES(taken_in_order, .opened = several_at_once);
static const struct protocol multiplexed =
    LINES(taken_in_any_order, .opened = several_at_once, .any_order = true);

/* ---- a server that speaks first ---- */

static void requests_wait_for_the_greeting(void **state)
{
    (void)state;
    struct scene *scene =
        run(&greeted, (struct service){.greeting = "220 hello\n", .greeting_ns = 50 * MS},
            (struct peer_soak_config){.total = 10});
    assert_counts(scene, 10, 10, 0);
    assert_near(p50_us(scene), RTT_MS * 1000); /* the greeting is in no request's time */
    assert_int_equal(measure_of(scene)->found.counts.established, 1);
    done(scene);
}

static void a_greeting_that_does_not_come_or_is_wrong(void **state)
{
    static const struct {
        struct service service;
        enum peer_soak_error kind;
        const char *text;
    } rows[] = {
        {{.greeting = NULL}, PEER_SOAK_TIMEOUT, "no answer in time"},
        {{.greeting = "220 hel"}, PEER_SOAK_TIMEOUT, "no answer in time; it had sent \"220 hel\""},
        {{.greeting = "500 full\n"}, PEER_SOAK_BAD_ANSWER, "the greeting is \"500 full\""},
        {{.closes_first = true}, PEER_SOAK_CLOSED_EARLY, "closed before the answer was complete"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = run(&greeted, rows[i].service,
                                  (struct peer_soak_config){.total = 3, .timeout_ns = NS_PER_S});
        assert_counts(scene, 0, 0, 3); /* each is lost with its connection */
        assert_string_equal(measure_of(scene)->found.first_errors[rows[i].kind], rows[i].text);
        assert_int_equal(measure_of(scene)->found.counts.opened, 3);
        done(scene);
    }
}

/* Nor is a client given up for it that has a patient manner: the application ends that. */
static void who_is_patient_waits_for_the_greeting(void **state)
{
    (void)state;
    struct scene *scene = run(&greeted, (struct service){.greeting = NULL},
                              (struct peer_soak_config){.flows = 2,
                                                        .manners = "stall:50%@connected",
                                                        .timeout_ns = NS_PER_S,
                                                        .duration_ns = 5 * NS_PER_S});
    assert_int_equal(scene->soak->runs[1]->measure.found.counts.opened, 1);
    assert_int_equal(scene->soak->runs[1]->measure.found.counts.timeout, 0);
    assert_true(measure_of(scene)->found.counts.timeout >= 3);
    done(scene);
}

static void requests_wait_for_the_login(void **state)
{
    (void)state;
    struct scene *scene =
        run(&with_login, (struct service){.login = "me"}, (struct peer_soak_config){.total = 40});
    assert_counts(scene, 40, 40, 0);
    done(scene);
    scene =
        run(&with_login, (struct service){.login = "you"}, (struct peer_soak_config){.total = 2});
    assert_counts(scene, 0, 0, 2);
    assert_string_equal(figures_first_error(&measure_of(scene)->found), "the login was refused");
    done(scene);
}

/* ---- several at once ---- */

/* All slots are asked each round trip. */
static void a_round_trip_carries_as_many_as_there_are_slots(void **state)
{
    static const struct {
        const struct protocol *protocol;
        unsigned batch, slots;
    } rows[] = {{&one_by_one, 0, 1}, {&pipelined, 0, SLOTS}, {&multiplexed, SLOTS, SLOTS}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = run(rows[i].protocol, (struct service){.batch = rows[i].batch},
                                  (struct peer_soak_config){.duration_ns = NS_PER_S});
        uint64_t completed = measure_of(scene)->found.counts.completed;
        assert_near((double)completed, rows[i].slots * 1000.0 / RTT_MS);
        assert_counts(scene, completed, completed, 0);
        assert_near(p50_us(scene), RTT_MS * 1000);
        assert_int_equal(measure_of(scene)->found.counts.opened, 1);
        done(scene);
    }
}

static void a_number_of_requests_is_kept(void **state)
{
    (void)state;
    for (uint64_t total = 1; total < 3 * SLOTS; total++) {
        struct scene *scene = run(&pipelined, (struct service){.batch = 0},
                                  (struct peer_soak_config){.total = total, .flows = 2});
        assert_counts(scene, total, total, 0);
        done(scene);
        scene = run(
            &pipelined, (struct service){.batch = 0},
            (struct peer_soak_config){.total = total, .flows = 2, .requests_per_connection = 3});
        assert_counts(scene, total, total, 0);
        done(scene);
    }
}

/* One connection serves a rate that one request at a time could not: 1500/s, 2 ms each. */
static void a_rate_uses_the_slots(void **state)
{
    (void)state;
    struct scene *scene = run(&pipelined, (struct service){.batch = 0},
                              (struct peer_soak_config){.rate = 1500, .duration_ns = NS_PER_S});
    assert_counts(scene, 1500, 1500, 0);
    assert_near(p50_us(scene), RTT_MS * 1000);
    assert_int_equal(soak_healthy(scene->soak)->behind, 0);
    done(scene);
    scene = run(&one_by_one, (struct service){.batch = 0},
                (struct peer_soak_config){.rate = 1500, .duration_ns = NS_PER_S});
    assert_near((double)measure_of(scene)->found.in_time.completed, 500);
    assert_true(soak_healthy(scene->soak)->behind > 900);
    done(scene);
}

static void who_thinks_does_so_when_all_is_answered(void **state)
{
    (void)state;
    struct scene *scene =
        run(&pipelined, (struct service){.batch = 0},
            (struct peer_soak_config){.think_ns = 8 * MS, .duration_ns = NS_PER_S});
    uint64_t completed = measure_of(scene)->found.counts.completed;
    assert_near((double)completed, SLOTS * 1000.0 / (RTT_MS + 8));
    assert_counts(scene, completed, completed, 0);
    done(scene);
}

/* Those that were under way are lost with it, each once. */
static void a_reset_loses_what_was_under_way(void **state)
{
    (void)state;
    struct scene *scene = run(&pipelined, (struct service){.resets_after = SLOTS + 1},
                              (struct peer_soak_config){.total = 4 * SLOTS});
    const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;
    assert_int_equal(counts->requests, 4 * SLOTS);
    assert_int_equal(counts->completed + counts->reset, 4 * SLOTS);
    assert_true(counts->reset >= SLOTS);
    done(scene);
}

static void one_that_is_late_is_lost_alone(void **state)
{
    (void)state;
    struct scene *scene = run(&multiplexed, (struct service){.silent = 2},
                              (struct peer_soak_config){.total = 40, .timeout_ns = 100 * MS});
    assert_counts(scene, 40, 39, 1);
    assert_int_equal(measure_of(scene)->found.counts.timeout, 1);
    assert_int_equal(measure_of(scene)->found.counts.opened, 1);
    done(scene);
}

/* One at a time, what follows an answer is nobody's; with several under way it is the next one's. */
static void what_nobody_asked_for_is_an_error(void **state)
{
    (void)state;
    struct scene *scene =
        run(&one_by_one, (struct service){.more = "7\n"}, (struct peer_soak_config){.total = 2});
    assert_counts(scene, 2, 0, 2);
    assert_int_equal(measure_of(scene)->found.counts.bad_answer, 2);
    done(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_wait_for_the_greeting),
        TEST(a_greeting_that_does_not_come_or_is_wrong),
        TEST(who_is_patient_waits_for_the_greeting),
        TEST(requests_wait_for_the_login),
        TEST(a_round_trip_carries_as_many_as_there_are_slots),
        TEST(a_number_of_requests_is_kept),
        TEST(a_rate_uses_the_slots),
        TEST(who_thinks_does_so_when_all_is_answered),
        TEST(a_reset_loses_what_was_under_way),
        TEST(one_that_is_late_is_lost_alone),
        TEST(what_nobody_asked_for_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
