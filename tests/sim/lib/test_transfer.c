/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes both ways between two peers in virtual time, over wires that lose frames: what arrives is
 * what was sent. A gigabyte goes as super-segments; frames of real size are more work, so fewer
 * bytes.
 */
#include "support/wire.h"

#include "soak/pattern.h"

enum { CHUNK = 256 * 1024 };

struct transfer {
    uint64_t total;
    struct wire wire;
    struct wire_flow ends[2]; /* caller, server */
    uint64_t sent[2], received[2];
    uint64_t every; /* the n-th frame is lost; 0: none */
    uint8_t chunk[CHUNK];
};

static bool loses_every_nth(void *user, uint64_t number, const struct packet *packet)
{
    const struct transfer *transfer = user;

    (void)packet;
    return transfer->every && number % transfer->every == 0;
}

static int end_of(const struct wire_flow *flow)
{
    struct transfer *transfer = flow->user;
    return flow == &transfer->ends[1];
}

static void send_more(struct wire_flow *flow)
{
    struct transfer *transfer = flow->user;
    int end = end_of(flow);

    while (transfer->sent[end] < transfer->total) {
        size_t len = (size_t)MIN(transfer->total - transfer->sent[end], (uint64_t)CHUNK);
        len = MIN(len, flow_write_room(&flow->flow));
        if (!len)
            return;
        pattern_fill((uint64_t)end, transfer->sent[end], transfer->chunk, len);
        ssize_t done = flow_write(&flow->flow, transfer->chunk, len, 0);
        if (done <= 0)
            return;
        transfer->sent[end] += (uint64_t)done;
    }
    flow_shutdown(&flow->flow);
}

static void receive_all(struct wire_flow *flow)
{
    struct transfer *transfer = flow->user;
    int end = end_of(flow);
    struct iovec iov[16];
    int count;

    while ((count = flow_peek(&flow->flow, iov, 16)) > 0) {
        for (int i = 0; i < count; i++) {
            int64_t wrong = pattern_check((uint64_t)!end, transfer->received[end], iov[i].iov_base,
                                          iov[i].iov_len);
            if (wrong >= 0) {
                wire_print_log(&transfer->wire);
                fail_msg("byte %lld differs", (long long)wrong);
            }
            transfer->received[end] += iov[i].iov_len;
            flow_consume(&flow->flow, iov[i].iov_len);
        }
    }
}

static void on_event(struct wire_flow *flow, unsigned events)
{
    if (events & FLOW_READABLE)
        receive_all(flow);
    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED | FLOW_WRITABLE))
        send_more(flow);
}

static struct flow *accept_transfer(void *user, struct stack_listener *listener,
                                    const struct stack_tuple *tuple)
{
    struct transfer *transfer = user;
    struct wire_flow *flow = &transfer->ends[1];

    (void)listener;
    (void)tuple;
    flow_init_accepted(&flow->flow, engine_flows(transfer->wire.engine), &wire_flow_ops);
    return &flow->flow;
}

static bool both_over(void *user)
{
    const struct transfer *transfer = user;
    return transfer->ends[0].seen & FLOW_END && transfer->ends[1].seen & FLOW_END;
}

static void run(uint8_t family, bool offload, uint64_t total, uint64_t every)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    const char *peers = family == 6 ? "2001:2::2-2001:2::3" : "198.18.0.2-198.18.0.3";
    const char *a = family == 6 ? "2001:2::2" : "198.18.0.2";
    const char *b = family == 6 ? "2001:2::3" : "198.18.0.3";

    assert_non_null(transfer);
    wire_init(&transfer->wire, peers, offload, 1);
    transfer->total = total;
    transfer->every = every;
    transfer->wire.loses = loses_every_nth;
    transfer->wire.accept = accept_transfer;
    transfer->wire.user = transfer;
    for (int i = 0; i < 2; i++) {
        transfer->ends[i].wire = &transfer->wire;
        transfer->ends[i].on_event = on_event;
        transfer->ends[i].user = transfer;
    }
    wire_listen(&transfer->wire, IPPROTO_TCP, b, 7);
    assert_int_equal(wire_connect(&transfer->wire, &transfer->ends[0], IPPROTO_TCP, a, b, 7), 0);
    wire_run(&transfer->wire, 3600 * 24 * NS_PER_S, both_over);
    for (int i = 0; i < 2; i++) {
        if (transfer->received[i] != total || transfer->ends[i].end != PEER_END_CLOSED)
            wire_print_log(&transfer->wire);
        assert_int_equal(transfer->received[i], total);
        assert_int_equal(transfer->ends[i].end, PEER_END_CLOSED);
    }
    if (every)
        assert_true(transfer->wire.lost >= transfer->wire.count / every);
    wire_done(&transfer->wire);
    free(transfer);
}

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static void a_gibibyte_both_ways(void **state)
{
    (void)state;
    run(4, true, GIB, 0);
}

static void a_gibibyte_both_ways_with_every_50th_frame_lost(void **state)
{
    (void)state;
    run(4, true, GIB, 50);
}

static void a_gibibyte_by_ipv6_with_every_50th_frame_lost(void **state)
{
    (void)state;
    run(6, true, GIB, 50);
}

static void frames_of_real_size_with_every_50th_lost(void **state)
{
    (void)state;
    run(4, false, 32 * MIB, 50);
    run(6, false, 32 * MIB, 50);
}

static void every_third_frame_lost(void **state)
{
    (void)state;
    run(4, false, 64 * 1024, 3);
}

static void few_bytes_and_none(void **state)
{
    (void)state;
    run(4, true, 0, 0);
    run(4, true, 1, 0);
    run(6, false, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_bytes_and_none),
        cmocka_unit_test(every_third_frame_lost),
        cmocka_unit_test(frames_of_real_size_with_every_50th_lost),
        cmocka_unit_test(a_gibibyte_both_ways),
        cmocka_unit_test(a_gibibyte_both_ways_with_every_50th_frame_lost),
        cmocka_unit_test(a_gibibyte_by_ipv6_with_every_50th_frame_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
