/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket diagnosis of sockets on lo, in a namespace of our own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel/netlink/diag.h"
#include "support/netns.h"

static struct diag *diag;
static struct peer_error error;

static int set_up(void **state)
{
    (void)state;
    return diag_open(&diag, &error);
}

static int tear_down(void **state)
{
    (void)state;
    diag = diag_free(diag);
    return 0;
}

static struct peer_addr addr(const char *text)
{
    struct peer_addr result;
    assert_int_equal(peer_addr_parse(text, &result), 0);
    return result;
}

/** A socket bound to `text` and a free port. */
static int bound(const char *text, int type, bool v6only, uint16_t *ret_port)
{
    const struct peer_addr a = addr(text);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    const int only = v6only;
    socklen_t len = a.family == 6 ? sizeof(v6) : sizeof(v4);
    void *to = a.family == 6 ? (void *)&v6 : (void *)&v4;

    memcpy(&v6.sin6_addr, a.bytes, 16);
    memcpy(&v4.sin_addr, a.bytes, 4);
    int fd = socket(a.family == 6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (a.family == 6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)), 0);
    assert_int_equal(bind(fd, to, len), 0);
    assert_int_equal(getsockname(fd, to, &len), 0);
    *ret_port = ntohs(a.family == 6 ? v6.sin6_port : v4.sin_port);
    return fd;
}

static int listener(const char *text, bool v6only, int backlog, uint16_t *ret_port)
{
    int fd = bound(text, SOCK_STREAM, v6only, ret_port);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/** A client of 127.0.0.1:port; the handshake over lo is over when connect returns. */
static int client(int type, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

struct list {
    struct diag_socket sockets[8];
    int count;
};

static int collect(void *user, const struct diag_socket *socket)
{
    struct list *list = user;
    assert_true(list->count < 8);
    list->sockets[list->count++] = *socket;
    return 0;
}

static uint32_t inode_of(int fd)
{
    struct stat stat;
    assert_int_equal(fstat(fd, &stat), 0);
    return (uint32_t)stat.st_ino;
}

static int who(uint8_t protocol, const char *local, uint16_t port, struct diag_socket *ret_socket)
{
    const struct diag_packet packet = {.protocol = protocol,
                                       .local = addr(local),
                                       .port = port,
                                       .peer = addr(strchr(local, ':') ? "::1" : "127.0.0.9"),
                                       .peer_port = 1234,
                                       .ifindex = 1};
    return diag_lookup(diag, &packet, ret_socket, &error);
}

static void listeners_of_a_port_are_listed(void **state)
{
    (void)state;
    uint16_t port, other;
    int one = listener("127.0.0.1", false, 7, &port);
    int two = listener("127.0.0.1", false, 7, &other);
    struct list list = {0};

    assert_int_equal(diag_listeners(diag, IPPROTO_TCP, port, collect, &list, &error), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.sockets[0].port, port);
    assert_int_equal(list.sockets[0].queue_max, 7);
    assert_int_equal(list.sockets[0].queue_now, 0);
    assert_int_equal(list.sockets[0].inode, inode_of(one));
    assert_int_equal(list.sockets[0].bound_ifindex, 0);
    assert_int_equal(list.sockets[0].uid, geteuid());
    assert_true(peer_addr_equal(&list.sockets[0].local, &(struct peer_addr){4, {127, 0, 0, 1}}));
    (void)close(one);
    (void)close(two);
}

static void dual_stack_and_v6only_are_told_apart(void **state)
{
    (void)state;
    uint16_t dual_port, only_port;
    int dual = listener("::", false, 1, &dual_port), only = listener("::", true, 1, &only_port);
    const struct peer_addr any = {.family = 6};
    struct list list = {0};

    assert_int_equal(diag_listeners(diag, IPPROTO_TCP, dual_port, collect, &list, &error), 0);
    assert_int_equal(diag_listeners(diag, IPPROTO_TCP, only_port, collect, &list, &error), 0);
    assert_int_equal(list.count, 2);
    assert_true(peer_addr_equal(&list.sockets[0].local, &any));
    assert_false(list.sockets[0].v6only);
    assert_true(list.sockets[1].v6only);
    (void)close(dual);
    (void)close(only);
}

static void a_device_bound_listener_is_known(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bound("127.0.0.1", SOCK_STREAM, false, &port);
    struct list list = {0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(diag_listeners(diag, IPPROTO_TCP, port, collect, &list, &error), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.sockets[0].bound_ifindex, if_nametoindex("lo"));
    (void)close(fd);
}

static void the_accept_queue_is_counted(void **state)
{
    (void)state;
    uint16_t port;
    int fd = listener("127.0.0.1", false, 5, &port);
    int one = client(SOCK_STREAM, port), two = client(SOCK_STREAM, port);
    struct diag_socket found;

    assert_int_equal(who(IPPROTO_TCP, "127.0.0.1", port, &found), 0);
    assert_int_equal(found.queue_now, 2);
    assert_int_equal(found.queue_max, 5);
    (void)close(one);
    (void)close(two);
    (void)close(fd);
}

static int take_first(void *user, const struct diag_socket *socket)
{
    (void)socket;
    ++*(int *)user;
    return -ENOTTY;
}

static void a_walk_ends_when_the_callback_says_so(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bound("127.0.0.1", SOCK_DGRAM, false, &port), calls = 0;

    assert_int_equal(diag_listeners(diag, IPPROTO_UDP, port, take_first, &calls, &error), -ENOTTY);
    assert_int_equal(calls, 1);
    (void)close(fd);
}

static void a_waiting_datagram_shows_in_the_queue(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bound("127.0.0.1", SOCK_DGRAM, false, &port), from = client(SOCK_DGRAM, port);
    struct list list = {0};

    assert_int_equal(send(from, "hello", 5, 0), 5);
    assert_int_equal(diag_listeners(diag, IPPROTO_UDP, port, collect, &list, &error), 0);
    assert_int_equal(list.count, 1);
    assert_true(list.sockets[0].queue_now > 0);
    assert_true(list.sockets[0].queue_max > list.sockets[0].queue_now);
    assert_int_equal(list.sockets[0].drops, 0);
    (void)close(from);
    (void)close(fd);
}

static void lost_datagrams_are_counted(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bound("127.0.0.1", SOCK_DGRAM, false, &port), from = client(SOCK_DGRAM, port);
    const int small = 1;
    struct list list = {0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(send(from, "0123456789", 10, 0), 10);
    assert_int_equal(diag_listeners(diag, IPPROTO_UDP, port, collect, &list, &error), 0);
    assert_int_equal(list.count, 1);
    assert_in_range(list.sockets[0].drops, 1, 64);
    (void)close(from);
    (void)close(fd);
}

static void the_kernel_finds_who_would_answer(void **state)
{
    (void)state;
    uint16_t tcp_port, udp_port;
    int tcp = listener("127.0.0.1", false, 1, &tcp_port);
    int udp = bound("127.0.0.1", SOCK_DGRAM, false, &udp_port);
    struct diag_socket found;

    assert_int_equal(who(IPPROTO_TCP, "127.0.0.1", tcp_port, &found), 0);
    assert_int_equal(found.inode, inode_of(tcp));
    assert_int_equal(who(IPPROTO_UDP, "127.0.0.1", udp_port, &found), 0);
    assert_int_equal(found.inode, inode_of(udp));
    assert_int_equal(found.port, udp_port);
    (void)close(tcp);
    (void)close(udp);
}

static void a_dual_stack_socket_answers_ipv4(void **state)
{
    (void)state;
    uint16_t dual_port, only_port;
    int dual = listener("::", false, 1, &dual_port), only = listener("::", true, 1, &only_port);
    struct diag_socket found;

    assert_int_equal(who(IPPROTO_TCP, "127.0.0.1", dual_port, &found), 0);
    assert_int_equal(found.inode, inode_of(dual));
    assert_int_equal(who(IPPROTO_TCP, "::1", dual_port, &found), 0);
    assert_int_equal(who(IPPROTO_TCP, "127.0.0.1", only_port, &found), -ENOENT);
    assert_int_equal(who(IPPROTO_TCP, "::1", only_port, &found), 0);
    assert_int_equal(found.inode, inode_of(only));
    (void)close(dual);
    (void)close(only);
}

static void nobody_listening_is_said_in_words(void **state)
{
    (void)state;
    struct diag_socket found;

    assert_int_equal(who(IPPROTO_TCP, "127.0.0.1", 9, &found), -ENOENT);
    assert_string_equal(error.text, "no program listens on TCP port 127.0.0.1:9");
    assert_int_equal(who(IPPROTO_UDP, "::1", 9, &found), -ENOENT);
    assert_int_equal(error.code, ENOENT);
}

static void the_owner_of_a_socket_is_found(void **state)
{
    (void)state;
    uint16_t port;
    int fd = listener("127.0.0.1", false, 1, &port);
    char comm[32] = "";

    assert_int_equal(diag_inode_owner(inode_of(fd), comm), getpid());
    assert_true(comm[0] != '\0' && !strchr(comm, '\n'));
    assert_int_equal(diag_inode_owner(0, comm), 0);
    (void)close(fd);
}

static void a_route_socket_is_not_adopted(void **state)
{
    (void)state;
    struct diag *adopted = NULL;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(diag_adopt(fd, &adopted, &error), -EINVAL);
    assert_null(adopted);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_of_a_port_are_listed),
        cmocka_unit_test(dual_stack_and_v6only_are_told_apart),
        cmocka_unit_test(a_device_bound_listener_is_known),
        cmocka_unit_test(the_accept_queue_is_counted),
        cmocka_unit_test(a_walk_ends_when_the_callback_says_so),
        cmocka_unit_test(a_waiting_datagram_shows_in_the_queue),
        cmocka_unit_test(lost_datagrams_are_counted),
        cmocka_unit_test(the_kernel_finds_who_would_answer),
        cmocka_unit_test(a_dual_stack_socket_answers_ipv4),
        cmocka_unit_test(nobody_listening_is_said_in_words),
        cmocka_unit_test(the_owner_of_a_socket_is_found),
        cmocka_unit_test(a_route_socket_is_not_adopted),
    };

    int r = netns_enter_private(true);
    if (r < 0)
        return netns_skip("a network namespace", -r);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
