/* SPDX-License-Identifier: BSD-3-Clause */
/* Soaks over TLS as callers of the library have them, in virtual time: what a handshake costs, who resumes,
   servers whose TLS is broken, and what bad manners do to it. */
#include "support/simtest.h"
#include "support/soaking.h"

#include "http/server.h"
#include "tls/tls.h"

#include <peer/tls.h>

enum { RTT_US = 2000, PEERS = 9 };

/* What the application does with a connection. */
enum service { SERVE_HTTP, SERVE_ECHO, SAY_PLAIN, CLOSE_AT_ONCE, SAY_NOTHING };

struct server {
    struct http_server http;
};

struct scene {
    struct soaking soaking;
    struct tls_context *called; /* NULL: it speaks no TLS */
    enum service service;
    uint64_t lose_each, frames, requests, handshakes;
    bool saw_plain;
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";

/* ---- the application ---- */

static void dress(void *user, struct end *end)
{
    struct scene *scene = user;

    if (scene->called)
        assert_int_equal(tls_begin(&end->flow, scene->called), 0);
}

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct scene *scene = user;

    (void)delay_ns;
    scene->saw_plain |= frame->packet.payload_len && memmem(frame->data + frame->packet.payload_at,
                                                            frame->packet.payload_len, "secret", 6);
    return !scene->lose_each || ++scene->frames % scene->lose_each != 0;
}

static void serve_http(struct end *end)
{
    struct server *server = end_own(end);
    struct scene *scene = end->user;
    struct iovec iov;

    while (flow_peek(&end->flow, &iov, 1) > 0) {
        char copy[4096];
        const size_t len = MIN(iov.iov_len, sizeof(copy));
        memcpy(copy, iov.iov_base, len);
        flow_consume(&end->flow, len);
        for (size_t at = 0; at < len;) {
            enum http_wants wants;
            at += http_server_take(&server->http, copy + at, len - at, &wants);
            if (wants != HTTP_WANTS_ANSWER)
                continue;
            scene->requests++;
            (void)flow_write(&end->flow, answer, sizeof(answer) - 1, 0);
        }
    }
}

static void serve_echo(struct end *end)
{
    struct iovec iov;

    while (flow_peek(&end->flow, &iov, 1) > 0) {
        ssize_t done = flow_write(&end->flow, iov.iov_base, iov.iov_len, 0);
        if (done <= 0)
            return;
        flow_consume(&end->flow, (size_t)done);
    }
}

static void on_event(struct end *end, unsigned events)
{
    struct scene *scene = end->user;

    if (events & FLOW_ACCEPTED) {
        scene->handshakes++;
        if (scene->service == SAY_PLAIN)
            (void)flow_write(&end->flow, answer, sizeof(answer) - 1, 0);
        if (scene->service == CLOSE_AT_ONCE)
            flow_close(&end->flow);
    }
    if (events & (FLOW_READABLE | FLOW_WRITABLE) && scene->service == SERVE_HTTP)
        serve_http(end);
    if (events & (FLOW_READABLE | FLOW_WRITABLE) && scene->service == SERVE_ECHO)
        serve_echo(end);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static void on_release(struct end *end)
{
    http_server_done(&((struct server *)end_own(end))->http);
}

static struct tls_context *make_called(void)
{
    const struct peer_tls_config config = {.versions = "1.2-1.3"};
    const struct tls_host host = {.peers = PEERS};
    struct tls_context *context = NULL;

    assert_int_equal(tls_context_new(&config, &host, &context, NULL), 0);
    assert_int_equal(tls_context_serve(context), 0);
    return context;
}

/* Soaks until it is over. `speaks`: the application has TLS too. */
static void run(struct scene *scene, bool speaks, const struct peer_tls_config *tls,
                struct peer_soak_config config)
{
    const struct simnet_config net = {.fate = fate, .dress = dress, .user = scene};
    const struct end application = {.on_event = on_event,
                                    .on_release = on_release,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct server)};
    struct peer_error error = {0};

    scene->called = speaks ? make_called() : NULL;
    soaking_begin(&scene->soaking, &net, &application);
    assert_int_equal(peer_tls_new(scene->soaking.peers, tls, &config.tls, &error), 0);
    if (soaking_start(&scene->soaking, &config, &error) < 0)
        fail_msg("%s", error.text);
    peer_tls_free(config.tls);
    soaking_finish(&scene->soaking, 600 * NS_PER_S);
}

static void scene_end(struct scene *scene)
{
    soaking_end(&scene->soaking);
    tls_context_free(scene->called);
}

static void assert_words(const struct scene *scene, const char *text, const char *words)
{
    (void)scene;
    if (!text || !strstr(text, words))
        fail_msg("\"%s\" instead of \"%s\"", text ? text : "nothing", words);
}

/* ---- as it should be ---- */

static void a_handshake_takes_its_round_trips(void **state)
{
    static const struct {
        const char *versions, *name;
        double round_trips;
    } rows[] = {{"1.3", "TLSv1.3", 1}, {"1.2", "TLSv1.2", 2}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene scene = {.service = SERVE_HTTP};
        const struct peer_tls_config tls = {.versions = rows[i].versions, .sni = "a.example"};
        run(&scene, true, &tls, (struct peer_soak_config){.flows = 4, .total = 40});
        const struct peer_soak_report *report = &scene.soaking.report;
        soaking_assert_counts(&scene.soaking, 40, 40, 0);
        assert_int_equal(scene.requests, 40);
        assert_int_equal(report->counts.tls, 4);
        assert_int_equal(report->counts.tls_resumed, 0);
        assert_int_equal(report->tls.count, 4);
        /* A histogram has three digits. */
        assert_true(report->tls.min > rows[i].round_trips * RTT_US * 0.999);
        assert_true(report->tls.max < rows[i].round_trips * RTT_US * 1.002);
        assert_true(report->handshake.max < RTT_US * 1.002); /* TCP's alone */
        assert_true(report->request.max < RTT_US * 1.002);
        assert_words(&scene, report->tls_agreed, rows[i].name);
        assert_false(scene.saw_plain);
        scene_end(&scene);
    }
}

static void sessions_are_resumed_by_share_and_peer(void **state)
{
    static const struct {
        double share;
        uint64_t least, most;
    } rows[] = {{0, 0, 0}, {1, 5 * PEERS, 5 * PEERS}, {0.5, 2 * PEERS, 3 * PEERS}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene scene = {.service = SERVE_HTTP};
        const struct peer_tls_config tls = {.resume = rows[i].share};
        run(&scene, true, &tls,
            (struct peer_soak_config){.total = 6 * PEERS, .requests_per_connection = 1});
        soaking_assert_counts(&scene.soaking, 6 * PEERS, 6 * PEERS, 0);
        assert_int_equal(scene.soaking.counts.tls, 6 * PEERS);
        assert_in_range(scene.soaking.counts.tls_resumed, rows[i].least, rows[i].most);
        scene_end(&scene);
    }
}

static void messages_come_back_as_they_were(void **state)
{
    static const struct {
        uint64_t size, lose_each;
    } rows[] = {{1, 0}, {64, 0}, {40000, 0}, {3000, 23}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene scene = {.service = SERVE_ECHO, .lose_each = rows[i].lose_each};
        const struct peer_tls_config tls = {0};
        run(&scene, true, &tls,
            (struct peer_soak_config){
                .protocol = "echo", .flows = 5, .total = 50, .message_bytes = rows[i].size});
        soaking_assert_counts(&scene.soaking, 50, 50, 0);
        assert_int_equal(scene.soaking.counts.bytes_sent, 50 * rows[i].size);
        assert_int_equal(scene.soaking.counts.bytes_received, 50 * rows[i].size);
        assert_true(!rows[i].lose_each == !scene.soaking.report.retransmits);
        scene_end(&scene);
    }
}

static void connections_are_held(void **state)
{
    struct scene scene = {.service = SERVE_ECHO};
    const struct peer_tls_config tls = {0};

    (void)state;
    run(&scene, true, &tls,
        (struct peer_soak_config){.protocol = "idle", .flows = 20, .total = 20, .touch = 20});
    assert_int_equal(scene.soaking.counts.tls, 20);
    assert_int_equal(scene.soaking.report.open_most, 20);
    assert_int_equal(peer_soak_errors(&scene.soaking.counts), 0);
    scene_end(&scene);
}

/* ---- servers whose TLS is none ---- */

static void what_goes_wrong_has_its_kind(void **state)
{
    static const struct {
        enum service service;
        bool speaks, verify;
        enum peer_soak_error kind;
        const char *words;
    } rows[] = {
        {SAY_PLAIN, false, false, PEER_SOAK_TLS_PROTOCOL, "wrong version number"},
        {CLOSE_AT_ONCE, false, false, PEER_SOAK_TLS_CLOSED, "handshake"},
        {SAY_NOTHING, false, false, PEER_SOAK_TIMEOUT, "TLS"},
        {SERVE_HTTP, true, true, PEER_SOAK_TLS_CERTIFICATE, "self-signed"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene scene = {.service = rows[i].service};
        const struct peer_tls_config tls = {.verify = rows[i].verify, .name = "a.example"};
        run(&scene, rows[i].speaks, &tls,
            (struct peer_soak_config){.flows = 2, .total = 6, .timeout_ns = NS_PER_S});
        soaking_assert_counts(&scene.soaking, 0, 0, 6);
        assert_words(&scene, scene.soaking.report.first_errors[rows[i].kind], rows[i].words);
        assert_int_equal(scene.requests, 0);
        scene_end(&scene);
    }
}

/* ---- manners ---- */

/* Those that do something to their flow leave the healthy ones as they are, and end with the run. */
static void manners_go_with_tls(void **state)
{
    static const struct {
        const char *manner;
        bool answered; /* at least one of its requests */
        bool secured;  /* its handshakes are done */
    } rows[] = {
        {"vanish:30%@1s", true, true},           {"vanish:30%@connected", false, false},
        {"reset:30%@200ms", true, true},         {"stall:30%@200ms", true, true},
        {"slow-reader:30%:2000B/s", true, true}, {"slow-writer:30%:2000B/s", true, true},
        {"half-close:30%", true, true},          {"no-close:30%@200ms", true, true},
        {"tiny-segments:30%:7B", true, true},    {"overlap:30%", true, true},
        {"duplicate-data:30%", true, true},      {"out-of-order:30%", true, true},
        {"bad-checksum:30%", true, true},        {"tls-silent:30%", false, false},
        {"tls-half-hello:30%", false, false},    {"tls-garbage:30%", false, false},
        {"tls-no-finish:30%", false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene scene = {.service = SERVE_HTTP};
        const struct peer_tls_config tls = {0};
        struct peer_soak_manner manner = {0};
        run(&scene, true, &tls,
            (struct peer_soak_config){.flows = 10,
                                      .duration_ns = 5 * NS_PER_S,
                                      .think_ns = 20 * NS_PER_MS,
                                      .timeout_ns = 3 * NS_PER_S,
                                      .manners = rows[i].manner});
        assert_int_equal(peer_result_get_manner(scene.soaking.result, 0, &manner), 1);
        if (peer_soak_errors(&scene.soaking.counts) || scene.soaking.counts.completed < 7 * 200 ||
            manner.begun < manner.flows || rows[i].answered != (manner.counts.completed > 0) ||
            rows[i].secured != (manner.counts.tls > 0))
            fail_msg("%s: %llu errors, %llu answers; begun %llu, answered %llu, TLS %llu",
                     rows[i].manner, (unsigned long long)peer_soak_errors(&scene.soaking.counts),
                     (unsigned long long)scene.soaking.counts.completed,
                     (unsigned long long)manner.begun, (unsigned long long)manner.counts.completed,
                     (unsigned long long)manner.counts.tls);
        scene_end(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_takes_its_round_trips),
        cmocka_unit_test(sessions_are_resumed_by_share_and_peer),
        cmocka_unit_test(messages_come_back_as_they_were),
        cmocka_unit_test(connections_are_held),
        cmocka_unit_test(what_goes_wrong_has_its_kind),
        cmocka_unit_test(manners_go_with_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
