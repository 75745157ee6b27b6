/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS between flows and their owners, in virtual time: both ends are peers, who call with one context
 * and are called with another. What an owner hears, what is on the wire, and what servers that
 * misbehave lead to.
 */
#include "support/simtest.h"

#include "tls/tls.h"

enum { PORT = 443 };

static struct {
    struct tls_context *caller, *called; /* NULL: no TLS on that side */
    unsigned made;
    uint64_t frames, lose_each;
    bool saw_plain;
    unsigned secrets;
} scene;

static const char text[] = "plain text, written by one owner and read by the other";

static void dress(void *user, struct end *end)
{
    struct tls_context *context = scene.made++ & 1 ? scene.called : scene.caller;

    (void)user;
    if (context)
        assert_int_equal(tls_begin(&end->flow, context), 0);
}

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user;
    (void)delay_ns;
    scene.saw_plain |=
        frame->packet.payload_len && memmem(frame->data + frame->packet.payload_at,
                                            frame->packet.payload_len, text, sizeof(text));
    scene.frames++;
    return !scene.lose_each || scene.frames % scene.lose_each != 0;
}

static void note_secret(void *user, const char *line)
{
    (void)user;
    assert_null(strchr(line, '\n'));
    scene.secrets++;
}

static struct tls_context *make(const struct peer_tls_config *config)
{
    const struct tls_host host = {.secret = note_secret, .peers = 2};
    struct tls_context *context = NULL;
    struct peer_error error = {0};

    int status = tls_context_new(config, &host, &context, &error);
    if (status < 0)
        print_message("%s\n", error.text);
    assert_int_equal(status, 0);
    tls_context_tell_secrets(context, true);
    return context;
}

/* NULL: that side has no TLS. */
static struct simnet *begin(const struct peer_tls_config *caller,
                            const struct peer_tls_config *called, uint64_t handshake_ns)
{
    const struct simnet_config config = {.peers = "198.18.0.2-198.18.0.3",
                                         .fate = fate,
                                         .dress = dress,
                                         .handshake_ns = handshake_ns};

    memset(&scene, 0, sizeof(scene));
    scene.caller = caller ? make(caller) : NULL;
    scene.called = called ? make(called) : NULL;
    if (called)
        assert_int_equal(tls_context_serve(scene.called), 0);
    return simnet_new(&config);
}

static void finish(struct simnet *net)
{
    simnet_run_for(net, 200 * NS_PER_S);
    simnet_end(net);
    scene.caller = tls_context_free(scene.caller);
    scene.called = tls_context_free(scene.called);
}

static bool run(struct simnet *net, bool (*done)(void *), struct end *end, uint64_t ns)
{
    return simnet_run(net, done, end, simnet_now_ns(net) + ns);
}

static struct end *call(struct simnet *net)
{
    return end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
}

static const struct peer_tls_config plain;

/* ---- as it should be ---- */

static void exchange(const char *versions, const char *name, uint64_t handshake_ns)
{
    const struct peer_tls_config ours = {.versions = versions, .alpn = "h2,http/1.1"};
    const struct peer_tls_config theirs = {.alpn = "http/1.1"};
    struct simnet *net = begin(&ours, &theirs, 0);
    struct peer_tls_info info;
    struct iovec iov;

    (void)simnet_listen(net, IPPROTO_TCP, PORT, &(struct end){.read_most = SIZE_MAX});
    struct end *end = call(net);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    assert_int_equal(end->flow.handshake_ns, 2 * NS_PER_MS); /* TCP's */
    assert_int_equal(tls_handshake_ns(&end->flow), handshake_ns);
    assert_true(tls_alpn_is(&end->flow, "http/1.1"));
    assert_true(tls_get_info(&end->flow, &info));
    assert_true(info.open);
    assert_string_equal(info.version, name);
    assert_string_equal(info.alpn, "http/1.1");
    assert_string_equal(info.subject, "CN=peer");
    assert_string_equal(info.verified, "not verified");
    assert_string_not_equal(info.group, "");
    assert_int_equal(flow_write(&end->flow, text, sizeof(text), 0), sizeof(text));
    assert_int_equal(flow_written(&end->flow), sizeof(text));
    simnet_run_for(net, NS_PER_S);
    struct flow *other = &simnet_accepted(net)->flow;
    assert_int_equal(flow_peek(other, &iov, 1), 1);
    assert_int_equal(iov.iov_len, sizeof(text));
    assert_string_equal(iov.iov_base, text);
    flow_consume(other, 10);
    assert_int_equal(flow_unread(other), sizeof(text) - 10);
    assert_int_equal(flow_peek(other, &iov, 1), 1);
    assert_string_equal(iov.iov_base, text + 10);
    flow_consume(other, iov.iov_len);
    assert_int_equal(flow_unread(other), 0);
    assert_int_equal(flow_unacked(&end->flow), 0);
    assert_false(scene.saw_plain);
    assert_true(scene.secrets > 0);
    end_free(end);
    finish(net);
}

static void test_text_crosses_unseen(void **state)
{
    (void)state;
    exchange("1.3", "TLSv1.3", 2 * NS_PER_MS);
    exchange("1.2", "TLSv1.2", 4 * NS_PER_MS);
}

static void test_much_both_ways_with_losses(void **state)
{
    const struct end like = {.to_send = 900000, .close_when_done = true, .shut_when_sent = true};
    struct simnet *net = begin(&plain, &plain, 0);

    (void)state;
    scene.lose_each = 50;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, &like);
    struct end *end = call(net);
    end->to_send = 700000;
    end->shut_when_sent = true;
    assert_true(run(net, end_is_over, end, 600 * NS_PER_S));
    assert_int_equal(end->how, PEER_END_CLOSED);
    assert_int_equal(end->received, 900000);
    assert_false(end->wrong);
    assert_false(tls_is_truncated(&end->flow));
    assert_int_equal(simnet_counts(net).bytes, 1600000);
    assert_int_equal(simnet_counts(net).wrong, 0);
    end_free(end);
    finish(net);
}

/* Who does not read makes the other side wait: what is kept is what TCP keeps, and one record. */
static void test_who_does_not_read_makes_the_other_wait(void **state)
{
    const struct end like = {.to_send = 16 << 20};
    struct simnet *net = begin(&plain, &plain, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, &like);
    struct end *end = call(net);
    end->read_most = SIZE_MAX;
    simnet_run_for(net, 20 * NS_PER_S);
    struct end *other = simnet_accepted(net);
    assert_true(other->sent < like.to_send / 2);
    end->read_most = 0;
    end_pump(end);
    simnet_run_for(net, 60 * NS_PER_S);
    assert_int_equal(end->received, like.to_send);
    assert_false(end->wrong);
    end_free(end);
    finish(net);
}

/* A slow writer's record leaves byte by byte, and is one. */
static void looked(struct flow *flow, unsigned events)
{
    (void)flow;
    (void)events;
}

static void forget(struct flow *flow)
{
    (void)flow;
}

static void test_what_a_watch_keeps_back_leaves_later(void **state)
{
    struct flow_watch watch = {.look = looked, .done = forget, .write_most = SIZE_MAX};
    struct simnet *net = begin(&plain, &plain, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_int_equal(flow_set_watch(&end->flow, &watch), 0);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    watch.write_most = 7;
    assert_int_equal(flow_write(&end->flow, text, sizeof(text), 0), sizeof(text));
    assert_int_equal(flow_write(&end->flow, text, sizeof(text), 0), -EAGAIN);
    assert_int_equal(flow_shutdown(&end->flow), 0); /* comes behind it */
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(simnet_accepted(net)->received, 0);
    watch.write_most = SIZE_MAX;
    flows_event(&end->flow.conn, FLOW_WRITABLE);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(simnet_accepted(net)->received, sizeof(text));
    assert_true(simnet_accepted(net)->events & FLOW_EOF);
    assert_false(tls_is_truncated(&simnet_accepted(net)->flow));
    end_free(end);
    finish(net);
}

static void test_sessions_are_resumed_as_often_as_asked(void **state)
{
    const struct peer_tls_config ours = {.resume = 1};
    struct simnet *net = begin(&ours, &plain, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    for (int i = 0; i < 3; i++) {
        struct end *end = call(net);
        assert_true(run(net, end_is_open, end, NS_PER_S));
        simnet_run_for(net, NS_PER_S); /* the ticket comes */
        assert_int_equal(tls_is_resumed(&end->flow), i > 0);
        end_free(end);
    }
    finish(net);
}

/* Bytes of the server that come with the end of the handshake are there with it. */
static void test_a_flow_that_is_open_can_begin(void **state)
{
    struct simnet *net = begin(NULL, NULL, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    simnet_run_for(net, NS_PER_S);
    scene.caller = make(&plain);
    scene.called = make(&plain);
    assert_int_equal(tls_context_serve(scene.called), 0);
    struct end *other = simnet_accepted(net);
    assert_int_equal(tls_begin_called(&other->flow, scene.called), 0);
    assert_int_equal(tls_begin(&end->flow, scene.caller), 0);
    assert_int_equal(flow_write(&end->flow, text, sizeof(text), 0), -EAGAIN);
    end->events = 0;
    simnet_run_for(net, NS_PER_S);
    assert_true(end->events & FLOW_CONNECTED);
    assert_true(tls_is_open(&end->flow));
    end->to_send = 5000;
    end_pump(end);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(other->received, 5000);
    assert_false(other->wrong);
    end_free(end);
    finish(net);
}

/* ---- as it should not be ---- */

static void fails(const struct peer_tls_config *ours, const struct peer_tls_config *theirs,
                  enum peer_tls_error kind, const char *reason)
{
    struct simnet *net = begin(ours, theirs, 0);

    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_over, end, NS_PER_S));
    assert_int_equal(end->how, PEER_END_TLS);
    assert_false(end->events & FLOW_CONNECTED);
    assert_int_equal(tls_error(&end->flow), kind);
    assert_string_equal(tls_reason(&end->flow), reason);
    simnet_run_for(net, NS_PER_S);
    assert_true(end_is_over(simnet_accepted(net)));
    end_free(end);
    finish(net);
}

static void test_errors_are_told_apart(void **state)
{
    const struct peer_tls_config old = {.versions = "1.2"}, new = {.versions = "1.3"};
    const struct peer_tls_config verifies = {.verify = true};
    const struct peer_tls_config h2 = {.alpn = "h2"}, http = {.alpn = "http/1.1"};

    (void)state;
    fails(&new, &old, PEER_TLS_PROTOCOL, "the other side says \"protocol version\"");
    fails(&h2, &http, PEER_TLS_PROTOCOL, "the other side says \"no application protocol\"");
    fails(&verifies, &plain, PEER_TLS_CERTIFICATE, "self-signed certificate");
}

/* Who shows no certificate hears of it after his own side of the handshake is done (TLS 1.3). */
static void test_a_certificate_that_is_missing(void **state)
{
    const struct peer_tls_config verifies = {.verify = true};
    struct simnet *net = begin(&plain, &verifies, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_over, end, NS_PER_S));
    assert_true(end->events & FLOW_CONNECTED);
    assert_int_equal(end->how, PEER_END_TLS);
    assert_int_equal(tls_error(&end->flow), PEER_TLS_CERTIFICATE);
    end_free(end);
    finish(net);
}

static void test_a_handshake_that_hangs_times_out(void **state)
{
    struct simnet *net = begin(&plain, NULL, 3 * NS_PER_S);
    uint64_t start_ns = simnet_now_ns(net);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_over, end, 10 * NS_PER_S));
    assert_int_equal(end->how, PEER_END_TIMEOUT);
    assert_int_equal(end->end_ns, start_ns + 3 * NS_PER_S);
    end_free(end);
    finish(net);
}

static void say_garbage(struct end *end, unsigned events)
{
    static const char words[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

    if (events & FLOW_READABLE)
        (void)flow_write(&end->flow, words, sizeof(words) - 1, 0);
}

static void say_nothing(struct end *end, unsigned events)
{
    if (events & FLOW_READABLE)
        flow_close(&end->flow);
}

static void answered_by(void (*script)(struct end *, unsigned), enum peer_tls_error kind)
{
    const struct end like = {.on_event = script, .drop_when_ended = true};
    struct simnet *net = begin(&plain, NULL, 0);

    (void)simnet_listen(net, IPPROTO_TCP, PORT, &like);
    struct end *end = call(net);
    assert_true(run(net, end_is_over, end, NS_PER_S));
    assert_int_equal(tls_error(&end->flow), kind);
    assert_false(end->events & FLOW_CONNECTED);
    end_free(end);
    finish(net);
}

static void test_servers_that_speak_no_tls(void **state)
{
    (void)state;
    answered_by(say_garbage, PEER_TLS_PROTOCOL);
    answered_by(say_nothing, PEER_TLS_CLOSED);
}

static void test_fin_without_close_notify_is_told(void **state)
{
    struct simnet *net = begin(&plain, &plain, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    simnet_run_for(net, NS_PER_S);
    struct flow *other = &simnet_accepted(net)->flow;
    assert_int_equal(flow_write(other, text, 10, 0), 10);
    assert_int_equal(flow_raw_shutdown(other), 0);
    end->receive_phase = 0;
    end->read_most = SIZE_MAX;
    simnet_run_for(net, NS_PER_S);
    assert_true(end->events & FLOW_EOF);
    assert_true(tls_is_truncated(&end->flow));
    assert_int_equal(flow_unread(&end->flow), 10);
    end_free(end);
    finish(net);
}

/* close_notify behind bytes that nobody has read yet is told when they are read. */
static void test_the_end_is_told_behind_the_bytes(void **state)
{
    struct simnet *net = begin(&plain, &plain, 0);
    struct flow_watch other_watch = {.look = looked, .done = forget};
    static uint8_t much[40000];
    struct iovec iov;
    size_t read = 0;

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    simnet_run_for(net, NS_PER_S);
    end->read_most = SIZE_MAX;
    struct flow *other = &simnet_accepted(net)->flow;
    assert_int_equal(flow_write(other, much, sizeof(much), 0), sizeof(much));
    other_watch.write_most = SIZE_MAX;
    assert_int_equal(flow_set_watch(other, &other_watch), 0);
    other_watch.holds = true; /* no FIN behind it */
    assert_int_equal(flow_shutdown(other), 0);
    simnet_run_for(net, NS_PER_S);
    assert_false(end->events & FLOW_EOF);
    while (flow_peek(&end->flow, &iov, 1) == 1) {
        read += iov.iov_len;
        flow_consume(&end->flow, iov.iov_len);
    }
    assert_int_equal(read, sizeof(much));
    simnet_run_for(net, NS_PER_S);
    assert_true(end->events & FLOW_EOF);
    assert_false(tls_is_truncated(&end->flow));
    end_free(end);
    finish(net);
}

/* One byte of a record is another one on the way. */
static void test_a_broken_record_ends_it(void **state)
{
    struct simnet *net = begin(&plain, &plain, 0);
    static const uint8_t broken[] = {23, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                     15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
                                     30, 31, 32};

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = call(net);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    simnet_run_for(net, NS_PER_S);
    struct flow *other = &simnet_accepted(net)->flow;
    assert_int_equal(flow_raw_write(other, broken, sizeof(broken), 0), sizeof(broken));
    assert_true(run(net, end_is_over, end, NS_PER_S));
    assert_int_equal(end->how, PEER_END_TLS);
    assert_int_equal(tls_error(&end->flow), PEER_TLS_PROTOCOL);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(simnet_accepted(net)->how, PEER_END_TLS); /* the alert has come */
    end_free(end);
    finish(net);
}

static void refused(const struct peer_tls_config *config, const char *words)
{
    const struct tls_host host = {0};
    struct tls_context *context;
    struct peer_error error = {0};

    assert_true(tls_context_new(config, &host, &context, &error) < 0);
    if (!strstr(error.text, words))
        print_message("\"%s\"\n", error.text);
    assert_non_null(strstr(error.text, words));
}

static void test_settings_that_are_wrong_are_told(void **state)
{
    (void)state;
    refused(&(struct peer_tls_config){.versions = "1.4"}, "\"1.4\" is no version of TLS");
    refused(&(struct peer_tls_config){.versions = "1.3-1.2"}, "is no version of TLS");
    refused(&(struct peer_tls_config){.ciphers = "no-such"}, "\"no-such\" are no ciphers");
    refused(&(struct peer_tls_config){.ciphers = "TLS_NO"}, "are no ciphers");
    refused(&(struct peer_tls_config){.alpn = "h2,,h3"}, "is no list of protocols");
    refused(&(struct peer_tls_config){.cert = "/no/such/file"}, "/no/such/file");
    refused(&(struct peer_tls_config){.cert = "/dev/null"}, "no certificate in /dev/null");
    refused(&(struct peer_tls_config){.verify = true, .ca_file = "/dev/null"}, "/dev/null");
    refused(&(struct peer_tls_config){.resume = 1.5}, "share");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text_crosses_unseen),
        TEST(test_much_both_ways_with_losses),
        TEST(test_who_does_not_read_makes_the_other_wait),
        TEST(test_what_a_watch_keeps_back_leaves_later),
        TEST(test_sessions_are_resumed_as_often_as_asked),
        TEST(test_a_flow_that_is_open_can_begin),
        TEST(test_errors_are_told_apart),
        TEST(test_a_certificate_that_is_missing),
        TEST(test_a_handshake_that_hangs_times_out),
        TEST(test_servers_that_speak_no_tls),
        TEST(test_fin_without_close_notify_is_told),
        TEST(test_the_end_is_told_behind_the_bytes),
        TEST(test_a_broken_record_ends_it),
        TEST(test_settings_that_are_wrong_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
