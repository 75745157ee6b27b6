/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers with units. A number is read as digits and a power of ten and multiplied by its unit in
 * 128 bits, so "0.1%" and "51.2ms" are exact: no floating point on the way, and none back. What is
 * finer than the unit the integer counts in is rounded.
 */
#include "link/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macro.h"

__extension__ typedef unsigned __int128 wide;

enum { DIGITS_MAX = 18 };

struct number {
    uint64_t digits;
    uint64_t divisor; /* a power of ten */
};

struct unit {
    const char *name;
    uint64_t factor;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes the number off the front of `word`: digits, perhaps with a point among them. */
static bool take_number(struct word *word, struct number *ret)
{
    struct number number = {0, 1};
    bool point = false;
    int digits = 0;
    size_t i = 0;

    for (; i < word->len; i++) {
        char c = word->text[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(c))
            break;
        if (++digits > DIGITS_MAX)
            return false;
        number.digits = number.digits * 10 + (uint64_t)(c - '0');
        if (point)
            number.divisor *= 10;
    }
    if (digits == 0)
        return false;
    *ret = number;
    word->text += i;
    word->len -= i;
    return true;
}

static enum value_fault scale(struct number number, uint64_t factor, uint64_t max, uint64_t *ret)
{
    wide scaled = ((wide)number.digits * factor + number.divisor / 2) / number.divisor;

    if (scaled > max)
        return VALUE_TOO_LARGE;
    *ret = (uint64_t)scaled;
    return VALUE_OK;
}

static enum value_fault value_with_unit(struct word word, const struct unit *units, uint64_t max,
                                        uint64_t *ret)
{
    struct number number;

    if (!take_number(&word, &number))
        return VALUE_NO_NUMBER;
    if (word.len == 0)
        return VALUE_NO_UNIT;
    for (; units->name; units++) {
        if (strlen(units->name) == word.len && strncasecmp(units->name, word.text, word.len) == 0)
            return scale(number, units->factor, max, ret);
    }
    return VALUE_WRONG_UNIT;
}

enum value_fault value_time(struct word word, uint64_t *ret_ns)
{
    static const struct unit units[] = {
        {"ns", 1},         {"nsec", 1},         {"nsecs", 1},
        {"us", NS_PER_US}, {"usec", NS_PER_US}, {"usecs", NS_PER_US},
        {"ms", NS_PER_MS}, {"msec", NS_PER_MS}, {"msecs", NS_PER_MS},
        {"s", NS_PER_S},   {"sec", NS_PER_S},   {"secs", NS_PER_S},
        {NULL, 0},
    };

    return value_with_unit(word, units, LINK_DELAY_MAX_NS, ret_ns);
}

#define KILO UINT64_C(1000)
#define KIBI UINT64_C(1024)

enum value_fault value_rate(struct word word, uint64_t *ret_bit)
{
    static const struct unit units[] = {
        {"bit", 1},
        {"kbit", KILO},
        {"mbit", KILO * KILO},
        {"gbit", KILO * KILO * KILO},
        {"tbit", KILO * KILO * KILO * KILO},
        {"kibit", KIBI},
        {"mibit", KIBI * KIBI},
        {"gibit", KIBI * KIBI * KIBI},
        {"tibit", KIBI * KIBI * KIBI * KIBI},
        {"bps", 8},
        {"kbps", 8 * KILO},
        {"mbps", 8 * KILO * KILO},
        {"gbps", 8 * KILO * KILO * KILO},
        {"tbps", 8 * KILO * KILO * KILO * KILO},
        {"kibps", 8 * KIBI},
        {"mibps", 8 * KIBI * KIBI},
        {"gibps", 8 * KIBI * KIBI * KIBI},
        {"tibps", 8 * KIBI * KIBI * KIBI * KIBI},
        {NULL, 0},
    };

    return value_with_unit(word, units, LINK_RATE_MAX, ret_bit);
}

enum value_fault value_percent(struct word word, uint32_t *ret_share)
{
    struct number number;
    uint64_t share;

    if (!take_number(&word, &number))
        return VALUE_NO_NUMBER;
    if (word.len && !word_is(word, "%"))
        return VALUE_WRONG_UNIT;
    enum value_fault fault = scale(number, LINK_WHOLE / 100, LINK_WHOLE, &share);
    if (fault == VALUE_OK)
        *ret_share = (uint32_t)share;
    return fault;
}

enum value_fault value_count(struct word word, uint32_t max, uint32_t *ret_count)
{
    struct number number;

    if (!take_number(&word, &number) || number.divisor != 1)
        return VALUE_NO_NUMBER;
    if (word.len)
        return VALUE_WRONG_UNIT;
    if (number.digits > max)
        return VALUE_TOO_LARGE;
    *ret_count = (uint32_t)number.digits;
    return VALUE_OK;
}

/* ---- back to text ---- */

/* `value` / `unit` with as many decimals as it takes, and the name of the unit. */
static const char *format_decimal(uint64_t value, uint64_t unit, const char *name,
                                  char buf[VALUE_TEXT])
{
    uint64_t rest = value % unit;
    int len = snprintf(buf, VALUE_TEXT, "%" PRIu64, value / unit);

    if (rest) {
        buf[len++] = '.';
        for (; rest; rest = rest % unit) {
            unit /= 10;
            buf[len++] = (char)('0' + rest / unit);
        }
    }
    snprintf(buf + len, VALUE_TEXT - (size_t)len, "%s", name);
    return buf;
}

const char *value_format_time(uint64_t ns, char buf[VALUE_TEXT])
{
    if (ns >= NS_PER_S && ns % NS_PER_S == 0)
        return format_decimal(ns, NS_PER_S, "s", buf);
    if (ns >= NS_PER_MS && ns % NS_PER_US == 0)
        return format_decimal(ns, NS_PER_MS, "ms", buf);
    if (ns >= NS_PER_US)
        return format_decimal(ns, NS_PER_US, "us", buf);
    return format_decimal(ns, 1, "ns", buf);
}

const char *value_format_percent(uint32_t share, char buf[VALUE_TEXT])
{
    return format_decimal(share, LINK_WHOLE / 100, "%", buf);
}

/* ---- words ---- */

bool word_is(struct word word, const char *text)
{
    return strlen(text) == word.len && memcmp(word.text, text, word.len) == 0;
}
