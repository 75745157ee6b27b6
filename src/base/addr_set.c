/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looking up in a set. Both directions are called once a frame, and nearly every set is a single
 * range: then each is a few instructions on numbers. With several ranges it is a binary search, by
 * index in `ranges` (the order of the text, so `base` ascends) and by address in `sorted`.
 * How a set comes to be is in addr_set_parse.c, what routes cover it in addr_prefix.c.
 */
#include "base/addr_set.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr_number.h"

void addr_set_done(struct addr_set *set)
{
    if (!set)
        return;
    free(set->ranges);
    free(set->sorted);
    *set = (struct addr_set){0};
}

int addr_set_copy(const struct addr_set *set, struct addr_set *ret_copy)
{
    const size_t bytes = set->range_count * sizeof(*set->ranges);
    struct addr_set copy = *set;

    copy.ranges = malloc(bytes);
    copy.sorted = set->sorted ? malloc(bytes) : NULL;
    if (!copy.ranges || (set->sorted && !copy.sorted)) {
        addr_set_done(&copy);
        return -ENOMEM;
    }
    memcpy(copy.ranges, set->ranges, bytes);
    if (set->sorted)
        memcpy(copy.sorted, set->sorted, bytes);
    *ret_copy = copy;
    return 0;
}

/* The last range that begins at `index` or before. */
static const struct addr_range *range_by_index(const struct addr_set *set, uint64_t index)
{
    size_t low = 0, high = set->range_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].base <= index)
            low = middle;
        else
            high = middle;
    }
    return &set->ranges[low];
}

struct peer_addr addr_set_at(const struct addr_set *set, uint64_t index)
{
    assert(index < set->count);
    const struct addr_range *range = range_by_index(set, index);
    return addr_from_number(set->family,
                            number_add(addr_number(&range->first), index - range->base));
}

/* The last range that begins at `addr` or before it, or the first one. */
static const struct addr_range *range_by_addr(const struct addr_set *set, struct addr_number addr)
{
    const struct addr_range *ranges = set->sorted ? set->sorted : set->ranges;
    size_t low = 0, high = set->range_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (number_less(addr, addr_number(&ranges[middle].first)))
            high = middle;
        else
            low = middle;
    }
    return &ranges[low];
}

int64_t addr_set_find(const struct addr_set *set, const struct peer_addr *addr)
{
    if (addr->family != set->family || set->range_count == 0)
        return -1;

    struct addr_number number = addr_number(addr);
    const struct addr_range *range = range_by_addr(set, number);
    struct addr_number first = addr_number(&range->first);
    if (number_less(number, first) || number_less(addr_number(&range->last), number))
        return -1;

    /* A range longer than the cap has addresses without an index. */
    struct addr_number offset = number_subtract(number, first);
    if (offset.high || offset.low >= set->count - range->base)
        return -1;
    return (int64_t)(range->base + offset.low);
}

void addr_set_format(const struct addr_set *set, char *text, size_t room)
{
    char first[PEER_ADDR_TEXT], last[PEER_ADDR_TEXT];
    size_t len = 0;

    *text = 0;
    for (size_t i = 0; i < set->range_count; i++) {
        const struct addr_range *range = &set->ranges[i];
        bool one = peer_addr_equal(&range->first, &range->last);
        len += (size_t)snprintf(text + len, room - len, "%s%s%s%s", i ? "," : "",
                                peer_addr_format(&range->first, first), one ? "" : "-",
                                one ? "" : peer_addr_format(&range->last, last));
        if (len >= room) {
            *text = 0;
            return;
        }
    }
}

bool addr_set_overlap(const struct addr_set *a, const struct addr_set *b)
{
    for (size_t i = 0; a->family == b->family && i < a->range_count; i++) {
        const struct addr_range *range = &a->ranges[i];
        for (size_t j = 0; j < b->range_count; j++) {
            const struct addr_range *other = &b->ranges[j];
            if (!number_less(addr_number(&range->last), addr_number(&other->first)) &&
                !number_less(addr_number(&other->last), addr_number(&range->first)))
                return true;
        }
    }
    return false;
}
