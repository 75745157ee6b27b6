/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Datagrams by sessions, and the loop's timers, in virtual time: correspondents are UDP sockets of this
 * process on loopback, applications are ends of the simulated network.
 */
#include "relaying.h"

#include "relay/datagram.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7, SHUT_PORT = 9, CLIENTS = 8 };
#define S    NS_PER_S
#define STEP (10 * NS_PER_MS)

struct scene {
    struct simnet *sim;
    struct peer_net *net;
    struct loop *loop;
    int clients[CLIENTS];
    int client_count;
};

static struct scene *scene_new(void)
{
    static const struct end echo = {.echo = true};
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .offload = true};
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->sim = simnet_new(&config);
    scene->net = net_around(scene->sim);
    assert_non_null(simnet_listen(scene->sim, IPPROTO_UDP, PORT, &echo));
    assert_int_equal(loop_new(scene->net, &scene->loop), 0);
    return scene;
}

static void scene_end(struct scene *scene)
{
    loop_free(scene->loop);
    for (int i = 0; i < scene->client_count; i++)
        close(scene->clients[i]);
    simnet_run_for(scene->sim, S);
    simnet_end(scene->sim);
    net_around_free(scene->net);
    free(scene);
}

static void run_for(struct scene *scene, uint64_t ns)
{
    for (uint64_t until_ns = simnet_now_ns(scene->sim) + ns;
         simnet_now_ns(scene->sim) < until_ns;) {
        for (int i = 0; i < 8; i++) {
            loop_turn(scene->loop);
            simnet_run_for(scene->sim, 0);
        }
        simnet_run_for(scene->sim, STEP);
    }
}

/* ---- timers ---- */

enum { TIMERS = 100 };
static struct {
    struct loop_timer timers[TIMERS];
    int fired[TIMERS], count;
} clocks;

static void on_timer(struct loop_timer *timer)
{
    clocks.fired[clocks.count++] = (int)(timer - clocks.timers);
}

static void timers_fire_in_their_order(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    uint64_t start_ns = simnet_now_ns(scene->sim), last_ns = 0;

    memset(&clocks, 0, sizeof(clocks));
    for (int i = 0; i < TIMERS; i++) {
        clocks.timers[i].fire = on_timer;
        assert_int_equal(loop_set_timer(scene->loop, &clocks.timers[i],
                                        start_ns + (uint64_t)(i * 37 % TIMERS + 1) * S),
                         0);
    }
    for (int i = 0; i < TIMERS; i += 3)
        loop_cancel_timer(scene->loop, &clocks.timers[i]);
    /* Moved: the first of all is the last. */
    assert_int_equal(loop_set_timer(scene->loop, &clocks.timers[1], start_ns + 500 * S), 0);
    run_for(scene, 200 * S);
    assert_int_equal(clocks.count, TIMERS - (TIMERS + 2) / 3 - 1);
    for (int i = 0; i < clocks.count; i++) {
        assert_true(clocks.fired[i] % 3 != 0);
        assert_true(clocks.timers[clocks.fired[i]].at_ns > last_ns);
        last_ns = clocks.timers[clocks.fired[i]].at_ns;
    }
    run_for(scene, 400 * S);
    assert_int_equal(clocks.fired[clocks.count - 1], 1);
    scene_end(scene);
}

/* ---- datagrams ---- */

struct post {
    struct datagram *datagram;
    struct peer_connect_config to;
    struct datagram_way way;
    struct place at;
    int ended;
};

static void on_session_ended(struct datagram_session *session)
{
    struct post *post = session->way->user;

    post->ended++;
}

static void post_open(struct scene *scene, struct post *post, uint16_t port, uint64_t most)
{
    const struct datagram_config config = {.loop = scene->loop, .most = most};

    *post = (struct post){.to = {.to = simnet_addr("198.18.0.3"), .to_port = port},
                          .at.addr = simnet_addr("127.0.0.1")};
    post->way = (struct datagram_way){.to = &post->to, .ended = on_session_ended, .user = post};
    assert_int_equal(datagram_new(&config, &post->datagram), 0);
    int fd = place_listen(&post->at, true);
    assert_true(fd >= 0);
    assert_int_equal(datagram_listen(post->datagram, fd, &post->at, &post->way), 0);
}

static int correspondent(struct scene *scene, const struct post *post)
{
    bool called;
    int fd = place_connect(&post->at, true, &called);

    assert_true(fd >= 0 && called);
    scene->clients[scene->client_count++] = fd;
    return fd;
}

/* An echo comes back whole. */
static void exchange(struct scene *scene, int fd, size_t len)
{
    static char out[60000], in[65536];

    memset(out, (int)len, sizeof(out));
    assert_int_equal(send(fd, out, len, 0), (ssize_t)len);
    run_for(scene, STEP * 4);
    assert_int_equal(recv(fd, in, sizeof(in), MSG_DONTWAIT), (ssize_t)len);
    assert_memory_equal(in, out, len);
}

static void sources_are_sessions_and_datagrams_stay_whole(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct datagram_stats stats;
    struct post post;

    post_open(scene, &post, PORT, 0);
    for (int i = 0; i < 3; i++)
        correspondent(scene, &post);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            exchange(scene, scene->clients[i], 100);
            exchange(scene, scene->clients[i], 30000);
            exchange(scene, scene->clients[i], 1);
        }
    }
    datagram_get_stats(post.datagram, &stats);
    assert_int_equal(stats.sessions, 3);
    assert_int_equal(stats.sent_count, 18);
    assert_int_equal(stats.received_count, 18);
    assert_int_equal(stats.dropped, 0);
    run_for(scene, 299 * S);
    assert_int_equal(post.ended, 0);
    run_for(scene, 2 * S);
    assert_int_equal(post.ended, 3);
    datagram_free(post.datagram);
    scene_end(scene);
}

static void the_longest_silence_goes_when_there_are_too_many(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct datagram_stats stats;
    struct post post;

    post_open(scene, &post, PORT, 2);
    for (int i = 0; i < 4; i++) {
        exchange(scene, correspondent(scene, &post), 10);
        exchange(scene, scene->clients[0], 20);
    }
    datagram_get_stats(post.datagram, &stats);
    assert_int_equal(stats.sessions, 4); /* the first was never silent for longest */
    assert_int_equal(stats.open, 2);
    assert_int_equal(stats.ends[DATAGRAM_CROWDED_OUT], 2);
    datagram_free(post.datagram);
    scene_end(scene);
}

static void nobody_there_ends_the_session(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct datagram_stats stats;
    struct post post;

    post_open(scene, &post, SHUT_PORT, 0);
    int fd = correspondent(scene, &post);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    run_for(scene, S);
    datagram_get_stats(post.datagram, &stats);
    assert_int_equal(stats.ends[DATAGRAM_UNREACHABLE], 1);
    assert_int_equal(stats.open, 0);
    datagram_free(post.datagram);
    scene_end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_in_their_order),
        TEST(sources_are_sessions_and_datagrams_stay_whole),
        TEST(the_longest_silence_goes_when_there_are_too_many),
        TEST(nobody_there_ends_the_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
