/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a soak of HTTP/2 makes of applications that do not speak it, or break its rules: each has its
 * line, ends with its connection, and is kept from using memory without end.
 */
#include "support/simtest.h"
#include "support/soaking.h"

#define MS NS_PER_MS

/* What the application says when the first bytes came, after it was silent until then. */
struct speech {
    const char *text;
    size_t len;
    unsigned times; /* of the part behind `again` */
    size_t again;
    bool settings; /* an empty SETTINGS frame goes before */
    bool closes;   /* FIN behind it */
};

struct scene {
    struct soaking soaking;
    struct speech speech;
};

struct server {
    unsigned said;
    bool spoke;
};

#define SPEECH(bytes) .text = (bytes), .len = sizeof(bytes) - 1
#define SETTINGS      "\0\0\0\4\0\0\0\0\0"

static void say_more(struct end *end)
{
    const struct speech *speech = &((struct scene *)end->user)->speech;
    struct server *server = end_own(end);
    size_t len = speech->len - speech->again;

    while (server->said < speech->times && flow_write_room(&end->flow) > len) {
        assert_int_equal(flow_write(&end->flow, speech->text + speech->again, len, 0), len);
        server->said++;
    }
    if (server->said == speech->times && speech->closes)
        flow_close(&end->flow);
}

static void begin(struct end *end)
{
    const struct speech *speech = &((struct scene *)end->user)->speech;
    size_t len = speech->times ? speech->again : speech->len;

    if (speech->settings)
        (void)flow_write(&end->flow, SETTINGS, 9, 0);
    if (len)
        (void)flow_write(&end->flow, speech->text, len, 0);
}

static void serve(struct end *end, unsigned events)
{
    struct server *server = end_own(end);
    struct iovec iov;

    while (flow_peek(&end->flow, &iov, 1) > 0) {
        if (!server->spoke)
            begin(end);
        server->spoke = true;
        flow_consume(&end->flow, iov.iov_len);
    }
    if (events & FLOW_EOF)
        flow_close(&end->flow);
    else if (server->spoke && !(events & FLOW_END))
        say_more(end);
}

static struct scene *run(struct speech speech, struct peer_soak_config config)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct end application = {.on_event = serve,
                                    .drop_when_ended = true,
                                    .user = scene,
                                    .own_bytes = sizeof(struct server)};

    assert_non_null(scene);
    scene->speech = speech;
    config.protocol = "http2";
    if (!config.timeout_ns)
        config.timeout_ns = 2 * NS_PER_S;
    soaking_run(&scene->soaking, &(struct simnet_config){.delay_ns = MS}, &application, &config);
    return scene;
}

static void done(struct scene *scene)
{
    soaking_end(&scene->soaking);
    free(scene);
}

/* ---- what is none of it ---- */

static const struct {
    const char *name;
    struct speech speech;
    const char *text; /* how the first error begins, behind "the answer is no HTTP/2: " */
} wrongs[] = {
    {"HTTP/1", {SPEECH("HTTP/1.1 400 Bad Request\r\n\r\n")}, "the server answers in HTTP/1"},
    {"garbage", {SPEECH("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17")}, ""},
    {"text", {SPEECH("220 mail.example.com ESMTP\r\n")}, ""},
    {"no SETTINGS first", {SPEECH("\0\0\1\1\4\0\0\0\1\x88")}, "SETTINGS expected"},
    {"a frame too long",
     {SPEECH("\x0f\0\0\0\0\0\0\0\1"), .settings = true},
     "too large frame size"},
    {"HEADERS of stream 0", {SPEECH("\0\0\1\1\4\0\0\0\0\x88"), .settings = true}, ""},
    {"HEADERS of an even stream", {SPEECH("\0\0\1\1\4\0\0\0\2\x88"), .settings = true}, ""},
    {"HEADERS of a stream to come", {SPEECH("\0\0\1\1\4\0\0\1\1\x88"), .settings = true}, ""},
    {"DATA of stream 0", {SPEECH("\0\0\1\0\0\0\0\0\0x"), .settings = true}, ""},
    {"DATA of a stream to come", {SPEECH("\0\0\1\0\0\0\0\1\1x"), .settings = true}, ""},
    {"RST_STREAM of an idle stream", {SPEECH("\0\0\4\3\0\0\0\1\1\0\0\0\0"), .settings = true}, ""},
    {"PUSH_PROMISE",
     {SPEECH("\0\0\0\4\1\0\0\0\0\0\0\5\5\4\0\0\0\1\0\0\0\2\x82"), .settings = true},
     ""},
    {"a window of nothing", {SPEECH("\0\0\4\10\0\0\0\0\0\0\0\0\0"), .settings = true}, ""},
    {"a window beyond all", {SPEECH("\0\0\4\10\0\0\0\0\0\x7f\xff\xff\xff"), .settings = true}, ""},
    {"a PING of 7 bytes", {SPEECH("\0\0\7\6\0\0\0\0\0abcdefg"), .settings = true}, ""},
    {"SETTINGS of 5 bytes", {SPEECH("\0\0\5\4\0\0\0\0\0abcde"), .settings = true}, ""},
    {"ENABLE_PUSH of a server", {SPEECH("\0\0\6\4\0\0\0\0\0\0\2\0\0\0\1"), .settings = true}, ""},
    {"MAX_FRAME_SIZE of 1", {SPEECH("\0\0\6\4\0\0\0\0\0\0\5\0\0\0\1"), .settings = true}, ""},
    {"a header that HPACK does not know", {SPEECH("\0\0\1\1\4\0\0\0\1\xff"), .settings = true}, ""},
    {"CONTINUATION without HEADERS", {SPEECH("\0\0\1\11\4\0\0\0\1\x88"), .settings = true}, ""},
    {"DATA between a head's frames",
     {SPEECH("\0\0\1\1\0\0\0\0\1\x88\0\0\1\0\0\0\0\0\1x"), .settings = true},
     ""},
    {"DATA without an answer", {SPEECH("\0\0\1\0\0\0\0\0\1x"), .settings = true}, ""},
    {"an answer without a status", {SPEECH("\0\0\1\1\5\0\0\0\1\x90"), .settings = true}, ""},
};

static void what_breaks_the_rules_has_its_line(void **state)
{
    static const char before[] = "the answer is no HTTP/2: ";

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
        struct scene *scene = run(wrongs[i].speech, (struct peer_soak_config){.total = 2});
        const struct peer_soak_counts *counts = &scene->soaking.counts;
        const char *text = scene->soaking.report.first_errors[PEER_SOAK_BAD_ANSWER];
        /* Of a stream alone: the next one has no answer at all. */
        if (!counts->bad_answer || counts->bad_answer + counts->timeout != 2 ||
            peer_soak_errors(counts) != 2 || !text || strncmp(text, before, strlen(before)) != 0 ||
            strncmp(text + strlen(before), wrongs[i].text, strlen(wrongs[i].text)) != 0 ||
            strlen(text) <= strlen(before))
            fail_msg("%s: %u of %u, %s, %s", wrongs[i].name, (unsigned)counts->bad_answer,
                     (unsigned)peer_soak_errors(counts), text ? text : "-",
                     scene->soaking.report.first_error);
        done(scene);
    }
}

/* ---- without end ---- */

static const struct {
    const char *name;
    struct speech speech;
    bool answers; /* it may go on: requests are late, and nothing else */
} floods[] = {
    {"a head that never ends",
     {SPEECH("\0\0\1\1\0\0\0\0\1\x88\0\0\1\11\0\0\0\0\1\x90"), .settings = true, .again = 10,
      .times = 20000},
     false},
    {"an answer of headers upon headers",
     {SPEECH("\0\0\1\1\0\0\0\0\1\x88\0\0\3\11\0\0\0\0\1\x0f\x01\x80"), .settings = true,
      .again = 10, .times = 20000},
     false},
    {"SETTINGS upon SETTINGS",
     {SPEECH("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64"), .settings = true, .times = 20000},
     true},
    {"PING upon PING",
     {SPEECH("\0\0\10\6\0\0\0\0\0abcdefgh"), .settings = true, .times = 20000},
     true},
    {"frames of a kind that nobody knows",
     {SPEECH("\0\0\1\x7f\0\0\0\0\1x"), .settings = true, .times = 20000},
     true},
    {"DATA of nothing",
     {SPEECH("\0\0\1\1\4\0\0\0\1\x88\0\0\0\0\0\0\0\0\1"), .settings = true, .again = 10,
      .times = 20000},
     true},
};

static void floods_use_no_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
        struct scene *scene = run(floods[i].speech, (struct peer_soak_config){.total = 2});
        const struct peer_soak_counts *counts = &scene->soaking.counts;
        bool fits =
            floods[i].answers ? counts->timeout + counts->bad_answer == 2 : counts->bad_answer == 2;
        if (!fits || peer_soak_errors(counts) != 2)
            fail_msg("%s: %u wrong, %u late, %s", floods[i].name, (unsigned)counts->bad_answer,
                     (unsigned)counts->timeout, scene->soaking.report.first_error);
        done(scene);
    }
}

/* ---- what ends too soon ---- */

static void an_end_in_the_middle_is_told(void **state)
{
    static const struct {
        struct speech speech;
        const char *text;
    } rows[] = {
        {{SPEECH(""), .closes = true}, "closed without an answer"},
        {{SPEECH(""), .settings = true, .closes = true}, "closed without an answer"},
        {{SPEECH("\0\0\1\1\4\0\0\0\1\x88\0\0\5\0\0\0\0\0\1"), .settings = true, .closes = true},
         "closed in the middle of an answer"},
        {{SPEECH("\0\0\10\7\0\0\0\0\0\0\0\0\1\0\0\0\13"), .settings = true, .closes = true},
         "closed before the answer was complete: ENHANCE_YOUR_CALM"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scene *scene = run(rows[i].speech, (struct peer_soak_config){.total = 3});
        assert_int_equal(scene->soaking.counts.closed_early, 3);
        assert_string_equal(scene->soaking.report.first_errors[PEER_SOAK_CLOSED_EARLY],
                            rows[i].text);
        done(scene);
    }
}

/* It never says anything: requests are late, each for itself. */
static void who_is_silent_is_late(void **state)
{
    (void)state;
    struct scene *scene =
        run((struct speech){SPEECH("")}, (struct peer_soak_config){.total = 8, .streams = 4});
    assert_int_equal(scene->soaking.counts.timeout, 8);
    assert_int_equal(scene->soaking.counts.opened, 1);
    done(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_breaks_the_rules_has_its_line),
        TEST(floods_use_no_memory),
        TEST(an_end_in_the_middle_is_told),
        TEST(who_is_silent_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
