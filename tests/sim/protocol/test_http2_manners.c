/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manners of HTTP/2, as an application sees them that counts frames: which ones come, how many a
 * second, and that the healthy clients send none of them.
 */
#include "support/simtest.h"

#include "protocol/table.h"
#include "soak/run.h"

#include <nghttp2/nghttp2.h>

#define MS NS_PER_MS

struct scene {
    struct simnet *net;
    struct addr_set peers;
    struct soak *soak;
    /* By the kind of frame, of connections that did misbehave and of all others. */
    uint64_t frames[2][16];
};

/* Reads headers of frames, and takes all streams up to nghttp2, but for heads without an end. */
struct server {
    nghttp2_session *session;
    uint8_t header[9];
    size_t header_len, skip, magic;
    uint64_t frames[16];
    bool raw;
};

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)source, (void)user;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    memset(out, 'x', MIN(room, 10u));
    return (ssize_t)MIN(room, 10u);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    static const nghttp2_nv status = {(uint8_t *)(uintptr_t) ":status",
                                      (uint8_t *)(uintptr_t) "200", 7, 3, 0};
    const nghttp2_data_provider body = {.read_callback = read_body};

    (void)user;
    if (frame->hd.type == NGHTTP2_HEADERS)
        nghttp2_submit_response(session, frame->hd.stream_id, &status, 1, &body);
    return 0;
}

static void count(struct server *server, const uint8_t *data, size_t len)
{
    while (len) {
        size_t part = MIN(len, server->magic + server->skip);
        if (part) {
            size_t of_magic = MIN(part, server->magic);
            server->magic -= of_magic;
            server->skip -= part - of_magic;
            data += part, len -= part;
            continue;
        }
        server->header[server->header_len++] = *data++;
        len--;
        if (server->header_len < sizeof(server->header))
            continue;
        const uint8_t *header = server->header;
        server->header_len = 0;
        server->skip = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
        server->frames[header[3] % 16]++;
        server->raw |= header[3] == NGHTTP2_CONTINUATION;
    }
}

static void serve(struct end *end, unsigned events)
{
    struct server *server = end_own(end);
    struct iovec iov;
    const uint8_t *data;
    ssize_t len;

    if (events & FLOW_ACCEPTED) {
        nghttp2_session_callbacks *callbacks;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_server_new(&server->session, callbacks, server);
        nghttp2_session_callbacks_del(callbacks);
        nghttp2_submit_settings(server->session, 0, NULL, 0);
        server->magic = NGHTTP2_CLIENT_MAGIC_LEN;
    }
    while (flow_peek(&end->flow, &iov, 1) > 0) {
        count(server, iov.iov_base, iov.iov_len);
        if (!server->raw)
            (void)nghttp2_session_mem_recv(server->session, iov.iov_base, iov.iov_len);
        flow_consume(&end->flow, iov.iov_len);
    }
    while (!(events & FLOW_END) && flow_write_room(&end->flow) > 20000 &&
           (len = nghttp2_session_mem_send(server->session, &data)) > 0)
        (void)flow_write(&end->flow, data, (size_t)len, 0);
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static void drop(struct end *end)
{
    struct scene *scene = end->user;
    struct server *server = end_own(end);
    bool bad = false;

    for (size_t i = 0; i < 16; i++)
        bad |= i != NGHTTP2_HEADERS && i != NGHTTP2_SETTINGS && i != NGHTTP2_WINDOW_UPDATE &&
               i != NGHTTP2_GOAWAY && server->frames[i];
    bad |= server->frames[NGHTTP2_SETTINGS] > 2;
    for (size_t i = 0; i < 16; i++)
        scene->frames[bad][i] += server->frames[i];
    nghttp2_session_del(server->session);
}

static bool is_over(void *user)
{
    return soak_is_over(((struct scene *)user)->soak);
}

static int start(struct scene *scene, const char *protocol, const char *manner,
                 struct peer_error *error)
{
    const struct peer_soak_config config = {.to = simnet_addr("198.18.0.9"),
                                            .to_port = 80,
                                            .flows = 2,
                                            .streams = strcmp(protocol, "http2") == 0 ? 2 : 1,
                                            .rate = 100,
                                            .duration_ns = 2 * NS_PER_S,
                                            .timeout_ns = NS_PER_S,
                                            .manners = manner};
    const struct soak_host host = {
        .flows = engine_flows(simnet_engine(scene->net)), .peers = &scene->peers, .seed = 1};

    return soak_start(&config, protocol_named(protocol), &host, &scene->soak, error);
}

static struct scene *make_scene(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct simnet_config net = {
        .peers = "198.18.0.1-198.18.0.9", .offload = true, .delay_ns = MS, .seed = 1};
    const struct end application = {.on_event = serve,
                                    .on_release = drop,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct server)};

    assert_non_null(scene);
    scene->net = simnet_new(&net);
    simnet_listen(scene->net, IPPROTO_TCP, 80, &application);
    assert_int_equal(addr_set_parse(net.peers, &scene->peers, NULL), 0);
    return scene;
}

static struct scene *run(const char *manner)
{
    struct scene *scene = make_scene();
    struct peer_error error = {0};

    if (start(scene, "http2", manner, &error) < 0)
        fail_msg("%s", error.text);
    assert_true(simnet_run(scene->net, is_over, scene, simnet_now_ns(scene->net) + 60 * NS_PER_S));
    simnet_run_for(scene->net, NS_PER_S);
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

static const struct peer_soak_counts *healthy(const struct scene *scene)
{
    return &scene->soak->runs[0]->measure.found.counts;
}

static const struct peer_soak_counts *others(const struct scene *scene)
{
    return &scene->soak->runs[1]->measure.found.counts;
}

/* A rate is a bound, and is kept but for what the connection does not take at once. */
static void rates_are_kept(void **state)
{
    static const struct {
        const char *manner;
        uint8_t kind;
        uint64_t frames; /* in the two seconds */
    } rows[] = {
        {"rapid-reset:50%:200/s", NGHTTP2_RST_STREAM, 400},
        {"rapid-reset:50%:5k/s", NGHTTP2_RST_STREAM, 10000},
        {"ping-flood:50%:1000/s", NGHTTP2_PING, 2000},
        {"ping-flood:50%:3/s", NGHTTP2_PING, 6},
        {"settings-flood:50%:500/s", NGHTTP2_SETTINGS, 1000},
        {"continuation-flood:50%:1000/s", NGHTTP2_CONTINUATION, 2000},
        {"continuation-flood:50%:20k/s", NGHTTP2_CONTINUATION, 40000},
        {"ping-flood:50%:1000/s@1s", NGHTTP2_PING, 1000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = run(rows[i].manner);
        uint64_t frames = scene->frames[1][rows[i].kind];
        if (frames + 25 < rows[i].frames * 95 / 100 || frames > rows[i].frames * 101 / 100 + 25)
            fail_msg("%s: %" PRIu64 " frames", rows[i].manner, frames);
        assert_int_equal(healthy(scene)->completed, 200);
        assert_int_equal(peer_soak_errors(healthy(scene)), 0);
        assert_true(scene->frames[0][NGHTTP2_HEADERS] == 200);
        assert_int_equal(scene->frames[0][rows[i].kind], rows[i].kind == NGHTTP2_SETTINGS ? 2 : 0);
        done(scene);
    }
}

/* Streams are reset that were opened, each of them. */
static void rapid_resets_are_of_streams_that_were_opened(void **state)
{
    (void)state;
    struct scene *scene = run("rapid-reset:50%:300/s");
    uint64_t resets = scene->frames[1][NGHTTP2_RST_STREAM];
    assert_true(resets >= 590);
    assert_true(scene->frames[1][NGHTTP2_HEADERS] >= resets + 190);
    done(scene);
}

static void a_window_of_zero_takes_nothing(void **state)
{
    (void)state;
    struct scene *scene = run("window-zero:50%");
    assert_int_equal(healthy(scene)->completed, 200);
    assert_int_equal(others(scene)->completed, 0);
    assert_int_equal(others(scene)->opened, 1); /* and is patient */
    done(scene);
    scene = run("window-zero:50%@1s"); /* until then it takes all */
    assert_true(others(scene)->completed > 80);
    assert_true(others(scene)->completed < 120);
    done(scene);
}

static void who_does_not_speak_it_is_refused(void **state)
{
    struct scene *scene = make_scene();
    struct peer_error error = {0};

    (void)state;
    assert_int_equal(start(scene, "echo", "rapid-reset:50%", &error), -EINVAL);
    assert_string_equal(error.text,
                        "\"rapid-reset\" is a manner of HTTP/2, which \"echo\" does not speak");
    done(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rates_are_kept),
        TEST(rapid_resets_are_of_streams_that_were_opened),
        TEST(a_window_of_zero_takes_nothing),
        TEST(who_does_not_speak_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
