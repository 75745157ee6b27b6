/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_WS_FRAME_H
#define PROTOCOL_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Frames of WebSocket (RFC 6455 5), as a client reads and writes them. Nothing is kept of a payload:
 * it is handed on where it lies.
 */

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};
static inline bool ws_is_control(uint8_t opcode)
{
    return opcode & 8;
}

enum {
    WS_CONTROL_MOST = 125, /* payload of a control frame */
    WS_HEAD_MOST = 14,     /* of a frame of ours, with its mask */
};
#define WS_LENGTH_MOST UINT64_C(0x7fffffffffffffff)

/** Where in the frames of a server a reader is. Zero is their beginning. */
struct ws_reader {
    uint64_t left;   /* of this frame's payload */
    uint8_t head[10];
    uint8_t have;    /* bytes of `head`; 0: the head is read, or the next has not begun */
    uint8_t opcode;  /* of the frame */
    uint8_t message; /* WS_TEXT or WS_BINARY: fragments of that are to follow; 0: none */
    bool final : 1;  /* the frame's */
    bool inside : 1; /* its head is read, and not all of it was handed on */
};

/** A part of a frame. */
struct ws_piece {
    const uint8_t *data; /* where it came */
    size_t len;
    uint64_t left;  /* what of the frame follows it */
    uint8_t opcode; /* of a fragment: that of its message */
    bool begins;    /* the frame begins with it */
    bool ends;      /* and ends: after it nothing is left */
    bool final;     /* no fragment of the message comes after this frame */
};

/**
 * Takes bytes that came up to the end of a frame at the most: how many. With a piece of a frame `*ret_has`
 * is true; without, the head goes on in what is still to come. -EPROTO with words in `ret_why`.
 */
ssize_t ws_reader_take(struct ws_reader *reader, const void *data, size_t len,
                       struct ws_piece *ret_piece, bool *ret_has, const char **ret_why);

/** The head of a frame of `len` bytes under this mask: how long it is. */
size_t ws_head_make(uint8_t out[WS_HEAD_MOST], enum ws_opcode opcode, bool final, uint64_t len,
                    const uint8_t mask[4]);
/** How long that is. */
size_t ws_head_bytes(uint64_t len);
/** Masks (5.3) what is at `offset` of a payload, in place. */
void ws_mask(void *data, size_t len, const uint8_t mask[4], uint64_t offset);

/** Whether the bytes are UTF-8 (RFC 3629), whole characters all. */
bool ws_is_utf8(const void *data, size_t len);
/** Whether a server may say why by this code (7.4). */
bool ws_close_code_is_sent(unsigned code);
/** What it means, in words; NULL: nothing that all agree on. */
const char *ws_close_words(unsigned code);

#endif
