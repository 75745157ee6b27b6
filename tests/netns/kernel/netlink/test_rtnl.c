/* SPDX-License-Identifier: BSD-3-Clause */
/* Links, addresses, neighbours, and the socket itself. */
#include "rtnl_fixture.h"

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
    return r == -EPERM && strstr(error.text, "; run it with sudo, or use `isolate`") ? 0 : 2;
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
        TAP_TEST(a_permanent_neighbour_is_there),
        TAP_TEST(sixty_five_thousand_neighbours_are_added),
        TAP_TEST(a_failing_batch_names_the_first_address),
        TUN_TEST(a_socket_of_another_kind_is_not_adopted),
        TUN_TEST(an_adopted_socket_works_with_answers_left_unread),
        TUN_TEST(lack_of_rights_comes_with_advice),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
