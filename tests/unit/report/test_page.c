/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words from outside are text in the page, whatever they are: in an element, in an attribute, in
 * the JSON of the script.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "report/page.h"
#include "report/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BAD "\xef\xbf\xbd"

static void expect(struct page *page, const char *want)
{
    page_bytes(page, "", 1);
    assert_false(page->failed);
    assert_string_equal(page->bytes, want);
    free(page->bytes);
    *page = (struct page){0};
}

static void text_is_text(void **state)
{
    static const char *const cases[][2] = {
        {"plain, as it is", "plain, as it is"},
        {"<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"},
        {"\"><img src=x onerror=y>", "&quot;&gt;&lt;img src=x onerror=y&gt;"},
        {"&lt;", "&amp;lt;"},
        {"a\tb\nc", "a\tb\nc"},
        {"\x1b[31m\x7f\r", BAD "[31m" BAD BAD},
        {"grün €\xf0\x9f\x90\x9f", "grün €\xf0\x9f\x90\x9f"},
        {"\xff\xc0\xbc", BAD BAD BAD},         /* an overlong < */
        {"\xe0\x80\xbc", BAD BAD BAD},         /* and another */
        {"\xed\xa0\x80", BAD BAD BAD},         /* a surrogate */
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD}, /* beyond Unicode */
        {"\xc3<b>", BAD "&lt;b&gt;"},          /* cut off before what is to be escaped */
        {"\xf0\x9f\x90", BAD BAD BAD},         /* and at the end */
        {"txt.\xe2\x80\xae"
         "exe",
         "txt." BAD "exe"}, /* turned around */
        {"\xc2\x85\xe2\x80\xa8\xef\xbb\xbf", BAD BAD BAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct page page = {0};
        page_text(&page, cases[i][0]);
        expect(&page, cases[i][1]);
    }
}

static void what_is_formatted_is_text_as_well(void **state)
{
    struct page page = {0};

    (void)state;
    page_format(&page, "%s=%d<", "<a>", 7);
    expect(&page, "&lt;a&gt;=7&lt;");
}

static void json_ends_no_script(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "\"plain\""},
        {"</script><!--", "\"\\u003c/script\\u003e\\u003c!--\""},
        {"\"\\\n\t", "\"\\u0022\\u005c\\u000a\\u0009\""},
        {"a&b'c", "\"a\\u0026b\\u0027c\""},
        {"\xe2\x80\xa8\xff\x01", "\"\\ufffd\\ufffd\\ufffd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct page page = {0};
        page_json(&page, cases[i][0]);
        expect(&page, cases[i][1]);
    }
}

static void no_number_is_null(void **state)
{
    struct page page = {0};

    (void)state;
    page_json_number(&page, 1234.5);
    page_html(&page, " ");
    page_json_number(&page, NAN);
    page_html(&page, " ");
    page_json_number(&page, -INFINITY);
    expect(&page, "1234.5 null null");
}

static void a_page_grows(void **state)
{
    struct page page = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        page_html(&page, "ab");
    assert_int_equal(page.len, 200000);
    assert_memory_equal(page.bytes + 199998, "ab", 2);
    free(page.bytes);
}

static void numbers_are_words(void **state)
{
    static const struct {
        enum unit unit;
        double value;
        const char *words;
    } cases[] = {
        {UNIT_COUNT, 0, "0"},
        {UNIT_COUNT, 999, "999"},
        {UNIT_COUNT, 1234567, "1,234,567"},
        {UNIT_COUNT, NAN, "–"},
        {UNIT_PER_S, 12.25, "12.2/s"},
        {UNIT_PER_S, 5000, "5,000/s"},
        {UNIT_US, 0.5, "500 ns"},
        {UNIT_US, 12.5, "12.5 µs"},
        {UNIT_US, 999.9, "1.00 ms"},
        {UNIT_US, 23100, "23.1 ms"},
        {UNIT_US, 0, "0"},
        {UNIT_US, 61e6, "1.02 min"},
        {UNIT_S, 0.2, "200 ms"},
        {UNIT_BYTES, 1536, "1.50 KiB"},
        {UNIT_BITS_PER_S, 2.5e6, "2.50 Mbit/s"},
        {UNIT_SHARE, 0.0012, "0.12 %"},
    };
    char buf[WORDS];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_string_equal(words_value(cases[i].unit, cases[i].value, buf), cases[i].words);
    assert_string_equal(words_tick(UNIT_PER_S, 1500, buf), "1.5k");
    assert_string_equal(words_tick(UNIT_US, 0, buf), "0");
}

static void dates_are_those_of_the_calendar(void **state)
{
    static const struct {
        uint64_t at_s;
        const char *words;
    } cases[] = {
        {1, "1970-01-01 00:00:01 UTC"},          {951782399, "2000-02-28 23:59:59 UTC"},
        {951782400, "2000-02-29 00:00:00 UTC"},  {1796169599, "2026-12-01 23:59:59 UTC"},
        {4107542400, "2100-03-01 00:00:00 UTC"}, /* no leap year */
    };
    char buf[WORDS];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_string_equal(words_date(cases[i].at_s * 1000000000, buf), cases[i].words);
    assert_string_equal(words_date(0, buf), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_text),
        cmocka_unit_test(what_is_formatted_is_text_as_well),
        cmocka_unit_test(json_ends_no_script),
        cmocka_unit_test(no_number_is_null),
        cmocka_unit_test(a_page_grows),
        cmocka_unit_test(numbers_are_words),
        cmocka_unit_test(dates_are_those_of_the_calendar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
