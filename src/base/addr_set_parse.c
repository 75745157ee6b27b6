/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From text to a set, in steps that each see all parts: cut the text at its commas, parse each part
 * to its range of addresses, check the ranges against each other in the order of addresses, then
 * number them in the order of the text. Parts keep pointing into the text, so that every complaint
 * can quote what was written.
 */
#include "base/addr_set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr_number.h"
#include "base/error.h"
#include "base/macro.h"

/* A piece of the text, without blanks at its ends. */
struct slice {
    const char *text;
    size_t len;
};

struct part {
    struct slice slice;
    uint8_t family;
    bool skipped_before, skipped_after;
    struct addr_number first, last; /* inclusive */
};

/* Room for a quoted piece: enough for two IPv6 addresses, cut when longer. */
enum { QUOTE_MAX = 96, QUOTE_ROOM = QUOTE_MAX + 6 };

#define FORMS "give ADDR, ADDR/LEN or FIRST-LAST, separated by commas"

/* ---- pieces of text ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice slice_of(const char *text, const char *end)
{
    while (text < end && is_blank(*text))
        text++;
    while (text < end && is_blank(end[-1]))
        end--;
    return (struct slice){text, (size_t)(end - text)};
}

static const char *slice_end(struct slice slice)
{
    return slice.text + slice.len;
}

/* In double quotes, without control characters, cut when it is long. */
static const char *quote(struct slice slice, char buf[QUOTE_ROOM])
{
    size_t len = MIN(slice.len, (size_t)QUOTE_MAX);
    char *to = buf;

    *to++ = '"';
    for (size_t i = 0; i < len; i++) {
        char c = slice.text[i];
        *to++ = c >= 0x20 && c < 0x7F ? c : '?';
    }
    if (len < slice.len)
        to = (char *)mempcpy(to, "...", 3);
    *to++ = '"';
    *to = '\0';
    return buf;
}

static int refuse(struct slice slice, const char *why, struct peer_error *error)
{
    char quoted[QUOTE_ROOM];

    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s%s", quote(slice, quoted), why);
}

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "%s", error_text(ENOMEM));
}

static bool only_contains(struct slice slice, const char *set)
{
    for (size_t i = 0; i < slice.len; i++)
        if (!slice.text[i] || !strchr(set, slice.text[i]))
            return false;
    return true;
}

/* ---- one part ---- */

static int refuse_addr(struct slice slice, struct peer_error *error)
{
    if (slice.len == 0)
        return refuse(slice, " stands for an address; " FORMS, error);
    if (memchr(slice.text, '%', slice.len))
        return refuse(slice, " is no IPv6 address; zones (%NAME) are not allowed", error);
    if (memchr(slice.text, ':', slice.len))
        return refuse(slice, " is no IPv6 address; one looks like 2001:2::1", error);
    if (only_contains(slice, "0123456789."))
        return refuse(slice,
                      " is no IPv4 address; it takes four numbers of 0 to 255, "
                      "like 198.18.0.1",
                      error);
    return refuse(slice, " is no IP address; " FORMS, error);
}

static int parse_addr(struct slice slice, struct peer_addr *ret_addr, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (slice.len >= sizeof(text))
        return refuse_addr(slice, error);
    memcpy(text, slice.text, slice.len);
    text[slice.len] = '\0';
    if (peer_addr_parse(text, ret_addr) < 0)
        return refuse_addr(slice, error);
    return 0;
}

static void part_set(struct part *part, const struct peer_addr *first, const struct peer_addr *last)
{
    part->family = first->family;
    part->first = addr_number(first);
    part->last = addr_number(last);
}

static int parse_range(struct part *part, const char *dash, struct peer_error *error)
{
    struct peer_addr first, last;

    int status = parse_addr(slice_of(part->slice.text, dash), &first, error);
    if (status == 0)
        status = parse_addr(slice_of(dash + 1, slice_end(part->slice)), &last, error);
    if (status < 0)
        return status;
    if (first.family != last.family)
        return refuse(part->slice, ": range begins in one address family and ends in the other",
                      error);
    part_set(part, &first, &last);
    if (number_less(part->last, part->first))
        return refuse(part->slice, ": range ends before it starts", error);
    return 0;
}

/* Widens the part, a single address so far, to its prefix without the addresses no peer can
   have. */
static void part_widen(struct part *part, unsigned length)
{
    unsigned host_bits = addr_width(part->family) - length;
    struct addr_number mask = number_mask(host_bits);

    part->first = number_clear(part->first, mask);
    part->last = number_or(part->first, mask);
    if (host_bits < 2)
        return;
    part->first.low++;
    part->skipped_before = true;
    if (part->family == 4) {
        part->last.low--;
        part->skipped_after = true;
    }
}

static int parse_prefix(struct part *part, const char *slash, struct peer_error *error)
{
    struct slice length_text = slice_of(slash + 1, slice_end(part->slice));
    struct peer_addr addr;

    int status = parse_addr(slice_of(part->slice.text, slash), &addr, error);
    if (status < 0)
        return status;
    int length = prefix_length_parse(length_text.text, length_text.len, addr.family);
    if (length < 0)
        return refuse(
            part->slice,
            addr.family == 4 ? ": prefix length is 0 to 32" : ": prefix length is 0 to 128", error);
    part_set(part, &addr, &addr);
    part_widen(part, (unsigned)length);
    return 0;
}

/*
 * What no peer can be. Beyond the contract's list, these are sources that the kernel throws away
 * unseen (its "martians"), so a run would only time out.
 */
static const struct forbidden {
    struct addr_prefix prefix;
    const char *why;
} forbidden[] = {
    {{{4, {0}}, 32}, ": 0.0.0.0 stands for no address, so no peer can have it"},
    {{{4, {0}}, 8}, ": 0.0.0.0/8 is no sender's address, so no peer can have it"},
    {{{4, {127}}, 8}, ": 127.0.0.0/8 is loopback, so no peer can have it"},
    {{{4, {224}}, 4}, ": 224.0.0.0/4 is multicast, so no peer can have it"},
    {{{4, {255, 255, 255, 255}}, 32}, ": 255.255.255.255 is broadcast, so no peer can have it"},
    {{{6, {0}}, 128}, ": :: stands for no address, so no peer can have it"},
    {{{6, {[15] = 1}}, 128}, ": ::1 is loopback, so no peer can have it"},
    {{{6, {[10] = 0xFF, [11] = 0xFF}}, 96},
     ": ::ffff:0:0/96 stands for IPv4 addresses; give the IPv4 address itself"},
    {{{6, {0xFF}}, 8}, ": ff00::/8 is multicast, so no peer can have it"},
};

static int check_kind(const struct part *part, struct peer_error *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
        const struct addr_prefix *prefix = &forbidden[i].prefix;
        if (prefix->addr.family != part->family)
            continue;
        struct addr_number first = addr_number(&prefix->addr);
        struct addr_number mask = number_mask(addr_width(part->family) - prefix->length);
        if (!number_less(part->last, first) && !number_less(number_or(first, mask), part->first))
            return refuse(part->slice, forbidden[i].why, error);
    }
    return 0;
}

static int parse_part(struct part *part, struct peer_error *error)
{
    struct slice slice = part->slice;
    const char *slash = memchr(slice.text, '/', slice.len);
    const char *dash = memchr(slice.text, '-', slice.len);
    struct peer_addr addr;
    int status;

    if (slash && dash)
        return refuse(slice, " is both a prefix and a range; " FORMS, error);
    if (slash)
        status = parse_prefix(part, slash, error);
    else if (dash)
        status = parse_range(part, dash, error);
    else {
        status = parse_addr(slice, &addr, error);
        if (status == 0)
            part_set(part, &addr, &addr);
    }
    return status < 0 ? status : check_kind(part, error);
}

/* ---- all parts ---- */

static size_t count_parts(const char *text)
{
    size_t count = 1;

    while ((text = strchr(text, ',')) != NULL) {
        count++;
        text++;
    }
    return count;
}

static int parse_parts(const char *text, struct part *parts, size_t count, struct peer_error *error)
{
    struct slice whole = {text, strlen(text)};
    char quoted[QUOTE_ROOM], quoted_first[QUOTE_ROOM];

    for (size_t i = 0; i < count; i++) {
        struct part *part = &parts[i];
        const char *end = strchrnul(text, ',');
        part->slice = slice_of(text, end);
        if (part->slice.len == 0)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "part %zu of the list %s is empty; " FORMS, i + 1,
                             quote(whole, quoted));
        int status = parse_part(part, error);
        if (status < 0)
            return status;
        if (part->family != parts[0].family)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "%s is IPv%d but %s is IPv%d; all peers of a set are of one family",
                             quote(part->slice, quoted), part->family,
                             quote(parts[0].slice, quoted_first), parts[0].family);
        text = end + 1; /* past the end only after the last part */
    }
    return 0;
}

/* By first address; of two that begin alike, the one that was written first. */
static int compare_parts(const void *a, const void *b)
{
    const struct part *left = a, *right = b;

    if (!number_equal(left->first, right->first))
        return number_less(left->first, right->first) ? -1 : 1;
    return left->slice.text < right->slice.text ? -1 : 1;
}

static int check_overlap(const struct part *parts, size_t count, struct peer_error *error)
{
    int status = 0;

    if (count < 2)
        return 0;
    struct part *sorted = calloc(count, sizeof(*sorted));
    if (!sorted)
        return out_of_memory(error);
    memcpy(sorted, parts, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_parts);
    for (size_t i = 1; i < count && status == 0; i++) {
        const struct part *earlier = &sorted[i - 1], *later = &sorted[i];
        char quoted[QUOTE_ROOM], quoted_other[QUOTE_ROOM];
        if (number_less(earlier->last, later->first))
            continue;
        if (later->slice.text < earlier->slice.text) {
            earlier = &sorted[i];
            later = &sorted[i - 1];
        }
        status = error_set(error, PEER_ERROR_USAGE, EINVAL,
                           "%s overlaps %s; an address can be given only once",
                           quote(later->slice, quoted), quote(earlier->slice, quoted_other));
    }
    free(sorted);
    return status;
}

/* ---- the set ---- */

/* How many addresses the part has, or ADDR_SET_MAX if there are more. */
static uint64_t part_size(const struct part *part)
{
    struct addr_number size = number_subtract(part->last, part->first);

    return size.high || size.low >= ADDR_SET_MAX ? ADDR_SET_MAX : size.low + 1;
}

/* Whether `range`, which may be none, goes on with `part`. */
static bool range_continues(const struct addr_range *range, const struct part *part)
{
    return range && number_equal(number_add(addr_number(&range->last), 1), part->first);
}

static int number_parts(struct addr_set *set, const struct part *parts, size_t count,
                        struct peer_error *error)
{
    struct addr_range *range = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct part *part = &parts[i];
        if (set->count == ADDR_SET_MAX)
            return refuse(part->slice,
                          ": the parts before it have 2^32 addresses, the most a set "
                          "can hold",
                          error);
        if (!range_continues(range, part)) {
            range = &set->ranges[set->range_count++];
            *range = (struct addr_range){
                .first = addr_from_number(set->family, part->first),
                .skipped_before = part->skipped_before,
                .base = set->count,
            };
        }
        range->last = addr_from_number(set->family, part->last);
        range->skipped_after = part->skipped_after;
        set->count = MIN(set->count + part_size(part), ADDR_SET_MAX);
    }
    return 0;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct addr_range *left = a, *right = b;

    return number_less(addr_number(&left->first), addr_number(&right->first)) ? -1 : 1;
}

static bool in_order(const struct addr_set *set)
{
    for (size_t i = 1; i < set->range_count; i++)
        if (compare_ranges(&set->ranges[i - 1], &set->ranges[i]) > 0)
            return false;
    return true;
}

/* -ENOMEM. */
static int sort(struct addr_set *set)
{
    set->sorted = calloc(set->range_count, sizeof(*set->sorted));
    if (!set->sorted)
        return -ENOMEM;
    memcpy(set->sorted, set->ranges, set->range_count * sizeof(*set->sorted));
    qsort(set->sorted, set->range_count, sizeof(*set->sorted), compare_ranges);
    return 0;
}

/* What of `range` is in the slice; false: nothing. Addresses left out at its ends stay so. */
static bool cut_range(struct addr_range *range, uint64_t size, uint64_t first, uint64_t count)
{
    const uint64_t begin = MAX(first, range->base), end = MIN(first + count, range->base + size);
    const struct addr_number number = addr_number(&range->first);
    const uint8_t family = range->first.family;

    if (begin >= end)
        return false;
    range->skipped_before &= begin == range->base;
    range->skipped_after &= end == range->base + size;
    range->first = addr_from_number(family, number_add(number, begin - range->base));
    range->last = addr_from_number(family, number_add(number, end - 1 - range->base));
    range->base = begin - first;
    return true;
}

int addr_set_slice(struct addr_set *set, uint64_t first, uint64_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->range_count; i++) {
        struct addr_range range = set->ranges[i];
        uint64_t end = i + 1 < set->range_count ? set->ranges[i + 1].base : set->count;
        if (cut_range(&range, end - range.base, first, count))
            set->ranges[kept++] = range;
    }
    set->range_count = kept;
    set->count = count;
    free(set->sorted);
    set->sorted = NULL;
    return in_order(set) ? 0 : sort(set);
}

/* Fills `set`, which is empty; the caller ends it on failure too. */
static int build(struct addr_set *set, const struct part *parts, size_t count,
                 struct peer_error *error)
{
    set->family = parts[0].family;
    set->ranges = calloc(count, sizeof(*set->ranges));
    if (!set->ranges)
        return out_of_memory(error);
    int status = number_parts(set, parts, count, error);
    if (status < 0 || in_order(set))
        return status;

    return sort(set) < 0 ? out_of_memory(error) : 0;
}

int addr_set_parse(const char *text, struct addr_set *ret_set, struct peer_error *error)
{
    struct addr_set set = {0};

    assert(text);
    if (slice_of(text, text + strlen(text)).len == 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "no address given; " FORMS);
    size_t count = count_parts(text);
    struct part *parts = calloc(count, sizeof(*parts));
    if (!parts)
        return out_of_memory(error);

    int status = parse_parts(text, parts, count, error);
    if (status == 0)
        status = check_overlap(parts, count, error);
    if (status == 0)
        status = build(&set, parts, count, error);
    free(parts);
    if (status < 0) {
        addr_set_done(&set);
        return status;
    }
    *ret_set = set;
    return 0;
}
