/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_PG_MESSAGE_H
#define PROTOCOL_PG_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Messages of PostgreSQL's protocol 3.0 as a server sends them: a letter, a length of four bytes that
 * counts itself, and so many bytes. What a reader keeps of one has a bound; the rest is passed over.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
enum { PG_KEPT = 512, PG_WORDS = 160 };
/* No server sends longer ones, a field of a row being 1 GB at the most. */
#define PG_LONGEST UINT32_C(0x3fffffff)

struct pg_reader {
    char type;        /* of the message that is read */
    uint8_t head_len; /* bytes of type and length that are there */
    bool whole;       /* it is complete: the next byte begins another */
    uint8_t head[5];
    uint32_t left; /* bytes that are still to come */
    uint16_t len;  /* of what is kept of it */
    char text[PG_KEPT];
};

enum pg_read {
    PG_MORE,    /* all bytes are read */
    PG_MESSAGE, /* one is complete */
    PG_WRONG,   /* its length cannot be */
};

/** Zero is before the first byte. Reads up to the end of a message: `*ret_used` of `len` bytes. */
enum pg_read pg_read(struct pg_reader *reader, const char *data, size_t len, size_t *ret_used);
/** What the length says, of a message that is PG_WRONG. */
int32_t pg_length(const struct pg_reader *reader);

/** ErrorResponse and NoticeResponse. Texts are printable. */
struct pg_error {
    char severity[16], code[6], message[PG_WORDS];
};
/** Of what is kept of one; what is missing is "". */
void pg_error_read(const char *text, size_t len, struct pg_error *ret_error);

/** A message in the making: "int32 that counts itself" is put by pg_end. */
struct pg_out {
    size_t len, room, at;
    char *bytes;
    bool full;
};
void pg_begin(struct pg_out *out, char type); /* 0: it has none, as the first one */
void pg_put(struct pg_out *out, const void *data, size_t len);
void pg_put_text(struct pg_out *out, const char *text);
void pg_put_number(struct pg_out *out, uint32_t number);
void pg_end(struct pg_out *out);

#endif
