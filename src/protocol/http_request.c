/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The request of an HTTP run, made once. The caller's headers stand for ours, whatever they say;
 * what they say is then read as a server would, so that the connection is used accordingly: one
 * that is asked to be closed carries one request, and so does one on which the server cannot know
 * where the body ends.
 */
#include "protocol/http_request.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *method_of(const struct peer_soak_config *config)
{
    if (config->method)
        return config->method;
    return config->body ? "POST" : "GET";
}

/* Methods whose requests are about a body (RFC 9110 8.6): without one they say so. */
static bool means_a_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static bool has_header(const struct peer_soak_config *config, const char *name)
{
    for (const char *const *header = config->headers; header && *header; header++) {
        if (http_is_header(*header, name))
            return true;
    }
    return false;
}

static bool is_chunked(const struct http_head *given)
{
    return given->coding == HTTP_CODING_CHUNKED || given->coding == HTTP_CODING_LAST;
}

static void print_length(const struct peer_soak_config *config, const struct http_head *given,
                         FILE *out)
{
    if (given->length_kind != HTTP_LENGTH_NONE || given->coding != HTTP_CODING_NONE)
        return;
    if (config->body || means_a_body(method_of(config)))
        fprintf(out, "Content-Length: %zu\r\n", config->body_len);
}

/* Where the port of "HOST:PORT" or "[V6]:PORT" begins; NULL: there is none. */
static const char *port_of(const char *authority)
{
    const char *end = strrchr(authority, ']');
    const char *colon = strrchr(end ? end : authority, ':');
    bool number = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);

    return number ? colon + 1 : NULL;
}

/* CONNECT asks for a host and a port and for nothing else (RFC 9112 3.2.3): those that the path
   names, or our own. */
static const char *named_authority(const struct peer_soak_config *config)
{
    const char *path = config->path ? config->path : "";

    return *path == '/' ? path + 1 : path;
}

static char *make_authority(const struct peer_soak_config *config)
{
    const char *named = named_authority(config);
    char endpoint[PEER_ENDPOINT_TEXT], *text = NULL;

    if (*named)
        return strdup(named);
    if (!config->host)
        return strdup(peer_endpoint_format(&config->to, config->to_port, endpoint));
    if (port_of(config->host))
        return strdup(config->host);
    return asprintf(&text, "%s:%u", config->host, config->to_port) < 0 ? NULL : text;
}

static char *make_host(const struct peer_soak_config *config)
{
    char endpoint[PEER_ENDPOINT_TEXT];

    return strdup(config->host ? config->host
                               : peer_endpoint_format(&config->to, config->to_port, endpoint));
}

/* A URL without any path asks of the server as a whole what it can do (RFC 9112 3.2.4). */
static const char *default_path(const char *method)
{
    return strcmp(method, "OPTIONS") == 0 ? "*" : "/";
}

static void print_start(const struct peer_soak_config *config, const char *host, FILE *out)
{
    const char *method = method_of(config);
    const char *target = config->path && *config->path ? config->path : default_path(method);

    if (http_asked_by(method) == HTTP_ASKED_CONNECT)
        target = host;
    fprintf(out, "%s %s HTTP/1.1\r\n", method, target);
    if (!has_header(config, "Host"))
        fprintf(out, "Host: %s\r\n", host);
}

static int print_head(const struct peer_soak_config *config, const struct http_head *given,
                      bool last, FILE *out)
{
    bool connects = http_asked_by(method_of(config)) == HTTP_ASKED_CONNECT;
    char *host = connects ? make_authority(config) : make_host(config);

    if (!host)
        return -ENOMEM;
    print_start(config, host, out);
    free(host);
    if (!has_header(config, "User-Agent"))
        fprintf(out, "User-Agent: peer\r\n");
    print_length(config, given, out);
    for (const char *const *header = config->headers; header && *header; header++)
        fprintf(out, "%s\r\n", *header);
    if (last && !has_header(config, "Connection"))
        fprintf(out, "Connection: close\r\n");
    fprintf(out, "\r\n");
    return 0;
}

/* A body whose headers say that it is chunked comes as one chunk. */
static void print_body(const struct peer_soak_config *config, bool chunked, FILE *out)
{
    if (chunked && config->body_len)
        fprintf(out, "%zx\r\n", config->body_len);
    if (config->body_len)
        fwrite(config->body, 1, config->body_len, out);
    if (chunked)
        fprintf(out, config->body_len ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
}

struct text {
    char **at;
    size_t *len;
};

static int make_text(struct http_request *request, const struct peer_soak_config *config,
                     const struct http_head *given, struct text text)
{
    FILE *out = open_memstream(text.at, text.len);
    if (!out)
        return -ENOMEM;
    int status = print_head(config, given, text.at == &request->last_text, out);
    fflush(out);
    size_t head_len = *text.len;
    print_body(config, is_chunked(given), out);
    if (fclose(out) != 0 || status < 0)
        return -ENOMEM;
    request->body_len = *text.len - head_len;
    return 0;
}

/* Neither breaks the line nor, without `blanks`, the word. */
static bool is_clean(const char *text, bool blanks)
{
    for (; *text; text++) {
        bool control = (unsigned char)*text < ' ' || *text == 0x7f;
        if (*text == '\r' || *text == '\n' || (!blanks && (control || *text == ' ')))
            return false;
    }
    return true;
}

static int check_words(const struct peer_soak_config *config, struct peer_error *error)
{
    if (!is_clean(method_of(config), false) || (config->path && !is_clean(config->path, false)))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "method and path of a request have no blanks, line breaks or control "
                         "characters");
    const char *named = named_authority(config);
    if (http_asked_by(method_of(config)) == HTTP_ASKED_CONNECT && *named &&
        (!port_of(named) || named[strcspn(named, "/?@")]))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "CONNECT asks for a host and a port: the path \"%s\" is no \"/HOST:PORT\"",
                         config->path);
    for (const char *const *header = config->headers; header && *header; header++) {
        if (!is_clean(*header, true) || !strchr(*header, ':'))
            return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" is no header \"Name: value\"",
                             *header);
        if (!http_is_named(*header))
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%s\": what is before the colon is no header's name", *header);
    }
    return 0;
}

/* Whether the server finds the end of the body where it is. */
static bool ends_where_it_says(const struct peer_soak_config *config, const struct http_head *given)
{
    if (given->coding != HTTP_CODING_NONE)
        return is_chunked(given) && given->length_kind == HTTP_LENGTH_NONE;
    return given->length_kind == HTTP_LENGTH_NONE ||
           (given->length_kind == HTTP_LENGTH_KNOWN && given->length == config->body_len);
}

static int make_texts(struct http_request *request, const struct peer_soak_config *config,
                      const struct http_head *given)
{
    uint64_t most = config->requests_per_connection;
    int status = 0;

    if (most != 1)
        status = make_text(request, config, given, (struct text){&request->text, &request->len});
    if (status == 0 && most)
        status = make_text(request, config, given,
                           (struct text){&request->last_text, &request->last_len});
    return status;
}

int http_request_make(struct http_request *request, struct peer_soak_config *config,
                      struct peer_error *error)
{
    struct http_head given = {0};

    int status = check_words(config, error);
    if (status < 0)
        return status;
    for (const char *const *header = config->headers; header && *header; header++)
        http_head_add(&given, *header);
    if (given.close || !ends_where_it_says(config, &given))
        config->requests_per_connection = 1;
    if (make_texts(request, config, &given) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    request->asked = http_asked_by(method_of(config));
    request->idempotent = http_is_idempotent(method_of(config));
    request->expects = given.expects_continue && request->body_len;
    config->method = config->host = config->path = NULL; /* all that they say is in the text */
    config->headers = NULL;
    config->body = NULL;
    return 0;
}

void http_request_done(struct http_request *request)
{
    free(request->text);
    free(request->last_text);
}
