/* SPDX-License-Identifier: BSD-3-Clause */
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
#include "kernel/netlink.h"
#include "kernel/rtnl.h"
#include "kernel/tun.h"
#include "support/netns.h"

struct fixture {
    struct rtnl *rtnl;
    struct tun tun;
    struct peer_error error;
};

static struct addr_prefix prefix(const char *text)
{
    struct addr_prefix result;
    assert_int_equal(addr_prefix_parse(text, &result), 0);
    return result;
}

static struct peer_addr addr(const char *text)
{
    struct peer_addr result;
    assert_int_equal(peer_addr_parse(text, &result), 0);
    return result;
}

/** Every test gets a device of its own, up and without IPv6 autoconfiguration. */
static int set_up_device(void **state, bool tap)
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

static int set_up_tap(void **state)
{
    return set_up_device(state, true);
}

static int set_up_tun(void **state)
{
    return set_up_device(state, false);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    f->rtnl = rtnl_free(f->rtnl);
    (void)close(f->tun.fd);
    return 0;
}

static void add_addr(struct fixture *f, const char *text)
{
    const struct addr_prefix p = prefix(text);
    assert_int_equal(rtnl_addr_add(f->rtnl, f->tun.ifindex, &p, &f->error), 0);
}

static int add_route(struct fixture *f, const char *text, const char *gateway)
{
    const struct addr_prefix p = prefix(text);
    const struct peer_addr via = gateway ? addr(gateway) : (struct peer_addr){0};
    return rtnl_route_add(f->rtnl, f->tun.ifindex, &p, gateway ? &via : NULL, NULL, &f->error);
}

static int conflict(struct fixture *f, const char *text, struct rtnl_route *ret_route)
{
    const struct addr_prefix p = prefix(text);
    return rtnl_route_conflict(f->rtnl, &p, ret_route, &f->error);
}

static int lookup(struct fixture *f, const char *dst, const char *src, struct rtnl_route *ret_route)
{
    struct rtnl_lookup l = {.dst = addr(dst), .protocol = 6, .sport = 1024, .dport = 80};
    if (src) {
        l.src = addr(src);
        l.iif = f->tun.ifindex;
    }
    return rtnl_route_lookup(f->rtnl, &l, ret_route, &f->error);
}

static void assert_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
    assert_null(strchr(text, '\n'));
}

static void a_link_takes_mtu_queue_and_mac(void **state)
{
    struct fixture *f = *state;
    const struct peer_mac mac = {{2, 0, 0, 0, 7, 1}};
    const struct rtnl_link_change change = {.mtu = 9000, .txqueuelen = 20000, .mac = &mac};
    struct rtnl_link link;

    assert_int_equal(rtnl_link_set(f->rtnl, f->tun.ifindex, &change, &f->error), 0);
    assert_int_equal(rtnl_link_get(f->rtnl, f->tun.ifindex, NULL, &link, &f->error), 0);
    assert_int_equal(link.mtu, 9000);
    assert_true(link.flags & IFF_UP);
    assert_true(link.is_tun);
    assert_string_equal(link.name, f->tun.name);
    assert_int_equal(link.ifindex, f->tun.ifindex);
}

static void a_link_is_found_by_name(void **state)
{
    struct fixture *f = *state;
    struct rtnl_link link;

    assert_int_equal(rtnl_link_get(f->rtnl, 0, f->tun.name, &link, &f->error), 0);
    assert_int_equal(link.ifindex, f->tun.ifindex);
    assert_int_equal(rtnl_link_get(f->rtnl, 0, "lo", &link, &f->error), 0);
    assert_false(link.is_tun);
}

static void a_missing_link_is_named_in_the_error(void **state)
{
    struct fixture *f = *state;
    struct rtnl_link link;

    assert_int_equal(rtnl_link_get(f->rtnl, 0, "nosuch0", &link, &f->error), -ENODEV);
    assert_int_equal(f->error.code, ENODEV);
    assert_text(f->error.text, "nosuch0");
    assert_int_equal(rtnl_link_get(f->rtnl, 0, "a-name-that-is-too-long", &link, NULL), -ENODEV);
    assert_int_equal(rtnl_link_get(f->rtnl, 987654, NULL, &link, &f->error), -ENODEV);
    assert_text(f->error.text, "987654");
}

static void an_impossible_mtu_is_refused_in_the_kernels_words(void **state)
{
    struct fixture *f = *state;
    const struct rtnl_link_change change = {.mtu = 100000};

    assert_int_equal(rtnl_link_set(f->rtnl, f->tun.ifindex, &change, &f->error), -EINVAL);
    assert_int_equal(f->error.kind, PEER_ERROR_MACHINE);
    assert_text(f->error.text, f->tun.name);
    assert_text(f->error.text, "mtu greater than device maximum");
}

static void traffic_shows_in_the_counters(void **state)
{
    struct fixture *f = *state;
    struct rtnl_link before, after;
    uint8_t frame[10 + 60] = {0};

    memset(frame + 10, 0xff, 6); /* an Ethernet broadcast of nothing */
    assert_int_equal(rtnl_link_get(f->rtnl, f->tun.ifindex, NULL, &before, &f->error), 0);
    assert_int_equal(write(f->tun.fd, frame, sizeof(frame)), sizeof(frame));
    assert_int_equal(rtnl_link_get(f->rtnl, f->tun.ifindex, NULL, &after, &f->error), 0);
    assert_int_equal(after.rx_packets, before.rx_packets + 1);
}

struct seen {
    int ifindex, count;
    bool link_local;
};

static int see(void *user, int ifindex, const struct addr_prefix *p)
{
    struct seen *seen = user;
    if (ifindex == seen->ifindex) {
        seen->count++;
        seen->link_local |= addr_is_link_local(&p->addr);
    }
    return 0;
}

static void no_link_local_address_appears_when_unwanted(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.ifindex = f->tun.ifindex};

    assert_int_equal(rtnl_addr_each(f->rtnl, see, &seen, &f->error), 0);
    assert_int_equal(seen.count, 0);
    add_addr(f, "198.18.0.1/15");
    add_addr(f, "2001:2::1/48");
    assert_int_equal(rtnl_addr_each(f->rtnl, see, &seen, &f->error), 0);
    assert_int_equal(seen.count, 2);
    assert_false(seen.link_local);
}

static int stop(void *user, int ifindex, const struct addr_prefix *p)
{
    (void)ifindex;
    (void)p;
    ++*(int *)user;
    return 17;
}

static void a_walk_ends_when_the_callback_says_so(void **state)
{
    struct fixture *f = *state;
    int calls = 0;

    add_addr(f, "198.18.0.1/15");
    assert_int_equal(rtnl_addr_each(f->rtnl, stop, &calls, &f->error), 17);
    assert_int_equal(calls, 1);
}

static void an_address_given_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct addr_prefix p = prefix("198.18.0.1/15");

    add_addr(f, "198.18.0.1/15");
    assert_int_equal(rtnl_addr_add(f->rtnl, f->tun.ifindex, &p, &f->error), -EEXIST);
    assert_text(f->error.text, "cannot add address 198.18.0.1/15 dev ");
    assert_text(f->error.text, "already");
}

static void an_ipv6_address_serves_at_once(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};

    add_addr(f, "2001:2::1/48");
    assert_int_equal(inet_pton(AF_INET6, "2001:2::1", &to.sin6_addr), 1);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    (void)close(fd);
}

/** As "ip address add" does it: nobody waits for the kernel's own work afterwards. */
static void change_addr(struct fixture *f, uint16_t type, const struct peer_addr *a, uint8_t flags)
{
    const struct ifaddrmsg info = {.ifa_family = AF_INET6,
                                   .ifa_prefixlen = 64,
                                   .ifa_flags = flags,
                                   .ifa_index = (uint32_t)f->tun.ifindex};
    struct nl_request request;
    struct nl nl;

    assert_int_equal(nl_open(&nl, NETLINK_ROUTE), 0);
    nl_begin(&request, type, NLM_F_CREATE, &info, sizeof(info));
    nl_put_addr(&request, IFA_LOCAL, a);
    assert_int_equal(nl_call(&nl, &request, NULL), 0);
    nl_done(&nl);
}

static void an_address_given_a_moment_ago_is_local(void **state)
{
    struct fixture *f = *state;
    const struct peer_addr a = addr("2001:2::1");

    for (int i = 0; i < 600; i++) {
        assert_false(rtnl_addr_is_local(f->rtnl, &a));
        change_addr(f, RTM_NEWADDR, &a, IFA_F_NODAD);
        assert_true(rtnl_addr_is_local(f->rtnl, &a));
        change_addr(f, RTM_DELADDR, &a, 0);
    }
}

static void an_address_still_looked_for_duplicates_is_local(void **state)
{
    struct fixture *f = *state;
    const struct peer_addr a = addr("2001:2::1");
    struct rtnl_route route;

    change_addr(f, RTM_NEWADDR, &a, 0);
    assert_false(lookup(f, "2001:2::1", NULL, &route) == 0 && route.type == RTN_LOCAL);
    assert_true(rtnl_addr_is_local(f->rtnl, &a));
}

static void own_addresses_are_known_with_their_device(void **state)
{
    struct fixture *f = *state;
    struct peer_addr a = addr("198.18.0.1");
    int ifindex = 0;

    add_addr(f, "198.18.0.1/15");
    add_addr(f, "2001:2::1/48");
    assert_int_equal(rtnl_addr_owned(f->rtnl, &a, &ifindex, &f->error), 1);
    assert_int_equal(ifindex, f->tun.ifindex);
    a = addr("2001:2::1");
    ifindex = 0;
    assert_int_equal(rtnl_addr_owned(f->rtnl, &a, &ifindex, &f->error), 1);
    assert_int_equal(ifindex, f->tun.ifindex);
    a = addr("127.0.0.5");
    assert_int_equal(rtnl_addr_owned(f->rtnl, &a, &ifindex, &f->error), 1);
    assert_int_equal(ifindex, 1);
    a = addr("198.18.0.2");
    assert_int_equal(rtnl_addr_owned(f->rtnl, &a, &ifindex, &f->error), 0);
    a = addr("203.0.113.1");
    assert_int_equal(rtnl_addr_owned(f->rtnl, &a, &ifindex, &f->error), 0);
}

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

/** Permanent neighbours of a device in the kernel's own table; with this MAC only when given. */
static int count_neighbours(int ifindex, const struct peer_mac *mac)
{
    const struct ndmsg info = {.ndm_family = AF_UNSPEC};
    static struct nl nl;
    struct nl_answers answers = {0};
    struct nl_request request;
    const struct nlattr *table[NDA_LLADDR + 1];
    struct peer_mac found;
    int count = 0;

    assert_int_equal(nl_open(&nl, NETLINK_ROUTE), 0);
    nl_begin(&request, RTM_GETNEIGH, 0, &info, sizeof(info));
    assert_int_equal(nl_dump(&nl, &request, &answers), 0);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m; m = nl_next(&answers, m)) {
        const struct ndmsg *entry = NLMSG_DATA(m);
        if (!nl_attributes(m, sizeof(*entry), table, NDA_LLADDR) || entry->ndm_ifindex != ifindex ||
            entry->ndm_state != NUD_PERMANENT || !nl_get(table[NDA_LLADDR], &found, sizeof(found)))
            continue;
        count += !mac || !memcmp(mac, &found, sizeof(found));
    }
    nl_answers_done(&answers);
    nl_done(&nl);
    return count;
}

static void a_permanent_neighbour_is_there(void **state)
{
    struct fixture *f = *state;
    const struct peer_addr v4 = addr("198.18.0.2"), v6 = addr("2001:2::2");
    const struct peer_mac mac = {{2, 0, 0, 0, 0, 9}};

    add_addr(f, "198.18.0.1/15");
    assert_int_equal(rtnl_neigh_add(f->rtnl, f->tun.ifindex, &v4, &mac, &f->error), 0);
    assert_int_equal(rtnl_neigh_add(f->rtnl, f->tun.ifindex, &v4, &mac, &f->error), 0);
    assert_int_equal(rtnl_neigh_add(f->rtnl, f->tun.ifindex, &v6, &mac, &f->error), 0);
    assert_int_equal(count_neighbours(f->tun.ifindex, &mac), 2);
    assert_int_equal(rtnl_neigh_add(f->rtnl, 987654, &v4, &mac, &f->error), -ENODEV);
    assert_text(f->error.text, "cannot add neighbour 198.18.0.2 dev #987654: ");
}

static void sixty_five_thousand_neighbours_are_added(void **state)
{
    struct fixture *f = *state;
    const struct peer_mac first = {{2, 0, 0, 0, 0, 1}}, last = {{2, 0, 0, 0, 0xff, 0xfe}};
    struct addr_set set;

    assert_int_equal(addr_set_parse("198.18.0.0/16", &set, &f->error), 0);
    assert_int_equal(set.count, 65534);
    assert_int_equal(rtnl_neigh_add_set(f->rtnl, f->tun.ifindex, &set, set.count, first, &f->error),
                     0);
    assert_int_equal(count_neighbours(f->tun.ifindex, NULL), 65534);
    assert_int_equal(count_neighbours(f->tun.ifindex, &last), 1);
    addr_set_done(&set);
}

static void a_failing_batch_names_the_first_address(void **state)
{
    struct fixture *f = *state;
    const struct peer_mac first = {{2, 0, 0, 0, 0, 1}};
    struct addr_set set;
    struct rtnl_link link;

    assert_int_equal(addr_set_parse("198.18.0.0/22", &set, &f->error), 0);
    assert_int_equal(rtnl_neigh_add_set(f->rtnl, 987654, &set, set.count, first, &f->error),
                     -ENODEV);
    assert_text(f->error.text, "198.18.0.1");
    /* The many error messages of that batch do not confuse what follows. */
    assert_int_equal(rtnl_link_get(f->rtnl, 0, "lo", &link, &f->error), 0);
    assert_int_equal(rtnl_link_get(f->rtnl, f->tun.ifindex, NULL, &link, &f->error), 0);
    addr_set_done(&set);
}

static void a_socket_of_another_kind_is_not_adopted(void **state)
{
    struct fixture *f = *state;
    struct rtnl *rtnl = NULL;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(rtnl_adopt(fds[0], &rtnl, &f->error), -EINVAL);
    assert_int_equal(rtnl_adopt(-1, &rtnl, &f->error), -EBADF);
    assert_null(rtnl);
    assert_int_equal(close(fds[0]), 0); /* it stayed ours */
    assert_int_equal(close(fds[1]), 0);
}

static void an_adopted_socket_works_with_answers_left_unread(void **state)
{
    struct fixture *f = *state;
    const struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {.header = {.nlmsg_len = sizeof(request),
                            .nlmsg_type = RTM_GETLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                            .nlmsg_seq = 1},
                 .info = {.ifi_index = 1}};
    struct rtnl *rtnl;
    struct rtnl_link link;

    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
    assert_int_equal(rtnl_adopt(fd, &rtnl, &f->error), 0);
    assert_int_equal(rtnl_fd(rtnl), fd);
    assert_int_equal(rtnl_link_get(rtnl, 0, f->tun.name, &link, &f->error), 0);
    assert_string_equal(link.name, f->tun.name);
    rtnl = rtnl_free(rtnl);
    assert_null(rtnl);
}

/** In the child: without capabilities, with a socket of its own. 0 when all is as expected. */
static int try_without_rights(int ifindex)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    const struct rtnl_link_change change = {.mtu = 1400};
    struct peer_error error = {0};
    struct rtnl *rtnl;

    if (syscall(SYS_capset, &header, data) < 0 || rtnl_open(&rtnl, &error) < 0)
        return 1;
    int r = rtnl_link_set(rtnl, ifindex, &change, &error);
    rtnl = rtnl_free(rtnl);
    return r == -EPERM && strstr(error.text, "; run it with sudo, or use --isolate") ? 0 : 2;
}

static void lack_of_rights_comes_with_advice(void **state)
{
    struct fixture *f = *state;
    int status = -1;

    pid_t pid = fork();
    if (pid == 0)
        _exit(try_without_rights(f->tun.ifindex));
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define TAP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_tap, tear_down)
#define TUN_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_tun, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAP_TEST(a_link_takes_mtu_queue_and_mac),
        TUN_TEST(a_link_is_found_by_name),
        TUN_TEST(a_missing_link_is_named_in_the_error),
        TAP_TEST(an_impossible_mtu_is_refused_in_the_kernels_words),
        TAP_TEST(traffic_shows_in_the_counters),
        TUN_TEST(no_link_local_address_appears_when_unwanted),
        TAP_TEST(no_link_local_address_appears_when_unwanted),
        TUN_TEST(a_walk_ends_when_the_callback_says_so),
        TUN_TEST(an_address_given_twice_is_refused),
        TAP_TEST(an_ipv6_address_serves_at_once),
        TUN_TEST(an_address_given_a_moment_ago_is_local),
        TAP_TEST(an_address_still_looked_for_duplicates_is_local),
        TUN_TEST(own_addresses_are_known_with_their_device),
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
        TAP_TEST(a_permanent_neighbour_is_there),
        TAP_TEST(sixty_five_thousand_neighbours_are_added),
        TAP_TEST(a_failing_batch_names_the_first_address),
        TUN_TEST(a_socket_of_another_kind_is_not_adopted),
        TUN_TEST(an_adopted_socket_works_with_answers_left_unread),
        TUN_TEST(lack_of_rights_comes_with_advice),
    };

    int r = netns_enter_private(true);
    if (r < 0)
        return netns_skip("a network namespace", -r);
    if (access("/dev/net/tun", R_OK | W_OK) < 0)
        return netns_skip("/dev/net/tun", errno);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
