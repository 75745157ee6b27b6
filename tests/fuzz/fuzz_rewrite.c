/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table of address translation, and steps: packets out and in, made by hand or of arbitrary bytes,
 * answers to what left, ICMP errors about it, fragments, passing time, flows that roam or are
 * forgotten. The first two bytes choose the table; each step is a byte and what it needs.
 *
 * What must hold: what was refused is unchanged; checksums that were right are right; what left is
 * from a peer of its side; there are never more flows than the table may have, and each that began
 * ends.
 */
#include "support/craft.h"

#include "base/macro.h"
#include "rewrite/rewrite.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
extern uint64_t fuzz_frames;

uint64_t fuzz_frames;

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { FLOWS_KEPT = 32 };

struct input {
    const uint8_t *at;
    size_t left;
};

static struct {
    struct addr_set peers;
    struct timers timers;
    struct rewrite *rewrite;
    struct rewrite_side sides[2];
    unsigned side_count;
    bool v6;
    uint64_t now_ns, max_flows, live;
    struct rewrite_flow *flows[FLOWS_KEPT]; /* some of those alive */
} world;

static struct crafted packet, before, copy, left; /* `left` is the latest that went out */

static uint8_t take(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* ---- the owner ---- */

static bool allowed(void *user, const struct peer_addr *to)
{
    (void)user;
    MUST(to->family == (world.v6 ? 6 : 4));
    return to->bytes[world.v6 ? 15 : 3] != 13;
}

static void begun(void *user, struct rewrite_flow *flow)
{
    struct peer_addr peer = rewrite_addr(flow, flow->peer);

    (void)user;
    MUST(addr_set_find(&world.peers, &peer) == flow->peer_index);
    MUST(++world.live <= world.max_flows);
    flow->user = &world;
    world.flows[flow->inside_port % FLOWS_KEPT] = flow;
}

static void ended(void *user, struct rewrite_flow *flow)
{
    (void)user;
    MUST(flow->user == &world);
    world.live--;
    for (int i = 0; i < FLOWS_KEPT; i++) {
        if (world.flows[i] == flow)
            world.flows[i] = NULL;
    }
}

static void late(void *user, struct rewrite_flow *flow, uint8_t *packet_late, size_t len)
{
    struct packet parsed;
    struct peer_addr inside = rewrite_addr(flow, flow->inside);

    (void)user;
    MUST(packet_parse(packet_late, len, FRAME_IP, &parsed) == 0 && parsed.fragment);
    MUST(peer_addr_equal(&inside, &parsed.dst));
}

static void begin(struct input *input)
{
    uint8_t choice = take(input);
    world.side_count = choice & 2 ? 2 : 1;
    const char *peers[] = {"198.18.0.1-198.18.0.4", "2001:db8:7::1-2001:db8:7::4"};
    struct rewrite_config config = {.peers = &world.peers,
                                    .sides = world.sides,
                                    .side_count = world.side_count,
                                    .spread = (enum rewrite_spread)((choice >> 2) % 3),
                                    .timers = &world.timers,
                                    .seed = 5,
                                    .allowed = allowed,
                                    .begun = begun,
                                    .ended = ended,
                                    .late = late};

    world.v6 = choice & 1;
    world.now_ns = world.live = 0;
    world.max_flows = config.max_flows = take(input) % 24 + 1;
    MUST(addr_set_parse(peers[world.v6], &world.peers, NULL) == 0);
    world.sides[0] = (struct rewrite_side){0, 3};
    world.sides[1] = (struct rewrite_side){3, 1};
    if (choice & 0x40)
        MUST(peer_addr_parse(world.v6 ? "2001:db8::1" : "192.0.2.1", &config.localhost) == 0);
    memset(world.flows, 0, sizeof(world.flows));
    timers_init(&world.timers);
    MUST(rewrite_new(&config, &world.rewrite) == 0);
}

static void end(void)
{
    rewrite_free(world.rewrite);
    MUST(world.live == 0 && world.timers.count == 0);
    timers_done(&world.timers);
    addr_set_done(&world.peers);
}

/* ---- packets ---- */

static bool sums_right(const struct frame_offload *offload)
{
    struct frame_offload rest = *offload;
    struct packet parsed;

    memcpy(copy.bytes, packet.bytes, packet.len);
    if (checksum_complete(copy.bytes, packet.len, &rest) < 0)
        return false;
    (void)packet_parse(copy.bytes, packet.len, FRAME_IP, &parsed);
    return checksum_verify(copy.bytes, packet.len, &parsed);
}

static void look_at(unsigned side, bool outward, const struct rewrite_flow *flow)
{
    struct packet parsed;

    MUST(packet_parse(packet.bytes, packet.len, FRAME_IP, &parsed) == 0);
    if (outward) {
        int64_t at = addr_set_find(&world.peers, &parsed.src);
        MUST(at == flow->peer_index && flow->side == side);
        MUST((uint64_t)at - world.sides[side].first < world.sides[side].count);
        left = packet;
    } else {
        struct peer_addr inside = rewrite_addr(flow, flow->inside);
        MUST(peer_addr_equal(&inside, &parsed.dst));
    }
}

static void move(unsigned side, bool outward, struct frame_offload *offload)
{
    struct rewrite_packet frame = {packet.bytes, packet.len, offload, 0};
    struct rewrite_flow *flow = NULL;
    bool right = sums_right(offload);
    struct rewrite_stats stats;

    fuzz_frames++;
    memcpy(before.bytes, packet.bytes, packet.len);
    int status = outward ? rewrite_out(world.rewrite, side, &frame, world.now_ns, &flow)
                         : rewrite_in(world.rewrite, &frame, world.now_ns, &flow);
    MUST(status <= 0 && (status == 0) == (flow != NULL));
    if (status < 0)
        MUST(memcmp(before.bytes, packet.bytes, packet.len) == 0);
    else
        look_at(side, outward, flow);
    MUST(status < 0 || !right || sums_right(offload));
    rewrite_get_stats(world.rewrite, &stats);
    MUST(stats.flows == world.live && stats.flows <= world.max_flows);
}

static void prohibit(struct input *input)
{
    size_t room = (size_t)take(input) * 8, len;
    uint8_t answer[2048];

    len = rewrite_prohibit(packet.bytes, packet.len, answer, room);
    MUST(len <= room && len <= 1280);
    if (len == 0)
        return;
    memcpy(packet.bytes, answer, len);
    packet.len = len;
    MUST(sums_right(&(struct frame_offload){0}));
}

/* Addresses of few: peers, targets, groups, loopback. */
static struct peer_addr draw_addr(uint8_t choice)
{
    static const char *const all[2][8] = {
        {"198.18.0.1", "198.18.0.2", "198.18.0.3", "192.0.2.1", "192.0.2.13", "192.0.2.2",
         "127.0.0.1", "224.0.0.1"},
        {"2001:db8:7::1", "2001:db8:7::2", "2001:db8:7::3", "2001:db8::1", "2001:db8::d",
         "2001:db8::2", "::1", "ff02::1"},
    };
    struct peer_addr result;

    MUST(peer_addr_parse(all[world.v6][choice % 8], &result) == 0);
    return result;
}

static void make(struct input *input)
{
    static const uint8_t payload[64];
    uint8_t what = take(input), ports = take(input), ends = take(input);
    struct peer_addr src = draw_addr(ends), dst = draw_addr(ends >> 4);
    uint16_t src_port = (uint16_t)(40000 + ports % 16), dst_port = (uint16_t)(80 + ports / 64);
    size_t len = what >> 2;

    if ((what & 3) < 2) {
        struct craft_tcp tcp = {.src = src,
                                .dst = dst,
                                .src_port = src_port,
                                .dst_port = dst_port,
                                .flags = take(input) & 0x1f,
                                .payload = payload,
                                .payload_len = (uint32_t)len};
        craft_tcp_frame(&packet, &tcp);
    } else if ((what & 3) == 2) {
        craft_udp_frame(&packet, &src, src_port, &dst, dst_port, payload, len);
    } else {
        uint8_t type = take(input) & 1 ? (world.v6 ? 129 : 0) : (world.v6 ? 128 : 8);
        craft_icmp_frame(&packet, &src, &dst, type, 0, (uint32_t)src_port << 16, payload, len);
    }
}

static void make_raw(struct input *input)
{
    size_t len = take(input) * 2u;

    len = MIN(len, input->left);
    memcpy(packet.bytes, input->at, len);
    packet.len = len;
    input->at += len;
    input->left -= len;
}

/* From the other end of what left last, with its flags. */
static void make_answer(struct input *input)
{
    static const uint8_t payload[40];
    struct packet parsed;
    uint8_t choice = take(input);

    if (left.len == 0 || packet_parse(left.bytes, left.len, FRAME_IP, &parsed) < 0)
        return;
    if (parsed.kind == PACKET_TCP) {
        struct craft_tcp tcp = {.src = parsed.dst,
                                .dst = parsed.src,
                                .src_port = parsed.dst_port,
                                .dst_port = parsed.src_port,
                                .flags = choice & 0x1f};
        craft_tcp_frame(&packet, &tcp);
    } else if (parsed.kind == PACKET_UDP) {
        craft_udp_frame(&packet, &parsed.dst, parsed.dst_port, &parsed.src, parsed.src_port, NULL,
                        0);
    } else if (parsed.kind == PACKET_ICMP) {
        uint32_t rest = craft_get32(left.bytes + parsed.transport_at + 4);
        craft_icmp_frame(&packet, &parsed.dst, &parsed.src, world.v6 ? 129 : 0, 0, rest, payload,
                         sizeof(payload));
    }
}

/* An error about what is at hand, or about what left last. */
static void make_error(struct input *input, bool outward)
{
    uint8_t choice = take(input);
    const struct crafted *about = outward ? &packet : &left;
    struct peer_addr from = draw_addr(choice);
    struct packet parsed;

    (void)packet_parse(about->bytes, about->len, FRAME_IP, &parsed);
    if (parsed.ip_version == 0)
        return;
    size_t quoted = take(input) * 2u;
    copy = *about;
    craft_icmp_frame(&packet, &from, &parsed.src, world.v6 ? 1 + choice / 64 : 3, 0, 0, copy.bytes,
                     MIN(copy.len, quoted));
}

static void make_fragment6(uint32_t from, uint32_t len)
{
    if (packet.len < 40 || packet.bytes[0] != 0x60 || from + 40 > packet.len)
        return;
    copy = packet;
    uint8_t *header = packet.bytes + 40;
    len = MIN(len, (uint32_t)copy.len - 40 - from);
    header[0] = packet.bytes[6];
    header[1] = 0;
    packet.bytes[6] = IPPROTO_FRAGMENT;
    craft_put16(header + 2, from | (from + len < copy.len - 40));
    craft_put32(header + 4, 1);
    memcpy(header + 8, copy.bytes + 40 + from, len);
    craft_put16(packet.bytes + 4, len + 8);
    packet.len = 48 + len;
}

static void make_fragment(struct input *input)
{
    uint32_t from = take(input) % 8 * 8u, len = take(input) % 8 * 8u;

    if (world.v6) {
        make_fragment6(from, len);
        return;
    }
    if (packet.len < 20 || packet.bytes[0] != 0x45 || from + 20 > packet.len)
        return;
    copy = packet;
    craft_fragment(&packet, &copy, from, from + len);
}

static void damage(struct input *input)
{
    size_t at = take(input);

    if (packet.len == 0)
        return;
    packet.bytes[at % packet.len] ^= take(input);
    if (at & 0x80)
        packet.len = at % packet.len;
}

/* As the kernel would hand it over: the checksum is to be made. */
static struct frame_offload draw_offload(struct input *input, uint8_t step)
{
    struct frame_offload offload = {0};
    struct packet parsed;

    if (!(step & 0x20))
        return offload;
    (void)packet_parse(packet.bytes, packet.len, FRAME_IP, &parsed);
    offload = (struct frame_offload){.flags = FRAME_NEEDS_CSUM,
                                     .csum_start = parsed.transport_at,
                                     .csum_offset = parsed.kind == PACKET_TCP   ? 16
                                                    : parsed.kind == PACKET_UDP ? 6
                                                                                : 2};
    if (step & 0x10) {
        offload.csum_start = take(input);
    } else if (parsed.kind == PACKET_TCP || parsed.kind == PACKET_UDP) {
        uint16_t sum = (uint16_t)~checksum_finish(checksum_pseudo(
            &parsed.src, &parsed.dst, parsed.protocol, parsed.ip_len - parsed.transport_at));
        memcpy(packet.bytes + offload.csum_start + offload.csum_offset, &sum, 2);
    }
    return offload;
}

static void one_step(struct input *input)
{
    uint8_t step = take(input);
    struct rewrite_flow *flow = world.flows[(step >> 3) % FLOWS_KEPT];
    bool outward = step & 8;

    switch (step & 7) {
    case 0:
        world.now_ns += NS_PER_MS << (step >> 3) % 24;
        timers_run(&world.timers, world.now_ns, 10);
        return;
    case 1:
        make_raw(input);
        break;
    case 2:
        make_answer(input);
        outward = false;
        break;
    case 3:
        make_error(input, outward);
        break;
    case 4:
        if (!outward)
            make_answer(input);
        make_fragment(input);
        break;
    case 5:
        damage(input);
        break;
    case 6:
        if (flow && take(input) & 1)
            rewrite_forget(world.rewrite, flow);
        else if (flow)
            MUST(rewrite_roam(world.rewrite, flow, world.now_ns) <= 0);
        else
            prohibit(input);
        return;
    default:
        make(input);
        break;
    }
    struct frame_offload offload = draw_offload(input, step);
    move((step >> 6) % world.side_count, outward, &offload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};

    packet.len = left.len = 0;
    begin(&input);
    while (input.left)
        one_step(&input);
    end();
    return 0;
}
