/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of a soak in virtual time. The application is another peer, which answers as the test
 * says; since nothing but the link's 1 ms and its own pauses takes time, every count is exact.
 */
#include "support/wire.h"

#include "protocol/table.h"
#include "soak/run.h"

enum { PORT = 80 };
#define MS NS_PER_MS

/* What the application does. */
struct manner_of_service {
    uint64_t pause_ns;     /* before an answer */
    uint64_t silent_every; /* every n-th connection (or datagram) is never answered; 0: none */
    const char *greeting;  /* said when a connection is there */
    const char *answer;    /* NULL: none, the connection is closed instead; UDP: what came */
    bool closes_at_once;   /* after the greeting */
    unsigned copies;       /* UDP: of each answer; 0: one */
    size_t cut;            /* UDP: bytes that are missing at the end of each answer */
    uint64_t late_ns;      /* the machine that all this runs on is busy */
    bool deaf;             /* no handshake comes through */
};

struct server_flow {
    struct wire_flow wire; /* first */
    struct timer pause;
    uint64_t number;
    char asked[256];
    size_t asked_len;
};

struct scene {
    struct wire wire;
    struct manner_of_service service;
    struct soak *soak;
    uint64_t accepted, datagrams;
};

static void reply(struct server_flow *server)
{
    struct scene *scene = server->wire.user;
    struct flow *flow = &server->wire.flow;
    const struct manner_of_service *service = &scene->service;

    if (flow->conn.protocol == IPPROTO_UDP) {
        for (unsigned i = 0; i < MAX(service->copies, 1u); i++)
            (void)flow_write(flow, server->asked, server->asked_len - service->cut, 0);
    } else if (service->answer) {
        (void)flow_write(flow, service->answer, strlen(service->answer), 0);
    } else {
        flow_close(flow);
    }
}

static void pause_over(struct timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    reply((struct server_flow *)(void *)((char *)timer - offsetof(struct server_flow, pause)));
}

static void asked(struct server_flow *server)
{
    struct scene *scene = server->wire.user;
    struct flow *flow = &server->wire.flow;
    bool udp = flow->conn.protocol == IPPROTO_UDP;
    uint64_t every = scene->service.silent_every;
    struct iovec iov[8];
    int count;

    while ((count = flow_peek(flow, iov, 8)) > 0) {
        server->asked_len = iov_total(iov, count);
        assert_true(server->asked_len <= sizeof(server->asked));
        iov_gather(iov, count, server->asked);
        flow_consume(flow, server->asked_len);
        uint64_t number = udp ? ++scene->datagrams : server->number;
        if (every && number % every == 0)
            continue;
        if (scene->service.pause_ns)
            (void)timer_arm(engine_timers(scene->wire.engine), &server->pause,
                            scene->wire.now_ns + scene->service.pause_ns);
        else
            reply(server);
    }
}

static void server_event(struct wire_flow *flow, unsigned events)
{
    struct server_flow *server = (struct server_flow *)(void *)flow;
    struct scene *scene = flow->user;
    const char *greeting = scene->service.greeting;

    if (events & FLOW_ACCEPTED && greeting)
        (void)flow_write(&flow->flow, greeting, strlen(greeting), 0);
    if (events & FLOW_ACCEPTED && scene->service.closes_at_once) {
        flow_close(&flow->flow);
        return;
    }
    if (events & FLOW_READABLE)
        asked(server);
    if (events & FLOW_EOF)
        flow_close(&flow->flow);
    if (events & FLOW_END)
        flow_free(&flow->flow);
}

static void server_release(struct flow *flow)
{
    struct server_flow *server = (struct server_flow *)(void *)flow;
    struct scene *scene = server->wire.user;

    timer_cancel(engine_timers(scene->wire.engine), &server->pause);
    free(server);
}

static struct flow *accept_server(void *user, struct stack_listener *listener,
                                  const struct stack_tuple *tuple)
{
    static const struct flow_ops ops = {.event = wire_flow_event, .release = server_release};
    struct scene *scene = user;
    struct server_flow *server = calloc(1, sizeof(*server));

    (void)listener;
    (void)tuple;
    assert_non_null(server);
    server->wire.wire = &scene->wire;
    server->wire.user = scene;
    server->wire.on_event = server_event;
    server->number = ++scene->accepted;
    timer_init(&server->pause, pause_over);
    flow_init_accepted(&server->wire.flow, engine_flows(scene->wire.engine), &ops);
    return &server->wire.flow;
}

static bool is_over(void *user)
{
    return soak_is_over(((struct scene *)user)->soak);
}

static bool lose_all(void *user, uint64_t number, const struct packet *packet)
{
    (void)user;
    (void)number;
    (void)packet;
    return true;
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/* Runs `config` against `service` until it is over; soak_over frees. */
static struct scene *soak_run(const struct manner_of_service *service,
                              struct peer_soak_config config, uint64_t delay_ns, uint64_t limit_ns)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct peer_error error = {0};

    assert_non_null(scene);
    wire_init(&scene->wire, "198.18.0.1-198.18.0.9", true, 1);
    scene->wire.delay_ns = delay_ns;
    scene->wire.late_ns = service->late_ns;
    scene->wire.accept = accept_server;
    scene->wire.loses = service->deaf ? lose_all : NULL;
    scene->wire.user = scene;
    scene->service = *service;
    config.to = wire_addr("198.18.0.9");
    config.to_port = PORT;
    (void)wire_listen(&scene->wire, config.udp ? IPPROTO_UDP : IPPROTO_TCP, "198.18.0.9", PORT);
    struct addr_set *callers = &scene->wire.peers;
    assert_int_equal(soak_start(&config, protocol_named(config.protocol),
                                engine_flows(scene->wire.engine), callers, 1, NULL, NULL,
                                &scene->soak, &error),
                     0);
    wire_run(&scene->wire, limit_ns, is_over);
    assert_true(soak_is_over(scene->soak));
    return scene;
}

static void soak_over(struct scene *scene)
{
    soak_free(scene->soak);
    wire_run(&scene->wire, NS_PER_S, NULL);
    wire_done(&scene->wire);
    free(scene);
}

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &soak_healthy(scene->soak)->measure.counts;
}

static uint64_t measured_ns(const struct scene *scene)
{
    return soak_healthy(scene->soak)->measure.end_ns - soak_healthy(scene->soak)->measure.start_ns;
}

/* Every request has one fate. */
static void assert_accounted(const struct scene *scene, uint64_t sent, uint64_t completed,
                             uint64_t errors)
{
    const struct peer_soak_counts *counts = counts_of(scene);

    assert_int_equal(counts->requests, sent);
    assert_int_equal(counts->completed, completed);
    assert_int_equal(peer_soak_errors(counts), errors);
    struct peer_latency latency;
    measure_summary(&soak_healthy(scene->soak)->measure, PEER_HISTOGRAM_REQUEST, &latency);
    assert_int_equal(latency.count, completed);
}

/* ---- the measured time ---- */

/* 12 ms a request, and the handshake's 2: 2, 14, ... 1994 are asked before 2 s, by 7 of 8 flows;
 * the last ones of them are answered at 2006 ms. */
static void a_straggler_does_not_stretch_the_time(void **state)
{
    (void)state;
    struct manner_of_service service = {.pause_ns = 10 * MS, .silent_every = 8, .answer = ok};
    struct peer_soak_config config = {.flows = 8, .duration_ns = 2 * NS_PER_S};
    struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);

    assert_int_equal(measured_ns(scene), 2 * NS_PER_S);
    assert_accounted(scene, 7 * 167 + 1, 7 * 167, 1);
    assert_int_equal(soak_healthy(scene->soak)->measure.in_time.completed, 7 * 166);
    assert_int_equal(counts_of(scene)->timeout, 1);
    soak_over(scene);
}

/* 302 ms a request, asked at 2, 304, ... The one of 908 ms is of the warm-up and answered in the
 * measured time, that of 2720 ms is answered behind it: a rate of 3/s, as it is. */
static void requests_belong_to_when_they_were_wanted(void **state)
{
    (void)state;
    struct manner_of_service service = {.pause_ns = 300 * MS, .answer = ok};
    struct peer_soak_config config = {.warmup_ns = NS_PER_S, .duration_ns = 2 * NS_PER_S};
    struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);

    assert_int_equal(measured_ns(scene), 2 * NS_PER_S);
    assert_accounted(scene, 6, 6, 0);
    assert_int_equal(soak_healthy(scene->soak)->measure.in_time.completed, 5);
    assert_int_equal(soak_healthy(scene->soak)->measure.carried, 1);
    assert_int_equal(soak_healthy(scene->soak)->measure.codes[200], 6);
    soak_over(scene);
}

static void intervals_add_up_with_the_stragglers(void **state)
{
    (void)state;
    struct manner_of_service service = {.pause_ns = 300 * MS, .answer = ok};
    struct peer_soak_config config = {.flows = 3, .duration_ns = 2 * NS_PER_S};
    struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
    struct peer_soak_interval interval;
    uint64_t completed = 0, covered_ns = 0, after = 0;

    while (measure_pop_interval(&soak_healthy(scene->soak)->measure, &interval)) {
        assert_int_equal(interval.start_ns, covered_ns);
        covered_ns += interval.length_ns;
        completed += interval.counts.completed;
        if (interval.after_end)
            after += interval.counts.completed;
    }
    assert_int_equal(completed, counts_of(scene)->completed);
    assert_int_equal(after, 3);
    assert_true(covered_ns > 2 * NS_PER_S);
    soak_over(scene);
}

static void the_number_of_requests_counts_after_the_warm_up(void **state)
{
    (void)state;
    static const double rates[] = {0, 100};
    struct manner_of_service service = {.answer = ok};

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        struct peer_soak_config config = {
            .flows = 4, .total = 30, .warmup_ns = NS_PER_S, .rate = rates[i]};
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        assert_accounted(scene, 30, 30, 0);
        assert_true(measured_ns(scene) > 0 && measured_ns(scene) < NS_PER_S);
        soak_over(scene);
    }
}

/* What was wanted between the end of the warm-up and the turn in which it is noticed, be that the
 * timer's, a frame's or another flow's, belongs to the measured time. */
static void no_request_is_lost_where_the_warm_up_ends(void **state)
{
    (void)state;
    static const uint64_t late_ns[] = {0, 30000, 700000, 3 * MS, 5 * MS + 1};
    static const double rates[] = {10, 40, 500, 1000};
    static const uint64_t warm_ns[] = {NS_PER_S, 300 * MS, 251 * MS};
    static const uint64_t totals[] = {0, 9};
    static const struct {
        bool udp;
        const char *protocol;
        uint64_t each, flows;
    } ways[] = {{.protocol = "http", .flows = 200},
                {.protocol = "http", .flows = 200, .each = 1},
                {.udp = true, .protocol = "echo", .flows = 200},
                {.udp = true, .protocol = "send", .flows = 2}};

    for (size_t i = 0; i < 5 * 4 * 3 * 2 * ARRAY_SIZE(ways); i++) {
        size_t way = i / (5 * 4 * 3 * 2);
        struct manner_of_service service = {.answer = ok, .late_ns = late_ns[i % 5]};
        struct peer_soak_config config = {.udp = ways[way].udp,
                                          .protocol = ways[way].protocol,
                                          .flows = ways[way].flows,
                                          .requests_per_connection = ways[way].each,
                                          .rate = rates[i / 5 % 4],
                                          .warmup_ns = warm_ns[i / 20 % 3],
                                          .duration_ns = NS_PER_S,
                                          .total = totals[i / 60 % 2]};
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        uint64_t wanted = config.total ? config.total : (uint64_t)config.rate;

        assert_accounted(scene, wanted, wanted, 0);
        assert_int_equal(soak_healthy(scene->soak)->measure.start_ns,
                         soak_healthy(scene->soak)->start_ns + config.warmup_ns);
        assert_true(counts_of(scene)->established <= counts_of(scene)->opened);
        soak_over(scene);
    }
}

/* Closed: what was taken in the warm-up is not completed in the measured time, and no flow is
 * counted half. */
static void a_late_end_of_the_warm_up_splits_no_request(void **state)
{
    (void)state;
    struct manner_of_service service = {.answer = ok};

    for (service.late_ns = 0; service.late_ns < 3 * MS; service.late_ns += 170000) {
        struct peer_soak_config config = {.flows = 7,
                                          .warmup_ns = 100 * MS,
                                          .duration_ns = 100 * MS,
                                          .requests_per_connection = 3};
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);

        uint64_t requests = counts_of(scene)->requests;
        assert_true(requests > 7);
        assert_accounted(scene, requests, requests, 0);
        assert_int_equal(soak_healthy(scene->soak)->schedule.counted, requests);
        soak_over(scene);
    }
}

/* Errors of the warm-up are in no figure either, nor in words. */
static void what_failed_in_the_warm_up_is_forgotten(void **state)
{
    (void)state;
    struct manner_of_service service = {.silent_every = 2, .answer = ok};
    struct peer_soak_config config = {.flows = 2,
                                      .total = 50,
                                      .timeout_ns = 100 * MS,
                                      .requests_per_connection = 100000,
                                      .warmup_ns = 150 * MS};
    struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);

    assert_true(soak_healthy(scene->soak)->measure.start_ns > soak_healthy(scene->soak)->start_ns);
    assert_int_equal(counts_of(scene)->requests,
                     counts_of(scene)->completed + peer_soak_errors(counts_of(scene)));
    assert_true((soak_healthy(scene->soak)->measure.first_error != NULL) ==
                (peer_soak_errors(counts_of(scene)) > 0));
    soak_over(scene);
}

/* A handshake that began in the warm-up and fails behind it takes no request that counts. */
static void requests_lost_with_handshakes_belong_to_when_they_were_wanted(void **state)
{
    (void)state;
    static const struct {
        double rate;
        uint64_t each;
    } ways[] = {{0, 0}, {0, 1}, {100, 0}, {100, 1}};
    struct manner_of_service service = {.deaf = true};

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        for (uint64_t warmup_ns = 0; warmup_ns < 500 * MS; warmup_ns += 37 * MS) {
            struct peer_soak_config config = {.flows = 4,
                                              .total = 10,
                                              .rate = ways[i].rate,
                                              .requests_per_connection = ways[i].each,
                                              .timeout_ns = 100 * MS,
                                              .warmup_ns = warmup_ns};
            struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
            assert_accounted(scene, 0, 0, 10);
            assert_int_equal(counts_of(scene)->timeout, 10);
            soak_over(scene);
        }
    }
}

/* ---- rates ---- */

static void a_rate_and_a_number_end_for_any_number_of_flows(void **state)
{
    (void)state;
    static const uint64_t flows[] = {1, 63, 64, 65, 128, 200, 1000};
    struct manner_of_service service = {.answer = ok};

    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        for (uint64_t each = 0; each < 3; each++) {
            struct peer_soak_config config = {
                .flows = flows[i], .total = 100, .rate = 1000, .requests_per_connection = each};
            struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
            assert_accounted(scene, 100, 100, 0);
            assert_true(measured_ns(scene) < 2 * NS_PER_S);
            soak_over(scene);
        }
    }
}

static void a_rate_that_is_reached_is_not_behind(void **state)
{
    (void)state;
    static const struct {
        double rate;
        uint64_t duration_ns, requests;
    } rows[] = {{2.5, 2 * NS_PER_S, 5}, {0.1, 30 * NS_PER_S, 3}, {333, 3 * NS_PER_S, 999}};
    struct manner_of_service service = {.answer = ok};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (uint64_t each = 0; each < 2; each++) { /* a far-away service: 100 ms a round trip */
            struct peer_soak_config config = {.flows = 200,
                                              .rate = rows[i].rate,
                                              .duration_ns = rows[i].duration_ns,
                                              .requests_per_connection = each};
            struct scene *scene = soak_run(&service, config, 50 * MS, 600 * NS_PER_S);
            assert_accounted(scene, rows[i].requests, rows[i].requests, 0);
            assert_int_equal(measured_ns(scene), rows[i].duration_ns);
            assert_int_equal(soak_healthy(scene->soak)->behind, 0);
            soak_over(scene);
        }
    }
}

/* One flow at 52 ms a request, 100/s wanted for 1 s: 2, 54, ... 990 ms start 20; 80 did not. */
static void a_rate_that_is_not_reached_is_behind(void **state)
{
    (void)state;
    struct manner_of_service service = {.pause_ns = 50 * MS, .answer = ok};
    struct peer_soak_config config = {.rate = 100, .duration_ns = NS_PER_S};
    struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
    struct peer_latency latency;

    assert_accounted(scene, 20, 20, 0);
    assert_int_equal(soak_healthy(scene->soak)->behind, 80);
    measure_summary(&soak_healthy(scene->soak)->measure, PEER_HISTOGRAM_REQUEST, &latency);
    assert_true(latency.max > 850000 && latency.max < 853000); /* wanted at 190, done at 1042 */
    soak_over(scene);
}

/* ---- datagrams ---- */

static struct peer_soak_config datagrams(uint64_t total)
{
    return (struct peer_soak_config){
        .protocol = "echo", .udp = true, .total = total, .timeout_ns = 100 * MS};
}

static void an_answer_that_came_twice_was_not_late(void **state)
{
    (void)state;
    static const double rates[] = {0, 100};
    struct manner_of_service service = {.copies = 3};

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        struct peer_soak_config config = datagrams(50);
        config.rate = rates[i];
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        assert_accounted(scene, 50, 50, 0);
        assert_int_equal(counts_of(scene)->late, 0);
        assert_true(counts_of(scene)->duplicates >= 98);
        soak_over(scene);
    }
}

/* Answers take 152 ms, and 100 are waited for; each comes while the next request is under way. */
static void an_answer_after_its_time_is_late(void **state)
{
    (void)state;
    struct manner_of_service service = {.pause_ns = 0, .silent_every = 2};
    struct scene *scene = soak_run(&service, datagrams(20), MS, 60 * NS_PER_S);

    assert_accounted(scene, 20, 10, 10);
    assert_int_equal(counts_of(scene)->timeout, 10);
    assert_string_equal(soak_healthy(scene->soak)->measure.first_error, "no answer in time");
    soak_over(scene);
    scene = soak_run(&service, datagrams(20), 76 * MS, 60 * NS_PER_S);
    assert_accounted(scene, 20, 0, 20);
    assert_int_equal(counts_of(scene)->late, 10);
    assert_int_equal(counts_of(scene)->duplicates, 0);
    soak_over(scene);
}

static void a_datagram_that_differs_is_told_in_words(void **state)
{
    (void)state;
    struct manner_of_service service = {.cut = 1};
    struct scene *scene = soak_run(&service, datagrams(5), MS, 60 * NS_PER_S);

    assert_accounted(scene, 5, 0, 5);
    assert_int_equal(counts_of(scene)->bad_answer, 5);
    assert_string_equal(soak_healthy(scene->soak)->measure.first_error,
                        "a datagram of 63 bytes came back for one of 64");
    soak_over(scene);
}

/* ---- errors in words ---- */

static void an_error_tells_what_had_been_sent(void **state)
{
    (void)state;
    static const struct {
        struct manner_of_service service;
        const char *protocol;
        const char *text;
    } rows[] = {
        {{.greeting = "\r\n  Too many connections\x01 \r\nbye\r\n", .closes_at_once = true},
         "idle",
         "closed by the application; it had sent \"Too many connections. \""},
        {{.closes_at_once = true}, "idle", "closed by the application"},
        {{.answer = NULL}, "http", "closed without an answer"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer_soak_config config = {.protocol = rows[i].protocol, .total = 3};
        struct scene *scene = soak_run(&rows[i].service, config, MS, 60 * NS_PER_S);
        assert_int_equal(peer_soak_errors(counts_of(scene)), 3);
        assert_string_equal(soak_healthy(scene->soak)->measure.first_error, rows[i].text);
        assert_ptr_equal(soak_healthy(scene->soak)->measure.first_error,
                         soak_healthy(scene->soak)->measure.first_errors[PEER_SOAK_CLOSED_EARLY]);
        soak_over(scene);
    }
}

static void statuses_that_are_not_expected_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *expect;
        uint64_t errors;
    } rows[] = {{"200,204", 10}, {"2xx", 10}, {"404", 0}, {"200,400-499", 0}, {NULL, 0}};
    struct manner_of_service service = {.answer = "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno"};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer_soak_config config = {.total = 10, .expect = rows[i].expect};
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        assert_accounted(scene, 10, 10 - rows[i].errors, rows[i].errors);
        assert_int_equal(counts_of(scene)->unexpected_status, rows[i].errors);
        assert_int_equal(soak_healthy(scene->soak)->measure.codes[404], 10);
        assert_int_equal(counts_of(scene)->statuses[4], 10);
        assert_int_equal(counts_of(scene)->established, 1); /* the connection goes on */
        if (rows[i].errors)
            assert_string_equal(soak_healthy(scene->soak)->measure.first_error, "status 404");
        soak_over(scene);
    }
}

static void words_that_are_no_statuses_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "20",   "2x",      "2000", "200,", ",200", "300-200",
                                        "0xx", "200 ", "2xx-3xx", "-200", "200-", "abc",  "99"};
    struct wire wire;
    struct soak *soak;

    wire_init(&wire, "198.18.0.1-198.18.0.9", true, 1);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct peer_error error = {0};
        struct peer_soak_config config = {
            .expect = texts[i], .to = wire_addr("198.18.0.9"), .to_port = PORT};
        assert_int_equal(soak_start(&config, protocol_named(config.protocol),
                                    engine_flows(wire.engine), &wire.peers, 1, NULL, NULL, &soak,
                                    &error),
                         -EINVAL);
        assert_non_null(strstr(error.text, "status"));
    }
    wire_done(&wire);
}

/* The colon ends the name, and the name is a token. */
static void headers_without_a_name_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        ": v",   ":",     "X Y: a",   " X: a",        "X : a",
        "X\t:a", "X(: a", "\"X\": a", "X\xc3\xa9: a", "a/b: http://c"};
    struct wire wire;
    struct soak *soak;

    wire_init(&wire, "198.18.0.1-198.18.0.9", true, 1);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *const headers[] = {"A: b", texts[i], NULL};
        struct peer_error error = {0};
        struct peer_soak_config config = {
            .headers = headers, .to = wire_addr("198.18.0.9"), .to_port = PORT};
        assert_int_equal(soak_start(&config, protocol_named(config.protocol),
                                    engine_flows(wire.engine), &wire.peers, 1, NULL, NULL, &soak,
                                    &error),
                         -EINVAL);
        assert_non_null(strstr(error.text, "no header's name"));
    }
    wire_done(&wire);
}

/* ---- idle ---- */

static void idle_connections_that_are_refused_are_not_stormed(void **state)
{
    (void)state;
    struct manner_of_service service = {.greeting = "no\r\n", .closes_at_once = true};
    struct peer_soak_config config = {.protocol = "idle", .flows = 20, .duration_ns = 3 * NS_PER_S};
    struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);

    /* 5, 10, ... 640, 1000 ms apart, and the way there and back: 10 rounds. */
    assert_in_range(counts_of(scene)->opened, 20, 11 * 20);
    soak_over(scene);
    config.total = 50;
    scene = soak_run(&service, config, MS, 60 * NS_PER_S);
    assert_int_equal(counts_of(scene)->opened, 50);
    assert_int_equal(peer_soak_errors(counts_of(scene)), 50);
    soak_over(scene);
}

static void a_number_ends_idle_connections(void **state)
{
    (void)state;
    static const uint64_t flows[] = {10, 50, 100};
    struct manner_of_service service = {0};

    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        struct peer_soak_config config = {.protocol = "idle",
                                          .flows = flows[i],
                                          .total = flows[i],
                                          .touch = i == 1 ? 10 : 0,
                                          .duration_ns = 100 * NS_PER_S};
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        assert_int_equal(counts_of(scene)->established, flows[i]);
        assert_int_equal(counts_of(scene)->completed, i == 1 ? 10 : 0);
        assert_true(measured_ns(scene) < 2 * NS_PER_S); /* the last ones are held for 1 s */
        soak_over(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straggler_does_not_stretch_the_time),
        cmocka_unit_test(requests_belong_to_when_they_were_wanted),
        cmocka_unit_test(intervals_add_up_with_the_stragglers),
        cmocka_unit_test(the_number_of_requests_counts_after_the_warm_up),
        cmocka_unit_test(no_request_is_lost_where_the_warm_up_ends),
        cmocka_unit_test(a_late_end_of_the_warm_up_splits_no_request),
        cmocka_unit_test(what_failed_in_the_warm_up_is_forgotten),
        cmocka_unit_test(requests_lost_with_handshakes_belong_to_when_they_were_wanted),
        cmocka_unit_test(a_rate_and_a_number_end_for_any_number_of_flows),
        cmocka_unit_test(a_rate_that_is_reached_is_not_behind),
        cmocka_unit_test(a_rate_that_is_not_reached_is_behind),
        cmocka_unit_test(an_answer_that_came_twice_was_not_late),
        cmocka_unit_test(an_answer_after_its_time_is_late),
        cmocka_unit_test(a_datagram_that_differs_is_told_in_words),
        cmocka_unit_test(an_error_tells_what_had_been_sent),
        cmocka_unit_test(statuses_that_are_not_expected_are_errors),
        cmocka_unit_test(words_that_are_no_statuses_are_refused),
        cmocka_unit_test(headers_without_a_name_are_refused),
        cmocka_unit_test(idle_connections_that_are_refused_are_not_stormed),
        cmocka_unit_test(a_number_ends_idle_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
