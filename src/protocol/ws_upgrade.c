/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handshake of WebSocket. The request is that of an HTTP run with four headers more; the key is 16
 * bytes by the seed, and the answer says their digest with a text that nothing but a WebSocket server
 * would add.
 */
#include "protocol/ws_upgrade.h"

#include "base/error.h"
#include "base/macro.h"
#include "protocol/http_request.h"
#include "soak/pattern.h"
#include "tls/digest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(...) error_set(error, PEER_ERROR_USAGE, EINVAL, __VA_ARGS__)

static const char digest_text[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
static const char key_name[] = "Sec-WebSocket-Key: ";

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
}

/* ---- the request ---- */

static int check_headers(const struct http_ask *ask, struct peer_error *error)
{
    static const char *const ours[] = {"Upgrade", "Connection", "Sec-WebSocket-Key",
                                       "Sec-WebSocket-Version"};

    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        if (http_ask_has(ask, ours[i]))
            return REFUSE("the header %s is the upgrade's own", ours[i]);
    }
    if (http_ask_has(ask, "Sec-WebSocket-Extensions"))
        return REFUSE("no extension of WebSocket is spoken here");
    return 0;
}

/* All lists of names that are offered, as one. -ENOMEM. */
static int keep_offered(struct ws_upgrade *upgrade, const struct http_ask *ask)
{
    size_t len = 0;
    FILE *out = open_memstream(&upgrade->offered, &len);

    if (!out)
        return -ENOMEM;
    for (const char *const *header = ask->headers; *header; header++) {
        if (http_is_header(*header, "Sec-WebSocket-Protocol"))
            fprintf(out, "%s,", strchr(*header, ':') + 1);
    }
    return fclose(out) == 0 ? 0 : -ENOMEM;
}

static int print_request(struct ws_upgrade *upgrade, const struct http_ask *given)
{
    char key[sizeof(key_name) + WS_KEY_BYTES];
    const char *const ours[] = {"Upgrade: websocket", "Connection: Upgrade", key,
                                "Sec-WebSocket-Version: 13"};
    struct http_request request = {.text = NULL};
    struct http_ask ask = *given;
    size_t count = 0;

    while (given->headers[count])
        count++;
    snprintf(key, sizeof(key), "%s%0*d", key_name, WS_KEY_BYTES, 0);
    ask.headers = calloc(count + ARRAY_SIZE(ours) + 1, sizeof(*ask.headers));
    if (!ask.headers)
        return -ENOMEM;
    memcpy(ask.headers, given->headers, count * sizeof(*ask.headers));
    memcpy(ask.headers + count, ours, sizeof(ours));
    int status = http_request_make(&request, &ask, 0);
    free(ask.headers);
    if (status < 0)
        return status;
    upgrade->text = request.text;
    upgrade->len = request.len;
    /* Before it may stand what was given, with as many zeros. */
    const char *at = strstr(request.text, key);
    for (const char *next = at; next; next = strstr(next + 1, key))
        at = next;
    upgrade->key_at = (size_t)(at - request.text) + sizeof(key_name) - 1;
    return 0;
}

int ws_upgrade_make(struct ws_upgrade *upgrade, struct peer_soak_config *config,
                    struct peer_error *error)
{
    struct http_asks asks = {.at = NULL};

    if (config->method || config->body)
        return REFUSE("an upgrade is a GET without a body");
    int status = http_asks_make(&asks, config, error);
    if (status == 0)
        status = check_headers(&asks.at[0], error);
    if (status == 0 && (keep_offered(upgrade, &asks.at[0]) < 0 ||
                        print_request(upgrade, &asks.at[0]) < 0))
        status = out_of_memory(error);
    http_asks_done(&asks);
    return status;
}

void ws_upgrade_done(struct ws_upgrade *upgrade)
{
    free(upgrade->text);
    free(upgrade->offered);
}

void ws_upgrade_key(uint64_t seed, char ret_key[WS_KEY_BYTES])
{
    char text[DIGEST_BASE64_ROOM(16)];
    uint8_t bytes[16];

    pattern_fill(~seed, 0, bytes, sizeof(bytes));
    digest_base64(bytes, sizeof(bytes), text);
    memcpy(ret_key, text, WS_KEY_BYTES);
}

void ws_upgrade_print(const struct ws_upgrade *upgrade, uint64_t seed, char *out)
{
    memcpy(out, upgrade->text, upgrade->len);
    ws_upgrade_key(seed, out + upgrade->key_at);
}

/* ---- the answer ---- */

static bool accept_is_right(uint64_t seed, struct http_text value)
{
    char text[WS_KEY_BYTES + sizeof(digest_text)], right[DIGEST_BASE64_ROOM(DIGEST_SHA1_BYTES)];
    uint8_t digest[DIGEST_SHA1_BYTES];

    ws_upgrade_key(seed, text);
    memcpy(text + WS_KEY_BYTES, digest_text, sizeof(digest_text));
    if (digest_sha1(text, sizeof(text) - 1, digest) < 0)
        return false;
    digest_base64(digest, sizeof(digest), right);
    return value.len == strlen(right) && memcmp(value.at, right, value.len) == 0;
}

static bool has_member(struct http_text list, const char *word)
{
    struct http_text member;

    while (http_next_member(&list, &member)) {
        if (http_text_is(member, word))
            return true;
    }
    return false;
}

/* A name has letters of both kinds here. */
static bool was_offered(const struct ws_upgrade *upgrade, struct http_text name)
{
    struct http_text list = {upgrade->offered, strlen(upgrade->offered)}, member;

    while (http_next_member(&list, &member)) {
        if (member.len == name.len && memcmp(member.at, name.at, name.len) == 0)
            return true;
    }
    return false;
}

/* What is wrong with an answer of 101; NULL: nothing. */
static const char *judge_fields(const struct ws_upgrade *upgrade, uint64_t seed,
                                struct http_text rest)
{
    struct http_text name, value;
    bool upgrades = false, connects = false, accepts = false;

    while (http_next_field(&rest, &name, &value)) {
        if (http_text_is(name, "upgrade"))
            upgrades |= http_text_is(value, "websocket");
        else if (http_text_is(name, "connection"))
            connects |= has_member(value, "upgrade");
        else if (http_text_is(name, "sec-websocket-accept") && !accept_is_right(seed, value))
            return "its Sec-WebSocket-Accept is not that of the key";
        else if (http_text_is(name, "sec-websocket-accept"))
            accepts = true;
        else if (http_text_is(name, "sec-websocket-extensions") && value.len)
            return "it agrees on an extension, and none was offered";
        else if (http_text_is(name, "sec-websocket-protocol") && !was_offered(upgrade, value))
            return "it agrees on a Sec-WebSocket-Protocol that was not offered";
    }
    if (!upgrades)
        return "it has no \"Upgrade: websocket\"";
    if (!connects)
        return "it has no \"Connection: Upgrade\"";
    return accepts ? NULL : "it has no Sec-WebSocket-Accept";
}

static struct http_text field(struct http_text rest, const char *wanted)
{
    struct http_text name, value;

    while (http_next_field(&rest, &name, &value)) {
        if (http_text_is(name, wanted))
            return value;
    }
    return (struct http_text){"", 0};
}

/* "301 Moved Permanently, to "/there"", made printable. */
static void print_refusal(const char *text, size_t len, struct http_text fields, char why[HTTP_WHY])
{
    const char *end = memchr(text, '\n', len), *at = memchr(text, ' ', len);
    struct http_text location = field(fields, "location");

    if (!end || !at || at > end)
        at = end = text;
    else
        at++;
    while (end > at && isspace((unsigned char)end[-1]))
        end--;
    int used = snprintf(why, HTTP_WHY, "%.*s", (int)MIN((size_t)(end - at), (size_t)48), at);
    if (location.len)
        snprintf(why + used, (size_t)(HTTP_WHY - used), ", to \"%.*s\"",
                 (int)MIN(location.len, (size_t)60), location.at);
    for (char *byte = why; *byte; byte++) {
        if (!isprint((unsigned char)*byte))
            *byte = '.';
    }
}

enum ws_answer ws_upgrade_judge(const struct ws_upgrade *upgrade, uint64_t seed, const char *text,
                                size_t len, char why[HTTP_WHY])
{
    struct http_head head;

    if (http_answer_parse(text, len, &head, why) < 0)
        return WS_WRONG;
    struct http_text fields = http_head_fields(text, len);
    if (head.status != 101 && head.status / 100 == 1)
        return WS_WAITS;
    if (head.status != 101) {
        print_refusal(text, len, fields, why);
        return WS_REFUSES;
    }
    const char *wrong = judge_fields(upgrade, seed, fields);
    if (!wrong)
        return WS_AGREES;
    snprintf(why, HTTP_WHY, "%s", wrong);
    return WS_WRONG;
}
