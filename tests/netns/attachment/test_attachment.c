/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands on the machine stands there without an engine, and goes with the attachment. */
#include "netns/attachment/attached.h"

static void a_device_stands_and_goes(void **state)
{
    struct attachment attachment;
    struct rtnl_route route;

    (void)state;
    attach(&attachment);
    const struct rtnl_lookup way = {.dst = attached_addr(ATTACHED_PEER)};
    assert_int_equal(attachment.queue_count, 1);
    assert_int_equal(attachment.ifindex, if_nametoindex(attachment.device));
    assert_int_equal(attachment.arrival_ifindex, attachment.ifindex);
    assert_int_equal(rtnl_route_lookup(attachment.rtnl, &way, &route, NULL), 0);
    assert_int_equal(route.oif, attachment.ifindex);
    assert_int_equal(attachment_drops(&attachment), 0);

    char device[IF_NAMESIZE];
    memcpy(device, attachment.device, sizeof(device));
    attachment_done(&attachment);
    assert_int_equal(if_nametoindex(device), 0);
    attachment_done(&attachment); /* nothing is held any more */
}

static void who_listens_is_known_without_an_engine(void **state)
{
    struct attachment attachment;
    uint16_t port;

    (void)state;
    attach(&attachment);
    const struct peer_addr local = attached_addr(ATTACHED_LOCAL);
    int fd = attached_socket(&port);
    assert_int_equal(attachment_has_listener(&attachment, IPPROTO_UDP, &local, port), 1);
    assert_int_equal(attachment_has_listener(&attachment, IPPROTO_TCP, &local, port), 0);
    close(fd);
    assert_int_equal(attachment_has_listener(&attachment, IPPROTO_UDP, &local, port), 0);
    attachment_done(&attachment);
}

/* What the kernel said stands for a second, and is asked again after it. */
static void whose_an_address_is_is_asked_once_a_second(void **state)
{
    struct attachment attachment;
    const struct peer_addr local = attached_addr(ATTACHED_LOCAL), own = attached_addr("127.0.0.5"),
                           later = attached_addr("192.0.2.77"), peer = attached_addr(ATTACHED_PEER),
                           foreign = attached_addr("203.0.113.1"), group = attached_addr("224.0.0.1");
    struct addr_prefix added = {.addr = later, .length = 32};
    const uint64_t second = 1000000000;

    (void)state;
    attach(&attachment);
    assert_int_equal(attachment_is_local(&attachment, &local, 1), 1);
    assert_int_equal(attachment_is_local(&attachment, &own, 1), 1);
    assert_int_equal(attachment_is_local(&attachment, &peer, 1), 0);
    assert_int_equal(attachment_is_local(&attachment, &foreign, 1), 0);
    assert_int_equal(attachment_is_local(&attachment, &group, 1), 0);
    assert_int_equal(attachment_is_local(&attachment, &later, 1), 0);
    assert_int_equal(rtnl_addr_add(attachment.rtnl, attachment.ifindex, &added, NULL), 0);
    assert_int_equal(attachment_is_local(&attachment, &later, second), 0);
    assert_int_equal(attachment_is_local(&attachment, &later, second + 1), 1);
    attachment_done(&attachment);
}

static void counters_are_read_of_what_stands(void **state)
{
    struct attachment attachment;
    uint64_t before, after;

    (void)state;
    attach(&attachment);
    attachment_open_meters(&attachment);
    assert_int_equal(counters_read(&attachment.meters.counters, "Udp", "NoPorts", &before), 0);
    /* 198.18.0.9 to 192.0.2.1, ports 1 and 1: nobody listens there. */
    static const uint8_t packet[10 + 28] = {[10] = 0x45, 0,    0,   28, 0, 0, 0,   0, 64, 17,
                                            0xf2,        0xb4, 198, 18, 0, 9, 192, 0, 2,  1,
                                            0,           1,    0,   1,  0, 8, 0,   0};
    assert_int_equal(write(attachment.queues[0], packet, sizeof(packet)), sizeof(packet));
    assert_int_equal(counters_read(&attachment.meters.counters, "Udp", "NoPorts", &after), 0);
    assert_int_equal(after, before + 1);
    attachment_done(&attachment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_stands_and_goes),
        cmocka_unit_test(who_listens_is_known_without_an_engine),
        cmocka_unit_test(whose_an_address_is_is_asked_once_a_second),
        cmocka_unit_test(counters_are_read_of_what_stands),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
