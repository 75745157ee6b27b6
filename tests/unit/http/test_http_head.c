/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heads of messages and what ends their bodies: a table of heads and of what is expected of them.
 */
#include "http/head.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE    HTTP_BODY_NONE
#define LENGTH  HTTP_BODY_LENGTH
#define CHUNKED HTTP_BODY_CHUNKED
#define TO_END  HTTP_BODY_TO_END
#define TUNNEL  HTTP_BODY_TUNNEL
#define BAD     HTTP_BODY_BAD

struct row {
    const char *text; /* without the empty line */
    enum http_body_kind body;
    bool keeps;
    uint64_t length;
    const char *word; /* in the complaint; for a head that does not parse too */
    const char *method;
};

static const struct row answers[] = {
    /* by length */
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 \r\ncontent-LENGTH:5\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\nContent-Length: 5\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", LENGTH, true, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5 ,005\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length:\r\n  5\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nX: a\r\n\tContent-Length: 9\r\nContent-Length: 5\r\n", LENGTH, true, 5,
     NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n", BAD, false, 0, "Content-Length",
     NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 800000000000000000\r\n", LENGTH, true, 800000000000000000,
     NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n", BAD, false, 0,
     "unequal Content-Lengths, 5 and 6", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n", BAD, false, 0, "Content-Lengths, 5 and 6",
     NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n", BAD, false, 0, "Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n", BAD, false, 0, "Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n", BAD, false, 0, "Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n", BAD, false, 0, "Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length:\r\n", BAD, false, 0, "Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: , ,\r\n", BAD, false, 0, "Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", BAD, false, 0, "Content-Length",
     NULL},
    /* by chunks */
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", CHUNKED, true, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n", CHUNKED, true, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", CHUNKED, true, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", CHUNKED, true,
     0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip;q=\"1\" , ,chunked\r\n", CHUNKED, true, 0, NULL,
     NULL},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n", CHUNKED, false,
     0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", TO_END, false, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n", TO_END, false, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n", BAD, false, 0,
     "Transfer-Encoding", NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n", BAD, false, 0, "Transfer-Encoding", NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: ,\r\n", BAD, false, 0, "Transfer-Encoding", NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", BAD, false, 0,
     "both Transfer-Encoding and Content-Length", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n", BAD, false, 0,
     "both Transfer-Encoding and Content-Length", NULL},
    /* by the end */
    {"HTTP/1.1 200 OK\r\n", TO_END, false, 0, NULL, NULL},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", TO_END, false, 0, NULL, NULL},
    {"HTTP/1.1 999 What\r\n", TO_END, false, 0, NULL, NULL},
    /* none, whatever the headers say */
    {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", NONE, true, 0, NULL, NULL},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 5, 6\r\n", NONE, true, 0, NULL, NULL},
    {"HTTP/1.1 204 No Content\r\nConnection: close\r\n", NONE, false, 0, NULL, NULL},
    {"HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n", NONE, true, 0, NULL, NULL},
    {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", NONE, true,
     0, NULL, NULL},
    {"HTTP/1.0 304 Not Modified\r\n", NONE, false, 0, NULL, NULL},
    {"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n", NONE, true, 0, NULL, NULL},
    {"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n", NONE, true, 0, NULL, NULL},
    {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nContent-Length: 5\r\n", TUNNEL, false, 0, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", NONE, true, 0, NULL, "HEAD"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", NONE, true, 0, NULL,
     "HEAD"},
    {"HTTP/1.1 404 No\r\n", NONE, true, 0, NULL, "HEAD"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", TUNNEL, false, 0, NULL, "CONNECT"},
    {"HTTP/1.1 403 No\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, "CONNECT"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, "head"},
    /* what becomes of the connection */
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", LENGTH, false, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCONNECTION: TE , Close\r\n", LENGTH, false, 5, NULL,
     NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: TE\r\nConnection: close\r\n", LENGTH,
     false, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: closed\r\n", LENGTH, true, 5, NULL, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Connection: close\r\n", LENGTH, true, 5, NULL,
     NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n", LENGTH, false, 5,
     NULL, NULL},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", LENGTH, false, 5, NULL, NULL},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n", LENGTH, true, 5, NULL,
     NULL},
    {"HTTP/1.7 200 OK\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, NULL},
    /* no heads at all */
    {"HTTP/2.0 200 OK\r\n", BAD, false, 0, "HTTP/2.0", NULL},
    {"HTTP/1.1 20 OK\r\n", BAD, false, 0, "status line", NULL},
    {"HTTP/1.1 099 OK\r\n", BAD, false, 0, "status line", NULL},
    {"HTTP/1.1 000 \r\n", BAD, false, 0, "status line", NULL},
    {"HTTP/1.1 2000 OK\r\n", BAD, false, 0, "status line", NULL},
    {"HTTP/1.1200 OK\r\n", BAD, false, 0, "status line", NULL},
    {"HTTP/1.1  200 OK\r\n", BAD, false, 0, "status line", NULL},
    {"200 OK\r\n", BAD, false, 0, "status line", NULL},
    {"\r\nHTTP/1.1 200 OK\r\n", BAD, false, 0, "status line", NULL},
    {"HTTP/1.1 200 OK\r\nno colon\r\n", BAD, false, 0, "colon", NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n", BAD, false, 0, "colon", NULL},
    {"HTTP/1.1 200 OK\r\n: 5\r\n", BAD, false, 0, "name", NULL},
    {"HTTP/1.1 200 OK\r\nA B: 5\r\n", BAD, false, 0, "name", NULL},
    {"HTTP/1.1 200 OK\r\n X: 5\r\n", BAD, false, 0, "first header", NULL},
    {"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n", BAD, false, 0, "CR", NULL},
    {"HTTP/1.1 200 OK\r\nX: a\r\n b\rc\r\n", BAD, false, 0, "CR", NULL},
    {"HTTP/1.1 200 O\rK\r\n", BAD, false, 0, "CR", NULL},
};

static const struct row requests[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n", NONE, true, 0, NULL, "GET"},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n", NONE, true, 0, NULL, "GET"},
    {"POST /a?b=c HTTP/1.1\r\n", NONE, true, 0, NULL, "POST"},
    {"GET / HTTP/1.0\r\n", NONE, false, 0, NULL, "GET"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", NONE, true, 0, NULL, "GET"},
    {"GET / HTTP/1.1\r\nConnection: close\r\n", NONE, false, 0, NULL, "GET"},
    {"GET / HTTP/1.1\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL, "GET"},
    {"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n", LENGTH, true, 5, NULL,
     "POST"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", CHUNKED, true, 0, NULL, "POST"},
    {"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n", BAD, false, 400, "5 and 6",
     "POST"},
    {"POST / HTTP/1.1\r\nContent-Length: five\r\n", BAD, false, 400, "Content-Length", "POST"},
    {"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", BAD, false, 400,
     "both", "POST"},
    {"POST / HTTP/1.1\r\nContent-Length: ,\r\n", BAD, false, 400, "Content-Length", "POST"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: ,\r\n", BAD, false, 400, "Transfer-Encoding", "POST"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n", BAD, false, 400,
     "does not end with chunked", "POST"},
    {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n", BAD, false, 501, "unknown", "POST"},
};

/* The head with its empty line, in memory of its own size: sanitizers see every step beyond. */
static char *whole(const char *text, size_t *ret_len)
{
    size_t len = strlen(text);
    bool bare = !strchr(text, '\r');
    char *copy = malloc(len + 2);

    assert_non_null(copy);
    memcpy(copy, text, len);
    memcpy(copy + len, bare ? "\n" : "\r\n", bare ? 1 : 2);
    *ret_len = len + (bare ? 1 : 2);
    return copy;
}

static void check_answer(const struct row *row)
{
    char why[HTTP_WHY] = "", *text;
    struct http_head head;
    size_t len;

    text = whole(row->text, &len);
    int status = http_answer_parse(text, len, &head, why);
    enum http_body_kind body =
        status < 0 ? BAD
                   : http_answer_body(&head, http_asked_by(row->method ? row->method : "GET"), why);
    if (body != row->body || (body != BAD && http_keeps(&head, body) != row->keeps) ||
        (body == LENGTH && head.length != row->length) || (row->word && !strstr(why, row->word)))
        fail_msg("\"%s\" to %s: body %d, why \"%s\"", row->text, row->method, body, why);
    free(text);
}

static void an_answer_ends_as_its_head_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        check_answer(&answers[i]);
}

static void check_request(const struct row *row)
{
    char why[HTTP_WHY] = "", *text;
    struct http_head head;
    unsigned refusal = 0;
    size_t len;

    text = whole(row->text, &len);
    if (http_request_parse(text, len, &head, why) < 0)
        fail_msg("\"%s\": %s", row->text, why);
    enum http_body_kind body = http_request_body(&head, &refusal, why);
    if (body != row->body || (body != BAD && http_keeps(&head, body) != row->keeps) ||
        (body == LENGTH && head.length != row->length) || (body == BAD && refusal != row->length) ||
        (row->word && !strstr(why, row->word)))
        fail_msg("\"%s\": body %d, refused with %u, why \"%s\"", row->text, body, refusal, why);
    assert_int_equal(head.method.len, strlen(row->method));
    assert_memory_equal(head.method.at, row->method, head.method.len);
    free(text);
}

static void a_request_ends_as_its_head_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
        check_request(&requests[i]);
}

static void what_is_no_request_is_told(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {{"GET /\r\n", -EINVAL},
                {"GET / a HTTP/1.1\r\n", -EINVAL},
                {"G(T / HTTP/1.1\r\n", -EINVAL},
                {"GET  HTTP/1.1\r\n", -EINVAL},
                {"GET / http/1.1\r\n", -EINVAL},
                {"GET / HTTP/1.1\r\nHost : a\r\n", -EINVAL},
                {"GET /\rX: HTTP/1.1\r\n", -EINVAL},
                {"GET / HTTP/1.1\r\nX: a\rb\r\n", -EINVAL},
                {"PRI * HTTP/2.0\r\n", -EPROTONOSUPPORT}};
    struct http_head head;
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char why[HTTP_WHY] = "", *text = whole(rows[i].text, &len);
        assert_int_equal(http_request_parse(text, len, &head, why), rows[i].status);
        assert_true(why[0] && !strchr(why, '\n'));
        free(text);
    }
}

static void expectations_are_a_list(void **state)
{
    static const struct {
        const char *header;
        bool go_on, others;
    } rows[] = {{"Expect: 100-Continue", true, false},
                {"expect:100-continue", true, false},
                {"Expect: a, 100-continue", true, true},
                {"Expect: 200-ok", false, true},
                {"Expectation: 100-continue", false, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct http_head head = {0};
        http_head_add(&head, rows[i].header);
        assert_int_equal(head.expects_continue, rows[i].go_on);
        assert_int_equal(head.expects_others, rows[i].others);
    }
}

static void a_head_is_found_however_much_of_it_was_there_before(void **state)
{
    static const char *const heads[] = {"A\r\nB\r\n\r\n", "A\nB\n\n", "A\r\nB\n\r\n", "\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        size_t len = strlen(heads[i]);
        for (size_t have = 0; have < len; have++) {
            assert_int_equal(http_head_length(heads[i], have, 0), 0);
            assert_int_equal(http_head_length(heads[i], len, have), len);
        }
        char *more = malloc(len + 4);
        memcpy(more, heads[i], len);
        memcpy(more + len, "body", 4);
        assert_int_equal(http_head_length(more, len + 4, 0), len);
        free(more);
    }
}

static void methods_have_a_case(void **state)
{
    static const char *const again[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    static const char *const once[] = {"POST", "PATCH", "CONNECT", "get", "PURGE", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(again); i++)
        assert_true(http_is_idempotent(again[i]));
    for (size_t i = 0; i < ARRAY_SIZE(once); i++)
        assert_false(http_is_idempotent(once[i]));
}

static void a_name_is_the_whole_name(void **state)
{
    (void)state;
    assert_true(http_is_header("hOsT: a", "Host"));
    assert_false(http_is_header("Hosts: a", "Host"));
    assert_false(http_is_header("Hos: a", "Host"));
    assert_false(http_is_header("Host", "Host"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_ends_as_its_head_says),
        cmocka_unit_test(a_request_ends_as_its_head_says),
        cmocka_unit_test(what_is_no_request_is_told),
        cmocka_unit_test(expectations_are_a_list),
        cmocka_unit_test(a_head_is_found_however_much_of_it_was_there_before),
        cmocka_unit_test(methods_have_a_case),
        cmocka_unit_test(a_name_is_the_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
