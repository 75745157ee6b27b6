/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manners at work in virtual time: they begin when they should, go on at their rate, and a soak
 * with several of them is the same frame by frame when it is run again.
 */
#include "support/simtest.h"

#include "manner/manner.h"
#include "protocol/table.h"
#include "soak/run.h"

enum { PORT = 7 };

struct scene {
    struct simnet *net;
    struct end *client, *server; /* the latter: of the latest caller */
    struct manner_spec specs[MANNERS_MAX];
    int spec_count;
    uint64_t begun;
    uint64_t received; /* bytes at the server */
    uint64_t datagrams;
    uint64_t callers;
};

static void take(struct end *end, unsigned events)
{
    struct scene *scene = end->user;
    struct iovec iov[16];
    int count;

    scene->callers += !!(events & FLOW_ACCEPTED);
    if (!(events & FLOW_READABLE))
        return;
    while ((count = flow_peek(&end->flow, iov, 16)) > 0) {
        size_t len = iov_total(iov, count);
        scene->received += len;
        scene->datagrams++;
        flow_consume(&end->flow, len);
    }
}

static void give_manners(void *user, struct end *end)
{
    struct scene *scene = user;

    for (int i = 0; !end->on_event && i < scene->spec_count; i++) /* the client's */
        assert_int_equal(manner_start(&end->flow, &scene->specs[i], &scene->begun), 0);
}

static struct scene *scene_new(const char *manners, uint8_t protocol)
{
    const struct manner_context context = {.udp = protocol == IPPROTO_UDP, .peers = 3};
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct simnet_config config = {.peers = "198.18.0.2-198.18.0.4",
                                         .offload = true,
                                         .seed = 1,
                                         .dress = give_manners,
                                         .user = scene};
    const struct end server = {.on_event = take, .user = scene};
    const struct end client = {.read_most = SIZE_MAX};

    assert_non_null(scene);
    scene->net = simnet_new(&config);
    simnet_listen(scene->net, protocol, PORT, &server);
    scene->spec_count = manners_parse(manners, &context, scene->specs, NULL);
    assert_true(scene->spec_count >= 0);
    scene->client =
        end_connect_like(scene->net, &client, protocol, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_non_null(scene->client);
    return scene;
}

static void scene_free(struct scene *scene)
{
    simnet_end(scene->net);
    free(scene);
}

static void scene_run(struct scene *scene, uint64_t ns)
{
    simnet_run_for(scene->net, ns);
    scene->server = simnet_accepted(scene->net);
}

static void a_time_counts_from_the_handshake(void **state)
{
    struct scene *scene = scene_new("reset@3s", IPPROTO_TCP);

    (void)state;
    scene_run(scene, 2990 * NS_PER_MS);
    assert_int_equal(scene->begun, 0);
    assert_int_equal(scene->client->events & FLOW_END, 0);
    scene_run(scene, 100 * NS_PER_MS);
    assert_int_equal(scene->begun, 1);
    assert_int_equal(scene->client->how, PEER_END_LOCAL);
    assert_int_equal(scene->server->how, PEER_END_RESET);
    assert_true(scene->client->end_ns - scene->client->open_ns == 3 * NS_PER_S);
    scene_free(scene);
}

static void a_request_is_the_first_bytes_sent(void **state)
{
    struct scene *scene = scene_new("vanish", IPPROTO_TCP);

    (void)state;
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->begun, 0);
    assert_int_equal(flow_write(&scene->client->flow, "asked", 5, 0), 5);
    assert_int_equal(scene->begun, 1);
    uint64_t before = simnet_frames(scene->net);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->received, 5); /* it left, and then nothing did */
    assert_true(simnet_frames(scene->net) > before);
    assert_true(stack_tcp_queued(&scene->client->flow.conn) == 5); /* the ACK was not heard */
    scene_free(scene);
}

static void bytes_count_both_ways(void **state)
{
    struct scene *scene = scene_new("stall@10B", IPPROTO_TCP);

    (void)state;
    scene_run(scene, NS_PER_S);
    assert_int_equal(flow_write(&scene->client->flow, "12345", 5, 0), 5);
    scene_run(scene, NS_PER_S);
    assert_int_equal(flow_write(&scene->server->flow, "1234", 4, 0), 4);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->begun, 0);
    assert_int_equal(flow_write(&scene->server->flow, "5", 1, 0), 1);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->begun, 1);
    scene_free(scene);
}

static void connected_comes_before_the_owner_hears_of_it(void **state)
{
    struct scene *scene = scene_new("reset@connected", IPPROTO_TCP);

    (void)state;
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->client->how, PEER_END_LOCAL);
    assert_int_equal(scene->received, 0);
    scene_free(scene);
}

static void a_slow_writer_keeps_its_rate(void **state)
{
    struct scene *scene = scene_new("slow-writer:2B/s", IPPROTO_TCP);
    const char text[] = "GET / HTTP/1.1";
    size_t at = 0;

    (void)state;
    scene_run(scene, 100 * NS_PER_MS);
    for (int half = 0; half < 10; half++) {
        ssize_t done = flow_write(&scene->client->flow, text + at, sizeof(text) - 1 - at, 0);
        assert_true(done == 1 || done == -EAGAIN);
        at += done > 0 ? (size_t)done : 0;
        scene->client->events = 0;
        scene_run(scene, 500 * NS_PER_MS);
        assert_true(scene->client->events & FLOW_WRITABLE); /* the owner is told to go on */
        assert_int_equal(scene->received, half + 1);
    }
    scene_free(scene);
}

static void a_slow_reader_keeps_its_rate(void **state)
{
    struct scene *scene = scene_new("slow-reader:4KiB/s", IPPROTO_TCP);
    static char data[100000];
    struct iovec iov[64];
    size_t total = 0;

    (void)state;
    scene_run(scene, 100 * NS_PER_MS);
    assert_int_equal(flow_write(&scene->client->flow, "a", 1, 0), 1);
    scene_run(scene, 100 * NS_PER_MS);
    assert_int_equal(flow_write(&scene->client->flow, "b", 1, 0), 1);
    scene_run(scene, 100 * NS_PER_MS);
    assert_int_equal(flow_write(&scene->server->flow, data, sizeof(data), 0), sizeof(data));
    for (int i = 0; i < 100; i++) {
        scene_run(scene, 100 * NS_PER_MS);
        size_t len = iov_total(iov, flow_peek(&scene->client->flow, iov, 64));
        flow_consume(&scene->client->flow, len);
        total += len;
    }
    assert_true(total <= 11 * 4096 && total >= 5 * 4096);
    scene_free(scene);
}

static void no_close_keeps_it_open(void **state)
{
    struct scene *scene = scene_new("no-close", IPPROTO_TCP);

    (void)state;
    scene_run(scene, NS_PER_S);
    flow_close(&scene->client->flow);
    assert_int_equal(flow_shutdown(&scene->client->flow), 0);
    flow_shutdown(&scene->server->flow);
    scene_run(scene, 100 * NS_PER_S);
    assert_true(scene->client->events & FLOW_EOF);
    assert_int_equal(scene->server->events & (FLOW_EOF | FLOW_END), 0);
    scene_free(scene);
}

static void a_half_close_follows_the_request(void **state)
{
    struct scene *scene = scene_new("half-close", IPPROTO_TCP);

    (void)state;
    scene_run(scene, NS_PER_S);
    assert_int_equal(flow_write(&scene->client->flow, "asked", 5, 0), 5);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->received, 5);
    assert_true(scene->server->events & FLOW_EOF);
    assert_int_equal(flow_write(&scene->server->flow, "answer", 6, 0), 6);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->client->flow.conn.rx_bytes, 6);
    scene_free(scene);
}

static void datagrams_leave_twice_and_roam(void **state)
{
    struct scene *scene = scene_new("duplicate-data bad-checksum roam@12B", IPPROTO_UDP);

    (void)state;
    assert_int_equal(flow_write(&scene->client->flow, "hello", 5, 0), 5);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->datagrams, 2); /* the broken copy was not counted */
    assert_int_equal(scene->callers, 1);
    assert_int_equal(flow_write(&scene->client->flow, "there we go", 11, 0), 11);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->datagrams, 4);
    assert_int_equal(flow_write(&scene->client->flow, "from elsewhere", 14, 0), 14);
    scene_run(scene, NS_PER_S);
    assert_int_equal(scene->datagrams, 6);
    assert_int_equal(scene->callers, 2); /* a new caller to the application */
    scene_free(scene);
}

/* ---- a soak ---- */

struct outcome {
    uint64_t frames, hash;
    struct peer_soak_counts healthy;
    struct peer_soak_counts shares[16];
    uint64_t closed[16], given_up[16];
};

static void echo_all(struct end *end, unsigned events)
{
    struct iovec iov;

    while (events & FLOW_READABLE && flow_peek(&end->flow, &iov, 1) > 0) {
        ssize_t done = flow_write(&end->flow, iov.iov_base, iov.iov_len, 0);
        assert_true(done == (ssize_t)iov.iov_len || done == -EPIPE);
        flow_consume(&end->flow, iov.iov_len);
    }
    if (events & FLOW_EOF)
        flow_close(&end->flow);
}

static bool is_over(void *user)
{
    return soak_is_over(user);
}

static void run_soak(const char *manners, uint64_t flows, uint64_t seed, struct outcome *outcome)
{
    const struct simnet_config net_config = {
        .peers = "198.18.1.1,198.18.0.2-198.18.0.50", .offload = true, .seed = seed};
    const struct end echo = {.on_event = echo_all, .drop_when_ended = true};
    struct peer_soak_config config = {.protocol = "echo",
                                      .to = simnet_addr("198.18.1.1"),
                                      .to_port = PORT,
                                      .flows = flows,
                                      .duration_ns = 5 * NS_PER_S,
                                      .timeout_ns = NS_PER_S,
                                      .think_ns = 20 * NS_PER_MS,
                                      .message_bytes = 500,
                                      .requests_per_connection = 10,
                                      .manners = manners};
    struct simnet *net = simnet_new(&net_config);
    struct peer_error error = {0};
    struct addr_set peers;
    struct soak *soak;

    simnet_listen(net, IPPROTO_TCP, PORT, &echo);
    assert_int_equal(addr_set_parse("198.18.0.2-198.18.0.50", &peers, NULL), 0);
    const struct soak_host host = {
        .flows = engine_flows(simnet_engine(net)), .peers = &peers, .seed = seed};
    if (soak_start(&config, protocol_named(config.protocol), &host, &soak, &error) < 0)
        fail_msg("%s", error.text);
    assert_true(simnet_run(net, is_over, soak, simnet_now_ns(net) + 20 * NS_PER_S));
    outcome->healthy = soak_healthy(soak)->measure.found.counts;
    for (size_t i = 0; i < soak->run_count - 1; i++) {
        outcome->shares[i] = soak->runs[i + 1]->measure.found.counts;
        outcome->closed[i] = soak->runs[i + 1]->ends_closed;
        outcome->given_up[i] =
            soak->runs[i + 1]->ends_given_up + soak->runs[i + 1]->measure.found.counts.timeout;
    }
    outcome->frames = simnet_frames(net);
    outcome->hash = simnet_hash(net);
    soak_free(soak);
    simnet_end(net);
    addr_set_done(&peers);
}

static void shares_are_counted_apart_and_the_healthy_ones_do_not_notice(void **state)
{
    struct outcome alone = {0}, among = {0};

    (void)state;
    run_soak(NULL, 40, 1, &alone);
    run_soak("vanish:10%,slow-writer:10%,reset:10%,half-open:10%,out-of-order:10%", 80, 1, &among);
    assert_int_equal(peer_soak_errors(&alone.healthy), 0);
    assert_int_equal(peer_soak_errors(&among.healthy), 0);
    /* 40 of the 80 are healthy, and do what 40 do by themselves. */
    assert_int_equal(among.healthy.completed, alone.healthy.completed);
    assert_int_equal(among.healthy.established, alone.healthy.established);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(among.shares[i].completed, 0);
    assert_true(among.given_up[0] >= 8 * 4); /* a second of patience, in five */
    assert_int_equal(among.shares[1].established, 8);
    assert_int_equal(among.shares[3].established, 0);
    assert_true(among.given_up[3] >= 8 * 4);
    assert_true(among.shares[4].completed > 8 * 50);
    assert_int_equal(peer_soak_errors(&among.shares[4]), 0);
}

static void the_same_seed_gives_the_same_frames(void **state)
{
    static const char manners[] = "vanish:5%@300ms,stall:5%,roam:5%,overlap:5%,bad-checksum:5%,"
                                  "stray:5%,pmtu:5%,half-open:5%,tiny-segments:5%:100B,"
                                  "slow-writer:5%:100B/s,slow-reader:5%,syn-flood:200/s";
    struct outcome first = {0}, second = {0}, other = {0};

    (void)state;
    run_soak(manners, 60, 5, &first);
    run_soak(manners, 60, 5, &second);
    assert_int_equal(first.frames, second.frames);
    assert_true(first.hash == second.hash);
    run_soak(manners, 60, 6, &other);
    assert_true(first.hash != other.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_time_counts_from_the_handshake),
        TEST(a_request_is_the_first_bytes_sent),
        TEST(bytes_count_both_ways),
        TEST(connected_comes_before_the_owner_hears_of_it),
        TEST(a_slow_writer_keeps_its_rate),
        TEST(a_slow_reader_keeps_its_rate),
        TEST(no_close_keeps_it_open),
        TEST(a_half_close_follows_the_request),
        TEST(datagrams_leave_twice_and_roam),
        TEST(shares_are_counted_apart_and_the_healthy_ones_do_not_notice),
        TEST(the_same_seed_gives_the_same_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
