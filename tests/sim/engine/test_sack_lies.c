/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A receiver that lies about what it has: blocks of any edges, cut options, acknowledgements and
 * windows at random, promises that it breaks. The stack must neither crash nor hold anything at the
 * end, and must send again what was only promised.
 */
#include "support/simtest.h"

#include "base/rng.h"
#include "support/craft.h"

enum { PORT = 80, SEGMENT = 1448, ROUNDS = 3000 };
#define APP_ISN UINT32_C(0x7fffff00)
static const char app[] = "192.0.2.1";

struct liar {
    struct simnet *net;
    struct end *end;
    struct rng rng;
    struct craft_tcp syn;
    uint32_t una, nxt; /* of what the stack sent, as it was acknowledged and seen */
};

static void look(struct liar *liar)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    while (simnet_take(liar->net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
        uint32_t end = tcp.seq + tcp.payload_len + (tcp.flags & CRAFT_FIN ? 1 : 0);
        if ((int32_t)(end - liar->nxt) > 0)
            liar->nxt = end;
    }
}

static void begin(struct liar *liar, uint64_t seed, bool real_size, uint64_t bytes)
{
    struct simnet_config config = {.peers = "198.18.0.2", .offload = !real_size, .seed = seed};
    struct simnet_frame frame;
    struct crafted answer;

    *liar = (struct liar){.net = simnet_new(&config)};
    rng_seed(&liar->rng, seed);
    if (real_size)
        assert_non_null(engine_wires(simnet_engine(liar->net)));
    liar->end = end_connect(liar->net, IPPROTO_TCP, "198.18.0.2", 0, app, PORT);
    assert_true(simnet_take(liar->net, &frame));
    assert_true(craft_see_tcp(frame.data, &frame.packet, &liar->syn));
    liar->una = liar->nxt = liar->syn.seq + 1;
    liar->end->to_send = bytes;
    struct craft_tcp tcp = {.src = liar->syn.dst,
                            .dst = liar->syn.src,
                            .src_port = PORT,
                            .dst_port = liar->syn.src_port,
                            .seq = APP_ISN,
                            .ack = liar->una,
                            .flags = CRAFT_SYN | CRAFT_ACK,
                            .window = 60000,
                            .mss = 1460,
                            .scale = 7 + 1,
                            .sack_ok = true,
                            .timestamps = true,
                            .ts_val = 1,
                            .ts_ecr = liar->syn.ts_val};
    craft_tcp_frame(&answer, &tcp);
    simnet_put(liar->net, answer.bytes, answer.len, NULL);
    look(liar);
}

/* An acknowledgement with an option of `len` bytes. */
static void put_ack(struct liar *liar, uint32_t ack, uint16_t window, const uint8_t *option,
                    size_t len)
{
    static struct crafted out;
    size_t header = 20 + (len + 3) / 4 * 4;
    uint8_t *at = craft_ip(&out, &liar->syn.dst, &liar->syn.src, IPPROTO_TCP, header);

    memset(at, 0, header);
    craft_put16(at, PORT);
    craft_put16(at + 2, liar->syn.src_port);
    craft_put32(at + 4, APP_ISN + 1);
    craft_put32(at + 8, ack);
    at[12] = (uint8_t)(header / 4 << 4);
    at[13] = CRAFT_ACK;
    craft_put16(at + 14, window);
    memcpy(at + 20, option, len);
    craft_sum(&liar->syn.dst, &liar->syn.src, IPPROTO_TCP, at, header, 16);
    simnet_put(liar->net, out.bytes, out.len, NULL);
    look(liar);
}

/* Somewhere between what is acknowledged and what is sent, or a little beyond both. */
static uint32_t somewhere(struct liar *liar)
{
    uint32_t span = liar->nxt - liar->una, beyond = 3 * SEGMENT;
    uint32_t at = liar->una - beyond + (uint32_t)rng_below(&liar->rng, span + 2 * beyond);

    if (rng_below(&liar->rng, 2)) /* the border of a segment */
        at = liar->una + (at - liar->una) / SEGMENT * SEGMENT;
    return rng_below(&liar->rng, 50) ? at : (uint32_t)rng_next(&liar->rng);
}

static void lie(struct liar *liar)
{
    uint8_t option[40] = {5};
    size_t blocks = rng_below(&liar->rng, 5), len = 2 + blocks * 8;
    uint16_t window = rng_below(&liar->rng, 20) ? 20000 : (uint16_t)rng_below(&liar->rng, 40);

    option[1] = (uint8_t)(rng_below(&liar->rng, 20) ? len : rng_below(&liar->rng, 256));
    for (size_t i = 0; i < 2 * blocks; i++)
        craft_put32(option + 2 + 4 * i, somewhere(liar));
    if (rng_below(&liar->rng, 20) == 0)
        len = MAX(len - rng_below(&liar->rng, 10) % len, 1u);
    if (rng_below(&liar->rng, 4) == 0 && liar->nxt != liar->una)
        liar->una += (uint32_t)rng_below(&liar->rng, MIN(liar->nxt - liar->una, 9000u) + 1);
    put_ack(liar, liar->una, window, option, blocks ? len : 0);
}

static bool all_sent(const struct liar *liar)
{
    return liar->end->sent == liar->end->to_send && stack_tcp_queued(&liar->end->flow.conn) == 0;
}

static void lie_for_long(uint64_t seed, bool real_size)
{
    struct liar liar;

    begin(&liar, seed, real_size, 3000 * SEGMENT);
    for (int i = 0; i < ROUNDS; i++) {
        lie(&liar);
        if (rng_below(&liar.rng, 8) == 0)
            simnet_run_for(liar.net, rng_below(&liar.rng, 60 * NS_PER_MS));
        look(&liar);
    }
    assert_true(liar.end->flow.conn.retransmits > 0);
    /* It comes to its senses: all that was ever sent it has. */
    for (int i = 0; i < 20000 && !all_sent(&liar); i++) {
        liar.una = liar.nxt;
        put_ack(&liar, liar.una, 20000, (const uint8_t *)"", 0);
        simnet_run_for(liar.net, 50 * NS_PER_MS);
        look(&liar);
    }
    assert_true(all_sent(&liar));
    simnet_end(liar.net);
}

static void lies_do_no_harm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        lie_for_long(seed, seed % 2);
}

/* It says that it has all but the first segment, and then has nothing of it. */
static void what_was_promised_and_dropped_is_sent_again(void **state)
{
    struct liar liar;
    uint8_t option[10] = {5, 10};

    (void)state;
    begin(&liar, 1, true, 10 * SEGMENT);
    assert_int_equal(liar.nxt - liar.una, 10 * SEGMENT);
    craft_put32(option + 2, liar.una + SEGMENT);
    craft_put32(option + 6, liar.nxt);
    put_ack(&liar, liar.una, 20000, option, sizeof(option));
    liar.nxt = liar.una; /* what comes from now on */
    for (int i = 0; i < 100 && liar.una != liar.syn.seq + 1 + 10 * SEGMENT; i++) {
        simnet_run_for(liar.net, 50 * NS_PER_MS);
        look(&liar);
        liar.una = MIN(liar.nxt, liar.una + SEGMENT); /* each is taken by itself */
        put_ack(&liar, liar.una, 20000, option, 0);
    }
    assert_int_equal(liar.una - liar.syn.seq - 1, 10 * SEGMENT);
    assert_true(all_sent(&liar));
    simnet_end(liar.net);
}

static size_t sack_option(uint8_t option[18], uint32_t left, uint32_t right, uint32_t twice)
{
    size_t len = twice ? 18 : 10;
    uint8_t *at = option + 2;

    option[0] = 5;
    option[1] = (uint8_t)len;
    if (twice) { /* RFC 2883: first what came twice */
        craft_put32(at, twice);
        craft_put32(at + 4, twice + SEGMENT);
        at += 8;
    }
    craft_put32(at, left);
    craft_put32(at + 4, right);
    return len;
}

static uint32_t window_of(const struct liar *liar)
{
    struct peer_flow_info info = {0};

    flow_info(&liar->end->flow, &info);
    return (uint32_t)info.cwnd;
}

/* The first segment comes last, after it was sent again, and that is said: the window is as before.
   `twice`: by the block of a segment that was not sent again, which means nothing. */
static uint32_t window_after_a_late_segment(uint32_t twice)
{
    struct liar liar;
    uint8_t option[18];
    size_t len;

    begin(&liar, 1, true, 200 * SEGMENT);
    uint32_t first = liar.una;
    len = sack_option(option, first + SEGMENT, first + 5 * SEGMENT, 0);
    simnet_run_for(liar.net, 30 * NS_PER_MS);
    put_ack(&liar, first, 20000, option, len);
    assert_int_equal(liar.end->flow.conn.retransmits, 1);
    put_ack(&liar, first + 6 * SEGMENT, 20000, option, 0);
    len = sack_option(option, first + 7 * SEGMENT, first + 8 * SEGMENT, first + twice * SEGMENT);
    put_ack(&liar, first + 6 * SEGMENT, 20000, option, len);
    uint32_t window = window_of(&liar);
    simnet_end(liar.net);
    return window;
}

static void a_segment_that_was_only_late_leaves_the_window_as_it_was(void **state)
{
    (void)state;
    assert_true(window_after_a_late_segment(0) >= 10 * SEGMENT);
    assert_true(window_after_a_late_segment(2) < 10 * SEGMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lies_do_no_harm),
        TEST(what_was_promised_and_dropped_is_sent_again),
        TEST(a_segment_that_was_only_late_leaves_the_window_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
