/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each copy of a program counts its peers from the beginning of its slice on, and slices of a large
 * set are far apart: so only the pages that have bits are there.
 */
#include "exec/bits.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64, PAGE_WORDS = 512, PAGE_BITS = PAGE_WORDS * WORD_BITS, PAGES_LEAST = 4 };

static uint64_t bit_of(uint64_t number)
{
    return UINT64_C(1) << number % WORD_BITS;
}

/* NULL: it is in no page. */
static uint64_t *word_of(const struct bits *bits, uint64_t number)
{
    const uint64_t at = number / PAGE_BITS;
    uint64_t *page = at < bits->page_count ? bits->pages[at] : NULL;

    return page ? page + number % PAGE_BITS / WORD_BITS : NULL;
}

static bool make_page(struct bits *bits, uint64_t at)
{
    uint64_t count = bits->page_count ? bits->page_count : PAGES_LEAST;

    while (count <= at)
        count *= 2;
    if (count > bits->page_count) {
        uint64_t **pages = realloc(bits->pages, count * sizeof(uint64_t *));
        if (!pages)
            return false;
        memset(pages + bits->page_count, 0, (count - bits->page_count) * sizeof(uint64_t *));
        bits->pages = pages;
        bits->page_count = count;
    }
    bits->pages[at] = calloc(PAGE_WORDS, sizeof(uint64_t));
    return bits->pages[at] != NULL;
}

bool bits_have(const struct bits *bits, uint64_t number)
{
    const uint64_t *word = word_of(bits, number);

    return word && *word & bit_of(number);
}

bool bits_add(struct bits *bits, uint64_t number)
{
    if (bits_have(bits, number))
        return false;
    if (!word_of(bits, number) && !make_page(bits, number / PAGE_BITS))
        return true;
    *word_of(bits, number) |= bit_of(number);
    bits->count++;
    return true;
}

void bits_remove(struct bits *bits, uint64_t number)
{
    if (!bits_have(bits, number))
        return;
    *word_of(bits, number) &= ~bit_of(number);
    bits->count--;
}

void bits_done(struct bits *bits)
{
    for (uint64_t i = 0; i < bits->page_count; i++)
        free(bits->pages[i]);
    free(bits->pages);
    *bits = (struct bits){0};
}
