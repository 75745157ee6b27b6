/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /metrics, and nothing else: one request a connection, an answer that is made whole and then
 * sent as its reader takes it (callers.h).
 *
 * A page reads all histograms and the kernel's counters, a millisecond of this process's time. So it
 * is made ten times a second at the most, and whoever asks in between is told the same.
 */
#include "metrics.h"

#include "soak.h"

#include "http/head.h"
#include "relay/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { OUT_BYTES = 512 * 1024 };
#define FRESH_NS (100 * CLI_NS_PER_MS)

static const char *const form_types[] = {
    [METRICS_OPEN] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
    [METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
};

/* ---- what is wanted (RFC 9110 12.5.1) ---- */

/* How much a member of Accept wants what it names, 0 to 1000. */
static int quality_of(struct http_text member)
{
    const char *end = member.at + member.len;

    for (const char *at = member.at; (at = memchr(at, ';', (size_t)(end - at))); at++) {
        const char *name = at + 1;
        while (name < end && (*name == ' ' || *name == '\t'))
            name++;
        if (end - name < 3 || (*name != 'q' && *name != 'Q') || name[1] != '=')
            continue;
        int quality = name[2] == '1' ? 1000 : 0, digit = 100;
        name += end - name > 3 && name[3] == '.' ? 4 : 3;
        for (; quality < 1000 && digit && name < end && *name >= '0' && *name <= '9'; digit /= 10)
            quality += (*name++ - '0') * digit;
        return quality;
    }
    return 1000;
}

static bool names(struct http_text member, const char *type)
{
    struct http_text name = {member.at, 0};

    while (name.len < member.len && !strchr("; \t", member.at[name.len]))
        name.len++;
    return http_text_is(name, type);
}

/* What names it most precisely says how much it is wanted. */
struct wish {
    const char *ranges[3]; /* from the most precise on */
    int quality, precision;
};

static void hear_wish(struct wish *wish, struct http_text member)
{
    for (int i = 0; i < 3; i++) {
        if (names(member, wish->ranges[i]) && 3 - i > wish->precision) {
            wish->precision = 3 - i;
            wish->quality = quality_of(member);
        }
    }
}

static enum metrics_form choose_form(struct http_text fields)
{
    struct wish open = {.ranges = {"application/openmetrics-text", "application/*", "*/*"}};
    struct wish plain = {.ranges = {"text/plain", "text/*", "*/*"}};
    struct http_text name, value, member;
    bool asked = false, looks = false;

    while (http_next_field(&fields, &name, &value)) {
        if (!http_text_is(name, "accept"))
            continue;
        asked = true;
        while (http_next_member(&value, &member)) {
            hear_wish(&open, member);
            hear_wish(&plain, member);
            looks |= names(member, "text/html"); /* a person, whose browser would save the other */
        }
    }
    if (!asked)
        return METRICS_OPEN;
    return looks || open.quality < plain.quality || !open.quality ? METRICS_PROMETHEUS
                                                                  : METRICS_OPEN;
}

/* ---- answers ---- */

static void answer(struct caller *caller, const char *status, const char *type, const char *body,
                   size_t len)
{
    char head[512];

    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                            "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                            status, type, len);
    caller_say(caller, head, (size_t)head_len);
    if (body)
        caller_say(caller, body, len);
    caller_end(caller);
}

static void answer_words(struct caller *caller, const char *status, const char *words)
{
    answer(caller, status, "text/plain; charset=utf-8", words, strlen(words));
}

/* NULL without memory. */
static const struct metrics_page *page_of(struct metrics *metrics, enum metrics_form form)
{
    struct metrics_page *page = &metrics->pages[form];
    uint64_t now_ns = peer_net_now_ns(metrics->run->net);

    if (page->text && now_ns - page->made_ns < FRESH_NS)
        return page;
    free(page->text);
    *page = (struct metrics_page){.made_ns = now_ns};
    FILE *out = open_memstream(&page->text, &page->len);
    if (!out)
        return NULL;
    metrics_write(out, metrics->run, form);
    if (fclose(out) == 0 && page->text)
        return page;
    free(page->text);
    page->text = NULL;
    return NULL;
}

static bool text_is(struct http_text text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

/* Also in the form that proxies are asked in, "http://HOST/PATH" (RFC 9112 3.2.2). */
static bool is_path(struct http_text target, const char *path)
{
    static const char scheme[] = "http://";
    const size_t len = strlen(scheme);

    if (target.len > len && strncasecmp(target.at, scheme, len) == 0) {
        const char *slash = memchr(target.at + len, '/', target.len - len);
        if (!slash)
            return false;
        target.len -= (size_t)(slash - target.at);
        target.at = slash;
    }
    const char *query = memchr(target.at, '?', target.len);
    if (query)
        target.len = (size_t)(query - target.at);
    return text_is(target, path);
}

static void answer_request(struct metrics *metrics, struct caller *caller,
                           const struct http_head *head, struct http_text fields)
{
    enum metrics_form form = choose_form(fields);
    bool only_head = text_is(head->method, "HEAD");

    if (!only_head && !text_is(head->method, "GET")) {
        answer_words(caller, "405 Method Not Allowed\r\nAllow: GET, HEAD", "GET it\n");
        return;
    }
    if (is_path(head->target, "/") && !only_head) {
        answer_words(caller, "200 OK", "peer soak: its figures are at /metrics\n");
        return;
    }
    if (!is_path(head->target, "/metrics")) {
        answer_words(caller, "404 Not Found", "it is /metrics\n");
        return;
    }
    const struct metrics_page *page = page_of(metrics, form);
    if (page)
        answer(caller, "200 OK", form_types[form], only_head ? NULL : page->text, page->len);
    else
        answer_words(caller, "503 Service Unavailable", "out of memory\n");
}

static size_t hear(void *user, struct caller *caller, const char *text, size_t len)
{
    struct http_head head;
    char why[HTTP_WHY] = "", words[HTTP_WHY + 2];
    size_t head_len = http_head_length(text, len, 0);

    if (!head_len && http_request_begins(text, len, why) == 0) {
        if (len < CALLER_IN_BYTES)
            return 0;
        answer_words(caller, "431 Request Header Fields Too Large", "that head is too long\n");
        return len;
    }
    if (!head_len || http_request_parse(text, head_len, &head, why) < 0) {
        (void)snprintf(words, sizeof(words), "%s\n", why);
        answer_words(caller, "400 Bad Request", words);
        return len;
    }
    answer_request(user, caller, &head, http_head_fields(text, head_len));
    return len; /* a body, if there is one, is nothing to it */
}

/* ---- where ---- */

static int wrong(const char *at)
{
    return usage_error(&command_soak,
                       "--metrics: \"%.80s\" is none of PORT, ADDR:PORT and [ADDR]:PORT", at);
}

static int read_place(const char *at, struct place *ret_place)
{
    char addr[PEER_ADDR_TEXT] = "127.0.0.1", *end;
    const char *colon = strrchr(at, ':'), *port = colon ? colon + 1 : at;
    unsigned long number = strtoul(port, &end, 10);

    if (*port < '0' || *port > '9' || *end || number > 65535)
        return wrong(at);
    if (colon) {
        bool brackets = *at == '[' && colon > at + 1 && colon[-1] == ']';
        size_t len = (size_t)(colon - at) - (brackets ? 2 : 0);
        if (len >= sizeof(addr))
            return wrong(at);
        memcpy(addr, at + brackets, len);
        addr[len] = 0;
        if (strcmp(addr, "localhost") == 0)
            strcpy(addr, "127.0.0.1");
    }
    *ret_place = (struct place){.port = (uint16_t)number};
    return peer_addr_parse(addr, &ret_place->addr) < 0 ? wrong(at) : 0;
}

int metrics_open(struct metrics *metrics, const char *at)
{
    char text[PLACE_TEXT];
    struct place place;

    *metrics = (struct metrics){.fd = -1};
    if (!at)
        return 0;
    int status = read_place(at, &place);
    if (status != 0)
        return status;
    bool chosen = place.port == 0;
    metrics->fd = place_listen(&place, false);
    if (metrics->fd < 0) {
        say("--metrics %s: %s", place_format(&place, text),
            metrics->fd == -EADDRINUSE ? "the port is in use" : strerror(-metrics->fd));
        return STATUS_MACHINE;
    }
    if (chosen)
        say("metrics are at http://%s/metrics", place_format(&place, text));
    return 0;
}

int metrics_begin(struct metrics *metrics, struct callers *callers, struct soak_run *run)
{
    if (metrics->fd < 0)
        return 0;
    metrics->run = run;
    metrics->reception =
        (struct reception){.hear = hear, .out_bytes = OUT_BYTES, .user = metrics};
    return callers_listen(callers, metrics->fd, &metrics->reception);
}

void metrics_close(struct metrics *metrics)
{
    if (metrics->fd >= 0)
        close(metrics->fd);
    metrics->fd = -1;
    for (size_t i = 0; i < CLI_ARRAY_SIZE(metrics->pages); i++)
        free(metrics->pages[i].text);
}
