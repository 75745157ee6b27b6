/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A head is read when all of it is there. CONNECT is an authority and nothing else; any other method
 * has an absolute target, whose path is what the server is asked for. The user is told by
 * Proxy-Authorization: Basic (RFC 7617).
 *
 * What was refused ends its connection: whatever comes after it may be a body.
 */
#include "base/macro.h"
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- answers ---- */

/* `error`: a word of RFC 9209, for programs. */
static const struct answer {
    uint16_t status;
    const char *phrase, *error;
} answers[PROXY_RESULTS] = {
    [PROXY_OPEN] = {200, "Connection established", NULL},
    [PROXY_REFUSED] = {502, "Bad Gateway", "connection_refused"},
    [PROXY_RESET] = {502, "Bad Gateway", "connection_terminated"},
    [PROXY_TIMED_OUT] = {504, "Gateway Timeout", "connection_timeout"},
    [PROXY_HOST_UNREACHABLE] = {503, "Service Unavailable", "destination_ip_unroutable"},
    [PROXY_NET_UNREACHABLE] = {503, "Service Unavailable", "destination_ip_unroutable"},
    [PROXY_NOT_ALLOWED] = {403, "Forbidden", "http_request_denied"},
    [PROXY_NO_SUCH_NAME] = {502, "Bad Gateway", "dns_error"},
    [PROXY_NO_SUCH_FAMILY] = {503, "Service Unavailable", "destination_ip_unroutable"},
    [PROXY_BAD_ANSWER] = {502, "Bad Gateway", "http_protocol_error"},
    [PROXY_FAILED] = {500, "Internal Server Error", "proxy_internal_error"},
};

static const struct answer refusals[] = {
    {400, "Bad Request", "http_request_error"},
    {407, "Proxy Authentication Required", "http_request_denied"},
    {431, "Request Header Fields Too Large", "http_request_error"},
    {501, "Not Implemented", "http_request_error"},
    {505, "HTTP Version Not Supported", "http_request_error"},
};

static void put_answer(struct proxy_client *client, const struct answer *answer, const char *text)
{
    const char *challenge =
        answer->status == 407 ? "Proxy-Authenticate: Basic realm=\"peer\"\r\n" : "";
    const char *body = client->is_head ? "" : text, *end = client->is_head ? "" : "\n";

    const int len = snprintf(
        client->answer, sizeof(client->answer),
        "HTTP/1.1 %u %s\r\nServer: peer\r\n%sProxy-Status: peer; error=%s\r\n"
        "Content-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s%s",
        answer->status, answer->phrase, challenge, answer->error, strlen(text) + 1, body, end);
    client->answer_len = MIN((size_t)len, sizeof(client->answer) - 1);
    client->status = answer->status;
}

static enum proxy_wants refuse(struct proxy_client *client, unsigned status)
{
    size_t i = 0;

    while (i + 1 < ARRAY_SIZE(refusals) && refusals[i].status != status)
        i++;
    put_answer(client, &refusals[i], client->why);
    return PROXY_WANTS_END;
}

static enum proxy_wants refuse_for(struct proxy_client *client, unsigned status, const char *why)
{
    snprintf(client->why, sizeof(client->why), "%s", why);
    return refuse(client, status);
}

void proxy_http_answer(struct proxy_client *client, enum proxy_result result, const char *text)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    char line[256];

    client->answer_len = 0;
    if (result == PROXY_OPEN && client->request.head)
        return;
    client->status = answers[result].status;
    if (result == PROXY_OPEN) {
        client->answer_len = sizeof(established) - 1;
        memcpy(client->answer, established, client->answer_len);
        return;
    }
    snprintf(line, sizeof(line), "%s", text);
    put_answer(client, &answers[result], line);
}

/* ---- who it is ---- */

static int value_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* RFC 4648 4. The length without the terminating zero, or -EINVAL; a zero byte is one too. */
static ssize_t decode(struct http_text text, char *ret, size_t room)
{
    unsigned bits = 0, count = 0;
    size_t len = 0;

    while (text.len && text.at[text.len - 1] == '=')
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        const int value = value_of(text.at[i]);
        if (value < 0)
            return -EINVAL;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        ret[len] = (char)(bits >> count);
        if (!ret[len++] || len == room)
            return -EINVAL;
    }
    ret[len] = 0;
    return (ssize_t)len;
}

/* The colon between name and password. A name has none (RFC 7617 2), but for an IPv6 address. */
static char *find_colon(char *text)
{
    char *last = strrchr(text, ':');
    struct peer_addr addr;

    if (!last)
        return NULL;
    *last = 0;
    const bool address = peer_addr_parse(text, &addr) == 0;
    *last = ':';
    return address ? last : strchr(text, ':');
}

static int take_login(struct proxy_client *client, const struct proxy_rules *rules,
                      struct http_text value)
{
    static const char scheme[] = "Basic ";
    char text[2 * PROXY_USER_MOST + 2], *colon = NULL;

    if (value.len >= sizeof(scheme) - 1 && strncasecmp(value.at, scheme, sizeof(scheme) - 1) == 0) {
        value.at += sizeof(scheme) - 1;
        value.len -= sizeof(scheme) - 1;
        while (value.len && *value.at == ' ')
            value.at++, value.len--;
        if (decode(value, text, sizeof(text)) >= 0)
            colon = find_colon(text);
    }
    if (!colon || colon - text > PROXY_USER_MOST)
        return -EINVAL;
    *colon = 0;
    memcpy(client->user, text, (size_t)(colon - text) + 1);
    const bool fits = proxy_password_fits(rules, colon + 1);
    explicit_bzero(text, sizeof(text));
    return fits ? 0 : -EACCES;
}

/* ---- the fields ---- */

enum { TOKENS = 32 };

struct fields {
    struct http_text all; /* of the head */
    struct http_text login, tokens[TOKENS];
    size_t token_count, hosts, logins;
    bool upgrade; /* a field of that name */
    bool close, keep_alive;
};

static bool lists(const struct fields *fields, struct http_text name)
{
    for (size_t i = 0; i < fields->token_count; i++) {
        if (fields->tokens[i].len == name.len &&
            strncasecmp(fields->tokens[i].at, name.at, name.len) == 0)
            return true;
    }
    return false;
}

static bool lists_word(const struct fields *fields, const char *word)
{
    return lists(fields, (struct http_text){word, strlen(word)});
}

/* Of Connection, and of the Proxy-Connection that old clients send instead. */
static int add_tokens(struct fields *fields, struct http_text value)
{
    struct http_text token;

    while (http_next_member(&value, &token)) {
        if (lists(fields, token))
            continue;
        if (fields->token_count == TOKENS)
            return -E2BIG;
        fields->tokens[fields->token_count++] = token;
    }
    return 0;
}

static int read_fields(struct http_text all, struct fields *fields)
{
    struct http_text rest = all, name, value;

    *fields = (struct fields){.all = all};
    while (http_next_field(&rest, &name, &value)) {
        if ((http_text_is(name, "Connection") || http_text_is(name, "Proxy-Connection")) &&
            add_tokens(fields, value) < 0)
            return -E2BIG;
        fields->hosts += http_text_is(name, "Host");
        fields->upgrade |= http_text_is(name, "Upgrade");
        if (http_text_is(name, "Proxy-Authorization")) {
            fields->login = value;
            fields->logins++;
        }
    }
    fields->close = lists_word(fields, "close");
    fields->keep_alive = lists_word(fields, "keep-alive");
    return 0;
}

/* RFC 9110 7.6.1: what is for the next hop alone, which is us. What frames the message never is. */
static bool is_for_us(const struct fields *fields, struct http_text name, bool upgrades)
{
    static const char *const always[] = {"Connection", "Proxy-Connection", "Keep-Alive",
                                         "Proxy-Authorization", "Proxy-Authenticate"},
                             *const never[] = {"Host", "Content-Length", "Transfer-Encoding"};

    for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
        if (http_text_is(name, always[i]))
            return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
        if (http_text_is(name, never[i]))
            return false;
    }
    return !upgrades &&
           (http_text_is(name, "TE") || http_text_is(name, "Upgrade") || lists(fields, name));
}

/* ---- the head, rewritten ---- */

struct writer {
    char *at;
    size_t len;
};

static void put(struct writer *writer, const char *text, size_t len)
{
    memcpy(writer->at + writer->len, text, len);
    writer->len += len;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

/* A value that goes on in further lines is one line afterwards (RFC 9112 5.2). */
static void put_field(struct writer *writer, struct http_text name, struct http_text value)
{
    put(writer, name.at, name.len);
    put_text(writer, ": ");
    for (size_t i = 0; i < value.len; i++) {
        const char c = value.at[i] == '\r' || value.at[i] == '\n' ? ' ' : value.at[i];
        put(writer, &c, 1);
    }
    put_text(writer, "\r\n");
}

static void put_connection(struct writer *writer, const struct fields *fields,
                           const struct http_head *head, bool upgrades)
{
    if (upgrades) {
        put_text(writer, "Connection: Upgrade");
        for (size_t i = 0; i < fields->token_count; i++) {
            if (http_text_is(fields->tokens[i], "Upgrade"))
                continue;
            put_text(writer, ", ");
            put(writer, fields->tokens[i].at, fields->tokens[i].len);
        }
        put_text(writer, "\r\n");
    } else if (head->close) {
        put_text(writer, "Connection: close\r\n");
    } else if (head->minor == 0 && head->keep_alive) {
        put_text(writer, "Connection: keep-alive\r\n");
    }
}

/* What a server is asked for: the path of the target. */
struct path {
    const char *before; /* "/" where the target has none */
    struct http_text text;
};

static void put_host(struct writer *writer, const struct proxy_target *target)
{
    char text[PROXY_TARGET_TEXT];

    proxy_target_format(target, text);
    if (target->port == 80)
        *strrchr(text, ':') = 0;
    put_text(writer, "Host: ");
    put_text(writer, text);
    put_text(writer, "\r\n");
}

/* What becomes longer than it was: the Host, the path's slash, Connection, and each field by two bytes
   at the most. The shortest, "a:" and a line break, is three itself. */
static int rewrite(struct proxy_client *client, const struct http_head *head,
                   const struct fields *fields, struct path path, size_t len)
{
    struct proxy_request *request = &client->request;
    struct writer writer = {.at = malloc(2 * len + PROXY_TARGET_TEXT + 256)};
    struct http_text rest = fields->all, name, value;
    const char version[] = {(char)('0' + head->minor), '\r', '\n'};

    if (!writer.at)
        return -ENOMEM;
    put(&writer, head->method.at, head->method.len);
    put_text(&writer, " ");
    put_text(&writer, path.before);
    put(&writer, path.text.at, path.text.len);
    put_text(&writer, " HTTP/1.");
    put(&writer, version, sizeof(version));
    if (!fields->hosts)
        put_host(&writer, &client->target);
    while (http_next_field(&rest, &name, &value)) {
        if (!is_for_us(fields, name, request->upgrades))
            put_field(&writer, name, value);
    }
    put_connection(&writer, fields, head, request->upgrades);
    put_text(&writer, "\r\n");
    request->head = writer.at;
    request->head_len = writer.len;
    return 0;
}

/* ---- the target ---- */

static bool begins(struct http_text text, const char *word)
{
    return text.len >= strlen(word) && strncasecmp(text.at, word, strlen(word)) == 0;
}

static bool is_printable(struct http_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f)
            return false;
    }
    return true;
}

/* "http://HOST[:PORT][/PATH][?QUERY]". 0, or the status to refuse it with. */
static unsigned split_target(struct proxy_client *client, const struct http_head *head,
                             struct path *ret_path)
{
    static const char scheme[] = "http://";
    struct http_text text = head->target, authority;
    const char *why = NULL;

    if (!begins(text, scheme)) {
        const bool other = memmem(text.at, text.len, "://", 3) != NULL;
        snprintf(client->why, sizeof(client->why), "%s",
                 begins(text, "https://") ? "https is asked for by CONNECT"
                 : other                  ? "a URL that is none of http"
                                          : "a request to a server, and this is a proxy");
        return other ? 501 : 400;
    }
    authority.at = text.at + sizeof(scheme) - 1;
    authority.len = 0;
    const size_t rest = text.len - (sizeof(scheme) - 1);
    while (authority.len < rest && !strchr("/?#", authority.at[authority.len]))
        authority.len++;
    struct http_text path = {authority.at + authority.len, rest - authority.len};
    const char *fragment = path.len ? memchr(path.at, '#', path.len) : NULL;
    if (fragment)
        path.len = (size_t)(fragment - path.at);
    if (!is_printable(text))
        why = "a target with a control character";
    else if (authority.len && memchr(authority.at, '@', authority.len))
        why = "a target with a user's name (RFC 9110 4.2.4)";
    if (why)
        snprintf(client->why, sizeof(client->why), "%s", why);
    if (why || proxy_target_parse(authority, 80, &client->target, client->why) < 0)
        return 400;
    const bool whole = !path.len && http_text_is(head->method, "OPTIONS");
    *ret_path = (struct path){whole ? "*" : path.len && path.at[0] == '/' ? "" : "/", path};
    return 0;
}

/* ---- one request ---- */

static enum http_asked asked_by(struct http_text method)
{
    char name[8] = "";

    memcpy(name, method.at, MIN(method.len, sizeof(name) - 1));
    return http_asked_by(name);
}

static enum proxy_wants connect_to(struct proxy_client *client, const struct http_head *head)
{
    if (proxy_target_parse(head->target, 0, &client->target, client->why) < 0)
        return refuse(client, 400);
    return PROXY_WANTS_TUNNEL;
}

static enum proxy_wants ask(struct proxy_client *client, struct http_head *head,
                            const struct fields *fields, size_t len)
{
    struct proxy_request *request = &client->request;
    unsigned status = 400;
    struct path path;

    const unsigned refused = split_target(client, head, &path);
    if (refused)
        return refuse(client, refused);
    if (fields->hosts > 1)
        return refuse_for(client, 400, "more than one Host");
    /* The next one in the way may know no coding, and see another request in the body (RFC 9112 6.1). */
    if (head->minor == 0 && head->coding != HTTP_CODING_NONE)
        return refuse_for(client, 400, "a Transfer-Encoding in HTTP/1.0");
    const enum http_body_kind kind = http_request_body(head, &status, client->why);
    if (kind == HTTP_BODY_BAD)
        return refuse(client, status);
    head->close |= fields->close;
    head->keep_alive |= fields->keep_alive;
    request->body = (uint8_t)kind;
    request->body_length = head->length;
    request->asked = (uint8_t)asked_by(head->method);
    request->keeps = http_keeps(head, kind);
    request->upgrades = fields->upgrade && lists_word(fields, "upgrade") && head->minor > 0;
    if (rewrite(client, head, fields, path, len) < 0)
        return refuse_for(client, 431, "no memory for a head of that size");
    return PROXY_WANTS_REQUEST;
}

static enum proxy_wants refuse_head(struct proxy_client *client, int status)
{
    return refuse(client, status == -EPROTONOSUPPORT ? 505 : 400);
}

static enum proxy_wants begin(struct proxy_client *client, const struct proxy_rules *rules,
                              const char *text, size_t len)
{
    struct http_head head;
    struct fields fields;

    const int parsed = http_request_parse(text, len, &head, client->why);
    if (parsed < 0)
        return refuse_head(client, parsed);
    const enum http_asked asked = asked_by(head.method);
    client->is_head = asked == HTTP_ASKED_HEAD;
    if (read_fields(http_head_fields(text, len), &fields) < 0)
        return refuse_for(client, 400, "a Connection that names more than 32 fields");
    if (fields.logins > 1)
        return refuse_for(client, 400, "more than one Proxy-Authorization");
    if (!fields.logins && rules->password)
        return refuse_for(client, 407, "a client that tells no password");
    const int login = fields.logins ? take_login(client, rules, fields.login) : 0;
    if (login < 0)
        return refuse_for(client, 407,
                          login == -EACCES ? "a wrong password"
                                           : "a Proxy-Authorization that is none of Basic");
    return asked == HTTP_ASKED_CONNECT ? connect_to(client, &head)
                                       : ask(client, &head, &fields, len);
}

size_t proxy_http_take(struct proxy_client *client, const struct proxy_rules *rules,
                       const char *data, size_t len, enum proxy_wants *ret_wants)
{
    const char *text;
    size_t text_len, at = 0;

    while (!client->collect.len && at < len && (data[at] == '\r' || data[at] == '\n'))
        at++; /* between requests (RFC 9112 2.2) */
    if (at == len)
        return at;
    const ssize_t taken = http_collect(&client->collect, data + at, len - at, &text, &text_len);
    if (taken < 0) {
        *ret_wants = refuse_for(client, 431, "a head of more than 65536 bytes");
        return len;
    }
    if (!text) {
        const int status =
            http_request_begins(client->collect.text, client->collect.len, client->why);
        if (status < 0)
            *ret_wants = refuse_head(client, status);
        return at + (size_t)taken;
    }
    *ret_wants = begin(client, rules, text, text_len);
    http_collect_done(&client->collect);
    return at + (size_t)taken;
}
