/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers talk to each other, and the input says what happens to their frames: some are lost, some
 * come twice or late, some come again changed, with right checksums, so that they are believed. So
 * every change meets a stack in a state that real traffic led to: handshakes, gaps, shut windows,
 * closing connections, half-received datagrams.
 *
 * At the end all connections are given up and nothing may be left (simnet_end).
 */
#include "base/macro.h"
#include "base/rng.h"
#include "support/craft.h"
#include "support/simnet.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
extern uint64_t fuzz_frames;
uint64_t fuzz_frames;

enum { MUTANTS = 64, ENDS = 24, MUTANT_BYTES = 2048 };

struct mutant {
    uint8_t bytes[MUTANT_BYTES];
    uint32_t len;
};

struct world {
    const uint8_t *data;
    size_t len, at;
    bool v6, ethernet;
    struct simnet *net;
    struct mutant mutants[MUTANTS];
    uint32_t mutant_count;
    struct rng rng;
};

static uint8_t next(struct world *world)
{
    return world->at < world->len ? world->data[world->at++] : 0;
}

static uint32_t random_below(struct world *world, uint32_t bound)
{
    return (uint32_t)rng_below(&world->rng, bound);
}

/* ---- changes ---- */

static void fix_ip4_sum(uint8_t *ip, size_t len)
{
    size_t header = (size_t)(ip[0] & 15) * 4;

    if (ip[0] >> 4 != 4 || header < 20 || header > len)
        return;
    memset(ip + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, ip, header));
    memcpy(ip + 10, &sum, 2);
}

static void fix_sums(struct mutant *mutant, uint32_t ip_at)
{
    uint8_t *ip = mutant->bytes + ip_at;
    struct packet packet;
    size_t field;

    fix_ip4_sum(ip, mutant->len - ip_at);
    if (packet_parse(ip, mutant->len - ip_at, FRAME_IP, &packet) < 0 || packet.fragment)
        return;
    switch (packet.protocol) {
    case IPPROTO_TCP:
        field = 16;
        break;
    case IPPROTO_UDP:
        field = 6;
        break;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        field = 2;
        break;
    default:
        return;
    }
    size_t len = packet.ip_len - (size_t)packet.transport_at;
    if (packet.transport_at && field + 2 <= len)
        craft_sum(&packet.src, &packet.dst, packet.protocol, ip + packet.transport_at, len, field);
}

static void change_bytes(struct world *world, struct mutant *mutant, uint32_t from, uint32_t to)
{
    for (uint32_t i = 1 + random_below(world, 4); i > 0 && from < to; i--)
        mutant->bytes[from + random_below(world, to - from)] = (uint8_t)rng_next(&world->rng);
}

/* A number goes a little or a lot up or down. */
static void shift_number(struct world *world, uint8_t *at)
{
    static const uint32_t steps[] = {1, 2, 100, 1448, 65535, 0x400000, 0x7fffffff, 0x80000000};
    uint32_t step = steps[random_below(world, ARRAY_SIZE(steps))];

    craft_put32(at, random_below(world, 2) ? craft_get32(at) + step : craft_get32(at) - step);
}

static void change_tcp(struct world *world, struct mutant *mutant, uint32_t tcp_at)
{
    uint8_t *tcp = mutant->bytes + tcp_at;

    switch (random_below(world, 7)) {
    case 0:
        tcp[13] = (uint8_t)rng_next(&world->rng);
        break;
    case 1:
        shift_number(world, tcp + 4);
        break;
    case 2:
        shift_number(world, tcp + 8);
        break;
    case 3:
        craft_put16(tcp + 14,
                    random_below(world, 2) ? random_below(world, 65536) : random_below(world, 3));
        break;
    case 4:
        tcp[12] = (uint8_t)(rng_next(&world->rng) & 0xf0);
        break;
    case 5:
        tcp[13] ^= (uint8_t)(1u << random_below(world, 6));
        break;
    default: /* options */
        change_bytes(world, mutant, tcp_at + 20, MIN(tcp_at + 20 + 40, mutant->len));
    }
}

/* The packet gets shorter; its own length agrees. */
static void cut(struct world *world, struct mutant *mutant, uint32_t ip_at)
{
    uint8_t *ip = mutant->bytes + ip_at;
    uint32_t least = world->v6 ? 40 : 20, len = mutant->len - ip_at;

    if (len <= least)
        return;
    len = least + random_below(world, len - least + 1);
    mutant->len = ip_at + len;
    craft_put16(ip + (world->v6 ? 4 : 2), world->v6 ? len - 40 : len);
}

/* The packet becomes a fragment of something. */
static void make_fragment(struct world *world, struct mutant *mutant, uint32_t ip_at)
{
    static const uint32_t offsets[] = {0, 8, 1480, 1448, 32768, 65472, 65528};
    uint32_t offset = offsets[random_below(world, ARRAY_SIZE(offsets))];
    uint32_t more = random_below(world, 2), id = random_below(world, 4);
    uint8_t *ip = mutant->bytes + ip_at;

    if (!world->v6) {
        craft_put16(ip + 4, id);
        craft_put16(ip + 6, offset / 8 | more << 13);
        return;
    }
    if (mutant->len + 8 > MUTANT_BYTES)
        return;
    memmove(ip + 48, ip + 40, mutant->len - ip_at - 40);
    memset(ip + 40, 0, 8);
    ip[40] = ip[6];
    ip[6] = 44;
    craft_put16(ip + 42, offset | more);
    ip[47] = (uint8_t)id;
    mutant->len += 8;
    craft_put16(ip + 4, mutant->len - ip_at - 40);
}

static void mutate(struct world *world, struct mutant *mutant, const struct packet *packet)
{
    uint32_t ip_at = packet->ip_at;

    if (packet->kind == PACKET_ARP || packet->ip_version == 0) {
        change_bytes(world, mutant, 0, mutant->len);
        return;
    }
    switch (random_below(world, 6)) {
    case 0:
        change_bytes(world, mutant, ip_at, mutant->len);
        break;
    case 1:
        cut(world, mutant, ip_at);
        break;
    case 2:
        make_fragment(world, mutant, ip_at);
        break;
    default:
        if (packet->kind == PACKET_TCP)
            change_tcp(world, mutant, packet->transport_at);
        else
            change_bytes(world, mutant, packet->transport_at, mutant->len);
    }
    if (random_below(world, 8))
        fix_sums(mutant, ip_at);
}

/* ---- the wire ---- */

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct world *world = user;
    uint8_t how = next(world);

    fuzz_frames++;
    if (how >= 128 && frame->len <= MUTANT_BYTES && world->mutant_count < MUTANTS) {
        struct mutant *mutant = &world->mutants[world->mutant_count++];
        struct frame_offload offload = frame->offload;
        memcpy(mutant->bytes, frame->data, frame->len);
        mutant->len = frame->len;
        (void)checksum_complete(mutant->bytes, mutant->len, &offload);
        mutate(world, mutant, &frame->packet);
    }
    if ((how & 15) == 1)
        *delay_ns += NS_PER_MS * (how >> 4);
    return (how & 15) == 2 ? 0 : (how & 15) == 3 ? 2 : 1;
}

static void release_mutants(struct world *world)
{
    /* The answers to these may make more of them. */
    for (uint32_t i = 0; i < world->mutant_count && i < MUTANTS; i++) {
        struct mutant mutant = world->mutants[i];
        fuzz_frames++;
        simnet_put(world->net, mutant.bytes, mutant.len, NULL);
    }
    world->mutant_count = 0;
}

/* ---- what the peers do ---- */

static void open_end(struct world *world, uint8_t how)
{
    static const uint16_t ports[] = {80, 80, 81, 82};
    bool udp = how % 8 == 7;
    const char *from = world->v6 ? "2001:2::2" : "198.18.0.2";
    const char *to = world->v6 ? "2001:2::3" : "198.18.0.3";
    struct end *end = end_connect(world->net, udp ? IPPROTO_UDP : IPPROTO_TCP, from, 0, to,
                                  udp ? 53 : ports[how % 4]);

    if (!end)
        return;
    end->drop_when_ended = true;
    end->to_send = (uint64_t)how * how * 4;
    end->write_most = udp ? 1 + how * 20u : how & 16 ? 100 : 0;
    end->shut_when_sent = how & 32;
    end->close_when_done = how & 64;
    end_pump(end);
}

static void set_up(struct world *world)
{
    uint8_t choice = next(world);
    uint64_t seed = 0;

    for (int i = 0; i < 8; i++)
        seed = seed << 8 | next(world);
    rng_seed(&world->rng, seed);
    world->v6 = choice & 1;
    world->ethernet = !world->v6 && choice & 2; /* peers find each other by ARP only */
    struct simnet_config config = {.peers =
                                       world->v6 ? "2001:2::2-2001:2::9" : "198.18.0.2-198.18.0.9",
                                   .layer = world->ethernet ? FRAME_ETHERNET : FRAME_IP,
                                   .offload = choice & 4,
                                   .seed = 1,
                                   .max_flows = ENDS,
                                   .fate = fate,
                                   .user = world};
    struct end echo = {.echo = true, .close_when_done = true, .drop_when_ended = true};
    struct end rests = {.read_most = SIZE_MAX, .drop_when_ended = true};
    struct end sends = {.to_send = 1 << 20, .shut_when_sent = true, .drop_when_ended = true};
    world->net = simnet_new(&config);
    simnet_listen(world->net, IPPROTO_TCP, 80, &echo);
    simnet_listen(world->net, IPPROTO_TCP, 81, &rests);
    simnet_listen(world->net, IPPROTO_TCP, 82, &sends);
    simnet_listen(world->net, IPPROTO_UDP, 53, &echo);
}

static void check_bounds(struct world *world)
{
    if (engine_flows(simnet_engine(world->net))->count > ENDS || stack_pool_used() > 200000) {
        fprintf(stderr, "too much is held: %llu\n", (unsigned long long)stack_pool_used());
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        return 0;
    world->data = data;
    world->len = MIN(len, (size_t)4096);
    set_up(world);
    while (world->at < world->len) {
        uint8_t what = next(world);
        if (what < 40)
            open_end(world, next(world));
        else if (what < 48)
            simnet_run_for(world->net, next(world) * NS_PER_S);
        else
            simnet_run_for(world->net, (uint64_t)what * NS_PER_MS / 32);
        release_mutants(world);
        simnet_forget(world->net);
        check_bounds(world);
    }
    simnet_end(world->net);
    free(world);
    return 0;
}
