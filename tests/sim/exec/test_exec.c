/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of programs appear as peers', and answers come back; what is nobody's is the stack's. */
#include "support/craft.h"
#include "support/simtest.h"

#include "exec/exec.h"

#define INSIDE  "198.18.0.2"
#define SERVER  "192.0.2.80"
#define FOREIGN "203.0.113.9"
enum { SIDES = 2, LIMIT = 256 };

/* Two copies of a program, what they talk to being played by the test. */
struct world {
    struct simnet *net;
    struct exec *exec;
    struct addr_set peers;
    struct device *programs[SIDES]; /* the ends that a program's kernel has */
    struct frame_pool frames;
    struct crafted frame;
    unsigned refused;
    bool server_is_gone;
    struct peer_addr refused_to;
};

static struct peer_addr addr(const char *text)
{
    struct peer_addr parsed;

    assert_int_equal(peer_addr_parse(text, &parsed), 0);
    return parsed;
}

static bool is_server(void *user, const struct peer_addr *to)
{
    const struct peer_addr server = addr(SERVER);
    const struct world *world = user;

    return !world->server_is_gone && peer_addr_equal(to, &server);
}

static void note_refused(void *user, unsigned side, const struct peer_addr *to)
{
    struct world *world = user;

    (void)side;
    world->refused++;
    world->refused_to = *to;
}

static void world_begin(struct world *world, enum frame_layer layer, struct exec_config *config)
{
    struct peer_error error = {0};
    struct device *ends[SIDES];
    const struct simnet_config sim = {
        .peers = "198.18.0.2-198.18.0.9", .layer = layer, .offload = true};

    memset(world, 0, sizeof(*world));
    frame_pool_init(&world->frames);
    world->net = simnet_new(&sim);
    assert_int_equal(addr_set_parse(sim.peers, &world->peers, &error), 0);
    for (int i = 0; i < SIDES; i++)
        assert_int_equal(device_mem_pair(FRAME_IP, 1500, true, LIMIT, &world->programs[i], &ends[i]),
                         0);
    config->engine = simnet_engine(world->net);
    config->peers = &world->peers;
    config->first_mac = (struct peer_mac){{2, 0, 0, 0, 0, 1}};
    config->devices = ends;
    config->side_count = config->side_count ? config->side_count : 1;
    config->seed = simnet_seed(world->net);
    config->max_flows = 100;
    config->allowed = is_server;
    config->refused = note_refused;
    config->user = world;
    if (config->side_count == 1)
        device_free(ends[1]);
    assert_int_equal(exec_new(config, &world->exec), 0);
}

static void world_end(struct world *world)
{
    exec_free(world->exec);
    for (int i = 0; i < SIDES; i++)
        device_free(world->programs[i]);
    addr_set_done(&world->peers);
    frame_pool_done(&world->frames);
    simnet_end(world->net);
}

/* ---- the program's kernel ---- */

static void program_sends(struct world *world, const struct frame_offload *offload)
{
    static const struct frame_offload none;
    const struct iovec part = {world->frame.bytes, world->frame.len};

    assert_int_equal(device_send(world->programs[0], &part, 1, offload ? offload : &none), 0);
    simnet_run_for(world->net, 0);
}

static void program_sends_tcp(struct world *world, const char *to, uint16_t port, uint8_t flags,
                              const char *payload)
{
    const struct craft_tcp tcp = {.src = addr(INSIDE),
                                  .dst = addr(to),
                                  .src_port = port,
                                  .dst_port = 80,
                                  .seq = 1000,
                                  .ack = flags & CRAFT_ACK ? 5001 : 0,
                                  .flags = flags,
                                  .window = 64240,
                                  .payload = payload,
                                  .payload_len = payload ? (uint32_t)strlen(payload) : 0};

    craft_tcp_frame(&world->frame, &tcp);
    program_sends(world, NULL);
}

static void program_sends_udp(struct world *world, uint16_t port, size_t len)
{
    static const uint8_t bytes[1400];
    const struct peer_addr from = addr(INSIDE), to = addr(SERVER);

    craft_udp_frame(&world->frame, &from, port, &to, 443, bytes, len);
    program_sends(world, NULL);
}

/* NULL: nothing. The frame is the caller's. */
static struct frame *program_hears(struct world *world, struct packet *ret_packet)
{
    struct frame *frame = frame_get(&world->frames, FRAME_LARGE_BYTES);

    if (device_recv(world->programs[0], frame) <= 0) {
        frame_put(frame);
        return NULL;
    }
    assert_int_equal(packet_parse(frame->data, frame->len, FRAME_IP, ret_packet), 0);
    assert_true(frame->offload.flags & FRAME_NEEDS_CSUM ||
                checksum_verify(frame->data, frame->len, ret_packet));
    return frame;
}

static void assert_program_hears_nothing(struct world *world)
{
    struct packet packet;

    assert_null(program_hears(world, &packet));
}

/* ---- the application ---- */

static struct craft_tcp application_hears(struct world *world)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    assert_true(simnet_take(world->net, &frame));
    assert_true(checksum_verify(frame.data, frame.len, &frame.packet));
    assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
    return tcp;
}

static void assert_application_hears_nothing(struct world *world)
{
    struct simnet_frame frame;

    assert_false(simnet_take(world->net, &frame));
}

static struct packet application_hears_datagram(struct world *world)
{
    struct simnet_frame frame;

    assert_true(simnet_take(world->net, &frame));
    assert_int_equal(frame.packet.kind, PACKET_UDP);
    return frame.packet;
}

static void application_answers(struct world *world, const struct craft_tcp *heard, uint8_t flags,
                                const char *payload)
{
    const struct craft_tcp tcp = {.src = heard->dst,
                                  .dst = heard->src,
                                  .src_port = heard->dst_port,
                                  .dst_port = heard->src_port,
                                  .seq = 5000,
                                  .ack = heard->seq + 1,
                                  .flags = flags,
                                  .window = 64240,
                                  .payload = payload,
                                  .payload_len = payload ? (uint32_t)strlen(payload) : 0};

    craft_tcp_frame(&world->frame, &tcp);
    simnet_put(world->net, world->frame.bytes, world->frame.len, NULL);
}

static void assert_addr(const struct peer_addr *got, const char *wanted)
{
    char text[PEER_ADDR_TEXT];

    assert_string_equal(peer_addr_format(got, text), wanted);
}

/* The handshake of a connection from `port`; returns what the application heard last. */
static struct craft_tcp connect_program(struct world *world, uint16_t port)
{
    struct packet packet;

    program_sends_tcp(world, SERVER, port, CRAFT_SYN, NULL);
    struct craft_tcp heard = application_hears(world);
    application_answers(world, &heard, CRAFT_SYN | CRAFT_ACK, NULL);
    frame_put(program_hears(world, &packet));
    program_sends_tcp(world, SERVER, port, CRAFT_ACK, NULL);
    return application_hears(world);
}

/* ---- tests ---- */

static void each_connection_is_the_next_peers(void **state)
{
    struct world world;
    struct exec_config config = {.spread = REWRITE_CONNECTION};
    struct exec_unfinished unfinished;
    struct exec_stats stats;
    struct packet packet;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    for (int i = 0; i < 3; i++) {
        char from[32];
        snprintf(from, sizeof(from), "198.18.0.%d", 2 + i);
        program_sends_tcp(&world, SERVER, (uint16_t)(40000 + i), CRAFT_SYN, NULL);
        const struct craft_tcp syn = application_hears(&world);
        assert_addr(&syn.src, from);
        assert_int_equal(syn.src_port, 40000 + i);
        application_answers(&world, &syn, CRAFT_SYN | CRAFT_ACK, NULL);
        struct frame *frame = program_hears(&world, &packet);
        assert_non_null(frame);
        assert_addr(&packet.dst, INSIDE);
        assert_addr(&packet.src, SERVER);
        assert_int_equal(packet.dst_port, 40000 + i);
        frame_put(frame);
    }
    exec_get_stats(world.exec, &stats);
    assert_int_equal(stats.peers, 3);
    assert_int_equal(stats.flows.flows, 3);
    exec_get_unfinished(world.exec, &unfinished);
    assert_int_equal(unfinished.flows, 3);
    assert_int_equal(unfinished.packets, 3 * 2); /* SYN, SYN-ACK */
    world_end(&world);
}

/* Datagrams never end: who waits for connections does not wait for them. */
static void datagrams_are_not_unfinished(void **state)
{
    struct world world;
    struct exec_config config = {0};
    struct exec_unfinished unfinished;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    (void)connect_program(&world, 40000);
    exec_get_unfinished(world.exec, &unfinished);
    assert_int_equal(unfinished.flows, 1);
    const uint64_t packets = unfinished.packets;
    program_sends_udp(&world, 40001, 100);
    (void)application_hears_datagram(&world);
    exec_get_unfinished(world.exec, &unfinished);
    assert_int_equal(unfinished.flows, 1);
    assert_int_equal(unfinished.packets, packets);
    world_end(&world);
}

static void other_targets_are_prohibited_at_once(void **state)
{
    struct world world;
    struct exec_config config = {0};
    struct packet packet;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    program_sends_tcp(&world, FOREIGN, 40000, CRAFT_SYN, NULL);
    assert_application_hears_nothing(&world);
    struct frame *frame = program_hears(&world, &packet);
    assert_non_null(frame);
    assert_int_equal(packet.kind, PACKET_ICMP);
    assert_addr(&packet.dst, INSIDE);
    assert_int_equal(frame->data[packet.transport_at], 3);
    assert_int_equal(frame->data[packet.transport_at + 1], 13);
    frame_put(frame);
    assert_int_equal(world.refused, 1);
    assert_addr(&world.refused_to, FOREIGN);
    world_end(&world);
}

/* What no program sent for: a stranger's SYN to a peer is refused as ever, a ping answered. */
/* A host that forwards would send out what went to it. */
static void an_address_that_is_taken_away_gets_nothing_more(void **state)
{
    struct world world;
    struct exec_config config = {0};
    struct packet packet;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    (void)connect_program(&world, 40000);
    program_sends_udp(&world, 40001, 100);
    (void)application_hears_datagram(&world);
    world.server_is_gone = true;
    simnet_run_for(world.net, NS_PER_S);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_ACK, "data");
    assert_application_hears_nothing(&world);
    struct frame *frame = program_hears(&world, &packet);
    assert_non_null(frame);
    assert_true(packet.tcp_flags & CRAFT_RST);
    frame_put(frame);
    program_sends_udp(&world, 40001, 100);
    assert_application_hears_nothing(&world);
    frame = program_hears(&world, &packet);
    assert_non_null(frame);
    assert_int_equal(packet.kind, PACKET_ICMP);
    frame_put(frame);
    world_end(&world);
}

static void strangers_are_the_stacks(void **state)
{
    struct world world;
    struct exec_config config = {0};
    const struct peer_addr server = addr(SERVER), peer = addr("198.18.0.5");
    struct simnet_frame frame;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    craft_tcp_frame(&world.frame, &(struct craft_tcp){.src = server,
                                                      .dst = peer,
                                                      .src_port = 5555,
                                                      .dst_port = 22,
                                                      .seq = 1,
                                                      .flags = CRAFT_SYN,
                                                      .window = 1000});
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    assert_int_equal(application_hears(&world).flags & CRAFT_RST, CRAFT_RST);
    craft_icmp_frame(&world.frame, &server, &peer, 8, 0, 1, "ping", 4);
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    assert_true(simnet_take(world.net, &frame));
    assert_int_equal(frame.packet.kind, PACKET_ICMP);
    assert_program_hears_nothing(&world);
    world_end(&world);
}

/* A link has turned the fragments of an answer round. */
static void fragments_in_any_order_reach_the_program(void **state)
{
    static const uint8_t bytes[2000];
    struct world world;
    struct exec_config config = {0};
    struct simnet_frame frame;
    struct packet packet;
    struct crafted whole;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    program_sends_udp(&world, 40000, 10);
    assert_true(simnet_take(world.net, &frame));
    const struct peer_addr server = addr(SERVER), peer = frame.packet.src;
    craft_udp_frame(&whole, &server, 443, &peer, 40000, bytes, sizeof(bytes));
    for (uint32_t i = 0; i < 2; i++) {
        craft_fragment(&world.frame, &whole, i ? 0 : 1200, i ? 1200 : 2400);
        simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
        simnet_run_for(world.net, 0);
        if (i == 0)
            assert_program_hears_nothing(&world);
    }
    for (int i = 0; i < 2; i++) {
        struct frame *heard = program_hears(&world, &packet);
        assert_non_null(heard);
        assert_true(packet.fragment);
        assert_addr(&packet.dst, INSIDE);
        frame_put(heard);
    }
    world_end(&world);
}

/* The header of Ethernet is made and taken off here, and offload counts from there. */
static void ethernet_goes_around_it(void **state)
{
    struct world world;
    struct exec_config config = {0};
    struct simnet_frame frame;
    struct packet packet;
    struct craft_tcp syn = {0};
    const struct frame_offload partial = {
        .flags = FRAME_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1}, local[6] = {2, 0, 0, 0, 0, 0xfe};

    (void)state;
    world_begin(&world, FRAME_ETHERNET, &config);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_SYN, NULL);
    assert_true(simnet_take(world.net, &frame));
    assert_memory_equal(frame.data, local, 6);
    assert_memory_equal(frame.data + 6, peer_mac, 6);
    assert_true(checksum_verify(frame.data, frame.len, &frame.packet));
    assert_true(craft_see_tcp(frame.data, &frame.packet, &syn));
    craft_tcp_frame(&world.frame, &(struct craft_tcp){.src = syn.dst,
                                                      .dst = syn.src,
                                                      .src_port = 80,
                                                      .dst_port = 40000,
                                                      .seq = 9,
                                                      .ack = syn.seq + 1,
                                                      .flags = CRAFT_SYN | CRAFT_ACK,
                                                      .window = 1000});
    craft_ethernet(&world.frame, peer_mac, local);
    simnet_put(world.net, world.frame.bytes, world.frame.len, &partial);
    struct frame *heard = program_hears(&world, &packet);
    assert_non_null(heard);
    assert_addr(&packet.dst, INSIDE);
    assert_int_equal(heard->offload.csum_start, 20);
    frame_put(heard);
    world_end(&world);
}

/* Nobody knows the connection: its end is told, not waited for. */
static void a_segment_of_no_connection_is_reset(void **state)
{
    struct world world;
    struct exec_config config = {0};
    struct packet packet;
    struct craft_tcp tcp = {0};

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_ACK | CRAFT_PSH, "GET");
    assert_application_hears_nothing(&world);
    struct frame *frame = program_hears(&world, &packet);
    assert_non_null(frame);
    assert_true(craft_see_tcp(frame->data, &packet, &tcp));
    assert_int_equal(tcp.flags, CRAFT_RST);
    assert_int_equal(tcp.seq, 5001); /* what it acknowledged */
    assert_addr(&packet.src, SERVER);
    assert_addr(&packet.dst, INSIDE);
    frame_put(frame);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_FIN, "GET");
    frame = program_hears(&world, &packet);
    assert_non_null(frame);
    assert_true(craft_see_tcp(frame->data, &packet, &tcp));
    assert_int_equal(tcp.flags, CRAFT_RST | CRAFT_ACK);
    assert_int_equal(tcp.ack, 1000 + 3 + 1);
    frame_put(frame);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_RST, NULL);
    assert_program_hears_nothing(&world);
    world_end(&world);
}

static struct manner_spec manner(const char *text)
{
    const struct manner_context context = {.shares = true, .peers = 8};
    struct manner_spec specs[MANNERS_MAX];
    struct peer_error error = {0};

    if (manners_parse(text, &context, specs, &error) != 1)
        fail_msg("%s", error.text);
    return specs[0];
}

static void who_vanishes_is_silent_after_its_request(void **state)
{
    struct world world;
    const struct manner_spec vanish = manner("vanish");
    struct exec_config config = {.manners = &vanish, .manner_count = 1};
    const struct peer_addr server = addr(SERVER), peer = addr(INSIDE);

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    const struct craft_tcp open = connect_program(&world, 40000);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_ACK | CRAFT_PSH, "GET");
    assert_int_equal(application_hears(&world).payload_len, 3);
    application_answers(&world, &open, CRAFT_ACK, "answer");
    assert_program_hears_nothing(&world);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_ACK | CRAFT_FIN, NULL);
    craft_icmp_frame(&world.frame, &server, &peer, 8, 0, 1, "ping", 4);
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    assert_application_hears_nothing(&world);
    world_end(&world);
}

static void data_is_doubled_and_nothing_else(void **state)
{
    struct world world;
    const struct manner_spec twice = manner("duplicate-data");
    struct exec_config config = {.manners = &twice, .manner_count = 1};

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    connect_program(&world, 40000);
    assert_application_hears_nothing(&world);
    program_sends_tcp(&world, SERVER, 40000, CRAFT_ACK | CRAFT_PSH, "GET");
    assert_int_equal(application_hears(&world).payload_len, 3);
    assert_int_equal(application_hears(&world).payload_len, 3);
    assert_application_hears_nothing(&world);
    world_end(&world);
}

static void a_spoilt_copy_comes_before_each_datagram(void **state)
{
    struct world world;
    const struct manner_spec spoil = manner("bad-checksum");
    struct exec_config config = {.manners = &spoil, .manner_count = 1};
    struct simnet_frame frame;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    program_sends_udp(&world, 40000, 100); /* begins with what follows "connected" */
    (void)application_hears_datagram(&world);
    program_sends_udp(&world, 40000, 100);
    assert_true(simnet_take(world.net, &frame));
    assert_false(checksum_verify(frame.data, frame.len, &frame.packet));
    assert_true(simnet_take(world.net, &frame));
    assert_true(checksum_verify(frame.data, frame.len, &frame.packet));
    world_end(&world);
}

static void too_long_packets_are_answered_by_a_router(void **state)
{
    struct world world;
    const struct manner_spec narrow = manner("pmtu:600B@connected");
    struct exec_config config = {.manners = &narrow, .manner_count = 1};
    const struct peer_addr server = addr(SERVER), peer = addr(INSIDE);
    static const uint8_t bytes[1000];
    struct simnet_frame frame;
    struct packet packet;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    program_sends_udp(&world, 40000, 10);
    (void)application_hears_datagram(&world);
    craft_udp_frame(&world.frame, &server, 443, &peer, 40000, bytes, sizeof(bytes));
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    assert_program_hears_nothing(&world);
    assert_true(simnet_take(world.net, &frame));
    assert_int_equal(frame.packet.kind, PACKET_ICMP);
    assert_true(checksum_verify(frame.data, frame.len, &frame.packet));
    const uint8_t *icmp = frame.data + frame.packet.transport_at;
    assert_int_equal(icmp[0], 3);
    assert_int_equal(icmp[1], 4);
    assert_int_equal(craft_get16(icmp + 6), 600);
    assert_memory_equal(icmp + 8 + 16, peer.bytes, 4); /* quoted as the application sent it */
    craft_udp_frame(&world.frame, &server, 443, &peer, 40000, bytes, 500);
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    frame_put(program_hears(&world, &packet));
    world_end(&world);
}

/* As a phone does: the next address, the same port; nobody is at the old one once something came from
   the new one. */
static void who_roams_comes_from_another_address(void **state)
{
    struct world world;
    struct exec_config config = {.roam_ns = 10 * NS_PER_S};
    struct exec_stats stats;
    static const uint8_t bytes[4];
    const struct peer_addr server = addr(SERVER), old = addr(INSIDE), new = addr("198.18.0.3");
    struct packet packet;

    (void)state;
    world_begin(&world, FRAME_IP, &config);
    program_sends_udp(&world, 40000, 10);
    struct packet heard = application_hears_datagram(&world);
    assert_addr(&heard.src, INSIDE);
    simnet_run_for(world.net, 10 * NS_PER_S);
    craft_udp_frame(&world.frame, &server, 443, &old, 40000, bytes, sizeof(bytes));
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    struct frame *frame = program_hears(&world, &packet);
    assert_non_null(frame); /* nobody could know yet */
    frame_put(frame);
    program_sends_udp(&world, 40000, 10);
    heard = application_hears_datagram(&world);
    assert_addr(&heard.src, "198.18.0.3");
    assert_int_equal(heard.src_port, 40000);
    craft_udp_frame(&world.frame, &server, 443, &old, 40000, bytes, sizeof(bytes));
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    assert_program_hears_nothing(&world);
    assert_application_hears_nothing(&world);
    craft_udp_frame(&world.frame, &server, 443, &new, 40000, bytes, sizeof(bytes));
    simnet_put(world.net, world.frame.bytes, world.frame.len, NULL);
    frame = program_hears(&world, &packet);
    assert_non_null(frame);
    frame_put(frame);
    simnet_run_for(world.net, 10 * NS_PER_S);
    program_sends_udp(&world, 40000, 10);
    exec_get_stats(world.exec, &stats);
    assert_int_equal(stats.flows.roamed, 2);
    world_end(&world);
}

static void copies_have_slices_of_the_peers(void **state)
{
    static const struct {
        uint64_t peers;
        unsigned side, sides;
        uint64_t first, count;
    } table[] = {
        {10, 0, 1, 0, 10}, {10, 0, 3, 0, 4}, {10, 1, 3, 4, 3}, {10, 2, 3, 7, 3},
        {2, 0, 3, 0, 1},   {2, 1, 3, 1, 1},  {2, 2, 3, 0, 1},  {3, 2, 3, 2, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        const struct rewrite_side slice =
            exec_slice(table[i].peers, table[i].side, table[i].sides);
        assert_int_equal(slice.first, table[i].first);
        assert_int_equal(slice.count, table[i].count);
    }
}

static void manners_of_a_tcp_of_ones_own_are_refused(void **state)
{
    struct peer_error error = {0};
    const struct manner_spec stall = manner("stall"), vanish = manner("vanish");

    (void)state;
    assert_int_equal(exec_manners_check(&vanish, 1, &error), 0);
    assert_int_equal(exec_manners_check(&stall, 1, &error), -EINVAL);
    assert_non_null(strstr(error.text, "\"stall\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_connection_is_the_next_peers),
        TEST(datagrams_are_not_unfinished),
        TEST(other_targets_are_prohibited_at_once),
        TEST(an_address_that_is_taken_away_gets_nothing_more),
        TEST(strangers_are_the_stacks),
        TEST(fragments_in_any_order_reach_the_program),
        TEST(ethernet_goes_around_it),
        TEST(a_segment_of_no_connection_is_reset),
        TEST(who_vanishes_is_silent_after_its_request),
        TEST(data_is_doubled_and_nothing_else),
        TEST(a_spoilt_copy_comes_before_each_datagram),
        TEST(too_long_packets_are_answered_by_a_router),
        TEST(who_roams_comes_from_another_address),
        cmocka_unit_test(copies_have_slices_of_the_peers),
        cmocka_unit_test(manners_of_a_tcp_of_ones_own_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
