/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packets.h"
#include "support/packet_format.h"

#include <string.h>

/* In the order of the samples. tcpdump's own words stand beside each packet in packets.h. */
static const char *const lines[SAMPLES] = {
    "198.18.0.2.40000 > 192.0.2.1.80: Flags [S], seq 1, win 64240, options [mss 1460,sackOK,TS val "
    "7 ecr 0,nop,wscale 7], length 0",
    "2001:2::2.40000 > 2001:db8::1.80: Flags [P.], seq 1000:1005, ack 2000, win 502, options "
    "[nop,nop,TS val 1000 ecr 2000], length 5",
    "198.18.0.2.40000 > 192.0.2.1.80: Flags [F.], seq 4294967295, ack 5, win 0, length 0",
    "198.18.0.2.40000 > 192.0.2.1.80: Flags [.], ack 20, win 100, options [nop,nop,sack 2 "
    "{30:40}{50:60}], length 0",
    "198.18.0.2.4001 > 192.0.2.1.4002: UDP, length 3",
    "2001:2::2.4001 > 2001:db8::1.4002: UDP, length 4",
    "198.18.0.2 > 192.0.2.1: ICMP echo request, id 7, seq 1, length 24",
    "2001:2::2 > 2001:db8::1: ICMP6, echo reply, id 7, seq 2, length 16",
    "192.0.2.1 > 198.18.0.2: ICMP port unreachable, for 192.0.2.1 udp port 4002, length 36",
    "2001:db8::1 > 2001:2::2: ICMP6, packet too big, mtu 1280, for 2001:db8::1 tcp port 80, length "
    "68",
    "198.18.0.2.4001 > 192.0.2.1.4002: UDP, length 3",
    "2001:2::2.4001 > 2001:db8::1.4002: UDP, length 4",
    "198.18.0.2 > 192.0.2.1: frag (id 4660, offset 1480+), ip-proto-17, length 36",
    "2001:2::2.1 > 2001:db8::1.2: frag, ip-proto-17, length 72",
    "2001:2::2 > 2001:db8::1: frag, ip-proto-17, length 72",
    "2001:2::2.4001 > 2001:db8::1.4002: UDP, length 4",
    "ARP, Request who-has 198.18.0.2 tell 192.0.2.1, length 46",
    "ARP, Reply 198.18.0.2 is-at 02:00:00:00:00:01, length 28",
    "2001:db8::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has 2001:2::2, length 32",
    "2001:2::2 > 2001:db8::1: ICMP6, neighbor advertisement, tgt is 2001:2::2, length 32",
    "198.18.0.2.40000 > 192.0.2.1.80: Flags [.], ack 2, win 502, length 0",
    "ethertype 0x8100, length 49",
};

static void prints_known_packets_in_tcpdumps_words(void **state)
{
    char buf[256];

    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        assert_string_equal(
            packet_format(sample->bytes, sample->len, sample->layer, buf, sizeof(buf)), lines[i]);
    }
}

static void cuts_the_line_at_any_room(void **state)
{
    char buf[256];

    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        for (size_t room = 1; room < sizeof(buf); room++) {
            memset(buf, 'x', sizeof(buf));
            packet_format(sample->bytes, sample->len, sample->layer, buf, room);
            assert_int_equal(strlen(buf), strlen(lines[i]) < room ? strlen(lines[i]) : room - 1);
            assert_memory_equal(buf, lines[i], strlen(buf));
            assert_int_equal(buf[room], 'x');
        }
    }
    assert_string_equal(packet_format(syn4, sizeof(syn4), FRAME_IP, NULL, 0), "");
}

static void says_what_is_malformed(void **state)
{
    char buf[256];
    uint8_t copy[sizeof(syn4)];

    (void)state;
    assert_string_equal(packet_format(syn4, 28, FRAME_IP, buf, sizeof(buf)),
                        "198.18.0.2.40000 > 192.0.2.1.80: ip-proto-6, length 28 [malformed]");
    assert_string_equal(packet_format(syn4, 10, FRAME_IP, buf, sizeof(buf)),
                        "IP, length 10 [malformed]");
    assert_string_equal(packet_format(arp_reply, 10, FRAME_ETHERNET, buf, sizeof(buf)),
                        "Ethernet, length 10 [malformed]");
    memcpy(copy, syn4, sizeof(copy));
    copy[41] = 0; /* the length of the first option */
    assert_string_equal(packet_format(copy, sizeof(copy), FRAME_IP, buf, sizeof(buf)),
                        "198.18.0.2.40000 > 192.0.2.1.80: Flags [S], seq 1, win 64240, options "
                        "[bad opt], length 0");
    copy[33] = 0xff;
    copy[40] = 0; /* end of options */
    assert_string_equal(packet_format(copy, sizeof(copy), FRAME_IP, buf, sizeof(buf)),
                        "198.18.0.2.40000 > 192.0.2.1.80: Flags [FSRP.UEW], seq 1, ack 0, win "
                        "64240, urg 0, options [eol], length 0");
    copy[33] = 0;
    assert_string_equal(packet_format(copy, sizeof(copy), FRAME_IP, buf, sizeof(buf)),
                        "198.18.0.2.40000 > 192.0.2.1.80: Flags [none], win 64240, options [eol], "
                        "length 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_known_packets_in_tcpdumps_words),
        cmocka_unit_test(cuts_the_line_at_any_room),
        cmocka_unit_test(says_what_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
