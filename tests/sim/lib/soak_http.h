/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_HTTP_H
#define SOAK_HTTP_H

/*
 * HTTP between a soak and a server that reads requests strictly and answers by a script, in virtual
 * time. The server keeps what it read, so that a request inside another's body is seen.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include "http/server.h"

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

/* A connection, as the server has it. */
struct server {
    struct http_server http;
    unsigned act;
    const char *left; /* of what drips */
    bool early, stopped;
};

struct scene {
    struct soaking soaking;
    const struct script *scripts; /* one a request, the last for all that follow */
    size_t script_count;
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

static inline void leave(struct end *end, unsigned act)
{
    if (act & ACT_RESET)
        flow_reset(&end->flow);
    else if (act & ACT_CLOSE)
        flow_close(&end->flow);
}

static inline void on_timer(struct end *end)
{
    struct server *server = end_own(end);

    if (!server->left || !*server->left) {
        leave(end, server->act);
        return;
    }
    assert_int_equal(flow_write(&end->flow, server->left++, 1, 0), 1);
    end_wait(end, MS / 10);
}

static inline void say(struct end *end, const char *text, unsigned act)
{
    struct server *server = end_own(end);

    server->left = act & ACT_DRIP ? text : NULL;
    if (text && !server->left)
        assert_int_equal(flow_write(&end->flow, text, strlen(text), 0), strlen(text));
    if (act & ACT_STOP)
        server->stopped = true;
    server->act = act;
    if (act & (ACT_LATE | ACT_DRIP))
        end_wait(end, MS / 2);
    else
        leave(end, act);
}

static inline void want(struct end *end, enum http_wants wants)
{
    struct server *server = end_own(end);
    struct scene *scene = end->user;
    const struct script *script = script_of(scene);

    if (wants == HTTP_WANTS_CONTINUE && script->hundred)
        say(end, script->hundred, 0);
    if (wants == HTTP_WANTS_REFUSAL)
        scene->refused++;
    if (wants != HTTP_WANTS_ANSWER)
        return;
    scene->requests++;
    scene->whole_ns = simnet_now_ns(end->net);
    server->early = false;
    say(end, script->answer, script->act);
}

static inline void read_some(struct end *end, const char *data, size_t len)
{
    struct server *server = end_own(end);
    struct scene *scene = end->user;
    size_t at = 0;

    while (at < len && !server->stopped && end->flow.state != FLOW_ENDED) {
        enum http_wants wants;
        at += http_server_take(&server->http, data + at, len - at, &wants);
        if (server->http.in_body && !server->early) {
            server->early = true;
            scene->head_ns = simnet_now_ns(end->net);
            say(end, script_of(scene)->early, script_of(scene)->early_act);
        }
        want(end, wants);
        if (wants == HTTP_WANTS_REFUSAL)
            return;
    }
}

static inline void on_event(struct end *end, unsigned events)
{
    struct server *server = end_own(end);
    struct scene *scene = end->user;
    struct iovec iov;

    scene->accepted += !!(events & FLOW_ACCEPTED);
    while (!server->stopped && events & FLOW_READABLE && flow_peek(&end->flow, &iov, 1) > 0) {
        char *copy = malloc(iov.iov_len);
        memcpy(copy, iov.iov_base, iov.iov_len);
        flow_consume(&end->flow, iov.iov_len);
        read_some(end, copy, iov.iov_len);
        free(copy);
    }
    if (events & FLOW_EOF)
        flow_close(&end->flow);
    scene->ended_connections += !!(events & FLOW_END);
}

static inline void on_release(struct end *end)
{
    http_server_done(&((struct server *)end_own(end))->http);
}

/* Who sends the first FIN of a connection. */
static inline unsigned watch(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct scene *scene = user;
    const struct packet *packet = &frame->packet;
    bool by_server = packet->src_port == SOAKING_PORT;
    uint16_t port = by_server ? packet->dst_port : packet->src_port;

    (void)delay_ns;
    if (packet->kind != PACKET_TCP || !(packet->tcp_flags & 1))
        return 1;
    for (size_t i = 0; i < scene->ended; i++) {
        if (scene->ports[i] == port)
            return 1;
    }
    if (scene->ended < ARRAY_SIZE(scene->ports))
        scene->ports[scene->ended++] = port;
    ++*(by_server ? &scene->server_fins : &scene->client_fins);
    return 1;
}

/* Soaks until it is over, a few requests on one connection at a time; scene_free frees. */
static inline struct scene *run(const struct script *scripts, size_t count,
                                struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct simnet_config net = {.fate = watch, .user = scene};
    const struct end application = {.on_event = on_event,
                                    .on_timer = on_timer,
                                    .on_release = on_release,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct server)};

    assert_non_null(scene);
    scene->scripts = scripts;
    scene->script_count = count;
    if (!config.total)
        config.total = 4;
    if (!config.timeout_ns)
        config.timeout_ns = 3 * NS_PER_S;
    soaking_run(&scene->soaking, &net, &application, &config);
    return scene;
}
#define RUN_AT(scripts, count, ...) run(scripts, count, (struct peer_soak_config){__VA_ARGS__})
#define RUN(scripts, ...)           run(scripts, ARRAY_SIZE(scripts), (struct peer_soak_config){__VA_ARGS__})

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &scene->soaking.counts;
}

static inline void scene_run(struct scene *scene, uint64_t ns)
{
    simnet_run_for(scene->soaking.net, ns);
}

static inline void scene_free(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

/* All were answered, and no request began where it should not. */
static inline void assert_fine(const struct scene *scene, uint64_t requests, uint64_t connections)
{
    if (scene->soaking.report.first_error)
        fail_msg("%s", scene->soaking.report.first_error);
    soaking_assert_counts(&scene->soaking, requests, requests, 0);
    assert_int_equal(scene->accepted, connections);
    assert_int_equal(scene->refused, 0);
}

static inline uint64_t since_start(const struct scene *scene)
{
    return simnet_now_ns(scene->soaking.net) - scene->soaking.start_ns;
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char ok_last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

#endif
