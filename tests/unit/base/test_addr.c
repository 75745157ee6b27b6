/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and Ethernet addresses, to text and back; prefixes; the words of errors. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr_set.h"
#include "base/error.h"
#include "base/macro.h"
#include "base/rng.h"

static struct peer_addr addr(const char *text)
{
    struct peer_addr result;
    if (peer_addr_parse(text, &result) != 0)
        fail_msg("%s does not parse", text);
    return result;
}

static struct peer_mac mac(const char *text)
{
    struct peer_mac result;
    if (peer_mac_parse(text, &result) != 0)
        fail_msg("%s does not parse", text);
    return result;
}

static struct addr_prefix prefix(const char *text)
{
    struct addr_prefix result;
    if (addr_prefix_parse(text, &result) != 0)
        fail_msg("%s does not parse", text);
    return result;
}

static void addresses_are_written_in_canonical_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"198.18.0.1", "198.18.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"2001:DB8::1", "2001:db8::1"},
        {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"::", "::"},
        {"::1", "::1"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char buf[PEER_ADDR_TEXT];
        struct peer_addr parsed = addr(cases[i][0]);
        assert_ptr_equal(peer_addr_format(&parsed, buf), buf);
        assert_string_equal(buf, cases[i][1]);
    }
}

static void bad_addresses_are_refused_and_leave_the_output_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "198.18.0.300",
        "01.2.3.4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.-4",
        "0x1.2.3.4",
        "localhost",
        "1.2.3.4/8",
        "::1%lo",
        "fe80::1%1",
        "[::1]",
        ":::",
        "1::2::3",
        "12345::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "g::",
        "::1:",
        "1.2.3.4:80",
    };
    struct peer_addr untouched = {.family = 9, .bytes = {1, 2, 3}}, result = untouched;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (peer_addr_parse(bad[i], &result) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&result, &untouched, sizeof(result));
    }
    assert_int_equal(peer_addr_parse(NULL, &result), -EINVAL);
}

static void no_address_is_written_as_none(void **state)
{
    (void)state;
    struct peer_addr none = {0};
    char buf[PEER_ADDR_TEXT], endpoint[PEER_ENDPOINT_TEXT];
    assert_string_equal(peer_addr_format(&none, buf), "none");
    assert_string_equal(peer_endpoint_format(&none, 80, endpoint), "none:80");
}

static void endpoints_put_ipv6_in_brackets(void **state)
{
    (void)state;
    char buf[PEER_ENDPOINT_TEXT];
    struct peer_addr v4 = addr("192.0.2.1"), v6 = addr("2001:db8::1");
    struct peer_addr longest = addr("1111:2222:3333:4444:5555:6666:7777:8888");
    assert_string_equal(peer_endpoint_format(&v4, 80, buf), "192.0.2.1:80");
    assert_string_equal(peer_endpoint_format(&v6, 0, buf), "[2001:db8::1]:0");
    assert_string_equal(peer_endpoint_format(&longest, 65535, buf),
                        "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

static void equality_needs_the_same_family(void **state)
{
    (void)state;
    struct peer_addr a = addr("1.2.3.4"), b = addr("1.2.3.4"), c = addr("1.2.3.5");
    struct peer_addr d = addr("102:304::"); /* the same first bytes as a */
    struct peer_addr none = {0}, zero = addr("0.0.0.0");
    assert_true(peer_addr_equal(&a, &b));
    assert_false(peer_addr_equal(&a, &c));
    assert_false(peer_addr_equal(&a, &d));
    assert_false(peer_addr_equal(&none, &zero));
}

static void kinds_of_addresses_end_where_the_rfcs_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, multicast, unspecified, link_local;
    } cases[] = {
        {"126.255.255.255", 0, 0, 0, 0},
        {"127.0.0.0", 1, 0, 0, 0},
        {"127.255.255.255", 1, 0, 0, 0},
        {"128.0.0.0", 0, 0, 0, 0},
        {"0.0.0.0", 0, 0, 1, 0},
        {"0.0.0.1", 0, 0, 0, 0},
        {"223.255.255.255", 0, 0, 0, 0},
        {"224.0.0.0", 0, 1, 0, 0},
        {"239.255.255.255", 0, 1, 0, 0},
        {"240.0.0.0", 0, 0, 0, 0},
        {"169.254.0.0", 0, 0, 0, 1},
        {"169.255.0.0", 0, 0, 0, 0},
        {"::", 0, 0, 1, 0},
        {"::1", 1, 0, 0, 0},
        {"::2", 0, 0, 0, 0},
        {"feff::", 0, 0, 0, 0},
        {"ff00::", 0, 1, 0, 0},
        {"fe80::1", 0, 0, 0, 1},
        {"febf::1", 0, 0, 0, 1},
        {"fec0::1", 0, 0, 0, 0},
        {"fe7f::1", 0, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer_addr a = addr(cases[i].text);
        assert_int_equal(addr_is_loopback(&a), cases[i].loopback);
        assert_int_equal(addr_is_multicast(&a), cases[i].multicast);
        assert_int_equal(addr_is_unspecified(&a), cases[i].unspecified);
        assert_int_equal(addr_is_link_local(&a), cases[i].link_local);
    }
    struct peer_addr none = {0};
    assert_false(addr_is_unspecified(&none) || addr_is_loopback(&none) || addr_is_multicast(&none));
}

static void macs_are_taken_with_either_separator(void **state)
{
    (void)state;
    char buf[PEER_MAC_TEXT];
    struct peer_mac colons = mac("02:00:5e:AB:cd:01"), dashes = mac("02-00-5E-ab-CD-01");
    assert_memory_equal(&colons, &dashes, sizeof(colons));
    assert_string_equal(peer_mac_format(&colons, buf), "02:00:5e:ab:cd:01");
}

static void bad_macs_are_refused_and_leave_the_output_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:1",
        "02:00:00:00:00:001",
        "02:00:00:00:00:0g",
        "02:00-00:00:00:01",
        "020000000001",
        "02.00.00.00.00.01",
        "02:00:00:00:00:01:",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        " 2:00:00:00:00:01",
    };
    struct peer_mac untouched = {{9, 9, 9, 9, 9, 9}}, result = untouched;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (peer_mac_parse(bad[i], &result) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&result, &untouched, sizeof(result));
    }
    assert_int_equal(peer_mac_parse(NULL, &result), -EINVAL);
}

static void macs_count_in_their_lower_40_bits(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        uint64_t n;
        const char *to;
    } cases[] = {
        {"02:00:00:00:00:01", 0, "02:00:00:00:00:01"},
        {"02:00:00:00:00:ff", 1, "02:00:00:00:01:00"},
        {"02:00:00:00:00:01", 65535, "02:00:00:01:00:00"},
        {"02:ff:ff:ff:ff:ff", 1, "02:00:00:00:00:00"},
        {"02:00:00:00:00:02", (UINT64_C(1) << 40) - 1, "02:00:00:00:00:01"},
        {"02:00:00:00:00:05", UINT64_MAX, "02:00:00:00:00:04"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char buf[PEER_MAC_TEXT];
        struct peer_mac sum = mac_add(mac(cases[i].from), cases[i].n);
        assert_string_equal(peer_mac_format(&sum, buf), cases[i].to);
    }
}

static void prefixes_keep_their_host_bits(void **state)
{
    (void)state;
    struct addr_prefix parsed = prefix("198.18.0.5/15");
    struct peer_addr v4 = addr("198.18.0.5"), v6 = addr("2001:2::1");
    assert_true(peer_addr_equal(&parsed.addr, &v4));
    assert_int_equal(parsed.length, 15);
    assert_int_equal(prefix("198.18.0.5").length, 32);
    assert_int_equal(prefix("0.0.0.0/0").length, 0);
    parsed = prefix("2001:2::1");
    assert_true(peer_addr_equal(&parsed.addr, &v6));
    assert_int_equal(parsed.length, 128);
    assert_int_equal(prefix("2001:2::1/48").length, 48);
}

static void bad_prefixes_are_refused_and_leave_the_output_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "/24",
        "1.2.3.4/",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/+1",
        "1.2.3.4/ 1",
        "1.2.3.4/1 ",
        "1.2.3.4/01",
        "1.2.3.4/1/2",
        "1.2.3.4/0x8",
        "::/129",
        "::/999999999999",
        "1.2.3/8",
        "::1%lo/64",
        "1.2.3.4/4294967296",
    };
    struct addr_prefix result = {.length = 77};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (addr_prefix_parse(bad[i], &result) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(result.length, 77);
    }
    assert_int_equal(addr_prefix_parse(NULL, &result), -EINVAL);
}

static void prefixes_contain_and_overlap_by_their_network_bits(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool contains, overlap; /* contains: a contains the address of b */
    } cases[] = {
        {"198.18.0.0/15", "198.19.255.255", 1, 1},
        {"198.18.0.0/15", "198.20.0.0", 0, 0},
        {"198.18.0.9/24", "198.18.0.0/16", 1, 1},
        {"198.18.1.0/24", "198.18.0.0/16", 0, 1},
        {"0.0.0.0/0", "1.2.3.4", 1, 1},
        {"0.0.0.0/0", "::1", 0, 0},
        {"1.2.3.4/32", "1.2.3.4/32", 1, 1},
        {"1.2.3.4/32", "1.2.3.5/32", 0, 0},
        {"::/0", "ffff::", 1, 1},
        {"2001:2::/48", "2001:2:0:ffff::1", 1, 1},
        {"2001:2::/48", "2001:2:1::", 0, 0},
        {"2001:2::1/65", "2001:2::8000:0:0:1", 0, 0},
        {"2001:2::1/64", "2001:2::8000:0:0:1", 1, 1},
        {"2001:2::1/127", "2001:2::", 1, 1},
        {"2001:2::1/128", "2001:2::", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct addr_prefix a = prefix(cases[i].a), b = prefix(cases[i].b);
        assert_int_equal(addr_prefix_contains(&a, &b.addr), cases[i].contains);
        assert_int_equal(addr_prefix_overlap(&a, &b), cases[i].overlap);
        assert_int_equal(addr_prefix_overlap(&b, &a), cases[i].overlap);
    }
    struct addr_prefix none = {0}, all = prefix("0.0.0.0/0");
    assert_false(addr_prefix_contains(&none, &none.addr));
    assert_false(addr_prefix_overlap(&none, &all));
}

static void random_addresses_survive_the_way_through_text(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        struct peer_addr before = {.family = i & 1 ? 4 : 6};
        for (int j = 0; j < (i & 1 ? 4 : 16); j++)
            before.bytes[j] = rng_below(&rng, 3) ? (uint8_t)rng_next(&rng) : 0;
        char buf[PEER_ADDR_TEXT];
        struct peer_addr after = addr(peer_addr_format(&before, buf));
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

/* A random text in a buffer of exactly its size, so that the sanitizer sees a read too far. */
static char *random_text(struct rng *rng, const char *alphabet, size_t longest)
{
    size_t len = rng_below(rng, longest + 1);
    char *text = malloc(len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = alphabet[rng_below(rng, strlen(alphabet))];
    text[len] = '\0';
    return text;
}

static void random_text_is_taken_only_in_full(void **state)
{
    (void)state;
    static const char *const alphabets[] = {
        "0123456789.", "0123456789abcdef:", "0123456789./", "0:f/1", "0:-a", "\x01 \xff%/:.-1,[]",
    };
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < 200000; i++) {
        char *text = random_text(&rng, alphabets[rng_below(&rng, ARRAY_SIZE(alphabets))], 50);
        struct peer_addr parsed;
        struct peer_mac parsed_mac;
        struct addr_prefix parsed_prefix;
        if (peer_addr_parse(text, &parsed) == 0) {
            char buf[PEER_ADDR_TEXT];
            struct peer_addr again = addr(peer_addr_format(&parsed, buf));
            assert_memory_equal(&parsed, &again, sizeof(parsed));
            assert_int_equal(addr_prefix_parse(text, &parsed_prefix), 0);
        }
        if (addr_prefix_parse(text, &parsed_prefix) == 0)
            assert_true(addr_prefix_contains(&parsed_prefix, &parsed_prefix.addr));
        if (peer_mac_parse(text, &parsed_mac) == 0)
            assert_false(parsed_mac.bytes[0] & 1);
        free(text);
    }
}

static void an_error_is_one_line_that_fits(void **state)
{
    (void)state;
    struct peer_error error = {.text = "before"};
    char long_name[2000];

    assert_int_equal(error_set(&error, PEER_ERROR_MACHINE, EPERM, "a\nb\t%s", "c\r"), -EPERM);
    assert_int_equal(error.code, EPERM);
    assert_int_equal(error.kind, PEER_ERROR_MACHINE);
    assert_string_equal(error.text, "a?b?c?");

    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    error_set(&error, PEER_ERROR_USAGE, EINVAL, "%s", long_name);
    assert_int_equal(strlen(error.text), sizeof(error.text) - 1);

    /* An error may be wrapped in itself; none wanted is fine. */
    error_set(&error, PEER_ERROR_USAGE, EINVAL, "inner");
    error_set(&error, PEER_ERROR_USAGE, EINVAL, "outer: %s", error.text);
    assert_string_equal(error.text, "outer: inner");
    assert_int_equal(error_set(NULL, PEER_ERROR_REMOTE, ECONNRESET, "unseen"), -ECONNRESET);
}

static void an_error_too_long_is_not_cut_within_a_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < ARRAY_SIZE(characters); c++) {
        for (size_t shift = 0; shift < 4; shift++) {
            struct peer_error error;
            char text[2000] = "";
            size_t size = strlen(characters[c]);
            memset(text, 'x', shift);
            for (size_t at = shift; at + size < sizeof(text); at += size)
                memcpy(text + at, characters[c], size + 1);
            error_set(&error, PEER_ERROR_USAGE, EINVAL, "%s", text);
            size_t len = strlen(error.text);
            assert_int_equal((len - shift) % size, 0);
            assert_true(len + size >= sizeof(error.text));
        }
    }
}

static void every_errno_value_has_words(void **state)
{
    (void)state;
    assert_string_equal(error_text(EACCES), "permission denied");
    assert_string_equal(error_text(123456), "unknown error");
    assert_string_equal(error_text(-1), "unknown error");
    for (int code = 0; code < 200; code++) {
        const char *text = error_text(code);
        assert_non_null(text);
        assert_true(strlen(text) > 0 && text[strlen(text) - 1] != '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_written_in_canonical_form),
        cmocka_unit_test(bad_addresses_are_refused_and_leave_the_output_alone),
        cmocka_unit_test(no_address_is_written_as_none),
        cmocka_unit_test(endpoints_put_ipv6_in_brackets),
        cmocka_unit_test(equality_needs_the_same_family),
        cmocka_unit_test(kinds_of_addresses_end_where_the_rfcs_say),
        cmocka_unit_test(macs_are_taken_with_either_separator),
        cmocka_unit_test(bad_macs_are_refused_and_leave_the_output_alone),
        cmocka_unit_test(macs_count_in_their_lower_40_bits),
        cmocka_unit_test(prefixes_keep_their_host_bits),
        cmocka_unit_test(bad_prefixes_are_refused_and_leave_the_output_alone),
        cmocka_unit_test(prefixes_contain_and_overlap_by_their_network_bits),
        cmocka_unit_test(random_addresses_survive_the_way_through_text),
        cmocka_unit_test(random_text_is_taken_only_in_full),
        cmocka_unit_test(an_error_is_one_line_that_fits),
        cmocka_unit_test(an_error_too_long_is_not_cut_within_a_character),
        cmocka_unit_test(every_errno_value_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
