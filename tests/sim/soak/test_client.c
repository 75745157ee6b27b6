/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients of protocols that are not one question and one answer at a time: a server that speaks
 * first, a login, several requests at once on a connection, answers that overtake each other. The
 * protocol is this test's own: a request is the line of its number, and so is its answer.
 */
#include "support/simtest.h"

#include "soak/run.h"

enum { PORT = 7, RTT_MS = 2 };
#define MS NS_PER_MS

/* ---- the application ---- */

struct service {
    const char *greeting;  /* said when a connection is there, and */
    uint64_t greeting_ns;  /* so long after it */
    const char *login;     /* a line that comes before any request, and is answered by "+" */
    unsigned batch;        /* answers wait for so many requests, and come last first; 0: at once */
    uint32_t silent;       /* this number is never answered */
    uint32_t resets_after; /* so many lines; 0: never */
    bool closes_first;     /* FIN instead of a greeting */
    const char *more;      /* said after each answer */
};

/* A connection, as the application has it. */
struct server {
    char line[64];
    size_t len;
    bool in; /* logged in */
    unsigned held_count;
    uint32_t held[16], lines;
};

struct scene {
    struct simnet *net;
    struct addr_set peers;
    struct service service;
    struct soak *soak;
};

static const struct service *service_of(const struct end *end)
{
    return &((const struct scene *)end->user)->service;
}

static void say(struct end *end, const char *text)
{
    (void)flow_write(&end->flow, text, strlen(text), 0);
}

static void answer(struct end *end, uint32_t number)
{
    const struct service *service = service_of(end);
    char text[32];

    if (number == service->silent)
        return;
    snprintf(text, sizeof(text), "%u\n", number);
    say(end, text);
    if (service->more)
        say(end, service->more);
}

static void on_line(struct end *end)
{
    const struct service *service = service_of(end);
    struct server *server = end_own(end);

    if (service->login && !server->in) {
        server->in = strcmp(server->line, service->login) == 0;
        say(end, server->in ? "+\n" : "-\n");
        return;
    }
    uint32_t number = (uint32_t)strtoul(server->line, NULL, 10);
    if (++server->lines == service->resets_after) {
        flow_reset(&end->flow);
        return;
    }
    if (!service->batch) {
        answer(end, number);
        return;
    }
    server->held[server->held_count++] = number;
    if (server->held_count == service->batch) {
        while (server->held_count)
            answer(end, server->held[--server->held_count]);
    }
}

static void read_lines(struct end *end)
{
    struct server *server = end_own(end);
    struct iovec iov;

    while (flow_peek(&end->flow, &iov, 1) > 0) {
        const char *data = iov.iov_base;
        size_t len = iov.iov_len;
        for (size_t i = 0; i < len; i++) {
            if (data[i] != '\n') {
                server->line[server->len++] = data[i];
                continue;
            }
            server->line[server->len] = 0;
            server->len = 0;
            on_line(end);
            if (end->flow.state == FLOW_ENDED) /* reset: the bytes are gone */
                return;
        }
        flow_consume(&end->flow, len);
    }
}

static void greet(struct end *end)
{
    say(end, service_of(end)->greeting);
}

static void serve(struct end *end, unsigned events)
{
    const struct service *service = service_of(end);

    if (events & FLOW_ACCEPTED && service->closes_first)
        flow_close(&end->flow);
    else if (events & FLOW_ACCEPTED && service->greeting)
        end_wait(end, service->greeting_ns);
    if (events & FLOW_READABLE)
        read_lines(end);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

/* ---- the protocol ---- */

enum { SLOTS = 4 };

struct lines {
    char line[64]; /* what came of one that is not complete */
    size_t len;
    bool logged_in;
    uint32_t answered; /* the number that was read */
};

static struct lines *lines_of(const struct client *client)
{
    return client_own(client);
}

static void ask(struct client *client, struct request *request)
{
    char text[32];

    snprintf(text, sizeof(text), "%u\n", request_number(request));
    (void)client_write(client, text, strlen(text), 0);
}

static enum taken take(struct client *client, struct request *request, const char *data, size_t len,
                       size_t *ret_used)
{
    struct lines *lines = lines_of(client);

    (void)request;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n') {
            lines->line[lines->len++] = data[i];
            continue;
        }
        lines->line[lines->len] = 0;
        lines->len = 0;
        lines->answered = (uint32_t)strtoul(lines->line, NULL, 10);
        *ret_used = i + 1;
        return TAKEN_ANSWER;
    }
    return TAKEN_MORE;
}

/* Answers in the order of the requests. */
static void taken_in_order(struct client *client, struct request *request, enum taken taken)
{
    if (taken != TAKEN_ANSWER)
        return;
    assert_int_equal(lines_of(client)->answered, request_number(request));
    request_done(request);
}

static void taken_in_any_order(struct client *client, struct request *request, enum taken taken)
{
    (void)request;
    if (taken != TAKEN_ANSWER)
        return;
    request = client_request_numbered(client, lines_of(client)->answered);
    if (!request) { /* it had been given up */
        client_counts(client)->late++;
        return;
    }
    request_first_byte(request);
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

static void several_at_once(struct client *client)
{
    client_ready(client, SLOTS);
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

/* ---- the scene ---- */

static bool is_over(void *user)
{
    return soak_is_over(((struct scene *)user)->soak);
}

static struct scene *run(const struct protocol *protocol, struct service service,
                         struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct simnet_config net = {
        .peers = "198.18.0.1-198.18.0.9", .offload = true, .delay_ns = RTT_MS * MS / 2, .seed = 1};
    const struct end application = {.on_event = serve,
                                    .on_timer = greet,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct server)};
    struct peer_error error = {0};

    assert_non_null(scene);
    scene->net = simnet_new(&net);
    scene->service = service;
    config.to = simnet_addr("198.18.0.9");
    config.to_port = PORT;
    simnet_listen(scene->net, IPPROTO_TCP, PORT, &application);
    assert_int_equal(addr_set_parse(net.peers, &scene->peers, NULL), 0);
    const struct soak_host host = {
        .flows = engine_flows(simnet_engine(scene->net)), .peers = &scene->peers, .seed = 1};
    assert_int_equal(soak_start(&config, protocol, &host, &scene->soak, &error), 0);
    assert_true(simnet_run(scene->net, is_over, scene, simnet_now_ns(scene->net) + 60 * NS_PER_S));
    return scene;
}

static void done(struct scene *scene)
{
    soak_free(scene->soak);
    simnet_run_for(scene->net, NS_PER_S);
    simnet_end(scene->net);
    addr_set_done(&scene->peers);
    free(scene);
}

static const struct measure *measure_of(const struct scene *scene)
{
    return &soak_healthy(scene->soak)->measure;
}

static void assert_counts(const struct scene *scene, uint64_t requests, uint64_t completed,
                          uint64_t errors)
{
    const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;

    if (peer_soak_errors(counts) != errors && figures_first_error(&measure_of(scene)->found))
        fail_msg("%s", figures_first_error(&measure_of(scene)->found));
    assert_int_equal(counts->requests, requests);
    assert_int_equal(counts->completed, completed);
    assert_int_equal(peer_soak_errors(counts), errors);
}

static double p50_us(const struct scene *scene)
{
    struct peer_latency latency;

    histogram_summary(measure_of(scene)->found.histograms[PEER_HISTOGRAM_REQUEST], &latency);
    return latency.p50;
}

static void assert_near(double value, double wanted)
{
    if (value < wanted * 0.99 || value > wanted * 1.01)
        fail_msg("%f instead of %f", value, wanted);
}

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
