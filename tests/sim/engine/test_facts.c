/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the TCP of one connection's peer is like: each fact shows in its SYN, is sent again with it, and
 * the connection carries its bytes all the same.
 */
#include "support/simtest.h"

struct seen {
    struct stack_facts facts; /* of the one that calls */
    bool given;
    unsigned syns, lost;  /* of the first of which so many are lost */
    uint8_t syn[120];     /* the last one's IP header and what follows */
    uint32_t window_most; /* announced by the caller, unscaled */
    uint32_t segment_most, tos_wrong, ttl_wrong;
};

static const uint8_t *tcp_of(const uint8_t *ip)
{
    return ip + (ip[0] >> 4 == 6 ? 40 : (ip[0] & 15) * 4);
}

static unsigned note(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct seen *seen = user;
    const uint8_t *tcp = tcp_of(frame->data);
    bool v6 = frame->data[0] >> 4 == 6;
    unsigned tos = v6 ? (frame->data[0] & 15u) << 4 | frame->data[1] >> 4 : frame->data[1];

    (void)delay_ns;
    uint32_t payload = frame->len - (uint32_t)(tcp - frame->data) - (tcp[12] >> 4) * 4u;
    seen->segment_most = MAX(seen->segment_most, payload);
    if (tcp[2] << 8 != (80 & 0xff00) || tcp[3] != 80) /* from the server */
        return 1;
    seen->tos_wrong += tos >> 2 != seen->facts.dscp;
    seen->ttl_wrong += frame->data[v6 ? 7 : 8] != (seen->facts.ttl ? seen->facts.ttl : 64);
    if (!(tcp[13] & 2)) {
        seen->window_most = MAX(seen->window_most, (uint32_t)(tcp[14] << 8 | tcp[15]));
        return 1;
    }
    memcpy(seen->syn, frame->data, MIN((size_t)frame->len, sizeof(seen->syn)));
    return ++seen->syns > seen->lost;
}

static void dress(void *user, struct end *end)
{
    struct seen *seen = user;

    if (seen->given) /* the other end of it */
        return;
    seen->given = true;
    assert_int_equal(flow_set_facts(&end->flow, 4, &seen->facts), 0);
}

static const uint8_t *option(const struct seen *seen, uint8_t kind)
{
    const uint8_t *tcp = tcp_of(seen->syn), *end = tcp + (tcp[12] >> 4) * 4;

    for (const uint8_t *at = tcp + 20; at < end && *at; at += *at == 1 ? 1 : at[1]) {
        if (*at == kind)
            return at;
    }
    return NULL;
}

/* A call that carries bytes both ways. */
static void call(struct seen *seen, bool v6)
{
    const struct simnet_config config = {.peers = v6 ? "2001:db8::2-2001:db8::9"
                                                     : "198.18.0.2-198.18.0.9",
                                         .fate = note,
                                         .dress = dress,
                                         .user = seen};
    const struct end like = {.to_send = 200000, .shut_when_sent = true, .close_when_done = true};
    struct simnet *net = simnet_new(&config);

    simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct end *end = end_connect_like(net, &like, IPPROTO_TCP, v6 ? "2001:db8::2" : "198.18.0.2",
                                       40000, v6 ? "2001:db8::3" : "198.18.0.3", 80);
    assert_true(simnet_run(net, end_is_over, end, simnet_now_ns(net) + 600 * NS_PER_S));
    assert_int_equal(end->received, 200000);
    assert_false(end->wrong);
    simnet_end(net);
    assert_int_equal(seen->tos_wrong, 0);
    assert_int_equal(seen->ttl_wrong, 0);
}

static uint32_t mss_of(const struct seen *seen)
{
    const uint8_t *mss = option(seen, 2);

    assert_non_null(mss);
    return (uint32_t)(mss[2] << 8 | mss[3]);
}

static void without_facts_a_syn_is_as_usual(void **state)
{
    struct seen seen = {.syns = 0};

    (void)state;
    call(&seen, false);
    assert_int_equal(mss_of(&seen), 1460);
    assert_true(option(&seen, 3) && option(&seen, 4) && option(&seen, 8));
}

static void an_mss_is_announced_and_kept_to_both_ways(void **state)
{
    struct seen seen = {.facts = {.mss = 536}, .lost = 1};

    (void)state;
    call(&seen, false);
    assert_int_equal(seen.syns, 2);
    assert_int_equal(mss_of(&seen), 536);
    assert_int_equal(seen.segment_most, 536 - 12);
}

static void a_small_window_is_exact_and_never_exceeded(void **state)
{
    struct seen seen = {.facts = {.window = 1000}, .lost = 1};

    (void)state;
    call(&seen, false);
    const uint8_t *tcp = tcp_of(seen.syn);
    assert_int_equal(tcp[14] << 8 | tcp[15], 1000);
    assert_null(option(&seen, 3));
    assert_int_equal(seen.window_most, 1000);
}

static void a_large_window_ends_to_grow(void **state)
{
    struct seen seen = {.facts = {.window = 70000}};

    (void)state;
    call(&seen, false);
    const uint8_t *scale = option(&seen, 3);
    assert_non_null(scale);
    assert_in_range((uint64_t)seen.window_most << scale[2], 60000, 70000 + (1u << scale[2]));
}

static void ttl_and_dscp_are_on_each_packet(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct seen seen = {.facts = {.ttl = 3, .dscp = 46}};
        call(&seen, v6); /* which looks at each */
        assert_true(seen.syns > 0);
    }
}

static void what_is_off_is_not_offered(void **state)
{
    struct seen stamps = {.facts = {.no_timestamps = true}, .lost = 1};
    struct seen sack = {.facts = {.no_sack = true}, .lost = 1};
    struct seen both = {.facts = {.no_sack = true, .no_timestamps = true}};

    (void)state;
    call(&stamps, false);
    assert_true(!option(&stamps, 8) && option(&stamps, 4) && option(&stamps, 3));
    assert_int_equal(stamps.segment_most, 1460);
    call(&sack, false);
    assert_true(option(&sack, 8) && !option(&sack, 4) && option(&sack, 3));
    call(&both, false);
    assert_true(!option(&both, 8) && !option(&both, 4) && option(&both, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_facts_a_syn_is_as_usual),
        TEST(an_mss_is_announced_and_kept_to_both_ways),
        TEST(a_small_window_is_exact_and_never_exceeded),
        TEST(a_large_window_ends_to_grow),
        TEST(ttl_and_dscp_are_on_each_packet),
        TEST(what_is_off_is_not_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
