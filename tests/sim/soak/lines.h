/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

/**
 * A protocol of the tests' own, its application, and a soak of it in virtual time: a request is the
 * line of its number, and so is its answer.
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
    uint32_t
        leaves_after;  /* so many lines of a connection: those that come then are refused, it says
                            * that it goes away, and closes when all else is answered */
    uint32_t refuses;  /* so many lines of all in all are refused, the first ones */
    const char *first; /* said at once */
    const char *later; /* and this greeting_ns later */
};

/* A connection, as the application has it. */
struct server {
    char line[64];
    size_t len;
    bool in; /* logged in */
    unsigned held_count;
    uint32_t held[16], lines;
    bool leaves;
};

struct scene {
    struct simnet *net;
    struct addr_set peers;
    struct service service;
    struct soak *soak;
    uint32_t refused;
    unsigned farewells;
};

static const struct service *service_of(const struct end *end)
{
    return &((const struct scene *)end->user)->service;
}

static inline void say(struct end *end, const char *text)
{
    (void)flow_write(&end->flow, text, strlen(text), 0);
}

static inline void answer(struct end *end, uint32_t number)
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

static inline void refuse(struct end *end, uint32_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "!%u\n", number);
    say(end, text);
    ((struct scene *)end->user)->refused++;
}

static inline bool refuses(struct end *end, uint32_t number)
{
    const struct service *service = service_of(end);
    struct server *server = end_own(end);

    if (service->leaves_after && server->lines > service->leaves_after) {
        if (!server->leaves)
            say(end, "bye\n");
        server->leaves = true;
        refuse(end, number);
        end_wait(end, 20 * MS);
        return true;
    }
    if (((struct scene *)end->user)->refused >= service->refuses)
        return false;
    refuse(end, number);
    return true;
}

static inline void on_line(struct end *end)
{
    const struct service *service = service_of(end);
    struct server *server = end_own(end);

    if (service->login && !server->in) {
        server->in = strcmp(server->line, service->login) == 0;
        say(end, server->in ? "+\n" : "-\n");
        return;
    }
    if (strcmp(server->line, "farewell") == 0) {
        ((struct scene *)end->user)->farewells++;
        return;
    }
    uint32_t number = (uint32_t)strtoul(server->line, NULL, 10);
    if (++server->lines == service->resets_after) {
        flow_reset(&end->flow);
        return;
    }
    if (refuses(end, number))
        return;
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

static inline void read_lines(struct end *end)
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

static inline void greet(struct end *end)
{
    const struct server *server = end_own(end);

    if (server->leaves)
        flow_close(&end->flow);
    else
        say(end, service_of(end)->greeting ? service_of(end)->greeting : service_of(end)->later);
}

static inline void serve(struct end *end, unsigned events)
{
    const struct service *service = service_of(end);

    if (events & FLOW_ACCEPTED && service->closes_first)
        flow_close(&end->flow);
    else if (events & FLOW_ACCEPTED && (service->greeting || service->later))
        end_wait(end, service->greeting_ns);
    if (events & FLOW_ACCEPTED && service->first)
        say(end, service->first);
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
    uint32_t kept[16]; /* asked and not written */
    size_t kept_count;
};

static inline struct lines *lines_of(const struct client *client)
{
    return client_own(client);
}

static inline void ask(struct client *client, struct request *request)
{
    char text[32];

    snprintf(text, sizeof(text), "%u\n", request_number(request));
    (void)client_write(client, text, strlen(text), 0);
}

static inline enum taken take(struct client *client, struct request *request, const char *data,
                              size_t len, size_t *ret_used)
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

static inline void taken_in_any_order(struct client *client, struct request *request,
                                      enum taken taken)
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

static inline void several_at_once(struct client *client)
{
    client_ready(client, SLOTS);
}

/* ---- the scene ---- */

static inline bool is_over(void *user)
{
    return soak_is_over(((struct scene *)user)->soak);
}

static inline struct scene *run(const struct protocol *protocol, struct service service,
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

static inline void done(struct scene *scene)
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

static inline void assert_counts(const struct scene *scene, uint64_t requests, uint64_t completed,
                                 uint64_t errors)
{
    const struct peer_soak_counts *counts = &measure_of(scene)->found.counts;

    if (peer_soak_errors(counts) != errors && figures_first_error(&measure_of(scene)->found))
        fail_msg("%s", figures_first_error(&measure_of(scene)->found));
    assert_int_equal(counts->requests, requests);
    assert_int_equal(counts->completed, completed);
    assert_int_equal(peer_soak_errors(counts), errors);
}

static inline double p50_us(const struct scene *scene)
{
    struct peer_latency latency;

    histogram_summary(measure_of(scene)->found.histograms[PEER_HISTOGRAM_REQUEST], &latency);
    return latency.p50;
}

static inline void assert_near(double value, double wanted)
{
    if (value < wanted * 0.99 || value > wanted * 1.01)
        fail_msg("%f instead of %f", value, wanted);
}

#endif
