/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RTNL_FIXTURE_H
#define RTNL_FIXTURE_H

/* rtnetlink verbs against the real kernel, in a namespace of our own. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/capability.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/macro.h"
#include "kernel/netlink/netlink.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/netlink/tun.h"
#include "support/netns.h"

struct fixture {
    struct rtnl *rtnl;
    struct tun tun;
    struct peer_error error;
};

static inline struct addr_prefix prefix(const char *text)
{
    struct addr_prefix result;
    assert_int_equal(addr_prefix_parse(text, &result), 0);
    return result;
}

static inline struct peer_addr addr(const char *text)
{
    struct peer_addr result;
    assert_int_equal(peer_addr_parse(text, &result), 0);
    return result;
}

/** Every test gets a device of its own, up and without IPv6 autoconfiguration. */
static inline int set_up_device(void **state, bool tap)
{
    static struct fixture fixture;
    const struct tun_config config = {.tap = tap, .name = tap ? "tap%d" : "tun%d"};
    const struct rtnl_link_change change = {.up = true, .no_ipv6_autoconf = true};

    memset(&fixture, 0, sizeof(fixture));
    *state = &fixture;
    if (rtnl_open(&fixture.rtnl, &fixture.error) < 0 ||
        tun_open(&config, &fixture.tun, &fixture.error) < 0 ||
        rtnl_link_set(fixture.rtnl, fixture.tun.ifindex, &change, &fixture.error) < 0) {
        print_error("%s\n", fixture.error.text);
        return -1;
    }
    return 0;
}

static inline int set_up_tap(void **state)
{
    return set_up_device(state, true);
}

static inline int set_up_tun(void **state)
{
    return set_up_device(state, false);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    f->rtnl = rtnl_free(f->rtnl);
    (void)close(f->tun.fd);
    return 0;
}

static inline void add_addr(struct fixture *f, const char *text)
{
    const struct addr_prefix p = prefix(text);
    assert_int_equal(rtnl_addr_add(f->rtnl, f->tun.ifindex, &p, &f->error), 0);
}

static inline int add_route(struct fixture *f, const char *text, const char *gateway)
{
    const struct addr_prefix p = prefix(text);
    const struct peer_addr via = gateway ? addr(gateway) : (struct peer_addr){0};
    return rtnl_route_add(f->rtnl, f->tun.ifindex, &p, gateway ? &via : NULL, NULL, &f->error);
}

static inline int conflict(struct fixture *f, const char *text, struct rtnl_route *ret_route)
{
    const struct addr_prefix p = prefix(text);
    return rtnl_route_conflict(f->rtnl, &p, ret_route, &f->error);
}

static inline int lookup(struct fixture *f, const char *dst, const char *src, struct rtnl_route *ret_route)
{
    struct rtnl_lookup l = {.dst = addr(dst), .protocol = 6, .sport = 1024, .dport = 80};
    if (src) {
        l.src = addr(src);
        l.iif = f->tun.ifindex;
    }
    return rtnl_route_lookup(f->rtnl, &l, ret_route, &f->error);
}

static inline void assert_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
    assert_null(strchr(text, '\n'));
}

#define TAP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_tap, tear_down)
#define TUN_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_tun, tear_down)

#endif
