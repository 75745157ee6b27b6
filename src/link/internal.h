/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LINK_INTERNAL_H
#define LINK_INTERNAL_H

#include "link/spec.h"

/* Shared within link/ alone, and with what writes a spec for tests: the values of the grammar, between
 * text and integer. */

/** A part of the text; not zero-terminated. */
struct word {
    const char *text;
    size_t len;
};

/** What may be wrong with a value; the caller turns it into words. */
enum value_fault {
    VALUE_OK,
    VALUE_NO_NUMBER,  /* does not begin with a number, or has too many digits */
    VALUE_NO_UNIT,    /* a bare number */
    VALUE_WRONG_UNIT, /* a number, and then no known unit */
    VALUE_TOO_LARGE,
};

enum value_fault value_time(struct word word, uint64_t *ret_ns);
enum value_fault value_rate(struct word word, uint64_t *ret_bit);
enum value_fault value_percent(struct word word, uint32_t *ret_share);
/** A whole number up to `max`. */
enum value_fault value_count(struct word word, uint32_t max, uint32_t *ret_count);

/** Canonical texts. Room 24 is enough for each. */
enum { VALUE_TEXT = 24 };
const char *value_format_time(uint64_t ns, char buf[VALUE_TEXT]);
const char *value_format_percent(uint32_t share, char buf[VALUE_TEXT]);

/** fate.c: what the spec says of loss, in its own words ("loss 2% 25%"), "" when it says nothing. */
enum { LOSS_TEXT = 96 };
const char *loss_format(const struct link_spec *spec, char buf[LOSS_TEXT]);

bool word_is(struct word word, const char *text);

#endif
