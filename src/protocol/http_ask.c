/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an HTTP run asks for. The one request of a configuration is a list of one. All of a list lead
 * to where the run goes: no name is looked up here, so they name it as the run does, or by address.
 */
#include "protocol/http_ask.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

static const char *scheme_of(const struct peer_soak_config *config)
{
    return config->tls ? "https://" : "http://";
}

/* ---- what is asked of one ---- */

bool http_ask_has(const struct http_ask *ask, const char *name)
{
    for (const char *const *header = ask->headers; header && *header; header++) {
        if (http_is_header(*header, name))
            return true;
    }
    return false;
}

bool http_ask_means_body(const struct http_ask *ask)
{
    return strcmp(ask->method, "POST") == 0 || strcmp(ask->method, "PUT") == 0 ||
           strcmp(ask->method, "PATCH") == 0;
}

/* ---- where it leads ---- */

/* Where the port of "HOST:PORT" or "[V6]:PORT" begins; NULL: there is none. */
static const char *port_of(const char *authority)
{
    const char *end = strrchr(authority, ']');
    const char *colon = strrchr(end ? end : authority, ':');
    bool number = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);

    return number ? colon + 1 : NULL;
}

static bool is_address(const char *host, size_t len, const struct peer_addr *address)
{
    char text[PEER_ADDR_TEXT];
    struct peer_addr parsed;
    bool brackets = len > 1 && host[0] == '[' && host[len - 1] == ']';

    if (brackets)
        host++, len -= 2;
    if (!len || len >= sizeof(text))
        return false;
    memcpy(text, host, len);
    text[len] = 0;
    return peer_addr_parse(text, &parsed) == 0 && parsed.family == address->family &&
           memcmp(parsed.bytes, address->bytes, address->family == 6 ? 16 : 4) == 0;
}

bool http_asks_lead(const struct http_asks *asks, const struct peer_soak_config *config,
                    const char *authority, size_t len)
{
    char text[300];

    if (!len || len >= sizeof(text))
        return false;
    memcpy(text, authority, len);
    text[len] = 0;
    const char *port = port_of(text);
    size_t host_len = port ? (size_t)(port - text) - 1 : len;
    unsigned long number = config->tls ? HTTPS_PORT : HTTP_PORT;
    if (port)
        number = strtoul(port, NULL, 10);
    if (number != config->to_port)
        return false;
    const char *own = asks->authority, *own_port = port_of(own);
    size_t own_len = own_port ? (size_t)(own_port - own) - 1 : strlen(own);
    bool same = own_len == host_len && strncasecmp(own, text, host_len) == 0;
    return same || is_address(text, host_len, &config->to);
}

static char *make_authority(const struct peer_soak_config *config)
{
    char endpoint[PEER_ENDPOINT_TEXT];

    return strdup(config->host ? config->host
                               : peer_endpoint_format(&config->to, config->to_port, endpoint));
}

/* CONNECT asks for a host and a port and for nothing else (RFC 9112 3.2.3): those that the path
   names, or our own. */
static char *connect_authority(const char *path, const struct http_asks *asks,
                               const struct peer_soak_config *config)
{
    const char *named = *path == '/' ? path + 1 : path;
    char *text = NULL;

    if (*named)
        return strdup(named);
    if (port_of(asks->authority))
        return strdup(asks->authority);
    return asprintf(&text, "%s:%u", asks->authority, config->to_port) < 0 ? NULL : text;
}

/* ---- what is wrong with one ---- */

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

#define REFUSE(...) error_set(error, PEER_ERROR_USAGE, EINVAL, __VA_ARGS__)

static int check_headers(const char *const *headers, struct peer_error *error)
{
    for (const char *const *header = headers; header && *header; header++) {
        if (!is_clean(*header, true) || !strchr(*header, ':'))
            return REFUSE("\"%s\" is no header \"Name: value\"", *header);
        if (!http_is_named(*header))
            return REFUSE("\"%s\": what is before the colon is no header's name", *header);
    }
    return 0;
}

static int check_words(const char *method, const char *path, struct peer_error *error)
{
    const char *named = *path == '/' ? path + 1 : path;

    if (!*method || !is_clean(method, false) || !is_clean(path, false))
        return REFUSE("method and path of a request have no blanks, line breaks or control "
                      "characters");
    if (http_asked_by(method) == HTTP_ASKED_CONNECT && *named &&
        (!port_of(named) || named[strcspn(named, "/?@")]))
        return REFUSE("CONNECT asks for a host and a port: the path \"%s\" is no \"/HOST:PORT\"",
                      path);
    return 0;
}

/* The path of a URL of the list, with all that follows it; `out` has room for it. */
static int cut_url(const struct http_asks *asks, const struct peer_soak_config *config,
                   const char *url, char *out, struct peer_error *error)
{
    const char *path = url, *scheme = scheme_of(config);
    const size_t head = strlen(scheme);

    if (strncasecmp(url, scheme, head) == 0) {
        size_t len = strcspn(url + head, "/?#");
        if (!http_asks_lead(asks, config, url + head, len))
            return REFUSE("\"%s\" leads elsewhere than the run, to %s; another name of the same "
                          "server goes into a header Host",
                          url, asks->authority);
        path = url + head + len;
    } else if (*url != '/') {
        return REFUSE("\"%s\" is neither an %sURL nor a /PATH", url, scheme);
    }
    sprintf(out, "%s%.*s", *path == '?' ? "/" : "", (int)strcspn(path, "#"), path);
    return 0;
}

/* ---- making them ---- */

/* Those of all first, but where one of its own stands for them. */
static int join_headers(struct http_ask *ask, const struct target *common,
                        const struct target *target)
{
    size_t count = 0;

    ask->headers = calloc(common->header_count + target->header_count + 1, sizeof(char *));
    if (!ask->headers)
        return -ENOMEM;
    for (size_t i = 0; i < common->header_count; i++) {
        char name[128];
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(common->headers[i], ":"),
                 common->headers[i]);
        const struct http_ask own = {.headers = (const char **)target->headers};
        if (!http_ask_has(&own, name))
            ask->headers[count++] = common->headers[i];
    }
    for (size_t i = 0; i < target->header_count; i++)
        ask->headers[count++] = target->headers[i];
    return 0;
}

/* A URL without any path asks of the server as a whole what it can do (RFC 9112 3.2.4). */
static const char *default_path(const char *method)
{
    return strcmp(method, "OPTIONS") == 0 ? "*" : "/";
}

static int fill_ask(const struct http_asks *asks, const struct peer_soak_config *config,
                    const struct target *target, const char *path, struct http_ask *ask)
{
    ask->method = target->method ? target->method : target->has_body ? "POST" : "GET";
    ask->asked = http_asked_by(ask->method);
    ask->idempotent = http_is_idempotent(ask->method);
    ask->body = target->body;
    ask->body_len = target->body_len;
    ask->has_body = target->has_body;
    bool connects = ask->asked == HTTP_ASKED_CONNECT;
    ask->path = connects ? connect_authority(path, asks, config)
                         : strdup(*path ? path : default_path(ask->method));
    if (!ask->path)
        return -ENOMEM;
    ask->host = strdup(connects ? ask->path : asks->authority);
    return ask->host ? join_headers(ask, &asks->common->at[0], target) : -ENOMEM;
}

static int make_ask(const struct http_asks *asks, const struct peer_soak_config *config,
                    const struct target *target, struct http_ask *ask, struct peer_error *error)
{
    const char *url = target->url ? target->url : "";
    const char *method = target->method ? target->method : "";
    char *path = calloc(1, strlen(url) + 2);
    int status = path ? 0 : -ENOMEM;

    if (status == 0 && asks->listed)
        status = cut_url(asks, config, url, path, error);
    else if (status == 0)
        strcpy(path, url);
    if (status == 0)
        status = check_words(target->method ? method : "GET", path, error);
    if (status == 0)
        status = check_headers((const char *const *)target->headers, error);
    if (status == 0)
        status = fill_ask(asks, config, target, path, ask);
    free(path);
    if (status == -ENOMEM)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return status;
}

static int make_all(struct http_asks *asks, const struct peer_soak_config *config,
                    struct peer_error *error)
{
    asks->at = calloc(asks->targets->count, sizeof(*asks->at));
    if (!asks->at)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    asks->count = asks->targets->count;
    for (size_t i = 0; i < asks->count; i++) {
        const struct target *target = &asks->targets->at[i];
        struct peer_error why = {0};
        int status = make_ask(asks, config, target, &asks->at[i], &why);
        if (status == 0)
            continue;
        if (target->line && status == -EINVAL)
            return REFUSE("line %u: %s", target->line, why.text);
        if (error)
            *error = why;
        return status;
    }
    return 0;
}

/* Only what is not in the list may be said beside it. */
static int check_list(const struct peer_soak_config *config, struct peer_error *error)
{
    if (!config->targets->count)
        return REFUSE("the list of targets is empty");
    if (config->method || config->body)
        return REFUSE("method and body stand in the list of targets");
    if (config->path && strcmp(config->path, "/") != 0)
        return REFUSE("the paths stand in the list of targets, so the target of the run has none: "
                      "\"%s\"",
                      config->path);
    return 0;
}

static int take_config(struct http_asks *asks, const struct peer_soak_config *config,
                       struct peer_error *error)
{
    const struct peer_target common = {.headers = config->headers};
    const struct peer_target own = {.url = config->path,
                                    .method = config->method,
                                    .body = config->body,
                                    .body_len = config->body_len};

    int status = targets_add(asks->common, &common, error);
    if (status == 0)
        status = check_headers(config->headers, error);
    if (status < 0 || asks->listed)
        return status;
    return targets_add(asks->targets, &own, error);
}

int http_asks_make(struct http_asks *asks, struct peer_soak_config *config,
                   struct peer_error *error)
{
    int status = config->targets ? check_list(config, error) : 0;

    if (status < 0)
        return status;
    asks->listed = config->targets;
    asks->authority = make_authority(config);
    asks->common = targets_new();
    asks->targets = config->targets ? targets_hold(config->targets) : targets_new();
    if (!asks->authority || !asks->common || !asks->targets)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    status = take_config(asks, config, error);
    if (status == 0)
        status = make_all(asks, config, error);
    if (status < 0)
        return status;
    config->method = config->host = config->path = NULL; /* all that they say is in the asks */
    config->headers = NULL;
    config->body = NULL;
    config->targets = NULL;
    return 0;
}

void http_asks_release(struct http_asks *asks)
{
    if (asks->listed)
        return;
    free(asks->targets->at[0].body);
    asks->targets->at[0].body = NULL;
    asks->at[0].body = NULL;
    asks->at[0].body_len = asks->targets->at[0].body_len = 0;
}

void http_asks_done(struct http_asks *asks)
{
    for (size_t i = 0; i < asks->count; i++) {
        free(asks->at[i].path);
        free(asks->at[i].host);
        free(asks->at[i].headers);
    }
    free(asks->at);
    free(asks->authority);
    targets_free(asks->targets);
    targets_free(asks->common);
    *asks = (struct http_asks){0};
}
