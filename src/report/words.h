/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REPORT_WORDS_H
#define REPORT_WORDS_H

#include <stddef.h>
#include <stdint.h>

/** What a number is of. */
enum unit {
    UNIT_COUNT,
    UNIT_PER_S,
    UNIT_US,
    UNIT_S,
    UNIT_BYTES,
    UNIT_BITS_PER_S,
    UNIT_SHARE,   /* 0 to 1 */
    UNIT_PERCENT, /* 100 is one processor */
    UNITS,
};
enum { WORDS = 48 };
/** For people: "1,234", "1.23 ms", "4.5 MiB"; a dash for what is no number. */
const char *words_value(enum unit unit, double value, char buf[WORDS]);
/** The same as short as on an axis: "1.2k", "5 ms". */
const char *words_tick(enum unit unit, double value, char buf[WORDS]);
/** "2026-11-28 20:15:03 UTC"; "" for 0. */
const char *words_date(uint64_t unix_ns, char buf[WORDS]);

#endif
