/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP between a soak and a server that reads requests strictly and answers by a script, in virtual
 * time. The server keeps what it read, so that a request inside another's body is seen.
 */
#include "support/wire.h"

#include "http/server.h"
#include "workload/soak.h"

enum { PORT = 80, BODY = 12000000 /* more than a send and a receive buffer */ };
#define MS NS_PER_MS

/* What the server does behind its words. */
enum act {
    ACT_CLOSE = 1, /* FIN */
    ACT_RESET = 2, /* RST */
    ACT_STOP = 4,  /* it reads no more of this connection */
    ACT_LATE = 8,  /* FIN or RST, but not in one go with the answer */
    ACT_DRIP = 16, /* says it byte by byte */
};
struct script {
    const char *early; /* said when the head is there, NULL: nothing */
    unsigned early_act;
    const char *answer; /* said when all is there */
    unsigned act;
    const char *hundred; /* to a body that waits; NULL: nothing */
};

struct server_flow {
    struct wire_flow wire; /* first */
    struct http_server http;
    struct timer late;
    unsigned act;
    const char *left; /* of what drips */
    bool early, stopped;
};

struct scene {
    struct wire wire;
    const struct script *scripts; /* one a request, the last for all that follow */
    size_t script_count;
    struct soak *soak;
    uint64_t accepted, requests, refused, ended_connections;
    uint64_t client_fins, server_fins; /* the first of a connection */
    uint16_t ports[16];
    size_t ended;
    uint64_t head_ns, whole_ns; /* of the last request with a body */
};

static const struct script *script_of(const struct scene *scene)
{
    uint64_t number = scene->requests;

    return &scene->scripts[MIN(number, (uint64_t)scene->script_count - 1)];
}

static void end(struct server_flow *server, unsigned act)
{
    if (act & ACT_RESET)
        flow_reset(&server->wire.flow);
    else if (act & ACT_CLOSE)
        flow_close(&server->wire.flow);
}

static void late_fire(struct timer *timer, uint64_t now_ns)
{
    struct server_flow *server = list_entry(timer, struct server_flow, late);
    struct scene *scene = server->wire.user;

    if (!server->left || !*server->left) {
        end(server, server->act);
        return;
    }
    assert_int_equal(flow_write(&server->wire.flow, server->left++, 1, 0), 1);
    (void)timer_arm(engine_timers(scene->wire.engine), timer, now_ns + MS / 10);
}

static void say(struct server_flow *server, const char *text, unsigned act)
{
    struct scene *scene = server->wire.user;

    server->left = act & ACT_DRIP ? text : NULL;
    if (text && !server->left)
        assert_int_equal(flow_write(&server->wire.flow, text, strlen(text), 0), strlen(text));
    if (act & ACT_STOP)
        server->stopped = true;
    server->act = act;
    if (act & (ACT_LATE | ACT_DRIP))
        (void)timer_arm(engine_timers(scene->wire.engine), &server->late,
                        scene->wire.now_ns + MS / 2);
    else
        end(server, act);
}

static void want(struct server_flow *server, enum http_wants wants)
{
    struct scene *scene = server->wire.user;
    const struct script *script = script_of(scene);

    if (wants == HTTP_WANTS_CONTINUE && script->hundred)
        say(server, script->hundred, 0);
    if (wants == HTTP_WANTS_REFUSAL)
        scene->refused++;
    if (wants != HTTP_WANTS_ANSWER)
        return;
    scene->requests++;
    scene->whole_ns = scene->wire.now_ns;
    server->early = false;
    say(server, script->answer, script->act);
}

static void read_some(struct server_flow *server, const char *data, size_t len)
{
    struct scene *scene = server->wire.user;
    size_t at = 0;

    while (at < len && !server->stopped && server->wire.flow.state != FLOW_ENDED) {
        enum http_wants wants;
        at += http_server_take(&server->http, data + at, len - at, &wants);
        if (server->http.in_body && !server->early) {
            server->early = true;
            scene->head_ns = scene->wire.now_ns;
            say(server, script_of(scene)->early, script_of(scene)->early_act);
        }
        want(server, wants);
        if (wants == HTTP_WANTS_REFUSAL)
            return;
    }
}

static void server_event(struct wire_flow *flow, unsigned events)
{
    struct server_flow *server = (struct server_flow *)(void *)flow;
    struct scene *scene = flow->user;
    struct iovec iov;

    while (!server->stopped && events & FLOW_READABLE && flow_peek(&flow->flow, &iov, 1) > 0) {
        char *copy = malloc(iov.iov_len);
        memcpy(copy, iov.iov_base, iov.iov_len);
        flow_consume(&flow->flow, iov.iov_len);
        read_some(server, copy, iov.iov_len);
        free(copy);
    }
    if (events & FLOW_EOF)
        flow_close(&flow->flow);
    if (events & FLOW_END) {
        scene->ended_connections++;
        flow_free(&flow->flow);
    }
}

static void server_release(struct flow *flow)
{
    struct server_flow *server = (struct server_flow *)(void *)flow;
    struct scene *scene = server->wire.user;

    timer_cancel(engine_timers(scene->wire.engine), &server->late);
    http_server_done(&server->http);
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
    scene->accepted++;
    timer_init(&server->late, late_fire);
    flow_init_accepted(&server->wire.flow, engine_flows(scene->wire.engine), &ops);
    return &server->wire.flow;
}

/* Who sends the first FIN of a connection. */
static bool watch(void *user, uint64_t number, const struct packet *packet)
{
    struct scene *scene = user;
    bool by_server = packet->src_port == PORT;
    uint16_t port = by_server ? packet->dst_port : packet->src_port;

    (void)number;
    if (packet->kind != PACKET_TCP || !(packet->tcp_flags & 1))
        return false;
    for (size_t i = 0; i < scene->ended; i++) {
        if (scene->ports[i] == port)
            return false;
    }
    if (scene->ended < ARRAY_SIZE(scene->ports))
        scene->ports[scene->ended++] = port;
    ++*(by_server ? &scene->server_fins : &scene->client_fins);
    return false;
}

static bool is_over(void *user)
{
    return ((struct scene *)user)->soak->over;
}

/* Of a test that failed: the engine is one in a process. */
static struct scene *current;

static int teardown(void **state)
{
    (void)state;
    if (current)
        engine_free(current->wire.engine);
    current = NULL;
    return 0;
}

/* Soaks until it is over, a few requests on one connection at a time; scene_free frees. */
static struct scene *run(const struct script *scripts, size_t count, struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct peer_error error = {0};

    assert_non_null(scene);
    wire_init(&scene->wire, "198.18.0.1-198.18.0.9", true, 1);
    current = scene;
    scene->wire.accept = accept_server;
    scene->wire.loses = watch;
    scene->wire.user = scene;
    scene->scripts = scripts;
    scene->script_count = count;
    config.to = wire_addr("198.18.0.9");
    config.to_port = PORT;
    if (!config.total)
        config.total = 4;
    if (!config.timeout_ns)
        config.timeout_ns = 3 * NS_PER_S;
    (void)wire_listen(&scene->wire, IPPROTO_TCP, "198.18.0.9", PORT);
    if (soak_start(&config, engine_flows(scene->wire.engine), &scene->wire.peers, 1, &scene->soak,
                   &error) < 0)
        fail_msg("%s", error.text);
    wire_run(&scene->wire, 60 * NS_PER_S, is_over);
    assert_true(scene->soak->over);
    return scene;
}
#define RUN_AT(scripts, count, ...) run(scripts, count, (struct peer_soak_config){__VA_ARGS__})
#define RUN(scripts, ...)           run(scripts, ARRAY_SIZE(scripts), (struct peer_soak_config){__VA_ARGS__})

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &scene->soak->measure.counts;
}

static void scene_free(struct scene *scene)
{
    soak_free(scene->soak);
    wire_run(&scene->wire, 60 * NS_PER_S, NULL);
    wire_done(&scene->wire);
    free(scene);
    current = NULL;
}

/* All were answered, and no request began where it should not. */
static void assert_fine(const struct scene *scene, uint64_t requests, uint64_t connections)
{
    const struct peer_soak_counts *counts = counts_of(scene);

    if (peer_soak_errors(counts))
        fail_msg("%s", scene->soak->first_error);
    assert_int_equal(counts->requests, requests);
    assert_int_equal(counts->completed, requests);
    assert_int_equal(scene->accepted, connections);
    assert_int_equal(scene->refused, 0);
}

static uint64_t since_start(const struct scene *scene)
{
    return scene->wire.now_ns - NS_PER_S;
}

static char body[BODY];

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char ok_last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/* ---- answers before the end of the request ---- */

static void the_rest_of_a_body_follows_an_early_answer(void **state)
{
    static const struct script early[] = {{.early = ok}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY);
    assert_fine(scene, 4, 1);
    assert_int_equal(counts_of(scene)->statuses[2], 4);
    wire_run(&scene->wire, NS_PER_S, NULL);
    assert_int_equal(scene->requests, 4);
    scene_free(scene);
}

/* The end of the body waits for a window when the run is freed, and with it the body's memory. */
static void a_run_may_end_while_it_sends(void **state)
{
    static const struct script early[] = {{.early = ok, .early_act = ACT_STOP}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY / 2, .total = 1);
    assert_fine(scene, 1, 1);
    assert_int_equal(scene->ended_connections, 0);
    scene->soak = soak_free(scene->soak);
    wire_run(&scene->wire, 10 * MS, NULL);
    assert_int_equal(scene->ended_connections, 1);
    scene_free(scene);
}

static void an_early_answer_that_closes_ends_the_upload(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", ok_last};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        /* It reads no more, and waits for the client to close. */
        const struct script early[] = {{.early = answers[i], .early_act = ACT_STOP}};
        for (size_t len = 200000; len <= BODY; len += BODY - 200000) {
            struct scene *scene = RUN(early, .body = body, .body_len = len);
            assert_fine(scene, 4, 4);
            assert_int_equal(counts_of(scene)->statuses[i == 2 ? 2 : 4], 4);
            assert_true(since_start(scene) < 100 * MS);
            wire_run(&scene->wire, NS_PER_S, NULL);
            assert_int_equal(scene->ended_connections, 4); /* it did not wait in vain */
            scene_free(scene);
        }
    }
}

static void an_upload_that_breaks_after_its_answer_is_an_error(void **state)
{
    static const struct script early[] = {{.early = ok, .early_act = ACT_RESET}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY);
    assert_int_equal(counts_of(scene)->completed, 0);
    assert_int_equal(counts_of(scene)->reset, 4);
    assert_int_equal(counts_of(scene)->statuses[2], 0);
    scene_free(scene);
}

static void an_upload_that_is_not_taken_is_told_from_no_answer(void **state)
{
    static const struct script early[] = {{.early = ok, .early_act = ACT_STOP}};

    (void)state;
    struct scene *scene = RUN(early, .body = body, .body_len = BODY, .total = 1);
    assert_int_equal(counts_of(scene)->timeout, 1);
    assert_non_null(strstr(scene->soak->first_error, "answered in time, but the rest"));
    scene_free(scene);
}

/* ---- bodies ---- */

static void some_answers_have_no_body_whatever_they_say(void **state)
{
    static const struct {
        const char *answer, *method;
    } rows[] = {
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "GET"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "GET"},
        {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "GET"},
        {"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\n", "GET"},
        {"HTTP/1.1 205 Reset Content\r\n\r\n", "POST"},
        {"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n", "GET"},
        {"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "HEAD"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"},
        {"HTTP/1.1 200 OK\r\n\r\n", "HEAD"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
         "GET"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nok", "GET"},
        {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "GET"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
         "GET"},
        {"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", "GET"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct script script[] = {{.answer = rows[i].answer}};
        struct scene *scene = RUN(script, .method = rows[i].method);
        assert_fine(scene, 4, 1);
        scene_free(scene);
    }
}

static void an_answer_may_come_byte_by_byte(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nto the end"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        bool ends = i == 4;
        /* The second one is known as a whole by then. */
        const struct script script[] = {
            {.answer = answers[i], .act = ends ? ACT_CLOSE : 0},
            {.answer = answers[i], .act = ACT_DRIP | (ends ? ACT_CLOSE : 0)}};
        struct scene *scene = RUN(script, .total = 3);
        assert_fine(scene, 3, ends ? 3 : 1);
        scene_free(scene);
    }
}

static void what_ends_with_the_connection_is_whole(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\n\r\nall of it",
                                          "HTTP/1.0 200 OK\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct script script[] = {{.answer = answers[i], .act = ACT_CLOSE}};
        struct scene *scene = RUN(script, .total = 4);
        assert_fine(scene, 4, 4);
        scene_free(scene);
    }
}

static void wrong_lengths_are_named(void **state)
{
    static const struct {
        const char *answer, *word;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
         "unequal Content-Lengths, 2 and 3"},
        {"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", "Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "both Transfer-Encoding and Content-Length"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok\r\n", "a chunk without a size"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", "bytes follow"},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "bytes follow"},
        {"SSH-2.0-OpenSSH_9\r\n", "no status line: \"SSH-2.0-OpenSSH_9\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct script script[] = {{.answer = rows[i].answer}};
        struct scene *scene = RUN(script, .total = 3);
        assert_int_equal(counts_of(scene)->bad_answer, 3);
        assert_int_equal(counts_of(scene)->completed, 0);
        if (!strstr(scene->soak->first_error, rows[i].word))
            fail_msg("\"%s\": %s", rows[i].word, scene->soak->first_error);
        scene_free(scene);
    }
}

static void another_protocol_is_not_awaited(void **state)
{
    static const char *const headers[] = {"Connection: upgrade", "Upgrade: x", NULL};
    static const struct script script[] = {
        {.answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x81\x03hey"}};

    (void)state;
    struct scene *scene = RUN(script, .headers = headers);
    assert_fine(scene, 4, 4);
    assert_int_equal(counts_of(scene)->statuses[1], 4);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);
}

/* ---- closing ---- */

static void who_reads_the_last_byte_closes(void **state)
{
    static const struct script patient[] = {{.answer = ok_last}}; /* waits for the client's FIN */

    (void)state;
    struct scene *scene = RUN(patient, .total = 4);
    assert_fine(scene, 4, 4);
    assert_int_equal(scene->client_fins, 4);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);
}

/* TIME-WAIT falls to who sends the first FIN. */
static void the_server_may_close_first_for_a_moment(void **state)
{
    static const struct script prompt[] = {{.answer = ok_last, .act = ACT_CLOSE}};

    (void)state;
    struct scene *scene = RUN(prompt, .total = 4);
    assert_fine(scene, 4, 4);
    assert_int_equal(scene->server_fins, 4);
    assert_int_equal(scene->client_fins, 0);
    scene_free(scene);
}

static void a_connection_that_is_asked_to_close_carries_one_request(void **state)
{
    static const char *const headers[][2] = {{"Connection: close", NULL},
                                             {"connection: TE, Close", NULL},
                                             {"Content-Length: 5", NULL},
                                             {"Content-Length: x", NULL},
                                             {"Transfer-Encoding: gzip", NULL}};
    static const struct script script[] = {{.answer = ok}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene = RUN(script, .headers = headers[i]);
        assert_fine(scene, 4, 4);
        scene_free(scene);
    }
    for (size_t i = 2; i < ARRAY_SIZE(headers); i++) { /* nobody knows where the request ends */
        static const struct script early[] = {{.early = ok, .answer = ok}};
        struct scene *scene = RUN(early, .headers = headers[i]);
        assert_int_equal(scene->accepted, 4);
        assert_int_equal(scene->requests, 0);
        scene_free(scene);
    }
}

/* ---- requests ---- */

/* Runs one request and compares it, all but what stands before `from`. */
static void assert_request(const char *expected, struct peer_soak_config config)
{
    struct addr_set peers;
    struct soak soak = {.config = config, .peers = &peers};
    struct peer_error error = {0};

    if (!config.to_port)
        soak.config.host = "h";
    assert_int_equal(soak_http_prepare(&soak, &error), 0);
    const char *text = soak.request.text ? soak.request.text : soak.request.last_text;
    size_t len = soak.request.text ? soak.request.len : soak.request.last_len;
    if (len != strlen(expected) || memcmp(text, expected, len) != 0)
        fail_msg("\"%.*s\" instead of \"%s\"", (int)len, text, expected);
    free(soak.request.text);
    free(soak.request.last_text);
}

static void the_users_headers_stand_for_ours(void **state)
{
    static const char *const own[] = {"hOST: other", "user-agent: me", "Accept: a/b", NULL};
    static const char *const length[] = {"content-length: 7", NULL};
    static const char *const chunked[] = {"Transfer-Encoding: chunked", NULL};
    static const char *const keep[] = {"Connection: keep-alive", NULL};
    static const char *const closes[] = {"CONNECTION: close", NULL};
#define OURS "Host: h\r\nUser-Agent: peer\r\n"

    (void)state;
    assert_request("GET / HTTP/1.1\r\n" OURS "\r\n", (struct peer_soak_config){0});
    assert_request("GET /a HTTP/1.1\r\nhOST: other\r\nuser-agent: me\r\nAccept: a/b\r\n\r\n",
                   (struct peer_soak_config){.headers = own, .path = "/a"});
    assert_request("POST / HTTP/1.1\r\n" OURS "Content-Length: 2\r\n\r\nab",
                   (struct peer_soak_config){.body = "ab", .body_len = 2});
    assert_request("POST / HTTP/1.1\r\n" OURS "Content-Length: 0\r\n\r\n",
                   (struct peer_soak_config){.body = ""});
    for (size_t i = 0; i < 3; i++) {
        static const char *const methods[] = {"POST", "PUT", "PATCH"};
        char expected[100];
        snprintf(expected, sizeof(expected), "%s / HTTP/1.1\r\n" OURS "Content-Length: 0\r\n\r\n",
                 methods[i]);
        assert_request(expected, (struct peer_soak_config){.method = methods[i]});
    }
    assert_request("DELETE / HTTP/1.1\r\n" OURS "\r\n",
                   (struct peer_soak_config){.method = "DELETE"});
    assert_request("GET / HTTP/1.1\r\n" OURS "Content-Length: 0\r\n\r\n",
                   (struct peer_soak_config){.method = "GET", .body = ""});
    assert_request("POST / HTTP/1.1\r\n" OURS "content-length: 7\r\nConnection: close\r\n\r\nab",
                   (struct peer_soak_config){.body = "ab", .body_len = 2, .headers = length});
    assert_request("POST / HTTP/1.1\r\n" OURS
                   "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
                   (struct peer_soak_config){.body = "ab", .body_len = 2, .headers = chunked});
    assert_request("PUT / HTTP/1.1\r\n" OURS "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   (struct peer_soak_config){.method = "PUT", .headers = chunked});
    assert_request("GET / HTTP/1.1\r\n" OURS "Connection: keep-alive\r\n\r\n",
                   (struct peer_soak_config){.headers = keep, .requests_per_connection = 1});
    assert_request("GET / HTTP/1.1\r\n" OURS "CONNECTION: close\r\n\r\n",
                   (struct peer_soak_config){.headers = closes});
    assert_request("GET / HTTP/1.1\r\n" OURS "Connection: close\r\n\r\n",
                   (struct peer_soak_config){.requests_per_connection = 1});
}

/* RFC 9112 3.2: what stands between method and version, and the Host that goes with it. */
static void methods_have_their_own_targets(void **state)
{
    static const struct {
        const char *method, *host, *path, *target, *expected_host;
    } rows[] = {
        {"OPTIONS", "h", NULL, "*", "h"},
        {"OPTIONS", "h", "/", "/", "h"},
        {"OPTIONS", "h:81", "/a?b", "/a?b", "h:81"},
        {"options", "h", NULL, "/", "h"}, /* another method: they are told apart by case */
        {"CONNECT", "h", NULL, "h:8080", "h:8080"},
        {"CONNECT", "h", "/", "h:8080", "h:8080"},
        {"CONNECT", "h:81", NULL, "h:81", "h:81"},
        {"CONNECT", "[2001:db8::1]", NULL, "[2001:db8::1]:8080", "[2001:db8::1]:8080"},
        {"CONNECT", "[2001:db8::1]:81", NULL, "[2001:db8::1]:81", "[2001:db8::1]:81"},
        {"CONNECT", NULL, NULL, "198.18.0.9:8080", "198.18.0.9:8080"},
        {"CONNECT", "h", "/example.com:443", "example.com:443", "example.com:443"},
        {"CONNECT", "h", "/[2001:db8::2]:443", "[2001:db8::2]:443", "[2001:db8::2]:443"},
    };
    static const char *const wrong[] = {"/a", "/a:b", "/a:1/", "/a:1?", "/:", "/[::1]", "/u@a:1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char expected[160];
        snprintf(expected, sizeof(expected),
                 "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: peer\r\n\r\n", rows[i].method,
                 rows[i].target, rows[i].expected_host);
        assert_request(expected, (struct peer_soak_config){.method = rows[i].method,
                                                           .host = rows[i].host,
                                                           .path = rows[i].path,
                                                           .to = wire_addr("198.18.0.9"),
                                                           .to_port = 8080});
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct soak soak = {.config = {.method = "CONNECT", .host = "h", .path = wrong[i]}};
        struct peer_error error = {0};
        assert_int_equal(soak_http_prepare(&soak, &error), -EINVAL);
        assert_non_null(strstr(error.text, wrong[i]));
    }
}

static void a_body_waits_for_100(void **state)
{
    static const char *const headers[] = {"Expect: 100-continue", NULL};
    static const struct script prompt[] = {
        {.answer = ok, .hundred = "HTTP/1.1 100 Continue\r\n\r\n"}};
    static const struct script silent[] = {{.answer = ok}};
    static const struct script refuses[] = {
        {.early = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"}};
    static const struct script others[] = {
        {.answer = ok, .hundred = "HTTP/1.1 102 Processing\r\n\r\n"}};
    static const struct script accepts[] = {{.early = ok}};

    (void)state;
    struct scene *scene = RUN(prompt, .body = "abc", .body_len = 3, .headers = headers);
    assert_fine(scene, 4, 1);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);

    for (size_t i = 0; i < 2; i++) { /* not for ever, and 102 is no leave to go on */
        scene = RUN_AT(i ? others : silent, 1, .body = "abc", .body_len = 3, .headers = headers,
                       .total = 1);
        assert_fine(scene, 1, 1);
        assert_in_range(scene->whole_ns - scene->head_ns, 999 * MS, 1001 * MS);
        scene_free(scene);
    }

    scene = RUN(refuses, .body = "abc", .body_len = 3, .headers = headers);
    assert_fine(scene, 4, 4); /* the body was never sent: a new request would be taken for it */
    assert_int_equal(scene->requests, 0);
    scene_free(scene);

    scene = RUN(accepts, .body = "abc", .body_len = 3, .headers = headers);
    assert_fine(scene, 4, 1);
    assert_true(since_start(scene) < 100 * MS);
    wire_run(&scene->wire, NS_PER_S, NULL);
    assert_int_equal(scene->requests, 4);
    scene_free(scene);

    scene = RUN(silent, .headers = headers); /* there is none */
    assert_fine(scene, 4, 1);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);
}

static void many_bodies_wait_side_by_side(void **state)
{
    static const char *const headers[] = {"Expect: 100-continue", NULL};
    static const struct script silent[] = {{.answer = ok}};

    (void)state;
    struct scene *scene = RUN(silent, .body = "abc", .body_len = 3, .headers = headers, .total = 60,
                              .flows = 20, .ramp_ns = NS_PER_S / 2);
    assert_fine(scene, 60, 20);
    assert_int_equal(scene->requests, 60);
    assert_in_range(since_start(scene), 3000 * MS, 3600 * MS);
    scene_free(scene);
}

/* ---- closed while idle ---- */

static void a_request_to_a_connection_that_was_closed_is_asked_again(void **state)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(methods); i++) {
        bool is_head = i / 2 == 1;
        unsigned act = ACT_LATE | (i % 2 ? ACT_RESET : ACT_CLOSE);
        const struct script script[] = {{.answer = is_head ? head : ok},
                                        {.answer = is_head ? head : ok, .act = act},
                                        {.answer = is_head ? head : ok}};
        struct scene *scene = RUN(script, .method = methods[i / 2]);
        assert_fine(scene, 4, 2);
        assert_int_equal(counts_of(scene)->asked_again, 1);
        assert_int_equal(scene->requests, 4); /* nobody was asked twice */
        scene_free(scene);
    }
}

static void an_end_in_one_go_with_an_answer_loses_no_request(void **state)
{
    static const unsigned acts[] = {ACT_CLOSE, ACT_RESET};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        const struct script script[] = {{.answer = ok, .act = acts[i]}};
        struct scene *scene = RUN(script, .body = "abc", .body_len = 3);
        assert_fine(scene, 4, 4);
        assert_int_equal(counts_of(scene)->asked_again, 0);
        scene_free(scene);
    }
}

static void a_request_that_may_not_be_repeated_is_an_error(void **state)
{
    static const struct script script[] = {{.answer = ok, .act = ACT_CLOSE | ACT_LATE}};

    (void)state;
    struct scene *scene = RUN(script, .body = "abc", .body_len = 3);
    assert_int_equal(counts_of(scene)->closed_idle, 2);
    assert_int_equal(counts_of(scene)->completed, 2);
    assert_int_equal(counts_of(scene)->asked_again, 0);
    assert_int_equal(counts_of(scene)->closed_early, 0);
    assert_non_null(strstr(scene->soak->first_error, "closed while idle"));
    scene_free(scene);
}

static void a_request_that_was_read_and_not_answered_is_an_error(void **state)
{
    static const struct script script[] = {{.answer = ok}, {.act = ACT_CLOSE}, {.answer = ok}};

    (void)state;
    struct scene *scene = RUN(script, .total = 4);
    assert_int_equal(counts_of(scene)->asked_again, 0);
    assert_int_equal(counts_of(scene)->closed_early, 1);
    assert_int_equal(counts_of(scene)->completed, 3);
    scene_free(scene);
}

static void a_request_is_repeated_once(void **state)
{
    static const struct script script[] = {
        {.answer = ok, .act = ACT_CLOSE | ACT_LATE}, {.act = ACT_RESET}, {.answer = ok}};

    (void)state;
    struct scene *scene = RUN(script, .total = 3);
    assert_int_equal(counts_of(scene)->asked_again, 1);
    assert_int_equal(counts_of(scene)->reset, 1); /* the second try, on a new connection */
    assert_int_equal(counts_of(scene)->completed, 2);
    assert_int_equal(counts_of(scene)->requests, 3);
    scene_free(scene);
}

static void a_repeated_request_is_as_late_as_it_is(void **state)
{
    static const struct script script[] = {{.answer = ok, .act = ACT_CLOSE | ACT_LATE},
                                           {.answer = ok}};

    (void)state;
    struct scene *scene = RUN(script, .total = 2);
    struct peer_latency latency;
    assert_fine(scene, 2, 2);
    measure_summary(&scene->soak->measure, PEER_HISTOGRAM_REQUEST, &latency);
    /* 1 ms a way: an answer; then the FIN half a millisecond later, a handshake and an answer */
    assert_in_range((uint64_t)latency.min, 1990, 2010);
    assert_in_range((uint64_t)latency.max, 4490, 4510);
    scene_free(scene);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_rest_of_a_body_follows_an_early_answer),
        TEST(a_run_may_end_while_it_sends),
        TEST(an_early_answer_that_closes_ends_the_upload),
        TEST(an_upload_that_breaks_after_its_answer_is_an_error),
        TEST(an_upload_that_is_not_taken_is_told_from_no_answer),
        TEST(some_answers_have_no_body_whatever_they_say),
        TEST(an_answer_may_come_byte_by_byte),
        TEST(what_ends_with_the_connection_is_whole),
        TEST(wrong_lengths_are_named),
        TEST(another_protocol_is_not_awaited),
        TEST(who_reads_the_last_byte_closes),
        TEST(the_server_may_close_first_for_a_moment),
        TEST(a_connection_that_is_asked_to_close_carries_one_request),
        TEST(the_users_headers_stand_for_ours),
        TEST(methods_have_their_own_targets),
        TEST(a_body_waits_for_100),
        TEST(many_bodies_wait_side_by_side),
        TEST(a_request_to_a_connection_that_was_closed_is_asked_again),
        TEST(an_end_in_one_go_with_an_answer_loses_no_request),
        TEST(a_request_that_may_not_be_repeated_is_an_error),
        TEST(a_request_that_was_read_and_not_answered_is_an_error),
        TEST(a_request_is_repeated_once),
        TEST(a_repeated_request_is_as_late_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
