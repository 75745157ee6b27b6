/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What clients say and what they hear: tables of conversations. Each is cut at every byte and has
 * garbage behind it, of which nothing is taken.
 */
#include "proxy/client.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct told {
    enum proxy_wants wants;
    size_t taken, heard_len;
    char heard[2 * PROXY_ANSWER];
};

/* Bytes come `step` at a time. What was heard is all answers, one after the other. */
static struct told tell(struct proxy_client *client, const struct proxy_rules *rules,
                        const char *text, size_t len, size_t step)
{
    struct told told = {.wants = PROXY_WANTS_MORE};
    size_t there = 0;

    while (told.wants == PROXY_WANTS_MORE && (there < len || told.taken < there)) {
        there = MIN(len, MAX(there, told.taken) + step);
        char *copy = malloc(there - told.taken);
        memcpy(copy, text + told.taken, there - told.taken);
        const size_t taken =
            proxy_client_take(client, rules, copy, there - told.taken, &told.wants);
        assert_true(taken <= there - told.taken);
        assert_true(told.wants != PROXY_WANTS_MORE || taken == there - told.taken);
        free(copy);
        told.taken += taken;
        if (told.wants == PROXY_WANTS_ANSWER || told.wants == PROXY_WANTS_END) {
            memcpy(told.heard + told.heard_len, client->answer, client->answer_len);
            told.heard_len += client->answer_len;
        }
        if (told.wants == PROXY_WANTS_ANSWER)
            told.wants = PROXY_WANTS_MORE;
    }
    return told;
}

static const char garbage[] = "\0\xff garbage\r\n\r\n\5\1\1";
#define ENDS PROXY_WANTS_END

/* ---- SOCKS5 ---- */

#define BYTES(text) text, sizeof(text) - 1
#define HELLO       "\5\1\0"
#define HELLO_LOGIN "\5\2\0\2"
#define NO_LOGIN    "\5\0"
#define REPLY(code) "\5" code "\0\1\0\0\0\0\0\0"
#define TUNNEL      PROXY_WANTS_TUNNEL
#define DATAGRAMS   PROXY_WANTS_DATAGRAMS

struct socks_row {
    const char *text;
    size_t len;
    const char *heard;
    size_t heard_len;
    enum proxy_wants wants;
    const char *target, *user;
    const char *password; /* of the rules */
    bool early;           /* refused before it is whole: where does not matter */
};

static const struct socks_row socks_rows[] = {
    /* targets of each type */
    {BYTES(HELLO "\5\1\0\1\300\0\2\120\0\120"), BYTES(NO_LOGIN), TUNNEL, "192.0.2.80:80", "", NULL,
     false},
    {BYTES(HELLO "\5\1\0\3\4host\x1f\x90"), BYTES(NO_LOGIN), TUNNEL, "host:8080", "", NULL, false},
    {BYTES(HELLO "\5\1\0\4\x20\1\r\270\0\0\0\0\0\0\0\0\0\0\0\1\0\120"), BYTES(NO_LOGIN), TUNNEL,
     "[2001:db8::1]:80", "", NULL, false},
    {BYTES(HELLO "\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\300\0\2\120\0\120"), BYTES(NO_LOGIN), TUNNEL,
     "192.0.2.80:80", "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\xa"
                 "192.0.2.80\0\120"),
     BYTES(NO_LOGIN), TUNNEL, "192.0.2.80:80", "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\xb"
                 "2001:db8::2\0\120"),
     BYTES(NO_LOGIN), TUNNEL, "[2001:db8::2]:80", "", NULL, false},
    {BYTES("\5\3\1\0\7"
           "\5\1\0\3\1x\xff\xff"),
     BYTES(NO_LOGIN), TUNNEL, "x:65535", "", NULL, false},
    /* datagrams: the address is the client's own, and may be none */
    {BYTES(HELLO "\5\3\0\1\0\0\0\0\0\0"), BYTES(NO_LOGIN), DATAGRAMS, "0.0.0.0:0", "", NULL, false},
    {BYTES(HELLO "\5\3\0\1\177\0\0\1\1\0"), BYTES(NO_LOGIN), DATAGRAMS, "127.0.0.1:256", "", NULL,
     false},
    /* who it is */
    {BYTES(HELLO_LOGIN "\1\3bob\2pw"
                       "\5\1\0\1\1\2\3\4\0\1"),
     BYTES("\5\2\1\0"), TUNNEL, "1.2.3.4:1", "bob", NULL, false},
    {BYTES("\5\1\2\1\xb"
           "198.18.0.77\0"
           "\5\1\0\1\1\2\3\4\0\1"),
     BYTES("\5\2\1\0"), TUNNEL, "1.2.3.4:1", "198.18.0.77", NULL, false},
    {BYTES("\5\1\2\1\0\0"
           "\5\1\0\1\1\2\3\4\0\1"),
     BYTES("\5\2\1\0"), TUNNEL, "1.2.3.4:1", "", NULL, false},
    {BYTES("\5\1\2\1\1u\3pw!"
           "\5\1\0\1\1\2\3\4\0\1"),
     BYTES("\5\2\1\0"), TUNNEL, "1.2.3.4:1", "u", "pw!", false},
    {BYTES("\5\1\2\1\1u\3pw?"), BYTES("\5\2\1\1"), ENDS, NULL, "", "pw!", false},
    {BYTES("\5\1\2\1\1u\2pw"), BYTES("\5\2\1\1"), ENDS, NULL, "", "pw!", false},
    {BYTES("\5\1\2\1\1u\6pw!pw!"), BYTES("\5\2\1\1"), ENDS, NULL, "", "pw!", false},
    {BYTES("\5\1\2\1\1u\0"), BYTES("\5\2\1\1"), ENDS, NULL, "", "pw!", false},
    {BYTES(HELLO), BYTES("\5\xff"), ENDS, NULL, "", "pw!", false},
    {BYTES("\5\0"), BYTES("\5\xff"), ENDS, NULL, "", NULL, false},
    {BYTES("\5\2\1\3"), BYTES("\5\xff"), ENDS, NULL, "", NULL, false},
    {BYTES("\5\1\2\1\3a\0b\1x"), BYTES("\5\2\1\1"), ENDS, NULL, "", NULL, false},
    {BYTES("\5\1\2\1\1a\3x\0y"), BYTES("\5\2\1\1"), ENDS, NULL, "", "x", false},
    {BYTES("\5\1\2\5\1\0"), BYTES("\5\2\1\1"), ENDS, NULL, "", NULL, true},
    /* what is not to be had */
    {BYTES(HELLO "\5\2\0\1\1\2\3\4\0\1"), BYTES(NO_LOGIN REPLY("\7")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\4\0\1\1\2\3\4\0\1"), BYTES(NO_LOGIN REPLY("\7")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\2"), BYTES(NO_LOGIN REPLY("\x8")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\0"), BYTES(NO_LOGIN REPLY("\x8")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\4\1\0\1"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, true},
    {BYTES(HELLO "\5\1\0\1\1\2\3\4\0\0"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\0\0\1"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\3a\0b\0\1"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\3a\nb\0\1"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\3a b\0\1"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, false},
    {BYTES(HELLO "\5\1\0\3\2-a\0\1"), BYTES(NO_LOGIN REPLY("\1")), ENDS, NULL, "", NULL, false},
    {BYTES("\4\1\0\120\1\2\3\4u\0"), BYTES("\0\x5b\0\0\0\0\0\0"), ENDS, NULL, "", NULL, true},
};

static void check_socks(const struct socks_row *row, size_t step)
{
    const struct proxy_rules rules = {.password = row->password};
    struct proxy_client client = {0};
    char text[600], target[PROXY_TARGET_TEXT];

    memcpy(text, row->text, row->len);
    memcpy(text + row->len, garbage, sizeof(garbage));
    const struct told told = tell(&client, &rules, text, row->len + sizeof(garbage), step);
    assert_int_equal(told.wants, row->wants);
    assert_int_equal(told.heard_len, row->heard_len);
    assert_memory_equal(told.heard, row->heard, row->heard_len);
    assert_string_equal(client.user, row->user);
    assert_true(row->early || told.taken == row->len);
    assert_int_equal(client.why[0] != 0, row->wants == ENDS);
    if (row->target)
        assert_string_equal(proxy_target_format(&client.target, target), row->target);
    proxy_client_done(&client);
}

static void socks_is_understood_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(socks_rows); i++) {
        for (size_t step = 1; step <= socks_rows[i].len + sizeof(garbage); step++)
            check_socks(&socks_rows[i], step);
    }
}

static void messages_of_socks_that_stop_in_the_middle_want_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(socks_rows); i++) {
        const struct proxy_rules rules = {.password = socks_rows[i].password};
        for (size_t len = 0; len < socks_rows[i].len && !socks_rows[i].early; len++) {
            struct proxy_client client = {0};
            const struct told told = tell(&client, &rules, socks_rows[i].text, len, 1);
            assert_int_equal(told.wants, PROXY_WANTS_MORE);
            assert_int_equal(told.taken, len);
        }
    }
}

static void the_longest_name_and_password_are_taken(void **state)
{
    const struct proxy_rules rules = {0};
    struct proxy_client client = {0};
    char text[3 + 3 + 2 * 255 + 10] = "\5\1\2\1\xff";

    (void)state;
    memset(text + 5, 'u', 255);
    text[5 + 255] = (char)255;
    memset(text + 6 + 255, 'p', 255);
    memcpy(text + 6 + 510, "\5\1\0\1\1\2\3\4\0\1", 10);
    const struct told told = tell(&client, &rules, text, sizeof(text), 100);
    assert_int_equal(told.wants, PROXY_WANTS_TUNNEL);
    assert_int_equal(strlen(client.user), 255);
}

static void socks_tells_what_became_of_it(void **state)
{
    static const struct {
        enum proxy_result result;
        char code;
    } rows[] = {
        {PROXY_REFUSED, 5},          {PROXY_RESET, 5},       {PROXY_TIMED_OUT, 6},
        {PROXY_HOST_UNREACHABLE, 4}, {PROXY_NOT_ALLOWED, 2}, {PROXY_NET_UNREACHABLE, 3},
        {PROXY_NO_SUCH_NAME, 4},     {PROXY_FAILED, 1},      {PROXY_NO_SUCH_FAMILY, 8},
    };
    struct proxy_client client = {.protocol = PROXY_SOCKS5};
    struct peer_addr addr;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        proxy_client_answer(&client, rows[i].result, NULL, 0, "why");
        assert_int_equal(client.answer_len, 10);
        assert_int_equal(client.answer[1], rows[i].code);
    }
    peer_addr_parse("198.18.0.7", &addr);
    proxy_client_answer(&client, PROXY_OPEN, &addr, 0x1234, NULL);
    assert_int_equal(client.answer_len, 10);
    assert_memory_equal(client.answer, "\5\0\0\1\xc6\x12\0\7\x12\x34", 10);
    peer_addr_parse("2001:2::7", &addr);
    proxy_client_answer(&client, PROXY_OPEN, &addr, 0x1234, NULL);
    assert_int_equal(client.answer_len, 22);
    assert_memory_equal(client.answer, "\5\0\0\4\x20\1\0\2\0\0\0\0\0\0\0\0\0\0\0\7\x12\x34", 22);
}

/* ---- HTTP ---- */

struct http_row {
    const char *text; /* without the empty line */
    enum proxy_wants wants;
    unsigned status;    /* PROXY_WANTS_END */
    const char *target; /* also: a word of what was wrong */
    const char *head;   /* as the server has it, without the empty line */
    const char *user, *password;
};

#define ASKS PROXY_WANTS_REQUEST

static const struct http_row http_rows[] = {
    /* tunnels */
    {"CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n", TUNNEL, 0, "host:443", NULL, "", NULL},
    {"CONNECT 192.0.2.80:80 HTTP/1.0\r\n", TUNNEL, 0, "192.0.2.80:80", NULL, "", NULL},
    {"CONNECT [2001:db8::1]:80 HTTP/1.1\nContent-Length: 5\n", TUNNEL, 0, "[2001:db8::1]:80", NULL,
     "", NULL},
    {"CONNECT host HTTP/1.1\r\n", ENDS, 400, "without a port", NULL, "", NULL},
    {"CONNECT host: HTTP/1.1\r\n", ENDS, 400, "port", NULL, "", NULL},
    {"CONNECT host:0 HTTP/1.1\r\n", ENDS, 400, "port", NULL, "", NULL},
    {"CONNECT host:65536 HTTP/1.1\r\n", ENDS, 400, "port", NULL, "", NULL},
    {"CONNECT host:8o HTTP/1.1\r\n", ENDS, 400, "port", NULL, "", NULL},
    {"CONNECT :80 HTTP/1.1\r\n", ENDS, 400, "host", NULL, "", NULL},
    {"CONNECT [::1:80 HTTP/1.1\r\n", ENDS, 400, "", NULL, "", NULL},
    {"CONNECT 2001:db8::1:80 HTTP/1.1\r\n", ENDS, 400, "port", NULL, "", NULL},
    {"CONNECT u@host:80 HTTP/1.1\r\n", ENDS, 400, "name", NULL, "", NULL},
    {"CONNECT http://host/ HTTP/1.1\r\n", ENDS, 400, "port", NULL, "", NULL},
    /* requests: the absolute target is the server's path */
    {"GET http://host/ HTTP/1.1\r\nHost: host\r\n", ASKS, 0, "host:80",
     "GET / HTTP/1.1\r\nHost: host\r\n", "", NULL},
    {"GET HTTP://Host:8080/a/b?c=d#e HTTP/1.1\r\nHost: other\r\nX:y\r\n", ASKS, 0, "Host:8080",
     "GET /a/b?c=d HTTP/1.1\r\nHost: other\r\nX: y\r\n", "", NULL},
    {"GET http://192.0.2.80 HTTP/1.1\r\n", ASKS, 0, "192.0.2.80:80",
     "GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n", "", NULL},
    {"GET http://host:8080?q HTTP/1.0\r\n", ASKS, 0, "host:8080",
     "GET /?q HTTP/1.0\r\nHost: host:8080\r\n", "", NULL},
    {"OPTIONS http://[2001:db8::1]:80 HTTP/1.1\r\n", ASKS, 0, "[2001:db8::1]:80",
     "OPTIONS * HTTP/1.1\r\nHost: [2001:db8::1]\r\n", "", NULL},
    {"OPTIONS http://host/ HTTP/1.1\r\nHost: h\r\n", ASKS, 0, "host:80",
     "OPTIONS / HTTP/1.1\r\nHost: h\r\n", "", NULL},
    {"GET http://host:/x HTTP/1.1\r\nHost: h\r\n", ASKS, 0, "host:80",
     "GET /x HTTP/1.1\r\nHost: h\r\n", "", NULL},
    /* fields that are for the proxy end here */
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Connection: Keep-Alive\r\nKeep-Alive: 5\r\nTE: "
     "trailers\r\nConnection: X-Mine, keep-alive\r\nx-mine: 1\r\nX-Yours: 2\r\n",
     ASKS, 0, "h:80", "GET / HTTP/1.1\r\nHost: h\r\nX-Yours: 2\r\n", "", NULL},
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: close, Host, Content-Length\r\n"
     "Content-Length: 3\r\n",
     ASKS, 0, "h:80", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n", "",
     NULL},
    {"GET http://h/ HTTP/1.0\r\nHost: h\r\nProxy-Connection: keep-alive\r\n", ASKS, 0, "h:80",
     "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n", "", NULL},
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n", ASKS, 0, "h:80",
     "GET / HTTP/1.1\r\nHost: h\r\n", "", NULL},
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, "
     "HTTP2-Settings\r\nHTTP2-Settings: AA\r\nProxy-Connection: close\r\n",
     ASKS, 0, "h:80",
     "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nConnection: Upgrade, "
     "HTTP2-Settings, close\r\n",
     "", NULL},
    {"POST http://h/ HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nX:a\n  b\nEmpty:\n", ASKS, 0,
     "h:80", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX: a   b\r\nEmpty: \r\n",
     "", NULL},
    {"\r\n\r\nGET http://h/ HTTP/1.1\r\nHost: h\r\n", ASKS, 0, "h:80",
     "GET / HTTP/1.1\r\nHost: h\r\n", "", NULL},
    /* who it is: "bob:pw", "2001:db8::7:pw", ":pw", "bob:px", "bob", "bob:" with a zero byte */
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Basic Ym9iOnB3\r\n", ASKS, 0,
     "h:80", "GET / HTTP/1.1\r\nHost: h\r\n", "bob", NULL},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: basic   Ym9iOnB3\r\n", TUNNEL, 0, "h:1", NULL,
     "bob", "pw"},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic MjAwMTpkYjg6Ojc6cHc=\r\n", TUNNEL, 0,
     "h:1", NULL, "2001:db8::7", "pw"},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic OnB3\r\n", TUNNEL, 0, "h:1", NULL, "",
     "pw"},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic Ym9iOnB4\r\n", ENDS, 407, "password", NULL,
     "bob", "pw"},
    {"CONNECT h:1 HTTP/1.1\r\n", ENDS, 407, "password", NULL, "", "pw"},
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\n", ENDS, 407, "password", NULL, "", "pw"},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic Ym9i\r\n", ENDS, 407, "Basic", NULL, "",
     NULL},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic Ym9iOgBw\r\n", ENDS, 407, "Basic", NULL,
     "", NULL},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Digest Ym9iOnB3\r\n", ENDS, 407, "Basic", NULL,
     "", NULL},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic Ym!iOnB3\r\n", ENDS, 407, "Basic", NULL,
     "", NULL},
    {"CONNECT h:1 HTTP/1.1\r\nProxy-Authorization: Basic Ym9iOnB3\r\nProxy-Authorization: Basic "
     "Ym9iOnB3\r\n",
     ENDS, 400, "more than one Proxy-Authorization", NULL, "", NULL},
    /* what is none */
    {"GET / HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "this is a proxy", NULL, "", NULL},
    {"OPTIONS * HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "this is a proxy", NULL, "", NULL},
    {"GET https://h/ HTTP/1.1\r\nHost: h\r\n", ENDS, 501, "CONNECT", NULL, "", NULL},
    {"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n", ENDS, 501, "http", NULL, "", NULL},
    {"GET http:// HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "host", NULL, "", NULL},
    {"GET http:///x HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "host", NULL, "", NULL},
    {"GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "user", NULL, "", NULL},
    {"GET http://h:99999/ HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "port", NULL, "", NULL},
    {"GET http://h%31/ HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "name", NULL, "", NULL},
    {"GET http://h/\t HTTP/1.1\r\nHost: h\r\n", ENDS, 400, "control", NULL, "", NULL},
    {"GET http://h/ HTTP/1.1\r\nHost: h\r\nHost: i\r\n", ENDS, 400, "Host", NULL, "", NULL},
    {"POST http://h/ HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n", ENDS, 400, "HTTP/1.0",
     NULL, "", NULL},
    {"GET http://h/ HTTP/2.0\r\nHost: h\r\n", ENDS, 505, "HTTP/1", NULL, "", NULL},
    {"GET http://h/ HTTP/1.1\r\nHost h\r\n", ENDS, 400, "colon", NULL, "", NULL},
    {"GET http://h/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", ENDS, 400,
     "both", NULL, "", NULL},
    {"\026\003\001\r\n", ENDS, 400, "request line", NULL, "", NULL},
};

static void check_status(const struct told *told, const struct http_row *row, const char *why)
{
    char begin[16];

    snprintf(begin, sizeof(begin), "HTTP/1.1 %u ", row->status);
    assert_memory_equal(told->heard, begin, strlen(begin));
    assert_non_null(strstr(why, row->target));
    assert_non_null(memmem(told->heard, told->heard_len, why, strlen(why)));
    assert_int_equal(memmem(told->heard, told->heard_len, "Proxy-Authenticate: Basic", 25) != NULL,
                     row->status == 407);
}

static void check_head(const struct proxy_request *request, const char *head)
{
    const size_t len = strlen(head);

    assert_int_equal(request->head_len, len + 2);
    assert_memory_equal(request->head, head, len);
    assert_memory_equal(request->head + len, "\r\n", 2);
}

static void check_http(const struct http_row *row, size_t step)
{
    const struct proxy_rules rules = {.password = row->password};
    const size_t len = strlen(row->text);
    struct proxy_client client = {0};
    char text[600], target[PROXY_TARGET_TEXT];

    memcpy(text, row->text, len);
    memcpy(text + len, "\r\n", 2);
    memcpy(text + len + 2, garbage, sizeof(garbage));
    const struct told told = tell(&client, &rules, text, len + 2 + sizeof(garbage), step);
    assert_int_equal(told.wants, row->wants);
    assert_string_equal(client.user, row->user);
    if (row->wants == ENDS) {
        check_status(&told, row, client.why);
    } else {
        assert_int_equal(told.heard_len, 0);
        assert_int_equal(told.taken, len + 2);
        assert_string_equal(proxy_target_format(&client.target, target), row->target);
    }
    if (row->head)
        check_head(&client.request, row->head);
    proxy_client_done(&client);
}

static void http_is_understood_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(http_rows); i++) {
        for (size_t step = 1; step <= strlen(http_rows[i].text) + sizeof(garbage); step++)
            check_http(&http_rows[i], step);
    }
}

static void http_tells_what_became_of_it(void **state)
{
    static const struct {
        enum proxy_result result;
        const char *begin, *error;
    } rows[] = {
        {PROXY_OPEN, "HTTP/1.1 200 Connection established\r\n\r\n", NULL},
        {PROXY_REFUSED, "HTTP/1.1 502 ", "connection_refused"},
        {PROXY_RESET, "HTTP/1.1 502 ", "connection_terminated"},
        {PROXY_TIMED_OUT, "HTTP/1.1 504 ", "connection_timeout"},
        {PROXY_HOST_UNREACHABLE, "HTTP/1.1 503 ", "unroutable"},
        {PROXY_NET_UNREACHABLE, "HTTP/1.1 503 ", "unroutable"},
        {PROXY_NOT_ALLOWED, "HTTP/1.1 403 ", "denied"},
        {PROXY_NO_SUCH_NAME, "HTTP/1.1 502 ", "dns_error"},
        {PROXY_BAD_ANSWER, "HTTP/1.1 502 ", "protocol_error"},
        {PROXY_FAILED, "HTTP/1.1 500 ", "internal"},
    };
    struct proxy_client client = {.protocol = PROXY_HTTP};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        proxy_client_answer(&client, rows[i].result, NULL, 0, "the reason in words");
        client.answer[client.answer_len] = 0;
        assert_memory_equal(client.answer, rows[i].begin, strlen(rows[i].begin));
        if (rows[i].error) {
            assert_non_null(strstr(client.answer, rows[i].error));
            assert_non_null(strstr(client.answer, "\r\n\r\nthe reason in words\n"));
        } else {
            assert_int_equal(client.answer_len, strlen(rows[i].begin));
        }
    }
}

static void the_longest_reason_fits_into_an_answer(void **state)
{
    struct proxy_client client = {.protocol = PROXY_HTTP};
    char reason[300];

    (void)state;
    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = 0;
    for (enum proxy_result result = PROXY_REFUSED; result < PROXY_RESULTS; result++) {
        proxy_client_answer(&client, result, NULL, 0, reason);
        assert_int_equal(client.answer[client.answer_len - 1], '\n');
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    const struct proxy_rules rules = {0};
    struct proxy_client client = {0};
    const char *text = "HEAD http://h/ HTTP/1.1\r\nHost: h\r\n\r\n";

    (void)state;
    assert_int_equal(tell(&client, &rules, text, strlen(text), 99).wants, PROXY_WANTS_REQUEST);
    proxy_client_answer(&client, PROXY_REFUSED, NULL, 0, "no");
    assert_memory_equal(client.answer + client.answer_len - 4, "\r\n\r\n", 4);
    assert_non_null(memmem(client.answer, client.answer_len, "Content-Length: 3\r\n", 19));
    proxy_client_done(&client);
}

static void requests_follow_each_other(void **state)
{
    const struct proxy_rules rules = {0};
    struct proxy_client client = {0};
    const char *text = "GET http://a/ HTTP/1.1\r\nProxy-Authorization: Basic Ym9iOnB3\r\n\r\n"
                       "HEAD http://b/ HTTP/1.1\r\n\r\n"
                       "CONNECT c:1 HTTP/1.1\r\n\r\nrest";
    size_t len = strlen(text);

    (void)state;
    struct told told = tell(&client, &rules, text, len, len);
    assert_int_equal(told.wants, PROXY_WANTS_REQUEST);
    assert_string_equal(client.user, "bob");
    proxy_client_next(&client);
    text += told.taken;
    len -= told.taken;
    told = tell(&client, &rules, text, len, len);
    assert_int_equal(told.wants, PROXY_WANTS_REQUEST);
    assert_string_equal(client.user, "");
    assert_string_equal(client.target.name, "b");
    proxy_client_next(&client);
    text += told.taken;
    len -= told.taken;
    told = tell(&client, &rules, text, len, len);
    assert_int_equal(told.wants, PROXY_WANTS_TUNNEL);
    assert_int_equal(len - told.taken, strlen("rest"));
    proxy_client_done(&client);
}

/* `head` and more bytes of one letter than a head may have. */
static enum proxy_wants tell_long(struct proxy_client *client, const char *head, size_t more)
{
    const struct proxy_rules rules = {0};
    const size_t len = strlen(head) + more;
    char *text = malloc(len);

    memset(text, 'x', len);
    memcpy(text, head, strlen(head));
    const enum proxy_wants wants = tell(client, &rules, text, len, 1000).wants;
    free(text);
    return wants;
}

static void heads_are_bounded(void **state)
{
    struct proxy_client client = {0};
    char tokens[512] = "GET http://h/ HTTP/1.1\r\nConnection: a";
    const struct proxy_rules rules = {0};

    (void)state;
    assert_int_equal(tell_long(&client, "GET http://h/ HTTP/1.1\r\nX: ", HTTP_HEAD_MOST), ENDS);
    assert_int_equal(client.status, 431);
    proxy_client_done(&client);
    client = (struct proxy_client){0};
    for (int i = 0; i < 33; i++)
        snprintf(tokens + strlen(tokens), sizeof(tokens) - strlen(tokens), ", t%d", i);
    strcat(tokens, "\r\n\r\n");
    assert_int_equal(tell(&client, &rules, tokens, strlen(tokens), 99).wants, ENDS);
    assert_int_equal(client.status, 400);
    proxy_client_done(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socks_is_understood_however_it_is_cut),
        cmocka_unit_test(messages_of_socks_that_stop_in_the_middle_want_more),
        cmocka_unit_test(the_longest_name_and_password_are_taken),
        cmocka_unit_test(socks_tells_what_became_of_it),
        cmocka_unit_test(http_is_understood_however_it_is_cut),
        cmocka_unit_test(http_tells_what_became_of_it),
        cmocka_unit_test(the_longest_reason_fits_into_an_answer),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(requests_follow_each_other),
        cmocka_unit_test(heads_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
