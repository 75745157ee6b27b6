/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet is followed without a stack: who sends it writes it to the device by hand, and the
 * program under test answers whenever the trace waits.
 */
#include <poll.h>
#include <time.h>

#include "base/macro.h"
#include "netns/attachment/attached.h"
#include "trace/trace.h"

enum { HEADER = 10, IP = 20, UDP = 8 };

struct hand {
    int queue;
    int program; /* its socket, -1: there is none */
    uint64_t sent;
};

static uint64_t now_ns(void *user)
{
    struct timespec now;

    (void)user;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void put16(uint8_t *bytes, unsigned value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static void put_sum(uint8_t *ip)
{
    unsigned sum = 0;

    for (int i = 0; i < IP; i += 2)
        sum += (unsigned)ip[i] << 8 | ip[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
}

static int send_by_hand(void *user, const struct trace_packet *packet)
{
    struct hand *hand = user;
    uint8_t frame[HEADER + IP + UDP + 4] = {0}, *ip = frame + HEADER, *udp = ip + IP;

    assert_int_equal(packet->protocol, IPPROTO_UDP);
    ip[0] = 0x45;
    put16(ip + 2, IP + UDP + 4);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, packet->peer.bytes, 4);
    memcpy(ip + 16, packet->to.bytes, 4);
    put_sum(ip);
    put16(udp, packet->peer_port);
    put16(udp + 2, packet->port);
    put16(udp + 4, UDP + 4);
    memcpy(udp + UDP, "peer", 4);
    hand->sent++;
    return write(hand->queue, frame, sizeof(frame)) == (ssize_t)sizeof(frame) ? 0 : -errno;
}

static int wait_by_hand(void *user, uint64_t timeout_ns)
{
    struct hand *hand = user;
    struct pollfd readable = {.fd = hand->queue, .events = POLLIN};
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    char text[8];

    if (hand->program >= 0 &&
        recvfrom(hand->program, text, sizeof(text), 0, (struct sockaddr *)&from, &len) == 4)
        assert_int_equal(sendto(hand->program, "here", 4, 0, (struct sockaddr *)&from, len), 4);
    return poll(&readable, 1, (int)(timeout_ns / NS_PER_MS)) < 0 ? -errno : 0;
}

static void hear_by_hand(void *user, struct trace_answer *answer)
{
    struct hand *hand = user;
    uint8_t frame[2048];
    ssize_t n;

    while (answer->kind == ANSWER_NONE &&
           (n = read(hand->queue, frame, sizeof(frame))) >= HEADER + IP + UDP) {
        const uint8_t *ip = frame + HEADER, *above = ip + (ip[0] & 15) * 4;
        if (ip[0] >> 4 != 4)
            continue;
        answer->kind = ip[9] == IPPROTO_UDP    ? ANSWER_DATA
                       : ip[9] == IPPROTO_ICMP ? ANSWER_ICMP
                                               : ANSWER_NONE;
        answer->icmp_type = ip[9] == IPPROTO_ICMP ? above[0] : 0;
        answer->icmp_code = ip[9] == IPPROTO_ICMP ? above[1] : 0;
        answer->icmp_from = (struct peer_addr){.family = 4};
        memcpy(answer->icmp_from.bytes, ip + 12, 4);
        answer->at_ns = now_ns(NULL);
    }
}

static void count_by_hand(void *user, uint64_t *ret_sent, uint64_t *ret_not_taken)
{
    *ret_sent = ((struct hand *)user)->sent;
    *ret_not_taken = 0;
}

static void end_by_hand(void *user)
{
    (void)user;
}

static void count_stations(void *user, const struct peer_trace_station *station)
{
    (void)station;
    ++*(int *)user;
}

/* What a trace of a datagram to `port` says. */
static struct peer_trace_result follow(struct attachment *attachment, struct hand *hand,
                                       uint16_t port, bool dry)
{
    const struct peer_trace_config config = {
        .protocol = IPPROTO_UDP, .to = attached_addr(ATTACHED_LOCAL), .to_port = port, .dry = dry};
    const struct trace_sender sender = {.user = hand,
                                        .now_ns = now_ns,
                                        .send = send_by_hand,
                                        .wait = wait_by_hand,
                                        .hear = hear_by_hand,
                                        .count = count_by_hand,
                                        .end = end_by_hand};
    struct peer_trace_result result = {0};
    struct peer_error error = {0};
    int stations = 0;

    const struct trace_job job = {.attachment = attachment,
                                  .sender = &sender,
                                  .config = &config,
                                  .each = count_stations,
                                  .user = &stations};

    hand->queue = attachment->queues[0];
    if (trace_run(&job, &result, &error) < 0)
        fail_msg("%s", error.text);
    assert_true(stations > 0);
    return result;
}

static void a_datagram_is_answered(void **state)
{
    struct attachment attachment;
    struct hand hand = {0};
    uint16_t port;

    (void)state;
    attach(&attachment);
    hand.program = attached_socket(&port);
    const struct peer_trace_result result = follow(&attachment, &hand, port, false);
    assert_int_equal(result.outcome, PEER_TRACE_ANSWERED);
    assert_int_equal(hand.sent, 1);
    assert_true(result.answer_ns > 0);
    close(hand.program);
    attachment_done(&attachment);
}

static void a_port_of_nobody_refuses(void **state)
{
    struct attachment attachment;
    struct hand hand = {.program = -1};

    (void)state;
    attach(&attachment);
    const struct peer_trace_result result = follow(&attachment, &hand, 9, false);
    assert_int_equal(result.outcome, PEER_TRACE_REFUSED);
    assert_string_equal(result.station, "socket");
    assert_string_equal(result.reason, "no-listener");
    attachment_done(&attachment);
}

static void a_dry_trace_sends_nothing(void **state)
{
    struct attachment attachment;
    struct hand hand = {.program = -1};
    uint16_t port;

    (void)state;
    attach(&attachment);
    int program = attached_socket(&port);
    assert_int_equal(follow(&attachment, &hand, port, true).outcome, PEER_TRACE_ARRIVED);
    close(program);
    const struct peer_trace_result result = follow(&attachment, &hand, port, true);
    assert_string_equal(result.reason, "no-listener");
    assert_int_equal(hand.sent, 0);
    attachment_done(&attachment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_is_answered),
        cmocka_unit_test(a_port_of_nobody_refuses),
        cmocka_unit_test(a_dry_trace_sends_nothing),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
