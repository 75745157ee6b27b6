/* SPDX-License-Identifier: BSD-3-Clause */
/* DNS messages: names and queries as bytes, and what an answer must be. */
#include "protocol/dns_queries.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* A label of 63 bytes, as text and on the wire. */
#define TEN "abcdefghij"
#define L63 TEN TEN TEN TEN TEN TEN "abc"

static void names_are_read_as_in_zone_files(void **state)
{
    static const struct {
        const char *text, *wire;
        size_t len;
    } rows[] = {
        {"www.example.org", "\3www\7example\3org\0", 17},
        {"www.example.org.", "\3www\7example\3org\0", 17},
        {".", "\0", 1},
        {"", "\0", 1},
        {"a\\.b.c", "\3a.b\1c\0", 7},
        {"\\000\\255\\\\.x", "\3\0\377\\\1x\0", 7},
        {"_sip._tcp", "\4_sip\4_tcp\0", 11},
    };
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"a..b", "is empty"},
        {".a", "is empty"},
        {"..", "is empty"},
        {L63 "d.x", "63 bytes"},
        {L63 "." L63 "." L63 "." L63, "255 bytes"},
        {"a\\", "three digits"},
        {"a\\12", "three digits"},
        {"a\\256", "three digits"},
        {"a\\1x3", "three digits"},
    };
    uint8_t wire[DNS_NAME_MOST];
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int len = dns_name_read(rows[i].text, strlen(rows[i].text), wire, &why);
        assert_int_equal(len, (int)rows[i].len);
        assert_memory_equal(wire, rows[i].wire, rows[i].len);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(dns_name_read(wrong[i].text, strlen(wrong[i].text), wire, &why), -1);
        assert_non_null(strstr(why, wrong[i].why));
    }
    /* The longest: 3 labels of 63 and one of 61 are 255 bytes, with or without the dot behind. */
    const char *longest = L63 "." L63 "." L63 "." TEN TEN TEN TEN TEN TEN "a.";
    assert_int_equal(dns_name_read(longest, strlen(longest), wire, &why), 255);
    assert_int_equal(dns_name_read(longest, strlen(longest) - 1, wire, &why), 255);
}

static void types_classes_and_rcodes_have_names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(dns_type_read("aaaa", 4), 28);
    assert_int_equal(dns_type_read("TYPE65280", 9), 65280);
    assert_int_equal(dns_type_read("TYPE65536", 9), -1);
    assert_int_equal(dns_type_read("TYPE", 4), -1);
    assert_int_equal(dns_type_read("AAAAA", 5), -1);
    assert_int_equal(dns_class_read("CH", 2), 3);
    assert_int_equal(dns_class_read("CLASS1", 6), 1);
    assert_int_equal(dns_rcode_read("nxdomain", 8), 3);
    assert_int_equal(dns_rcode_read("23", 2), 23);
    assert_int_equal(dns_rcode_read("24", 2), -1);
    assert_int_equal(dns_rcode_read("other", 5), -1);
    assert_string_equal(dns_rcode_names[16], "BADVERS");
    assert_string_equal(dns_rcode_names[23], "BADCOOKIE");
}

/* ---- queries ---- */

#define ASKED "\3www\7example\3org\0\0\34\0\1"

static void a_query_is_so_many_bytes(void **state)
{
    static const char plain[] = "\0\0\1\0\0\1\0\0\0\0\0\0" ASKED;
    static const char edns[] = "\0\0\1\0\0\1\0\0\0\0\0\1" ASKED "\0\0\51\4\320\0\0\200\0\0\0";
    struct peer_soak_config config = {.path = "/www.example.org?type=AAAA"};
    struct dns_queries queries = {0};
    struct peer_error error = {0};

    (void)state;
    assert_int_equal(dns_queries_make(&queries, &config, &error), 0);
    assert_int_equal(queries.count, 1);
    assert_int_equal(dns_query_len(dns_query_at(&queries, 0)), sizeof(plain) - 1);
    assert_memory_equal(dns_query_at(&queries, 0) + 2, plain, sizeof(plain) - 1);
    dns_queries_done(&queries);
    config.dnssec = true;
    assert_int_equal(dns_queries_make(&queries, &config, &error), 0);
    assert_int_equal(dns_query_len(dns_query_at(&queries, 0)), sizeof(edns) - 1);
    assert_memory_equal(dns_query_at(&queries, 0) + 2, edns, sizeof(edns) - 1);
    dns_queries_done(&queries);
}

static void what_is_asked_is_told_in_lines_or_in_a_path(void **state)
{
    static const struct {
        struct peer_soak_config config;
        size_t count;     /* 0: refused, */
        const char *text; /* in these words */
    } rows[] = {
        {{.queries = "a A\n; no\n\n  b\tTYPE1 ; yes\r\n;\nc MX"}, 3, NULL},
        {{.path = "/a%2eb?Type=mx;class=CH"}, 1, NULL},
        {{.path = "/.?type=NS&class=IN"}, 1, NULL},
        {{.queries = "a A\nb\n"}, 0, "line 2 of the queries: \"b\" has no type"},
        {{.queries = "a A\n\na.b. XX"}, 0, "line 3 of the queries: \"XX\" is no type"},
        {{.queries = "a A more"}, 0, "\"more\" is more than a name and a type"},
        {{.queries = "a..b A"},
         0,
         "line 1 of the queries: \"a..b\" is no name: a part of it is empty"},
        {{.queries = "; nothing\n"}, 0, "there is no query"},
        {{.queries = "a A", .path = "/b"}, 0, "and so does the target"},
        {{.path = "/"}, 0, "dns://HOST/NAME"},
        {{.path = NULL}, 0, "dns://HOST/NAME"},
        {{.path = "/a?type=B"}, 0, "\"type=B\" is no type=AAAA"},
        {{.path = "/a?kind=A"}, 0, "\"kind=A\" is no type=AAAA"},
        {{.path = "/a", .edns_bytes = 511}, 0, "512 bytes at the least"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dns_queries queries = {0};
        struct peer_error error = {0};
        int status = dns_queries_make(&queries, &rows[i].config, &error);
        assert_int_equal(status, rows[i].count ? 0 : -EINVAL);
        if (rows[i].count)
            assert_int_equal(queries.count, rows[i].count);
        else if (!strstr(error.text, rows[i].text))
            fail_msg("\"%s\" instead of \"%s\"", error.text, rows[i].text);
        dns_queries_done(&queries);
    }
}

/* ---- answers ---- */

struct message {
    uint8_t bytes[1024];
    size_t len;
};

static void put(struct message *message, const char *bytes, size_t len)
{
    memcpy(message->bytes + message->len, bytes, len);
    message->len += len;
}
#define PUT(message, text) put(message, text, sizeof(text) - 1)

static const uint8_t *asked(void)
{
    static uint8_t query[DNS_QUERY_MOST];
    const struct dns_asks asks = {.type = 28, .class = 1};

    dns_query_write((const uint8_t *)"\3www\7example\3org", 17, &asks, query);
    return query;
}

/* The header with a number of answers, and the question. */
static struct message answer_of(unsigned answers)
{
    struct message message = {.len = 0};

    PUT(&message, "\1\2\201\200\0\1\0\0\0\0\0\0" ASKED);
    message.bytes[7] = (uint8_t)answers;
    return message;
}

static const char *judge(const struct message *message, struct dns_answer *answer)
{
    uint8_t *copy = malloc(message->len ? message->len : 1); /* so that one byte more is found */
    size_t other;

    memcpy(copy, message->bytes, message->len);
    const char *why = dns_answer_read(copy, message->len, asked(), answer, &other);
    free(copy);
    return why;
}

#define SIXTEEN "0123456789abcdef"

static void a_right_answer_is_right_and_no_part_of_it_is(void **state)
{
    struct message message = answer_of(4);
    struct dns_answer answer = {0};

    (void)state;
    PUT(&message, "\300\14\0\34\0\1\0\0\0\1\0\20" SIXTEEN);
    PUT(&message, "\300\20\0\6\0\1\0\0\0\1\0\33\2ns\300\20\300\14" SIXTEEN "wxyz");
    PUT(&message, "\300\14\0\17\0\1\0\0\0\1\0\4\0\12\300\14");
    PUT(&message, "\4text\300\20\0\20\0\1\0\0\0\1\0\3\2hi");
    message.bytes[3] = 0x80 | 3;
    message.bytes[11] = 1;
    PUT(&message, "\0\0\51\4\320\1\0\0\0\0\0");
    assert_null(judge(&message, &answer));
    assert_int_equal(answer.rcode, 16 | 3);
    assert_false(answer.truncated);
    for (size_t len = message.len; len-- > 0;) {
        struct message cut = message;
        cut.len = len;
        assert_non_null(judge(&cut, &answer));
    }
    PUT(&message, "x");
    assert_string_equal(judge(&message, &answer), "bytes follow its last record");
}

static void case_of_a_question_means_nothing(void **state)
{
    struct message message = answer_of(0);
    struct dns_answer answer = {0};

    (void)state;
    message.bytes[13] = 'W';
    assert_null(judge(&message, &answer));
    message.bytes[13] = 'v';
    assert_string_equal(judge(&message, &answer), "it answers another question");
    message.bytes[13] = 'w';
    message.bytes[message.len - 3] = 1; /* its type */
    assert_string_equal(judge(&message, &answer), "it answers another question");
}

static void what_was_cut_is_not_looked_at(void **state)
{
    struct message message = answer_of(9);
    struct dns_answer answer = {0};

    (void)state;
    PUT(&message, "\300\14\0\34\0\1\0\0\0\1\0\20abc");
    message.bytes[2] |= 2;
    assert_null(judge(&message, &answer));
    assert_true(answer.truncated);
}

static void who_refuses_need_not_repeat_the_question(void **state)
{
    struct message message = {.len = 0};
    struct dns_answer answer = {0};

    (void)state;
    PUT(&message, "\1\2\201\205\0\0\0\0\0\0\0\0");
    assert_null(judge(&message, &answer));
    assert_int_equal(answer.rcode, 5);
    message.bytes[3] = 0x80;
    assert_non_null(strstr(judge(&message, &answer), "does not say what"));
}

static void each_thing_that_is_wrong_has_its_words(void **state)
{
#define ROW(bytes, why)                                                                            \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, why                                                              \
    }
    static const struct {
        const char *record;
        size_t len;
        const char *why;
    } rows[] = {
        ROW("\300\41\0\1\0\1\0\0\0\1\0\4abcd", "leads to itself"),    /* to its own place */
        ROW("\300\63\0\1\0\1\0\0\0\1\0\4abcd", "leads to itself"),    /* forward */
        ROW("\300\2\0\1\0\1\0\0\0\1\0\4abcd", "leads to itself"),     /* into the header */
        ROW("\1a\300\41\0\1\0\1\0\0\0\1\0\4abcd", "leads to itself"), /* round */
        ROW("\100a\0\1\0\1\0\0\0\1\0\4abcd", "a part that is none"),
        ROW("\300\14\0\1\0\1\0\0\0\1\0\5abcde", "wrong size"),
        ROW("\300\14\0\34\0\1\0\0\0\1\0\4abcd", "wrong size"),
        ROW("\300\14\0\5\0\1\0\0\0\1\0\3\300\14x", "wrong size"),
        ROW("\300\14\0\5\0\1\0\0\0\1\0\2\5a", "ends beyond"),
        ROW("\300\14\0\1\0\1\0\0\0\1\377\377abcd", "a record in it ends beyond"),
        ROW("\300\14\0\1\0\1\0\0", "a record in it ends beyond"),
        ROW("\300", "a name in it ends beyond"),
        ROW("\77abc", "a name in it ends beyond"),
    };
    struct dns_answer answer = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct message message = answer_of(1);
        assert_int_equal(message.len, 33);
        put(&message, rows[i].record, rows[i].len);
        const char *why = judge(&message, &answer);
        if (!why || !strstr(why, rows[i].why))
            fail_msg("row %zu: \"%s\" instead of \"%s\"", i, why ? why : "", rows[i].why);
    }
    struct message query = answer_of(0);
    query.bytes[2] = 1;
    assert_string_equal(judge(&query, &answer), "it is a query itself");
    struct message two = answer_of(0);
    two.bytes[5] = 2;
    assert_string_equal(judge(&two, &answer), "it has several questions");
}

/* Pointers that lead back one by one, as many as there is room for: no name has so many parts. */
static void a_name_of_pointers_alone_ends(void **state)
{
    static uint8_t bytes[16000];
    struct message head = answer_of(1);
    struct dns_answer answer = {0};
    size_t len = head.len, other;

    (void)state;
    memcpy(bytes, head.bytes, len);
    memcpy(bytes + len, "\0\0\20\0\1\0\0\0\1", 9); /* text, in which they stand */
    size_t size_at = len + 9;
    len += 11;
    unsigned to = 12;
    for (size_t i = 0; i < 5000; i++, len += 2) {
        bytes[len] = (uint8_t)(0xc0 | to >> 8);
        bytes[len + 1] = (uint8_t)to;
        to = (unsigned)len;
    }
    bytes[size_at] = (uint8_t)(10000 >> 8);
    bytes[size_at + 1] = (uint8_t)(10000 & 0xff);
    bytes[7] = 2;
    bytes[len] = (uint8_t)(0xc0 | to >> 8);
    bytes[len + 1] = (uint8_t)to;
    memcpy(bytes + len + 2, "\0\1\0\1\0\0\0\1\0\4abcd", 14);
    len += 16;
    assert_non_null(
        strstr(dns_answer_read(bytes, len, asked(), &answer, &other), "leads to itself"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_as_in_zone_files),
        cmocka_unit_test(types_classes_and_rcodes_have_names_and_numbers),
        cmocka_unit_test(a_query_is_so_many_bytes),
        cmocka_unit_test(what_is_asked_is_told_in_lines_or_in_a_path),
        cmocka_unit_test(a_right_answer_is_right_and_no_part_of_it_is),
        cmocka_unit_test(case_of_a_question_means_nothing),
        cmocka_unit_test(what_was_cut_is_not_looked_at),
        cmocka_unit_test(who_refuses_need_not_repeat_the_question),
        cmocka_unit_test(each_thing_that_is_wrong_has_its_words),
        cmocka_unit_test(a_name_of_pointers_alone_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
