/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from a hostile local machine into the whole stack. The first byte chooses the layer (TUN
 * or TAP) and the family; each following record makes one frame: a kind, a few bytes that shape it,
 * and whether its checksums are right. One connection is open and answers what it gets, two ports
 * listen. In between, time goes on.
 *
 * What must hold: no crash, no assertion of lwIP, nothing held at the end, memory bounded.
 */
#include "base/addr_set.h"
#include "base/macro.h"
#include "engine/engine.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "stack/stack.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
extern uint64_t fuzz_frames;
uint64_t fuzz_frames; /* that were put in, all inputs together */

enum { FRAMES_HELD_MAX = 4096, FLOWS_MAX = 64 };

struct world {
    const uint8_t *data;
    size_t len, at;
    bool ethernet, v6;
    struct addr_set peers;
    struct peer_mac mac;
    struct engine *engine;
    struct device *far;
    struct frame_pool frames;
    struct frame *buffer;
    uint64_t now_ns;
    uint16_t port; /* of the open connection's peer */
    uint32_t their_seq, our_seq;
    int flows;
    uint8_t frame[4096];
};

static uint8_t next(struct world *world)
{
    return world->at < world->len ? world->data[world->at++] : 0;
}

static uint16_t next16(struct world *world)
{
    uint16_t high = next(world);
    return (uint16_t)(high << 8 | next(world));
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* ---- flows that answer ---- */

static void on_event(struct flow *flow, unsigned events)
{
    struct iovec iov[8];
    uint8_t echo[2048];
    int count;

    while (events & FLOW_READABLE && (count = flow_peek(flow, iov, 8)) > 0) {
        size_t len = MIN(iov_total(iov, 1), sizeof(echo));
        memcpy(echo, iov[0].iov_base, len);
        flow_consume(flow, flow->conn.protocol == IPPROTO_UDP ? iov_total(iov, count) : len);
        if (len == 0 || flow_write(flow, echo, len, 0) < 0)
            break;
    }
    if (events & FLOW_EOF)
        flow_close(flow);
    if (events & FLOW_END)
        flow_free(flow);
}

static void on_release(struct flow *flow)
{
    free(flow);
}

static const struct flow_ops ops = {.event = on_event, .release = on_release};

static struct flow *on_accept(void *user, struct stack_listener *listener,
                              const struct stack_tuple *tuple)
{
    struct world *world = user;
    struct flow *flow = world->flows < FLOWS_MAX ? calloc(1, sizeof(*flow)) : NULL;

    (void)listener;
    (void)tuple;
    if (!flow)
        return NULL;
    world->flows++;
    flow_init_accepted(flow, engine_flows(world->engine), &ops);
    return flow;
}

/* ---- frames ---- */

static struct peer_addr local_addr(const struct world *world)
{
    struct peer_addr addr;

    (void)peer_addr_parse(world->v6 ? "2001:db8::1" : "192.0.2.1", &addr);
    return addr;
}

/* Ethernet and IP headers; returns where the transport begins. */
static uint8_t *begin(struct world *world, uint8_t protocol, size_t payload)
{
    struct peer_addr src = local_addr(world), dst = addr_set_at(&world->peers, 0);
    uint8_t *at = world->frame;

    memset(world->frame, 0, sizeof(world->frame));
    if (world->ethernet) {
        memcpy(at, world->mac.bytes, 6);
        memcpy(at + 6, "\x02\x00\x00\x00\x00\xfe", 6);
        put16(at + 12, world->v6 ? 0x86dd : 0x0800);
        at += 14;
    }
    if (world->v6) {
        at[0] = 0x60;
        put16(at + 4, (uint32_t)payload);
        at[6] = protocol;
        at[7] = 64;
        memcpy(at + 8, src.bytes, 16);
        memcpy(at + 24, dst.bytes, 16);
        return at + 40;
    }
    at[0] = 0x45;
    put16(at + 2, (uint32_t)payload + 20);
    at[8] = 64;
    at[9] = protocol;
    memcpy(at + 12, src.bytes, 4);
    memcpy(at + 16, dst.bytes, 4);
    return at + 20;
}

static void finish_checksums(struct world *world, uint8_t *transport, size_t len, uint8_t protocol)
{
    static const struct {
        uint8_t protocol, offset;
    } offsets[] = {{IPPROTO_TCP, 16}, {IPPROTO_UDP, 6}, {IPPROTO_ICMP, 2}, {IPPROTO_ICMPV6, 2}};
    struct peer_addr src = local_addr(world), dst = addr_set_at(&world->peers, 0);
    uint16_t sum;

    if (!world->v6) {
        uint8_t *ip = world->frame + (world->ethernet ? 14 : 0);
        memset(ip + 10, 0, 2);
        sum = checksum_finish(checksum_add(0, ip, (size_t)MAX(ip[0] & 15, 5) * 4));
        memcpy(ip + 10, &sum, 2);
    }
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        if (offsets[i].protocol != protocol)
            continue;
        memset(transport + offsets[i].offset, 0, 2);
        uint64_t total = checksum_add(0, transport, len);
        if (protocol != IPPROTO_ICMP)
            total += checksum_pseudo(&src, &dst, protocol, (uint32_t)len);
        sum = checksum_finish(total);
        memcpy(transport + offsets[i].offset, &sum, 2);
    }
}

static void put_in(struct world *world, size_t len, const struct frame_offload *offload)
{
    struct iovec iov = {world->frame, len};

    fuzz_frames++;
    (void)device_send(world->far, &iov, 1, offload);
}

/* Some bytes of the finished frame change. */
static void mutate(struct world *world, size_t len)
{
    for (int i = next(world) & 7; i > 0 && len; i--) {
        size_t at = next16(world) % len;
        world->frame[at] = (uint8_t)(world->frame[at] ^ next(world));
    }
}

static void send_transport(struct world *world, uint8_t *transport, size_t len, uint8_t protocol)
{
    size_t total = (size_t)(transport - world->frame) + len;
    uint8_t how = next(world);
    struct frame_offload offload = {0};

    if (how & 1) { /* broken headers with right sums get deep */
        mutate(world, total);
        finish_checksums(world, transport, len, protocol);
    } else {
        finish_checksums(world, transport, len, protocol);
        if (how & 2)
            mutate(world, total);
    }
    if (how & 4)
        total = MIN(total, (size_t)next16(world) % (total + 1)); /* cut short */
    put_in(world, total, &offload);
}

static void make_tcp(struct world *world)
{
    uint8_t kind = next(world);
    bool ours = kind & 1;
    size_t options = (size_t)(next(world) % 11) * 4, payload = next16(world) % 1500;
    size_t len = 20 + options + payload;
    uint8_t *tcp = begin(world, IPPROTO_TCP, len);

    put16(tcp, ours ? 80 : next16(world));
    put16(tcp + 2, ours ? world->port : kind & 2 ? 7 : next16(world));
    put32(tcp + 4,
          world->their_seq + (uint32_t)(int32_t)(int16_t)next16(world) * (kind & 4 ? 1 : 0));
    put32(tcp + 8, world->our_seq + (uint32_t)(int32_t)(int16_t)next16(world) * (kind & 8 ? 1 : 0));
    tcp[12] = (uint8_t)((20 + options) / 4 << 4);
    tcp[13] = kind & 16 ? 0x10 : next(world);
    put16(tcp + 14, next16(world));
    for (size_t i = 0; i < options; i++)
        tcp[20 + i] = next(world);
    if (ours && tcp[13] == 0x10 && !(kind & 4))
        world->their_seq += (uint32_t)payload; /* perhaps it was taken */
    send_transport(world, tcp, len, IPPROTO_TCP);
}

static void make_udp(struct world *world)
{
    size_t payload = next16(world) % 1400;
    uint8_t *udp = begin(world, IPPROTO_UDP, payload + 8);

    put16(udp, next16(world));
    put16(udp + 2, next(world) & 1 ? 7 : next16(world));
    put16(udp + 4, (uint32_t)payload + 8);
    send_transport(world, udp, payload + 8, IPPROTO_UDP);
}

static void make_icmp(struct world *world)
{
    uint8_t protocol = world->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    size_t payload = next16(world) % 600;
    uint8_t *icmp = begin(world, protocol, payload + 8);

    icmp[0] = next(world);
    icmp[1] = next(world);
    for (size_t i = 2; i < payload + 8; i++)
        icmp[i] = i < 80 ? next(world) : (uint8_t)i;
    send_transport(world, icmp, payload + 8, protocol);
}

static void make_fragment(struct world *world)
{
    size_t payload = (size_t)(next16(world) % 180) * 8, header = world->v6 ? 8 : 0;
    uint8_t protocol = next(world) & 1 ? IPPROTO_UDP : next(world);
    uint8_t *at = begin(world, world->v6 ? 44 : protocol, payload + header);
    uint16_t offset = (uint16_t)(next16(world) & 0x1fff);

    if (world->v6) {
        at[0] = protocol;
        put16(at + 2, (uint32_t)offset << 3 | (next(world) & 1));
        at[7] = next(world) & 3;
    } else {
        uint8_t *ip = at - 20;
        put16(ip + 4, next(world) & 3);
        put16(ip + 6, (uint32_t)offset | (next(world) & 1 ? 0x2000 : 0));
    }
    send_transport(world, at, payload + header, 0);
}

static void make_raw(struct world *world)
{
    size_t len = next16(world) % 256;
    struct frame_offload offload = {0};

    for (size_t i = 0; i < len; i++)
        world->frame[i] = next(world);
    put_in(world, len, &offload);
}

static void make_neighbour(struct world *world)
{
    struct frame_offload offload = {0};

    if (world->v6 || !world->ethernet) {
        make_icmp(world);
        return;
    }
    struct peer_addr src = local_addr(world), dst = addr_set_at(&world->peers, 0);
    uint8_t *frame = world->frame;
    memset(frame, 0xff, 6);
    memcpy(frame + 6, "\x02\x00\x00\x00\x00\xfe", 6);
    memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
    frame[21] = next(world) & 3;
    memcpy(frame + 22, frame + 6, 6);
    memcpy(frame + 28, src.bytes, 4);
    memset(frame + 32, 0, 6);
    memcpy(frame + 38, dst.bytes, 4);
    if (next(world) & 1)
        mutate(world, 42);
    put_in(world, 42, &offload);
}

static void let_time_pass(struct world *world)
{
    world->now_ns += (uint64_t)next16(world) * NS_PER_MS / 4;
}

/* ---- the world ---- */

/* What the peers sent is read, so that the test knows where the open connection is. */
static void drain(struct world *world)
{
    struct packet packet;

    while (device_recv(world->far, world->buffer) == 1) {
        const uint8_t *data = world->buffer->data;
        if (packet_parse(data, world->buffer->len, world->ethernet ? FRAME_ETHERNET : FRAME_IP,
                         &packet) < 0) {
            fprintf(stderr, "the stack sent a broken frame\n");
            abort();
        }
        if (packet.kind != PACKET_TCP || packet.dst_port != 80)
            continue;
        const uint8_t *tcp = data + packet.transport_at;
        uint32_t seq =
            (uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7];
        world->port = packet.src_port;
        world->our_seq = seq + packet.payload_len + (packet.tcp_flags & 3 ? 1 : 0);
    }
}

static void run(struct world *world)
{
    (void)engine_step(world->engine, world->now_ns);
    drain(world);
    if (engine_flows(world->engine)->count > FLOWS_MAX + 1) {
        fprintf(stderr, "more flows than were accepted\n");
        abort();
    }
}

static void open_connection(struct world *world)
{
    struct stack_tuple tuple = {
        .local = addr_set_at(&world->peers, 0), .remote = local_addr(world), .remote_port = 80};
    struct flow *flow = calloc(1, sizeof(*flow));

    if (!flow)
        return;
    flow_init(flow, engine_flows(world->engine), &ops);
    if (flow_connect(flow, IPPROTO_TCP, &tuple, 0) < 0) {
        flow_free(flow);
        return;
    }
    run(world);
    uint8_t *tcp = begin(world, IPPROTO_TCP, 40); /* SYN and ACK, with the usual options */
    put16(tcp, 80);
    put16(tcp + 2, world->port);
    put32(tcp + 4, world->their_seq++);
    put32(tcp + 8, world->our_seq);
    tcp[12] = 10 << 4;
    tcp[13] = 0x12;
    put16(tcp + 14, 65535);
    memcpy(tcp + 20, "\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\1\0\0\0\0\x01\x03\x03\x07", 20);
    finish_checksums(world, tcp, 40, IPPROTO_TCP);
    struct frame_offload offload = {0};
    put_in(world, (size_t)(tcp - world->frame) + 40, &offload);
    run(world);
}

static bool world_init(struct world *world)
{
    uint8_t choice = next(world);
    struct engine_config config = {.peers = &world->peers,
                                   .seed = 1,
                                   .max_flows = FLOWS_MAX + 1,
                                   .accept = on_accept,
                                   .user = world,
                                   .now_ns = NS_PER_S};
    struct stack_listener *listener;
    struct peer_addr any = {0};

    world->ethernet = choice & 1;
    world->v6 = choice & 2;
    world->now_ns = NS_PER_S;
    world->their_seq = 1000;
    world->mac = (struct peer_mac){{2, 0x50, 0x45, 0, 0, 1}};
    config.first_mac = world->mac;
    link_spec_clear(&config.links[0]);
    link_spec_clear(&config.links[1]);
    if (addr_set_parse(world->v6 ? "2001:2::2-2001:2::9" : "198.18.0.2-198.18.0.9", &world->peers,
                       NULL) < 0)
        return false;
    frame_pool_init(&world->frames);
    if (device_mem_pair(world->ethernet ? FRAME_ETHERNET : FRAME_IP, 1500, choice & 4,
                        FRAMES_HELD_MAX, &config.device, &world->far) < 0 ||
        engine_new(&config, &world->engine) < 0)
        return false;
    world->buffer = frame_get(&world->frames, FRAME_LARGE_BYTES);
    (void)stack_listen(engine_stack(world->engine), IPPROTO_TCP, &any, 7, NULL, &listener);
    (void)stack_listen(engine_stack(world->engine), IPPROTO_UDP, &any, 7, NULL, &listener);
    return true;
}

static void world_done(struct world *world)
{
    engine_free(world->engine);
    device_free(world->far);
    frame_put(world->buffer);
    frame_pool_done(&world->frames);
    addr_set_done(&world->peers);
    if (stack_pool_used()) {
        fprintf(stderr, "lwIP holds %llu elements\n", (unsigned long long)stack_pool_used());
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const makers[])(struct world *) = {
        make_tcp,  make_tcp,      make_tcp,      make_tcp, make_udp,       make_udp,
        make_icmp, make_fragment, make_fragment, make_raw, make_neighbour, let_time_pass};
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        return 0;
    world->data = data;
    world->len = len;
    if (!world_init(world))
        abort();
    open_connection(world);
    while (world->at < world->len) {
        makers[next(world) % ARRAY_SIZE(makers)](world);
        run(world);
    }
    world_done(world);
    free(world);
    return 0;
}
