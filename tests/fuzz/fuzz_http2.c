/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is what an application says to clients of HTTP/2 in virtual time: mostly frames, of
 * streams that are under way and others, now and then a byte itself; a few at each turn. Whatever it
 * is, each request has a fate and the run comes to its end.
 */
#include "support/simtest.h"

#include "protocol/table.h"
#include "soak/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TOTAL = 12, AT_ONCE = 6 };

struct scene {
    struct simnet *net;
    struct addr_set peers;
    struct soak *soak;
    const uint8_t *data;
    size_t len;
};

/* A connection reads the input from another place on. */
struct server {
    size_t at;
    bool began;
};

#define FRAME(bytes)                                                                               \
    {                                                                                              \
        (const uint8_t *)(bytes), sizeof(bytes) - 1                                                \
    }
static const struct {
    const uint8_t *bytes;
    size_t len;
} frames[] = {
    FRAME("\0\0\0\4\0\0\0\0\0"),                          /* SETTINGS */
    FRAME("\0\0\0\4\1\0\0\0\0"),                          /* and its acknowledgement */
    FRAME("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\2"),              /* two streams */
    FRAME("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\0"),              /* none */
    FRAME("\0\0\6\4\0\0\0\0\0\0\4\0\0\0\5"),              /* small windows */
    FRAME("\0\0\6\4\0\0\0\0\0\0\1\0\0\0\0"),              /* no table of HPACK's */
    FRAME("\0\0\1\1\5\0\0\0\1\x88"),                      /* an answer: 200 */
    FRAME("\0\0\1\1\4\0\0\0\1\x88"),                      /* its head */
    FRAME("\0\0\1\1\0\0\0\0\1\x88"),                      /* or the beginning of that */
    FRAME("\0\0\1\1\4\0\0\0\1\x8d"),                      /* 404 */
    FRAME("\0\0\5\1\4\0\0\0\1\x08\3\61\60\60"),           /* 100 */
    FRAME("\0\0\4\1\5\0\0\0\1\x88\x0f\x0d\0"),            /* an empty Content-Length */
    FRAME("\0\0\5\1\4\0\0\0\1\x88\x0f\x0d\1\63"),         /* of 3 */
    FRAME("\0\0\3\0\1\0\0\0\1abc"),                       /* a body's end */
    FRAME("\0\0\3\0\0\0\0\0\1abc"),                       /* or beginning */
    FRAME("\0\0\1\11\4\0\0\0\1\x90"),                     /* CONTINUATION */
    FRAME("\0\0\4\3\0\0\0\0\1\0\0\0\7"),                  /* REFUSED_STREAM */
    FRAME("\0\0\4\3\0\0\0\0\1\0\0\0\2"),                  /* INTERNAL_ERROR */
    FRAME("\0\0\4\3\0\0\0\0\1\0\0\0\0"),                  /* NO_ERROR */
    FRAME("\0\0\10\7\0\0\0\0\0\0\0\0\1\0\0\0\0"),         /* GOAWAY behind stream 1 */
    FRAME("\0\0\10\7\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0"), /* behind all */
    FRAME("\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\13"),        /* ENHANCE_YOUR_CALM */
    FRAME("\0\0\10\6\0\0\0\0\0abcdefgh"),                 /* PING */
    FRAME("\0\0\4\10\0\0\0\0\0\0\0\1\0"),                 /* WINDOW_UPDATE */
    FRAME("\0\0\4\10\0\0\0\0\1\0\0\1\0"),
    FRAME("\0\0\5\5\4\0\0\0\1\0\0\0\2\x82"), /* PUSH_PROMISE */
    FRAME("\0\0\5\2\0\0\0\0\1\0\0\0\0\0"),   /* PRIORITY */
    FRAME("\0\0\2\x7f\0\0\0\0\1ab"),         /* of no kind */
};

/* The next frame, of one of the first streams; what is beyond the table is a byte. */
static size_t make_frame(const struct scene *scene, struct server *server, uint8_t out[64])
{
    uint8_t word = scene->data[server->at++ % scene->len];
    size_t kind = word % 32;

    if (kind >= ARRAY_SIZE(frames)) {
        out[0] = word;
        return 1;
    }
    memcpy(out, frames[kind].bytes, frames[kind].len);
    if (out[8])
        out[8] = (uint8_t)(1 + 2 * (word / 32));
    return frames[kind].len;
}

static void say_some(struct end *end)
{
    const struct scene *scene = end->user;
    struct server *server = end_own(end);
    uint8_t out[64];

    for (int i = 0; i < AT_ONCE && server->at < 4 * scene->len; i++) {
        size_t len = make_frame(scene, server, out);
        if (flow_write(&end->flow, out, len, 0) < 0)
            return;
    }
    if (server->at >= 4 * scene->len)
        flow_close(&end->flow);
}

static void serve(struct end *end, unsigned events)
{
    const struct scene *scene = end->user;
    struct server *server = end_own(end);
    struct iovec iov;

    while (flow_peek(&end->flow, &iov, 1) > 0)
        flow_consume(&end->flow, iov.iov_len);
    if (events & (FLOW_EOF | FLOW_END)) {
        flow_close(&end->flow);
        return;
    }
    if (!server->began && events & FLOW_READABLE) {
        server->began = true;
        server->at = (size_t)(flow_peer(&end->flow) + end->flow.opened_ns / NS_PER_MS) % scene->len;
        if (scene->data[server->at] & 1)
            (void)flow_write(&end->flow, frames[0].bytes, frames[0].len, 0);
        say_some(end);
    } else if (server->began && events & (FLOW_READABLE | FLOW_WRITABLE)) {
        say_some(end);
    }
}

static bool is_over(void *user)
{
    return soak_is_over(((struct scene *)user)->soak);
}

static void run(struct scene *scene)
{
    static const char *const headers[] = {"Expect: 100-continue", NULL};
    uint8_t kind = scene->data[0];
    const struct peer_soak_config config = {.to = simnet_addr("198.18.0.9"),
                                            .to_port = 80,
                                            .flows = 1 + kind % 3,
                                            .streams = 1 + kind / 4 % 5,
                                            .total = TOTAL,
                                            .rate = kind & 0x80 ? 100 : 0,
                                            .timeout_ns = NS_PER_S / 4,
                                            .body = kind & 0x40 ? "0123456789" : NULL,
                                            .body_len = kind & 0x40 ? 10 : 0,
                                            .headers = kind & 0x20 ? headers : NULL};
    const struct soak_host host = {
        .flows = engine_flows(simnet_engine(scene->net)), .peers = &scene->peers, .seed = 1};
    struct peer_error error = {0};

    if (soak_start(&config, protocol_named("http2"), &host, &scene->soak, &error) < 0)
        abort();
    if (!simnet_run(scene->net, is_over, scene, simnet_now_ns(scene->net) + 600 * NS_PER_S))
        abort();
    const struct figures *found = &soak_healthy(scene->soak)->measure.found;
    uint64_t fates = found->counts.completed + peer_soak_errors(&found->counts);
    /* What is wrong while nothing is asked is an error besides. */
    if (fates >= TOTAL && found->counts.completed <= found->counts.requests &&
        found->counts.requests <= TOTAL)
        return;
    fprintf(stderr, "%llu completed, %llu errors of %d; %s\n",
            (unsigned long long)found->counts.completed,
            (unsigned long long)peer_soak_errors(&found->counts), TOTAL,
            figures_first_error(found));
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct scene scene = {.data = data, .len = len};
    const struct simnet_config net = {
        .peers = "198.18.0.1-198.18.0.9", .offload = true, .delay_ns = NS_PER_MS, .seed = 1};
    const struct end application = {.on_event = serve,
                                    .drop_when_ended = true,
                                    .user = &scene,
                                    .own_bytes = sizeof(struct server)};

    if (!len)
        return 0;
    scene.net = simnet_new(&net);
    simnet_listen(scene.net, IPPROTO_TCP, 80, &application);
    if (addr_set_parse(net.peers, &scene.peers, NULL) < 0)
        abort();
    run(&scene);
    soak_free(scene.soak);
    simnet_run_for(scene.net, 60 * NS_PER_S);
    simnet_end(scene.net);
    addr_set_done(&scene.peers);
    return 0;
}
