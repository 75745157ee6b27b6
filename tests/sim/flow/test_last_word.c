/* SPDX-License-Identifier: BSD-3-Clause */
/* What was written with FLOW_WRITE_MORE, and then the end: bytes and FIN are one segment; where the FIN
   is held, the bytes are not. */
#include "support/simtest.h"

#include <netinet/tcp.h>

enum { PORT = 7, LEN = 100 };

static struct scene {
    unsigned with_data, with_fin, with_both; /* segments to the caller */
    struct flow_watch watch;
} scene;

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    (void)user, (void)delay_ns;
    const struct packet *packet = &frame->packet;
    bool data = packet->payload_len > 0;
    bool fin = packet->src_port == PORT && packet->tcp_flags & TH_FIN;

    scene.with_data += data;
    scene.with_fin += fin;
    scene.with_both += data && fin;
    return 1;
}

static void ignore(struct flow *flow, unsigned events)
{
    (void)flow, (void)events;
}

static void forget(struct flow *flow)
{
    (void)flow;
}

static void say_last_word(struct end *end, unsigned events)
{
    static const uint8_t word[LEN];

    if (!(events & FLOW_ACCEPTED))
        return;
    if (scene.watch.holds)
        assert_int_equal(flow_set_watch(&end->flow, &scene.watch), 0);
    assert_int_equal(flow_write(&end->flow, word, sizeof(word), FLOW_WRITE_MORE), LEN);
    assert_int_equal(flow_shutdown(&end->flow), 0);
}

static void hear_it(bool holds)
{
    const struct simnet_config config = {
        .peers = "198.18.0.2-198.18.0.3", .offload = true, .seed = 1, .fate = fate};
    const struct end server = {.on_event = say_last_word};
    struct simnet *net = simnet_new(&config);

    scene = (struct scene){.watch = {.look = ignore, .done = forget, .write_most = SIZE_MAX}};
    scene.watch.holds = holds;
    simnet_listen(net, IPPROTO_TCP, PORT, &server);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 4000, "198.18.0.3", PORT);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(end->received, LEN);
    assert_int_equal(scene.with_data, 1);
    assert_int_equal(scene.with_fin, holds ? 0 : 1);
    assert_int_equal(scene.with_both, holds ? 0 : 1);
    end_free(end);
    simnet_end(net);
}

static void the_last_word_is_one_segment_with_the_fin(void **state)
{
    (void)state;
    hear_it(false);
}

static void it_leaves_where_the_fin_is_held(void **state)
{
    (void)state;
    hear_it(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_word_is_one_segment_with_the_fin),
        TEST(it_leaves_where_the_fin_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
