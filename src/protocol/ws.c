/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WebSocket (RFC 6455): messages that must come back unchanged, or connections that are held.
 *
 * A message is one frame, or as many as are asked for, of the same length or one byte less. Heads, masks and
 * payloads are functions of the run's seed, the client and the message's number, so any part of it can be
 * made again, and each byte that comes back is compared where it lies; nothing of a message is kept,
 * whatever its length. What comes may be in any number of fragments, with control frames between them.
 *
 * Only control frames are kept, of 125 bytes at the most, while they are read and until they are
 * answered: a frame of ours cannot be put into another, so that waits until a message has gone. Of
 * pings that came meanwhile the last is answered (5.5.3). A connection that waits costs no more than
 * `struct ws_client`, and one that pings a timer besides.
 */
#include "protocol/table.h"
#include "protocol/ws_inside.h"
#include "protocol/ws_text.h"
#include "soak/pattern.h"

#include "base/error.h"
#include "base/macro.h"
#include "http/body.h"

#include <assert.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t size_of(const struct client *client)
{
    return client_config(client)->message_bytes;
}

/* ---- messages ---- */

static uint64_t frame_bytes(uint64_t size)
{
    return ws_head_bytes(size) + size;
}

/* One of a message. */
struct fragment {
    uint64_t size;         /* of the message */
    uint32_t count, index; /* of fragments; 0 is the first */
};

/* Where it begins, or the one that is so many behind it. */
static uint64_t fragment_at(struct fragment fragment, uint32_t behind)
{
    const uint64_t whole = fragment.size / fragment.count, rest = fragment.size % fragment.count;
    const uint32_t index = fragment.index + behind;

    return whole * index + rest * index / fragment.count;
}

static uint64_t fragment_bytes(struct fragment fragment)
{
    return fragment_at(fragment, 1) - fragment_at(fragment, 0);
}

/* Where the message begins in the client's pattern. */
static uint64_t base_of(const struct client *client)
{
    uint32_t number = client_asked(client);

    return (number ? number - 1 : 0) * size_of(client);
}

static void make_mask(const struct client *client, uint32_t fragment, uint8_t mask[4])
{
    const uint64_t number = client_asked(client) + ((uint64_t)fragment << 34);

    pattern_fill(~client_key(client), 16 + 4 * number, mask, 4);
}

/* Part of a fragment. */
static void make_frame(const struct client *client, struct fragment fragment, uint64_t at,
                       uint8_t *out, size_t len)
{
    uint8_t mask[4], head[WS_HEAD_MOST];
    const bool text = run_of(client)->text;
    const enum ws_opcode opcode = fragment.index ? WS_CONTINUATION : text ? WS_TEXT : WS_BINARY;
    const uint64_t begins = fragment_at(fragment, 0);
    const bool final = fragment.index + 1 == fragment.count;

    make_mask(client, fragment.index, mask);
    const size_t head_len = ws_head_make(head, opcode, final, fragment_bytes(fragment), mask);
    if (at < head_len) {
        size_t part = MIN(len, head_len - (size_t)at);
        memcpy(out, head + at, part);
        out += part;
        len -= part;
        at += part;
    }
    at -= head_len;
    if (text)
        ws_text_fill(client_key(client), base_of(client), fragment.size, begins + at, out, len);
    else
        pattern_fill(client_key(client), base_of(client) + begins + at, out, len);
    ws_mask(out, len, mask, at);
}

/* Part of all fragments of a message. */
static void make(struct client *client, uint64_t at, void *out, size_t len)
{
    struct fragment fragment = {.size = size_of(client), .count = run_of(client)->fragments};
    uint8_t *to = out;

    for (; fragment.index < fragment.count && len; fragment.index++) {
        const uint64_t bytes = frame_bytes(fragment_bytes(fragment));
        if (at >= bytes) {
            at -= bytes;
            continue;
        }
        const size_t part = (size_t)MIN((uint64_t)len, bytes - at);
        make_frame(client, fragment, at, to, part);
        to += part;
        len -= part;
        at = 0;
    }
}

/* To a connection that is held only whole frames go. */
static bool is_held(const struct client *client)
{
    return client_config(client)->hold;
}

bool ws_is_between_frames(const struct client *client)
{
    const struct request *request = client_request(client);

    return !request || is_held(client) || request_sent(request) == run_of(client)->message_bytes;
}

/* ---- control frames ---- */

bool ws_send_control(struct client *client, enum ws_opcode opcode, const uint8_t *data, size_t len)
{
    uint8_t frame[WS_HEAD_MOST + WS_CONTROL_MOST], mask[4];

    make_mask(client, 0, mask);
    assert(len <= WS_CONTROL_MOST);
    len = MIN(len, (size_t)WS_CONTROL_MOST); /* which not every compiler sees by itself */
    const size_t head_len = ws_head_make(frame, opcode, true, len, mask);
    memcpy(frame + head_len, data, len);
    ws_mask(frame + head_len, len, mask, 0);
    if (flow_write_room(client_flow(client)) < head_len + len)
        return false;
    return client_write(client, frame, head_len + len, 0) == (ssize_t)(head_len + len);
}

static void send_close(struct client *client, unsigned code)
{
    const uint16_t said = htobe16((uint16_t)code);

    if (ws_of(client)->said_close || !ws_is_between_frames(client))
        return;
    ws_of(client)->said_close = true;
    (void)ws_send_control(client, WS_CLOSE, (const uint8_t *)&said, code ? sizeof(said) : 0);
}

static void forget_talk(struct ws_client *ws)
{
    if (!ws->talk || ws->talk->reads || ws->talk->pongs || ws->talk->closes)
        return;
    free(ws->talk);
    ws->talk = NULL;
}

/* Answers the last ping as soon as that can be. */
static void send_pong(struct client *client)
{
    struct ws_client *ws = ws_of(client);

    if (!ws->talk || !ws->talk->pongs || ws->said_close || !ws_is_between_frames(client))
        return;
    if (ws_send_control(client, WS_PONG, ws->talk->pong, ws->talk->pong_len))
        ws->talk->pongs = false;
    forget_talk(ws);
}

/* A part of one came. */
static enum taken take_control(struct client *client, const struct ws_piece *piece)
{
    struct ws_client *ws = ws_of(client);

    if (!ws->talk)
        ws->talk = calloc(1, sizeof(*ws->talk));
    if (!ws->talk) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return TAKEN_WRONG;
    }
    struct ws_talk *talk = ws->talk;
    if (piece->begins)
        talk->len = 0;
    memcpy(talk->data + talk->len, piece->data, piece->len); /* the reader bounds it */
    talk->len = (uint8_t)(talk->len + piece->len);
    talk->reads = !piece->ends;
    if (piece->ends && piece->opcode == WS_PING) {
        talk->pongs = true;
        talk->pong_len = talk->len;
        memcpy(talk->pong, talk->data, talk->len);
    }
    if (piece->ends && piece->opcode == WS_PONG)
        ws_ping_hear_pong(ws);
    talk->closes = piece->ends && piece->opcode == WS_CLOSE;
    return talk->closes ? TAKEN_LAST : TAKEN_MORE;
}

/* ---- the end ---- */

static void ws_closing(struct client *client)
{
    if (ws_of(client)->state == WS_OPEN)
        send_close(client, 1000);
}

/* In words, without what does not print. */
static void print_reason(const struct ws_talk *talk, unsigned code, char *out, size_t room)
{
    const char *words = ws_close_words(code);
    int len = snprintf(out, room, "%u", code);

    if (words)
        len += snprintf(out + len, room - (size_t)len, " (%s)", words);
    if (talk->len <= 2)
        return;
    char *reason = out + len;
    snprintf(reason, room - (size_t)len, " \"%.*s\"", talk->len - 2, (const char *)talk->data + 2);
    for (; *reason; reason++) {
        if ((unsigned char)*reason < ' ' || *reason == 0x7f)
            *reason = '.';
    }
}

/* The code of a close, 1005 for none; 0: it is wrong, in `why`. */
static unsigned read_close(const struct ws_talk *talk, const char **why)
{
    uint16_t code;

    if (!talk->len)
        return 1005;
    memcpy(&code, talk->data, sizeof(code));
    code = be16toh(code);
    if (talk->len == 1)
        *why = "a close has half a code";
    else if (!ws_close_code_is_sent(code))
        *why = "a close has a code that is never sent";
    else if (!ws_is_utf8(talk->data + 2, talk->len - 2u))
        *why = "a close has a reason that is no UTF-8";
    else
        return code;
    return 0;
}

/* The server closes, and we agree; its error is one where something was awaited. */
static void on_close(struct client *client)
{
    struct ws_client *ws = ws_of(client);
    const char *why = NULL;
    char text[192];

    ws->talk->closes = false;
    ws->heard_close = true;
    const unsigned code = read_close(ws->talk, &why);
    if (why) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "what came is no WebSocket: %s", why);
        return;
    }
    snprintf(text, sizeof(text), code == 1005 ? "none" : "%u", code);
    client_count_named(client, text);
    if (code == 1005)
        snprintf(text, sizeof(text), "without a code");
    else
        print_reason(ws->talk, code, text, sizeof(text));
    const bool ours = ws->said_close;
    send_close(client, code == 1005 ? 0 : code);
    const bool fine = code == 1000 || code == 1001 || code == 1005;
    if (!client_request(client) && !is_held(client) && (ours || fine)) {
        client_end_after(client, true);
        client_ready(client, 1); /* it looks whether it goes on */
        return;
    }
    flow_close(client_flow(client));
    client_fail(client, PEER_SOAK_CLOSED_EARLY, "the server closes: %s", text);
}

/* ---- the beginning ---- */

static void ws_opened(struct client *client)
{
    const struct ws_upgrade *upgrade = &run_of(client)->upgrade;
    char *text = (char *)client_scratch(client);

    ws_upgrade_print(upgrade, client_key(client), text);
    if (client_write(client, text, upgrade->len, 0) != (ssize_t)upgrade->len)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "the upgrade could not be sent");
}

static enum taken judge_head(struct client *client, const char *text, size_t len)
{
    char why[HTTP_WHY] = "";

    switch (ws_upgrade_judge(&run_of(client)->upgrade, client_key(client), text, len, why)) {
    case WS_AGREES:
        return TAKEN_ANSWER;
    case WS_WAITS:
        return TAKEN_MORE;
    case WS_REFUSES:
        client_fail(client, PEER_SOAK_STATUS, "no WebSocket: the upgrade is refused, %s", why);
        return TAKEN_WRONG;
    default:
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer to the upgrade is wrong: %s", why);
        return TAKEN_WRONG;
    }
}

/* Up to the end of the answer's head. */
static enum taken take_upgrade(struct client *client, const char *data, size_t len,
                               size_t *ret_used)
{
    struct ws_client *ws = ws_of(client);
    enum taken taken = TAKEN_MORE;
    const char *text;
    size_t text_len, at = 0;

    while (at < len && taken == TAKEN_MORE) {
        ssize_t part = http_collect(&ws->head, data + at, len - at, &text, &text_len);
        if (part < 0) {
            client_fail(client, PEER_SOAK_BAD_ANSWER, "a head of more than %d bytes",
                        HTTP_HEAD_MOST);
            return TAKEN_WRONG;
        }
        at += (size_t)part;
        if (!text && http_answer_begins(ws->head.text, ws->head.len))
            break;
        if (!text) { /* nor will it ever be one */
            text = ws->head.text;
            text_len = ws->head.len;
        }
        taken = judge_head(client, text, text_len);
        if (taken == TAKEN_WRONG)
            return taken;
        http_collect_done(&ws->head);
    }
    *ret_used = at;
    if (taken == TAKEN_ANSWER) {
        ws->reader = (struct ws_reader){.left = 0};
        ws->state = WS_UPGRADED;
    }
    return taken;
}

/* ---- what comes ---- */

/* A part of a message that was asked for. */
static enum taken take_message(struct client *client, struct request *request,
                               const struct ws_piece *piece)
{
    struct ws_client *ws = ws_of(client);
    const uint64_t size = size_of(client), base = base_of(client);
    const bool text = run_of(client)->text;

    request_first_byte(request);
    if (piece->opcode != (text ? WS_TEXT : WS_BINARY)) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "a message of %s came back for one of %s",
                    text ? "bytes" : "text", text ? "text" : "bytes");
        return TAKEN_WRONG;
    }
    if (piece->len + piece->left > size - ws->received) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "more came back than was sent");
        return TAKEN_WRONG;
    }
    int64_t wrong =
        text ? ws_text_check(client_key(client), base, size, ws->received, piece->data, piece->len)
             : pattern_check(client_key(client), base + ws->received, piece->data, piece->len);
    if (wrong >= 0) {
        client_fail(client, PEER_SOAK_BAD_ANSWER,
                    "byte %llu of the message that came back differs from what was sent",
                    (unsigned long long)(text ? (uint64_t)wrong : (uint64_t)wrong - base));
        return TAKEN_WRONG;
    }
    ws->received += piece->len;
    if (!piece->ends || !piece->final)
        return TAKEN_MORE;
    if (ws->received == size && ws_is_between_frames(client))
        return TAKEN_ANSWER;
    client_fail(client, PEER_SOAK_BAD_ANSWER, "%llu bytes came back for a message of %llu",
                (unsigned long long)ws->received, (unsigned long long)size);
    return TAKEN_WRONG;
}

/* Frames, up to the end of a message or a close. */
static enum taken take_frames(struct client *client, struct request *request, const char *data,
                              size_t len, size_t *ret_used)
{
    struct ws_client *ws = ws_of(client);
    const bool held = is_held(client);
    enum taken taken = TAKEN_MORE;
    struct ws_piece piece;
    const char *why;
    bool has;

    for (*ret_used = 0; *ret_used < len && taken == TAKEN_MORE;) {
        ssize_t part =
            ws_reader_take(&ws->reader, data + *ret_used, len - *ret_used, &piece, &has, &why);
        if (part < 0) {
            client_fail(client, PEER_SOAK_BAD_ANSWER, "what came is no WebSocket: %s", why);
            return TAKEN_WRONG;
        }
        *ret_used += (size_t)part;
        if (!has)
            return TAKEN_MORE;
        if (ws_is_control(piece.opcode)) {
            taken = take_control(client, &piece);
        } else if (request && !held) {
            taken = take_message(client, request, &piece);
        } else if (!held) {
            client_fail(client, PEER_SOAK_BAD_ANSWER, "a message came that nobody asked for");
            taken = TAKEN_WRONG;
        }
    }
    return taken;
}

static enum taken ws_take(struct client *client, struct request *request, const char *data,
                          size_t len, size_t *ret_used)
{
    if (ws_of(client)->state == WS_UPGRADING)
        return take_upgrade(client, data, len, ret_used);
    return take_frames(client, request, data, len, ret_used);
}

/* What of it is done for every connection: true when that was all. */
static bool acted(struct client *client)
{
    struct ws_client *ws = ws_of(client);

    if (ws->state == WS_UPGRADED) {
        ws->state = WS_OPEN;
        client_logged_in(client);
        if (ws_ping_begin(client))
            client_ready(client, 1);
        return true;
    }
    ws_ping_look(client);
    if (client_is_over(client))
        return true;
    if (ws->talk && ws->talk->closes) {
        on_close(client);
        return true;
    }
    send_pong(client);
    return false;
}

static void ws_taken(struct client *client, struct request *request, enum taken taken)
{
    if (acted(client) || taken != TAKEN_ANSWER)
        return;
    if (client_is_last(client)) { /* the server closes the connection first (7.1.1) */
        send_close(client, 1000);
        client_end_after(client, true);
    }
    request_done(request);
}

static void held_taken(struct client *client, struct request *request, enum taken taken)
{
    (void)request, (void)taken;
    (void)acted(client);
}

/* ---- what goes ---- */

static void ws_send(struct client *client, struct request *request)
{
    if (!request_send_made(request, run_of(client)->message_bytes, make))
        return;
    send_pong(client);
    ws_ping_send(client);
}

static void ws_ask(struct client *client, struct request *request)
{
    ws_of(client)->received = 0;
    ws_send(client, request);
}

/* To a connection that is held: as much as goes at once, so that no frame is cut. */
static void held_ask(struct client *client, struct request *request)
{
    const size_t room = MIN(flow_write_room(client_flow(client)), (size_t)SOAK_SCRATCH_BYTES);
    uint8_t *scratch = client_scratch(client);

    if (room <= WS_HEAD_MOST)
        return;
    const uint64_t size = MIN(size_of(client), (uint64_t)(room - WS_HEAD_MOST));
    const size_t len = (size_t)frame_bytes(size);
    make_frame(client, (struct fragment){.size = size, .count = 1}, 0, scratch, len);
    ssize_t done = client_write(client, scratch, len, 0);
    request_set_sent(request, done > 0 ? (uint64_t)done : 0);
}

static void ws_let_go(struct client *client)
{
    struct ws_client *ws = ws_of(client);

    if (ws->state == WS_UPGRADING)
        http_collect_done(&ws->head);
    ws_ping_done(client);
    free(ws->talk);
    ws->talk = NULL;
}

/* ---- the run ---- */

static int ws_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    struct ws_run *run = own;

    run->text = config->text;
    run->fragments = MAX(config->fragments, 1u);
    struct fragment fragment = {.size = config->message_bytes, .count = run->fragments};
    for (; fragment.index < fragment.count; fragment.index++)
        run->message_bytes += frame_bytes(fragment_bytes(fragment));
    int status = ws_upgrade_make(&run->upgrade, config, error);
    if (status == 0 && run->upgrade.len > SOAK_SCRATCH_BYTES)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "the headers have more than %d bytes",
                         SOAK_SCRATCH_BYTES);
    return status;
}

static void ws_done(void *own)
{
    ws_upgrade_done(&((struct ws_run *)own)->upgrade);
}

static const struct protocol_ops ws_tcp = {.kind = PROTOCOL_ASKS,
                                           .unasked = true,
                                           .marks = true,
                                           .opened = ws_opened,
                                           .ask = ws_ask,
                                           .take = ws_take,
                                           .taken = ws_taken,
                                           .writable = ws_send,
                                           .closing = ws_closing,
                                           .let_go = ws_let_go};
static const struct protocol_ops ws_held = {.kind = PROTOCOL_HOLDS,
                                            .unasked = true,
                                            .opened = ws_opened,
                                            .ask = held_ask,
                                            .take = ws_take,
                                            .taken = held_taken,
                                            .closing = ws_closing,
                                            .let_go = ws_let_go};

const struct protocol protocol_ws = {
    .name = "ws",
    .scheme = "ws",
    .port = 80,
    .tls_scheme = "wss",
    .tls_port = 443,
    .alpn = "http/1.1",
    .takes = PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_HEADERS | PROTOCOL_TAKES_TEXT |
             PROTOCOL_TAKES_FRAMES | PROTOCOL_TAKES_MESSAGES,
    .answers = {"closes", NULL},
    .tcp = &ws_tcp,
    .held = &ws_held,
    .run_bytes = sizeof(struct ws_run),
    .client_bytes = sizeof(struct ws_client),
    .prepare = ws_prepare,
    .done = ws_done,
};
