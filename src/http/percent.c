/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/percent.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* -1 for none. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* The byte that two digits behind a % mean; 0 for none. */
static int byte_of(const char *text)
{
    const int high = digit(text[1]), low = high < 0 ? -1 : digit(text[2]);

    return high < 0 || low < 0 ? 0 : high * 16 + low;
}

int http_percent_decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (*from == '%' && !byte_of(from))
            return -EINVAL;
    }
    for (const char *from = text; *from;) {
        const bool escaped = *from == '%';
        *to++ = escaped ? (char)byte_of(from) : *from;
        from += escaped ? 3 : 1;
    }
    *to = 0;
    return 0;
}
