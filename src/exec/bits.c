/* SPDX-License-Identifier: BSD-3-Clause */
#include "exec/bits.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1024 };

static bool make_room(struct bits *bits, uint64_t number)
{
    uint64_t room = bits->room ? bits->room : FIRST_ROOM;

    while (room <= number)
        room *= 2;
    uint8_t *bytes = realloc(bits->bytes, room / 8);
    if (!bytes)
        return false;
    memset(bytes + bits->room / 8, 0, (room - bits->room) / 8);
    bits->bytes = bytes;
    bits->room = room;
    return true;
}

bool bits_have(const struct bits *bits, uint64_t number)
{
    return number < bits->room && bits->bytes[number / 8] >> number % 8 & 1;
}

bool bits_add(struct bits *bits, uint64_t number)
{
    if (bits_have(bits, number))
        return false;
    if (number >= bits->room && !make_room(bits, number))
        return true;
    bits->bytes[number / 8] |= (uint8_t)(1 << number % 8);
    bits->count++;
    return true;
}

void bits_remove(struct bits *bits, uint64_t number)
{
    if (!bits_have(bits, number))
        return;
    bits->bytes[number / 8] &= (uint8_t) ~(1 << number % 8);
    bits->count--;
}

void bits_done(struct bits *bits)
{
    free(bits->bytes);
    *bits = (struct bits){0};
}
