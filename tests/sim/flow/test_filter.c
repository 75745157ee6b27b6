/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A filter between flows and their owners: each byte is another one on the wire, and both sides say
 * a word of greeting first. What owners write and read is plain, whatever the network does.
 */
#include "support/simtest.h"

#include "flow/filter.h"

enum { PORT = 7, GREETING = 0xA5, PIECE = 1000 };

/* Bytes are XORed with a key that depends on where they are in the stream. */
struct veil {
    struct flow_filter filter; /* first */
    uint64_t out_at, in_at;
    bool greeted, met;
    uint8_t greeting;     /* what this side says */
    uint8_t plain[PIECE]; /* what peek shows */
};

static struct {
    unsigned made, done;
    uint8_t greetings[2]; /* of who calls, of who is called */
    uint64_t frames, lose_each;
    bool saw_plain, saw_veiled; /* on the wire */
} scene;

static uint8_t key(uint64_t at)
{
    return (uint8_t)(at * 131 + 17);
}

static struct veil *veil_of(const struct flow *flow)
{
    return (struct veil *)(void *)flow_filter(flow);
}

static void veil_copy(uint8_t *out, const uint8_t *in, size_t len, uint64_t at)
{
    for (size_t i = 0; i < len; i++)
        out[i] = in[i] ^ key(at + i);
}

static ssize_t veil_write(struct flow *flow, const void *data, size_t len, int flags)
{
    struct veil *veil = veil_of(flow);
    uint8_t piece[PIECE];

    (void)flags; /* the copy does not stay */
    if (veil->filter.opening)
        return -EAGAIN;
    len = MIN(len, sizeof(piece));
    veil_copy(piece, data, len, veil->out_at);
    ssize_t done = flow_raw_write(flow, piece, len, 0);
    if (done > 0)
        veil->out_at += (uint64_t)done;
    return done;
}

static int veil_peek(const struct flow *flow, struct iovec *iov, int count)
{
    struct veil *veil = veil_of(flow);
    struct iovec raw;

    if (!veil->met || count < 1 || flow_raw_peek(flow, &raw, 1) < 1)
        return 0;
    size_t len = MIN(raw.iov_len, sizeof(veil->plain));
    veil_copy(veil->plain, raw.iov_base, len, veil->in_at);
    iov[0] = (struct iovec){.iov_base = veil->plain, .iov_len = len};
    return 1;
}

static void veil_consume(struct flow *flow, size_t len)
{
    veil_of(flow)->in_at += len;
    flow_raw_consume(flow, len);
}

/* Reads the other side's greeting: what the owner hears of it besides. */
static unsigned veil_meet(struct flow *flow, struct veil *veil)
{
    struct iovec raw;

    if (flow_raw_peek(flow, &raw, 1) < 1)
        return 0;
    if (*(const uint8_t *)raw.iov_base != GREETING)
        return flow_filter_fail(flow, PEER_END_RESET);
    flow_raw_consume(flow, 1);
    veil->met = true;
    return FLOW_CONNECTED | (flow_raw_unread(flow) ? FLOW_READABLE : 0);
}

static unsigned veil_event(struct flow *flow, unsigned events)
{
    struct veil *veil = veil_of(flow);

    if (events & (FLOW_CONNECTED | FLOW_ACCEPTED) && veil->greeting)
        veil->greeted = flow_raw_write(flow, &veil->greeting, 1, 0) == 1;
    if (veil->met)
        return events;
    events &= FLOW_END | FLOW_EOF;
    return events ? events : veil_meet(flow, veil);
}

static void veil_done(struct flow *flow)
{
    scene.done++;
    free(veil_of(flow));
}

static const struct flow_filter_ops veil_ops = {
    .write = veil_write,
    .peek = veil_peek,
    .consume = veil_consume,
    .event = veil_event,
    .done = veil_done,
};

static void give_veil(void *user, struct end *end)
{
    struct veil *veil = calloc(1, sizeof(*veil));

    (void)user;
    assert_non_null(veil);
    veil->filter.ops = &veil_ops;
    veil->greeting = scene.greetings[scene.made++ & 1];
    assert_int_equal(flow_set_filter(&end->flow, &veil->filter), 0);
}

static const char text[] = "plain text, written by one owner and read by the other";

static bool holds(const struct simnet_frame *frame, const void *bytes, size_t len)
{
    return frame->packet.payload_len &&
           memmem(frame->data + frame->packet.payload_at, frame->packet.payload_len, bytes, len);
}

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    uint8_t veiled[sizeof(text)];

    (void)user;
    (void)delay_ns;
    veil_copy(veiled, (const uint8_t *)text, sizeof(text), 0);
    scene.saw_plain |= holds(frame, text, sizeof(text));
    scene.saw_veiled |= holds(frame, veiled, sizeof(veiled));
    scene.frames++;
    return !scene.lose_each || scene.frames % scene.lose_each != 0;
}

static struct simnet *begin(uint8_t mine, uint8_t theirs, uint64_t handshake_ns)
{
    const struct simnet_config config = {.peers = "198.18.0.2-198.18.0.3",
                                         .fate = fate,
                                         .dress = give_veil,
                                         .handshake_ns = handshake_ns};

    memset(&scene, 0, sizeof(scene));
    scene.greetings[0] = mine;
    scene.greetings[1] = theirs;
    return simnet_new(&config);
}


static bool run(struct simnet *net, bool (*done)(void *), struct end *end, uint64_t ns)
{
    return simnet_run(net, done, end, simnet_now_ns(net) + ns);
}

static void finish(struct simnet *net, unsigned flows)
{
    simnet_end(net);
    assert_int_equal(scene.made, flows);
    assert_int_equal(scene.done, flows);
}

static void test_the_wire_carries_other_bytes(void **state)
{
    struct simnet *net = begin(GREETING, GREETING, 0);
    (void)simnet_listen(net, IPPROTO_TCP, PORT, &(struct end){.read_most = SIZE_MAX});
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    char got[sizeof(text)] = {0};
    struct iovec iov;

    (void)state;
    assert_true(run(net, end_is_open, end, NS_PER_S));
    assert_int_equal(flow_write(&end->flow, text, sizeof(text), 0), sizeof(text));
    simnet_run_for(net, NS_PER_S);
    struct flow *other = &simnet_accepted(net)->flow;
    assert_int_equal(flow_peek(other, &iov, 1), 1);
    assert_int_equal(iov.iov_len, sizeof(text));
    memcpy(got, iov.iov_base, sizeof(got));
    assert_string_equal(got, text);
    flow_consume(other, iov.iov_len);
    assert_int_equal(flow_unread(other), 0);
    assert_false(scene.saw_plain);
    assert_true(scene.saw_veiled);
    /* Counters are of the wire: the greeting is in them. */
    assert_int_equal(end->flow.written, 1 + sizeof(text));
    assert_int_equal(other->consumed, 1 + sizeof(text));
    end_free(end);
    simnet_run_for(net, NS_PER_S);
    finish(net, 2);
}

static void test_much_both_ways_with_losses(void **state)
{
    const struct end like = {.to_send = 300000, .close_when_done = true, .shut_when_sent = true};
    struct simnet *net = begin(GREETING, GREETING, 0);

    (void)state;
    scene.lose_each = 50;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, &like);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    end->to_send = 200000;
    end->shut_when_sent = true;
    assert_true(run(net, end_is_over, end, 600 * NS_PER_S));
    assert_int_equal(end->how, PEER_END_CLOSED);
    assert_int_equal(end->received, 300000);
    assert_false(end->wrong);
    assert_int_equal(simnet_counts(net).bytes, 500000);
    assert_int_equal(simnet_counts(net).wrong, 0);
    end_free(end);
    simnet_run_for(net, 200 * NS_PER_S);
    finish(net, 2);
}

/* Open is what the owner hears when both have greeted, not when TCP is. */
static void test_open_waits_for_the_filter(void **state)
{
    struct simnet *net = begin(GREETING, GREETING, 0);
    uint64_t start_ns = simnet_now_ns(net);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_true(run(net, end_is_open, end, NS_PER_S));
    assert_true(veil_of(&end->flow)->met);
    assert_int_equal((uint64_t)end->flow.handshake_ns, 2 * NS_PER_MS); /* of TCP: there and back */
    assert_int_equal(end->open_ns, start_ns + 4 * NS_PER_MS); /* TCP 2 ms, greetings 2 */
    end_free(end);
    simnet_run_for(net, NS_PER_S);
    finish(net, 2);
}

static void test_a_filter_that_never_opens_times_out(void **state)
{
    struct simnet *net = begin(GREETING, 0, 3 * NS_PER_S);
    uint64_t start_ns = simnet_now_ns(net);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_true(run(net, end_is_over, end, 10 * NS_PER_S));
    assert_int_equal(end->how, PEER_END_TIMEOUT);
    assert_false(end->events & FLOW_CONNECTED);
    assert_int_equal(end->end_ns, start_ns + 3 * NS_PER_S);
    end_free(end);
    simnet_run_for(net, NS_PER_S);
    finish(net, 2);
}

static void test_a_filter_fails_its_flow(void **state)
{
    struct simnet *net = begin(GREETING, 0x17, 3 * NS_PER_S);
    uint64_t start_ns = simnet_now_ns(net);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_true(run(net, end_is_over, end, 10 * NS_PER_S));
    assert_int_equal(end->how, PEER_END_RESET);
    assert_false(end->events & FLOW_CONNECTED);
    assert_int_equal(end->end_ns, start_ns + 4 * NS_PER_MS);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(flow_end(&simnet_accepted(net)->flow), PEER_END_RESET); /* it was told */
    end_free(end);
    finish(net, 2);
}

static void looked(struct flow *flow, unsigned events)
{
    (void)flow;
    (void)events;
}

static void forget(struct flow *flow)
{
    (void)flow;
}

/* A watch is below: what it lets through is of the wire, and the filter writes the rest later. */
static void test_a_watch_is_below_the_filter(void **state)
{
    struct flow_watch watch = {.look = looked, .done = forget, .write_most = 11};
    struct simnet *net = begin(GREETING, GREETING, 0);

    (void)state;
    (void)simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", PORT);
    assert_int_equal(flow_set_watch(&end->flow, &watch), 0);
    end->to_send = 100;
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(end->sent, 10); /* and one of greeting */
    assert_int_equal(simnet_accepted(net)->received, 10);
    assert_int_equal(flow_write(&end->flow, text, 1, 0), -EAGAIN);
    watch.write_most = SIZE_MAX;
    end_pump(end);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(simnet_accepted(net)->received, 100);
    assert_false(simnet_accepted(net)->wrong);
    end_free(end);
    simnet_run_for(net, NS_PER_S);
    finish(net, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_wire_carries_other_bytes),
        TEST(test_much_both_ways_with_losses),
        TEST(test_open_waits_for_the_filter),
        TEST(test_a_filter_that_never_opens_times_out),
        TEST(test_a_filter_fails_its_flow),
        TEST(test_a_watch_is_below_the_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
