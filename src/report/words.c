/* SPDX-License-Identifier: BSD-3-Clause */
#include "report/words.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct scale {
    double from, per;
    const char *name;
};
static const struct scale times[] = {
    {3600e6, 3600e6, " h"}, {60e6, 60e6, " min"}, {1e6, 1e6, " s"},
    {1e3, 1e3, " ms"},      {1, 1, " µs"},        {0, 1e-3, " ns"},
};
static const struct scale sizes[] = {
    {1099511627776.0, 1099511627776.0, " TiB"},
    {1073741824.0, 1073741824.0, " GiB"},
    {1048576.0, 1048576.0, " MiB"},
    {1024, 1024, " KiB"},
    {0, 1, " B"},
};
static const struct scale speeds[] = {
    {1e9, 1e9, " Gbit/s"}, {1e6, 1e6, " Mbit/s"}, {1e3, 1e3, " kbit/s"}, {0, 1, " bit/s"}};
static const struct scale thousands[] = {
    {1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e3, 1e3, "k"}, {0, 1, ""}};

static const struct scale *choose(const struct scale *scales, double value)
{
    while (scales->from > 0 && fabs(value) < scales->from * 0.9995)
        scales++;
    return scales;
}

static const char *scaled(const struct scale *scales, double value, char buf[WORDS])
{
    const struct scale *scale = choose(scales, value);
    const double of = value / scale->per;

    snprintf(buf, WORDS, "%.*f%s",
             of >= 99.95 || of == 0 ? 0
             : of >= 9.995          ? 1
                                    : 2,
             of, scale->name);
    return buf;
}

/* 1234567 as 1,234,567. */
static const char *grouped(double value, char buf[WORDS])
{
    char digits[WORDS];
    size_t at = 0;

    int len = snprintf(digits, sizeof(digits), "%.0f", value);
    for (int i = 0; i < len && at < WORDS - 2; i++) {
        if (i && (len - i) % 3 == 0 && digits[i - 1] != '-')
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = 0;
    return buf;
}

static const char *number(double value, char buf[WORDS])
{
    if (fabs(value) < 99.95 && value != round(value))
        snprintf(buf, WORDS, "%.*f", fabs(value) < 9.995 ? 2 : 1, value);
    else
        grouped(value, buf);
    return buf;
}

const char *words_value(enum unit unit, double value, char buf[WORDS])
{
    if (!isfinite(value))
        return "–";
    if (value == 0 && (unit == UNIT_US || unit == UNIT_S))
        return "0";
    switch (unit) {
    case UNIT_US:
        return scaled(times, value, buf);
    case UNIT_S:
        return scaled(times, value * 1e6, buf);
    case UNIT_BYTES:
        return scaled(sizes, value, buf);
    case UNIT_BITS_PER_S:
        return scaled(speeds, value, buf);
    case UNIT_SHARE:
        snprintf(buf, WORDS, value > 0 && value < 1e-4 ? "%.2g %%" : "%.3g %%", value * 100);
        return buf;
    case UNIT_PERCENT:
        snprintf(buf, WORDS, "%.0f %%", value);
        return buf;
    case UNIT_PER_S:
        number(value, buf);
        strncat(buf, "/s", WORDS - strlen(buf) - 1);
        return buf;
    default:
        return number(value, buf);
    }
}

static const char *short_scaled(const struct scale *scales, double value, char buf[WORDS])
{
    const struct scale *scale = choose(scales, value);

    snprintf(buf, WORDS, "%.4g%s", value / scale->per, value != 0 ? scale->name : "");
    return buf;
}

const char *words_tick(enum unit unit, double value, char buf[WORDS])
{
    switch (unit) {
    case UNIT_US:
        return short_scaled(times, value, buf);
    case UNIT_S:
        return short_scaled(times, value * 1e6, buf);
    case UNIT_BYTES:
        return short_scaled(sizes, value, buf);
    case UNIT_BITS_PER_S:
        return short_scaled(speeds, value, buf);
    case UNIT_SHARE:
    case UNIT_PERCENT:
        return words_value(unit, value, buf);
    default:
        return short_scaled(thousands, value, buf);
    }
}

/* Days since 1970 as a date of the Gregorian calendar. The C library's way reads a file, which who
   has given up its privileges may not. */
static void date_of(uint64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = 1970, month = 0;

    for (;; year++) {
        const unsigned length = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 366 : 365;
        if (days < length)
            break;
        days -= length;
    }
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    for (; days >= lengths[month] + (leap && month == 1); month++)
        days -= lengths[month] + (leap && month == 1);
    *ret_year = year;
    *ret_month = month + 1;
    *ret_day = (unsigned)days + 1;
}

const char *words_date(uint64_t unix_ns, char buf[WORDS])
{
    const uint64_t seconds = unix_ns / 1000000000;
    const unsigned of_day = (unsigned)(seconds % 86400);
    unsigned year, month, day;

    buf[0] = 0;
    if (!unix_ns)
        return buf;
    date_of(seconds / 86400, &year, &month, &day);
    snprintf(buf, WORDS, "%u-%02u-%02u %02u:%02u:%02u UTC", year, month, day, of_day / 3600,
             of_day / 60 % 60, of_day % 60);
    return buf;
}
