/* SPDX-License-Identifier: BSD-3-Clause */
/* The choice of a queue, run by an interpreter of the few instructions that it is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "base/rng.h"
#include "base/shard.h"
#include "kernel/netlink/steer.h"

#include <errno.h>

/* ---- the interpreter ---- */

struct machine {
    uint64_t r[11];
    const uint8_t *packet;
    size_t len;
};

/* False: the packet is too short, which ends the program with 0. */
static bool load(struct machine *machine, const struct bpf_insn *insn)
{
    const size_t bytes = BPF_SIZE(insn->code) == BPF_W ? 4 : BPF_SIZE(insn->code) == BPF_H ? 2 : 1;
    const size_t at = (size_t)insn->imm;

    for (int i = 1; i <= 5; i++)
        machine->r[i] = 0xdead; /* as the kernel says */
    machine->r[0] = 0;
    if (at + bytes > machine->len)
        return false;
    for (size_t i = 0; i < bytes; i++)
        machine->r[0] = machine->r[0] << 8 | machine->packet[at + i];
    return true;
}

static bool jumps(const struct machine *machine, const struct bpf_insn *insn)
{
    const uint64_t a = machine->r[insn->dst_reg];
    const uint64_t b = BPF_SRC(insn->code) == BPF_X ? machine->r[insn->src_reg]
                                                     : (uint64_t)(int64_t)insn->imm;

    switch (BPF_OP(insn->code)) {
    case BPF_JA:
        return true;
    case BPF_JGT:
        return a > b;
    case BPF_JGE:
        return a >= b;
    case BPF_JLT:
        return a < b;
    case BPF_JNE:
        return a != b;
    default:
        fail_msg("jump %#x", insn->code);
        return false;
    }
}

static void work(struct machine *machine, const struct bpf_insn *insn)
{
    const uint64_t b = BPF_SRC(insn->code) == BPF_X ? machine->r[insn->src_reg]
                                                     : (uint64_t)(int64_t)insn->imm;
    uint64_t *a = &machine->r[insn->dst_reg];

    switch (BPF_OP(insn->code)) {
    case BPF_MOV:
        *a = b;
        break;
    case BPF_LSH:
        *a <<= b;
        break;
    case BPF_OR:
        *a |= b;
        break;
    default:
        fail_msg("operation %#x", insn->code);
    }
}

static uint64_t run(const struct steer *steer, const uint8_t *packet, size_t len)
{
    struct machine machine = {.packet = packet, .len = len};

    for (size_t at = 0; at < steer->count; at++) {
        const struct bpf_insn *insn = &steer->code[at];
        if (insn->code == (BPF_JMP | BPF_EXIT))
            return machine.r[0];
        if (insn->code == (BPF_LD | BPF_IMM | BPF_DW)) {
            machine.r[insn->dst_reg] =
                (uint64_t)(uint32_t)insn->imm | (uint64_t)(uint32_t)insn[1].imm << 32;
            at++;
        } else if (BPF_CLASS(insn->code) == BPF_LD) {
            if (!load(&machine, insn))
                return 0;
        } else if (BPF_CLASS(insn->code) == BPF_JMP) {
            if (jumps(&machine, insn))
                at += (size_t)insn->off;
        } else {
            assert_int_equal(BPF_CLASS(insn->code), BPF_ALU64);
            work(&machine, insn);
        }
    }
    fail_msg("the program has no end");
    return 0;
}

/* ---- packets ---- */

enum { PACKET = 80 };
enum kind { KIND_IP, KIND_ETHERNET, KIND_REQUEST }; /* whose target is asked for */

static size_t make(uint8_t packet[PACKET], enum kind kind, const struct peer_addr *to)
{
    const size_t ip = kind == KIND_IP ? 0 : 14, bytes = to->family == 6 ? 16 : 4;
    size_t at = ip + (to->family == 6 ? 24 : 16);

    memset(packet, 0x5a, PACKET);
    packet[ip] = to->family == 6 ? 0x60 : 0x45;
    packet[ip + 6] = 6;
    if (kind != KIND_IP)
        memcpy(packet + 12, to->family == 6 ? "\x86\xdd" : "\x08\x00", 2);
    if (kind == KIND_REQUEST && to->family == 6) {
        packet[ip + 6] = 58;
        packet[ip + 40] = 135;
        at = ip + 48;
    } else if (kind == KIND_REQUEST) {
        memcpy(packet + 12, "\x08\x06", 2);
        at = ip + 24;
    }
    memcpy(packet + at, to->bytes, bytes);
    return at + bytes;
}

/* Every peer, or many of many, in each way that it may be asked for. */
static void check(const char *text, unsigned queues)
{
    struct addr_set peers;
    struct steer steers[2];
    uint8_t packet[PACKET];

    assert_int_equal(addr_set_parse(text, &peers, NULL), 0);
    for (int tap = 0; tap < 2; tap++)
        assert_int_equal(steer_build(&peers, tap, queues, &steers[tap]), 0);
    const uint64_t step = peers.count > 3000 ? peers.count / 3000 + 1 : 1;
    for (uint64_t i = 0; i < peers.count; i += step) {
        const struct peer_addr addr = addr_set_at(&peers, i);
        const uint64_t queue = shard_of(peers.count, i, queues);
        for (enum kind kind = KIND_IP; kind <= KIND_REQUEST; kind++) {
            const size_t len = make(packet, kind, &addr);
            const struct steer *steer = &steers[kind != KIND_IP];
            assert_int_equal(run(steer, packet, len), queue);
            assert_int_equal(run(steer, packet, len - 1), 0); /* what is cut off is anybody's */
        }
    }
    for (int tap = 0; tap < 2; tap++)
        steer_done(&steers[tap]);
    addr_set_done(&peers);
}

static void each_peer_has_its_queue(void **state)
{
    static const char *const sets[] = {
        "198.18.0.0/16",
        "198.18.0.1-198.18.0.128",
        "1.1.0.0-1.1.200.255,200.1.1.1-200.1.3.3",
        "223.0.0.0/9,1.0.0.0/8",
        "10.9.0.9,10.0.0.3,10.7.0.0/24,10.0.0.4,10.8.0.1-10.8.3.1",
        "2001:2::/112",
        "2001:2::ffff:ffff:ffff:fff0-2001:2:0:1::2f",
        "2001:db8:ffff::1-2001:db8:ffff::ffff,2001:2::/120,fd00::7-fd00::ff",
        "8000::/100,7fff:ffff:ffff:ffff:ffff:ffff:ffff:ff00-7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        static const unsigned counts[] = {2, 3, 4, 8, 64, 128};
        for (size_t j = 0; j < ARRAY_SIZE(counts); j++)
            check(sets[i], counts[j]);
    }
}

static void other_protocols_go_anywhere(void **state)
{
    const uint8_t packet[PACKET] = {[12] = 0x88, [13] = 0xcc};
    struct addr_set peers;
    struct steer steer;

    (void)state;
    assert_int_equal(addr_set_parse("198.18.0.0/24", &peers, NULL), 0);
    assert_int_equal(steer_build(&peers, true, 4, &steer), 0);
    assert_int_equal(run(&steer, packet, sizeof(packet)), 0);
    assert_int_equal(run(&steer, packet, 0), 0);
    steer_done(&steer);
    addr_set_done(&peers);
}

/* Each second address, one queue after the other: more segments than a program may have. */
static void too_many_ranges_are_refused(void **state)
{
    enum { RANGES = 2000, ROOM = RANGES * 16 };
    static char text[ROOM];
    struct addr_set peers;
    struct steer steer;
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < RANGES; i++) {
        /* The order of the text is not that of the addresses: neighbours are of different queues. */
        const unsigned n = i * 127 % RANGES * 2;
        len += (size_t)snprintf(text + len, ROOM - len, "%s10.0.%u.%u", i ? "," : "", n / 256, n % 256);
    }
    assert_int_equal(addr_set_parse(text, &peers, NULL), 0);
    assert_int_equal(steer_build(&peers, false, 128, &steer), -E2BIG);
    addr_set_done(&peers);
}

static void parts_are_found_again(void **state)
{
    struct rng rng;

    (void)state;
    rng_derive(&rng, 1, RNG_SHARDS);
    for (int i = 0; i < 20000; i++) {
        const uint64_t shards = 1 + rng_next(&rng) % 130, total = shards + rng_next(&rng) % 100000;
        const uint64_t index = rng_next(&rng) % total, shard = shard_of(total, index, shards);
        uint64_t turns = 0;
        assert_true(shard < shards && shard_begin(total, shard, shards) <= index &&
                    index < shard_begin(total, shard + 1, shards));
        for (uint64_t j = 0; j < shards; j++)
            turns += shard_turns(total, j, shards);
        assert_int_equal(turns, total);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_peer_has_its_queue),
        cmocka_unit_test(other_protocols_go_anywhere),
        cmocka_unit_test(too_many_ranges_are_refused),
        cmocka_unit_test(parts_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
