/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The request of an HTTP/1.1 run, made once. The caller's headers stand for ours, whatever they say;
 * what they say is then read as a server would, so that the connection is used accordingly: one
 * that is asked to be closed carries one request, and so does one on which the server cannot know
 * where the body ends.
 */
#include "protocol/http_request.h"

#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_chunked(const struct http_head *given)
{
    return given->coding == HTTP_CODING_CHUNKED || given->coding == HTTP_CODING_LAST;
}

static void print_length(const struct http_ask *ask, const struct http_head *given, FILE *out)
{
    if (given->length_kind != HTTP_LENGTH_NONE || given->coding != HTTP_CODING_NONE)
        return;
    if (ask->has_body || http_ask_means_body(ask))
        fprintf(out, "Content-Length: %zu\r\n", ask->body_len);
}

static void print_head(const struct http_ask *ask, const struct http_head *given, bool last,
                       FILE *out)
{
    fprintf(out, "%s %s HTTP/1.1\r\n", ask->method, ask->path);
    if (!http_ask_has(ask, "Host"))
        fprintf(out, "Host: %s\r\n", ask->host);
    if (!http_ask_has(ask, "User-Agent"))
        fprintf(out, "User-Agent: peer\r\n");
    print_length(ask, given, out);
    for (const char *const *header = ask->headers; *header; header++)
        fprintf(out, "%s\r\n", *header);
    if (last && !http_ask_has(ask, "Connection"))
        fprintf(out, "Connection: close\r\n");
    fprintf(out, "\r\n");
}

/* A body whose headers say that it is chunked comes as one chunk. */
static void print_body(const struct http_ask *ask, bool chunked, FILE *out)
{
    if (chunked && ask->body_len)
        fprintf(out, "%zx\r\n", ask->body_len);
    if (ask->body_len)
        fwrite(ask->body, 1, ask->body_len, out);
    if (chunked)
        fprintf(out, ask->body_len ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
}

struct text {
    char **at;
    size_t *len;
};

static int make_text(struct http_request *request, const struct http_ask *ask,
                     const struct http_head *given, struct text text)
{
    FILE *out = open_memstream(text.at, text.len);
    if (!out)
        return -ENOMEM;
    print_head(ask, given, text.at == &request->last_text, out);
    fflush(out);
    size_t head_len = *text.len;
    print_body(ask, is_chunked(given), out);
    if (fclose(out) != 0)
        return -ENOMEM;
    request->body_len = *text.len - head_len;
    return 0;
}

/* Whether the server finds the end of the body where it is. */
static bool ends_where_it_says(const struct http_ask *ask, const struct http_head *given)
{
    if (given->coding != HTTP_CODING_NONE)
        return is_chunked(given) && given->length_kind == HTTP_LENGTH_NONE;
    return given->length_kind == HTTP_LENGTH_NONE ||
           (given->length_kind == HTTP_LENGTH_KNOWN && given->length == ask->body_len);
}

int http_request_make(struct http_request *request, const struct http_ask *ask, uint64_t most)
{
    struct http_head given = {0};
    int status = 0;

    request->asked = ask->asked;
    request->idempotent = ask->idempotent;
    for (const char *const *header = ask->headers; *header; header++)
        http_head_add(&given, *header);
    request->closes = given.close || !ends_where_it_says(ask, &given);
    if (request->closes)
        most = 1;
    if (most != 1)
        status = make_text(request, ask, &given, (struct text){&request->text, &request->len});
    if (status == 0 && most)
        status =
            make_text(request, ask, &given, (struct text){&request->last_text, &request->last_len});
    request->expects = given.expects_continue && request->body_len;
    return status;
}

void http_request_done(struct http_request *request)
{
    free(request->text);
    free(request->last_text);
}
