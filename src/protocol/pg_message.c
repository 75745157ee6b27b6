/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/pg_message.h"

#include "base/macro.h"

#include <ctype.h>
#include <string.h>

int32_t pg_length(const struct pg_reader *reader)
{
    return (int32_t)((uint32_t)reader->head[1] << 24 | (uint32_t)reader->head[2] << 16 |
                     (uint32_t)reader->head[3] << 8 | reader->head[4]);
}

/* The head of a message: false when its length cannot be. */
static bool begin(struct pg_reader *reader)
{
    const int32_t length = pg_length(reader);

    reader->type = (char)reader->head[0];
    reader->len = 0;
    if (length < 4 || (uint32_t)length > PG_LONGEST)
        return false;
    reader->left = (uint32_t)length - 4;
    return true;
}

static void keep(struct pg_reader *reader, const char *data, size_t len)
{
    size_t kept = MIN(len, PG_KEPT - (size_t)reader->len);

    memcpy(reader->text + reader->len, data, kept);
    reader->len = (uint16_t)(reader->len + kept);
    reader->left -= (uint32_t)len;
}

enum pg_read pg_read(struct pg_reader *reader, const char *data, size_t len, size_t *ret_used)
{
    size_t at = 0;

    *ret_used = 0;
    if (reader->whole) {
        reader->whole = false;
        reader->head_len = 0;
    }
    while (at < len && reader->head_len < sizeof(reader->head)) {
        reader->head[reader->head_len++] = (uint8_t)data[at++];
        if (reader->head_len == sizeof(reader->head) && !begin(reader))
            return PG_WRONG;
    }
    *ret_used = at;
    if (reader->head_len < sizeof(reader->head))
        return PG_MORE;
    size_t part = MIN(len - at, (size_t)reader->left);
    keep(reader, data + at, part);
    *ret_used += part;
    reader->whole = !reader->left;
    return reader->whole ? PG_MESSAGE : PG_MORE;
}

/* ---- errors ---- */

static void copy(char *to, size_t room, const char *from, size_t len)
{
    size_t kept = MIN(len, room - 1);

    for (size_t i = 0; i < kept; i++)
        to[i] = from[i] & 0x80 || isprint((unsigned char)from[i]) ? from[i] : '.';
    to[kept] = 0;
}

/* Fields: a letter and a text each, up to a zero in the place of a letter. */
void pg_error_read(const char *text, size_t len, struct pg_error *ret_error)
{
    struct pg_error *error = ret_error;
    const char *end = text + len, *at = text;

    memset(error, 0, sizeof(*error));
    while (at < end && *at) {
        const char type = *at++;
        const char *stop = memchr(at, 0, (size_t)(end - at));
        size_t field = (size_t)((stop ? stop : end) - at);
        if (type == 'V' || (type == 'S' && !error->severity[0])) /* V: not translated */
            copy(error->severity, sizeof(error->severity), at, field);
        else if (type == 'C')
            copy(error->code, sizeof(error->code), at, field);
        else if (type == 'M')
            copy(error->message, sizeof(error->message), at, field);
        at = stop ? stop + 1 : end;
    }
}

/* ---- writing ---- */

void pg_put(struct pg_out *out, const void *data, size_t len)
{
    if (len > out->room - out->len) {
        out->full = true;
        return;
    }
    if (len)
        memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

void pg_put_text(struct pg_out *out, const char *text)
{
    pg_put(out, text, strlen(text) + 1);
}

void pg_put_number(struct pg_out *out, uint32_t number)
{
    const uint8_t bytes[] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                             (uint8_t)(number >> 8), (uint8_t)number};

    pg_put(out, bytes, sizeof(bytes));
}

void pg_begin(struct pg_out *out, char type)
{
    if (type)
        pg_put(out, &type, 1);
    out->at = out->len;
    pg_put_number(out, 0);
}

void pg_end(struct pg_out *out)
{
    struct pg_out length = {.bytes = out->bytes + out->at, .room = 4};

    if (!out->full)
        pg_put_number(&length, (uint32_t)(out->len - out->at));
}
