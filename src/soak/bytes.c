/* SPDX-License-Identifier: BSD-3-Clause */
/* See bytes.h. */
#include "soak/bytes.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- writing ---- */

void bytes_put(struct out *out, const void *data, size_t len)
{
    if (!len)
        return;
    if (out->len + len > out->room) {
        size_t room = MAX(2 * out->room, out->len + len + 256);
        uint8_t *larger = out->failed ? NULL : realloc(out->bytes, room);
        if (!larger) {
            out->failed = true;
            return;
        }
        out->bytes = larger;
        out->room = room;
    }
    memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

void bytes_put_number(struct out *out, uint64_t number)
{
    uint8_t bytes[10];
    size_t len = 0;

    for (; number >= 0x80; number >>= 7)
        bytes[len++] = (uint8_t)(number | 0x80);
    bytes[len++] = (uint8_t)number;
    bytes_put(out, bytes, len);
}

void bytes_put_real(struct out *out, double real)
{
    uint64_t bits;
    uint8_t bytes[8];

    memcpy(&bits, &real, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(bits >> 8 * i);
    bytes_put(out, bytes, sizeof(bytes));
}

void bytes_put_text(struct out *out, const char *text)
{
    size_t len = strlen(text);

    bytes_put_number(out, len);
    bytes_put(out, text, len);
}

void bytes_put_sparse(struct out *out, const void *counters, size_t count)
{
    const char *from = counters;
    uint64_t number, used = 0, skipped = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy(&number, from + i * sizeof(number), sizeof(number));
        used += number != 0;
    }
    bytes_put_number(out, used);
    for (size_t i = 0; i < count; i++) {
        memcpy(&number, from + i * sizeof(number), sizeof(number));
        if (!number) {
            skipped++;
            continue;
        }
        bytes_put_number(out, skipped);
        bytes_put_number(out, number);
        skipped = 0;
    }
}

/* ---- reading ---- */

uint64_t bytes_get_number(struct in *in)
{
    uint64_t number = 0;

    for (unsigned shift = 0; in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift > 63 || (shift == 63 && byte > 1)) {
            in->wrong = true;
            return 0;
        }
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
        in->wrong |= in->at == in->end;
    }
    return number;
}

double bytes_get_real(struct in *in)
{
    uint64_t bits = 0;
    double real;

    if (in->end - in->at < 8) {
        in->at = in->end;
        return 0;
    }
    for (size_t i = 0; i < 8; i++)
        bits |= (uint64_t)*in->at++ << 8 * i;
    memcpy(&real, &bits, sizeof(real));
    if (!(real >= 0 && real < 1e18)) { /* no number, and none that one could mean */
        in->wrong = true;
        return 0;
    }
    return real;
}

/* Bytes of the character that begins there, 0: of none, or of one that is not to be seen. */
static size_t visible_len(const char *text)
{
    static const struct {
        uint8_t from, to, second_from, second_to, len;
    } forms[] = {{0x20, 0x7e, 0x00, 0xff, 1}, {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2},
                 {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                 {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
                 {0xf4, 0xf4, 0x80, 0x8f, 4}};
    const uint8_t *at = (const uint8_t *)text;

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if (at[0] < forms[i].from || at[0] > forms[i].to)
            continue;
        size_t len = 1;
        if (len < forms[i].len && at[1] >= forms[i].second_from && at[1] <= forms[i].second_to)
            len++;
        while (len > 1 && len < forms[i].len && (at[len] & 0xc0) == 0x80)
            len++;
        return len == forms[i].len ? len : 0;
    }
    return 0;
}

void bytes_make_visible(char *text)
{
    while (*text) {
        const size_t len = visible_len(text);
        if (!len)
            *text = '?';
        text += len ? len : 1;
    }
}

void bytes_get_text(struct in *in, char *text, size_t room)
{
    uint64_t len = bytes_get_number(in);

    if (len > (uint64_t)(in->end - in->at)) {
        in->wrong = true;
        return;
    }
    size_t kept = MIN((size_t)len, room - 1);
    memcpy(text, in->at, kept);
    text[kept] = 0;
    bytes_make_visible(text);
    in->at += len;
}

void bytes_get_sparse(struct in *in, void *counters, size_t count)
{
    uint64_t used = bytes_get_number(in), index = 0, number;
    char *to = counters;

    for (; used && !in->wrong; used--) {
        uint64_t skip = bytes_get_number(in);
        uint64_t add = bytes_get_number(in);
        if (!add || skip > INT32_MAX) { /* what is there is not 0; nor is the end of the bytes */
            in->wrong = true;
            return;
        }
        index += skip;
        if (index < count) {
            memcpy(&number, to + index * sizeof(number), sizeof(number));
            in->wrong |= number + add < number;
            number += add;
            memcpy(to + index * sizeof(number), &number, sizeof(number));
        }
        index++;
    }
}

int bytes_read(int fd, size_t most, struct out *out)
{
    uint8_t part[16384];
    ssize_t done;

    while ((done = read(fd, part, sizeof(part))) != 0) {
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bytes_put(out, part, (size_t)done);
        if (out->failed)
            return -ENOMEM;
        if (out->len > most)
            return -EFBIG;
    }
    return 0;
}
