/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.1 requests, one at a time on each connection. The request is the same bytes every time,
 * made once and sent without a copy; http_parser reads the answers and says when one is complete,
 * by content-length, by chunks or by the end of the connection.
 *
 * Most services answer the same request with the same bytes for at least a second (the Date). The
 * last short answer that came in one piece is kept with its meaning; one that is equal to it, byte
 * for byte, has the same and is not parsed again.
 */
#include "workload/soak.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEEK_VECTORS = 32 };

/* ---- the request ---- */

static const char *method_of(const struct peer_soak_config *config)
{
    if (config->method)
        return config->method;
    return config->body_len ? "POST" : "GET";
}

static bool has_header(const struct peer_soak_config *config, const char *name)
{
    size_t len = strlen(name);

    for (const char *const *header = config->headers; header && *header; header++) {
        if (strncasecmp(*header, name, len) == 0 && (*header)[len] == ':')
            return true;
    }
    return false;
}

static void print_head(const struct soak *soak, bool last, FILE *out)
{
    const struct peer_soak_config *config = &soak->config;
    char endpoint[PEER_ENDPOINT_TEXT];

    fprintf(out, "%s %s HTTP/1.1\r\n", method_of(config), config->path ? config->path : "/");
    if (!has_header(config, "Host"))
        fprintf(out, "Host: %s\r\n",
                config->host ? config->host
                             : peer_endpoint_format(&config->to, config->to_port, endpoint));
    if (!has_header(config, "User-Agent"))
        fprintf(out, "User-Agent: peer\r\n");
    if (config->body_len)
        fprintf(out, "Content-Length: %zu\r\n", config->body_len);
    for (const char *const *header = config->headers; header && *header; header++)
        fprintf(out, "%s\r\n", *header);
    if (last)
        fprintf(out, "Connection: close\r\n");
    fprintf(out, "\r\n");
}

static int make_request(const struct soak *soak, bool last, char **ret_request, size_t *ret_len)
{
    FILE *out = open_memstream(ret_request, ret_len);
    if (!out)
        return -ENOMEM;
    print_head(soak, last, out);
    if (soak->config.body_len)
        fwrite(soak->config.body, 1, soak->config.body_len, out);
    return fclose(out) == 0 ? 0 : -ENOMEM;
}

static bool is_clean(const char *text, bool spaces)
{
    for (; *text; text++) {
        if (*text == '\r' || *text == '\n' || (!spaces && *text == ' '))
            return false;
    }
    return true;
}

static int check_words(const struct peer_soak_config *config, struct peer_error *error)
{
    if (!is_clean(method_of(config), false) || (config->path && !is_clean(config->path, false)))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "method and path of a request have no blanks or line breaks");
    for (const char *const *header = config->headers; header && *header; header++) {
        if (!is_clean(*header, true) || !strchr(*header, ':'))
            return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" is no header \"Name: value\"",
                             *header);
    }
    return 0;
}

int soak_http_prepare(struct soak *soak, struct peer_error *error)
{
    int status = check_words(&soak->config, error);
    if (status < 0)
        return status;
    if (make_request(soak, false, &soak->request, &soak->request_len) < 0 ||
        make_request(soak, true, &soak->last_request, &soak->last_request_len) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    soak->head = strcmp(method_of(&soak->config), "HEAD") == 0;
    /* The caller's strings are in the requests now, and need not live on. */
    soak->config.method = soak->config.host = soak->config.path = NULL;
    soak->config.headers = NULL;
    soak->config.body = NULL;
    return 0;
}

/* Sends (the rest of) the request. */
static void http_send(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;
    const char *request = flow->last ? soak->last_request : soak->request;
    size_t len = flow->last ? soak->last_request_len : soak->request_len;

    if (flow->out_at == len)
        return;
    ssize_t done = soak_write(flow, request + flow->out_at, len - flow->out_at, STACK_WRITE_STABLE);
    if (done > 0)
        flow->out_at += (uint64_t)done;
    else if (done < 0 && done != -EAGAIN)
        soak_fail(flow, SOAK_CLOSED_EARLY, "closed before the request was sent");
}

static void http_request(struct soak_flow *flow)
{
    flow->parsing = false;
    http_send(flow);
}

/* ---- the answer ---- */

static int on_headers_complete(http_parser *parser)
{
    const struct soak_flow *flow = parser->data;
    return flow->soak->head; /* then no body follows */
}

static int on_message_complete(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {.on_headers_complete = on_headers_complete,
                                              .on_message_complete = on_message_complete};

static void parser_begin(struct soak_flow *flow)
{
    if (flow->parsing)
        return;
    flow->parsing = true;
    http_parser_init(&flow->http, HTTP_RESPONSE);
    flow->http.data = flow;
}

static void http_answered(struct soak_flow *flow, unsigned status, bool remote_closes)
{
    flow->remote_closes = remote_closes;
    flow->last |= remote_closes;
    soak_answered(flow, status);
}

/* The parser has seen all of an answer. 1xx is followed by the real one. */
static void http_parsed(struct soak_flow *flow)
{
    flow->parsing = false;
    if (flow->http.status_code / 100 != 1)
        http_answered(flow, flow->http.status_code, !http_should_keep_alive(&flow->http));
}

/* What came is all of an answer: next time its bytes are enough. */
static void answer_keep(struct soak_flow *flow, const char *data, size_t len)
{
    struct soak_answer *answer = &flow->soak->answer;

    if (len > sizeof(answer->bytes) || flow->http.status_code / 100 == 1)
        return;
    memcpy(answer->bytes, data, len);
    answer->len = len;
    answer->status = flow->http.status_code;
    answer->remote_closes = !http_should_keep_alive(&flow->http);
}

static bool answer_is_known(const struct soak_flow *flow, const char *data, size_t len)
{
    const struct soak_answer *answer = &flow->soak->answer;

    return !flow->parsing && len == answer->len && memcmp(data, answer->bytes, len) == 0;
}

static void http_parse(struct soak_flow *flow, const char *data, size_t len)
{
    bool whole = !flow->parsing;
    size_t at = 0;

    if (whole)
        soak_said(flow, data, len);

    while (at < len && flow->state == SOAK_BUSY) {
        parser_begin(flow);
        at += http_parser_execute(&flow->http, &settings, data + at, len - at);
        if (HTTP_PARSER_ERRNO(&flow->http) == HPE_PAUSED) {
            http_parser_pause(&flow->http, 0);
            if (at < len && flow->http.status_code / 100 != 1) {
                soak_fail(flow, SOAK_BAD_ANSWER, "bytes follow the end of an answer");
                return;
            }
            if (whole && at == len)
                answer_keep(flow, data, len);
            http_parsed(flow);
            if (at == len)
                return;
            whole = false; /* the real answer came with a 1xx before it */
            continue;
        }
        if (HTTP_PARSER_ERRNO(&flow->http) != HPE_OK) {
            soak_fail(flow, SOAK_BAD_ANSWER, "the answer is no HTTP: %s",
                      http_errno_description(HTTP_PARSER_ERRNO(&flow->http)));
            return;
        }
    }
}

/* Parses what came, then takes it: an answer must be consumed before the next request goes out, so
   that its acknowledgement rides along. */
static void http_readable(struct soak_flow *flow)
{
    struct iovec iov[PEEK_VECTORS];
    char small[4096];
    int count;

    while (flow->state != SOAK_CLOSED && (count = flow_peek(&flow->flow, iov, PEEK_VECTORS)) > 0) {
        if (flow->state != SOAK_BUSY) {
            soak_fail(flow, SOAK_BAD_ANSWER, "bytes came that nobody asked for");
            return;
        }
        soak_first_byte(flow);
        size_t len = iov[0].iov_len;
        flow->soak->measure.counts.bytes_received += len;
        if (answer_is_known(flow, iov[0].iov_base, len)) {
            flow_consume(&flow->flow, len);
            http_answered(flow, flow->soak->answer.status, flow->soak->answer.remote_closes);
        } else if (len <= sizeof(small)) {
            memcpy(small, iov[0].iov_base, len);
            flow_consume(&flow->flow, len);
            http_parse(flow, small, len);
        } else {
            /* Long bodies: not worth a copy. The last piece of an answer is short mostly. */
            size_t most = len - 1;
            http_parse(flow, iov[0].iov_base, most);
            if (flow->state == SOAK_CLOSED)
                return;
            small[0] = ((const char *)iov[0].iov_base)[most];
            flow_consume(&flow->flow, len);
            http_parse(flow, small, 1);
        }
    }
}

/* Some answers end with the connection. */
static void http_eof(struct soak_flow *flow)
{
    parser_begin(flow);
    http_parser_execute(&flow->http, &settings, NULL, 0);
    if (HTTP_PARSER_ERRNO(&flow->http) == HPE_PAUSED) {
        http_parser_pause(&flow->http, 0);
        flow->last = true;
        http_parsed(flow);
        return;
    }
    soak_fail(flow, SOAK_CLOSED_EARLY,
              flow->first_byte ? "closed in the middle of an answer" : "closed without an answer");
}

const struct soak_ops soak_http = {.answers = true,
                                   .request = http_request,
                                   .readable = http_readable,
                                   .writable = http_send,
                                   .eof = http_eof};
