/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One byte after the other, with what may be the beginning of something in `held`: a carriage
 * return (before a newline it is the end of a line, else it is ^M) or a character of UTF-8. The
 * decoder is strict (RFC 3629) and knows no locale: overlong forms, surrogates and the controls
 * U+0080 to U+009F, which terminals obey, are shown byte by byte.
 */
#include "visible.h"

#include <string.h>

static size_t put_byte(unsigned char byte, char *out)
{
    size_t len = 0;

    if (byte >= 0x80) {
        out[len++] = 'M';
        out[len++] = '-';
        byte &= 0x7f;
    }
    if (byte < 0x20 || byte == 0x7f) {
        out[len++] = '^';
        byte ^= 0x40;
    }
    out[len++] = (char)byte;
    return len;
}

static size_t put_bytes(const unsigned char *bytes, unsigned count, char *out)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += put_byte(bytes[i], out + len);
    return len;
}

/* Bytes in the character that begins so; 0: none does. */
static unsigned sequence_len(unsigned char lead)
{
    return lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

/* Can `byte` follow what is held? */
static bool continues(const struct visible *visible, unsigned char byte)
{
    static const struct {
        unsigned char lead, low, high; /* what the second byte may be, where it is special */
    } special[] = {{0xc2, 0xa0, 0xbf},
                   {0xe0, 0xa0, 0xbf},
                   {0xed, 0x80, 0x9f},
                   {0xf0, 0x90, 0xbf},
                   {0xf4, 0x80, 0x8f}};

    for (size_t i = 0; visible->held_len == 1 && i < sizeof(special) / sizeof(special[0]); i++) {
        if (special[i].lead == visible->held[0])
            return byte >= special[i].low && byte <= special[i].high;
    }
    return byte >= 0x80 && byte <= 0xbf;
}

static size_t put_held(struct visible *visible, char *out)
{
    size_t len = put_bytes(visible->held, visible->held_len, out);

    visible->held_len = 0;
    return len;
}

static size_t begin(struct visible *visible, unsigned char byte, char *out)
{
    if (byte == '\r' || sequence_len(byte)) {
        visible->held[visible->held_len++] = byte;
        return 0;
    }
    if (byte == '\n' || byte == '\t') {
        *out = (char)byte;
        return 1;
    }
    return put_byte(byte, out);
}

/* Something is held, and this comes. */
static size_t go_on(struct visible *visible, unsigned char byte, char *out)
{
    if (visible->held[0] == '\r') {
        size_t len = byte == '\n' ? 0 : put_byte('\r', out);
        visible->held_len = 0;
        return len + begin(visible, byte, out + len);
    }
    if (!continues(visible, byte)) {
        size_t len = put_held(visible, out);
        return len + begin(visible, byte, out + len);
    }
    visible->held[visible->held_len++] = byte;
    if (visible->held_len < sequence_len(visible->held[0]))
        return 0;
    size_t len = visible->held_len;
    memcpy(out, visible->held, len);
    visible->held_len = 0;
    return len;
}

size_t visible_encode(struct visible *visible, const void *data, size_t len, char *out)
{
    const unsigned char *bytes = data;
    size_t done = 0;

    for (size_t i = 0; i < len; i++)
        done += visible->held_len ? go_on(visible, bytes[i], out + done)
                                  : begin(visible, bytes[i], out + done);
    return done;
}

size_t visible_end(struct visible *visible, char *out)
{
    return put_held(visible, out);
}
