/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of addresses: what their text means, what is refused and in which words, and two properties
 * over random sets: find is the inverse of at, and the prefixes cover the set exactly. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr_set.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/shard.h"

static struct addr_set set_of(const char *text)
{
    struct addr_set set;
    struct peer_error error = {0};
    if (addr_set_parse(text, &set, &error) != 0)
        fail_msg("%s: %s", text, error.text);
    return set;
}

static struct peer_addr addr(const char *text)
{
    struct peer_addr result;
    if (peer_addr_parse(text, &result) != 0)
        fail_msg("%s does not parse", text);
    return result;
}

static void expect_at(const struct addr_set *set, uint64_t index, const char *expected)
{
    char buf[PEER_ADDR_TEXT];
    struct peer_addr found = addr_set_at(set, index);
    assert_string_equal(peer_addr_format(&found, buf), expected);
    assert_int_equal(addr_set_find(set, &found), (int64_t)index);
}

static void expect_absent(const struct addr_set *set, const char *text)
{
    struct peer_addr absent = addr(text);
    assert_int_equal(addr_set_find(set, &absent), -1);
}

static void every_form_gives_its_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t count;
        const char *first, *last, *before, *after;
    } cases[] = {
        {"198.18.0.1", 1, "198.18.0.1", "198.18.0.1", "198.18.0.0", "198.18.0.2"},
        {"198.18.0.7-198.18.1.6", 256, "198.18.0.7", "198.18.1.6", "198.18.0.6", "198.18.1.7"},
        {"198.18.0.7-198.18.0.7", 1, "198.18.0.7", "198.18.0.7", "198.18.0.6", "198.18.0.8"},
        {"198.18.0.0/24", 254, "198.18.0.1", "198.18.0.254", "198.18.0.0", "198.18.0.255"},
        {"198.18.0.77/24", 254, "198.18.0.1", "198.18.0.254", "198.18.0.0", "198.18.0.255"},
        {"198.18.0.0/15", 131070, "198.18.0.1", "198.19.255.254", "198.18.0.0", "198.19.255.255"},
        {"198.18.0.0/30", 2, "198.18.0.1", "198.18.0.2", "198.18.0.0", "198.18.0.3"},
        {"198.18.0.0/31", 2, "198.18.0.0", "198.18.0.1", "198.17.255.255", "198.18.0.2"},
        {"198.18.0.9/32", 1, "198.18.0.9", "198.18.0.9", "198.18.0.8", "198.18.0.10"},
        {"240.0.0.0/4", 268435454, "240.0.0.1", "255.255.255.254", "240.0.0.0", "255.255.255.255"},
        {"2001:2::1", 1, "2001:2::1", "2001:2::1", "2001:2::", "2001:2::2"},
        {"2001:2::/126", 3, "2001:2::1", "2001:2::3", "2001:2::", "2001:2::4"},
        {"2001:2::/127", 2, "2001:2::", "2001:2::1", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff",
         "2001:2::2"},
        {"2001:2::ffff-2001:2::1:0", 2, "2001:2::ffff", "2001:2::1:0", "2001:2::fffe",
         "2001:2::1:1"},
        {"2001:2::ffff:ffff:ffff:fffe-2001:2:0:1::2", 5, "2001:2::ffff:ffff:ffff:fffe",
         "2001:2:0:1::2", "2001:2::ffff:ffff:ffff:fffd", "2001:2:0:1::3"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct addr_set set = set_of(cases[i].text);
        assert_int_equal(set.count, cases[i].count);
        expect_at(&set, 0, cases[i].first);
        expect_at(&set, cases[i].count - 1, cases[i].last);
        expect_absent(&set, cases[i].before);
        expect_absent(&set, cases[i].after);
        expect_absent(&set, set.family == 4 ? "::5" : "1.2.3.4");
        addr_set_done(&set);
    }
}

static void indexes_follow_the_text_and_not_the_addresses(void **state)
{
    (void)state;
    struct addr_set set = set_of(" 198.18.9.1 ,198.18.0.0/30,\t198.18.5.1 - 198.18.5.3,198.18.0.9");
    static const char *const expected[] = {"198.18.9.1", "198.18.0.1", "198.18.0.2", "198.18.5.1",
                                           "198.18.5.2", "198.18.5.3", "198.18.0.9"};
    assert_int_equal(set.count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        expect_at(&set, i, expected[i]);
    expect_absent(&set, "198.18.0.0");
    expect_absent(&set, "198.18.0.3");
    expect_absent(&set, "198.18.9.2");
    expect_absent(&set, "198.18.4.255");
    addr_set_done(&set);
}

static void parts_in_a_row_become_one_range(void **state)
{
    (void)state;
    struct addr_set set = set_of("198.18.0.1,198.18.0.2,198.18.0.3-198.18.0.9");
    assert_int_equal(set.range_count, 1);
    assert_int_equal(set.count, 9);
    addr_set_done(&set);
    set = set_of("198.18.0.2,198.18.0.1");
    assert_int_equal(set.range_count, 2);
    expect_at(&set, 0, "198.18.0.2");
    addr_set_done(&set);
}

static void a_left_out_address_may_be_given_on_its_own(void **state)
{
    (void)state;
    struct addr_set set = set_of("198.18.0.0/24,198.18.0.0,198.18.0.255");
    assert_int_equal(set.count, 256);
    expect_at(&set, 0, "198.18.0.1");
    expect_at(&set, 254, "198.18.0.0");
    expect_at(&set, 255, "198.18.0.255");
    addr_set_done(&set);
}

static void a_64_is_capped_but_covered_whole(void **state)
{
    (void)state;
    struct addr_set set = set_of("2001:2:0:7::/64");
    struct addr_prefix *prefixes;
    assert_int_equal(set.range_count, 1);
    assert_true(set.count == ADDR_SET_MAX);
    expect_at(&set, 0, "2001:2:0:7::1");
    expect_at(&set, ADDR_SET_MAX - 1, "2001:2:0:7:0:1::");
    expect_absent(&set, "2001:2:0:7::1:0:1");
    expect_absent(&set, "2001:2:0:7:ffff:ffff:ffff:ffff");
    assert_int_equal(addr_set_prefixes(&set, &prefixes), 1);
    assert_int_equal(prefixes[0].length, 64);
    free(prefixes);
    addr_set_done(&set);

    set = set_of("3001::1,2001:2::/16");
    assert_true(set.count == ADDR_SET_MAX);
    expect_at(&set, 0, "3001::1");
    expect_at(&set, ADDR_SET_MAX - 1, "2001::ffff:ffff");
    addr_set_done(&set);
}

struct refusal {
    const char *text, *begins;
};

static void expect_refusals(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct refusal *refusal = &refusals[i];
        struct addr_set set = {.count = 77};
        struct peer_error error = {0};
        assert_int_equal(addr_set_parse(refusal->text, &set, &error), -EINVAL);
        if (strncmp(error.text, refusal->begins, strlen(refusal->begins)) != 0)
            fail_msg("%s -> %s, not %s", refusal->text, error.text, refusal->begins);
        assert_int_equal(error.code, EINVAL);
        assert_int_equal(error.kind, PEER_ERROR_USAGE);
        assert_int_equal(set.count, 77);
        assert_int_equal(addr_set_parse(refusal->text, &set, NULL), -EINVAL);
    }
}

static void refusals_name_the_part_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"198.18.0.300", "\"198.18.0.300\" is no IPv4 address; it takes four numbers of 0 to 255"},
        {"198.18.0.1,198.18.0", "\"198.18.0\" is no IPv4 address; "},
        {"198.18.0.1-9", "\"9\" is no IPv4 address; "},
        {"2001:2::g", "\"2001:2::g\" is no IPv6 address; "},
        {"fe80::1%eth0", "\"fe80::1%eth0\" is no IPv6 address; zones"},
        {"localhost", "\"localhost\" is no IP address; give ADDR, ADDR/LEN or FIRST-LAST"},
        {"198.18.0.0/33", "\"198.18.0.0/33\": prefix length is 0 to 32"},
        {"198.18.0.0/", "\"198.18.0.0/\": prefix length is 0 to 32"},
        {"198.18.0.0/+8", "\"198.18.0.0/+8\": prefix length is 0 to 32"},
        {"198.18.0.0/24/24", "\"198.18.0.0/24/24\": prefix length is 0 to 32"},
        {"2001:2::/129", "\"2001:2::/129\": prefix length is 0 to 128"},
        {"/24", "\"\" stands for an address; give ADDR"},
        {"-198.18.0.1", "\"\" stands for an address; give ADDR"},
        {"198.18.0.2-198.18.0.1", "\"198.18.0.2-198.18.0.1\": range ends before it starts"},
        {"198.18.0.2-2001:2::1",
         "\"198.18.0.2-2001:2::1\": range begins in one address family and ends in the other"},
        {"198.18.0.0/24-198.18.0.9", "\"198.18.0.0/24-198.18.0.9\" is both a prefix and a range; "},
        {"198.18.0.1,2001:2::1", "\"2001:2::1\" is IPv6 but \"198.18.0.1\" is IPv4; all peers"},
        {"198.18.0.0/24,198.18.0.7",
         "\"198.18.0.7\" overlaps \"198.18.0.0/24\"; an address can be given only once"},
        {"198.18.0.7,198.18.9.9,198.18.0.0/24", "\"198.18.0.0/24\" overlaps \"198.18.0.7\"; "},
        {"198.18.0.7,198.18.0.7", "\"198.18.0.7\" overlaps \"198.18.0.7\"; "},
        {"2001:2::/32,2001:2:0:1::/64", "\"2001:2:0:1::/64\" overlaps \"2001:2::/32\"; "},
        {"", "no address given; give ADDR"},
        {" \t", "no address given; "},
        {",", "part 1 of the list \",\" is empty; give ADDR"},
        {"198.18.0.1,,198.18.0.2", "part 2 of the list \"198.18.0.1,,198.18.0.2\" is empty; "},
        {"198.18.0.1, ", "part 2 of the list \"198.18.0.1, \" is empty; "},
        {"2001:2::/64,2001:3::1",
         "\"2001:3::1\": the parts before it have 2^32 addresses, the most a set can hold"},
        {"198.18.0.1\n", "\"198.18.0.1?\" is no IP address; "},
    };

    expect_refusals(refusals, ARRAY_SIZE(refusals));
}

static void addresses_that_no_peer_can_have_are_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"224.0.0.1", "\"224.0.0.1\": 224.0.0.0/4 is multicast, so no peer can have it"},
        {"223.0.0.0-225.0.0.0", "\"223.0.0.0-225.0.0.0\": 224.0.0.0/4 is multicast"},
        {"ff02::1", "\"ff02::1\": ff00::/8 is multicast, "},
        {"127.0.0.1", "\"127.0.0.1\": 127.0.0.0/8 is loopback, "},
        {"126.0.0.0/7", "\"126.0.0.0/7\": 127.0.0.0/8 is loopback, "},
        {"::1", "\"::1\": ::1 is loopback, "},
        {"0.0.0.0", "\"0.0.0.0\": 0.0.0.0 stands for no address, "},
        {"0.0.0.0/0", "\"0.0.0.0/0\": 0.0.0.0/8 is no sender's address, "},
        {"::", "\"::\": :: stands for no address, "},
        {"::/0", "\"::/0\": ::1 is loopback, "},
        {"::ffff:198.18.0.1", "\"::ffff:198.18.0.1\": ::ffff:0:0/96 stands for IPv4 addresses; "},
        {"255.255.255.255", "\"255.255.255.255\": 255.255.255.255 is broadcast, "},
    };

    expect_refusals(refusals, ARRAY_SIZE(refusals));
}

static void a_set_can_be_ended_twice(void **state)
{
    (void)state;
    struct addr_set set = set_of("198.18.0.9,198.18.0.1");
    struct peer_addr member = addr("198.18.0.9");
    addr_set_done(&set);
    addr_set_done(&set);
    addr_set_done(NULL);
    assert_int_equal(set.count, 0);
    assert_int_equal(addr_set_find(&set, &member), -1);
}

/* ---- prefixes ---- */

static void expect_prefixes(const char *text, const char *expected)
{
    struct addr_set set = set_of(text);
    struct addr_prefix *prefixes;
    char written[1024] = "";
    int count = addr_set_prefixes(&set, &prefixes);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        char buf[PEER_ADDR_TEXT];
        size_t len = strlen(written);
        snprintf(written + len, sizeof(written) - len, "%s%s/%d", i ? " " : "",
                 peer_addr_format(&prefixes[i].addr, buf), prefixes[i].length);
    }
    assert_string_equal(written, expected);
    free(prefixes);
    addr_set_done(&set);
}

static void prefixes_are_the_shortest_list(void **state)
{
    (void)state;
    expect_prefixes("198.18.0.0/15", "198.18.0.0/15");
    expect_prefixes("198.18.0.0/30", "198.18.0.0/30");
    expect_prefixes("198.18.0.5", "198.18.0.5/32");
    expect_prefixes("198.18.0.0/24,198.18.1.0/24", "198.18.0.0/23");
    expect_prefixes("198.18.1.0/24,198.18.0.0/24", "198.18.0.0/23");
    expect_prefixes("198.18.0.0/24,198.18.0.255,198.18.0.0", "198.18.0.0/24");
    expect_prefixes("198.18.0.0-198.18.0.255", "198.18.0.0/24");
    expect_prefixes("198.18.0.1-198.18.0.6",
                    "198.18.0.1/32 198.18.0.2/31 198.18.0.4/31 198.18.0.6/32");
    expect_prefixes("240.0.0.0/4", "240.0.0.0/4");
    expect_prefixes("128.0.0.0/2,192.0.0.0/3", "128.0.0.0/2 192.0.0.0/3");
    expect_prefixes("2001:2::/48", "2001:2::/48");
    expect_prefixes("2001:2::/127", "2001:2::/127");
    expect_prefixes("2001:2::-2001:2:0:0:ffff:ffff:ffff:ffff", "2001:2::/64");
    expect_prefixes("2001:2::ffff:ffff:ffff:ffff-2001:2:0:1::",
                    "2001:2::ffff:ffff:ffff:ffff/128 2001:2:0:1::/128");
}

static void too_many_prefixes_are_refused(void **state)
{
    (void)state;
    /* Every other address: no two share a prefix. */
    char *text = malloc(4097 * 16), *to = text;
    assert_non_null(text);
    for (unsigned i = 0; i < 4097; i++)
        to += sprintf(to, "%s198.18.%u.%u", i ? "," : "", 2 * i >> 8, 2 * i & 255);
    struct addr_set set = set_of(text);
    struct addr_prefix *prefixes = NULL;
    assert_int_equal(addr_set_prefixes(&set, &prefixes), -E2BIG);
    assert_null(prefixes);
    addr_set_done(&set);

    *strrchr(text, ',') = '\0';
    set = set_of(text);
    assert_int_equal(addr_set_prefixes(&set, &prefixes), ADDR_PREFIXES_MAX);
    free(prefixes);
    addr_set_done(&set);
    free(text);
}

/* ---- properties over random sets ---- */

/* Random sets live in a window of 4096 addresses; v6 ones around a carry between the two words. */
enum { WINDOW = 4096, PARTS_MAX = 40 };

static struct peer_addr window_addr(uint8_t family, unsigned offset)
{
    struct peer_addr result = addr(family == 4 ? "198.18.0.0" : "2001:2:0:5:ffff:ffff:ffff:f800");
    for (int i = family == 4 ? 3 : 15; offset; i--) {
        offset += result.bytes[i];
        result.bytes[i] = (uint8_t)offset;
        offset >>= 8;
    }
    return result;
}

struct model {
    uint8_t family;
    bool member[WINDOW], optional[WINDOW];
    uint64_t count;
};

/* Appends a part that overlaps nothing, or appends nothing. */
static void add_random_part(struct rng *rng, struct model *model, char *text, size_t room)
{
    char first_text[PEER_ADDR_TEXT], last_text[PEER_ADDR_TEXT];
    unsigned bits = (unsigned)rng_below(rng, 9), kind = (unsigned)rng_below(rng, 3);
    unsigned start = (unsigned)rng_below(rng, WINDOW), end = start;
    bool skip_first = false, skip_last = false;
    size_t len = strlen(text);

    if (kind == 1) {
        end = start + (unsigned)rng_below(rng, MIN(200, WINDOW - start));
    } else if (kind == 2) {
        start &= ~((1U << bits) - 1);
        end = start + (1U << bits) - 1;
        skip_first = bits >= 2;
        skip_last = bits >= 2 && model->family == 4;
    }
    for (unsigned i = start + skip_first; i <= end - skip_last; i++)
        if (model->member[i])
            return;
    for (unsigned i = start + skip_first; i <= end - skip_last; i++)
        model->member[i] = true;
    model->optional[start] |= skip_first;
    model->optional[end] |= skip_last;
    model->count += end - skip_last - (start + skip_first) + 1;

    struct peer_addr first = window_addr(model->family, start);
    struct peer_addr last = window_addr(model->family, end);
    peer_addr_format(&first, first_text);
    peer_addr_format(&last, last_text);
    const char *comma = len ? "," : "";
    if (kind == 0)
        snprintf(text + len, room - len, "%s%s", comma, first_text);
    else if (kind == 1)
        snprintf(text + len, room - len, "%s%s-%s", comma, first_text, last_text);
    else
        snprintf(text + len, room - len, "%s%s/%u", comma, first_text,
                 (model->family == 4 ? 32 : 128) - bits);
}

static void check_indexes(const struct addr_set *set, const struct model *model)
{
    uint64_t members = 0;
    assert_int_equal(set->count, model->count);
    for (uint64_t i = 0; i < set->count; i++) {
        struct peer_addr at = addr_set_at(set, i);
        assert_int_equal(addr_set_find(set, &at), (int64_t)i);
    }
    for (unsigned i = 0; i < WINDOW; i++) {
        struct peer_addr candidate = window_addr(model->family, i);
        int64_t index = addr_set_find(set, &candidate);
        assert_int_equal(index >= 0, model->member[i]);
        members += index >= 0;
    }
    assert_int_equal(members, model->count);
}

/* The shortest cover of the window with members and optional addresses, by plain recursion. */
static unsigned shortest_cover(const struct model *model, unsigned start, unsigned size)
{
    bool any = false, whole = true;
    for (unsigned i = start; i < start + size; i++) {
        any |= model->member[i];
        whole &= model->member[i] || model->optional[i];
    }
    if (!any)
        return 0;
    if (whole)
        return 1;
    return shortest_cover(model, start, size / 2) +
           shortest_cover(model, start + size / 2, size / 2);
}

static void check_cover(const struct addr_set *set, const struct model *model)
{
    struct addr_prefix *prefixes;
    int count = addr_set_prefixes(set, &prefixes);
    assert_true(count > 0);
    for (unsigned i = 0; i < WINDOW; i++) {
        struct peer_addr candidate = window_addr(model->family, i);
        int covering = 0;
        for (int j = 0; j < count; j++)
            covering += addr_prefix_contains(&prefixes[j], &candidate);
        assert_true(covering <= 1);
        if (model->member[i])
            assert_int_equal(covering, 1);
        else if (!model->optional[i])
            assert_int_equal(covering, 0);
    }
    uint64_t covered = 0;
    for (int j = 0; j < count; j++)
        covered += UINT64_C(1) << ((model->family == 4 ? 32 : 128) - prefixes[j].length);
    assert_true(covered >= model->count && covered <= WINDOW);
    /* The IPv6 window is two half blocks; no set here fills the whole IPv4 window. */
    assert_int_equal(count, shortest_cover(model, 0, WINDOW / 2) +
                                shortest_cover(model, WINDOW / 2, WINDOW / 2));
    free(prefixes);
}

static void random_sets_are_indexed_and_covered_exactly(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 3);
    for (int round = 0; round < 200; round++) {
        struct model model = {.family = round & 1 ? 4 : 6};
        char text[PARTS_MAX * (2 * PEER_ADDR_TEXT + 2)] = "";
        uint64_t parts = 1 + rng_below(&rng, PARTS_MAX);
        for (uint64_t i = 0; i < parts; i++)
            add_random_part(&rng, &model, text, sizeof(text));
        struct addr_set set = set_of(text);
        check_indexes(&set, &model);
        check_cover(&set, &model);
        addr_set_done(&set);
    }
}

/* ---- anything at all ---- */

static char *exact_copy(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

/* Pieces of sense in random order: gets deeper than random bytes. */
static size_t random_list(struct rng *rng, char *text, size_t room)
{
    static const char *const pieces[] = {
        "198.18.0.1",
        "198.18.",
        "0",
        "255",
        ".",
        ",",
        "-",
        "/",
        "/24",
        "/0",
        "/32",
        "/128",
        ":",
        "::",
        "2001:2::",
        "2001:2::1",
        "ffff",
        "%",
        " ",
        "\t",
        "\n",
        "\xff",
        "1",
        "9",
        "300",
        "198.18.0.0-198.18.0.9",
        "10.0.0.0/8",
        "fe80::1",
        "::ffff:",
        "/64",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
    };
    size_t len = 0;
    uint64_t count = rng_below(rng, 12);
    for (uint64_t i = 0; i < count; i++) {
        const char *piece = pieces[rng_below(rng, ARRAY_SIZE(pieces))];
        size_t size = strlen(piece);
        if (len + size >= room)
            break;
        memcpy(text + len, piece, size);
        len += size;
    }
    return len;
}

static void check_any_text(const char *text, struct rng *rng)
{
    struct addr_set set;
    struct peer_error error = {0};
    if (addr_set_parse(text, &set, &error) < 0) {
        assert_int_equal(error.code, EINVAL);
        assert_true(strlen(error.text) > 0 && strlen(error.text) < sizeof(error.text) - 1);
        assert_null(strpbrk(error.text, "\r\n"));
        return;
    }
    assert_true(set.count > 0 && set.count <= ADDR_SET_MAX);
    for (int i = 0; i < 5; i++) {
        uint64_t index = i == 0 ? 0 : i == 1 ? set.count - 1 : rng_below(rng, set.count);
        struct peer_addr at = addr_set_at(&set, index);
        assert_int_equal(addr_set_find(&set, &at), (int64_t)index);
        assert_false(addr_is_multicast(&at) || addr_is_loopback(&at) || addr_is_unspecified(&at));
    }
    struct addr_prefix *prefixes;
    int count = addr_set_prefixes(&set, &prefixes);
    assert_true(count > 0 && count <= ADDR_PREFIXES_MAX);
    struct peer_addr first = addr_set_at(&set, 0);
    int covering = 0;
    for (int i = 0; i < count; i++)
        covering += addr_prefix_contains(&prefixes[i], &first);
    assert_int_equal(covering, 1);
    free(prefixes);
    addr_set_done(&set);
}

static void any_text_gives_a_sound_set_or_one_line(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 4);
    for (int i = 0; i < 100000; i++) {
        char text[1024];
        size_t len;
        if (i & 1) {
            len = random_list(&rng, text, sizeof(text));
        } else {
            static const char alphabet[] = "0123456789.:,-/af %\n\x80";
            len = rng_below(&rng, 40);
            for (size_t j = 0; j < len; j++)
                text[j] = alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        }
        char *copy = exact_copy(text, len);
        check_any_text(copy, &rng);
        struct addr_prefix prefix;
        struct peer_addr parsed;
        if (peer_addr_parse(copy, &parsed) == 0)
            assert_int_equal(addr_prefix_parse(copy, &prefix), 0);
        free(copy);
    }
}

/* Slices have the addresses that the whole has at these places, and cover it together. */
static void slices_are_parts(void **state)
{
    static const char *const texts[] = {
        "198.18.0.0/24", "198.18.0.7-198.18.1.6,198.18.5.0/28,198.18.4.1", "2001:2::/112",
        "198.18.9.9,198.18.9.1,198.18.9.5", "10.0.0.0/8"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        for (uint64_t shards = 1; shards <= 3; shards++) {
            struct addr_set whole = set_of(texts[i]);
            for (uint64_t shard = 0; shard < shards; shard++) {
                uint64_t first = shard_begin(whole.count, shard, shards);
                uint64_t count = shard_begin(whole.count, shard + 1, shards) - first;
                struct addr_set slice = set_of(texts[i]);
                assert_int_equal(addr_set_slice(&slice, first, count), 0);
                assert_int_equal(slice.count, count);
                for (uint64_t at = 0; at < count; at += 1 + count / 100) {
                    struct peer_addr expected = addr_set_at(&whole, first + at);
                    struct peer_addr found = addr_set_at(&slice, at);
                    assert_true(peer_addr_equal(&expected, &found));
                    assert_int_equal(addr_set_find(&slice, &expected), (int64_t)at);
                }
                struct peer_addr outside = addr_set_at(&whole, (first + count) % whole.count);
                if (shards > 1)
                    assert_int_equal(addr_set_find(&slice, &outside), -1);
                assert_true(addr_set_overlap(&whole, &slice));
                addr_set_done(&slice);
            }
            addr_set_done(&whole);
        }
    }
}

static void text_of_a_set(void **state)
{
    static const struct {
        const char *text, *formatted;
    } rows[] = {{"198.18.0.0/24", "198.18.0.1-198.18.0.254"},
                {"198.18.0.9,198.18.0.1-198.18.0.3", "198.18.0.9,198.18.0.1-198.18.0.3"},
                {"2001:2::1", "2001:2::1"},
                {"198.18.0.1,198.18.0.3,198.18.0.5,198.18.0.7", ""}};
    char text[40];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct addr_set set = set_of(rows[i].text);
        addr_set_format(&set, text, sizeof(text));
        assert_string_equal(text, rows[i].formatted);
        addr_set_done(&set);
    }
}

static void sets_that_share_addresses(void **state)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } rows[] = {{"198.18.0.0/24", "198.18.0.254", true},
                {"198.18.0.0/24", "198.18.1.0/24", false},
                {"198.18.0.1-198.18.0.5,198.18.0.9", "198.18.0.6-198.18.0.9", true},
                {"198.18.0.1-198.18.0.5,198.18.0.9", "198.18.0.6-198.18.0.8", false},
                {"2001:2::1", "198.18.0.1", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct addr_set a = set_of(rows[i].a), b = set_of(rows[i].b);
        assert_int_equal(addr_set_overlap(&a, &b), rows[i].overlap);
        assert_int_equal(addr_set_overlap(&b, &a), rows[i].overlap);
        addr_set_done(&a);
        addr_set_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_its_addresses),
        cmocka_unit_test(slices_are_parts),
        cmocka_unit_test(text_of_a_set),
        cmocka_unit_test(sets_that_share_addresses),
        cmocka_unit_test(indexes_follow_the_text_and_not_the_addresses),
        cmocka_unit_test(parts_in_a_row_become_one_range),
        cmocka_unit_test(a_left_out_address_may_be_given_on_its_own),
        cmocka_unit_test(a_64_is_capped_but_covered_whole),
        cmocka_unit_test(refusals_name_the_part_and_what_is_allowed),
        cmocka_unit_test(addresses_that_no_peer_can_have_are_refused),
        cmocka_unit_test(a_set_can_be_ended_twice),
        cmocka_unit_test(prefixes_are_the_shortest_list),
        cmocka_unit_test(too_many_prefixes_are_refused),
        cmocka_unit_test(random_sets_are_indexed_and_covered_exactly),
        cmocka_unit_test(any_text_gives_a_sound_set_or_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
