/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prefixes, and the smallest list of them that covers a set.
 *
 * For the cover, each range is first widened by the addresses that were left out at its ends (the
 * network and broadcast addresses of its prefix). That never costs a prefix: a left-out address and
 * the rest of its prefix lie in one block, and any block of the result holds an address that must
 * be covered. Then ranges that touch are joined, and each joined range is cut from its start into
 * the largest aligned blocks that fit, which is the shortest way to cut it.
 */
#include "base/addr_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr_number.h"

int prefix_length_parse(const char *text, size_t len, uint8_t family)
{
    int value = 0;

    if (len == 0 || len > 3 || (len > 1 && text[0] == '0'))
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (text[i] - '0');
    }
    return value <= (int)addr_width(family) ? value : -EINVAL;
}

int addr_prefix_parse(const char *text, struct addr_prefix *ret_prefix)
{
    char addr_text[PEER_ADDR_TEXT];
    struct addr_prefix prefix;

    if (!text)
        return -EINVAL;
    const char *slash = strchrnul(text, '/');
    size_t len = (size_t)(slash - text);
    if (len >= sizeof(addr_text))
        return -EINVAL;
    memcpy(addr_text, text, len);
    addr_text[len] = '\0';
    if (peer_addr_parse(addr_text, &prefix.addr) < 0)
        return -EINVAL;

    int length = (int)addr_width(prefix.addr.family);
    if (*slash)
        length = prefix_length_parse(slash + 1, strlen(slash + 1), prefix.addr.family);
    if (length < 0)
        return -EINVAL;
    prefix.length = (uint8_t)length;
    *ret_prefix = prefix;
    return 0;
}

/* Whether the two agree in the first `length` bits. */
static bool same_start(const struct peer_addr *a, const struct peer_addr *b, unsigned length)
{
    if (a->family == 0 || a->family != b->family)
        return false;
    struct addr_number rest = number_mask(addr_width(a->family) - length);
    return number_equal(number_clear(addr_number(a), rest), number_clear(addr_number(b), rest));
}

bool addr_prefix_overlap(const struct addr_prefix *a, const struct addr_prefix *b)
{
    return same_start(&a->addr, &b->addr, a->length < b->length ? a->length : b->length);
}

bool addr_prefix_contains(const struct addr_prefix *prefix, const struct peer_addr *addr)
{
    return same_start(&prefix->addr, addr, prefix->length);
}

/* ---- covering a set ---- */

struct span {
    struct addr_number first, last;
};

struct cover {
    struct addr_prefix *prefixes;
    size_t count, room;
    uint8_t family;
};

static struct span span_of_range(const struct addr_range *range)
{
    static const struct addr_number one = {0, 1};
    struct span span = {addr_number(&range->first), addr_number(&range->last)};

    if (range->skipped_before)
        span.first = number_subtract(span.first, one);
    if (range->skipped_after)
        span.last = number_add(span.last, 1);
    return span;
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a, *right = b;

    if (number_equal(left->first, right->first))
        return 0;
    return number_less(left->first, right->first) ? -1 : 1;
}

/* Joins what touches or overlaps in `spans`, sorted by start; returns how many are left. */
static size_t join_spans(struct span *spans, size_t count)
{
    size_t kept = 0;

    for (size_t i = 1; i < count; i++) {
        struct span *last = &spans[kept];
        if (number_less(last->last, spans[i].first) &&
            !number_equal(number_add(last->last, 1), spans[i].first))
            spans[++kept] = spans[i];
        else if (number_less(last->last, spans[i].last))
            last->last = spans[i].last;
    }
    return kept + 1;
}

static int cover_add(struct cover *cover, struct addr_number first, unsigned bits)
{
    if (cover->count == ADDR_PREFIXES_MAX)
        return -E2BIG;
    if (cover->count == cover->room) {
        size_t room = cover->room ? 2 * cover->room : 8;
        struct addr_prefix *prefixes = reallocarray(cover->prefixes, room, sizeof(*prefixes));
        if (!prefixes)
            return -ENOMEM;
        cover->prefixes = prefixes;
        cover->room = room;
    }
    cover->prefixes[cover->count++] = (struct addr_prefix){
        .addr = addr_from_number(cover->family, first),
        .length = (uint8_t)(addr_width(cover->family) - bits),
    };
    return 0;
}

static int cover_span(struct cover *cover, struct span span)
{
    for (;;) {
        unsigned bits = number_trailing_zeros(span.first);
        if (bits > addr_width(cover->family))
            bits = addr_width(cover->family);
        struct addr_number end = number_or(span.first, number_mask(bits));
        while (number_less(span.last, end))
            end = number_or(span.first, number_mask(--bits));

        int status = cover_add(cover, span.first, bits);
        if (status < 0 || number_equal(end, span.last))
            return status;
        span.first = number_add(end, 1);
    }
}

int addr_set_prefixes(const struct addr_set *set, struct addr_prefix **ret_prefixes)
{
    struct cover cover = {.family = set->family};
    int status = 0;

    if (set->range_count == 0) {
        *ret_prefixes = NULL;
        return 0;
    }
    struct span *spans = calloc(set->range_count, sizeof(*spans));
    if (!spans)
        return -ENOMEM;
    for (size_t i = 0; i < set->range_count; i++)
        spans[i] = span_of_range(&set->ranges[i]);
    qsort(spans, set->range_count, sizeof(*spans), compare_spans);
    size_t span_count = join_spans(spans, set->range_count);
    for (size_t i = 0; i < span_count && status == 0; i++)
        status = cover_span(&cover, spans[i]);
    free(spans);
    if (status < 0) {
        free(cover.prefixes);
        return status;
    }
    *ret_prefixes = cover.prefixes;
    return (int)cover.count;
}
