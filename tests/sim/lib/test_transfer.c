/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes both ways between two peers in virtual time, over wires that lose frames: what arrives is
 * what was sent. A gigabyte goes as super-segments; frames of real size are more work, so fewer
 * bytes.
 */
#include "support/simtest.h"

enum { PORT = 7 };

struct losses {
    uint64_t every; /* the n-th frame is lost; 0: none */
    uint64_t lost;
};

static unsigned loses_every_nth(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct losses *losses = user;
    bool lost = losses->every && frame->number % losses->every == 0;

    (void)delay_ns;
    losses->lost += lost;
    return !lost;
}

static bool both_over(void *user)
{
    return simnet_counts(user).ended == 2;
}

static void assert_whole(const struct end *end, uint64_t total)
{
    assert_false(end->wrong);
    assert_int_equal(end->received, total);
    assert_int_equal(end->how, PEER_END_CLOSED);
}

static void run(uint8_t family, bool offload, uint64_t total, uint64_t every)
{
    struct losses losses = {.every = every};
    struct simnet_config config = {.peers = family == 6 ? "2001:2::2-2001:2::3"
                                                        : "198.18.0.2-198.18.0.3",
                                   .offload = offload,
                                   .seed = 1,
                                   .fate = loses_every_nth,
                                   .user = &losses};
    struct end sends = {.to_send = total, .shut_when_sent = true};
    struct simnet *net = simnet_new(&config);

    simnet_listen(net, IPPROTO_TCP, PORT, &sends);
    struct end *caller =
        end_connect_like(net, &sends, IPPROTO_TCP, family == 6 ? "2001:2::2" : "198.18.0.2", 0,
                         family == 6 ? "2001:2::3" : "198.18.0.3", PORT);
    assert_non_null(caller);
    assert_true(simnet_run(net, both_over, net, simnet_now_ns(net) + 24 * 3600 * NS_PER_S));
    assert_whole(caller, total);
    assert_whole(simnet_accepted(net), total);
    assert_true(!every || losses.lost >= simnet_frames(net) / every);
    simnet_end(net);
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
        TEST(few_bytes_and_none),
        TEST(every_third_frame_lost),
        TEST(frames_of_real_size_with_every_50th_lost),
        TEST(a_gibibyte_both_ways),
        TEST(a_gibibyte_both_ways_with_every_50th_frame_lost),
        TEST(a_gibibyte_by_ipv6_with_every_50th_frame_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
