/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PROXY header in front of what a soak says, in virtual time: it is the first that the
 * application reads, names the connection's own addresses, and moves no other figure.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#include "flow/proxy_header.h"

enum { CALLERS_MOST = 64 };
#define MS NS_PER_MS

/* A connection, as the application has it. */
struct caller {
    struct stack_tuple tuple;
    char data[512]; /* how it begins */
    size_t len;
    uint64_t frames; /* with data, up to its first answer */
};

static struct scene {
    struct soaking soaking;
    struct caller callers[CALLERS_MOST];
    size_t count;
    const char *answer; /* NULL: it says nothing */
    bool closes;        /* at once */
    uint8_t version;
} scene;

static struct caller **own_caller(struct end *end)
{
    return end_own(end);
}

static void accept_caller(struct end *end)
{
    struct caller *caller = &scene.callers[scene.count++];

    assert_in_range(scene.count, 1, CALLERS_MOST);
    *own_caller(end) = caller;
    assert_true(flow_tuple(&end->flow, &caller->tuple));
    if (scene.closes)
        flow_close(&end->flow);
}

static void read_caller(struct end *end, struct caller *caller)
{
    struct iovec iov;

    caller->frames++;
    while (flow_peek(&end->flow, &iov, 1) > 0) {
        size_t len = MIN(iov.iov_len, sizeof(caller->data) - 1 - caller->len);
        memcpy(caller->data + caller->len, iov.iov_base, len);
        caller->len += len;
        flow_consume(&end->flow, iov.iov_len);
    }
    if (scene.answer && strstr(caller->data + caller->len - MIN(caller->len, 4u), "\r\n\r\n"))
        assert_int_equal(flow_write(&end->flow, scene.answer, strlen(scene.answer), 0),
                         strlen(scene.answer));
}

static void on_event(struct end *end, unsigned events)
{
    if (events & FLOW_ACCEPTED)
        accept_caller(end);
    if (events & FLOW_READABLE && !scene.closes)
        read_caller(end, *own_caller(end));
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static const struct end application = {
    .on_event = on_event, .drop_when_ended = true, .own_bytes = sizeof(struct caller *)};

/* A header is the caller's view: what is local to the application is where it goes. */
static size_t header_of(const struct caller *caller, uint8_t out[PROXY_HEADER_MOST])
{
    const struct stack_tuple theirs = {.local = caller->tuple.remote,
                                       .local_port = caller->tuple.remote_port,
                                       .remote = caller->tuple.local,
                                       .remote_port = caller->tuple.local_port};

    return proxy_header_write(scene.version, &theirs, out);
}

/* Returns what stands behind the header. */
static const char *assert_header(const struct caller *caller)
{
    uint8_t header[PROXY_HEADER_MOST];
    size_t len = header_of(caller, header);

    assert_true(caller->len >= len);
    assert_memory_equal(caller->data, header, len);
    return caller->data + len;
}

static void scene_begin(uint8_t version, const char *answer)
{
    memset(&scene, 0, sizeof(scene));
    scene.version = version;
    scene.answer = answer;
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void soak_http(uint8_t version, bool frugal, const char *manners)
{
    const struct simnet_config net = {.frugal = frugal};
    const struct peer_soak_config config = {.protocol = "http",
                                            .proxy_protocol = version,
                                            .flows = 4,
                                            .total = 40,
                                            .requests_per_connection = 5,
                                            .manners = manners};

    scene_begin(version, ok);
    soaking_run(&scene.soaking, &net, &application, &config);
}

static void the_header_is_the_first_that_is_read(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        soak_http((uint8_t)(1 + i % 2), i >= 2, NULL);
        soaking_assert_counts(&scene.soaking, 40, 40, 0);
        assert_int_equal(scene.count, 8);
        for (size_t at = 0; at < scene.count; at++) {
            assert_memory_equal(assert_header(&scene.callers[at]), "GET / HTTP/1.1\r\n", 16);
            assert_int_equal(scene.callers[at].frames, 5); /* it rode with the first request */
        }
        soaking_end(&scene.soaking);
    }
}

static void only_bytes_sent_tell_of_it(void **state)
{
    uint8_t header[PROXY_HEADER_MOST];
    struct peer_soak_report plain;

    (void)state;
    soak_http(0, false, NULL);
    plain = scene.soaking.report;
    soaking_end(&scene.soaking);
    soak_http(2, false, NULL);
    const struct peer_soak_report *with = &scene.soaking.report;
    const size_t more = scene.count * header_of(&scene.callers[0], header);
    assert_int_equal(with->counts.bytes_sent, plain.counts.bytes_sent + more);
    assert_int_equal(with->counts.bytes_received, plain.counts.bytes_received);
    assert_int_equal(with->counts.completed, plain.counts.completed);
    assert_memory_equal(&with->handshake, &plain.handshake, sizeof(plain.handshake));
    assert_memory_equal(&with->request, &plain.request, sizeof(plain.request));
    soaking_end(&scene.soaking);
}

static void who_has_nothing_to_say_sends_it_all_the_same(void **state)
{
    const struct simnet_config net = {0};
    const struct peer_soak_config config = {
        .protocol = "idle", .proxy_protocol = 1, .flows = 8, .duration_ns = NS_PER_S};

    (void)state;
    scene_begin(1, NULL);
    soaking_run(&scene.soaking, &net, &application, &config);
    assert_int_equal(scene.count, 8);
    for (size_t at = 0; at < scene.count; at++)
        assert_string_equal(assert_header(&scene.callers[at]), "");
    soaking_end(&scene.soaking);
}

/* What is acknowledged is the payload's, as without a header. */
static void a_stream_counts_its_header_once(void **state)
{
    const struct simnet_config net = {0};
    const struct peer_soak_config config = {
        .protocol = "send", .proxy_protocol = 2, .flows = 2, .duration_ns = 20 * MS};

    (void)state;
    scene_begin(2, NULL);
    soaking_run(&scene.soaking, &net, &application, &config);
    assert_int_equal(scene.count, 2);
    assert_header(&scene.callers[0]);
    assert_in_range(scene.soaking.counts.bytes_sent, 2 * 28 + 1, UINT64_MAX);
    soaking_end(&scene.soaking);
}

static void a_slow_writer_is_slow_with_its_request_only(void **state)
{
    const struct simnet_config net = {0};
    const struct peer_soak_config config = {.protocol = "http",
                                            .proxy_protocol = 2,
                                            .flows = 4,
                                            .duration_ns = 2 * NS_PER_S,
                                            .manners = "slow-writer:100%:1B/s"};

    (void)state;
    scene_begin(2, ok);
    soaking_begin(&scene.soaking, &net, &application);
    struct peer_error error = {0};
    if (soaking_start(&scene.soaking, &config, &error) < 0)
        fail_msg("%s", error.text);
    simnet_run_for(scene.soaking.net, 1500 * MS);
    assert_int_equal(scene.count, 4);
    for (size_t at = 0; at < scene.count; at++)
        assert_in_range(strlen(assert_header(&scene.callers[at])), 1, 3);
    soaking_finish(&scene.soaking, 60 * NS_PER_S);
    soaking_end(&scene.soaking);
}

/* "@request" is when the request is under way, which a header is not. */
static void a_manner_of_the_request_waits_for_it(void **state)
{
    const struct simnet_config net = {0};
    const struct peer_soak_config config = {.protocol = "http",
                                            .proxy_protocol = 1,
                                            .flows = 4,
                                            .duration_ns = 20 * MS,
                                            .manners = "vanish:100%"};

    (void)state;
    scene_begin(1, ok);
    soaking_run(&scene.soaking, &net, &application, &config);
    assert_int_equal(scene.count, 4);
    for (size_t at = 0; at < scene.count; at++)
        assert_non_null(strstr(assert_header(&scene.callers[at]), "\r\n\r\n"));
    soaking_end(&scene.soaking);
}

static void what_it_is_not_for_is_refused(void **state)
{
    static const struct {
        struct peer_soak_config config;
        const char *word;
    } rows[] = {
        {{.protocol = "echo", .proxy_protocol = 3}, "versions 1 and 2"},
        {{.protocol = "echo", .proxy_protocol = 1, .udp = true}, "UDP has none"},
    };
    const struct simnet_config net = {0};

    (void)state;
    scene_begin(0, NULL);
    soaking_begin(&scene.soaking, &net, &application);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer_error error = {0};
        assert_int_equal(soaking_start(&scene.soaking, &rows[i].config, &error), -EINVAL);
        assert_non_null(strstr(error.text, rows[i].word));
    }
    soaking_end(&scene.soaking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_header_is_the_first_that_is_read),
        TEST(only_bytes_sent_tell_of_it),
        TEST(who_has_nothing_to_say_sends_it_all_the_same),
        TEST(a_stream_counts_its_header_once),
        TEST(a_slow_writer_is_slow_with_its_request_only),
        TEST(a_manner_of_the_request_waits_for_it),
        TEST(what_it_is_not_for_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
