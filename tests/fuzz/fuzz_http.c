/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is a text of HTTP's own words (most bytes are one, the others themselves). What
 * comes in pieces means the same as what comes at once, complaints are a line, and what is taken is
 * never more than there was.
 */
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "http/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TEXT_MOST = 8192, EVENTS_MOST = 256 };

static const char *const words[] = {"\r\n",
                                    "\n",
                                    "\r",
                                    " ",
                                    "\t",
                                    ":",
                                    ",",
                                    ";",
                                    "GET",
                                    "POST",
                                    "HEAD",
                                    "CONNECT",
                                    "HTTP/1.1",
                                    "HTTP/1.0",
                                    "HTTP/2.0",
                                    " / HTTP/1.1\r\n",
                                    "HTTP/1.1 200 OK\r\n",
                                    "HTTP/1.1 204 \r\n",
                                    "HTTP/1.1 100 C\r\n",
                                    "Content-Length: ",
                                    "Transfer-Encoding: ",
                                    "chunked",
                                    "gzip",
                                    "Connection: ",
                                    "close",
                                    "keep-alive",
                                    "Expect: ",
                                    "100-continue",
                                    "Host: a\r\n",
                                    "\r\n\r\n",
                                    "0\r\n\r\n",
                                    "3\r\nabc\r\n",
                                    "1",
                                    "5",
                                    "0",
                                    "a",
                                    "ffffffffffffffff",
                                    "POST / HTTP/1.1\r\n",
                                    "Content-Length: 3\r\n",
                                    "Transfer-Encoding: chunked\r\n",
                                    "abc",
                                    "\r\n x"};

static size_t make_text(const uint8_t *data, size_t len, char text[TEXT_MOST])
{
    size_t at = 0;

    for (size_t i = 0; i < len && at + 32 < TEXT_MOST; i++) {
        if (data[i] >= 0xe0) {
            text[at++] = (char)(data[i] & 0x7f);
            continue;
        }
        const char *word = words[data[i] % ARRAY_SIZE(words)];
        memcpy(text + at, word, strlen(word));
        at += strlen(word);
    }
    return at;
}

/* In memory of its own, so that the sanitizer sees every step behind its end. */
static char *piece(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    memcpy(copy, text, len);
    return copy;
}

static void check_line(const char *why)
{
    if (!why[0] || strlen(why) >= HTTP_WHY || strchr(why, '\n') || strchr(why, '\r'))
        abort();
}

/* What the server was wanted to do, without the leave to go on: that depends on the pieces. */
static size_t serve(const char *text, size_t len, size_t step, unsigned events[EVENTS_MOST])
{
    struct http_server server = {0};
    char refusal[HTTP_REFUSAL_BYTES];
    size_t count = 0;

    for (size_t at = 0; at < len && count < EVENTS_MOST;) {
        size_t part = MIN(step, len - at);
        char *copy = piece(text + at, part);
        enum http_wants wants;
        size_t taken = http_server_take(&server, copy, part, &wants);
        free(copy);
        if (taken > part || (wants == HTTP_WANTS_MORE && taken < part))
            abort();
        at += taken;
        if (wants == HTTP_WANTS_ANSWER)
            events[count++] = 1u + server.keeps;
        if (wants == HTTP_WANTS_REFUSAL) {
            check_line(server.why);
            if (http_server_refuse(&server, refusal) >= sizeof(refusal))
                abort();
            events[count++] = server.refusal;
            break;
        }
    }
    http_server_done(&server);
    return count;
}

static void check_server(const char *text, size_t len, size_t step)
{
    unsigned whole[EVENTS_MOST], cut[EVENTS_MOST];
    size_t count = serve(text, len, len, whole);

    if (serve(text, len, step, cut) != count || memcmp(whole, cut, count * sizeof(*whole)) != 0)
        abort();
}

/* Where a chunked body ends: the bytes, or -EINVAL. */
static ssize_t body_end(const char *text, size_t len, size_t step)
{
    struct http_body body;
    const char *why = NULL;
    bool over = false;
    size_t at = 0;

    (void)http_body_begin(&body, HTTP_BODY_CHUNKED, 0);
    while (at < len && !over) {
        size_t part = MIN(step, len - at);
        char *copy = piece(text + at, part);
        ssize_t taken = http_body_take(&body, copy, part, &over, &why);
        free(copy);
        if (taken < 0) {
            check_line(why);
            return taken;
        }
        if ((size_t)taken > part || ((size_t)taken < part && !over))
            abort();
        at += (size_t)taken;
    }
    return (ssize_t)at;
}

static void check_answer(const char *text, size_t len, enum http_asked asked)
{
    size_t head_len = http_head_length(text, len, 0);
    char why[HTTP_WHY] = "", *copy = piece(text, head_len);
    struct http_head head;

    if (head_len && http_answer_parse(copy, head_len, &head, why) < 0) {
        check_line(why);
    } else if (head_len) {
        enum http_body_kind kind = http_answer_body(&head, asked, why);
        if (kind == HTTP_BODY_BAD)
            check_line(why);
        if (kind == HTTP_BODY_BAD && http_keeps(&head, kind))
            abort();
        if (kind == HTTP_BODY_LENGTH && head.length > INT64_MAX)
            abort();
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_MOST];

    if (len < 1)
        return 0;
    size_t step = 1 + data[0] % 13, text_len = make_text(data + 1, len - 1, text);
    if (!text_len)
        return 0;
    check_server(text, text_len, step);
    check_answer(text, text_len, (enum http_asked)(data[0] % 3));
    if (body_end(text, text_len, text_len) != body_end(text, text_len, step))
        abort();
    return 0;
}
