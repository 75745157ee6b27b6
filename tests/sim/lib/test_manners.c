/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each of the stack's bad manners puts on the wire, byte for byte, and what the other end
 * makes of it. One peer misbehaves, another is the application.
 */
#include "support/simtest.h"

#include "packet/checksum.h"

enum { SENT_MAX = 64, FRAME_MAX = 2048, PORT = 80 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

/* A frame that the misbehaving peer sent. */
struct sent {
    struct packet packet;
    size_t len;
    uint8_t bytes[FRAME_MAX];
};

struct scene {
    struct simnet *net;
    struct end *client, *server;
    struct peer_addr who; /* whose frames are kept; family 0: everybody's */
    struct sent sent[SENT_MAX];
    size_t count;
    uint64_t resets;        /* of anybody */
    uint8_t received[4096]; /* by the server */
    size_t received_len;
    unsigned before_syn;  /* STACK_MANGLE_*: from the first frame on */
    uint16_t segment_max; /* likewise; 0: none */
};

static unsigned keep(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct scene *scene = user;
    const struct packet *packet = &frame->packet;

    (void)delay_ns;
    if (packet->kind == PACKET_TCP && packet->tcp_flags & RST)
        scene->resets++;
    if (scene->who.family && !peer_addr_equal(&packet->src, &scene->who))
        return 1;
    if (scene->count < SENT_MAX && frame->len <= FRAME_MAX) {
        struct sent *sent = &scene->sent[scene->count++];
        sent->packet = *packet;
        sent->len = frame->len;
        memcpy(sent->bytes, frame->data, frame->len);
    }
    return 1;
}

static void take(struct end *end, unsigned events)
{
    struct scene *scene = end->user;
    struct iovec iov[16];
    int count;

    if (!(events & FLOW_READABLE))
        return;
    while ((count = flow_peek(&end->flow, iov, 16)) > 0) {
        size_t len = iov_total(iov, count);
        assert_true(scene->received_len + len <= sizeof(scene->received));
        iov_gather(iov, count, scene->received + scene->received_len);
        scene->received_len += len;
        flow_consume(&end->flow, len);
    }
}

static void misbehave_early(void *user, struct end *end)
{
    struct scene *scene = user;
    struct stack *stack = simnet_stack(scene->net);

    if (end->on_event == take) /* the server */
        return;
    if (scene->before_syn)
        assert_int_equal(stack_mangle(stack, &end->flow.conn, scene->before_syn), 0);
    if (scene->segment_max)
        assert_int_equal(stack_limit_segment(stack, &end->flow.conn, scene->segment_max), 0);
}

static struct scene *scene_new(uint8_t family)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    bool v6 = family == 6;
    struct simnet_config config = {.peers = v6 ? "2001:2::2-2001:2::4" : "198.18.0.2-198.18.0.4",
                                   .offload = true,
                                   .seed = 1,
                                   .fate = keep,
                                   .dress = misbehave_early,
                                   .user = scene};
    struct end server = {.on_event = take, .user = scene};

    assert_non_null(scene);
    scene->net = simnet_new(&config);
    scene->who = simnet_addr(v6 ? "2001:2::2" : "198.18.0.2");
    simnet_listen(scene->net, IPPROTO_TCP, PORT, &server);
    return scene;
}

static void scene_connect_by(struct scene *scene, uint8_t protocol)
{
    static const struct end idle = {.read_most = SIZE_MAX};
    char from[PEER_ADDR_TEXT];

    scene->client =
        end_connect_like(scene->net, &idle, protocol, peer_addr_format(&scene->who, from), 0,
                         scene->who.family == 6 ? "2001:2::3" : "198.18.0.3", PORT);
    assert_non_null(scene->client);
}

/* Both ends are open; what the handshake took is forgotten. */
static void scene_connect(struct scene *scene)
{
    scene_connect_by(scene, IPPROTO_TCP);
    simnet_run_for(scene->net, 100 * NS_PER_MS);
    scene->server = simnet_accepted(scene->net);
    assert_non_null(scene->server);
    assert_true(scene->client->events & FLOW_CONNECTED);
    assert_true(scene->server->events & FLOW_ACCEPTED);
    scene->count = 0;
}

static struct stack *stack_of(struct scene *scene)
{
    return simnet_stack(scene->net);
}

static struct stack_conn *conn_of(struct scene *scene)
{
    return &scene->client->flow.conn;
}

static void scene_write(struct scene *scene, const char *text)
{
    assert_int_equal(flow_write(&scene->client->flow, text, strlen(text), 0), strlen(text));
    simnet_run_for(scene->net, 10 * NS_PER_MS);
}

static void expect_received(struct scene *scene, const char *text)
{
    assert_int_equal(scene->received_len, strlen(text));
    assert_memory_equal(scene->received, text, strlen(text));
}

static void scene_free(struct scene *scene)
{
    simnet_end(scene->net);
    free(scene);
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static const uint8_t *tcp_of(const struct sent *sent)
{
    return sent->bytes + sent->packet.transport_at;
}

static uint32_t seq_of(const struct sent *sent)
{
    return get32(tcp_of(sent) + 4);
}

static uint32_t ack_of(const struct sent *sent)
{
    return get32(tcp_of(sent) + 8);
}

static bool is_right(const struct sent *sent)
{
    return checksum_verify(sent->bytes, sent->len, &sent->packet);
}

/* The data segment `index` (in order of sending) carries `text`, at `offset` from `base`. */
static void expect_data(const struct scene *scene, size_t index, uint32_t base, uint32_t offset,
                        const char *text, uint8_t flags)
{
    const struct sent *sent = &scene->sent[index];

    assert_true(index < scene->count);
    assert_int_equal(sent->packet.kind, PACKET_TCP);
    assert_int_equal(sent->packet.payload_len, strlen(text));
    assert_memory_equal(sent->bytes + sent->packet.payload_at, text, strlen(text));
    assert_int_equal(seq_of(sent) - base, offset);
    assert_int_equal(sent->packet.tcp_flags, flags);
    assert_int_equal(sent->len, sent->packet.ip_at + sent->packet.ip_len);
    assert_true(is_right(sent));
}

/* ---- frames, mangled ---- */

static void each_data_segment_leaves_twice(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_mangle(stack_of(scene), conn_of(scene), STACK_MANGLE_DUPLICATE), 0);
    scene_write(scene, "the same");
    assert_int_equal(scene->count, 2);
    expect_data(scene, 0, seq_of(&scene->sent[0]), 0, "the same", PSH | ACK);
    assert_int_equal(scene->sent[0].len, scene->sent[1].len);
    assert_memory_equal(scene->sent[0].bytes, scene->sent[1].bytes, scene->sent[0].len);
    expect_received(scene, "the same");
    scene_free(scene);
}

static void segments_overlap_with_the_same_bytes(void **state)
{
    struct scene *scene = scene_new(6);

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_mangle(stack_of(scene), conn_of(scene), STACK_MANGLE_OVERLAP), 0);
    scene_write(scene, "aaabbbccc");
    uint32_t base = seq_of(&scene->sent[0]);
    assert_int_equal(scene->count, 2);
    expect_data(scene, 0, base, 0, "aaabbb", ACK);
    expect_data(scene, 1, base, 3, "bbbccc", PSH | ACK);
    expect_received(scene, "aaabbbccc");
    scene_free(scene);
}

static void the_second_half_leaves_first(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_mangle(stack_of(scene), conn_of(scene), STACK_MANGLE_REORDER), 0);
    scene_write(scene, "abcde");
    uint32_t base = seq_of(&scene->sent[1]);
    assert_int_equal(scene->count, 2);
    expect_data(scene, 0, base, 3, "de", PSH | ACK);
    expect_data(scene, 1, base, 0, "abc", ACK);
    expect_received(scene, "abcde");
    scene_write(scene, "f"); /* one byte has no halves */
    assert_int_equal(scene->count, 3);
    expect_data(scene, 2, base, 5, "f", PSH | ACK);
    scene_free(scene);
}

static void a_broken_twin_goes_before_each_segment(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    scene->before_syn = STACK_MANGLE_BAD_CHECKSUM;
    scene_connect_by(scene, IPPROTO_TCP);
    simnet_run_for(scene->net, 100 * NS_PER_MS);
    scene_write(scene, "checked");
    assert_true(scene->count >= 6 && scene->count % 2 == 0);
    for (size_t i = 0; i < scene->count; i += 2) {
        struct sent *broken = &scene->sent[i], *right = &scene->sent[i + 1];
        size_t at = right->packet.transport_at + 16u;
        assert_false(is_right(broken));
        assert_true(is_right(right));
        assert_int_equal(broken->len, right->len);
        assert_memory_equal(broken->bytes, right->bytes, at);
        assert_memory_equal(broken->bytes + at + 2, right->bytes + at + 2, right->len - at - 2);
    }
    assert_int_equal(scene->sent[0].packet.tcp_flags, SYN);
    expect_received(scene, "checked");
    scene_free(scene);
}

static void segments_of_one_byte(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    scene->segment_max = 1;
    scene_connect(scene);
    scene_write(scene, "tiny");
    uint32_t base = seq_of(&scene->sent[0]);
    assert_int_equal(scene->count, 4);
    expect_data(scene, 0, base, 0, "t", ACK);
    expect_data(scene, 1, base, 1, "i", ACK);
    expect_data(scene, 2, base, 2, "n", ACK);
    expect_data(scene, 3, base, 3, "y", PSH | ACK);
    expect_received(scene, "tiny");
    assert_int_equal(stack_limit_segment(stack_of(scene), conn_of(scene), 0), 0);
    scene_write(scene, "whole");
    assert_int_equal(scene->count, 5);
    scene_free(scene);
}

static void all_of_it_at_once_still_carries_the_bytes(void **state)
{
    struct scene *scene = scene_new(6);
    char text[2001];

    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = (char)('a' + i % 23);
    text[sizeof(text) - 1] = 0;
    scene_connect(scene);
    assert_int_equal(stack_mangle(stack_of(scene), conn_of(scene),
                                  STACK_MANGLE_DUPLICATE | STACK_MANGLE_OVERLAP |
                                      STACK_MANGLE_REORDER | STACK_MANGLE_BAD_CHECKSUM),
                     0);
    assert_int_equal(stack_limit_segment(stack_of(scene), conn_of(scene), 100), 0);
    scene_write(scene, text);
    simnet_run_for(scene->net, 10 * NS_PER_S);
    expect_received(scene, text);
    scene_free(scene);
}

/* ---- the window ---- */

static uint16_t window_of(const struct sent *sent)
{
    return get16(tcp_of(sent) + 14);
}

static void a_stalled_window_is_zero_at_once_and_stays_so(void **state)
{
    struct scene *scene = scene_new(4);
    char text[] = "probe me";

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_limit_window(stack_of(scene), conn_of(scene), 0), 0);
    simnet_run_for(scene->net, 10 * NS_PER_MS);
    assert_int_equal(scene->count, 1);
    assert_int_equal(scene->sent[0].packet.tcp_flags, ACK);
    assert_int_equal(window_of(&scene->sent[0]), 0);

    assert_int_equal(flow_write(&scene->server->flow, text, strlen(text), 0), strlen(text));
    simnet_run_for(scene->net, 5 * NS_PER_S);
    assert_true(scene->count >= 3); /* probes were answered */
    for (size_t i = 0; i < scene->count; i++)
        assert_int_equal(window_of(&scene->sent[i]), 0);
    assert_int_equal(scene->client->flow.conn.rx_bytes, 0);
    scene_write(scene, "own data goes on");
    expect_received(scene, "own data goes on");

    assert_int_equal(stack_limit_window(stack_of(scene), conn_of(scene), UINT32_MAX), 0);
    simnet_run_for(scene->net, 5 * NS_PER_S);
    assert_int_equal(scene->client->flow.conn.rx_bytes, strlen(text));
    scene_free(scene);
}

/* Neither Linux nor lwIP believes a smaller window before something newer comes with it. */
static void show_window(struct scene *scene)
{
    scene_write(scene, "a");
    scene_write(scene, "b");
}

static void a_limited_window_opens_as_it_is_read(void **state)
{
    struct scene *scene = scene_new(4);
    static char data[20000];
    struct iovec iov[64];
    size_t total = 0;

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_limit_window(stack_of(scene), conn_of(scene), 1024), 0);
    show_window(scene);
    assert_int_equal(flow_write(&scene->server->flow, data, sizeof(data), 0), sizeof(data));
    for (int i = 0; i < 200 && total < sizeof(data); i++) {
        simnet_run_for(scene->net, 2 * NS_PER_S);
        size_t len = iov_total(iov, flow_peek(&scene->client->flow, iov, 64));
        assert_true(len <= 1024);
        flow_consume(&scene->client->flow, len);
        total += len;
    }
    assert_int_equal(total, sizeof(data));
    for (size_t i = 0; i < scene->count; i++)
        assert_true(window_of(&scene->sent[i]) * 128 <= 1024);
    /* All was read, so closing is a FIN and no reset. */
    flow_close(&scene->client->flow);
    flow_close(&scene->server->flow);
    simnet_run_for(scene->net, 10 * NS_PER_S);
    assert_int_equal(scene->resets, 0);
    assert_int_equal(scene->client->how, PEER_END_CLOSED);
    scene_free(scene);
}

static void a_granted_window_opens_by_grants_alone(void **state)
{
    struct scene *scene = scene_new(4);
    static char data[4096];
    struct iovec iov[64];

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_limit_window(stack_of(scene), conn_of(scene), 0), 0);
    show_window(scene);
    assert_int_equal(flow_write(&scene->server->flow, data, sizeof(data), 0), sizeof(data));
    simnet_run_for(scene->net, NS_PER_S);
    assert_int_equal(flow_peek(&scene->client->flow, iov, 64), 0);
    assert_int_equal(stack_grant_window(stack_of(scene), conn_of(scene), 512), 512);
    simnet_run_for(scene->net, 5 * NS_PER_S);
    assert_int_equal(iov_total(iov, flow_peek(&scene->client->flow, iov, 64)), 512);
    flow_consume(&scene->client->flow, 512);
    simnet_run_for(scene->net, 5 * NS_PER_S);
    assert_int_equal(flow_peek(&scene->client->flow, iov, 64), 0);
    scene_free(scene);
}

/* ---- silence ---- */

static void a_pulled_cable_is_silent_and_the_bytes_go_on_afterwards(void **state)
{
    struct scene *scene = scene_new(4);
    char text[] = "is anybody there?";

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_vanish(stack_of(scene), conn_of(scene), true), 0);
    assert_int_equal(flow_write(&scene->server->flow, text, strlen(text), 0), strlen(text));
    scene_write(scene, "into the void");
    simnet_run_for(scene->net, 3 * NS_PER_S);
    assert_int_equal(scene->count, 0);
    assert_int_equal(scene->resets, 0);

    /* The machine answers no ping either. */
    struct stack_ping ping = {
        .from = simnet_addr("198.18.0.3"), .to = scene->who, .id = 1, .sequence = 1, .size = 8};
    assert_int_equal(stack_ping(stack_of(scene), &ping), 0);
    simnet_run_for(scene->net, NS_PER_S);
    assert_int_equal(scene->count, 0);

    assert_int_equal(stack_vanish(stack_of(scene), conn_of(scene), false), 0);
    simnet_run_for(scene->net, 60 * NS_PER_S);
    expect_received(scene, "into the void");
    assert_int_equal(scene->client->flow.conn.rx_bytes, strlen(text));
    assert_int_equal(scene->resets, 0);
    scene_free(scene);
}

static void what_vanished_stays_silent_when_it_is_given_up(void **state)
{
    struct scene *scene = scene_new(4);
    char text[] = "hello?";

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_vanish(stack_of(scene), conn_of(scene), true), 0);
    flow_free(&scene->client->flow);
    assert_int_equal(flow_write(&scene->server->flow, text, strlen(text), 0), strlen(text));
    simnet_run_for(scene->net, 100 * NS_PER_S);
    assert_int_equal(scene->count, 0);
    assert_int_equal(scene->resets, 0);
    assert_int_equal(scene->server->events & FLOW_END, 0);
    scene_free(scene);
}

static void closing_what_vanished_ends_it_here_alone(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_vanish(stack_of(scene), conn_of(scene), true), 0);
    flow_close(&scene->client->flow);
    simnet_run_for(scene->net, 10 * NS_PER_S);
    assert_true(scene->client->events & FLOW_END);
    assert_int_equal(scene->count, 0);
    assert_int_equal(scene->server->events & (FLOW_END | FLOW_EOF), 0);
    scene_free(scene);
}

static void a_half_open_handshake_is_one_syn(void **state)
{
    struct scene *scene = scene_new(4);
    uint64_t answers;

    (void)state;
    scene_connect_by(scene, IPPROTO_TCP);
    assert_int_equal(stack_mute(stack_of(scene), conn_of(scene)), 0);
    simnet_run_for(scene->net, 10 * NS_PER_S);
    assert_int_equal(scene->count, 1);
    assert_int_equal(scene->sent[0].packet.tcp_flags, SYN);
    answers = simnet_frames(scene->net) - 1;
    assert_true(answers > 1); /* the other end tried again */
    flow_free(&scene->client->flow);
    simnet_run_for(scene->net, 10 * NS_PER_S);
    assert_int_equal(scene->count, 1);
    assert_int_equal(scene->resets, 0);

    /* But the machine is there. */
    struct stack_ping ping = {
        .from = simnet_addr("198.18.0.3"), .to = scene->who, .id = 1, .sequence = 1, .size = 8};
    assert_int_equal(stack_ping(stack_of(scene), &ping), 0);
    simnet_run_for(scene->net, NS_PER_S);
    assert_int_equal(scene->count, 2);
    assert_int_equal(scene->sent[1].packet.kind, PACKET_ICMP);
    scene_free(scene);
}

/* ---- packets of no connection ---- */

static void stray_segments_fit_nowhere(void **state)
{
    struct scene *scene = scene_new(4);

    (void)state;
    scene_connect(scene);
    scene_write(scene, "first");
    uint32_t base = seq_of(&scene->sent[0]), acked = ack_of(&scene->sent[0]);
    uint16_t port = scene->sent[0].packet.src_port;
    scene->count = 0;
    assert_int_equal(stack_stray(stack_of(scene), conn_of(scene)), 0);
    simnet_run_for(scene->net, 500 * NS_PER_US);
    assert_int_equal(scene->count, 3);

    expect_data(scene, 0, base, 5, "stray", PSH | ACK);
    assert_int_not_equal(scene->sent[0].packet.src_port, port);
    expect_data(scene, 1, base, 5, "", ACK);
    assert_int_equal(scene->sent[1].packet.src_port, port);
    assert_int_equal(ack_of(&scene->sent[1]), acked - 1);
    assert_int_equal(scene->sent[2].packet.src_port, port);
    expect_data(scene, 2, base, 5 + (1u << 30), "stray", PSH | ACK);

    simnet_run_for(scene->net, NS_PER_S);
    scene_write(scene, " second");
    expect_received(scene, "first second");
    scene_free(scene);
}

/* The quote in an ICMP error at `at`: a packet of the application to the peer. */
static void expect_quote(const uint8_t *quote, size_t header, uint16_t total, const uint8_t *from,
                         const uint8_t *to, uint16_t port, uint32_t seq)
{
    size_t len = header == 40 ? 16 : 4, at = header == 40 ? 8 : 12;

    assert_int_equal(get16(quote + (header == 40 ? 4 : 2)), header == 40 ? total - 40 : total);
    assert_int_equal(quote[header == 40 ? 6 : 9], IPPROTO_TCP);
    assert_memory_equal(quote + at, from, len);
    assert_memory_equal(quote + at + len, to, len);
    assert_int_equal(get16(quote + header), PORT);
    assert_int_equal(get16(quote + header + 2), port);
    assert_int_equal(get32(quote + header + 4), seq);
}

static void a_router_says_too_big(uint8_t family)
{
    struct scene *scene = scene_new(family);
    bool v6 = family == 6;
    size_t header = v6 ? 40 : 20;

    scene_connect(scene);
    scene_write(scene, "x");
    uint16_t port = scene->sent[0].packet.src_port;
    uint32_t acked = ack_of(&scene->sent[0]);
    scene->who = simnet_addr(v6 ? "2001:2::3" : "198.18.0.3"); /* the next peer is the router */
    scene->count = 0;
    assert_int_equal(stack_pmtu(stack_of(scene), conn_of(scene), 1280), 0);
    simnet_run_for(scene->net, 500 * NS_PER_US);
    assert_int_equal(scene->count, 1);
    const struct sent *sent = &scene->sent[0];
    struct peer_addr client = simnet_addr(v6 ? "2001:2::2" : "198.18.0.2");
    const uint8_t *icmp = tcp_of(sent);

    assert_int_equal(sent->packet.kind, PACKET_ICMP);
    assert_true(is_right(sent));
    assert_int_equal(icmp[0], v6 ? 2 : 3);
    assert_int_equal(icmp[1], v6 ? 0 : 4);
    assert_int_equal(get32(icmp + 4), 1280);
    expect_quote(icmp + 8, header, 1500, scene->who.bytes, client.bytes, port, acked);
    if (!v6) /* the quoted header is sound in itself */
        assert_int_equal(checksum_finish(checksum_add(0, icmp + 8, 20)), 0);
    scene_free(scene);
}

static void a_router_says_fragmentation_needed(void **state)
{
    (void)state;
    a_router_says_too_big(4);
}

static void a_router_says_packet_too_big(void **state)
{
    (void)state;
    a_router_says_too_big(6);
}

static void a_roaming_connection_goes_on_from_the_new_address(void **state)
{
    struct scene *scene = scene_new(4);
    struct peer_addr next = simnet_addr("198.18.0.4"), nobody = simnet_addr("198.18.0.9");
    char text[] = "where are you?";

    (void)state;
    scene_connect(scene);
    assert_int_equal(stack_roam(stack_of(scene), conn_of(scene), &nobody), -EADDRNOTAVAIL);
    scene->who = next;
    assert_int_equal(stack_roam(stack_of(scene), conn_of(scene), &next), 0);
    assert_int_equal(flow_write(&scene->server->flow, text, strlen(text), 0), strlen(text));
    simnet_run_for(scene->net, 5 * NS_PER_S);
    /* The other end knows no such connection: one ACK, one reset in answer. */
    assert_int_equal(scene->count, 1);
    assert_int_equal(scene->sent[0].packet.tcp_flags, ACK);
    assert_int_equal(scene->client->how, PEER_END_RESET);
    assert_int_equal(scene->resets, 1);
    assert_int_equal(scene->server->events & FLOW_END, 0); /* nobody is at the old address */
    scene_free(scene);
}

static void a_syn_of_a_flood_is_forgotten(void **state)
{
    static const uint8_t options[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10};
    struct scene *scene = scene_new(4);
    struct stack_tuple tuple = {.local = scene->who,
                                .remote = simnet_addr("198.18.0.3"),
                                .local_port = 7,
                                .remote_port = PORT};

    (void)state;
    assert_int_equal(stack_syn(stack_of(scene), &tuple), 0);
    simnet_run_for(scene->net, 5 * NS_PER_S);
    assert_int_equal(scene->count, 1);
    const struct sent *sent = &scene->sent[0];
    assert_int_equal(sent->packet.tcp_flags, SYN);
    assert_int_equal(sent->packet.src_port, 7);
    assert_int_equal(sent->packet.payload_len, 0);
    assert_int_equal(sent->len, 60);
    assert_true(is_right(sent));
    assert_int_equal(window_of(sent), 64240);
    assert_memory_equal(tcp_of(sent) + 20, options, sizeof(options));
    assert_true(simnet_frames(scene->net) > 2); /* was answered, more than once */
    assert_int_equal(scene->resets, 0);
    tuple.local_port = 1024;
    assert_int_equal(stack_syn(stack_of(scene), &tuple), -EINVAL);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_data_segment_leaves_twice),
        TEST(segments_overlap_with_the_same_bytes),
        TEST(the_second_half_leaves_first),
        TEST(a_broken_twin_goes_before_each_segment),
        TEST(segments_of_one_byte),
        TEST(all_of_it_at_once_still_carries_the_bytes),
        TEST(a_stalled_window_is_zero_at_once_and_stays_so),
        TEST(a_limited_window_opens_as_it_is_read),
        TEST(a_granted_window_opens_by_grants_alone),
        TEST(a_pulled_cable_is_silent_and_the_bytes_go_on_afterwards),
        TEST(what_vanished_stays_silent_when_it_is_given_up),
        TEST(closing_what_vanished_ends_it_here_alone),
        TEST(a_half_open_handshake_is_one_syn),
        TEST(stray_segments_fit_nowhere),
        TEST(a_router_says_fragmentation_needed),
        TEST(a_router_says_packet_too_big),
        TEST(a_roaming_connection_goes_on_from_the_new_address),
        TEST(a_syn_of_a_flood_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
