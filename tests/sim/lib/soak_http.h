/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_HTTP_H
#define SOAK_HTTP_H

/*
 * HTTP between a soak and a server that reads requests strictly and answers by a script, in virtual
 * time. The server keeps what it read, so that a request inside another's body is seen.
 */
#include "support/wire.h"

#include "http/server.h"
#include "protocol/table.h"
#include "soak/run.h"

enum { PORT = 80 };
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

static inline void end(struct server_flow *server, unsigned act)
{
    if (act & ACT_RESET)
        flow_reset(&server->wire.flow);
    else if (act & ACT_CLOSE)
        flow_close(&server->wire.flow);
}

static inline void late_fire(struct timer *timer, uint64_t now_ns)
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

static inline void say(struct server_flow *server, const char *text, unsigned act)
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

static inline void want(struct server_flow *server, enum http_wants wants)
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

static inline void read_some(struct server_flow *server, const char *data, size_t len)
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

static inline void server_event(struct wire_flow *flow, unsigned events)
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

static inline void server_release(struct flow *flow)
{
    struct server_flow *server = (struct server_flow *)(void *)flow;
    struct scene *scene = server->wire.user;

    timer_cancel(engine_timers(scene->wire.engine), &server->late);
    http_server_done(&server->http);
    free(server);
}

static inline struct flow *accept_server(void *user, struct stack_listener *listener,
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
static inline bool watch(void *user, uint64_t number, const struct packet *packet)
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

static inline bool is_over(void *user)
{
    return soak_is_over(((struct scene *)user)->soak);
}

/* Of a test that failed: the engine is one in a process. */
static struct scene *current;

static inline int teardown(void **state)
{
    (void)state;
    if (current)
        engine_free(current->wire.engine);
    current = NULL;
    return 0;
}

/* Soaks until it is over, a few requests on one connection at a time; scene_free frees. */
static inline struct scene *run(const struct script *scripts, size_t count,
                                struct peer_soak_config config)
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
    if (soak_start(&config, protocol_named(config.protocol), engine_flows(scene->wire.engine),
                   &scene->wire.peers, 1, NULL, NULL, &scene->soak, &error) < 0)
        fail_msg("%s", error.text);
    wire_run(&scene->wire, 60 * NS_PER_S, is_over);
    assert_true(soak_is_over(scene->soak));
    return scene;
}
#define RUN_AT(scripts, count, ...) run(scripts, count, (struct peer_soak_config){__VA_ARGS__})
#define RUN(scripts, ...)           run(scripts, ARRAY_SIZE(scripts), (struct peer_soak_config){__VA_ARGS__})

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &soak_healthy(scene->soak)->measure.counts;
}

static inline void scene_free(struct scene *scene)
{
    soak_free(scene->soak);
    wire_run(&scene->wire, 60 * NS_PER_S, NULL);
    wire_done(&scene->wire);
    free(scene);
    current = NULL;
}

/* All were answered, and no request began where it should not. */
static inline void assert_fine(const struct scene *scene, uint64_t requests, uint64_t connections)
{
    const struct peer_soak_counts *counts = counts_of(scene);

    if (peer_soak_errors(counts))
        fail_msg("%s", soak_healthy(scene->soak)->measure.first_error);
    assert_int_equal(counts->requests, requests);
    assert_int_equal(counts->completed, requests);
    assert_int_equal(scene->accepted, connections);
    assert_int_equal(scene->refused, 0);
}

static inline uint64_t since_start(const struct scene *scene)
{
    return scene->wire.now_ns - NS_PER_S;
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char ok_last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
#define TEST(name) cmocka_unit_test_teardown(name, teardown)

#endif
