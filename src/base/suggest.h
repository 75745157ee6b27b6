/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_SUGGEST_H
#define BASE_SUGGEST_H

#include <stddef.h>

/**
 * The entry of `names` (which ends with NULL) that the first `len` bytes of `text` may have meant:
 * the one they begin, or the fewest edits (insert, delete, replace, swap of neighbours) away; NULL
 * when none is near.
 */
const char *suggest_word(const char *text, size_t len, const char *const *names);

#endif
