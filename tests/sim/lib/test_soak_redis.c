/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to Redis in virtual time: pipelines, logins, and servers that refuse them. */
#include "soak_talk.h"

enum { DEEP = 16 };

#define PING "*1\r\n$4\r\nPING\r\n"

/* A line ("inline"), or an array of strings as clients send them. */
static size_t command_unit(const struct talk_server *server, const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);
    unsigned long lines = 2 * (unsigned long)(data[0] == '*' ? strtoul(data + 1, NULL, 10) : 0);

    (void)server;
    for (; end && lines; lines--)
        end = memchr(end + 1, '\n', len - (size_t)(end + 1 - data));
    return end ? (size_t)(end - data) + 1 : 0;
}

static void say(struct talk_server *server, const char *text)
{
    talk_say(server, text, strlen(text));
}

/* Each answer has its number: those of a connection come in order. */
static void number(struct talk_server *server, const char *data, size_t len)
{
    char text[32];

    (void)data;
    assert_int_equal(len, strlen(PING));
    snprintf(text, sizeof(text), ":%u\r\n", server->units);
    say(server, text);
}

static void a_round_trip_carries_a_pipeline(void **state)
{
    (void)state;
    for (uint64_t flows = 1; flows <= 3; flows += 2) {
        struct talk talk = {.unit = command_unit, .hear = number};
        talk_run(&talk, &(struct peer_soak_config){.protocol = "redis",
                                                   .flows = flows,
                                                   .pipeline = DEEP,
                                                   .total = 10 * DEEP * flows});
        soaking_assert_counts(&talk.soaking, 10 * DEEP * flows, 10 * DEEP * flows, 0);
        assert_int_equal(talk.wakes, 10 * flows); /* what is asked together is one segment */
        assert_int_equal(talk.accepted, flows);
        /* A latency is a round trip, for each of them. */
        assert_true(talk.soaking.report.request.max < TALK_RTT_MS * 1001.0);
        assert_true(talk.soaking.report.request.min > TALK_RTT_MS * 999.0);
        assert_int_equal(talk.soaking.report.login.count, 0);
        talk_end(&talk);
    }
}

static void a_rate_goes_into_a_pipeline(void **state)
{
    struct talk talk = {.unit = command_unit, .hear = number};

    (void)state;
    talk_run(&talk, &(struct peer_soak_config){
                        .protocol = "redis", .pipeline = 8, .rate = 3000, .duration_ns = NS_PER_S});
    soaking_assert_counts(&talk.soaking, 3000, 3000, 0);
    assert_int_equal(talk.soaking.report.behind, 0);
    assert_int_equal(talk.accepted, 1);
    talk_end(&talk);
}

/* Whatever the numbers, none is asked twice, and none left out. */
static void a_number_of_requests_is_kept(void **state)
{
    (void)state;
    for (uint64_t total = 1; total < 3 * DEEP; total += 5) {
        for (uint64_t each = 0; each <= 7; each += 7) {
            struct talk talk = {.unit = command_unit, .hear = number};
            talk_run(&talk, &(struct peer_soak_config){.protocol = "redis",
                                                       .flows = 2,
                                                       .pipeline = DEEP,
                                                       .total = total,
                                                       .requests_per_connection = each});
            soaking_assert_counts(&talk.soaking, total, total, 0);
            assert_int_equal(talk.units, total);
            talk_end(&talk);
        }
    }
}

/* Each command is longer than half a segment, and all of them more than can be written at once. */
enum {
    LONG = 3000,
    TIMES = 2000,
    LONG_SENT = LONG - 5 + sizeof("*2\r\n$4\r\nECHO\r\n$2995\r\n\r\n") - 1
};
static char long_body[LONG];

static void check_long(struct talk_server *server, const char *data, size_t len)
{
    assert_int_equal(len, LONG_SENT);
    assert_memory_equal(data + len - 2 - (LONG - 5), long_body + 5, LONG - 5);
    say(server, "+ok\r\n");
}

static void long_commands_follow_one_another(void **state)
{
    struct talk talk = {.unit = command_unit, .hear = check_long};

    (void)state;
    for (size_t i = 0; i < LONG; i++)
        long_body[i] = (char)('a' + i % 23);
    memcpy(long_body, "ECHO ", 5);
    talk_run(&talk, &(struct peer_soak_config){.protocol = "redis",
                                               .body = long_body,
                                               .body_len = LONG,
                                               .pipeline = TIMES,
                                               .total = 2 * TIMES});
    soaking_assert_counts(&talk.soaking, 2 * TIMES, 2 * TIMES, 0);
    assert_int_equal(talk.accepted, 1);
    assert_int_equal(talk.soaking.counts.bytes_sent, 2 * TIMES * LONG_SENT);
    talk_end(&talk);
}

static void ok(struct talk_server *server, const char *data, size_t len)
{
    (void)data;
    (void)len;
    say(server, "+OK\r\n");
}

static void a_line_becomes_words(void **state)
{
    static const struct {
        const char *body, *heard;
    } rows[] = {
        {"get a", "*2\r\n$3\r\nget\r\n$1\r\na\r\n"},
        {"  get\t\ta  \r\n", "*2\r\n$3\r\nget\r\n$1\r\na\r\n"},
        {"set a 'b c'", "set a 'b c'\r\n"}, /* which the server takes apart */
        {"set a \"\\x00\"\n", "set a \"\\x00\"\r\n"},
        {"*1\r\n$4\r\nPING\r\n", PING},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct talk talk = {.unit = command_unit, .hear = ok};
        talk_run(&talk, &(struct peer_soak_config){.protocol = "redis",
                                                   .body = rows[i].body,
                                                   .body_len = strlen(rows[i].body),
                                                   .total = 1});
        soaking_assert_counts(&talk.soaking, 1, 1, 0);
        assert_string_equal(talk.heard, rows[i].heard);
        talk_end(&talk);
    }
}

/* ---- logins ---- */

/* Answers what a login and a command end with. */
struct gate {
    const char *to_auth, *to_select, *to_ping;
};

static bool is(const char *data, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(data, text, len) == 0;
}

static void guard(struct talk_server *server, const char *data, size_t len)
{
    const struct gate *gate = server->talk->user;

    if (len > 10 && memcmp(data + 4, "$4\r\nAUTH", 8) == 0)
        say(server, gate->to_auth);
    else if (is(data, len, "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"))
        say(server, gate->to_select);
    else if (is(data, len, PING))
        say(server, gate->to_ping);
}

static void a_login_comes_first(void **state)
{
    static const struct gate open = {"+OK\r\n", "+OK\r\n", "+PONG\r\n"};
    static const struct {
        struct peer_soak_config config;
        const char *heard;
    } rows[] = {
        {{.password = "secret"}, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n" PING},
        {{.user = "me", .password = "secret"},
         "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n" PING},
        {{.path = "/7"}, "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n" PING},
        {{.password = "secret", .path = "/7"},
         "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n" PING},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct talk talk = {.unit = command_unit, .hear = guard, .user = (void *)(uintptr_t)&open};
        struct peer_soak_config config = rows[i].config;
        config.protocol = "redis";
        config.total = 1;
        talk_run(&talk, &config);
        soaking_assert_counts(&talk.soaking, 1, 1, 0);
        assert_string_equal(talk.heard, rows[i].heard);
        assert_int_equal(talk.soaking.report.login.count, 1);
        assert_true(talk.soaking.report.login.max < TALK_RTT_MS * 1001.0);
        assert_true(talk.soaking.report.request.max < TALK_RTT_MS * 1001.0); /* none of the login */
        talk_end(&talk);
    }
}

static void what_a_server_says_of_a_login_has_its_kind(void **state)
{
    static const struct {
        struct gate gate;
        enum peer_soak_error kind;
        const char *words;
        uint64_t requests;
    } rows[] = {
        {{"-WRONGPASS invalid username-password pair\r\n", "-NOAUTH no\r\n", ""},
         PEER_SOAK_LOGIN,
         "the server says \"WRONGPASS invalid username-password pair\"",
         0},
        {{"+OK\r\n", "-ERR DB index is out of range\r\n", ""},
         PEER_SOAK_LOGIN,
         "the server says \"ERR DB index is out of range\"",
         0},
        {{"-ERR max number of clients reached\r\n", "", ""},
         PEER_SOAK_FULL,
         "the server says \"ERR max number of clients reached\"",
         0},
        {{"+OK\r\n", "", ""}, PEER_SOAK_TIMEOUT, "no answer in time; it had sent \"+OK\"", 0},
        {{"OK\r\n", "", ""}, PEER_SOAK_BAD_ANSWER, "the answer is none of Redis's protocol", 0},
        {{"+OK\r\n", "+OK\r\n", "-NOPERM no\r\n"}, PEER_SOAK_BAD_ANSWER, "says \"NOPERM no\"", 3},
        {{"+OK\r\n", "+OK\r\n", "-NOAUTH no\r\n"}, PEER_SOAK_LOGIN, "says \"NOAUTH no\"", 3},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct talk talk = {
            .unit = command_unit, .hear = guard, .user = (void *)(uintptr_t)&rows[i].gate};
        talk_run(&talk, &(struct peer_soak_config){.protocol = "redis",
                                                   .password = "secret",
                                                   .path = "/7",
                                                   .timeout_ns = NS_PER_S,
                                                   .total = 3});
        soaking_assert_counts(&talk.soaking, rows[i].requests, 0, 3);
        talk_assert_words(&talk, rows[i].kind, rows[i].words);
        assert_int_equal(talk.soaking.counts.login, rows[i].kind == PEER_SOAK_LOGIN ? 3 : 0);
        assert_int_equal(talk.soaking.counts.full, rows[i].kind == PEER_SOAK_FULL ? 3 : 0);
        talk_end(&talk);
    }
}

/* An answer of another kind between others that were alike. */
static void mix(struct talk_server *server, const char *data, size_t len)
{
    static const char *const answers[] = {"+PONG\r\n",      "+PONG\r\n", "+PON\r\n",
                                          "$4\r\nPONG\r\n", "+PONG\r\n", "-ERR no\r\n",
                                          "+PONG+\r\n",     ":1\r\n"};

    (void)data;
    (void)len;
    say(server, answers[server->units % ARRAY_SIZE(answers)]);
}

static void each_answer_is_read_for_itself(void **state)
{
    (void)state;
    for (uint64_t pipeline = 1; pipeline <= 9; pipeline += 4) {
        struct talk talk = {.unit = command_unit, .hear = mix};
        talk_run(&talk, &(struct peer_soak_config){
                            .protocol = "redis", .pipeline = pipeline, .total = 80});
        soaking_assert_counts(&talk.soaking, 80, 70, 10);
        assert_int_equal(talk.accepted, 1);
        talk_end(&talk);
    }
}

/* An answer too many is told even where others are awaited. */
static void twice(struct talk_server *server, const char *data, size_t len)
{
    (void)data;
    (void)len;
    say(server, server->units == 6 ? "+OK\r\n+OK\r\n" : "+OK\r\n");
}

static void an_answer_too_many_is_told(void **state)
{
    (void)state;
    for (uint64_t pipeline = 1; pipeline <= 3; pipeline++) {
        struct talk talk = {.unit = command_unit, .hear = twice};
        talk_run(&talk, &(struct peer_soak_config){
                            .protocol = "redis", .pipeline = pipeline, .total = 12});
        assert_true(talk.soaking.counts.bad_answer > 0);
        assert_int_equal(talk.soaking.counts.completed + talk.soaking.counts.bad_answer, 12);
        assert_int_equal(talk.accepted, 2);
        talk_end(&talk);
    }
}

static void what_does_not_go_together_is_refused(void **state)
{
    static const struct {
        struct peer_soak_config config;
        const char *words;
    } rows[] = {
        {{.protocol = "redis", .user = "me"}, "a user of Redis has a password"},
        {{.protocol = "redis", .path = "/a"}, "is no database of Redis"},
        {{.protocol = "redis", .path = "/-1"}, "is no database of Redis"},
        {{.protocol = "redis", .pipeline = 65536}, "at most 65535"},
        {{.protocol = "echo", .pipeline = 2}, "\"echo\" has no pipelining"},
        {{.protocol = "http", .password = "x"}, "\"http\" has no login"},
        {{.protocol = "idle", .user = "x"}, "\"idle\" has no login"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct talk talk = {.unit = command_unit, .hear = number};
        assert_refused(&talk, &rows[i].config, rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_round_trip_carries_a_pipeline),
        TEST(a_rate_goes_into_a_pipeline),
        TEST(a_number_of_requests_is_kept),
        TEST(long_commands_follow_one_another),
        TEST(a_line_becomes_words),
        TEST(a_login_comes_first),
        TEST(what_a_server_says_of_a_login_has_its_kind),
        TEST(each_answer_is_read_for_itself),
        TEST(an_answer_too_many_is_told),
        TEST(what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
