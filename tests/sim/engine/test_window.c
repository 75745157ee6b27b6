/* SPDX-License-Identifier: BSD-3-Clause */
/* How large the receive window is, and how it grows: as Linux's. */
#include "scripted.h"

enum { UNIT = 128, WINDOW_MOST = 4 << 20, SERVER_BYTE = 3 };
static const uint64_t round_ns = 20 * NS_PER_MS;

static struct craft_tcp call(const char *peer, uint16_t port)
{
    struct craft_tcp syn = segment(peer, 80, CRAFT_SYN, APP_ISN, 0);

    syn.src_port = port;
    syn.mss = 1460;
    syn.sack_ok = true;
    return syn;
}

/* ---- the first ones ---- */

static void the_first_acknowledgement_of_a_server_has_the_window_of_linux(void **state)
{
    static const struct {
        const char *peer;
        bool scale, stamps;
        uint16_t in_answer, after;
    } cases[] = {
        {"198.18.0.3", true, true, 65160, 65280 / UNIT},
        {"198.18.0.3", true, false, 64240, 64256 / UNIT},
        {"198.18.0.3", false, true, 65160, 65160},
        {"198.18.0.3", false, false, 64240, 64240},
        {"2001:2::3", true, true, 64260, 64384 / UNIT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct simnet *net = begin(cases[i].peer, FRAME_IP);
        struct craft_tcp tcp = call(cases[i].peer, 5000);
        simnet_listen(net, IPPROTO_TCP, 80, NULL);
        tcp.scale = cases[i].scale ? 8 : 0;
        tcp.timestamps = cases[i].stamps;
        tcp.ts_val = 1000;
        put_tcp(net, &tcp);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.window, cases[i].in_answer);
        tcp = segment(cases[i].peer, 80, CRAFT_ACK, APP_ISN + 1, answer.seq + 1);
        tcp.src_port = 5000;
        tcp.timestamps = cases[i].stamps;
        tcp.ts_val = 1000;
        tcp.ts_ecr = answer.ts_val;
        put_tcp(net, &tcp);
        tcp.seq--; /* asks for an acknowledgement */
        put_tcp(net, &tcp);
        assert_int_equal(take_tcp(net).window, cases[i].after);
        stack_abort(simnet_stack(net), &simnet_accepted(net)->flow.conn, true);
        struct craft_tcp reset = take_tcp(net);
        assert_int_equal(reset.flags, CRAFT_RST | CRAFT_ACK);
        assert_int_equal(reset.window, cases[i].after);
        simnet_end(net);
    }
}

static void the_third_acknowledgement_has_the_window_of_linux(void **state)
{
    static const struct {
        const char *peer, *to;
        bool scale;
        uint16_t after;
    } cases[] = {
        {"198.18.0.3", app_v4, true, 502},
        {"198.18.0.3", app_v4, false, 64240},
        {"2001:2::3", app_v6, true, 507},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct simnet *net = begin(cases[i].peer, FRAME_IP);
        assert_non_null(end_connect(net, IPPROTO_TCP, cases[i].peer, 0, cases[i].to, 80));
        struct craft_tcp syn = take_tcp(net);
        struct craft_tcp answer =
            segment(cases[i].peer, syn.src_port, CRAFT_SYN | CRAFT_ACK, APP_ISN, syn.seq + 1);
        answer.src_port = 80;
        answer.mss = 1460;
        answer.scale = cases[i].scale ? 8 : 0;
        put_tcp(net, &answer);
        assert_int_equal(take_tcp(net).window, cases[i].after);
        simnet_end(net);
    }
}

/* ---- growth ---- */

/* What the server announced, in the round trips since the first. */
struct watch {
    uint64_t start_ns;
    uint32_t most[400], rounds;
};

static unsigned look(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct watch *watch = user;
    struct craft_tcp tcp = {0};

    (void)delay_ns;
    if (frame->packet.src.bytes[3] != SERVER_BYTE ||
        !craft_see_tcp(frame->data, &frame->packet, &tcp) || tcp.flags & CRAFT_SYN)
        return 1;
    if (!watch->start_ns)
        watch->start_ns = frame->at_ns;
    uint32_t round = (uint32_t)((frame->at_ns - watch->start_ns) / round_ns);
    assert_in_range(round, 0, ARRAY_SIZE(watch->most) - 1);
    watch->most[round] = MAX(watch->most[round], (uint32_t)tcp.window * UNIT);
    watch->rounds = round + 1;
    return 1;
}

struct pair {
    struct simnet *net;
    struct end *client;
};

static struct pair open_watched(struct watch *watch, const struct end *like)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9",
                                   .delay_ns = round_ns / 2,
                                   .fate = look,
                                   .user = watch};
    struct pair pair = {.net = simnet_new(&config)};

    memset(watch, 0, sizeof(*watch));
    simnet_listen(pair.net, IPPROTO_TCP, 80, like);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", 80);
    assert_non_null(pair.client);
    return pair;
}

static void small_talk_leaves_the_window_small(void **state)
{
    static struct watch watch;
    struct end like = {.echo = true};
    struct pair pair = open_watched(&watch, &like);

    (void)state;
    for (int i = 0; i < 300; i++) {
        pair.client->to_send += 300;
        end_pump(pair.client);
        simnet_run_for(pair.net, round_ns);
    }
    assert_int_equal(pair.client->received, 300 * 300);
    for (uint32_t i = 0; i < watch.rounds; i++)
        assert_in_range(watch.most[i], 0, 65536);
    simnet_end(pair.net);
}

/* A sender that is never in want of anything but the window. */
static void a_stream_has_all_of_the_window_within_some_round_trips(void **state)
{
    static struct watch watch;
    struct pair pair = open_watched(&watch, NULL);

    (void)state;
    pair.client->to_send = 64 << 20;
    simnet_run_for(pair.net, 30 * round_ns);
    assert_in_range(simnet_accepted(pair.net)->received, 60 << 20, 64 << 20);
    assert_in_range(watch.most[0], 0, 65536);
    for (uint32_t i = 1; i < 20; i++)
        assert_in_range(watch.most[i], watch.most[i - 1] / 2, 4 * watch.most[i - 1]);
    assert_in_range(watch.most[8], WINDOW_MOST - 2 * 65536, WINDOW_MOST);
    simnet_end(pair.net);
}

/* 20 kB in a round trip are worth no window of a hundred times that. */
static void who_reads_slowly_has_a_small_window(void **state)
{
    static struct watch watch;
    struct end like = {.read_most = SIZE_MAX};
    struct pair pair = open_watched(&watch, &like);

    (void)state;
    pair.client->to_send = 64 << 20;
    simnet_run_for(pair.net, 2 * round_ns);
    struct end *server = simnet_accepted(pair.net);
    for (int i = 0; i < 300; i++) {
        server->read_most = 20000;
        end_pump(server);
        server->read_most = SIZE_MAX;
        simnet_run_for(pair.net, round_ns);
    }
    assert_int_equal(server->received, 300 * 20000);
    for (uint32_t i = 0; i < watch.rounds; i++)
        assert_in_range(watch.most[i], 0, 200000);
    simnet_end(pair.net);
}

static void a_close_does_not_open_the_window(void **state)
{
    static struct watch watch;
    struct end like = {.close_when_done = true};
    struct pair pair = open_watched(&watch, &like);

    (void)state;
    pair.client->to_send = 3000;
    pair.client->shut_when_sent = true;
    simnet_run_for(pair.net, 10 * round_ns);
    assert_int_equal(simnet_counts(pair.net).closed, 2);
    assert_int_equal(simnet_counts(pair.net).wrong, 0);
    for (uint32_t i = 0; i < watch.rounds; i++)
        assert_in_range(watch.most[i], 0, 65536);
    simnet_end(pair.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_acknowledgement_of_a_server_has_the_window_of_linux),
        TEST(the_third_acknowledgement_has_the_window_of_linux),
        TEST(small_talk_leaves_the_window_small),
        TEST(a_stream_has_all_of_the_window_within_some_round_trips),
        TEST(who_reads_slowly_has_a_small_window),
        TEST(a_close_does_not_open_the_window),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
