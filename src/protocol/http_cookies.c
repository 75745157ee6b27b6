/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A list, oldest first; those of longer paths go first in the header (RFC 6265 5.4). A few cookies in
 * one jar are the rule, so all is looked for from one end to the other.
 */
#include "protocol/http_cookies.h"

#include "base/macro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cookie {
    struct cookie *next;
    uint64_t until_ns; /* UINT64_MAX: the end of the run */
    size_t name_len, path_len;
    size_t len;  /* of "NAME=VALUE" */
    char text[]; /* that, and behind it the path */
};

struct http_jar {
    struct cookie *first;
    struct http_jar *next;
    size_t count, bytes;
    bool secure;
};

struct http_jar *http_jar_new(bool secure)
{
    struct http_jar *jar = calloc(1, sizeof(*jar));

    if (jar)
        jar->secure = secure;
    return jar;
}

struct http_jar **http_jar_next(struct http_jar *jar)
{
    return &jar->next;
}

static size_t bytes_of(const struct cookie *cookie)
{
    return cookie->len + cookie->path_len;
}

static void drop(struct http_jar *jar, struct cookie **at)
{
    struct cookie *cookie = *at;

    *at = cookie->next;
    jar->count--;
    jar->bytes -= bytes_of(cookie);
    free(cookie);
}

struct http_jar *http_jar_free(struct http_jar *jar)
{
    while (jar && jar->first)
        drop(jar, &jar->first);
    free(jar);
    return NULL;
}

/* ---- Set-Cookie ---- */

/* What it says beside name and value. */
struct attributes {
    struct http_text path; /* len 0: not given */
    bool aged, gone, secure;
    uint64_t age_s;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct http_text trim(struct http_text text)
{
    while (text.len && is_blank(*text.at))
        text.at++, text.len--;
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

/* Up to the separator, which goes too. */
static struct http_text cut(struct http_text *rest, char separator)
{
    const char *end = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->at) : rest->len;
    struct http_text part = {rest->at, len};

    rest->at += MIN(len + 1, rest->len);
    rest->len -= MIN(len + 1, rest->len);
    return trim(part);
}

static void read_age(struct attributes *attributes, struct http_text value)
{
    bool negative = value.len && *value.at == '-';
    uint64_t age = 0;

    for (size_t i = negative; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return;
        age = MIN(age * 10 + (uint64_t)(value.at[i] - '0'), UINT64_C(4000000000));
    }
    if (value.len == (size_t)negative)
        return;
    attributes->aged = true;
    attributes->age_s = negative ? 0 : age;
}

/* The year is the only word of four digits in a date, or the end of "DD-MMM-YY". */
static void read_expires(struct attributes *attributes, struct http_text value)
{
    unsigned digits = 0, year = 0;

    for (size_t i = 0; i <= value.len; i++) {
        bool digit = i < value.len && value.at[i] >= '0' && value.at[i] <= '9';
        if (!digit && digits == 4 && year < 2000)
            attributes->gone = true;
        year = digit ? (digits ? year * 10 : 0) + (unsigned)(value.at[i] - '0') : 0;
        digits = digit ? digits + 1 : 0;
        if (digits > 4)
            return;
    }
}

static void read_attribute(struct attributes *attributes, struct http_text text)
{
    struct http_text name = cut(&text, '='), value = trim(text);

    if (http_text_is(name, "path"))
        attributes->path = value.len && *value.at == '/' ? value : (struct http_text){value.at, 0};
    else if (http_text_is(name, "max-age"))
        read_age(attributes, value);
    else if (http_text_is(name, "expires"))
        read_expires(attributes, value);
    else if (http_text_is(name, "secure"))
        attributes->secure = true;
}

/* RFC 6265 5.1.4: up to the last slash, which stays only where nothing is before it. */
static struct http_text default_path(const char *path)
{
    size_t len = strcspn(path, "?"), last = 0;

    for (size_t i = 0; i < len; i++) {
        if (path[i] == '/')
            last = i;
    }
    return *path == '/' && last ? (struct http_text){path, last} : (struct http_text){"/", 1};
}

static bool is_same(const struct cookie *cookie, struct http_text name, struct http_text path)
{
    return cookie->name_len == name.len && memcmp(cookie->text, name.at, name.len) == 0 &&
           cookie->path_len == path.len &&
           memcmp(cookie->text + cookie->len, path.at, path.len) == 0;
}

/* Nothing that would break the line or the list. */
static bool is_clean(struct http_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    }
    return true;
}

static void add(struct http_jar *jar, struct http_text name, struct http_text value,
                const struct attributes *attributes, uint64_t now_ns)
{
    size_t len = name.len + 1 + value.len;
    struct cookie *cookie = malloc(sizeof(*cookie) + len + attributes->path.len);
    struct cookie **at = &jar->first;

    if (!cookie)
        return;
    *cookie = (struct cookie){
        .until_ns = UINT64_MAX, .name_len = name.len, .len = len, .path_len = attributes->path.len};
    if (attributes->aged)
        cookie->until_ns = now_ns + attributes->age_s * NS_PER_S;
    memcpy(cookie->text, name.at, name.len);
    cookie->text[name.len] = '=';
    memcpy(cookie->text + name.len + 1, value.at, value.len);
    memcpy(cookie->text + len, attributes->path.at, attributes->path.len);
    while (jar->first &&
           (jar->count >= HTTP_COOKIES_MOST || jar->bytes + bytes_of(cookie) > HTTP_JAR_BYTES_MOST))
        drop(jar, &jar->first);
    while (*at)
        at = &(*at)->next;
    *at = cookie;
    jar->count++;
    jar->bytes += bytes_of(cookie);
}

void http_jar_set(struct http_jar *jar, struct http_text text, const char *path, uint64_t now_ns)
{
    struct attributes attributes = {0};
    struct http_text pair = cut(&text, ';');
    bool has_name = pair.len && memchr(pair.at, '=', pair.len);
    struct http_text name = cut(&pair, '='), value = trim(pair);

    while (text.len)
        read_attribute(&attributes, cut(&text, ';'));
    if (!attributes.path.len)
        attributes.path = default_path(path);
    size_t bytes = name.len + value.len + attributes.path.len;
    if (!has_name || !name.len || bytes > HTTP_COOKIE_BYTES_MOST || (attributes.secure && !jar->secure) ||
        !is_clean(name) || !is_clean(value) || !is_clean(attributes.path))
        return;
    for (struct cookie **at = &jar->first; *at;) {
        if (is_same(*at, name, attributes.path))
            drop(jar, at);
        else
            at = &(*at)->next;
    }
    bool gone = attributes.aged ? !attributes.age_s : attributes.gone;
    if (!gone)
        add(jar, name, value, &attributes, now_ns);
}

/* ---- Cookie ---- */

/* RFC 6265 5.1.4 */
static bool goes_with(const struct cookie *cookie, const char *path, size_t len)
{
    const char *own = cookie->text + cookie->len;
    size_t own_len = cookie->path_len;

    if (own_len > len || memcmp(own, path, own_len) != 0)
        return false;
    return own_len == len || own[own_len - 1] == '/' || path[own_len] == '/';
}

static void forget_old(struct http_jar *jar, uint64_t now_ns)
{
    for (struct cookie **at = &jar->first; *at;) {
        if ((*at)->until_ns <= now_ns)
            drop(jar, at);
        else
            at = &(*at)->next;
    }
}

/* The longest path that is shorter than `most`. */
static size_t next_length(const struct http_jar *jar, const char *path, size_t len, size_t most)
{
    size_t found = 0;

    for (const struct cookie *cookie = jar->first; cookie; cookie = cookie->next) {
        if (cookie->path_len < most && cookie->path_len > found && goes_with(cookie, path, len))
            found = cookie->path_len;
    }
    return found;
}

char *http_jar_header(struct http_jar *jar, const char *path, uint64_t now_ns)
{
    size_t len = strcspn(path, "?"), most = SIZE_MAX, at = 0;
    char *text;

    forget_old(jar, now_ns);
    if (!next_length(jar, path, len, most))
        return NULL;
    text = malloc(sizeof("Cookie: ") + jar->bytes + 2 * jar->count);
    while (text && (most = next_length(jar, path, len, most))) {
        for (const struct cookie *cookie = jar->first; cookie; cookie = cookie->next) {
            if (cookie->path_len != most || !goes_with(cookie, path, len))
                continue;
            at += (size_t)sprintf(text + at, "%s%.*s", at ? "; " : "Cookie: ", (int)cookie->len,
                                  cookie->text);
        }
    }
    return text;
}
