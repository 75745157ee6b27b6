/* SPDX-License-Identifier: BSD-3-Clause */
/* Redirects that are followed, and cookies that are kept. */
#include "soak_site.h"

#define MOVED(status, to, more)                                                                    \
    "HTTP/1.1 " status " Moved\r\nContent-Length: 0\r\nLocation: " to "\r\n" more "\r\n"
#define OK(more) "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" more "\r\n"

static const struct page pages[] = {
    {"GET /old", MOVED("302", "/a/new", "")},
    {"GET /a/new", MOVED("301", "../b/./x?q#f", "")},
    {"GET /b/x?q", MOVED("308", "http://198.18.0.9:80/end", "")},
    {"GET /end", OK("")},
    {"GET /close", MOVED("302", "end", "Connection: close\r\n")},
    {"GET /loop", MOVED("302", "?again", "")},
    {"GET /loop?again", MOVED("302", "/loop?again", "")},
    {"GET /far", MOVED("302", "http://example.com/end", "")},
    {"POST /form", MOVED("303", "/end", "")},
    {"POST /kept", MOVED("307", "/post", "")},
    {"POST /post", OK("")},
    {"PUT /moved", MOVED("301", "/put", "")},
    {"PUT /put", OK("")},
    {NULL, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"},
};

static void hops_are_one_request_of_the_users(void **state)
{
    (void)state;
    struct site *site = SITE_RUN(pages, .path = "/old", .follow = true, .total = 10);
    soaking_assert_counts(&site->soaking, 10, 10, 0);
    assert_int_equal(site->soaking.counts.redirects, 30);
    assert_int_equal(site->soaking.counts.statuses[2], 10);
    assert_int_equal(site->soaking.counts.statuses[3], 0);
    assert_int_equal(site->requests, 40);
    assert_int_equal(site->accepted, 1);
    /* 2 ms a hop, and the time of all is the request's */
    assert_in_range((uint64_t)site->soaking.report.request.p50, 7990, 8010);
    site_free(site);
}

static void a_hop_goes_to_another_connection_where_it_must(void **state)
{
    static const struct {
        const char *path;
        uint64_t most, requests, connections;
    } rows[] = {{"/close", 0, 20, 11}, {"/old", 1, 40, 40}, {"/old", 3, 40, 5}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct site *site = SITE_RUN(pages, .path = rows[i].path, .follow = true, .total = 10,
                                     .requests_per_connection = rows[i].most);
        soaking_assert_counts(&site->soaking, 10, 10, 0);
        assert_int_equal(site->soaking.counts.statuses[2], 10);
        assert_int_equal(site->requests, rows[i].requests);
        assert_int_equal(site->accepted, rows[i].connections);
        site_free(site);
    }
}

static void what_is_not_followed_is_an_answer(void **state)
{
    (void)state;
    struct site *site = SITE_RUN(pages, .path = "/far", .follow = true, .total = 2);
    assert_int_equal(site->soaking.counts.statuses[3], 2);
    assert_int_equal(site->soaking.counts.redirects, 0);
    site_free(site);
    site = SITE_RUN(pages, .path = "/loop", .follow = true, .total = 2);
    assert_int_equal(site->soaking.counts.statuses[3], 2);
    assert_int_equal(site->soaking.counts.redirects, 20);
    assert_int_equal(site->requests, 22);
    site_free(site);
    site = SITE_RUN(pages, .path = "/old", .total = 2);
    assert_int_equal(site->requests, 2);
    site_free(site);
}

static void methods_and_bodies_go_on_by_the_rules(void **state)
{
    static const char *const headers[] = {"Content-Type: a/b", "X: y", NULL};
    static const struct {
        const char *method, *path, *heard;
    } rows[] = {
        {"POST", "/form",
         "GET /end HTTP/1.1\r\nHost: 198.18.0.9:80\r\nUser-Agent: peer\r\nX: y\r\n\r\n"},
        {"POST", "/kept",
         "POST /post HTTP/1.1\r\nHost: 198.18.0.9:80\r\nUser-Agent: peer\r\n"
         "Content-Length: 4\r\nContent-Type: a/b\r\nX: y\r\n\r\nbody"},
        {"PUT", "/moved",
         "PUT /put HTTP/1.1\r\nHost: 198.18.0.9:80\r\nUser-Agent: peer\r\n"
         "Content-Length: 4\r\nContent-Type: a/b\r\nX: y\r\n\r\nbody"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct site *site =
            SITE_RUN(pages, .method = rows[i].method, .path = rows[i].path, .follow = true,
                     .total = 3, .headers = headers, .body = "body", .body_len = 4);
        assert_int_equal(site->soaking.counts.statuses[2], 3);
        if (site_heard(site, rows[i].heard) != 3)
            fail_msg("%s", site->heard);
        site_free(site);
    }
}

static void cookies_come_back_to_who_set_them(void **state)
{
    static const struct page shop[] = {
        {"GET /in", OK("Set-Cookie: id=1; Path=/; HttpOnly\r\nSet-Cookie: deep=2; path=/shop\r\n"
                       "Set-Cookie: s=3; Secure\r\n")},
        {"GET /shop/x", OK("")},
        {"GET /out",
         OK("Set-Cookie: id=; Max-Age=0; Path=/\r\n"
            "Set-Cookie: deep=; Path=/shop; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n")},
        {NULL, OK("")},
    };
    static const char text[] = "GET /in\nGET /shop/x\nGET /other\nGET /out\nGET /shop/y\n";
    struct peer_targets *targets = peer_targets_new();

    (void)state;
    assert_int_equal(peer_targets_parse(targets, text, strlen(text), NULL), 0);
    for (uint64_t most = 0; most < 2; most++) { /* the user stays when his connection ends */
        struct site *site = SITE_RUN(shop, .targets = targets, .cookies = true, .total = 5,
                                     .requests_per_connection = most);
        assert_int_equal(site->accepted, most ? 5 : 1);
        assert_int_equal(site_heard(site, "Cookie:"), 3);
        assert_int_equal(site_heard(site, "Cookie: deep=2; id=1\r\n"), 1);
        assert_int_equal(site_heard(site, "Cookie: id=1\r\n"), 2);
        site_free(site);
    }
    struct site *site = SITE_RUN(shop, .targets = targets, .total = 5);
    assert_int_equal(site_heard(site, "Cookie:"), 0);
    site_free(site);
    peer_targets_free(targets);
}

static void a_login_is_a_redirect_with_a_cookie(void **state)
{
    static const struct page login[] = {
        {"GET /login", MOVED("303", "/home", "Set-Cookie: sid=42; Max-Age=1\r\n")},
        {NULL, OK("")},
    };

    (void)state;
    struct site *site =
        SITE_RUN(login, .path = "/login", .follow = true, .cookies = true, .total = 3);
    assert_int_equal(site->soaking.counts.redirects, 3);
    assert_int_equal(site_heard(site, "GET /home HTTP/1.1\r\nHost: 198.18.0.9:80\r\n"
                                      "User-Agent: peer\r\nCookie: sid=42\r\n"),
                     3);
    assert_int_equal(site_heard(site, "Cookie:"), 5); /* the first visit has none */
    site_free(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hops_are_one_request_of_the_users),
        TEST(a_hop_goes_to_another_connection_where_it_must),
        TEST(what_is_not_followed_is_an_answer),
        TEST(methods_and_bodies_go_on_by_the_rules),
        TEST(cookies_come_back_to_who_set_them),
        TEST(a_login_is_a_redirect_with_a_cookie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
