/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Much data in both directions at once, over wires that lose, double and reorder, over Ethernet
 * too: what comes in is what was sent. Frames of real size carry 1 GiB each way, and a fraction of
 * it where a sanitizer makes them slow, unless PEER_TEST_FULL=1.
 */
#include "support/simtest.h"

#include "base/rng.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { GIB = 1 << 30 };

static uint64_t real_size_bytes(void)
{
    const char *full = getenv("PEER_TEST_FULL");

    return SANITIZED && !(full && *full == '1') ? GIB / 32 : GIB;
}

struct bulk {
    const char *peers, *from, *to;
    bool offload;
    enum frame_layer layer;
    uint64_t bytes;
    uint64_t delay_ns;
    unsigned (*fate)(void *user, const struct simnet_frame *frame, uint64_t *delay_ns);
    void *user;
};

#define V4 .peers = "198.18.0.2-198.18.0.9", .from = "198.18.0.2", .to = "198.18.0.3"
#define V6 .peers = "2001:2::2-2001:2::9", .from = "2001:2::2", .to = "2001:2::3"

static void check_over(const struct end *end, uint64_t bytes)
{
    assert_false(end->wrong);
    assert_int_equal(end->received, bytes);
    assert_int_equal(end->how, PEER_END_CLOSED);
}

static void transfer(const struct bulk *bulk)
{
    struct simnet_config config = {.peers = bulk->peers,
                                   .offload = bulk->offload,
                                   .layer = bulk->layer,
                                   .delay_ns = bulk->delay_ns ? bulk->delay_ns : 100000,
                                   .fate = bulk->fate,
                                   .user = bulk->user};
    struct simnet *net = simnet_new(&config);
    struct end like = {.to_send = bulk->bytes, .shut_when_sent = true, .close_when_done = true};

    simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct end *client = end_connect(net, IPPROTO_TCP, bulk->from, 0, bulk->to, 80);
    assert_non_null(client);
    client->to_send = bulk->bytes;
    client->shut_when_sent = client->close_when_done = true;
    uint64_t start_ns = simnet_now_ns(net);
    assert_true(simnet_run(net, end_is_open, client, start_ns + 60 * NS_PER_S));
    struct end *server = simnet_accepted(net);
    assert_non_null(server);

    assert_true(simnet_run(net, end_is_over, client, start_ns + 36000 * NS_PER_S));
    assert_true(simnet_run(net, end_is_over, server, start_ns + 36000 * NS_PER_S));
    check_over(client, bulk->bytes);
    check_over(server, bulk->bytes);
    struct peer_flow_info info;
    flow_info(&client->flow, &info);
    print_message(
        "%s %s%s: %llu MiB each way in %.1f s of virtual time, %llu frames\n", bulk->from,
        bulk->offload ? "super-segments" : "real size",
        bulk->layer == FRAME_ETHERNET ? ", Ethernet" : "", (unsigned long long)bulk->bytes >> 20,
        (double)(simnet_now_ns(net) - start_ns) / 1e9, (unsigned long long)simnet_frames(net));
    simnet_end(net);
}

static unsigned lose_every_50th(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user;
    (void)delay_ns;
    return frame->number % 50 != 0;
}

/* 1 % lost, 1 % twice, 2 % late by up to 5 ms. */
static unsigned be_bad(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    uint64_t dice = rng_below(user, 100);

    (void)frame;
    if (dice >= 96)
        *delay_ns += rng_below(user, 5 * NS_PER_MS);
    return dice == 0 ? 0 : dice == 1 ? 2 : 1;
}

static void every_byte_arrives_v4_super_segments(void **state)
{
    (void)state;
    transfer(&(struct bulk){V4, .offload = true, .bytes = GIB / 8});
}

static void every_byte_arrives_v6_super_segments(void **state)
{
    (void)state;
    transfer(&(struct bulk){V6, .offload = true, .bytes = GIB / 8});
}

static void every_byte_arrives_v4_real_size(void **state)
{
    (void)state;
    transfer(&(struct bulk){V4, .bytes = real_size_bytes()});
}

static void every_byte_arrives_v6_real_size(void **state)
{
    (void)state;
    transfer(&(struct bulk){V6, .bytes = real_size_bytes()});
}

static void every_byte_arrives_over_ethernet(void **state)
{
    (void)state;
    transfer(&(struct bulk){V4, .layer = FRAME_ETHERNET, .offload = true, .bytes = GIB / 8});
}

static void every_50th_frame_lost_v4_super_segments(void **state)
{
    (void)state;
    transfer(&(struct bulk){V4, .offload = true, .bytes = GIB, .fate = lose_every_50th});
}

static void every_50th_frame_lost_v6_super_segments(void **state)
{
    (void)state;
    transfer(&(struct bulk){V6, .offload = true, .bytes = GIB, .fate = lose_every_50th});
}

static void every_50th_frame_lost_v4_real_size(void **state)
{
    (void)state;
    transfer(&(struct bulk){V4, .bytes = real_size_bytes(), .fate = lose_every_50th});
}

static void every_50th_frame_lost_v6_real_size(void **state)
{
    (void)state;
    transfer(&(struct bulk){V6, .bytes = real_size_bytes(), .fate = lose_every_50th});
}

static void lost_doubled_and_reordered_v4(void **state)
{
    struct rng rng;

    (void)state;
    rng_seed(&rng, 4);
    transfer(&(struct bulk){V4, .bytes = real_size_bytes() / 8, .fate = be_bad, .user = &rng});
}

static void lost_doubled_and_reordered_v6_super_segments(void **state)
{
    struct rng rng;

    (void)state;
    rng_seed(&rng, 6);
    transfer(&(struct bulk){V6, .offload = true, .bytes = GIB / 8, .fate = be_bad, .user = &rng});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_byte_arrives_v4_super_segments),
        TEST(every_byte_arrives_v6_super_segments),
        TEST(every_byte_arrives_v4_real_size),
        TEST(every_byte_arrives_v6_real_size),
        TEST(every_byte_arrives_over_ethernet),
        TEST(every_50th_frame_lost_v4_super_segments),
        TEST(every_50th_frame_lost_v6_super_segments),
        TEST(every_50th_frame_lost_v4_real_size),
        TEST(every_50th_frame_lost_v6_real_size),
        TEST(lost_doubled_and_reordered_v4),
        TEST(lost_doubled_and_reordered_v6_super_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
