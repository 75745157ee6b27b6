/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests: what they say, when their bodies follow, and when they are asked again. */
#include "soak_http.h"

#include "protocol/http_ask.h"
#include "protocol/http_request.h"

/* ---- requests ---- */

/* Runs one request and compares it, all but what stands before `from`. */
static void assert_request(const char *expected, struct peer_soak_config config)
{
    struct http_request request = {0};
    struct http_asks asks = {0};
    struct peer_error error = {0};

    if (!config.to_port)
        config.host = "h";
    assert_int_equal(http_asks_make(&asks, &config, &error), 0);
    assert_int_equal(http_request_make(&request, &asks.at[0], config.requests_per_connection), 0);
    const char *text = request.text ? request.text : request.last_text;
    size_t len = request.text ? request.len : request.last_len;
    if (len != strlen(expected) || memcmp(text, expected, len) != 0)
        fail_msg("\"%.*s\" instead of \"%s\"", (int)len, text, expected);
    http_request_done(&request);
    http_asks_done(&asks);
}

static void the_users_headers_stand_for_ours(void **state)
{
    static const char *const own[] = {"hOST: other", "user-agent: me", "Accept: a/b", NULL};
    static const char *const length[] = {"content-length: 7", NULL};
    static const char *const chunked[] = {"Transfer-Encoding: chunked", NULL};
    static const char *const keep[] = {"Connection: keep-alive", NULL};
    static const char *const closes[] = {"CONNECTION: close", NULL};
#define OURS "Host: h\r\nUser-Agent: peer\r\n"

    (void)state;
    assert_request("GET / HTTP/1.1\r\n" OURS "\r\n", (struct peer_soak_config){0});
    assert_request("GET /a HTTP/1.1\r\nhOST: other\r\nuser-agent: me\r\nAccept: a/b\r\n\r\n",
                   (struct peer_soak_config){.headers = own, .path = "/a"});
    assert_request("POST / HTTP/1.1\r\n" OURS "Content-Length: 2\r\n\r\nab",
                   (struct peer_soak_config){.body = "ab", .body_len = 2});
    assert_request("POST / HTTP/1.1\r\n" OURS "Content-Length: 0\r\n\r\n",
                   (struct peer_soak_config){.body = ""});
    for (size_t i = 0; i < 3; i++) {
        static const char *const methods[] = {"POST", "PUT", "PATCH"};
        char expected[100];
        snprintf(expected, sizeof(expected), "%s / HTTP/1.1\r\n" OURS "Content-Length: 0\r\n\r\n",
                 methods[i]);
        assert_request(expected, (struct peer_soak_config){.method = methods[i]});
    }
    assert_request("DELETE / HTTP/1.1\r\n" OURS "\r\n",
                   (struct peer_soak_config){.method = "DELETE"});
    assert_request("GET / HTTP/1.1\r\n" OURS "Content-Length: 0\r\n\r\n",
                   (struct peer_soak_config){.method = "GET", .body = ""});
    assert_request("POST / HTTP/1.1\r\n" OURS "content-length: 7\r\nConnection: close\r\n\r\nab",
                   (struct peer_soak_config){.body = "ab", .body_len = 2, .headers = length});
    assert_request("POST / HTTP/1.1\r\n" OURS
                   "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
                   (struct peer_soak_config){.body = "ab", .body_len = 2, .headers = chunked});
    assert_request("PUT / HTTP/1.1\r\n" OURS "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   (struct peer_soak_config){.method = "PUT", .headers = chunked});
    assert_request("GET / HTTP/1.1\r\n" OURS "Connection: keep-alive\r\n\r\n",
                   (struct peer_soak_config){.headers = keep, .requests_per_connection = 1});
    assert_request("GET / HTTP/1.1\r\n" OURS "CONNECTION: close\r\n\r\n",
                   (struct peer_soak_config){.headers = closes});
    assert_request("GET / HTTP/1.1\r\n" OURS "Connection: close\r\n\r\n",
                   (struct peer_soak_config){.requests_per_connection = 1});
}

/* RFC 9112 3.2: what stands between method and version, and the Host that goes with it. */
static void methods_have_their_own_targets(void **state)
{
    static const struct {
        const char *method, *host, *path, *target, *expected_host;
    } rows[] = {
        {"OPTIONS", "h", NULL, "*", "h"},
        {"OPTIONS", "h", "/", "/", "h"},
        {"OPTIONS", "h:81", "/a?b", "/a?b", "h:81"},
        {"options", "h", NULL, "/", "h"}, /* another method: they are told apart by case */
        {"CONNECT", "h", NULL, "h:8080", "h:8080"},
        {"CONNECT", "h", "/", "h:8080", "h:8080"},
        {"CONNECT", "h:81", NULL, "h:81", "h:81"},
        {"CONNECT", "[2001:db8::1]", NULL, "[2001:db8::1]:8080", "[2001:db8::1]:8080"},
        {"CONNECT", "[2001:db8::1]:81", NULL, "[2001:db8::1]:81", "[2001:db8::1]:81"},
        {"CONNECT", NULL, NULL, "198.18.0.9:8080", "198.18.0.9:8080"},
        {"CONNECT", "h", "/example.com:443", "example.com:443", "example.com:443"},
        {"CONNECT", "h", "/[2001:db8::2]:443", "[2001:db8::2]:443", "[2001:db8::2]:443"},
    };
    static const char *const wrong[] = {"/a", "/a:b", "/a:1/", "/a:1?", "/:", "/[::1]", "/u@a:1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char expected[160];
        snprintf(expected, sizeof(expected),
                 "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: peer\r\n\r\n", rows[i].method,
                 rows[i].target, rows[i].expected_host);
        assert_request(expected, (struct peer_soak_config){.method = rows[i].method,
                                                           .host = rows[i].host,
                                                           .path = rows[i].path,
                                                           .to = simnet_addr("198.18.0.9"),
                                                           .to_port = 8080});
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct peer_soak_config config = {.method = "CONNECT", .host = "h", .path = wrong[i]};
        struct http_asks asks = {0};
        struct peer_error error = {0};
        assert_int_equal(http_asks_make(&asks, &config, &error), -EINVAL);
        assert_non_null(strstr(error.text, wrong[i]));
        http_asks_done(&asks);
    }
}

static void a_body_waits_for_100(void **state)
{
    static const char *const headers[] = {"Expect: 100-continue", NULL};
    static const struct script prompt[] = {
        {.answer = ok, .hundred = "HTTP/1.1 100 Continue\r\n\r\n"}};
    static const struct script silent[] = {{.answer = ok}};
    static const struct script refuses[] = {
        {.early = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"}};
    static const struct script others[] = {
        {.answer = ok, .hundred = "HTTP/1.1 102 Processing\r\n\r\n"}};
    static const struct script accepts[] = {{.early = ok}};

    (void)state;
    struct scene *scene = RUN(prompt, .body = "abc", .body_len = 3, .headers = headers);
    assert_fine(scene, 4, 1);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);

    for (size_t i = 0; i < 2; i++) { /* not for ever, and 102 is no leave to go on */
        scene = RUN_AT(i ? others : silent, 1, .body = "abc", .body_len = 3, .headers = headers,
                       .total = 1);
        assert_fine(scene, 1, 1);
        assert_in_range(scene->whole_ns - scene->head_ns, 999 * MS, 1001 * MS);
        scene_free(scene);
    }

    scene = RUN(refuses, .body = "abc", .body_len = 3, .headers = headers);
    assert_fine(scene, 4, 4); /* the body was never sent: a new request would be taken for it */
    assert_int_equal(scene->requests, 0);
    scene_free(scene);

    scene = RUN(accepts, .body = "abc", .body_len = 3, .headers = headers);
    assert_fine(scene, 4, 1);
    assert_true(since_start(scene) < 100 * MS);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->requests, 4);
    scene_free(scene);

    scene = RUN(silent, .headers = headers); /* there is none */
    assert_fine(scene, 4, 1);
    assert_true(since_start(scene) < 100 * MS);
    scene_free(scene);
}

static void many_bodies_wait_side_by_side(void **state)
{
    static const char *const headers[] = {"Expect: 100-continue", NULL};
    static const struct script silent[] = {{.answer = ok}};

    (void)state;
    struct scene *scene = RUN(silent, .body = "abc", .body_len = 3, .headers = headers, .total = 60,
                              .flows = 20, .ramp_ns = NS_PER_S / 2);
    assert_fine(scene, 60, 20);
    assert_int_equal(scene->requests, 60);
    assert_in_range(since_start(scene), 3000 * MS, 3600 * MS);
    scene_free(scene);
}

/* ---- closed while idle ---- */

static void a_request_to_a_connection_that_was_closed_is_asked_again(void **state)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE"};
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(methods); i++) {
        bool is_head = i / 2 == 1;
        unsigned act = ACT_LATE | (i % 2 ? ACT_RESET : ACT_CLOSE);
        const struct script script[] = {{.answer = is_head ? head : ok},
                                        {.answer = is_head ? head : ok, .act = act},
                                        {.answer = is_head ? head : ok}};
        struct scene *scene = RUN(script, .method = methods[i / 2]);
        assert_fine(scene, 4, 2);
        assert_int_equal(counts_of(scene)->asked_again, 1);
        assert_int_equal(scene->requests, 4); /* nobody was asked twice */
        scene_free(scene);
    }
}

static void an_end_in_one_go_with_an_answer_loses_no_request(void **state)
{
    static const unsigned acts[] = {ACT_CLOSE, ACT_RESET};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        const struct script script[] = {{.answer = ok, .act = acts[i]}};
        struct scene *scene = RUN(script, .body = "abc", .body_len = 3);
        assert_fine(scene, 4, 4);
        assert_int_equal(counts_of(scene)->asked_again, 0);
        scene_free(scene);
    }
}

static void a_request_that_may_not_be_repeated_is_an_error(void **state)
{
    static const struct script script[] = {{.answer = ok, .act = ACT_CLOSE | ACT_LATE}};

    (void)state;
    struct scene *scene = RUN(script, .body = "abc", .body_len = 3);
    assert_int_equal(counts_of(scene)->closed_idle, 2);
    assert_int_equal(counts_of(scene)->completed, 2);
    assert_int_equal(counts_of(scene)->asked_again, 0);
    assert_int_equal(counts_of(scene)->closed_early, 0);
    assert_non_null(strstr(scene->soaking.report.first_error, "closed while idle"));
    scene_free(scene);
}

static void a_request_that_was_read_and_not_answered_is_an_error(void **state)
{
    static const struct script script[] = {{.answer = ok}, {.act = ACT_CLOSE}, {.answer = ok}};

    (void)state;
    struct scene *scene = RUN(script, .total = 4);
    assert_int_equal(counts_of(scene)->asked_again, 0);
    assert_int_equal(counts_of(scene)->closed_early, 1);
    assert_int_equal(counts_of(scene)->completed, 3);
    scene_free(scene);
}

static void a_request_is_repeated_once(void **state)
{
    static const struct script script[] = {
        {.answer = ok, .act = ACT_CLOSE | ACT_LATE}, {.act = ACT_RESET}, {.answer = ok}};

    (void)state;
    struct scene *scene = RUN(script, .total = 3);
    assert_int_equal(counts_of(scene)->asked_again, 1);
    assert_int_equal(counts_of(scene)->reset, 1); /* the second try, on a new connection */
    assert_int_equal(counts_of(scene)->completed, 2);
    assert_int_equal(counts_of(scene)->requests, 3);
    scene_free(scene);
}

static void a_repeated_request_is_as_late_as_it_is(void **state)
{
    static const struct script script[] = {{.answer = ok, .act = ACT_CLOSE | ACT_LATE},
                                           {.answer = ok}};

    (void)state;
    struct scene *scene = RUN(script, .total = 2);
    struct peer_latency latency = scene->soaking.report.request;
    assert_fine(scene, 2, 2);
    /* 1 ms a way: an answer; then the FIN half a millisecond later, a handshake and an answer */
    assert_in_range((uint64_t)latency.min, 1990, 2010);
    assert_in_range((uint64_t)latency.max, 4490, 4510);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_users_headers_stand_for_ours),
        TEST(methods_have_their_own_targets),
        TEST(a_body_waits_for_100),
        TEST(many_bodies_wait_side_by_side),
        TEST(a_request_to_a_connection_that_was_closed_is_asked_again),
        TEST(an_end_in_one_go_with_an_answer_loses_no_request),
        TEST(a_request_that_may_not_be_repeated_is_an_error),
        TEST(a_request_that_was_read_and_not_answered_is_an_error),
        TEST(a_request_is_repeated_once),
        TEST(a_repeated_request_is_as_late_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
