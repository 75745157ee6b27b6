/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of a soak in virtual time. The application is another peer, which answers as the test
 * says; since nothing but the link's 1 ms and its own pauses takes time, every count is exact.
 */
#include "support/simtest.h"
#include "support/soaking.h"

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
    uint64_t stray_every;  /* UDP: every n-th answer is STRAY_NS on its way; 0: none */
    uint64_t late_ns;      /* the machine that all this runs on is busy */
    bool deaf;             /* no handshake comes through */
};

#define STRAY_NS (300 * MS)

/* What the application knows of a connection, or of a caller of datagrams. */
struct asker {
    uint64_t number; /* of the connection */
    char asked[256];
    size_t asked_len;
};

struct scene {
    struct soaking soaking;
    struct manner_of_service service;
    uint64_t accepted, asked, answers;
};

static void reply(struct end *end)
{
    struct scene *scene = end->user;
    struct asker *asker = end_own(end);
    const struct manner_of_service *service = &scene->service;

    if (end->flow.conn.protocol == IPPROTO_UDP) {
        for (unsigned i = 0; i < MAX(service->copies, 1u); i++)
            (void)flow_write(&end->flow, asker->asked, asker->asked_len - service->cut, 0);
    } else if (service->answer) {
        (void)flow_write(&end->flow, service->answer, strlen(service->answer), 0);
    } else {
        flow_close(&end->flow);
    }
}

static void asked(struct end *end)
{
    struct scene *scene = end->user;
    struct asker *asker = end_own(end);
    bool udp = end->flow.conn.protocol == IPPROTO_UDP;
    uint64_t every = scene->service.silent_every;
    struct iovec iov[8];
    int count;

    while ((count = flow_peek(&end->flow, iov, 8)) > 0) {
        asker->asked_len = iov_total(iov, count);
        assert_true(asker->asked_len <= sizeof(asker->asked));
        iov_gather(iov, count, asker->asked);
        flow_consume(&end->flow, asker->asked_len);
        scene->asked++;
        uint64_t number = udp ? scene->asked : asker->number;
        if (every && number % every == 0)
            continue;
        if (scene->service.pause_ns)
            end_wait(end, scene->service.pause_ns);
        else
            reply(end);
    }
}

static void serve(struct end *end, unsigned events)
{
    struct scene *scene = end->user;
    const char *greeting = scene->service.greeting;

    if (events & FLOW_ACCEPTED)
        ((struct asker *)end_own(end))->number = ++scene->accepted;
    if (events & FLOW_ACCEPTED && greeting)
        (void)flow_write(&end->flow, greeting, strlen(greeting), 0);
    if (events & FLOW_ACCEPTED && scene->service.closes_at_once) {
        flow_close(&end->flow);
        return;
    }
    if (events & FLOW_READABLE)
        asked(end);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static unsigned lose_all(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user;
    (void)frame;
    (void)delay_ns;
    return 0;
}

static unsigned stray(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct scene *scene = user;

    if (frame->packet.src_port == SOAKING_PORT &&
        ++scene->answers % scene->service.stray_every == 0)
        *delay_ns = STRAY_NS;
    return 1;
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static struct scene *scene_new(const struct manner_of_service *service, uint64_t delay_ns)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct simnet_config net = {
        .delay_ns = delay_ns, .late_ns = service->late_ns, .user = scene,
        .fate = service->deaf ? lose_all : service->stray_every ? stray : NULL};
    struct end application = {.on_event = serve,
                              .on_timer = reply,
                              .drop_when_ended = true,
                              .user = scene,
                              .own_bytes = sizeof(struct asker)};

    assert_non_null(scene);
    scene->service = *service;
    soaking_begin(&scene->soaking, &net, &application);
    return scene;
}

static struct scene *soak_start(const struct manner_of_service *service,
                                struct peer_soak_config config, uint64_t delay_ns)
{
    struct scene *scene = scene_new(service, delay_ns);
    struct peer_error error = {0};

    if (soaking_start(&scene->soaking, &config, &error) < 0)
        fail_msg("%s", error.text);
    return scene;
}

/* Runs `config` against `service` until it is over; soak_over frees. */
static struct scene *soak_run(const struct manner_of_service *service,
                              struct peer_soak_config config, uint64_t delay_ns, uint64_t limit_ns)
{
    struct scene *scene = soak_start(service, config, delay_ns);

    soaking_finish(&scene->soaking, limit_ns);
    return scene;
}

static void soak_over(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &scene->soaking.counts;
}

static const struct peer_soak_report *report_of(const struct scene *scene)
{
    return &scene->soaking.report;
}

static uint64_t measured_ns(const struct scene *scene)
{
    return scene->soaking.report.duration_ns;
}

static void assert_accounted(const struct scene *scene, uint64_t sent, uint64_t completed,
                             uint64_t errors)
{
    soaking_assert_counts(&scene->soaking, sent, completed, errors);
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
    assert_int_equal(report_of(scene)->in_time.completed, 7 * 166);
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
    assert_int_equal(report_of(scene)->in_time.completed, 5);
    assert_int_equal(report_of(scene)->carried, 1);
    assert_int_equal(peer_result_get_status(scene->soaking.result, 200), 6);
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

    while (peer_soak_pop_interval(scene->soaking.soak, &interval)) {
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

struct moment {
    struct simnet *net;
    uint64_t at_ns;
};

static bool is_past(void *user)
{
    const struct moment *moment = user;

    return simnet_now_ns(moment->net) > moment->at_ns;
}

/* In the first turn behind it, however late that comes, the measured time counts from there. */
static void assert_measuring_begins(struct scene *scene, uint64_t at_ns)
{
    struct moment moment = {scene->soaking.net, at_ns};

    assert_true(simnet_run(moment.net, is_past, &moment, at_ns + NS_PER_S));
    soaking_look(&scene->soaking);
    assert_int_equal(measured_ns(scene), simnet_now_ns(moment.net) - at_ns);
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
        struct scene *scene = soak_start(&service, config, MS);
        uint64_t wanted = config.total ? config.total : (uint64_t)config.rate;

        assert_measuring_begins(scene, scene->soaking.start_ns + config.warmup_ns);
        soaking_finish(&scene->soaking, 60 * NS_PER_S);
        assert_accounted(scene, wanted, wanted, 0);
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
        assert_int_equal(scene->asked,
                         report_of(scene)->warmed + report_of(scene)->carried + requests);
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

    uint64_t all_ns = simnet_now_ns(scene->soaking.net) - scene->soaking.start_ns;
    assert_true(measured_ns(scene) + config.warmup_ns <= all_ns);
    assert_int_equal(counts_of(scene)->requests,
                     counts_of(scene)->completed + peer_soak_errors(counts_of(scene)));
    assert_true((report_of(scene)->first_error != NULL) ==
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
            assert_int_equal(report_of(scene)->behind, 0);
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
    double latest_us = report_of(scene)->request.max;

    assert_accounted(scene, 20, 20, 0);
    assert_int_equal(report_of(scene)->behind, 80);
    assert_true(latest_us > 850000 && latest_us < 853000); /* wanted at 190, done at 1042 */
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
    assert_string_equal(report_of(scene)->first_error, "no answer in time");
    soak_over(scene);
    scene = soak_run(&service, datagrams(20), 76 * MS, 60 * NS_PER_S);
    assert_accounted(scene, 20, 0, 20);
    assert_int_equal(counts_of(scene)->late, 10);
    assert_int_equal(counts_of(scene)->duplicates, 0);
    soak_over(scene);
}

/* A hundred requests later: they are known as long as the flow lives, and hurt no other request. */
static void an_old_answer_is_known_for_what_it_is(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {64, 23, 15};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct manner_of_service service = {.copies = 2, .stray_every = 2};
        struct peer_soak_config config = datagrams(300);
        config.message_bytes = sizes[i];
        struct scene *scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        assert_accounted(scene, 300, 300, 0);
        assert_in_range(counts_of(scene)->duplicates, 140, 160);
        assert_int_equal(counts_of(scene)->late, 0);
        soak_over(scene);
        service = (struct manner_of_service){.stray_every = 100};
        scene = soak_run(&service, config, MS, 60 * NS_PER_S);
        assert_accounted(scene, 300, 297, 3);
        assert_int_equal(counts_of(scene)->timeout, 3);
        assert_int_equal(counts_of(scene)->duplicates, 0);
        assert_in_range(counts_of(scene)->late, 1, 2);
        soak_over(scene);
    }
}

static void a_datagram_that_differs_is_told_in_words(void **state)
{
    (void)state;
    struct manner_of_service service = {.cut = 1};
    struct scene *scene = soak_run(&service, datagrams(5), MS, 60 * NS_PER_S);

    assert_accounted(scene, 5, 0, 5);
    assert_int_equal(counts_of(scene)->bad_answer, 5);
    assert_string_equal(report_of(scene)->first_error,
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
        assert_string_equal(report_of(scene)->first_error, rows[i].text);
        assert_string_equal(report_of(scene)->first_errors[PEER_SOAK_CLOSED_EARLY], rows[i].text);
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
        assert_int_equal(peer_result_get_status(scene->soaking.result, 404), 10);
        assert_int_equal(counts_of(scene)->statuses[4], 10);
        assert_int_equal(counts_of(scene)->established, 1); /* the connection goes on */
        if (rows[i].errors)
            assert_string_equal(report_of(scene)->first_error, "status 404");
        soak_over(scene);
    }
}

static void words_that_are_no_statuses_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "20",   "2x",      "2000", "200,", ",200", "300-200",
                                        "0xx", "200 ", "2xx-3xx", "-200", "200-", "abc",  "99"};
    const struct manner_of_service service = {0};
    struct scene *scene = scene_new(&service, MS);

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct peer_error error = {0};
        struct peer_soak_config config = {.expect = texts[i]};
        assert_int_equal(soaking_start(&scene->soaking, &config, &error), -EINVAL);
        assert_non_null(strstr(error.text, "status"));
    }
    soak_over(scene);
}

/* The colon ends the name, and the name is a token. */
static void headers_without_a_name_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        ": v",   ":",     "X Y: a",   " X: a",        "X : a",
        "X\t:a", "X(: a", "\"X\": a", "X\xc3\xa9: a", "a/b: http://c"};
    const struct manner_of_service service = {0};
    struct scene *scene = scene_new(&service, MS);

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *const headers[] = {"A: b", texts[i], NULL};
        struct peer_error error = {0};
        struct peer_soak_config config = {.headers = headers};
        assert_int_equal(soaking_start(&scene->soaking, &config, &error), -EINVAL);
        assert_non_null(strstr(error.text, "no header's name"));
    }
    soak_over(scene);
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
        TEST(a_straggler_does_not_stretch_the_time),
        TEST(requests_belong_to_when_they_were_wanted),
        TEST(intervals_add_up_with_the_stragglers),
        TEST(the_number_of_requests_counts_after_the_warm_up),
        TEST(no_request_is_lost_where_the_warm_up_ends),
        TEST(a_late_end_of_the_warm_up_splits_no_request),
        TEST(what_failed_in_the_warm_up_is_forgotten),
        TEST(requests_lost_with_handshakes_belong_to_when_they_were_wanted),
        TEST(a_rate_and_a_number_end_for_any_number_of_flows),
        TEST(a_rate_that_is_reached_is_not_behind),
        TEST(a_rate_that_is_not_reached_is_behind),
        TEST(an_answer_that_came_twice_was_not_late),
        TEST(an_answer_after_its_time_is_late),
        TEST(an_old_answer_is_known_for_what_it_is),
        TEST(a_datagram_that_differs_is_told_in_words),
        TEST(an_error_tells_what_had_been_sent),
        TEST(statuses_that_are_not_expected_are_errors),
        TEST(words_that_are_no_statuses_are_refused),
        TEST(headers_without_a_name_are_refused),
        TEST(idle_connections_that_are_refused_are_not_stormed),
        TEST(a_number_ends_idle_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
