/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes, and what the kernel says of them. */
#include "rtnl_fixture.h"

static void a_second_route_to_the_same_prefix_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add_route(f, "203.0.113.7/24", NULL), 0); /* host bits do not matter */
    assert_int_equal(add_route(f, "203.0.113.0/24", NULL), -EEXIST);
    assert_text(f->error.text, "cannot add route 203.0.113.0/24 dev ");
    assert_text(f->error.text, f->tun.name);
    assert_int_equal(add_route(f, "2001:db8:1::/64", NULL), 0);
    assert_int_equal(add_route(f, "2001:db8:1::/64", NULL), -EEXIST);
}

static void a_gateway_need_not_be_in_any_network(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;
    char text[128];

    add_addr(f, "198.18.0.1/24");
    assert_int_equal(add_route(f, "203.0.113.0/24", "192.0.2.1"), 0);
    assert_int_equal(lookup(f, "203.0.113.9", NULL, &route), 0);
    assert_int_equal(route.type, RTN_UNICAST);
    assert_int_equal(route.oif, f->tun.ifindex);
    assert_string_equal(route.oif_name, f->tun.name);
    (void)snprintf(text, sizeof(text), "203.0.113.0/24 via 192.0.2.1 dev %s", f->tun.name);
    char buf[128];
    assert_string_equal(rtnl_route_format(&route, buf, sizeof(buf)), text);
}

static void routes_read_as_people_write_them(void **state)
{
    (void)state;
    struct rtnl_route route = {.dst = prefix("192.0.2.0/24"),
                               .oif = 2,
                               .oif_name = "eth0",
                               .table = RT_TABLE_MAIN,
                               .type = RTN_UNICAST};
    char buf[128];

    assert_string_equal(rtnl_route_format(&route, buf, sizeof(buf)), "192.0.2.0/24 dev eth0");
    route.dst = (struct addr_prefix){.addr = {.family = 4}};
    route.gateway = addr("192.0.2.1");
    assert_string_equal(rtnl_route_format(&route, buf, sizeof(buf)),
                        "default via 192.0.2.1 dev eth0");
    route =
        (struct rtnl_route){.dst = prefix("2001:db8::/32"), .table = 7777, .type = RTN_BLACKHOLE};
    assert_string_equal(rtnl_route_format(&route, buf, sizeof(buf)),
                        "blackhole 2001:db8::/32 table 7777");
    char small[8];
    assert_string_equal(rtnl_route_format(&route, small, sizeof(small)), "blackho");
}

struct routes {
    int ifindex, count;
};

static int count_route(void *user, const struct rtnl_route *route)
{
    struct routes *routes = user;
    routes->count +=
        route->oif == routes->ifindex && route->dst.length == 24 && route->oif_name[0] != '\0';
    return 0;
}

static void all_routes_are_listed(void **state)
{
    struct fixture *f = *state;
    struct routes routes = {.ifindex = f->tun.ifindex};
    char text[32];

    for (int i = 0; i < 250; i++) {
        (void)snprintf(text, sizeof(text), "100.64.%d.0/24", i);
        assert_int_equal(add_route(f, text, NULL), 0);
    }
    assert_int_equal(rtnl_route_each(f->rtnl, 4, count_route, &routes, &f->error), 0);
    assert_int_equal(routes.count, 250);
}

static void overlapping_routes_conflict(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;

    assert_int_equal(add_route(f, "198.18.0.0/16", NULL), 0);
    assert_int_equal(add_route(f, "198.18.5.0/24", NULL), 0);
    assert_int_equal(conflict(f, "198.18.0.0/15", &route), 1);
    assert_int_equal(route.dst.length, 24); /* the most specific one */
    assert_int_equal(conflict(f, "198.18.7.0/24", &route), 1);
    assert_int_equal(route.dst.length, 16);
    assert_string_equal(route.oif_name, f->tun.name);
    assert_int_equal(conflict(f, "198.18.0.0/16", &route), 1);
    assert_int_equal(conflict(f, "198.19.0.0/16", &route), 0);
}

static void default_and_housekeeping_routes_do_not_conflict(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;

    assert_int_equal(add_route(f, "0.0.0.0/0", NULL), 0);
    assert_int_equal(add_route(f, "::/0", NULL), 0);
    add_addr(f, "198.18.0.1/32"); /* only in the table local */
    assert_int_equal(conflict(f, "198.18.0.0/15", &route), 0);
    assert_int_equal(conflict(f, "2001:2::/48", &route), 0);
    add_addr(f, "fe80::1/64");
    assert_int_equal(conflict(f, "fe80::/16", &route), 0);
    assert_int_equal(conflict(f, "ff00::/8", &route), 0);
    add_addr(f, "2001:2::1/48");
    assert_int_equal(conflict(f, "2001:2:0:1::/64", &route), 1);
    assert_int_equal(route.dst.length, 48);
}

static void the_kernel_says_what_is_local(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;

    add_addr(f, "198.18.0.1/15");
    assert_int_equal(lookup(f, "198.18.0.1", "198.18.0.2", &route), 0);
    assert_int_equal(route.type, RTN_LOCAL);
    assert_int_equal(route.oif, f->tun.ifindex);
    assert_int_equal(route.dst.length, 32);
    assert_true(peer_addr_equal(&route.prefsrc, &(struct peer_addr){4, {198, 18, 0, 1}}));
    assert_int_equal(lookup(f, "198.18.9.9", NULL, &route), 0);
    assert_int_equal(route.type, RTN_UNICAST);
    assert_int_equal(route.dst.length, 15);
}

static void the_kernel_says_what_is_local_for_ipv6(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;

    add_addr(f, "2001:2::1/48");
    assert_int_equal(lookup(f, "2001:2::1", "2001:2::2", &route), 0);
    /* Right after the address was added: nothing is left to be done behind our back. */
    assert_int_equal(route.type, RTN_LOCAL);
    assert_int_equal(route.oif, f->tun.ifindex);
    assert_int_equal(route.dst.length, 128);
    assert_int_equal(lookup(f, "2001:2::5", NULL, &route), 0);
    assert_int_equal(route.type, RTN_UNICAST);
    assert_int_equal(route.dst.length, 48);
}

static void the_kernels_verdict_comes_through(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;

    add_addr(f, "198.18.0.1/15");
    assert_int_equal(lookup(f, "203.0.113.1", "198.18.0.2", &route), -EHOSTUNREACH);
    assert_int_equal(f->error.code, EHOSTUNREACH);
    assert_text(f->error.text, "203.0.113.1 from 198.18.0.2");
    assert_int_equal(lookup(f, "203.0.113.1", NULL, &route), -ENETUNREACH);
    assert_int_equal(lookup(f, "198.18.0.1", "198.18.0.1", &route), -EINVAL); /* a martian */
    assert_int_equal(lookup(f, "2001:db8::1", NULL, &route), -ENETUNREACH);
    assert_int_equal(lookup(f, "2001:db8::1", "198.18.0.2", &route), -EINVAL);
    assert_int_equal(f->error.kind, PEER_ERROR_USAGE);
}

/** A route that refuses: RTN_BLACKHOLE and the like. */
static void add_refusal(const char *text, uint8_t type)
{
    const struct addr_prefix p = prefix(text);
    const struct rtmsg info = {.rtm_family = (uint8_t)nl_family(p.addr.family),
                               .rtm_dst_len = p.length,
                               .rtm_table = RT_TABLE_MAIN,
                               .rtm_protocol = RTPROT_STATIC,
                               .rtm_type = type};
    static struct nl nl;
    struct nl_request request;

    assert_int_equal(nl_open(&nl, NETLINK_ROUTE), 0);
    nl_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    nl_put_addr(&request, RTA_DST, &p.addr);
    assert_int_equal(nl_call(&nl, &request, NULL), 0);
    nl_done(&nl);
}

static void refusing_routes_refuse_in_both_families(void **state)
{
    struct fixture *f = *state;
    struct rtnl_route route;

    add_refusal("100.65.0.0/24", RTN_BLACKHOLE);
    add_refusal("100.65.1.0/24", RTN_UNREACHABLE);
    add_refusal("100.65.2.0/24", RTN_PROHIBIT);
    add_refusal("2001:db8:65::/64", RTN_BLACKHOLE);
    add_refusal("2001:db8:65:1::/64", RTN_UNREACHABLE);
    add_refusal("2001:db8:65:2::/64", RTN_PROHIBIT);
    assert_int_equal(lookup(f, "100.65.0.1", NULL, &route), -EINVAL);
    assert_text(f->error.text, "blackhole");
    assert_int_equal(lookup(f, "100.65.1.1", NULL, &route), -EHOSTUNREACH);
    assert_int_equal(lookup(f, "100.65.2.1", NULL, &route), -EACCES);
    assert_int_equal(lookup(f, "2001:db8:65::1", NULL, &route), -EINVAL);
    assert_int_equal(lookup(f, "2001:db8:65:1::1", NULL, &route), -EHOSTUNREACH);
    assert_int_equal(lookup(f, "2001:db8:65:2::1", NULL, &route), -EACCES);
    assert_int_equal(conflict(f, "100.65.0.0/16", &route), 1);
    assert_int_equal(route.dst.length, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TUN_TEST(a_second_route_to_the_same_prefix_is_refused),
        TAP_TEST(a_gateway_need_not_be_in_any_network),
        TUN_TEST(routes_read_as_people_write_them),
        TUN_TEST(all_routes_are_listed),
        TUN_TEST(overlapping_routes_conflict),
        TUN_TEST(default_and_housekeeping_routes_do_not_conflict),
        TUN_TEST(the_kernel_says_what_is_local),
        TAP_TEST(the_kernel_says_what_is_local_for_ipv6),
        TUN_TEST(the_kernels_verdict_comes_through),
        TUN_TEST(refusing_routes_refuse_in_both_families),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
