/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/percent.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void two_digits_are_a_byte(void **state)
{
    static const struct {
        const char *text, *means; /* NULL: it means nothing */
    } rows[] = {{"", ""},         {"plain", "plain"}, {"%41", "A"},     {"a%3Ab%3ac", "a:b:c"},
                {"%25%32", "%2"}, {"%ff", "\xff"},    {"+ %2B", "+ +"}, {"%", NULL},
                {"a%4", NULL},    {"%g1", NULL},      {"%1g", NULL},    {"%00", NULL},
                {"ok%41%", NULL}, {"%%41", NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[32];
        strcpy(text, rows[i].text);
        assert_int_equal(http_percent_decode(text), rows[i].means ? 0 : -EINVAL);
        assert_string_equal(text, rows[i].means ? rows[i].means : rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_digits_are_a_byte)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
