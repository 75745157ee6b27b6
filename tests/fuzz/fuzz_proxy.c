/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is a client's text, of the words of SOCKS5 and HTTP (most bytes are one, the others
 * themselves), and how it is cut. What comes in pieces means the same as what comes at once, nothing
 * is taken that was not there, what is refused is told why in a line, and the head that is made of a
 * request is a request with the same end.
 */
#include "fuzz/words.h"
#include "proxy/exchange.h"
#include "proxy/socks.h"
#include "proxy/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { HEARD_MOST = 4 * PROXY_ANSWER, REQUESTS_MOST = 64 };

static const struct word words[] = {
    WORD("\5\1\0"),
    WORD("\5\2\0\2"),
    WORD("\5\1\2"),
    WORD("\5\1\0\1\300\0\2\1\0\120"),
    WORD("\5\1\0\3\4host\0\120"),
    WORD("\5\3\0\1\0\0\0\0\0\0"),
    WORD("\5\1\0\4"),
    WORD("\x20\1\r\270\0\0\0\0\0\0\0\0\0\0\0\1\0\120"),
    WORD("\5\1\0\3\11192.0.2.1\0\120"),
    WORD("\1\3bob\2pw"),
    WORD("\1\0\0"),
    WORD("\4\1\0\120\1\2\3\4u\0"),
    WORD("\0\0\0\1\300\0\2\1\0\120"),
    WORD("\0\0\0\3\4host\0\120"),
    WORD("\r\n"),
    WORD("\n"),
    WORD("\r\n\r\n"),
    WORD(" "),
    WORD("\r\n "),
    WORD(":"),
    WORD(","),
    WORD("GET http://host/path HTTP/1.1\r\n"),
    WORD("POST http://192.0.2.1:8080?q HTTP/1.1\r\n"),
    WORD("HEAD http://[2001:db8::1]:80 HTTP/1.0\r\n"),
    WORD("OPTIONS http://host HTTP/1.1\r\n"),
    WORD("CONNECT host:443 HTTP/1.1\r\n"),
    WORD("GET http://"),
    WORD("CONNECT "),
    WORD("[2001:db8::1]"),
    WORD("host"),
    WORD(":80"),
    WORD("/"),
    WORD("?a#b"),
    WORD("@"),
    WORD(" HTTP/1.1\r\n"),
    WORD(" HTTP/1.0\r\n"),
    WORD("Host: a\r\n"),
    WORD("Connection: "),
    WORD("Proxy-Connection: "),
    WORD("close"),
    WORD("keep-alive"),
    WORD("Upgrade"),
    WORD("Upgrade: x\r\n"),
    WORD("Connection: Upgrade, X\r\n"),
    WORD("X: y\r\n"),
    WORD("x:\n"),
    WORD("Content-Length: 3\r\n"),
    WORD("Transfer-Encoding: chunked\r\n"),
    WORD("3\r\nabc\r\n"),
    WORD("0\r\n\r\n"),
    WORD("abc"),
    WORD("Proxy-Authorization: Basic "),
    WORD("Ym9iOnB3\r\n"),
    WORD("Y"),
    WORD("="),
    WORD("HTTP/1.1 200 OK\r\n"),
    WORD("HTTP/1.1 100 C\r\n\r\n"),
    WORD("HTTP/1.1 101 S\r\n\r\n"),
    WORD("HTTP/1.1 204 N\r\n\r\n"),
    WORD("HTTP/1.0 200 OK\r\n\r\n"),
};

static size_t make_text(const uint8_t *data, size_t len, char text[TEXT_MOST])
{
    size_t at = 0;

    for (size_t i = 0; i < len && at + 64 < TEXT_MOST; i++) {
        if (data[i] >= 0xe0 || data[i] < 0x10) {
            text[at++] = (char)(data[i] & 0x7f);
            continue;
        }
        at += put_word(text + at, &words[data[i] % ARRAY_SIZE(words)]);
    }
    return at;
}

/* In memory of its own, so that the sanitizer sees every step behind its end. */
static char *piece(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);

    insist(copy);
    memcpy(copy, text, len);
    return copy;
}

static void check_line(const char *why)
{
    insist(why[0] && strlen(why) < HTTP_WHY && !strpbrk(why, "\r\n"));
}

/* The head that was made is one, with no word that was for us, and its body ends where it did. */
static void check_request(const struct proxy_client *client)
{
    const struct proxy_request *request = &client->request;
    char why[HTTP_WHY], *copy = piece(request->head, request->head_len);
    struct http_head head;
    struct http_text fields, name, value;
    unsigned status;

    insist(http_head_length(copy, request->head_len, 0) == request->head_len);
    insist(http_request_parse(copy, request->head_len, &head, why) == 0);
    insist(http_request_body(&head, &status, why) == (enum http_body_kind)request->body);
    insist(head.length == request->body_length);
    insist(head.target.at[0] == '/' || head.target.at[0] == '*');
    size_t hosts = 0;
    for (fields = http_head_fields(copy, request->head_len);
         http_next_field(&fields, &name, &value);) {
        hosts += http_text_is(name, "Host");
        insist(!http_text_is(name, "Proxy-Authorization"));
        insist(!http_text_is(name, "Proxy-Connection"));
    }
    insist(hosts == 1);
    free(copy);
}

struct told {
    size_t taken, heard_len, requests;
    enum proxy_wants wants;
    char heard[HEARD_MOST], user[PROXY_USER_MOST + 1], target[PROXY_TARGET_TEXT];
};

static void hear(struct told *told, struct proxy_client *client)
{
    insist(client->answer_len > 0 && client->answer_len <= PROXY_ANSWER);
    if (told->heard_len + client->answer_len > HEARD_MOST)
        return;
    memcpy(told->heard + told->heard_len, client->answer, client->answer_len);
    told->heard_len += client->answer_len;
}

static bool goes_on(struct told *told, struct proxy_client *client)
{
    if (told->wants == PROXY_WANTS_ANSWER || told->wants == PROXY_WANTS_END)
        hear(told, client);
    if (told->wants == PROXY_WANTS_END)
        check_line(client->why);
    if (told->wants == PROXY_WANTS_REQUEST) {
        check_request(client);
        insist(client->target.port);
        (void)proxy_target_format(&client->target, told->target);
        proxy_client_next(client);
        return ++told->requests < REQUESTS_MOST;
    }
    return told->wants <= PROXY_WANTS_ANSWER;
}

/* Bytes come `step` at a time. Bodies are taken for requests, which is what they are here. */
static void tell(struct told *told, const struct proxy_rules *rules, const char *text, size_t len,
                 size_t step)
{
    struct proxy_client client = {0};
    size_t there = 0;
    bool on = true;

    *told = (struct told){.wants = PROXY_WANTS_MORE};
    while (on && told->taken < len) {
        there = MAX(there, MIN(len, told->taken + step));
        const size_t part = there - told->taken;
        char *copy = piece(text + told->taken, part);
        const size_t taken = proxy_client_take(&client, rules, copy, part, &told->wants);
        free(copy);
        insist(taken <= part && (told->wants != PROXY_WANTS_MORE || taken == part));
        told->taken += taken;
        on = goes_on(told, &client);
    }
    strcpy(told->user, client.user);
    if (told->wants == PROXY_WANTS_TUNNEL)
        (void)proxy_target_format(&client.target, told->target);
    proxy_client_done(&client);
}

static void check_client(const char *text, size_t len, size_t step, bool guarded)
{
    const struct proxy_rules rules = {.password = guarded ? "pw" : NULL};
    static struct told whole, cut;

    tell(&whole, &rules, text, len, len);
    tell(&cut, &rules, text, len, step);
    insist(whole.wants == cut.wants && whole.requests == cut.requests);
    insist(strcmp(whole.user, cut.user) == 0 && strcmp(whole.target, cut.target) == 0);
    if (whole.wants != PROXY_WANTS_END) /* how much of it was seen may be told */
        insist(whole.taken == cut.taken && whole.heard_len == cut.heard_len &&
               memcmp(whole.heard, cut.heard, whole.heard_len) == 0);
    (void)proxy_user_peer(whole.user, 1, 7);
}

/* Where the answer ends: the bytes, or -EINVAL. */
static ssize_t answer_end(const struct proxy_request *request, const char *text, size_t len,
                          size_t step)
{
    struct proxy_exchange exchange;
    char why[HTTP_WHY] = "";
    ssize_t at = 0;

    proxy_exchange_begin(&exchange, request);
    while (at >= 0 && (size_t)at < len && !exchange.answer_over) {
        const size_t part = MIN(step, len - (size_t)at);
        char *copy = piece(text + at, part);
        const ssize_t taken = proxy_exchange_take_answer(&exchange, copy, part, why);
        free(copy);
        if (taken < 0)
            check_line(why);
        else
            insist((size_t)taken == part || (exchange.answer_over && (size_t)taken < part));
        at = taken < 0 ? taken : at + taken;
    }
    insist(!exchange.tunnel || exchange.upgrades);
    proxy_exchange_done(&exchange);
    return at;
}

static void check_datagram(const char *text, size_t len)
{
    char *copy = piece(text, len);
    struct proxy_target target;

    const ssize_t at = socks_datagram_parse(copy, len, &target);
    insist(at < 0 || ((size_t)at <= len && target.port && !copy[2]));
    insist(at < 0 || (target.addr.family != 0) == (target.name[0] == 0));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MOST];

    if (len < 2)
        return 0;
    const size_t step = 1 + data[0] % 13, text_len = make_text(data + 1, len - 1, text);
    const struct proxy_request request = {.keeps = true,
                                          .upgrades = data[0] & 1,
                                          .asked = data[0] & 2 ? HTTP_ASKED_HEAD : HTTP_ASKED};
    check_client(text, text_len, step, data[0] & 0x80);
    insist(answer_end(&request, text, text_len, text_len) ==
           answer_end(&request, text, text_len, step));
    check_datagram(text, text_len);
    check_datagram((const char *)data, len);
    return 0;
}
