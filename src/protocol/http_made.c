/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that are made while the run goes on. A hop keeps method, headers and body of what was
 * asked for; after 303, and after 301 and 302 of a POST, it is a GET without a body and without the
 * headers that are about one, as browsers do it and RFC 9110 15.4 lets them.
 */
#include "protocol/http_made.h"

#include "base/macro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- where a Location leads ---- */

static bool is_clean(struct http_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f)
            return false;
    }
    return text.len > 0;
}

/* RFC 3986 5.2.4, in place, up to the query. The path begins with a slash. */
static void remove_dots(char *path)
{
    size_t len = strcspn(path, "?"), to = 0, at = 0;

    while (at < len) {
        size_t part = 1 + strcspn(path + at + 1, "/?");
        bool dot = part == 2 && path[at + 1] == '.';
        bool dots = part == 3 && path[at + 1] == '.' && path[at + 2] == '.';
        bool last = at + part >= len;
        if (dots) {
            while (to > 0 && path[--to] != '/')
                ;
        } else if (!dot) {
            memmove(path + to, path + at, part);
            to += part;
        }
        if ((dot || dots) && last)
            path[to++] = '/';
        at += part;
    }
    memmove(path + to, path + len, strlen(path + len) + 1);
}

static bool begins_with(struct http_text text, const char *word)
{
    size_t len = strlen(word);

    return text.len >= len && strncasecmp(text.at, word, len) == 0;
}

/* Whether a scheme stands before the first of "/?#". */
static bool has_scheme(struct http_text text)
{
    for (size_t i = 0; i < text.len && !strchr("/?#", text.at[i]); i++) {
        if (text.at[i] == ':')
            return true;
    }
    return false;
}

static struct http_text skip(struct http_text text, size_t len)
{
    return (struct http_text){text.at + len, text.len - len};
}

/* Takes "http://HOST:PORT" or "//HOST:PORT" off; false when that is elsewhere. */
static bool take_authority(const struct http_asks *asks, const struct peer_soak_config *config,
                           struct http_text *text)
{
    size_t len = 0;

    if (has_scheme(*text)) {
        const char *scheme = config->tls ? "https:" : "http:";
        if (!begins_with(*text, scheme))
            return false;
        *text = skip(*text, strlen(scheme));
    }
    if (!begins_with(*text, "//"))
        return true;
    *text = skip(*text, 2);
    while (len < text->len && !strchr("/?#", text->at[len]))
        len++;
    bool here = http_asks_lead(asks, config, text->at, len);
    *text = skip(*text, len);
    return here;
}

char *http_resolve(const struct http_asks *asks, const struct peer_soak_config *config,
                   const char *base, struct http_text text)
{
    char *path = NULL;
    bool absolute = begins_with(text, "//") || has_scheme(text);

    if (!is_clean(text) || *base != '/' || !take_authority(asks, config, &text))
        return NULL;
    size_t query = strcspn(base, "?"), folder = query;
    while (folder > 0 && base[folder - 1] != '/')
        folder--;
    const char *fragment = text.len ? memchr(text.at, '#', text.len) : NULL;
    int len = (int)(fragment ? (size_t)(fragment - text.at) : text.len);
    int kept = (int)folder;
    if (absolute || (len && *text.at == '/'))
        kept = 0;
    else if (!len)
        kept = (int)strlen(base);
    else if (*text.at == '?')
        kept = (int)query;
    bool slash = kept == 0 && !(len && *text.at == '/');
    if (asprintf(&path, "%.*s%s%.*s", kept, base, slash ? "/" : "", len, text.at) < 0)
        return NULL;
    remove_dots(path);
    return path;
}

/* ---- making one ---- */

static bool is_about_body(const char *header)
{
    return strncasecmp(header, "Content-", 8) == 0 || http_is_header(header, "Transfer-Encoding") ||
           http_is_header(header, "Expect");
}

/* The headers of `ask` that go on, and one more. NULL without memory. */
static const char **list_headers(const struct http_ask *ask, bool bodiless, const char *header)
{
    size_t count = 0, all = 0;

    while (ask->headers[all])
        all++;
    const char **headers = calloc(all + 2, sizeof(*headers));
    if (!headers)
        return NULL;
    for (size_t i = 0; i < all; i++) {
        if (!bodiless || !is_about_body(ask->headers[i]))
            headers[count++] = ask->headers[i];
    }
    if (header)
        headers[count++] = header;
    return headers;
}

static void *move(char **at, const void *from, size_t len)
{
    char *to = *at;

    if (!from)
        return NULL;
    memcpy(to, from, len);
    *at += len;
    return to;
}

/* All in one piece of memory. */
static struct http_made *join(const struct http_made *parts)
{
    const struct http_request *text = &parts->text;
    size_t path_len = parts->path ? strlen(parts->path) + 1 : 0;
    struct http_made *made = malloc(sizeof(*made) + text->len + text->last_len + path_len);

    if (!made)
        return NULL;
    char *at = (char *)(made + 1);
    *made = *parts;
    made->text.text = move(&at, text->text, text->len);
    made->text.last_text = move(&at, text->last_text, text->last_len);
    made->path = move(&at, parts->path, path_len);
    return made;
}

static struct http_made *make(const struct http_ask *from, struct http_made *parts,
                              const char *header, uint64_t most)
{
    struct http_made *made = NULL;
    struct http_ask ask = *from;

    if (parts->changed) {
        ask.method = strcmp(ask.method, "HEAD") == 0 ? "HEAD" : "GET";
        ask.asked = http_asked_by(ask.method);
        ask.idempotent = true;
        ask.has_body = false;
        ask.body_len = 0;
    }
    if (parts->path)
        ask.path = (char *)(uintptr_t)parts->path;
    ask.headers = list_headers(from, parts->changed, header);
    if (ask.headers && http_request_make(&parts->text, &ask, most) == 0)
        made = join(parts);
    http_request_done(&parts->text);
    free(ask.headers);
    return made;
}

struct http_made *http_made_new(const struct http_ask *ask, const struct http_made *before,
                                const char *header, uint64_t most)
{
    struct http_made parts = {0};

    if (before) {
        parts = *before;
        parts.text = (struct http_request){0};
    }
    return make(ask, &parts, header, most);
}

struct http_made *http_made_follow(const struct http_asks *asks,
                                   const struct peer_soak_config *config, size_t target,
                                   const struct http_made *before, unsigned status,
                                   struct http_text location)
{
    const struct http_ask *ask = &asks->at[target];
    struct http_made parts = {.hops = before ? before->hops + 1 : 1,
                              .changed = before && before->changed};
    bool moved = status == 301 || status == 302;

    if (!moved && status != 303 && status != 307 && status != 308)
        return NULL;
    if (parts.hops > HTTP_HOPS_MOST || !location.len)
        return NULL;
    parts.changed |= status == 303 || (moved && strcmp(ask->method, "POST") == 0);
    char *path =
        http_resolve(asks, config, before && before->path ? before->path : ask->path, location);
    parts.path = path;
    struct http_made *made = path ? make(ask, &parts, NULL, config->requests_per_connection) : NULL;
    free(path);
    return made;
}
