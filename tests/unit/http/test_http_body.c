/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bodies and heads that come in pieces: the same is found however they are cut.
 */
#include "http/server.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Feeds `text` in pieces of `step`; the bytes taken, or -EINVAL. */
static ssize_t feed(struct http_body *body, const char *text, size_t step, bool *ret_over)
{
    size_t len = strlen(text), at = 0;
    const char *why = NULL;

    *ret_over = false;
    while (at < len && !*ret_over) {
        size_t part = MIN(step, len - at);
        char *copy = malloc(part);
        memcpy(copy, text + at, part);
        ssize_t taken = http_body_take(body, copy, part, ret_over, &why);
        free(copy);
        if (taken < 0) {
            assert_non_null(why);
            return taken;
        }
        assert_true((size_t)taken == part || *ret_over);
        at += (size_t)taken;
    }
    return (ssize_t)at;
}

static void chunks_end_with_the_last_however_they_are_cut(void **state)
{
    static const struct {
        const char *text;
        bool over;
        size_t rest; /* bytes that are not the body's */
    } rows[] = {
        {"0\r\n\r\n", true, 0},
        {"0\n\n", true, 0},
        {"000\r\n\r\n", true, 0},
        {"3\r\nabc\r\n0\r\n\r\n", true, 0},
        {"3\nabc\n0\n\n", true, 0},
        {"a\r\n0123456789\r\n2\r\n\r\n\r\n0\r\n\r\n", true, 0},
        {"3;name=\"v;\"\r\nabc\r\n0;x\r\n\r\nHTTP", true, 4},
        {"3 \r\nabc\r\n0\r\n\r\n", true, 0},
        {"0\r\nTrailer: a\r\nOther: b\r\n\r\nrest", true, 4},
        {"0\r\nTrailer: a\r\n folded\r\n\r\n", true, 0},
        {"3\r\nabc\r\n", false, 0},
        {"0\r\n", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].text); step++) {
            struct http_body body;
            bool over;
            assert_false(http_body_begin(&body, HTTP_BODY_CHUNKED, 0));
            ssize_t taken = feed(&body, rows[i].text, step, &over);
            assert_int_equal(taken, strlen(rows[i].text) - rows[i].rest);
            assert_int_equal(over, rows[i].over);
        }
    }
}

static void chunks_that_are_none_are_refused(void **state)
{
    static const char *const rows[] = {
        "\r\n0\r\n\r\n",     "g\r\n",       ";x\r\n",        "-1\r\n",
        "0x3\r\nabc\r\n",    " 3\r\nabc",   "3\r\nabcd\r\n", "3\r\nabc0\r\n\r\n",
        "3\rabc\r\n",        "3\r\nabc\rx", "0\r\n\rx",      "8000000000000000\r\n",
        "fffffffffffffffff",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct http_body body;
        bool over;
        (void)http_body_begin(&body, HTTP_BODY_CHUNKED, 0);
        if (feed(&body, rows[i], 3, &over) >= 0)
            fail_msg("\"%s\" was taken", rows[i]);
    }
}

static void lines_of_chunks_have_an_end(void **state)
{
    static const char *const begins[] = {"3;", "0\r\nX: ", "0\r\n", "00000000000000000"};
    char text[40001];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(begins); i++) {
        struct http_body body;
        bool over;
        memset(text, i == 3 ? '0' : 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        memcpy(text, begins[i], strlen(begins[i]));
        (void)http_body_begin(&body, HTTP_BODY_CHUNKED, 0);
        assert_int_equal(feed(&body, text, 1000, &over), -EINVAL);
    }
}

static void a_length_is_counted(void **state)
{
    struct http_body body;
    bool over;

    (void)state;
    assert_true(http_body_begin(&body, HTTP_BODY_LENGTH, 0));
    assert_true(http_body_begin(&body, HTTP_BODY_NONE, 5));
    assert_true(http_body_begin(&body, HTTP_BODY_TUNNEL, 5));
    for (size_t step = 1; step <= 7; step++) {
        assert_false(http_body_begin(&body, HTTP_BODY_LENGTH, 5));
        assert_int_equal(feed(&body, "abcdefg", step, &over), 5);
        assert_true(over);
    }
    assert_false(http_body_begin(&body, HTTP_BODY_TO_END, 0));
    assert_int_equal(feed(&body, "abcdefg", 3, &over), 7);
    assert_false(over);
}

static void a_head_is_put_together(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nX: y\r\n\r\nbody";
    size_t len = strlen(head) - 4, got_len;
    const char *text;

    (void)state;
    for (size_t step = 1; step <= len + 4; step++) {
        struct http_collect collect = {0};
        size_t at = 0;
        for (text = NULL; !text;) {
            ssize_t taken =
                http_collect(&collect, head + at, MIN(step, strlen(head) - at), &text, &got_len);
            assert_true(taken > 0);
            at += (size_t)taken;
        }
        assert_int_equal(at, len);
        assert_int_equal(got_len, len);
        assert_memory_equal(text, head, len);
        assert_int_equal(text == head, step >= len); /* no copy of what came whole */
        http_collect_done(&collect);
    }
}

static void a_head_has_a_most(void **state)
{
    struct http_collect collect = {0};
    char line[1001];
    const char *text;
    size_t len, sent = 0;
    ssize_t taken;

    (void)state;
    memset(line, 'a', sizeof(line));
    line[1000] = '\n';
    do {
        taken = http_collect(&collect, line, sizeof(line), &text, &len);
        sent += sizeof(line);
        assert_null(text);
    } while (taken >= 0 && sent < 10 * HTTP_HEAD_MOST);
    assert_int_equal(taken, -E2BIG);
    assert_in_range(sent, HTTP_HEAD_MOST, HTTP_HEAD_MOST + 2 * sizeof(line));
    http_collect_done(&collect);

    size_t much = 2 * HTTP_HEAD_MOST; /* in one piece, with an end */
    char *large = malloc(much);
    memset(large, 'a', much);
    memcpy(large + much - 4, "\r\n\r\n", 4);
    assert_int_equal(http_collect(&collect, large, much, &text, &len), -E2BIG);
    http_collect_done(&collect);
    free(large);
}

/* What a server is wanted to do for `text` in pieces of `step`: a letter each. */
static void serve(const char *text, size_t step, char *ret_wants, unsigned *ret_refusal)
{
    static const char letters[] = {
        [HTTP_WANTS_CONTINUE] = 'c', [HTTP_WANTS_ANSWER] = 'a', [HTTP_WANTS_REFUSAL] = 'r'};
    struct http_server server = {0};
    size_t len = strlen(text), count = 0;

    for (size_t at = 0; at < len;) {
        enum http_wants wants;
        at += http_server_take(&server, text + at, MIN(step, len - at), &wants);
        if (wants == HTTP_WANTS_ANSWER && !server.keeps)
            ret_wants[count++] = 'A';
        else if (wants != HTTP_WANTS_MORE)
            ret_wants[count++] = letters[wants];
        if (wants == HTTP_WANTS_REFUSAL)
            break;
    }
    ret_wants[count] = 0;
    *ret_refusal = server.refusal;
    if (server.refusal) {
        char refusal[HTTP_REFUSAL_BYTES];
        size_t refusal_len = http_server_refuse(&server, refusal);
        assert_true(refusal_len < sizeof(refusal) && strlen(refusal) == refusal_len);
        assert_true(strlen(server.why) > 0);
    }
    http_server_done(&server);
}

static void a_server_knows_what_is_wanted(void **state)
{
    static const struct {
        const char *text, *wants, *early; /* `early`: when some of the body came with the head */
        unsigned refusal;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", "a", NULL, 0},
        {"\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", "aa", NULL, 0},
        {"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n", "aA", NULL, 0},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
         "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
         "aA", NULL, 0},
        {"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "a", NULL, 0},
        {"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "ca", "a", 0},
        {"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", "a", NULL, 0},
        {"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "a", NULL, 0},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "A", NULL, 0},
        {"POST / HTTP/1.1\r\nExpect: the-moon\r\nContent-Length: 3\r\n\r\nabc", "r", NULL, 417},
        {"POST / HTTP/1.0\r\nExpect: the-moon\r\nContent-Length: 3\r\n\r\nabc", "A", NULL, 0},
        {"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "r", NULL, 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz", "r", NULL, 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "r", NULL, 501},
        {"CONNECT a:1 HTTP/1.1\r\n\r\n", "r", NULL, 501},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "r", NULL, 505},
        {"hello\r\n\r\n", "r", NULL, 400},
        {"hello\r\nX: y", "r", NULL, 400}, /* no more of it is waited for */
        {"\x16\x03\x01", "r", NULL, 400},
        {"GET / HTTP/1.1\r\nX: y", "", NULL, 0},
    };
    char wants[16];
    unsigned refusal;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].text); step++) {
            size_t head = strlen(rows[i].text) - 3;
            bool early = rows[i].early && head % step != 0;
            serve(rows[i].text, step, wants, &refusal);
            if (strcmp(wants, early ? rows[i].early : rows[i].wants) != 0 ||
                refusal != rows[i].refusal)
                fail_msg("\"%s\" by %zu: %s, %u", rows[i].text, step, wants, refusal);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_end_with_the_last_however_they_are_cut),
        cmocka_unit_test(chunks_that_are_none_are_refused),
        cmocka_unit_test(lines_of_chunks_have_an_end),
        cmocka_unit_test(a_length_is_counted),
        cmocka_unit_test(a_head_is_put_together),
        cmocka_unit_test(a_head_has_a_most),
        cmocka_unit_test(a_server_knows_what_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
