/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WebSocket in virtual time: against a server that keeps to the rules, as wslay does, and against
 * one that says whatever the test wants.
 */
#include "soak_talk.h"

#include "tls/digest.h"

#include <ctype.h>
#include <wslay/wslay.h>

enum { SERVERS = 4 };

struct service {
    const char *answer; /* of the upgrade, with "%s" for what is to be accepted; NULL: the right one */
    const char *says;   /* behind it */
    size_t says_len;
    const char *to_message; /* what answers each message; NULL: an echo */
    size_t to_message_len;
    unsigned pieces; /* an echo comes in so many fragments, with a ping between them */
    bool text_back;  /* as text, whatever came */
    unsigned messages, pongs, closes, frames;
    unsigned pings; /* of the client's */
    bool mute;      /* to these; else a pong of nothing, and then theirs */
    unsigned code; /* of the latest close */
    size_t ping_len;
    bool pongs_wrong;
    /* By wslay. */
    bool real;
    struct talk_server *server[SERVERS];
    wslay_event_context_ptr context[SERVERS];
    const char *data;
    size_t len;
};

#define RIGHT                                                                                      \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: %s\r\n\r\n"

static struct service *service_of(const struct talk_server *server)
{
    return server->talk->user;
}

static size_t frame_head(const uint8_t *at, size_t len, uint64_t *ret_len)
{
    uint64_t eight = 0;
    const size_t extra = (at[1] & 0x7f) == 127 ? 8 : (at[1] & 0x7f) == 126 ? 2 : 0;

    if (len < 6 + extra)
        return 0;
    for (size_t i = 0; i < extra; i++)
        eight = eight << 8 | at[2 + i];
    *ret_len = extra ? eight : (at[1] & 0x7fu);
    return 6 + extra;
}

/* The head of a request, or a frame. */
static size_t ws_unit(const struct talk_server *server, const char *data, size_t len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    uint64_t payload = 0;

    if (!server->units)
        return end ? (size_t)(end - data) + 4 : 0;
    if (service_of(server)->real)
        return len;
    size_t head = len >= 2 ? frame_head((const uint8_t *)data, len, &payload) : 0;
    return head && head + payload <= len ? head + (size_t)payload : 0;
}

static void accept_text(const char *request, size_t len, char *out)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    const char *key = memmem(request, len, name, sizeof(name) - 1);
    uint8_t digest[DIGEST_SHA1_BYTES];
    char text[64];

    assert_non_null(key);
    key += sizeof(name) - 1;
    assert_int_equal(strcspn(key, "\r"), 24);
    snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    assert_int_equal(digest_sha1(text, strlen(text), digest), 0);
    digest_base64(digest, sizeof(digest), out);
}

static void say_frame(struct talk_server *server, unsigned first, const void *data, size_t len)
{
    const uint8_t head[4] = {(uint8_t)first, (uint8_t)(len < 126 ? len : 126), (uint8_t)(len >> 8),
                             (uint8_t)len};

    assert_true(len < 65536);
    talk_say(server, head, len < 126 ? 2 : 4);
    talk_say(server, data, len);
}

/* ---- wslay's ---- */

static size_t index_of(struct service *service, const struct talk_server *server)
{
    size_t i = 0;

    while (i < SERVERS - 1 && service->server[i] && service->server[i] != server)
        i++;
    return i;
}

static ssize_t real_recv(wslay_event_context_ptr context, uint8_t *out, size_t len, int flags,
                         void *user)
{
    struct service *service = service_of(user);
    size_t part = MIN(len, service->len);

    (void)flags;
    if (!part) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(out, service->data, part);
    service->data += part;
    service->len -= part;
    return (ssize_t)part;
}

static ssize_t real_send(wslay_event_context_ptr context, const uint8_t *data, size_t len, int flags,
                         void *user)
{
    (void)context, (void)flags;
    talk_say(user, data, len);
    return (ssize_t)len;
}

static void real_message(wslay_event_context_ptr context,
                         const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct service *service = service_of(user);

    if (arg->opcode == WSLAY_PONG) {
        service->pongs++;
    } else if (arg->opcode == WSLAY_PING) { /* which wslay answers */
        service->pings++;
    } else if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        service->closes++;
        service->code = arg->status_code;
        ((struct talk_server *)user)->closes = true;
    } else {
        service->messages++;
        const struct wslay_event_msg echo = {arg->opcode, arg->msg, arg->msg_length};
        assert_int_equal(wslay_event_queue_msg(context, &echo), 0);
        const struct wslay_event_msg ping = {WSLAY_PING, (const uint8_t *)"are you there", 13};
        assert_int_equal(wslay_event_queue_msg(context, &ping), 0);
    }
}

static void real_frame(wslay_event_context_ptr context,
                       const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
    (void)context;
    service_of(user)->frames += !wslay_is_ctrl_frame(arg->opcode);
}

static void real_hear(struct talk_server *server, const char *data, size_t len)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = real_recv,
        .send_callback = real_send,
        .on_frame_recv_start_callback = real_frame,
        .on_msg_recv_callback = real_message};
    struct service *service = service_of(server);
    size_t i = index_of(service, server);

    if (!service->server[i]) {
        service->server[i] = server;
        assert_int_equal(wslay_event_context_server_init(&service->context[i], &callbacks, server),
                         0);
    }
    service->data = data;
    service->len = len;
    assert_int_equal(wslay_event_recv(service->context[i]), 0);
    assert_int_equal(service->len, 0);
    assert_int_equal(wslay_event_send(service->context[i]), 0);
}

/* ---- the test's ---- */

/* Any number of pieces is one message. */
static void say_echo(struct talk_server *server, unsigned opcode, const char *data, size_t len)
{
    const unsigned pieces = MAX(service_of(server)->pieces, 1u);
    size_t at = 0;

    for (unsigned i = 0; i < pieces; i++) {
        size_t part = i + 1 == pieces ? len - at : (len / pieces);
        unsigned first = (i ? 0 : opcode) | (i + 1 == pieces ? 0x80 : 0);
        say_frame(server, first, data + at, part);
        at += part;
        if (i + 1 < pieces)
            say_frame(server, 0x89, "ping", service_of(server)->ping_len);
    }
}

static void hear_frame(struct talk_server *server, char *data, size_t len)
{
    struct service *service = service_of(server);
    uint64_t payload = 0;
    const size_t head = frame_head((const uint8_t *)data, len, &payload);
    const unsigned opcode = (uint8_t)data[0] & 0x0f;

    assert_true((uint8_t)data[1] & 0x80); /* a client masks */
    assert_int_equal((uint8_t)data[0] & 0xf0, 0x80);
    for (size_t i = 0; i < payload; i++)
        data[head + i] = (char)(data[head + i] ^ data[head - 4 + i % 4]);
    if (opcode == 8) {
        service->closes++;
        service->code = payload ? (unsigned)(uint8_t)data[head] << 8 | (uint8_t)data[head + 1] : 1005;
        server->closes = true;
    } else if (opcode == 9) {
        service->pings++;
        if (service->mute)
            return;
        say_frame(server, 0x8a, "unasked", 7);
        say_frame(server, 0x8a, data + head, (size_t)payload);
    } else if (opcode == 10) {
        service->pongs++;
        service->pongs_wrong |=
            payload != service->ping_len || memcmp(data + head, "ping", (size_t)payload) != 0;
    } else if (service->to_message) {
        service->messages++;
        talk_say(server, service->to_message, service->to_message_len);
    } else {
        service->messages++;
        say_echo(server, service->text_back ? 1 : opcode, data + head, (size_t)payload);
    }
}

static void ws_hear(struct talk_server *server, const char *data, size_t len)
{
    struct service *service = service_of(server);
    const char *format = service->answer ? service->answer : RIGHT;
    char accept[64], copy[4096];

    if (server->units > 1 && service->real) {
        real_hear(server, data, len);
        return;
    }
    if (server->units > 1) {
        memcpy(copy, data, len);
        hear_frame(server, copy, len);
        return;
    }
    accept_text(data, len, accept);
    const char *hole = strstr(format, "%s");
    talk_say(server, format, hole ? (size_t)(hole - format) : strlen(format));
    if (hole) {
        talk_say(server, accept, strlen(accept));
        talk_say(server, hole + 2, strlen(hole + 2));
    }
    if (service->says)
        talk_say(server, service->says, service->says_len);
}

static void run_ws(struct talk *talk, struct service *service, struct peer_soak_config config)
{
    *talk = (struct talk){.unit = ws_unit, .hear = ws_hear, .user = service};
    config.protocol = "ws";
    if (!config.total && !config.hold)
        config.total = 3;
    config.timeout_ns = NS_PER_S;
    talk_run(talk, &config);
}

static void a_server_of_wslays_echoes(void **state)
{
    static const uint64_t sizes[] = {1, 2, 125, 126, 127, 1000, 4000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (int text = 0; text <= 1; text++) {
            struct service service = {.real = true};
            struct talk talk;
            run_ws(&talk, &service,
                   (struct peer_soak_config){
                       .message_bytes = sizes[i], .text = text, .total = 20, .flows = 2});
            soaking_assert_counts(&talk.soaking, 20, 20, 0);
            assert_int_equal(service.messages, 20);
            assert_int_equal(talk.accepted, 2);
            assert_true(service.pongs >= 18); /* to the last ones nobody may wait */
            assert_int_equal(talk.soaking.report.login.count, 2); /* the upgrades */
            assert_true(talk.soaking.report.request.max < TALK_RTT_MS * 1001.0);
            talk_end(&talk); /* what was said last has come then */
            assert_int_equal(service.closes, 2);
            assert_int_equal(service.code, 1000);
            for (size_t k = 0; k < 2; k++)
                wslay_event_context_free(service.context[k]);
        }
    }
}

static void the_request_is_the_rfcs(void **state)
{
    static const char *const headers[] = {"Origin: http://a", "Sec-WebSocket-Protocol: chat, log",
                                          NULL};
    static const char *const lines[] = {
        "GET /chat?a=b HTTP/1.1\r\n", "\r\nHost: it:8080\r\n",  "\r\nUpgrade: websocket\r\n",
        "\r\nConnection: Upgrade\r\n", "\r\nOrigin: http://a\r\n",
        "\r\nSec-WebSocket-Protocol: chat, log\r\n", "\r\nSec-WebSocket-Version: 13\r\n"};
    static const char answer[] =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n"
        "upgrade: WebSocket\r\nCONNECTION: keep-alive, upgrade\r\nSec-WebSocket-Protocol: log\r\n"
        "sec-websocket-accept: %s\r\n\r\n";
    struct service service = {.answer = answer};
    struct talk talk;

    (void)state;
    run_ws(&talk, &service,
           (struct peer_soak_config){.path = "/chat?a=b", .host = "it:8080", .headers = headers});
    soaking_assert_counts(&talk.soaking, 3, 3, 0);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        assert_non_null(strstr(talk.heard, lines[i]));
    talk_end(&talk);
}

/* Fragments, and pings between them, are one answer. */
static void what_comes_in_fragments_is_one_message(void **state)
{
    (void)state;
    for (unsigned pieces = 2; pieces <= 9; pieces++) {
        for (int text = 0; text <= 1; text++) {
            struct service service = {.pieces = pieces, .ping_len = pieces % 5};
            struct talk talk;
            run_ws(&talk, &service,
                   (struct peer_soak_config){.message_bytes = 301, .total = 10, .text = text});
            soaking_assert_counts(&talk.soaking, 10, 10, 0);
            assert_int_equal(talk.accepted, 1);
            assert_int_equal(service.messages, 10);
            assert_false(service.pongs_wrong);
            assert_true(service.pongs >= 9); /* one for those that came together */
            talk_end(&talk);
        }
    }
}

/* wslay judges continuations, and text only as a whole. */
static void messages_go_in_fragments(void **state)
{
    static const uint64_t sizes[] = {1, 4, 127, 1000, 3500};
    static const uint32_t fragments[] = {2, 3, 7, 64};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(fragments) * 2; i++) {
        const uint64_t size = sizes[i / 2 % ARRAY_SIZE(sizes)];
        const uint32_t count = fragments[i / 2 / ARRAY_SIZE(sizes)];
        struct service service = {.real = true};
        struct talk talk;
        run_ws(&talk, &service,
               (struct peer_soak_config){
                   .message_bytes = size, .fragments = count, .text = i % 2, .total = 6});
        soaking_assert_counts(&talk.soaking, 6, 6, 0);
        assert_int_equal(service.messages, 6);
        assert_int_equal(service.frames, 6 * count);
        talk_end(&talk);
        wslay_event_context_free(service.context[0]);
    }
}

static void pings_are_answered_and_measured(void **state)
{
    (void)state;
    for (int held = 0; held <= 1; held++) {
        struct service service = {.mute = false};
        struct talk talk;
        run_ws(&talk, &service,
               (struct peer_soak_config){.flows = 2,
                                         .hold = held,
                                         .think_ns = held ? 0 : 700 * MS,
                                         .total = held ? 0 : 20,
                                         .duration_ns = held ? 7 * NS_PER_S : 0,
                                         .ping_ns = 300 * MS});
        assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
        /* Every 302 ms on each connection, of 6.3 s and of 7. */
        assert_in_range(talk.soaking.counts.pings, held ? 44 : 38, held ? 46 : 42);
        assert_int_equal(service.pings, talk.soaking.counts.pings);
        assert_in_range(talk.soaking.report.ping.count, talk.soaking.counts.pings - 2,
                        talk.soaking.counts.pings);
        assert_true(talk.soaking.report.ping.max < TALK_RTT_MS * 1001.0);
        talk_end(&talk);
    }
}

static void a_ping_without_a_pong_is_an_error(void **state)
{
    struct service service = {.mute = true};
    struct talk talk;

    (void)state;
    run_ws(&talk, &service,
           (struct peer_soak_config){
               .hold = true, .duration_ns = 3 * NS_PER_S, .ping_ns = 500 * MS});
    assert_int_equal(talk.soaking.counts.timeout, 1);
    talk_assert_words(&talk, PEER_SOAK_TIMEOUT, "no pong in time");
    assert_int_equal(talk.soaking.report.ping.count, 0);
    talk_end(&talk);
}

static void closes_are_counted_by_code(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *name;
    } rows[] = {{"\x88\2\x03\xf1", 4, "1009"}, {"\x88\2\x0f\xa1", 4, "4001"}, {"\x88\0", 2, "none"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct service service = {.to_message = rows[i].bytes, .to_message_len = rows[i].len};
        struct peer_soak_answers answers = {.count = 0};
        struct talk talk;
        run_ws(&talk, &service, (struct peer_soak_config){.total = 5});
        assert_int_equal(talk.soaking.counts.closed_early, 5);
        assert_int_equal(peer_result_get_answers(talk.soaking.result, 0, &answers), 1);
        assert_string_equal(answers.kind, "closes");
        assert_string_equal(answers.name, rows[i].name);
        assert_int_equal(answers.count, 5);
        assert_int_equal(peer_result_get_answers(talk.soaking.result, 1, &answers), 0);
        talk_end(&talk);
    }
}

/* ---- servers that do not keep to the rules ---- */

struct row {
    const char *bytes;
    size_t len;
    enum peer_soak_error kind;
    const char *words;
};
#define ROW(bytes, kind, words)                                                                    \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, kind, words                                                      \
    }

static const struct row frames[] = {
    ROW("\x82\x7f\x80\0\0\0\0\0\0\0", PEER_SOAK_BAD_ANSWER, "a frame has 2^63 bytes or more"),
    ROW("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", PEER_SOAK_BAD_ANSWER,
        "more came back than was sent"),
    ROW("\x82\x7f\0\0\0\0\0\0\xff\xff", PEER_SOAK_BAD_ANSWER, "more bytes than it needs"),
    ROW("\x82\x7e\0\x7d", PEER_SOAK_BAD_ANSWER, "more bytes than it needs"),
    ROW("\x82\x84\1\2\3\4abcd", PEER_SOAK_BAD_ANSWER, "a frame is masked"),
    ROW("\xc2\x01x", PEER_SOAK_BAD_ANSWER, "reserved bits"),
    ROW("\x92\x01x", PEER_SOAK_BAD_ANSWER, "reserved bits"),
    ROW("\x83\x01x", PEER_SOAK_BAD_ANSWER, "an opcode that means nothing"),
    ROW("\x8b\x01x", PEER_SOAK_BAD_ANSWER, "an opcode that means nothing"),
    ROW("\x09\x01x", PEER_SOAK_BAD_ANSWER, "a control frame is fragmented"),
    ROW("\x89\x7e\0\x7e", PEER_SOAK_BAD_ANSWER, "more than 125 bytes"),
    ROW("\x80\x01x", PEER_SOAK_BAD_ANSWER, "continues a message, and none has begun"),
    ROW("\x02\x00\x82\x01x", PEER_SOAK_BAD_ANSWER, "before the last fragment of another"),
    ROW("HTTP/1.1 400 Bad Request\r\n\r\n", PEER_SOAK_BAD_ANSWER, "reserved bits"),
    ROW("\x82\x7e\1\0", PEER_SOAK_BAD_ANSWER, "more came back than was sent"),
    ROW("\x82\x00", PEER_SOAK_BAD_ANSWER, "0 bytes came back for a message of 200"),
    ROW("\x82\x01\0", PEER_SOAK_BAD_ANSWER, "byte 0 of the message that came back differs"),
    ROW("\x81\x01x", PEER_SOAK_BAD_ANSWER, "a message of text came back for one of bytes"),
    ROW("\x88\x02\x03\xf3", PEER_SOAK_CLOSED_EARLY,
        "the server closes: 1011 (an unexpected condition)"),
    ROW("\x88\x07\x03\xf0later", PEER_SOAK_CLOSED_EARLY,
        "the server closes: 1008 (against its policy) \"later\""),
    ROW("\x88\x02\x0f\xa1", PEER_SOAK_CLOSED_EARLY, "the server closes: 4001"),
    ROW("\x88\x00", PEER_SOAK_CLOSED_EARLY, "the server closes: without a code"),
    ROW("\x02\x00\x88\x02\x03\xe9", PEER_SOAK_CLOSED_EARLY, "1001 (going away)"),
    ROW("\x88\x01\x03", PEER_SOAK_BAD_ANSWER, "half a code"),
    ROW("\x88\x02\x03\xed", PEER_SOAK_BAD_ANSWER, "a code that is never sent"),
    ROW("\x88\x02\x00\x01", PEER_SOAK_BAD_ANSWER, "a code that is never sent"),
    ROW("\x88\x04\x03\xe8\xc0\x80", PEER_SOAK_BAD_ANSWER, "no UTF-8"),
    ROW("\x89\x7d" "abc", PEER_SOAK_TIMEOUT, "no answer in time"),
    ROW("\x82\x7e", PEER_SOAK_TIMEOUT, "no answer in time"),
};

static void wrong_frames_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct service service = {.to_message = frames[i].bytes, .to_message_len = frames[i].len};
        struct talk talk;
        run_ws(&talk, &service, (struct peer_soak_config){.message_bytes = 200});
        soaking_assert_counts(&talk.soaking, 3, 0, 3);
        talk_assert_words(&talk, frames[i].kind, frames[i].words);
        /* What was closed is agreed to, with the same code. */
        if (strstr(frames[i].words, "1011"))
            assert_int_equal(service.code, 1011);
        talk_end(&talk);
    }
}

static void a_message_of_another_kind_is_wrong(void **state)
{
    struct service service = {.text_back = true};
    struct talk talk;

    (void)state;
    run_ws(&talk, &service, (struct peer_soak_config){.message_bytes = 20, .total = 3});
    soaking_assert_counts(&talk.soaking, 3, 0, 3);
    talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, "of text came back for one of bytes");
    talk_end(&talk);
}

#define HEAD "HTTP/1.1 101 S\r\n"
#define UP   "Upgrade: websocket\r\n"
#define CON  "Connection: Upgrade\r\n"
#define ACC  "Sec-WebSocket-Accept: %s\r\n"

static void what_is_no_upgrade_is_told(void **state)
{
    static const struct row rows[] = {
        ROW("HTTP/1.1 403 Forbidden\r\n\r\n", PEER_SOAK_STATUS, "refused, 403 Forbidden"),
        ROW("HTTP/1.1 301 Moved\r\nLocation: /there\r\n\r\n", PEER_SOAK_STATUS,
            "refused, 301 Moved, to \"/there\""),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", PEER_SOAK_STATUS,
            "refused, 200 OK"),
        ROW("HTTP/1.0 426\r\n\r\n", PEER_SOAK_STATUS, "refused, 426"),
        ROW(HEAD CON ACC "\r\n", PEER_SOAK_BAD_ANSWER, "no \"Upgrade: websocket\""),
        ROW(HEAD "Upgrade: h2c\r\n" CON ACC "\r\n", PEER_SOAK_BAD_ANSWER,
            "no \"Upgrade: websocket\""),
        ROW(HEAD UP ACC "\r\n", PEER_SOAK_BAD_ANSWER, "no \"Connection: Upgrade\""),
        ROW(HEAD UP CON "\r\n", PEER_SOAK_BAD_ANSWER, "no Sec-WebSocket-Accept"),
        ROW(HEAD UP CON "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            PEER_SOAK_BAD_ANSWER, "not that of the key"),
        ROW(HEAD UP CON ACC "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            PEER_SOAK_BAD_ANSWER, "an extension"),
        ROW(HEAD UP CON ACC "Sec-WebSocket-Protocol: chat\r\n\r\n", PEER_SOAK_BAD_ANSWER,
            "was not offered"),
        ROW("SSH-2.0-OpenSSH_9.2\r\n", PEER_SOAK_BAD_ANSWER, "the answer to the upgrade is wrong"),
        ROW("HTTP/1.1 101", PEER_SOAK_TIMEOUT, "no answer in time"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int held = 0; held <= 1; held++) {
            struct service service = {.answer = rows[i].bytes};
            struct talk talk;
            run_ws(&talk, &service, (struct peer_soak_config){.hold = held, .total = 3});
            soaking_assert_counts(&talk.soaking, 0, 0, 3);
            talk_assert_words(&talk, rows[i].kind, rows[i].words);
            talk_end(&talk);
        }
    }
}

static void what_comes_with_the_upgrade_is_read(void **state)
{
    static const char ping[] = "\x89\x04ping", text[] = "\x81\x02hi", close[] = "\x88\x02\x03\xf5";
    struct service pinged = {.says = ping, .says_len = 6, .ping_len = 4};
    struct service told = {.says = text, .says_len = 4};
    struct service closed = {.says = close, .says_len = 4};
    struct talk talk;

    (void)state;
    run_ws(&talk, &pinged, (struct peer_soak_config){.total = 3});
    soaking_assert_counts(&talk.soaking, 3, 3, 0);
    assert_int_equal(pinged.pongs, 1);
    assert_false(pinged.pongs_wrong);
    talk_end(&talk);
    run_ws(&talk, &told, (struct peer_soak_config){.total = 3});
    soaking_assert_counts(&talk.soaking, 3, 0, 3);
    talk_assert_words(&talk, PEER_SOAK_BAD_ANSWER, "a message of text came back for one of bytes");
    talk_end(&talk);
    run_ws(&talk, &closed, (struct peer_soak_config){.total = 3});
    soaking_assert_counts(&talk.soaking, 3, 0, 3);
    talk_assert_words(&talk, PEER_SOAK_CLOSED_EARLY, "the server closes: 1013 (try again later)");
    talk_end(&talk);
}

/* ---- connections ---- */

static void held_connections_are_upgraded_and_answer_pings(void **state)
{
    static const char says[] = "\x89\x04ping\x81\x02hi";
    struct service service = {.says = says, .says_len = 10, .ping_len = 4};
    struct talk talk;

    (void)state;
    run_ws(&talk, &service,
           (struct peer_soak_config){
               .hold = true, .flows = 50, .touch = 50, .duration_ns = 2 * NS_PER_S});
    assert_int_equal(talk.accepted, 50);
    assert_int_equal(talk.soaking.counts.established, 50);
    assert_int_equal(talk.soaking.report.open_most, 50);
    assert_int_equal(peer_soak_errors(&talk.soaking.counts), 0);
    assert_int_equal(service.pongs, 50);
    assert_int_equal(service.messages, 50); /* the touch */
    talk_end(&talk);
    assert_int_equal(service.closes, 50);
    assert_int_equal(service.code, 1000);
}

static void a_held_connection_that_is_closed_is_an_error(void **state)
{
    static const char says[] = "\x88\x02\x03\xe9";
    struct service service = {.says = says, .says_len = 4};
    struct talk talk;

    (void)state;
    run_ws(&talk, &service, (struct peer_soak_config){.hold = true, .total = 2, .flows = 2});
    assert_int_equal(talk.soaking.counts.closed_early, 2);
    talk_assert_words(&talk, PEER_SOAK_CLOSED_EARLY, "the server closes: 1001 (going away)");
    talk_end(&talk);
    assert_int_equal(service.code, 1001);
}

static void a_connection_ends_by_a_close(void **state)
{
    struct service service = {.answer = NULL};
    struct talk talk;

    (void)state;
    run_ws(&talk, &service,
           (struct peer_soak_config){.total = 12, .requests_per_connection = 3});
    soaking_assert_counts(&talk.soaking, 12, 12, 0);
    assert_int_equal(talk.accepted, 4);
    assert_int_equal(service.closes, 4);
    assert_int_equal(service.code, 1000);
    talk_end(&talk);
}

static void what_does_not_go_together_is_refused(void **state)
{
    static const char *const key[] = {"sec-websocket-key: x", NULL};
    static const char *const zip[] = {"Sec-WebSocket-Extensions: permessage-deflate", NULL};
    static const char *const none[] = {"nothing", NULL};
    static const struct {
        struct peer_soak_config config;
        const char *words;
    } rows[] = {
        {{.protocol = "ws", .headers = key}, "the upgrade's own"},
        {{.protocol = "ws", .headers = zip}, "no extension"},
        {{.protocol = "ws", .headers = none}, "is no header"},
        {{.protocol = "ws", .method = "POST"}, "an upgrade is a GET"},
        {{.protocol = "ws", .path = "/a b"}, "no blanks"},
        {{.protocol = "ws", .udp = true}, "this workload needs TCP"},
        {{.protocol = "echo", .text = true}, "\"echo\" has no messages of text"},
        {{.protocol = "echo", .hold = true}, "\"idle\" has"},
        {{.protocol = "ws", .fragments = 1025}, "at most 1024 fragments"},
        {{.protocol = "echo", .ping_ns = 1}, "\"echo\" has no fragments and pings"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct service service = {.answer = NULL};
        struct talk talk = {.unit = ws_unit, .hear = ws_hear, .user = &service};
        assert_refused(&talk, &rows[i].config, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_of_wslays_echoes),
        TEST(the_request_is_the_rfcs),
        TEST(what_comes_in_fragments_is_one_message),
        TEST(messages_go_in_fragments),
        TEST(pings_are_answered_and_measured),
        TEST(a_ping_without_a_pong_is_an_error),
        TEST(closes_are_counted_by_code),
        TEST(wrong_frames_are_told_apart),
        TEST(a_message_of_another_kind_is_wrong),
        TEST(what_is_no_upgrade_is_told),
        TEST(what_comes_with_the_upgrade_is_read),
        TEST(held_connections_are_upgraded_and_answer_pings),
        TEST(a_held_connection_that_is_closed_is_an_error),
        TEST(a_connection_ends_by_a_close),
        TEST(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
