/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flow that introduces itself by a PROXY header: it comes first and once, over IPv4 and IPv6,
 * alone or with the owner's first bytes, and whatever is lost.
 */
#include "support/simtest.h"

#include "flow/proxy_header.h"

enum { PORT = 7, GREETING = 10 };

static struct scene {
    uint8_t version;
    char read[4096];
    size_t len;
    unsigned with_data; /* segments of the caller's that have payload */
    uint64_t lose;      /* the number of a frame; 0: none */
} scene;

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user, (void)delay_ns;
    scene.with_data += frame->packet.payload_len > 0;
    return frame->number == scene.lose ? 0 : 1;
}

static void read_all(struct end *end, unsigned events)
{
    struct iovec iov;

    if (!(events & FLOW_READABLE))
        return;
    while (flow_peek(&end->flow, &iov, 1) > 0) {
        assert_true(scene.len + iov.iov_len <= sizeof(scene.read));
        memcpy(scene.read + scene.len, iov.iov_base, iov.iov_len);
        scene.len += iov.iov_len;
        flow_consume(&end->flow, iov.iov_len);
    }
}

static void dress(void *user, struct end *end)
{
    (void)user;
    if (!end->on_event)
        flow_introduce(&end->flow, scene.version);
}

static struct end *call(struct simnet **ret_net, const char *from, const char *to, uint64_t to_send)
{
    const char *peers = *from == '1' ? "198.18.0.2-198.18.0.3" : "2001:2::2-2001:2::3";
    const struct simnet_config config = {
        .peers = peers, .offload = true, .seed = 1, .fate = fate, .dress = dress};
    const struct end server = {.on_event = read_all};
    const struct end client = {.to_send = to_send};

    *ret_net = simnet_new(&config);
    simnet_listen(*ret_net, IPPROTO_TCP, PORT, &server);
    return end_connect_like(*ret_net, &client, IPPROTO_TCP, from, 4000, to, PORT);
}

static void expect_read(const char *from, const char *to, size_t behind)
{
    struct stack_tuple tuple = {.local = simnet_addr(from),
                                .local_port = 4000,
                                .remote = simnet_addr(to),
                                .remote_port = PORT};
    uint8_t header[PROXY_HEADER_MOST];
    size_t len = proxy_header_write(scene.version, &tuple, header);

    assert_int_equal(scene.len, len + behind);
    assert_memory_equal(scene.read, header, len);
}

static void try_all(uint64_t to_send, uint64_t lose, unsigned with_data)
{
    static const char *const pairs[][2] = {{"198.18.0.2", "198.18.0.3"},
                                           {"2001:2::2", "2001:2::3"}};

    for (uint8_t version = 1; version <= 2; version++) {
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
            struct peer_flow_info info;
            struct simnet *net;
            scene = (struct scene){.version = version, .lose = lose};
            struct end *end = call(&net, pairs[i][0], pairs[i][1], to_send);
            simnet_run_for(net, 5 * NS_PER_S);
            expect_read(pairs[i][0], pairs[i][1], to_send);
            assert_int_equal(scene.with_data, with_data);
            flow_info(&end->flow, &info);
            assert_int_equal(info.bytes_sent, scene.len);
            assert_int_equal(end->sent, to_send);
            end_free(end);
            simnet_end(net);
        }
    }
}

static void the_header_rides_with_the_first_bytes(void **state)
{
    (void)state;
    try_all(GREETING, 0, 1);
}

static void without_any_it_leaves_by_itself(void **state)
{
    (void)state;
    try_all(0, 0, 1);
}

/* After SYN, SYN-ACK and an acknowledgement. */
static void it_is_sent_again_when_it_is_lost(void **state)
{
    (void)state;
    try_all(GREETING, 4, 2);
    try_all(0, 4, 2);
}

/* Nothing is written after FIN: the header goes before it. */
static void who_closes_at_once_has_said_who_he_is(void **state)
{
    struct simnet *net;

    (void)state;
    scene = (struct scene){.version = 2};
    struct end *end = call(&net, "198.18.0.2", "198.18.0.3", 0);
    assert_true(simnet_run(net, end_is_open, end, 5 * NS_PER_S + simnet_now_ns(net)));
    flow_close(&end->flow);
    simnet_run_for(net, NS_PER_S);
    expect_read("198.18.0.2", "198.18.0.3", 0);
    end_free(end);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_header_rides_with_the_first_bytes),
        TEST(without_any_it_leaves_by_itself),
        TEST(it_is_sent_again_when_it_is_lost),
        TEST(who_closes_at_once_has_said_who_he_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
