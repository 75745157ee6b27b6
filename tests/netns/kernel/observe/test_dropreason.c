/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real packets written to a TUN device of our own, dropped by the kernel in our own thread; and the
 * texts of the kernel that this reads. The former needs root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/addr_set.h"
#include "kernel/observe/dropreason.h"
#include "kernel/observe/dropreason_internal.h"
#include "support/kernel_device.h"
#include "support/netns.h"

enum { VNET_BYTES = 10, EVENTS = 64 };

static struct dropreason *dropreason;
static struct tun tun;

static const char format[] =
    "name: kfree_skb\nID: 2310\nformat:\n"
    "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
    "\n"
    "\tfield:void * location;\toffset:16;\tsize:8;\tsigned:0;\n"
    "\tfield:char comm[16];\toffset:24;\tsize:16;\tsigned:0;\n"
    "\tfield:enum skb_drop_reason reason;\toffset:36;\tsize:4;\tsigned:0;\n"
    "\nprint fmt: \"reason: %s\", __print_symbolic(REC->reason, { 2, \"NOT_SPECIFIED\" }, "
    "{ 0x3, \"NO_SOCKET\" }, { 12, \"NETFILTER_DROP\" })\n";

static void the_number_and_fields_of_a_tracepoint_are_read(void **state)
{
    (void)state;
    uint16_t id;

    assert_int_equal(tracepoint_parse_id(format, &id), 0);
    assert_int_equal(id, 2310);
    assert_int_equal(tracepoint_parse_id("name: x\nID: 0\n", &id), -EINVAL);
    assert_int_equal(tracepoint_parse_id("", &id), -EINVAL);
    struct tracepoint_field location = tracepoint_parse_field(format, "location");
    assert_int_equal(location.offset, 16);
    assert_int_equal(location.size, 8);
    assert_int_equal(tracepoint_parse_field(format, "comm").offset, 24);
    assert_int_equal(tracepoint_parse_field(format, "reason").offset, 36);
    assert_int_equal(tracepoint_parse_field(format, "eason").size, 0);
    assert_int_equal(tracepoint_parse_field(format, "rx_sk").size, 0);
    assert_int_equal(tracepoint_parse_field("field:int reason", "reason").size, 0);
}

static void reasons_get_the_kernels_names(void **state)
{
    (void)state;
    char name[40];

    assert_true(tracepoint_parse_symbol(format, 3, name, sizeof(name)));
    assert_string_equal(name, "NO_SOCKET");
    assert_true(tracepoint_parse_symbol(format, 12, name, sizeof(name)));
    assert_string_equal(name, "NETFILTER_DROP");
    assert_false(tracepoint_parse_symbol(format, 4, name, sizeof(name)));
    assert_false(tracepoint_parse_symbol("__print_symbolic(x, { 2", 2, name, sizeof(name)));
    assert_false(tracepoint_parse_symbol("", 2, name, sizeof(name)));
}

static void functions_are_told_from_data_in_kallsyms(void **state)
{
    (void)state;
    uint64_t address;
    const char *name;
    size_t len;

    assert_true(kallsyms_parse("ffffffff81ff6280 T ip_rcv\n", &address, &name, &len));
    assert_true(address == UINT64_C(0xffffffff81ff6280));
    assert_int_equal(len, 6);
    assert_memory_equal(name, "ip_rcv", 6);
    assert_false(kallsyms_parse("ffffffff81ff6280 D ip_rcv\n", &address, &name, &len));
    assert_false(kallsyms_parse("0000000000000000 T ip_rcv\n", &address, &name, &len));
    assert_false(kallsyms_parse("\n", &address, &name, &len));
}

static void hooks_follow_from_the_function_that_calls_them(void **state)
{
    (void)state;
    assert_string_equal(dropreason_hook("ip_rcv"), "prerouting");
    assert_string_equal(dropreason_hook("__netif_receive_skb_core.constprop.0"), "ingress");
    assert_string_equal(dropreason_hook("__ip_local_out"), "output");
    assert_null(dropreason_hook("ip_rcv_core"));
    assert_null(dropreason_hook(""));
}

/* ---- with the kernel ---- */

static uint16_t sum(const void *data, size_t len, uint32_t start)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        start += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return htons((uint16_t)~start);
}

/** A SYN from 198.18.0.2 to `to`, as one write. `broken` spoils TCP's checksum. */
static void send_syn(const char *to, bool broken)
{
    uint8_t packet[VNET_BYTES + 40] = {0};
    struct iphdr ip = {.version = 4,
                       .ihl = 5,
                       .tot_len = htons(40),
                       .ttl = 64,
                       .protocol = IPPROTO_TCP,
                       .saddr = inet_addr("198.18.0.2"),
                       .daddr = inet_addr(to)};
    struct tcphdr tcp = {
        .source = htons(4000), .dest = htons(9), .doff = 5, .syn = 1, .window = htons(1000)};
    uint32_t pseudo = IPPROTO_TCP + sizeof(tcp);

    for (int i = 0; i < 4; i++)
        pseudo += ntohs(((const uint16_t *)&ip.saddr)[i]);
    ip.check = sum(&ip, sizeof(ip), 0);
    tcp.check = sum(&tcp, sizeof(tcp), pseudo);
    if (broken)
        tcp.check = (uint16_t)~tcp.check;
    memcpy(packet + VNET_BYTES, &ip, sizeof(ip));
    memcpy(packet + VNET_BYTES + 20, &tcp, sizeof(tcp));
    assert_int_equal(dropreason_enable(dropreason, true), 0);
    assert_int_equal(write(tun.fd, packet, sizeof(packet)), sizeof(packet));
    assert_int_equal(dropreason_enable(dropreason, false), 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/** The only drop of a packet of the internet among what was recorded. */
static struct dropreason_event the_drop(void)
{
    struct dropreason_event events[EVENTS], found = {0};
    int drops = 0, count = dropreason_collect(dropreason, events, EVENTS, NULL);

    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        if (events[i].kind != DROPREASON_DROP || events[i].protocol != 0x0800)
            continue;
        found = events[i];
        drops++;
    }
    assert_int_equal(drops, 1);
    return found;
}

static void a_port_without_listener_is_no_socket(void **state)
{
    (void)state;
    uint64_t before = now_ns();
    send_syn("198.18.0.1", false);
    uint64_t after = now_ns();
    struct dropreason_event drop = the_drop();

    assert_string_equal(drop.reason, "NO_SOCKET");
    assert_string_equal(drop.location, "tcp_v4_rcv");
    assert_true(before <= drop.at_ns && drop.at_ns <= after);
    assert_false(drop.deferred);
    assert_null(drop.hook);
}

static void a_bad_checksum_is_told(void **state)
{
    (void)state;
    send_syn("198.18.0.1", true);
    assert_string_equal(the_drop().reason, "TCP_CSUM");
}

static void loopback_from_outside_is_a_martian(void **state)
{
    (void)state;
    send_syn("127.0.0.1", false);
    assert_string_equal(the_drop().reason, "IP_LOCALNET");
}

static void nothing_is_recorded_while_off(void **state)
{
    (void)state;
    struct dropreason_event events[EVENTS];

    send_syn("198.18.0.1", false);
    (void)dropreason_collect(dropreason, events, EVENTS, NULL);
    assert_int_equal(dropreason_enable(dropreason, false), 0);
    assert_int_equal(dropreason_collect(dropreason, events, EVENTS, NULL), 0);
}

static void steps_have_times_in_order(void **state)
{
    (void)state;
    struct dropreason_event events[EVENTS];
    uint64_t last = 0, lost = 1;
    bool received = false, routed = false;

    send_syn("198.18.0.1", false);
    int count = dropreason_collect(dropreason, events, EVENTS, &lost);
    assert_true(count > 0);
    assert_int_equal(lost, 0);
    for (int i = 0; i < count; i++) {
        assert_true(events[i].at_ns >= last);
        last = events[i].at_ns;
        received = received || events[i].kind == DROPREASON_RECEIVE;
        routed = routed || (received && events[i].kind == DROPREASON_ROUTE);
    }
    assert_true(received && routed);
}

static void what_finds_no_room_is_counted(void **state)
{
    (void)state;
    struct dropreason_event event;
    uint64_t lost = 0;

    send_syn("198.18.0.1", false);
    assert_int_equal(dropreason_collect(dropreason, &event, 1, &lost), 1);
    assert_true(lost > 0);
}

static int set_up(void **state)
{
    (void)state;
    return kernel_device_make(&tun);
}

static int tear_down(void **state)
{
    (void)state;
    dropreason = dropreason_free(dropreason);
    return close(tun.fd);
}

int main(void)
{
    const struct CMUnitTest texts[] = {
        cmocka_unit_test(the_number_and_fields_of_a_tracepoint_are_read),
        cmocka_unit_test(reasons_get_the_kernels_names),
        cmocka_unit_test(functions_are_told_from_data_in_kallsyms),
        cmocka_unit_test(hooks_follow_from_the_function_that_calls_them),
    };
    const struct CMUnitTest drops[] = {
        cmocka_unit_test(a_port_without_listener_is_no_socket),
        cmocka_unit_test(a_bad_checksum_is_told),
        cmocka_unit_test(loopback_from_outside_is_a_martian),
        cmocka_unit_test(nothing_is_recorded_while_off),
        cmocka_unit_test(steps_have_times_in_order),
        cmocka_unit_test(what_finds_no_room_is_counted),
    };

    if (cmocka_run_group_tests(texts, NULL, NULL) != 0)
        return EXIT_FAILURE;
    int r = dropreason_open(4, "", &dropreason);
    if (r == 0)
        r = netns_enter_private(false);
    if (r < 0)
        return netns_skip("perf events on tracepoints and a network namespace", -r);
    return cmocka_run_group_tests(drops, set_up, tear_down);
}
