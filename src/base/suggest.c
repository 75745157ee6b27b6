/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/suggest.h"

#include "base/macro.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 40 };

/* Damerau's distance with the restriction that nothing is edited twice. */
static size_t distance(const char *a, size_t a_len, const char *b)
{
    size_t edits[WORD_MAX + 1][WORD_MAX + 1], b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i <= a_len; i++) {
        for (size_t j = 0; j <= b_len; j++) {
            if (i == 0 || j == 0) {
                edits[i][j] = i + j;
                continue;
            }
            size_t replaced = edits[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            size_t moved = MIN(edits[i - 1][j], edits[i][j - 1]) + 1;
            edits[i][j] = MIN(replaced, moved);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                edits[i][j] = MIN(edits[i][j], edits[i - 2][j - 2] + 1);
        }
    }
    return edits[a_len][b_len];
}

const char *suggest_word(const char *text, size_t len, const char *const *names)
{
    const char *best = NULL;
    size_t nearest = len / 2 + 1;

    for (; *names; names++) {
        size_t far = distance(text, len, *names);
        if (len >= 2 && strncmp(*names, text, len) == 0)
            far = 0;
        if (far < nearest) {
            nearest = far;
            best = *names;
        }
    }
    return best;
}
