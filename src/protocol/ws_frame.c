/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of WebSocket. The head of a server's frame is 2 to 10 bytes and may come in pieces, so it is
 * gathered; what the first two bytes say is judged as soon as they are there.
 */
#include "protocol/ws_frame.h"

#include "base/macro.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* ---- reading ---- */

static size_t head_bytes(const struct ws_reader *reader)
{
    uint8_t length = reader->head[1] & 0x7f;

    if (reader->have < 2)
        return 2;
    return length == 126 ? 4 : length == 127 ? 10 : 2;
}

static bool is_known(uint8_t opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* What is wrong with the first two bytes of a head; NULL: nothing. */
static const char *judge_start(const struct ws_reader *reader)
{
    const uint8_t first = reader->head[0], second = reader->head[1], opcode = first & 0x0f;
    const bool final = first & 0x80;

    if (first & 0x70)
        return "a frame has reserved bits set, and no extension was agreed on";
    if (!is_known(opcode))
        return "a frame has an opcode that means nothing";
    if (second & 0x80)
        return "a frame is masked, which a server's never are";
    if (ws_is_control(opcode) && !final)
        return "a control frame is fragmented";
    if (ws_is_control(opcode) && (second & 0x7f) > WS_CONTROL_MOST)
        return "a control frame has more than 125 bytes";
    if (opcode == WS_CONTINUATION && !reader->message)
        return "a frame continues a message, and none has begun";
    if (opcode && !ws_is_control(opcode) && reader->message)
        return "a message begins before the last fragment of another";
    return NULL;
}

/* The length, once the head is whole. */
static const char *read_length(struct ws_reader *reader)
{
    uint16_t two;
    uint64_t eight;

    memcpy(&two, reader->head + 2, sizeof(two));
    memcpy(&eight, reader->head + 2, sizeof(eight));
    two = be16toh(two);
    eight = be64toh(eight);
    reader->left = reader->head[1] & 0x7f;
    if (reader->left < 126)
        return NULL;
    const bool is_long = reader->left == 127;
    reader->left = is_long ? eight : two;
    if (reader->left > WS_LENGTH_MOST)
        return "a frame has 2^63 bytes or more";
    if (reader->left < (is_long ? 65536 : 126))
        return "the length of a frame is written in more bytes than it needs";
    return NULL;
}

/* The head is whole. */
static const char *begin_frame(struct ws_reader *reader)
{
    const char *why = read_length(reader);
    const uint8_t opcode = reader->head[0] & 0x0f;

    if (why)
        return why;
    reader->final = reader->head[0] & 0x80;
    reader->opcode = opcode ? opcode : reader->message;
    if (!ws_is_control(opcode))
        reader->message = reader->final ? 0 : reader->opcode;
    reader->have = 0;
    reader->inside = true;
    return NULL;
}

/* How many bytes are the head's. */
static size_t take_head(struct ws_reader *reader, const uint8_t *data, size_t len,
                        const char **ret_why)
{
    size_t at = 0;

    *ret_why = NULL;
    while (at < len && !reader->inside && !*ret_why) {
        reader->head[reader->have++] = data[at++];
        if (reader->have == 2)
            *ret_why = judge_start(reader);
        if (!*ret_why && reader->have >= 2 && reader->have == head_bytes(reader))
            *ret_why = begin_frame(reader);
    }
    return at;
}

ssize_t ws_reader_take(struct ws_reader *reader, const void *data, size_t len,
                       struct ws_piece *ret_piece, bool *ret_has, const char **ret_why)
{
    const bool begins = !reader->inside;
    size_t at = begins ? take_head(reader, data, len, ret_why) : 0;

    if (begins && *ret_why)
        return -EPROTO;
    *ret_has = reader->inside;
    if (!reader->inside)
        return (ssize_t)at;
    size_t part = (size_t)MIN((uint64_t)(len - at), reader->left);
    reader->left -= part;
    *ret_piece = (struct ws_piece){.data = (const uint8_t *)data + at,
                                   .len = part,
                                   .left = reader->left,
                                   .opcode = reader->opcode,
                                   .begins = begins,
                                   .ends = !reader->left,
                                   .final = reader->final};
    reader->inside = reader->left > 0;
    return (ssize_t)(at + part);
}

/* ---- writing ---- */

size_t ws_head_bytes(uint64_t len)
{
    return len < 126 ? 6 : len < 65536 ? 8 : 14;
}

size_t ws_head_make(uint8_t out[WS_HEAD_MOST], enum ws_opcode opcode, bool final, uint64_t len,
                    const uint8_t mask[4])
{
    const size_t bytes = ws_head_bytes(len);
    const uint16_t two = htobe16((uint16_t)len);
    const uint64_t eight = htobe64(len);

    out[0] = (uint8_t)((final ? 0x80 : 0) | (unsigned)opcode);
    out[1] = (uint8_t)(0x80 | (bytes == 6 ? len : bytes == 8 ? 126 : 127));
    if (bytes == 8)
        memcpy(out + 2, &two, sizeof(two));
    else if (bytes == 14)
        memcpy(out + 2, &eight, sizeof(eight));
    memcpy(out + bytes - 4, mask, 4);
    return bytes;
}

/* Eight bytes at once: compilers make vectors of it. */
void ws_mask(void *data, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint8_t *at = data, turned[8];
    uint64_t key, word;
    size_t i = 0;

    for (size_t k = 0; k < sizeof(turned); k++)
        turned[k] = mask[(offset + k) % 4];
    memcpy(&key, turned, sizeof(key));
    for (; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, at + i, sizeof(word));
        word ^= key;
        memcpy(at + i, &word, sizeof(word));
    }
    for (; i < len; i++)
        at[i] ^= turned[i % 8];
}

/* ---- what is said ---- */

/* How many bytes the character has that begins here; 0: it is none. */
static size_t character_bytes(const uint8_t *at, size_t len)
{
    const uint8_t first = at[0];
    const size_t bytes = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2
                         : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    /* What the second byte may be: no longer than needed, no surrogate, at most U+10FFFF. */
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

    if (!bytes || bytes > len || (bytes > 1 && (at[1] < low || at[1] > high)))
        return 0;
    for (size_t i = 2; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return bytes;
}

bool ws_is_utf8(const void *data, size_t len)
{
    const uint8_t *text = data;
    size_t bytes;

    for (size_t at = 0; at < len; at += bytes) {
        bytes = character_bytes(text + at, len - at);
        if (!bytes)
            return false;
    }
    return true;
}

static const struct {
    uint16_t code;
    const char *words;
} closes[] = {
    {1000, "done"},
    {1001, "going away"},
    {1002, "protocol error"},
    {1003, "data it cannot accept"},
    {1007, "not the data that it says it is"},
    {1008, "against its policy"},
    {1009, "message too big"},
    {1010, "an extension is missing"},
    {1011, "an unexpected condition"},
    {1012, "restarts"},
    {1013, "try again later"},
    {1014, "bad gateway"},
};

const char *ws_close_words(unsigned code)
{
    for (size_t i = 0; i < ARRAY_SIZE(closes); i++) {
        if (closes[i].code == code)
            return closes[i].words;
    }
    return NULL;
}

bool ws_close_code_is_sent(unsigned code)
{
    return ws_close_words(code) || (code >= 3000 && code <= 4999);
}
