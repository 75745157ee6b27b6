/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_LINES_H
#define SOAK_LINES_H

/*
 * A protocol of lines as a caller of the library has it, and its server, in virtual time: "hello" first,
 * then "N get" is answered by "N ok". One way takes 1 ms.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include <peer/workload.h>

#define MS NS_PER_MS
#define S  NS_PER_S

struct scene {
    struct soaking soaking;
    struct peer_workload workload;
    /* How the server is. */
    bool greets, closes, resets, silent;
    unsigned gathers;    /* it answers so many lines at once, the last one first */
    size_t part;         /* bytes that it writes at a time; 0: all */
    const char *answer;  /* instead of " ok\n" */
    uint32_t swallows;   /* the request that it does not answer */
    uint64_t pause_ns;   /* before an answer */
    uint64_t heard;      /* lines */
    /* What the workload saw. */
    uint64_t opened, asked, taken, ended, waked;
    uint64_t first_ask_ns;
    char longest[64];
    void (*at_ask)(struct scene *scene, struct peer_client *client, uint32_t request);
    void (*at_line)(struct scene *scene, struct peer_client *client, uint32_t request);
};

/* ---- the server ---- */

struct lines_server {
    char in[4096], out[4096];
    size_t in_len, out_len, out_at;
    uint32_t held[16];
    unsigned held_count;
};

static void lines_write(struct end *end)
{
    struct scene *scene = end->user;
    struct lines_server *own = end_own(end);
    size_t left = own->out_len - own->out_at;
    size_t len = scene->part ? MIN(scene->part, left) : left;

    if (!len)
        return;
    (void)flow_write(&end->flow, own->out + own->out_at, len, 0);
    own->out_at += len;
    if (own->out_at < own->out_len) {
        end_wait(end, MS);
        return;
    }
    own->out_at = own->out_len = 0;
    if (scene->closes)
        flow_close(&end->flow);
    if (scene->resets)
        flow_reset(&end->flow);
}

static void lines_say(struct end *end, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void lines_say(struct end *end, const char *format, ...)
{
    struct lines_server *own = end_own(end);
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(own->out + own->out_len, sizeof(own->out) - own->out_len, format, arguments);
    va_end(arguments);
    own->out_len += (size_t)len;
}

static void lines_hear(struct end *end, uint32_t number)
{
    struct scene *scene = end->user;
    struct lines_server *own = end_own(end);

    scene->heard++;
    if (scene->silent || (scene->swallows && number == scene->swallows))
        return;
    own->held[own->held_count++] = number;
    if (own->held_count < scene->gathers)
        return;
    while (own->held_count)
        lines_say(end, "%u%s", own->held[--own->held_count],
                  scene->answer ? scene->answer : " ok\n");
}

static void lines_serve(struct end *end, unsigned events)
{
    struct scene *scene = end->user;
    struct lines_server *own = end_own(end);
    struct iovec iov[8];
    char *line, *stop;

    if (events & FLOW_ACCEPTED && scene->greets && !flow_is_udp(&end->flow))
        lines_say(end, "hello\n");
    if (events & FLOW_READABLE) {
        int count = flow_peek(&end->flow, iov, 8);
        size_t len = count > 0 ? iov_total(iov, count) : 0;
        bool fits = own->in_len + len < sizeof(own->in); /* else it is no line of ours */
        if (len && fits)
            (void)iov_gather(iov, count, own->in + own->in_len);
        own->in_len += fits ? len : 0;
        flow_consume(&end->flow, len);
    }
    own->in[own->in_len] = 0;
    for (line = own->in; (stop = strchr(line, '\n')); line = stop + 1)
        lines_hear(end, (uint32_t)strtoul(line, NULL, 10));
    own->in_len = strlen(line);
    memmove(own->in, line, own->in_len);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
    else if (scene->pause_ns)
        end_wait(end, scene->pause_ns);
    else
        lines_write(end);
}

/* ---- the workload ---- */

struct lines_client {
    bool greeted;
    uint32_t asked;
};

static struct scene *scene_of(const struct peer_client *client)
{
    return peer_client_user(client);
}

static void lines_opened(struct peer_client *client)
{
    struct lines_client *own = peer_client_own(client);

    assert_false(own->greeted);
    scene_of(client)->opened++;
}

static void lines_ask(struct peer_client *client, uint32_t request)
{
    struct lines_client *own = peer_client_own(client);
    struct scene *scene = scene_of(client);
    char line[32];

    assert_int_equal(request, ++own->asked);
    if (!scene->asked++)
        scene->first_ask_ns = peer_client_now_ns(client) - scene->soaking.start_ns;
    if (scene->at_ask)
        scene->at_ask(scene, client, request);
    int len = snprintf(line, sizeof(line), "%u get\n", request);
    if (!peer_client_is_over(client))
        assert_int_equal(peer_client_send(client, line, (size_t)len), 0);
}

static size_t lines_take(struct peer_client *client, const char *data, size_t len)
{
    struct lines_client *own = peer_client_own(client);
    struct scene *scene = scene_of(client);
    const char *stop = memchr(data, '\n', len);

    if (!stop)
        return 0;
    scene->taken++;
    if (scene->greets && !own->greeted) {
        assert_memory_equal(data, "hello\n", 6);
        own->greeted = true;
        assert_int_equal(peer_client_ready(client, 4), 0);
    } else if (scene->at_line) {
        scene->at_line(scene, client, (uint32_t)strtoul(data, NULL, 10));
    } else {
        assert_int_equal(peer_client_done(client, (uint32_t)strtoul(data, NULL, 10)), 0);
    }
    return (size_t)(stop + 1 - data);
}

static void lines_datagram(struct peer_client *client, const void *data, size_t len)
{
    char line[64] = {0};

    memcpy(line, data, MIN(len, sizeof(line) - 1));
    scene_of(client)->taken++;
    (void)peer_client_done(client, (uint32_t)strtoul(line, NULL, 10));
}

static void lines_ended(struct peer_client *client)
{
    scene_of(client)->ended++;
}

/* ---- both ---- */

static int lines_start(struct scene *scene, struct peer_soak_config config,
                       struct peer_error *error)
{
    config.protocol = PEER_WORKLOAD_CUSTOM;
    config.workload = &scene->workload;
    return soaking_start(&scene->soaking, &config, error);
}

static void lines_wake(struct end *end)
{
    lines_write(end);
}

/* A server, and a workload that may be changed before it starts. */
static struct scene *lines_open(struct scene like)
{
    const struct simnet_config net = {0};
    struct scene *scene = malloc(sizeof(*scene));

    assert_non_null(scene);
    *scene = like;
    const struct end application = {.on_event = lines_serve,
                                    .on_timer = lines_wake,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct lines_server)};
    soaking_begin(&scene->soaking, &net, &application);
    scene->workload = (struct peer_workload){.size = sizeof(scene->workload),
                                             .name = "lines",
                                             .client_bytes = sizeof(struct lines_client),
                                             .user = scene,
                                             .opened = like.greets ? lines_opened : NULL,
                                             .ask = lines_ask,
                                             .take = lines_take,
                                             .datagram = lines_datagram,
                                             .ended = lines_ended};
    return scene;
}

static void lines_run(struct scene *scene, struct peer_soak_config config)
{
    struct peer_error error = {0};

    if (lines_start(scene, config, &error) < 0)
        fail_msg("%s", error.text);
    soaking_finish(&scene->soaking, 600 * S);
}

/* All clients that were opened have heard of their end. */
static void lines_close(struct scene *scene)
{
    uint64_t opened = scene->soaking.counts.opened;

    soaking_end(&scene->soaking);
    assert_int_equal(scene->ended, opened);
    free(scene);
}

#endif
