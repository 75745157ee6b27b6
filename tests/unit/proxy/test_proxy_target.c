/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets, user names and datagrams of SOCKS5.
 */
#include "proxy/socks.h"
#include "proxy/user.h"

#include "base/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void targets_are_addresses_or_names(void **state)
{
    static const struct {
        const char *text, *target; /* NULL: none */
        uint16_t port;
    } rows[] = {
        {"192.0.2.1:80", "192.0.2.1:80", 0},
        {"[192.0.2.1]:80", NULL, 0},
        {"[2001:DB8::1]:80", "[2001:db8::1]:80", 0},
        {"[::ffff:192.0.2.1]:80", "192.0.2.1:80", 0},
        {"2001:db8::1", NULL, 80},
        {"[2001:db8::1]", "[2001:db8::1]:80", 80},
        {"[fe80::1%eth0]:80", NULL, 0},
        {"my_host-1.example.:80", "my_host-1.example.:80", 0},
        {"host", "host:80", 80},
        {"host:", "host:80", 80},
        {"host:443", "host:443", 80},
        {"host", NULL, 0},
        {"", NULL, 80},
        {":80", NULL, 80},
        {"[]:80", NULL, 80},
        {"[:80", NULL, 80},
        {"ho st:80", NULL, 80},
        {"ho\x01st:80", NULL, 80},
        {"h\xc3\xa4:80", NULL, 80},
        {"-host:80", NULL, 80},
        {".host:80", NULL, 80},
        {"host:-1", NULL, 80},
        {"host:+1", NULL, 80},
        {"host:000080", "host:80", 0},
        {"host:4294967376", NULL, 0},
        {"a:b:80", NULL, 0},
    };
    char why[HTTP_WHY], buf[PROXY_TARGET_TEXT];
    struct proxy_target target;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const size_t len = strlen(rows[i].text);
        char *copy = malloc(len ? len : 1);
        memcpy(copy, rows[i].text, len);
        const int status =
            proxy_target_parse((struct http_text){copy, len}, rows[i].port, &target, why);
        free(copy);
        assert_int_equal(status, rows[i].target ? 0 : -EINVAL);
        if (rows[i].target)
            assert_string_equal(proxy_target_format(&target, buf), rows[i].target);
    }
}

static void targets_are_compared_as_hosts_are(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"host:80", "HOST:80", true},
        {"host:80", "host:81", false},
        {"host:80", "other:80", false},
        {"192.0.2.1:80", "192.0.2.1:80", true},
        {"192.0.2.1:80", "host:80", false},
        {"192.0.2.1:80", "[::ffff:c000:201]:80", true},
        {"192.0.2.1:80", "192.0.2.2:80", false},
    };
    char why[HTTP_WHY];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct proxy_target a, b;
        assert_int_equal(
            proxy_target_parse((struct http_text){rows[i].a, strlen(rows[i].a)}, 0, &a, why), 0);
        assert_int_equal(
            proxy_target_parse((struct http_text){rows[i].b, strlen(rows[i].b)}, 0, &b, why), 0);
        assert_int_equal(proxy_target_equal(&a, &b), rows[i].equal);
    }
}

static void a_name_of_255_bytes_is_the_longest(void **state)
{
    char text[300], why[HTTP_WHY];
    struct proxy_target target;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text + 255, ":80", 3);
    assert_int_equal(proxy_target_parse((struct http_text){text, 258}, 0, &target, why), 0);
    memcpy(text + 255, "a:80", 4);
    assert_int_equal(proxy_target_parse((struct http_text){text, 259}, 0, &target, why), -EINVAL);
}

static void a_user_name_chooses_the_peer(void **state)
{
    struct proxy_peer peer = proxy_user_peer("", 1, 10);

    (void)state;
    assert_int_equal(peer.choice, PROXY_NEXT);
    assert_int_equal(proxy_user_peer("<", 1, 10).choice, PROXY_RESERVED);
    assert_int_equal(proxy_user_peer("<x>", 1, 10).choice, PROXY_RESERVED);
    peer = proxy_user_peer("198.18.0.7", 1, 10);
    assert_int_equal(peer.choice, PROXY_ADDRESS);
    assert_int_equal(peer.addr.bytes[3], 7);
    assert_int_equal(proxy_user_peer("2001:2::7", 1, 10).choice, PROXY_ADDRESS);
    assert_int_equal(proxy_user_peer("198.18.0.7/24", 1, 10).choice, PROXY_INDEX);
}

static void the_same_name_is_the_same_peer_for_the_same_seed(void **state)
{
    enum { PEERS = 10, NAMES = 1000 };
    unsigned uses[PEERS] = {0}, moved = 0;

    (void)state;
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user%u", i);
        const struct proxy_peer peer = proxy_user_peer(name, 7, PEERS);
        assert_int_equal(peer.choice, PROXY_INDEX);
        assert_true(peer.index < PEERS);
        assert_int_equal(peer.index, proxy_user_peer(name, 7, PEERS).index);
        moved += peer.index != proxy_user_peer(name, 8, PEERS).index;
        uses[peer.index]++;
    }
    for (unsigned i = 0; i < PEERS; i++) /* 100 each, and 9.5 the deviation */
        assert_in_range(uses[i], 50, 150);
    assert_in_range(moved, NAMES / 2, NAMES);
    assert_int_equal(proxy_user_peer("x", 7, 1).index, 0);
}

#define BYTES(text) text, sizeof(text) - 1

static void datagrams_have_a_header(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *target; /* NULL: none */
        ssize_t payload;
    } rows[] = {
        {BYTES("\0\0\0\1\300\0\2\1\0\65hello"), "192.0.2.1:53", 10},
        {BYTES("\0\0\0\1\300\0\2\1\0\65"), "192.0.2.1:53", 10},
        {BYTES("\0\0\0\3\4host\0\65x"), "host:53", 11},
        {BYTES("\0\0\0\3\011192.0.2.1\0\65"), "192.0.2.1:53", 16},
        {BYTES("\0\0\0\4\x20\1\r\270\0\0\0\0\0\0\0\0\0\0\0\1\0\65x"), "[2001:db8::1]:53", 22},
        {BYTES("\0\0\1\1\300\0\2\1\0\65hello"), NULL, 0}, /* a fragment */
        {BYTES("\0\0\x80\1\300\0\2\1\0\65hello"), NULL, 0},
        {BYTES("\0\0\0\2\300\0\2\1\0\65hello"), NULL, 0},
        {BYTES("\0\0\0\1\300\0\2\1\0\0hello"), NULL, 0}, /* no port */
        {BYTES("\0\0\0\3\0\0\65hello"), NULL, 0},
        {BYTES("\0\0\0\3\2a\0\0\65hello"), NULL, 0},
        {BYTES("\0\0\0\1\300\0\2\1\0"), NULL, 0},
        {BYTES("\0\0\0\3\377host\0\65"), NULL, 0},
        {BYTES("\0\0\0"), NULL, 0},
        {BYTES(""), NULL, 0},
    };
    char buf[PROXY_TARGET_TEXT];
    struct proxy_target target;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t len = 0; len <= rows[i].len; len++) {
            char *copy = malloc(len ? len : 1);
            memcpy(copy, rows[i].text, len);
            const ssize_t at = socks_datagram_parse(copy, len, &target);
            free(copy);
            const bool whole = rows[i].target && len >= (size_t)rows[i].payload;
            assert_int_equal(at, whole ? rows[i].payload : -EINVAL);
            if (whole)
                assert_string_equal(proxy_target_format(&target, buf), rows[i].target);
        }
    }
}

static void headers_of_datagrams_are_read_back(void **state)
{
    static const char *const addrs[] = {"192.0.2.1", "2001:db8::1"};
    unsigned char head[SOCKS_DATAGRAM_HEAD];
    struct proxy_target target;
    struct peer_addr addr;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
        assert_int_equal(peer_addr_parse(addrs[i], &addr), 0);
        const size_t len = socks_datagram_head(&addr, 0x1234, head);
        assert_int_equal(socks_datagram_parse(head, len, &target), len);
        assert_true(peer_addr_equal(&target.addr, &addr));
        assert_int_equal(target.port, 0x1234);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_addresses_or_names),
        cmocka_unit_test(targets_are_compared_as_hosts_are),
        cmocka_unit_test(a_name_of_255_bytes_is_the_longest),
        cmocka_unit_test(a_user_name_chooses_the_peer),
        cmocka_unit_test(the_same_name_is_the_same_peer_for_the_same_seed),
        cmocka_unit_test(datagrams_have_a_header),
        cmocka_unit_test(headers_of_datagrams_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
