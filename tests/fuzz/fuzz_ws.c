/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is what a WebSocket server says: frames, and, in words of its own, the answer to an upgrade.
 * What comes in pieces means the same as what comes at once, no more is taken than there was, control
 * frames have a bound, and complaints are a line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "protocol/ws_frame.h"
#include "protocol/ws_upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TEXT_MOST = 4096, FRAMES_MOST = 256 };

static const char *const words[] = {"HTTP/1.1 101 \r\n",
                                    "HTTP/1.1 101 Switching Protocols\r\n",
                                    "HTTP/1.1 403 Forbidden\r\n",
                                    "HTTP/1.1 100 C\r\n\r\n",
                                    "\r\n",
                                    "Upgrade: websocket\r\n",
                                    "Connection: Upgrade\r\n",
                                    "Connection: keep-alive,",
                                    "Sec-WebSocket-Accept: ",
                                    "Sec-WebSocket-Protocol: ",
                                    "Sec-WebSocket-Extensions: ",
                                    "Location: ",
                                    "a",
                                    ", ",
                                    " ",
                                    ":"};

struct seen {
    size_t count;
    uint64_t payload;
    bool wrong;
    const char *why;
    struct {
        uint64_t len;
        uint8_t opcode;
        bool final;
    } frames[FRAMES_MOST];
};

static void note(struct seen *seen, const struct ws_piece *piece)
{
    seen->payload += piece->len;
    if (ws_is_control(piece->opcode) &&
        (piece->len + piece->left > WS_CONTROL_MOST || !piece->final))
        abort();
    if (piece->ends != !piece->left)
        abort();
    if (!piece->begins || seen->count == FRAMES_MOST)
        return;
    seen->frames[seen->count].len = piece->len + piece->left;
    seen->frames[seen->count].opcode = piece->opcode;
    seen->frames[seen->count++].final = piece->final;
}

static void read_frames(const uint8_t *data, size_t len, size_t step, struct seen *seen)
{
    struct ws_reader reader = {0};
    struct ws_piece piece;
    bool has;

    for (size_t at = 0; at < len;) {
        size_t part = MIN(step, len - at);
        uint8_t *copy = malloc(part); /* the sanitizer sees every step behind its end */
        if (!copy)
            abort();
        memcpy(copy, data + at, part);
        ssize_t taken = ws_reader_take(&reader, copy, part, &piece, &has, &seen->why);
        if (taken > (ssize_t)part || (taken >= 0 && has && piece.data + piece.len > copy + part))
            abort();
        if (taken >= 0 && has)
            note(seen, &piece);
        free(copy);
        if (taken < 0) {
            seen->wrong = true;
            return;
        }
        at += (size_t)taken;
    }
}

static void check_frames(const uint8_t *data, size_t len, size_t step)
{
    struct seen whole = {0}, cut = {0};

    read_frames(data, len, len ? len : 1, &whole);
    read_frames(data, len, step, &cut);
    if (whole.count != cut.count || whole.payload != cut.payload || whole.wrong != cut.wrong ||
        memcmp(whole.frames, cut.frames, sizeof(whole.frames)) != 0)
        abort();
    if (whole.wrong && (strcmp(whole.why, cut.why) != 0 || strchr(whole.why, '\n')))
        abort();
}

static void check_upgrade(const uint8_t *data, size_t len)
{
    char offered[] = "chat, log", text[TEXT_MOST], why[HTTP_WHY] = "";
    const struct ws_upgrade upgrade = {.offered = offered};
    size_t text_len = 0;

    for (size_t i = 0; i < len && text_len + 64 < TEXT_MOST; i++) {
        if (data[i] < 0xe0)
            text_len = (size_t)(stpcpy(text + text_len, words[data[i] % ARRAY_SIZE(words)]) - text);
        else
            text[text_len++] = (char)data[i];
    }
    size_t head_len = http_head_length(text, text_len, 0);
    if (!head_len)
        return;
    char *copy = malloc(head_len);
    if (!copy)
        abort();
    memcpy(copy, text, head_len);
    enum ws_answer answer = ws_upgrade_judge(&upgrade, len, copy, head_len, why);
    free(copy);
    if (answer == WS_AGREES) /* of a key that nobody has seen */
        abort();
    if (answer != WS_WAITS && (!why[0] || strchr(why, '\n') || strchr(why, '\r')))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    check_frames(data + 1, len - 1, 1 + data[0] % 11);
    check_upgrade(data + 1, len - 1);
    if (ws_is_utf8(data, len) && !ws_is_utf8(data, 0))
        abort();
    return 0;
}
