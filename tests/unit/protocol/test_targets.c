/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a list of targets, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macro.h"
#include "protocol/http_ask.h"

/* The body "of PATH"; there is no "gone". */
static int read_body(void *user, const char *path, size_t most, void **ret_body, size_t *ret_len,
                     struct peer_error *error)
{
    (void)user;
    assert_true(most > 0);
    if (strcmp(path, "gone") == 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is none");
    *ret_body = strdup(path);
    *ret_len = strlen(path);
    return 0;
}

static int parse(struct peer_targets **ret_targets, const char *text, struct peer_error *error)
{
    *ret_targets = targets_new();
    assert_non_null(*ret_targets);
    return targets_parse(*ret_targets, text, strlen(text), read_body, NULL, error);
}

static void requests_headers_and_bodies_are_told_apart(void **state)
{
    static const char text[] = "# a comment\n"
                               "GET http://h/a?b=c\n"
                               "X-One: 1\r\n"
                               "# another\n"
                               "X-Two:2\n"
                               "\n"
                               "\n"
                               "POST  /things  \n"
                               "@a file\n"
                               "DELETE /things/1\n"
                               "PUT /x:1\n"
                               "Host: b";
    struct peer_targets *targets;

    (void)state;
    assert_int_equal(parse(&targets, text, NULL), 0);
    assert_int_equal(targets->count, 4);
    assert_string_equal(targets->at[0].url, "http://h/a?b=c");
    assert_string_equal(targets->at[0].headers[0], "X-One: 1");
    assert_string_equal(targets->at[0].headers[1], "X-Two:2");
    assert_null(targets->at[0].headers[2]);
    assert_false(targets->at[0].has_body);
    assert_string_equal(targets->at[1].method, "POST");
    assert_string_equal(targets->at[1].url, "/things");
    assert_int_equal(targets->at[1].body_len, 6);
    assert_memory_equal(targets->at[1].body, "a file", 6);
    assert_string_equal(targets->at[2].method, "DELETE");
    assert_int_equal(targets->at[3].line, 11);
    assert_string_equal(targets->at[3].headers[0], "Host: b");
    targets_free(targets);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "no \"METHOD URL\""},
        {"# only\n\n", "no \"METHOD URL\""},
        {"GET\n", "line 1"},
        {"GET /a HTTP/1.1\n", "line 1"},
        {"GET /a\n\nX: y\n", "line 3"},
        {"X: y\n", "line 1"},
        {"@file\n", "line 1"},
        {"POST /a\n@one\n@two\n", "line 3"},
        {"\nPOST /a\n@gone\n", "line 3: there is none"},
        {"http://h/\n", "line 1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer_targets *targets;
        struct peer_error error = {0};
        assert_int_equal(parse(&targets, rows[i].text, &error), -EINVAL);
        if (!strstr(error.text, rows[i].why))
            fail_msg("\"%s\": %s", rows[i].text, error.text);
        targets_free(targets);
    }
}

/* A run to 192.0.2.1:8080, called `host`. */
static int make(const char *text, const char *host, struct http_asks *asks,
                struct peer_error *error)
{
    static const char *const common[] = {"Accept: a", "X-All: 1", NULL};
    struct peer_soak_config config = {.host = host, .to_port = 8080, .headers = common};
    struct peer_targets *targets;

    assert_int_equal(peer_addr_parse("192.0.2.1", &config.to), 0);
    assert_int_equal(parse(&targets, text, error), 0);
    config.targets = targets;
    int status = http_asks_make(asks, &config, error);
    targets_free(targets); /* the run has its own hold */
    return status;
}

static void all_urls_lead_where_the_run_goes(void **state)
{
    static const struct {
        const char *url, *path;
    } right[] = {
        {"http://h:8080/a?b#c", "/a?b"}, {"HTTP://H:8080", "/"}, {"http://192.0.2.1:8080/x", "/x"},
        {"http://h:8080?q", "/?q"},      {"/p#f", "/p"},
    };
    static const char *const wrong[] = {"http://h/",        "http://h:80/",
                                        "http://i:8080/",   "http://192.0.2.2:8080/",
                                        "https://h:8080/",  "a",
                                        "http://u@h:8080/", "http:///",
                                        "ftp://h:8080/"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        struct http_asks asks = {0};
        struct peer_error error = {0};
        char text[128];
        snprintf(text, sizeof(text), "GET %s\n", right[i].url);
        if (make(text, "h:8080", &asks, &error) < 0)
            fail_msg("%s: %s", right[i].url, error.text);
        assert_string_equal(asks.at[0].path, right[i].path);
        assert_string_equal(asks.at[0].host, "h:8080");
        http_asks_done(&asks);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct http_asks asks = {0};
        struct peer_error error = {0};
        char text[128];
        snprintf(text, sizeof(text), "# one\nGET %s\n", wrong[i]);
        if (make(text, "h:8080", &asks, &error) != -EINVAL)
            fail_msg("%s is taken", wrong[i]);
        assert_non_null(strstr(error.text, "line 2: "));
        assert_non_null(strstr(error.text, wrong[i]));
        http_asks_done(&asks);
    }
}

static void headers_of_a_target_stand_for_those_of_all(void **state)
{
    struct http_asks asks = {0};

    (void)state;
    assert_int_equal(make("GET /\naccept: b\nGET /2\n", NULL, &asks, NULL), 0);
    assert_int_equal(asks.count, 2);
    assert_string_equal(asks.at[0].headers[0], "X-All: 1");
    assert_string_equal(asks.at[0].headers[1], "accept: b");
    assert_null(asks.at[0].headers[2]);
    assert_string_equal(asks.at[1].headers[0], "Accept: a");
    assert_string_equal(asks.at[1].headers[1], "X-All: 1");
    http_asks_done(&asks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_headers_and_bodies_are_told_apart),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(all_urls_lead_where_the_run_goes),
        cmocka_unit_test(headers_of_a_target_stand_for_those_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
