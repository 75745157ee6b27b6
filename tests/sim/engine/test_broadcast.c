/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams for everybody. */
#include "scripted.h"

#include <errno.h>

enum { PEERS = 8 };
static struct crafted frame;
static const uint8_t app_mac[6] = {2, 0, 0, 0, 0, 0xfe};

static struct simnet *begin_local(bool v6, enum frame_layer layer)
{
    struct simnet_config config = {.peers = v6 ? "2001:2::2-2001:2::9" : "198.18.0.2-198.18.0.9",
                                   .layer = layer,
                                   .broadcast = v6 ? NULL : "198.18.255.255"};

    return simnet_new(&config);
}

static void put_datagram(struct simnet *net, enum frame_layer layer, const char *from,
                         const char *to, uint16_t port)
{
    static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
    struct peer_addr src = simnet_addr(from), dst = simnet_addr(to);

    craft_udp_frame(&frame, &src, 999, &dst, port, "hello", 5);
    if (layer == FRAME_ETHERNET)
        craft_ethernet(&frame, everyone, app_mac);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

/* On Ethernet peers ask for the MAC before they answer. */
static void tell_mac(struct simnet *net)
{
    uint8_t arp[42] = {0};
    struct peer_addr app = simnet_addr(app_v4);

    memset(arp, 255, 6);
    memcpy(arp + 6, app_mac, 6);
    memcpy(arp + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(arp + 22, app_mac, 6);
    memcpy(arp + 28, app.bytes, 4);
    memcpy(arp + 38, simnet_addr("198.18.0.2").bytes, 4);
    simnet_put(net, arp, sizeof(arp), NULL);
    simnet_forget(net);
}

/* Each peer answers once, from its own address. */
static void check_answers(struct simnet *net)
{
    struct simnet_frame answer;
    uint32_t seen = 0;

    for (int i = 0; i < PEERS; i++) {
        assert_true(simnet_take(net, &answer));
        assert_true(checksum_verify(answer.data, answer.len, &answer.packet));
        assert_int_equal(answer.packet.kind, PACKET_UDP);
        assert_int_equal(answer.packet.dst_port, 999);
        assert_int_equal(answer.packet.payload_len, 5);
        uint8_t last = answer.packet.src.bytes[answer.packet.src.family == 6 ? 15 : 3];
        assert_in_range(last, 2, 9);
        seen |= 1u << last;
    }
    assert_int_equal(seen, 0x3fc);
    assert_silent(net);
}

static void everybody_who_listens_answers_from_its_own_address(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {{app_v4, "255.255.255.255"}, {app_v4, "198.18.255.255"}, {app_v4, "224.0.0.1"},
                 {app_v4, "239.255.255.250"}, {app_v6, "ff02::1"},        {app_v6, "ff05::1:3"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool v6 = strchr(cases[i].to, ':') != NULL;
        for (int ethernet = 0; ethernet < (v6 ? 1 : 2); ethernet++) {
            enum frame_layer layer = ethernet ? FRAME_ETHERNET : FRAME_IP;
            struct simnet *net = begin_local(v6, layer);
            struct end like = {.echo = true};
            simnet_listen(net, IPPROTO_UDP, 7, &like);
            if (ethernet)
                tell_mac(net);
            for (int again = 0; again < 2; again++) { /* the flows are the same */
                put_datagram(net, layer, cases[i].from, cases[i].to, 7);
                check_answers(net);
                assert_int_equal(simnet_counts(net).open, PEERS);
            }
            simnet_end(net);
        }
    }
}

static void nobody_else_answers(void **state)
{
    struct simnet *net = begin_local(false, FRAME_IP);
    struct end like = {.echo = true};

    (void)state;
    simnet_listen(net, IPPROTO_UDP, 7, &like);
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_datagram(net, FRAME_IP, app_v4, "255.255.255.255", 8); /* no listener: no complaint */
    put_datagram(net, FRAME_IP, "0.0.0.0", "255.255.255.255", 7);
    put_datagram(net, FRAME_IP, "224.0.0.1", "255.255.255.255", 7);
    put_datagram(net, FRAME_IP, app_v4, "198.19.255.255", 7); /* another subnet */
    struct craft_tcp syn = segment("255.255.255.255", 80, CRAFT_SYN, APP_ISN, 0);
    put_tcp(net, &syn);
    struct peer_addr from = simnet_addr(app_v4), to = simnet_addr("255.255.255.255");
    craft_icmp_frame(&frame, &from, &to, 8, 0, 1, "x", 1);
    simnet_put(net, frame.bytes, frame.len, NULL);
    craft_udp_frame(&frame, &from, 999, &to, 7, "hello", 5);
    frame.bytes[27] ^= 1; /* a wrong checksum */
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_silent(net);
    assert_int_equal(simnet_counts(net).open, 0);
    simnet_end(net);
}

/* ---- how long a datagram may be ---- */

static void longest_datagram_of_each_family(void **state)
{
    static uint8_t payload[65508];

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        size_t most = v6 ? 65487 : 65507;
        struct simnet *net = begin_local(v6, FRAME_IP);
        struct end *end = end_connect(net, IPPROTO_UDP, v6 ? "2001:2::2" : "198.18.0.2", 0,
                                      v6 ? app_v6 : app_v4, 7);
        assert_int_equal(flow_write_room(&end->flow), most);
        assert_int_equal(flow_write(&end->flow, payload, most + 1, 0), -EMSGSIZE);
        assert_int_equal(flow_write(&end->flow, payload, most, 0), most);
        struct stack_ping ping = {.from = simnet_addr(v6 ? "2001:2::2" : "198.18.0.2"),
                                  .to = simnet_addr(v6 ? app_v6 : app_v4),
                                  .size = (uint16_t)(most + 1)};
        assert_int_equal(stack_ping(simnet_stack(net), &ping), -EMSGSIZE);
        ping.size--;
        assert_int_equal(stack_ping(simnet_stack(net), &ping), 0);
        simnet_end(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_who_listens_answers_from_its_own_address),
        TEST(nobody_else_answers),
        TEST(longest_datagram_of_each_family),
    };
    return cmocka_run_group_tests_name("broadcast", tests, NULL, NULL);
}
