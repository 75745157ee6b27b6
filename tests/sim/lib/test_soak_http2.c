/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/2 between a soak and an application: one that keeps to the rules, as nghttp2 does, and
 * one that says whatever the test wants, frame by frame. All in virtual time.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include <nghttp2/nghttp2.h>

#define MS NS_PER_MS

struct service {
    uint32_t streams;       /* SETTINGS_MAX_CONCURRENT_STREAMS; 0: says nothing of it */
    bool no_streams;        /* says that it is 0 */
    uint32_t streams_later; /* after 100 ms */
    uint32_t goaway_after;  /* so many streams of a connection, those behind are not looked at */
    uint32_t goaway_error;  /* says this with it, answers nothing more, and closes */
    uint32_t refuse;        /* so many streams in all, the first ones */
    uint32_t reset_error;   /* each third stream is reset with this */
    bool window_shut;       /* takes nothing of a body, ever */
    uint32_t window;        /* SETTINGS_INITIAL_WINDOW_SIZE; 0: as usual */
    size_t body;            /* of answers */
    size_t length_off;      /* the answer says that its body is so much longer */
    size_t head;            /* bytes of another header of answers */
    const char *status;     /* "200" */
    bool early;             /* answers when the head is there, and reads on */
    bool hundred;           /* says 100 to what expects it, and nothing to what does not */
    uint64_t delay_ns;      /* of an answer */
};

struct scene {
    struct soaking soaking;
    struct service service;
    uint64_t streams, answered, refused, cancelled, bodies, goaways, pings;
    char request[512]; /* the latest one, "name: value\n" */
};

/* A connection, as the application has it. */
struct server {
    nghttp2_session *session;
    struct end *end;
    uint32_t count;
    int32_t last; /* looked at */
    size_t sent[64];
    int32_t waiting[64]; /* streams, answered after delay_ns */
    size_t waiting_count;
    bool leaves;
};

static struct scene *scene_of(const struct end *end)
{
    return end->user;
}

static struct server *server_of(struct end *end)
{
    return end_own(end);
}

/* ---- an application that keeps to the rules ---- */

static void flush(struct server *server)
{
    const uint8_t *data;
    ssize_t len;

    while (flow_write_room(&server->end->flow) > 20000 &&
           (len = nghttp2_session_mem_send(server->session, &data)) > 0)
        assert_int_equal(flow_write(&server->end->flow, data, (size_t)len, 0), len);
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    const struct service *service = &scene_of(((struct server *)user)->end)->service;
    size_t *sent = source->ptr, len = MIN(room, service->body - *sent);

    (void)session, (void)id;
    memset(out, 'x', len);
    *sent += len;
    if (*sent == service->body)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

#define HEADER(name, text)                                                                         \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(text), strlen(name), strlen(text), 0  \
    }

static void answer(struct server *server, int32_t id)
{
    struct scene *scene = scene_of(server->end);
    char length[32], *other = calloc(1, scene->service.head + 1);

    assert_non_null(other);
    memset(other, 'h', scene->service.head);
    snprintf(length, sizeof(length), "%zu", scene->service.body + scene->service.length_off);
    const nghttp2_nv headers[] = {
        HEADER(":status", scene->service.status ? scene->service.status : "200"),
        HEADER("content-length", length), HEADER("other", other)};
    size_t *sent = &server->sent[(size_t)id / 2 % ARRAY_SIZE(server->sent)];
    *sent = 0;
    const nghttp2_data_provider body = {.source.ptr = sent, .read_callback = read_body};
    assert_int_equal(nghttp2_submit_response(server->session, id, headers, 3,
                                             scene->service.body ? &body : NULL),
                     0);
    scene->answered++;
    free(other);
}

static void take_stream(struct server *server, int32_t id)
{
    struct scene *scene = scene_of(server->end);
    const struct service *service = &scene->service;
    nghttp2_session *session = server->session;

    scene->streams++;
    if (service->goaway_after && ++server->count > service->goaway_after) {
        if (!server->leaves)
            nghttp2_submit_goaway(session, 0, server->last, service->goaway_error, NULL, 0);
        server->leaves = true;
        scene->refused++;
        return;
    }
    server->last = id;
    if (scene->refused < service->refuse) {
        scene->refused++;
        nghttp2_submit_rst_stream(session, 0, id, NGHTTP2_REFUSED_STREAM);
    } else if (service->reset_error && scene->streams % 3 == 0) {
        nghttp2_submit_rst_stream(session, 0, id, service->reset_error);
    } else if (service->delay_ns) {
        server->waiting[server->waiting_count++] = id;
        end_wait(server->end, service->delay_ns);
    } else {
        answer(server, id);
    }
}

static bool expects(const struct scene *scene)
{
    return strstr(scene->request, "expect: 100-continue") != NULL;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct server *server = user;
    struct scene *scene = scene_of(server->end);
    bool headers = frame->hd.type == NGHTTP2_HEADERS;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    static const nghttp2_nv go_on[] = {HEADER(":status", "100")};

    scene->goaways += frame->hd.type == NGHTTP2_GOAWAY;
    scene->cancelled += frame->hd.type == NGHTTP2_RST_STREAM;
    if (headers && !ends && scene->service.hundred && expects(scene))
        nghttp2_submit_headers(session, 0, frame->hd.stream_id, NULL, go_on, 1, NULL);
    bool answered = headers && !ends && scene->service.early;
    if (answered || ((headers || frame->hd.type == NGHTTP2_DATA) && ends && !scene->service.early))
        take_stream(server, frame->hd.stream_id);
    return 0;
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct scene *scene = scene_of(((struct server *)user)->end);

    (void)session, (void)frame;
    scene->request[0] = 0;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct scene *scene = scene_of(((struct server *)user)->end);
    size_t len = strlen(scene->request);

    (void)session, (void)frame, (void)flags;
    snprintf(scene->request + len, sizeof(scene->request) - len, "%.*s: %.*s\n", (int)name_len,
             (const char *)name, (int)value_len, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct scene *scene = scene_of(((struct server *)user)->end);

    (void)session, (void)flags, (void)id, (void)data;
    scene->bodies += len;
    return 0;
}

static void make_session(struct server *server)
{
    const struct service *service = &scene_of(server->end)->service;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_settings_entry settings[2];
    size_t count = 0;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, service->window_shut);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    assert_int_equal(nghttp2_session_server_new2(&server->session, callbacks, server, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (service->streams || service->no_streams)
        settings[count++] =
            (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, service->streams};
    if (service->window || service->window_shut)
        settings[count++] =
            (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, service->window};
    assert_int_equal(nghttp2_submit_settings(server->session, 0, settings, count), 0);
    if (service->streams_later)
        end_wait(server->end, 100 * MS);
}

static void on_timer(struct end *end)
{
    struct server *server = server_of(end);
    const struct service *service = &scene_of(end)->service;
    const nghttp2_settings_entry later = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                          service->streams_later};

    if (service->streams_later)
        nghttp2_submit_settings(server->session, 0, &later, 1);
    for (size_t i = 0; i < server->waiting_count; i++)
        answer(server, server->waiting[i]);
    server->waiting_count = 0;
    flush(server);
}

static void read_frames(struct server *server)
{
    struct flow *flow = &server->end->flow;
    struct iovec iov;

    while (flow_peek(flow, &iov, 1) > 0) {
        ssize_t done = nghttp2_session_mem_recv(server->session, iov.iov_base, iov.iov_len);
        assert_int_equal(done, iov.iov_len); /* peer keeps to the rules */
        flow_consume(flow, iov.iov_len);
    }
}

static void serve(struct end *end, unsigned events)
{
    struct server *server = server_of(end);

    server->end = end;
    if (events & FLOW_ACCEPTED)
        make_session(server);
    if (!server->session) /* it ended before */
        return;
    if (events & FLOW_READABLE)
        read_frames(server);
    if (!(events & FLOW_END))
        flush(server);
    if (server->leaves && scene_of(end)->service.goaway_error)
        flow_shutdown(&end->flow);
    bool idle = !nghttp2_session_want_read(server->session);
    if (events & FLOW_EOF || (idle && server->leaves))
        flow_close(&end->flow);
}

static void drop(struct end *end)
{
    nghttp2_session_del(server_of(end)->session);
}

/* ---- the scene ---- */

static struct scene *run(struct service service, struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct end application = {.on_event = serve,
                                    .on_timer = on_timer,
                                    .on_release = drop,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct server)};

    assert_non_null(scene);
    scene->service = service;
    config.protocol = "http2";
    soaking_run(&scene->soaking, &(struct simnet_config){.delay_ns = MS}, &application, &config);
    return scene;
}

static void done(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

static const struct peer_soak_counts *counts_of(const struct scene *scene)
{
    return &scene->soaking.counts;
}

static const char *first_error(const struct scene *scene, enum peer_soak_error kind)
{
    const char *text = scene->soaking.report.first_errors[kind];

    return text ? text : "";
}

static void assert_counts(const struct scene *scene, uint64_t requests, uint64_t completed,
                          uint64_t errors)
{
    if (peer_soak_errors(counts_of(scene)) != errors && scene->soaking.report.first_error)
        fail_msg("%s", scene->soaking.report.first_error);
    soaking_assert_counts(&scene->soaking, requests, completed, errors);
}

/* ---- requests ---- */

static const char *const own[] = {"Host: other", "X-Mine: 1", "Connection: keep-alive, X-Mine",
                                  "TE: gzip", NULL};
static const char *const trailers[] = {"te: trailers", "Upgrade: x", "User-Agent: me", NULL};
static const char *const chunked[] = {"Transfer-Encoding: chunked", NULL};
static const struct {
    struct peer_soak_config config;
    const char *expected;
    uint64_t bodies;
} requests[] = {
    {{.path = "/a?b=c", .host = "h:81"},
     ":method: GET\n:scheme: http\n:authority: h:81\n:path: /a?b=c\nuser-agent: peer\n",
     0},
    {{.headers = own},
     ":method: GET\n:scheme: http\n:authority: other\n:path: /\nuser-agent: peer\n"
     "x-mine: 1\n",
     0},
    {{.headers = trailers, .host = "h"},
     ":method: GET\n:scheme: http\n:authority: h\n:path: /\nte: trailers\nuser-agent: me\n",
     0},
    {{.body = "abc", .body_len = 3, .host = "h"},
     ":method: POST\n:scheme: http\n:authority: h\n:path: /\nuser-agent: peer\n"
     "content-length: 3\n",
     3},
    {{.body = "abc", .body_len = 3, .host = "h", .headers = chunked},
     ":method: POST\n:scheme: http\n:authority: h\n:path: /\nuser-agent: peer\n",
     3},
    {{.body = "", .host = "h", .headers = chunked},
     ":method: POST\n:scheme: http\n:authority: h\n:path: /\nuser-agent: peer\n",
     0},
    {{.method = "OPTIONS", .host = "h"},
     ":method: OPTIONS\n:scheme: http\n:authority: h\n:path: *\nuser-agent: peer\n",
     0},
    {{.method = "CONNECT", .host = "h"},
     ":method: CONNECT\n:authority: h:80\nuser-agent: peer\n",
     0},
    {{.method = "HEAD", .host = "h", .requests_per_connection = 1},
     ":method: HEAD\n:scheme: http\n:authority: h\n:path: /\nuser-agent: peer\n",
     0},
};

static void a_request_says_what_http_1_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct peer_soak_config config = requests[i].config;
        config.total = 2;
        struct scene *scene = run((struct service){.streams = 9}, config);
        assert_counts(scene, 2, 2, 0);
        assert_string_equal(scene->request, requests[i].expected);
        assert_int_equal(scene->bodies, 2 * requests[i].bodies);
        done(scene);
    }
}

/* Each round trip carries as many as there are streams, and the first ones go with the preface. */
static void streams_are_asked_at_once(void **state)
{
    (void)state;
    for (uint32_t streams = 1; streams <= 32; streams *= 4) {
        struct scene *scene =
            run((struct service){.streams = 100},
                (struct peer_soak_config){.streams = streams, .duration_ns = NS_PER_S});
        uint64_t completed = counts_of(scene)->completed;
        assert_counts(scene, completed, completed, 0);
        assert_true(completed >= streams * 498 && completed <= streams * 500);
        assert_int_equal(scene->streams, completed);
        assert_int_equal(counts_of(scene)->opened, 1);
        assert_int_equal(counts_of(scene)->statuses[2], completed);
        done(scene);
    }
}

static void statuses_and_expectations_are_those_of_requests(void **state)
{
    (void)state;
    struct scene *scene = run((struct service){.status = "503", .body = 10},
                              (struct peer_soak_config){.streams = 4, .total = 10});
    assert_counts(scene, 10, 10, 0);
    assert_int_equal(peer_result_get_status(scene->soaking.result, 503), 10);
    done(scene);
    scene = run((struct service){.status = "503"},
                (struct peer_soak_config){.streams = 4, .total = 10, .expect = "2xx"});
    assert_counts(scene, 10, 0, 10);
    assert_int_equal(counts_of(scene)->unexpected_status, 10);
    assert_string_equal(first_error(scene, PEER_SOAK_STATUS), "status 503");
    done(scene);
}

/* More than any window. */
static void large_bodies_flow_both_ways(void **state)
{
    enum { SIZE = 3 << 20 };
    char *body = malloc(SIZE);

    (void)state;
    assert_non_null(body);
    memset(body, 'b', SIZE);
    struct scene *scene = run((struct service){.body = 40 << 20},
                              (struct peer_soak_config){.streams = 3, .total = 3});
    assert_counts(scene, 3, 3, 0);
    assert_true(counts_of(scene)->bytes_received > UINT64_C(120) << 20);
    done(scene);
    scene = run(
        (struct service){.window = 100},
        (struct peer_soak_config){.streams = 3, .total = 6, .body = body, .body_len = SIZE / 16});
    assert_counts(scene, 6, 6, 0);
    assert_int_equal(scene->bodies, 6 * (SIZE / 16));
    done(scene);
    scene = run((struct service){.window = 0},
                (struct peer_soak_config){.streams = 2, .total = 4, .body = body, .body_len = SIZE});
    assert_counts(scene, 4, 4, 0);
    assert_int_equal(scene->bodies, UINT64_C(4) * SIZE);
    done(scene);
    free(body);
}

static void a_body_waits_for_100(void **state)
{
    static const char *const expect[] = {"Expect: 100-continue", NULL};
    const struct peer_soak_config config = {
        .body = "abc", .body_len = 3, .headers = expect, .total = 4, .streams = 2};

    (void)state;
    struct scene *scene = run((struct service){.hundred = true}, config);
    assert_counts(scene, 4, 4, 0);
    assert_int_equal(scene->bodies, 12);
    assert_true(scene->soaking.report.request.max < 10e3);
    done(scene);
    scene = run((struct service){0}, config); /* it knows nothing of it */
    assert_counts(scene, 4, 4, 0);
    assert_int_equal(scene->bodies, 12);
    assert_true(scene->soaking.report.request.min > 1000e3);
    assert_true(scene->soaking.report.request.max < 1010e3);
    done(scene);
}

/* After an error nobody takes the rest; after any other answer it goes on. */
static void an_answer_may_come_before_the_body_went(void **state)
{
    enum { SIZE = 1 << 20 };
    char *body = calloc(1, SIZE);

    (void)state;
    assert_non_null(body);
    struct scene *scene =
        run((struct service){.early = true, .status = "413"},
            (struct peer_soak_config){.streams = 2, .total = 6, .body = body, .body_len = SIZE});
    assert_counts(scene, 6, 6, 0);
    simnet_run_for(scene->soaking.net, 10 * MS);
    assert_int_equal(scene->cancelled, 6);
    assert_true(scene->bodies < 6 * SIZE / 2);
    assert_int_equal(counts_of(scene)->opened, 1);
    done(scene);
    scene = run((struct service){.early = true},
                (struct peer_soak_config){.streams = 2, .total = 6, .body = body, .body_len = SIZE});
    assert_counts(scene, 6, 6, 0);
    simnet_run_for(scene->soaking.net, 10 * MS);
    assert_int_equal(scene->bodies, 6 * SIZE);
    done(scene);
    free(body);
}

/* ---- limits ---- */

static void no_more_streams_than_are_allowed(void **state)
{
    (void)state;
    struct scene *scene = run((struct service){.streams = 3},
                              (struct peer_soak_config){.streams = 10, .duration_ns = NS_PER_S});
    uint64_t completed = counts_of(scene)->completed;
    assert_counts(scene, completed, completed, 0);
    assert_true(completed >= 3 * 495 && completed <= 3 * 505);
    done(scene);
    scene = run((struct service){.streams = 1, .streams_later = 5},
                (struct peer_soak_config){.streams = 10, .duration_ns = NS_PER_S});
    completed = counts_of(scene)->completed;
    assert_counts(scene, completed, completed, 0);
    assert_true(completed >= 50 + 5 * 445 && completed <= 60 + 5 * 455);
    done(scene);
}

static void without_streams_a_connection_waits(void **state)
{
    (void)state;
    struct scene *scene = run((struct service){.no_streams = true, .streams_later = 2},
                              (struct peer_soak_config){.streams = 4, .total = 100});
    assert_int_equal(counts_of(scene)->completed, 100);
    assert_int_equal(peer_soak_errors(counts_of(scene)), 0);
    done(scene);
    scene = run((struct service){.no_streams = true},
                (struct peer_soak_config){.total = 3, .timeout_ns = NS_PER_S});
    assert_true(counts_of(scene)->timeout > 0);
    assert_int_equal(counts_of(scene)->completed + peer_soak_errors(counts_of(scene)), 3);
    done(scene);
}

/* ---- what is asked again ---- */

static void what_goaway_leaves_out_is_asked_again(void **state)
{
    static const struct {
        uint64_t flows;
        double rate;
        uint64_t think_ns;
    } rows[] = {{1, 0, 0}, {4, 0, 0}, {2, 3000, 0}, {2, 0, 5 * MS}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = run((struct service){.goaway_after = 100},
                                  (struct peer_soak_config){.streams = 7,
                                                            .total = 1500,
                                                            .flows = rows[i].flows,
                                                            .rate = rows[i].rate,
                                                            .think_ns = rows[i].think_ns});
        assert_counts(scene, 1500, 1500, 0);
        assert_int_equal(scene->answered, 1500);
        assert_true(scene->refused > 0);
        assert_true(counts_of(scene)->asked_again >= scene->refused);
        assert_true(counts_of(scene)->opened >= 15);
        done(scene);
    }
}

/* Each connection comes to one request, so most are left out many times. */
static void however_often_goaway_leaves_it_out(void **state)
{
    (void)state;
    struct scene *scene = run((struct service){.goaway_after = 1},
                              (struct peer_soak_config){.streams = 10, .total = 200, .flows = 4});
    assert_counts(scene, 200, 200, 0);
    assert_int_equal(scene->answered, 200);
    assert_true(scene->refused > 5 * 200);
    done(scene);
}

static void refused_streams_are_asked_again(void **state)
{
    (void)state;
    struct scene *scene =
        run((struct service){.refuse = 5}, (struct peer_soak_config){.streams = 4, .total = 40});
    assert_counts(scene, 40, 40, 0);
    assert_int_equal(counts_of(scene)->asked_again, 5);
    assert_int_equal(counts_of(scene)->opened, 1);
    done(scene);
    scene = run((struct service){.refuse = UINT32_MAX},
                (struct peer_soak_config){.streams = 4, .total = 10});
    assert_counts(scene, 10, 0, 10);
    assert_string_equal(first_error(scene, PEER_SOAK_RESET),
                        "the server refuses its streams again and again");
    assert_int_equal(scene->refused, 40);
    done(scene);
}

static void a_stream_that_is_reset_is_lost_alone(void **state)
{
    (void)state;
    struct scene *scene = run((struct service){.reset_error = NGHTTP2_ENHANCE_YOUR_CALM},
                              (struct peer_soak_config){.streams = 4, .total = 30});
    assert_counts(scene, 30, 20, 10);
    assert_int_equal(counts_of(scene)->reset, 10);
    assert_string_equal(first_error(scene, PEER_SOAK_RESET),
                        "the stream was reset: ENHANCE_YOUR_CALM");
    assert_int_equal(counts_of(scene)->opened, 1);
    done(scene);
}

static void a_goaway_with_an_error_is_told(void **state)
{
    (void)state;
    struct scene *scene = run((struct service){.goaway_after = 3,
                                               .goaway_error = NGHTTP2_ENHANCE_YOUR_CALM,
                                               .delay_ns = 50 * MS},
                              (struct peer_soak_config){.streams = 4, .total = 4});
    assert_int_equal(counts_of(scene)->closed_early, 3);
    assert_string_equal(first_error(scene, PEER_SOAK_CLOSED_EARLY),
                        "closed before the answer was complete: ENHANCE_YOUR_CALM");
    assert_int_equal(counts_of(scene)->completed, 1); /* the one behind, on another connection */
    done(scene);
}

/* ---- answers that are wrong, and late ones ---- */

static void an_answer_that_is_wrong_is_lost_alone(void **state)
{
    static const struct {
        struct service service;
        const char *text;
    } rows[] = {
        {{.body = 10, .length_off = 5},
         "the answer is no HTTP/2: it ends elsewhere than its headers say"},
        {{.length_off = 5}, "the answer is no HTTP/2: Violation in HTTP messaging rule"},
        {{.head = 66000}, "the answer is no HTTP/2: a head of more than 65536 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene =
            run(rows[i].service, (struct peer_soak_config){.streams = 2, .total = 6});
        assert_counts(scene, 6, 0, 6);
        assert_int_equal(counts_of(scene)->bad_answer, 6);
        assert_string_equal(first_error(scene, PEER_SOAK_BAD_ANSWER), rows[i].text);
        assert_int_equal(counts_of(scene)->opened, 1);
        done(scene);
    }
}

static void a_window_that_never_opens_is_late(void **state)
{
    (void)state;
    struct scene *scene =
        run((struct service){.window_shut = true},
            (struct peer_soak_config){
                .streams = 2, .total = 4, .body = "abc", .body_len = 3, .timeout_ns = NS_PER_S});
    assert_int_equal(counts_of(scene)->timeout + counts_of(scene)->completed, 4);
    assert_true(counts_of(scene)->timeout >= 2); /* the first ones left before SETTINGS came */
    simnet_run_for(scene->soaking.net, 10 * MS);
    assert_true(scene->cancelled >= 2);
    assert_int_equal(counts_of(scene)->opened, 1);
    done(scene);
}

/* ---- the end ---- */

static void connections_end_with_goaway(void **state)
{
    (void)state;
    struct scene *scene =
        run((struct service){0},
            (struct peer_soak_config){
                .streams = 4, .total = 40, .flows = 2, .requests_per_connection = 5});
    assert_counts(scene, 40, 40, 0);
    simnet_run_for(scene->soaking.net, 10 * MS);
    assert_int_equal(scene->goaways, 8);
    assert_int_equal(counts_of(scene)->opened, 8);
    done(scene);
}

/* The same seed, the same frames. */
static void runs_repeat_themselves(void **state)
{
    uint64_t hashes[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *scene =
            run((struct service){.goaway_after = 20, .body = 3000},
                (struct peer_soak_config){.streams = 5, .total = 200, .flows = 3, .rate = 900});
        hashes[i] = simnet_hash(scene->soaking.net);
        done(scene);
    }
    assert_int_equal(hashes[0], hashes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_says_what_http_1_says),
        TEST(streams_are_asked_at_once),
        TEST(statuses_and_expectations_are_those_of_requests),
        TEST(large_bodies_flow_both_ways),
        TEST(a_body_waits_for_100),
        TEST(an_answer_may_come_before_the_body_went),
        TEST(no_more_streams_than_are_allowed),
        TEST(without_streams_a_connection_waits),
        TEST(what_goaway_leaves_out_is_asked_again),
        TEST(however_often_goaway_leaves_it_out),
        TEST(refused_streams_are_asked_again),
        TEST(a_stream_that_is_reset_is_lost_alone),
        TEST(a_goaway_with_an_error_is_told),
        TEST(an_answer_that_is_wrong_is_lost_alone),
        TEST(a_window_that_never_opens_is_late),
        TEST(connections_end_with_goaway),
        TEST(runs_repeat_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
