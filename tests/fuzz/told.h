/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_TOLD_H
#define FUZZ_TOLD_H

/** For what has to mean the same however it is cut. */

#include "fuzz/words.h"

enum { TOLD_MOST = 4096 };

/** What was understood. */
struct told {
    size_t count;
    uint64_t words[TOLD_MOST];
};

static inline void tell(struct told *told, uint64_t word)
{
    if (told->count < TOLD_MOST)
        told->words[told->count++] = word;
}

/** That `read` understands the same of a text whole and in pieces of `step` bytes. */
static inline void insist_cuts_tell_nothing(void (*read)(struct told *told, const char *text,
                                                         size_t len, size_t step),
                                            const char *text, size_t len, size_t step)
{
    static struct told whole, cut;

    whole.count = cut.count = 0;
    read(&whole, text, len, len);
    read(&cut, text, len, step);
    insist(whole.count == cut.count);
    insist(memcmp(whole.words, cut.words, whole.count * sizeof(whole.words[0])) == 0);
}

#endif
