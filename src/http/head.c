/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A head is looked at when all of it is there, line by line. Of the headers only those in `fields`
 * mean something here. Each is a list, and may come several times: what comes later is added to
 * what was found before.
 *
 * What a message's end is decided by stands in two tables, in the order of RFC 9112 6.3: the first
 * rule that fits is the answer.
 */
#include "http/head.h"

#include "base/macro.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- text ---- */

/* A line break is one inside a header that goes on in the next line (RFC 9112 5.2). */
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 9110 5.6.2 */
static const bool token_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

static bool is_token(struct http_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!token_chars[(unsigned char)text.at[i]])
            return false;
    }
    return text.len > 0;
}

static struct http_text trim(struct http_text text)
{
    while (text.len && is_blank(*text.at))
        text.at++, text.len--;
    while (text.len && is_blank(text.at[text.len - 1]))
        text.len--;
    return text;
}

bool http_text_is(struct http_text text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

/* Cuts at the first `separator`; false when there is none. */
static bool cut(struct http_text text, char separator, struct http_text *ret_before,
                struct http_text *ret_after)
{
    const char *at = text.len ? memchr(text.at, separator, text.len) : NULL;

    if (!at)
        return false;
    size_t before = (size_t)(at - text.at);
    *ret_before = (struct http_text){text.at, before};
    *ret_after = (struct http_text){at + 1, text.len - before - 1};
    return true;
}

static int complain(char why[HTTP_WHY], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int complain(char why[HTTP_WHY], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, HTTP_WHY, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- lines ---- */

size_t http_head_length(const char *text, size_t len, size_t from)
{
    from -= MIN(from, (size_t)2); /* an empty line may have been cut in two */
    for (const char *at = text + from, *end = text + len; at < end; at++) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at)
            return 0;
        if (end - at > 1 && at[1] == '\n')
            return (size_t)(at - text) + 2;
        if (end - at > 2 && at[1] == '\r' && at[2] == '\n')
            return (size_t)(at - text) + 3;
    }
    return 0;
}

/* The next line without its end. The text ends with a line. */
static struct http_text take_line(struct http_text *rest)
{
    struct http_text line;

    if (!cut(*rest, '\n', &line, rest)) {
        line = *rest;
        rest->len = 0;
    }
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* ---- headers ---- */

bool http_next_member(struct http_text *list, struct http_text *ret_member)
{
    while (list->len) {
        if (!cut(*list, ',', ret_member, list)) {
            *ret_member = *list;
            list->len = 0;
        }
        *ret_member = trim(*ret_member);
        if (ret_member->len)
            return true;
    }
    return false;
}

/* Whether there was one. */
static bool each_member(struct http_head *head, struct http_text list,
                        void (*add)(struct http_head *head, struct http_text member))
{
    struct http_text member;
    bool any = false;

    for (; http_next_member(&list, &member); any = true)
        add(head, member);
    return any;
}

static void add_connection(struct http_head *head, struct http_text token)
{
    head->close |= http_text_is(token, "close");
    head->keep_alive |= http_text_is(token, "keep-alive");
}

static bool parse_length(struct http_text text, uint64_t *ret_length)
{
    uint64_t length = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || length > INT64_MAX / 10 - 9)
            return false;
        length = length * 10 + (uint64_t)(text.at[i] - '0');
    }
    *ret_length = length;
    return text.len > 0;
}

static void add_length(struct http_head *head, struct http_text text)
{
    uint64_t length;

    if (!parse_length(text, &length)) {
        head->length_kind = HTTP_LENGTH_BAD;
    } else if (head->length_kind == HTTP_LENGTH_NONE) {
        head->length_kind = HTTP_LENGTH_KNOWN;
        head->length = length;
    } else if (head->length_kind == HTTP_LENGTH_KNOWN && head->length != length) {
        head->length_kind = HTTP_LENGTH_DIFFERS;
        head->other_length = length;
    }
}

static void add_lengths(struct http_head *head, struct http_text list)
{
    if (!each_member(head, list, add_length))
        head->length_kind = HTTP_LENGTH_BAD;
}

/* Chunked ends a body only as the last coding, and only once (RFC 9112 6.1). */
static void add_coding(struct http_head *head, struct http_text coding)
{
    struct http_text name = coding, parameters;
    bool chunked;

    (void)cut(coding, ';', &name, &parameters);
    name = trim(name);
    chunked = http_text_is(name, "chunked");
    if (!is_token(name) || head->coding == HTTP_CODING_BAD)
        head->coding = HTTP_CODING_BAD;
    else if (head->coding == HTTP_CODING_CHUNKED || head->coding == HTTP_CODING_LAST)
        head->coding = chunked ? HTTP_CODING_BAD : HTTP_CODING_OTHER;
    else if (head->coding == HTTP_CODING_NONE && chunked)
        head->coding = HTTP_CODING_CHUNKED;
    else
        head->coding = chunked ? HTTP_CODING_LAST : HTTP_CODING_OTHER;
}

static void add_codings(struct http_head *head, struct http_text list)
{
    if (!each_member(head, list, add_coding) && head->coding == HTTP_CODING_NONE)
        head->coding = HTTP_CODING_BAD;
}

static void add_expectation(struct http_head *head, struct http_text member)
{
    if (http_text_is(member, "100-continue"))
        head->expects_continue = true;
    else
        head->expects_others = true;
}

static void each_connection(struct http_head *head, struct http_text list)
{
    (void)each_member(head, list, add_connection);
}

static void each_expectation(struct http_head *head, struct http_text list)
{
    (void)each_member(head, list, add_expectation);
}

#define NAME(text) text, sizeof(text) - 1
static const struct {
    const char *name;
    size_t len;
    void (*add)(struct http_head *head, struct http_text value);
} fields[] = {
    {NAME("Content-Length"), add_lengths},
    {NAME("Transfer-Encoding"), add_codings},
    {NAME("Connection"), each_connection},
    {NAME("Expect"), each_expectation},
};

static void add_field(struct http_head *head, struct http_text name, struct http_text value)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (name.len == fields[i].len && strncasecmp(name.at, fields[i].name, name.len) == 0) {
            fields[i].add(head, value);
            return;
        }
    }
}

void http_head_add(struct http_head *head, const char *header)
{
    struct http_text name, value;

    if (cut((struct http_text){header, strlen(header)}, ':', &name, &value))
        add_field(head, name, trim(value));
}

bool http_is_named(const char *header)
{
    const char *colon = strchr(header, ':');

    return colon && is_token((struct http_text){header, (size_t)(colon - header)});
}

bool http_is_header(const char *header, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(header, name, len) == 0 && header[len] == ':';
}

/* A CR alone and a NUL are what smuggling is made of (RFC 9112 2.2, RFC 9110 5.5). The last byte is
   an LF. */
static bool is_clean(const char *text, size_t len)
{
    const char *end = text + len;

    if (memchr(text, 0, len))
        return false;
    while ((text = memchr(text, '\r', (size_t)(end - text)))) {
        if (++text == end || *text != '\n')
            return false;
    }
    return true;
}

/* Short enough, and printable enough, to be told. */
static struct http_text shown(struct http_text text)
{
    size_t len = 0;

    while (len < MIN(text.len, (size_t)40) && text.at[len] >= ' ' && text.at[len] <= '~')
        len++;
    return (struct http_text){text.at, len};
}
#define SHOWN(text) (int)shown(text).len, (text).at

/* A header's lines: the first, and those that begin with a blank and go on with it. */
static struct http_text take_field(struct http_text *rest)
{
    struct http_text field = take_line(rest);

    while (rest->len && (*rest->at == ' ' || *rest->at == '\t')) {
        struct http_text more = take_line(rest);
        field.len = (size_t)(more.at + more.len - field.at);
    }
    return field;
}

static int parse_field(struct http_head *head, struct http_text field, char why[HTTP_WHY])
{
    struct http_text name, value;

    if (!cut(field, ':', &name, &value))
        return complain(why, "a header without a colon: \"%.*s\"", SHOWN(field));
    if (name.len && is_blank(name.at[name.len - 1]))
        return complain(why, "a blank before a header's colon: \"%.*s\"", SHOWN(field));
    if (!is_token(name))
        return complain(why, "a header's name is none: \"%.*s\"", SHOWN(field));
    add_field(head, name, trim(value));
    return 0;
}

/* `text` is all of the head, `rest` what follows its first line. */
static int parse_fields(struct http_head *head, struct http_text text, struct http_text rest,
                        char why[HTTP_WHY])
{
    if (!is_clean(text.at, text.len))
        return complain(why, "a CR or a NUL inside a line of the head");
    if (rest.len && (*rest.at == ' ' || *rest.at == '\t'))
        return complain(why, "a blank before the first header");
    while (rest.len) {
        struct http_text field = take_field(&rest);
        if (!field.len)
            return 0;
        if (parse_field(head, field, why) < 0)
            return -EINVAL;
    }
    return 0;
}

/* ---- first lines ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1": 1, or 0 for another major version, or -EINVAL. */
static int parse_version(struct http_text text, uint8_t *ret_minor)
{
    if (text.len != 8 || memcmp(text.at, "HTTP/", 5) != 0 || !is_digit(text.at[5]) ||
        text.at[6] != '.' || !is_digit(text.at[7]))
        return -EINVAL;
    *ret_minor = (uint8_t)(text.at[7] - '0');
    return text.at[5] == '1';
}

bool http_answer_begins(const char *text, size_t len)
{
    static const char word[] = "HTTP/";
    return memcmp(text, word, MIN(len, sizeof(word) - 1)) == 0;
}

int http_answer_parse(const char *text, size_t len, struct http_head *ret_head, char why[HTTP_WHY])
{
    struct http_text rest = {text, len}, line = take_line(&rest), version, status;

    *ret_head = (struct http_head){0};
    if (!cut(line, ' ', &version, &status))
        return complain(why, "no status line: \"%.*s\"", SHOWN(line));
    int major = parse_version(version, &ret_head->minor);
    if (major == 0)
        return complain(why, "%.*s, which is not HTTP/1", SHOWN(version));
    if (major < 0 || status.len < 3 || !is_digit(status.at[0]) || status.at[0] == '0' ||
        !is_digit(status.at[1]) || !is_digit(status.at[2]) ||
        (status.len > 3 && status.at[3] != ' '))
        return complain(why, "no status line: \"%.*s\"", SHOWN(line));
    ret_head->status =
        (uint16_t)((status.at[0] - '0') * 100 + (status.at[1] - '0') * 10 + (status.at[2] - '0'));
    return parse_fields(ret_head, (struct http_text){text, len}, rest, why);
}

static int parse_request_line(struct http_text line, struct http_head *head, char why[HTTP_WHY])
{
    struct http_text method, target, version;

    if (!cut(line, ' ', &method, &target) || !cut(target, ' ', &target, &version) ||
        !is_token(method) || !target.len)
        return complain(why, "no request line: \"%.*s\"", SHOWN(line));
    int major = parse_version(version, &head->minor);
    if (major < 0)
        return complain(why, "no request line: \"%.*s\"", SHOWN(line));
    if (major == 0) {
        (void)complain(why, "%.*s, which is not HTTP/1", SHOWN(version));
        return -EPROTONOSUPPORT;
    }
    head->method = method;
    head->target = target;
    return 0;
}

/* A request's first line without the empty ones before it. */
static struct http_text take_first_line(struct http_text *rest)
{
    struct http_text line;

    do {
        line = take_line(rest);
    } while (!line.len && rest->len);
    return line;
}

int http_request_begins(const char *text, size_t len, char why[HTTP_WHY])
{
    struct http_text rest = {text, len}, line = take_first_line(&rest), method = line, target;
    struct http_head head;

    if (rest.len || (len && text[len - 1] == '\n'))
        return line.len ? parse_request_line(line, &head, why) : 0;
    (void)cut(line, ' ', &method, &target);
    if (method.len && !is_token(method))
        return complain(why, "no request line: \"%.*s\"", SHOWN(line));
    return 0;
}

int http_request_parse(const char *text, size_t len, struct http_head *ret_head, char why[HTTP_WHY])
{
    struct http_text whole = {text, len}, rest = whole;

    *ret_head = (struct http_head){0};
    int status = parse_request_line(take_first_line(&rest), ret_head, why);
    return status < 0 ? status : parse_fields(ret_head, whole, rest, why);
}

/* ---- the fields of a head that is known to be right ---- */

struct http_text http_head_fields(const char *text, size_t len)
{
    struct http_text rest = {text, len};

    (void)take_first_line(&rest);
    return rest;
}

bool http_next_field(struct http_text *rest, struct http_text *ret_name,
                     struct http_text *ret_value)
{
    struct http_text field = rest->len ? take_field(rest) : (struct http_text){0};

    if (!field.len || !cut(field, ':', ret_name, ret_value))
        return false;
    *ret_value = trim(*ret_value);
    return true;
}

/* ---- where a message ends ---- */

#define BIT(n)     (1u << (n))
#define ANY        0xffu
#define CHUNKED    (BIT(HTTP_CODING_CHUNKED) | BIT(HTTP_CODING_LAST))
#define NOT_CODED  BIT(HTTP_CODING_NONE)
#define NO_LENGTH  BIT(HTTP_LENGTH_NONE)
#define HAS_LENGTH (ANY & ~NO_LENGTH)

struct rule {
    uint16_t from, to;        /* status; requests: 0 */
    uint8_t asked;            /* BIT(enum http_asked) */
    uint8_t codings, lengths; /* BIT(enum http_coding), BIT(enum http_length) */
    enum http_body_kind body;
    uint16_t status; /* requests: what a bad one is refused with */
    const char *why; /* BAD */
};

static const char both[] = "both Transfer-Encoding and Content-Length",
                  twice_coded[] = "Transfer-Encoding with chunked twice, or no word",
                  no_number[] = "a Content-Length that is no number",
                  differs[] = "unequal Content-Lengths";

static const struct rule answer_rules[] = {
    {101, 101, ANY, ANY, ANY, HTTP_BODY_TUNNEL, 0, NULL},
    {100, 199, ANY, ANY, ANY, HTTP_BODY_NONE, 0, NULL},
    {204, 205, ANY, ANY, ANY, HTTP_BODY_NONE, 0, NULL},
    {304, 304, ANY, ANY, ANY, HTTP_BODY_NONE, 0, NULL},
    {0, 999, BIT(HTTP_ASKED_HEAD), ANY, ANY, HTTP_BODY_NONE, 0, NULL},
    {200, 299, BIT(HTTP_ASKED_CONNECT), ANY, ANY, HTTP_BODY_TUNNEL, 0, NULL},
    {0, 999, ANY, BIT(HTTP_CODING_BAD), ANY, HTTP_BODY_BAD, 0, twice_coded},
    {0, 999, ANY, ANY & ~NOT_CODED, HAS_LENGTH, HTTP_BODY_BAD, 0, both},
    {0, 999, ANY, CHUNKED, ANY, HTTP_BODY_CHUNKED, 0, NULL},
    {0, 999, ANY, BIT(HTTP_CODING_OTHER), ANY, HTTP_BODY_TO_END, 0, NULL},
    {0, 999, ANY, ANY, BIT(HTTP_LENGTH_BAD), HTTP_BODY_BAD, 0, no_number},
    {0, 999, ANY, ANY, BIT(HTTP_LENGTH_DIFFERS), HTTP_BODY_BAD, 0, differs},
    {0, 999, ANY, ANY, BIT(HTTP_LENGTH_KNOWN), HTTP_BODY_LENGTH, 0, NULL},
    {0, 999, ANY, ANY, ANY, HTTP_BODY_TO_END, 0, NULL},
};

static const struct rule request_rules[] = {
    {0, 0, ANY, BIT(HTTP_CODING_BAD), ANY, HTTP_BODY_BAD, 400, twice_coded},
    {0, 0, ANY, ANY & ~NOT_CODED, HAS_LENGTH, HTTP_BODY_BAD, 400, both},
    {0, 0, ANY, BIT(HTTP_CODING_LAST), ANY, HTTP_BODY_BAD, 501, "a Transfer-Encoding unknown here"},
    {0, 0, ANY, BIT(HTTP_CODING_OTHER), ANY, HTTP_BODY_BAD, 400,
     "a Transfer-Encoding that does not end with chunked"},
    {0, 0, ANY, CHUNKED, ANY, HTTP_BODY_CHUNKED, 0, NULL},
    {0, 0, ANY, ANY, BIT(HTTP_LENGTH_BAD), HTTP_BODY_BAD, 400, no_number},
    {0, 0, ANY, ANY, BIT(HTTP_LENGTH_DIFFERS), HTTP_BODY_BAD, 400, differs},
    {0, 0, ANY, ANY, BIT(HTTP_LENGTH_KNOWN), HTTP_BODY_LENGTH, 0, NULL},
    {0, 0, ANY, ANY, ANY, HTTP_BODY_NONE, 0, NULL},
};

/* The last rule fits everything. */
static const struct rule *find_rule(const struct rule *rules, const struct http_head *head,
                                    enum http_asked asked)
{
    while (head->status < rules->from || head->status > rules->to || !(rules->asked & BIT(asked)) ||
           !(rules->codings & BIT(head->coding)) || !(rules->lengths & BIT(head->length_kind)))
        rules++;
    return rules;
}

static enum http_body_kind decide(const struct rule *rule, const struct http_head *head,
                                  char why[HTTP_WHY])
{
    if (rule->body == HTTP_BODY_BAD && head->length_kind == HTTP_LENGTH_DIFFERS &&
        rule->why == differs)
        (void)complain(why, "%s, %" PRIu64 " and %" PRIu64, differs, head->length,
                       head->other_length);
    else if (rule->body == HTTP_BODY_BAD)
        (void)complain(why, "%s", rule->why);
    return rule->body;
}

enum http_body_kind http_answer_body(const struct http_head *head, enum http_asked asked,
                                     char why[HTTP_WHY])
{
    return decide(find_rule(answer_rules, head, asked), head, why);
}

enum http_body_kind http_request_body(const struct http_head *head, unsigned *ret_status,
                                      char why[HTTP_WHY])
{
    const struct rule *rule = find_rule(request_rules, head, HTTP_ASKED);

    if (rule->body == HTTP_BODY_BAD)
        *ret_status = rule->status;
    return decide(rule, head, why);
}

bool http_keeps(const struct http_head *head, enum http_body_kind body)
{
    if (body == HTTP_BODY_TO_END || body == HTTP_BODY_TUNNEL || body == HTTP_BODY_BAD ||
        head->close)
        return false;
    if (head->minor == 0) /* chunks in HTTP/1.0 are not trusted further (RFC 9112 6.1) */
        return head->keep_alive && head->coding == HTTP_CODING_NONE;
    return true;
}

/* ---- methods: their letters have a case ---- */

enum http_asked http_asked_by(const char *method)
{
    if (strcmp(method, "HEAD") == 0)
        return HTTP_ASKED_HEAD;
    return strcmp(method, "CONNECT") == 0 ? HTTP_ASKED_CONNECT : HTTP_ASKED;
}

bool http_is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}
