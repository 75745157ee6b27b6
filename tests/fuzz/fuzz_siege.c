/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A listener under siege: SYN cookies, who is heard, and what is kept. First so many callers desert
 * that the pressure is there; then the input says what comes: calls with any options, some of them
 * twice, acknowledgements of what was answered (right, or a bit off), with options and bytes, resets,
 * pieces, errors that quote the peer's own words, time.
 *
 * What must hold: no crash, bounds, nothing left at the end (simnet_end).
 */
#include "base/macro.h"
#include "support/craft.h"
#include "support/simnet.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
extern uint64_t fuzz_frames;
uint64_t fuzz_frames;

enum { DESERTERS = 256, CALLERS = 16, TCP_FIELDS = 20, OPTIONS_MAX = 40, PAYLOAD_MAX = 64 };
enum { SYN = 2, RST = 4, ACK = 16, KEPT_MOST = 32 << 20 };

/* As far as the last answer to it went. */
struct caller {
    uint16_t port;
    uint32_t seq, ack;
    uint8_t answer[128];
    uint32_t answer_len;
};

struct world {
    const uint8_t *data;
    size_t len, at;
    struct simnet *net;
    struct peer_addr peer, app;
    struct caller callers[CALLERS];
};

static uint8_t next(struct world *world)
{
    return world->at < world->len ? world->data[world->at++] : 0;
}

static void take_answers(struct world *world)
{
    struct simnet_frame frame;

    while (simnet_take(world->net, &frame)) {
        struct craft_tcp tcp;
        if (frame.packet.protocol != IPPROTO_TCP || frame.packet.fragment ||
            !craft_see_tcp(frame.data, &frame.packet, &tcp))
            continue;
        struct caller *caller = &world->callers[tcp.dst_port % CALLERS];
        caller->ack = tcp.seq + !!(tcp.flags & SYN);
        caller->answer_len = (uint32_t)MIN(frame.len, sizeof(caller->answer));
        memcpy(caller->answer, frame.data, caller->answer_len);
    }
}

static void put_frame(struct world *world, const struct crafted *frame)
{
    simnet_put(world->net, frame->bytes, frame->len, NULL);
    fuzz_frames++;
    take_answers(world);
}

/* A segment of the caller's, with options and payload as the input has them. */
static void make_segment(struct world *world, const struct caller *caller, uint8_t flags,
                         uint32_t seq, uint32_t ack, struct crafted *out)
{
    uint32_t options = next(world) % (OPTIONS_MAX / 4 + 1) * 4;
    uint32_t payload = flags & SYN ? 0 : next(world) % PAYLOAD_MAX;
    size_t len = TCP_FIELDS + options + payload;
    uint8_t *tcp = craft_ip(out, &world->app, &world->peer, IPPROTO_TCP, len);

    memset(tcp, 0, TCP_FIELDS);
    craft_put16(tcp, caller->port);
    craft_put16(tcp + 2, 80);
    craft_put32(tcp + 4, seq);
    craft_put32(tcp + 8, ack);
    tcp[12] = (uint8_t)((TCP_FIELDS + options) / 4 << 4);
    tcp[13] = flags;
    craft_put16(tcp + 14, (uint32_t)next(world) << 8);
    for (uint32_t i = 0; i < options + payload; i++)
        tcp[TCP_FIELDS + i] = next(world);
    craft_sum(&world->app, &world->peer, IPPROTO_TCP, tcp, len, 16);
}

static struct caller *any_caller(struct world *world)
{
    return &world->callers[next(world) % CALLERS];
}

static void do_call(struct world *world)
{
    struct caller *caller = any_caller(world);
    struct crafted frame;

    make_segment(world, caller, SYN, caller->seq, 0, &frame);
    put_frame(world, &frame);
}

static void do_acknowledge(struct world *world)
{
    struct caller *caller = any_caller(world);
    uint8_t bit = next(world);
    struct crafted frame;

    make_segment(world, caller, ACK, caller->seq + 1,
                 bit < 224 ? caller->ack : caller->ack ^ UINT32_C(1) << bit % 32, &frame);
    put_frame(world, &frame);
}

static void do_reset(struct world *world)
{
    struct caller *caller = any_caller(world);
    struct crafted frame;

    make_segment(world, caller, RST, caller->seq + 1, 0, &frame);
    put_frame(world, &frame);
    caller->seq += next(world); /* who calls again */
}

static void do_piece(struct world *world)
{
    struct caller *caller = any_caller(world);
    struct crafted whole, piece;

    make_segment(world, caller, next(world) & 1 ? SYN : ACK, caller->seq, caller->ack, &whole);
    if (world->peer.family == 6)
        return;
    uint32_t from = next(world) % 8 * 8u, most = (uint32_t)whole.len - 20;
    if (from >= most)
        return;
    craft_fragment(&piece, &whole, from, from + 8 + next(world));
    put_frame(world, &piece);
}

static void do_error(struct world *world)
{
    const struct caller *caller = any_caller(world);
    bool v6 = world->peer.family == 6;
    struct crafted frame;

    craft_icmp_frame(&frame, &world->app, &world->peer, v6 ? 2 : 3, v6 ? 0 : next(world) % 16,
                     (uint32_t)next(world) << 4, caller->answer, caller->answer_len);
    put_frame(world, &frame);
}

static void do_wait(struct world *world)
{
    simnet_run_for(world->net, NS_PER_MS << next(world) % 16);
    take_answers(world);
}

/* So many that calls are under pressure from now on. */
static void desert(struct world *world)
{
    struct craft_tcp syn = {.src = world->app,
                            .dst = world->peer,
                            .dst_port = 80,
                            .flags = SYN,
                            .seq = 1000,
                            .window = 512,
                            .mss = 1460};

    for (uint32_t i = 0; i < DESERTERS; i++) {
        struct crafted frame;
        struct craft_tcp reset = syn;
        syn.src_port = reset.src_port = (uint16_t)(2000 + i);
        craft_tcp_frame(&frame, &syn);
        put_frame(world, &frame);
        reset.flags = RST;
        reset.seq++;
        reset.mss = 0;
        craft_tcp_frame(&frame, &reset);
        put_frame(world, &frame);
    }
}

static void check_bounds(const struct world *world)
{
    struct stack_stats stats;

    stack_get_stats(simnet_stack(world->net), &stats);
    if (stats.conns > CALLERS + 1 || stats.held_bytes > KEPT_MOST || stats.piece_bytes > KEPT_MOST ||
        stats.queued_bytes > KEPT_MOST)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const steps[])(struct world *) = {do_call,  do_call,  do_acknowledge,
                                                    do_acknowledge, do_reset, do_piece,
                                                    do_error, do_wait};
    struct world world = {.data = data, .len = len};
    bool v6 = next(&world) & 1;
    struct simnet_config config = {.peers = v6 ? "2001:2::2" : "198.18.0.2", .seed = 1};
    struct end like = {.echo = true, .drop_when_ended = true};

    world.net = simnet_new(&config);
    world.peer = simnet_addr(config.peers);
    world.app = simnet_addr(v6 ? "2001:db8::1" : "192.0.2.1");
    for (uint16_t i = 0; i < CALLERS; i++)
        world.callers[i] = (struct caller){.port = (uint16_t)(4000 + i), .seq = 5000u * i};
    simnet_listen(world.net, IPPROTO_TCP, 80, &like);
    desert(&world);
    while (world.at < world.len)
        steps[next(&world) % ARRAY_SIZE(steps)](&world);
    check_bounds(&world);
    simnet_end(world.net);
    return 0;
}
