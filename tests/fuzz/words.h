/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_WORDS_H
#define FUZZ_WORDS_H

/** For targets whose input says which words of a protocol follow each other, and what between them. */

#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = 8192, WORD_MOST = 128 };

struct word {
    const char *text;
    size_t len;
};
#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static inline void insist(bool condition)
{
    if (!condition)
        abort();
}

static inline size_t put_word(char *to, const struct word *word)
{
    memcpy(to, word->text, word->len);
    return word->len;
}

/** Bytes of the input from `literal` on are themselves, counted from `first`; others are words. */
static inline size_t text_of_words(const struct word *words, size_t count, uint8_t literal,
                                   uint8_t first, const uint8_t *data, size_t len,
                                   char text[TEXT_MOST])
{
    size_t at = 0;

    for (size_t i = 0; i < len && at + WORD_MOST < TEXT_MOST; i++) {
        if (data[i] >= literal)
            text[at++] = (char)(data[i] - literal + first);
        else
            at += put_word(text + at, &words[data[i] % count]);
    }
    return at;
}

#endif
