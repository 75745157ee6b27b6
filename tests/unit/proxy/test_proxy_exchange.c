/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a request and its answer end: a table of both, cut at every byte.
 */
#include "proxy/exchange.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char behind[] = "HTTP/1.1 200 OK\r\n\r\nof another";

enum { OVER = 1, KEEPS = 2, TUNNELS = 4, BY_END = 8, BAD = 16 };

struct row {
    struct proxy_request request; /* all but its head */
    const char *answer;
    unsigned expected;
    size_t taken; /* 0: all of it */
};

#define GET                                                                                        \
    {                                                                                              \
        .keeps = true                                                                              \
    }
#define LAST                                                                                       \
    {                                                                                              \
        .keeps = false                                                                             \
    }
#define HEAD                                                                                       \
    {                                                                                              \
        .keeps = true, .asked = HTTP_ASKED_HEAD                                                    \
    }
#define UPGRADE                                                                                    \
    {                                                                                              \
        .keeps = true, .upgrades = true                                                            \
    }

static const struct row rows[] = {
    {GET, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", OVER | KEEPS, 0},
    {GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OVER | KEEPS, 0},
    {GET, "HTTP/1.1 204 No\r\n\r\n", OVER | KEEPS, 0},
    {GET, "HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", OVER | KEEPS, 0},
    {HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", OVER | KEEPS, 0},
    {LAST, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", OVER, 0},
    {GET, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", OVER, 0},
    {GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", OVER | KEEPS,
     0},
    {GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na", OVER | KEEPS,
     0},
    {GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", OVER, 0},
    {GET, "HTTP/1.1 200 OK\n\nall of it", BY_END,
     sizeof("HTTP/1.1 200 OK\n\nall of it") - 1 + sizeof(behind)},
    /* interim answers come before */
    {GET, "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
     OVER | KEEPS, 0},
    {UPGRADE, "HTTP/1.1 101 Now\r\nUpgrade: x\r\n\r\n", OVER | TUNNELS, 0},
    {UPGRADE, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", OVER | KEEPS, 0},
    /* what is none */
    {GET, "HTTP/1.1 101 Now\r\nUpgrade: x\r\n\r\n", BAD, 0},
    {GET, "SSH-2.0-x\r\n", BAD, 0},
    {GET, "HTTPS", BAD, 0},
    {GET, "HTTP/2.0 200\r\n\r\n", BAD, 0},
    {GET, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", BAD, 0},
    {GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", BAD, 0},
};

/* Pieces of `step` bytes; the count that was taken, or -EINVAL. */
static ssize_t hear(struct proxy_exchange *exchange, const char *text, size_t len, size_t step)
{
    char why[HTTP_WHY] = "";
    size_t at = 0;

    while (at < len && !exchange->answer_over) {
        const size_t part = MIN(step, len - at);
        char *copy = malloc(part);
        memcpy(copy, text + at, part);
        const ssize_t taken = proxy_exchange_take_answer(exchange, copy, part, why);
        free(copy);
        if (taken < 0) {
            assert_true(why[0]);
            return taken;
        }
        assert_true((size_t)taken == part || exchange->answer_over);
        at += (size_t)taken;
    }
    return (ssize_t)at;
}

static void check(const struct row *row, size_t step)
{
    const size_t len = strlen(row->answer);
    struct proxy_exchange exchange;
    char text[300];

    memcpy(text, row->answer, len);
    memcpy(text + len, behind, sizeof(behind));
    proxy_exchange_begin(&exchange, &row->request);
    assert_true(exchange.request_over);
    const ssize_t taken = hear(&exchange, text, len + sizeof(behind), step);
    assert_int_equal(taken == -EINVAL, (row->expected & BAD) != 0);
    if (taken >= 0) {
        assert_int_equal(taken, row->taken ? row->taken : len);
        assert_int_equal(exchange.answer_over, (row->expected & OVER) != 0);
        assert_int_equal(exchange.client_keeps, (row->expected & KEEPS) != 0);
        assert_int_equal(exchange.tunnel, (row->expected & TUNNELS) != 0);
        assert_int_equal(proxy_exchange_end(&exchange), (row->expected & (OVER | BY_END)) != 0);
    }
    proxy_exchange_done(&exchange);
}

static void answers_end_where_they_do_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].answer) + sizeof(behind); step++)
            check(&rows[i], step);
    }
}

static void an_answer_that_stops_in_the_middle_is_not_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t len = 0; len < strlen(rows[i].answer) && rows[i].expected & OVER; len++) {
            struct proxy_exchange exchange;
            proxy_exchange_begin(&exchange, &rows[i].request);
            assert_int_equal(hear(&exchange, rows[i].answer, len, 1), len);
            assert_int_equal(exchange.answer_begun, len > 0);
            assert_false(proxy_exchange_end(&exchange));
            proxy_exchange_done(&exchange);
        }
    }
}

static void a_request_is_taken_to_the_end_of_its_body(void **state)
{
    static const struct {
        struct proxy_request request;
        const char *body;
    } bodies[] = {
        {{.body = HTTP_BODY_LENGTH, .body_length = 5}, "abcde"},
        {{.body = HTTP_BODY_CHUNKED}, "3\r\nabc\r\n0\r\n\r\n"},
        {{.body = HTTP_BODY_LENGTH}, ""},
        {{.body = HTTP_BODY_NONE}, ""},
    };
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        const size_t len = strlen(bodies[i].body);
        struct proxy_exchange exchange;
        char text[64];
        memcpy(text, bodies[i].body, len);
        memcpy(text + len, behind, sizeof(behind));
        for (size_t cut = 0; cut <= len; cut++) {
            proxy_exchange_begin(&exchange, &bodies[i].request);
            assert_int_equal(proxy_exchange_take_request(&exchange, text, cut, &why), cut);
            assert_int_equal(exchange.request_over, cut == len);
            assert_int_equal(proxy_exchange_take_request(&exchange, text + cut,
                                                         len + sizeof(behind) - cut, &why),
                             len - cut);
            assert_true(exchange.request_over);
        }
    }
}

static void a_request_whose_chunks_are_none_is_said_so(void **state)
{
    const struct proxy_request request = {.body = HTTP_BODY_CHUNKED};
    struct proxy_exchange exchange;
    const char *why = NULL;

    (void)state;
    proxy_exchange_begin(&exchange, &request);
    assert_int_equal(proxy_exchange_take_request(&exchange, "xyz", 3, &why), -EINVAL);
    assert_non_null(why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_end_where_they_do_however_they_are_cut),
        cmocka_unit_test(an_answer_that_stops_in_the_middle_is_not_over),
        cmocka_unit_test(a_request_is_taken_to_the_end_of_its_body),
        cmocka_unit_test(a_request_whose_chunks_are_none_is_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
