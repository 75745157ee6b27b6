/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the peers by address are segments, each of one queue; between two of them are
 * addresses of nobody, which may go anywhere, so where a segment begins is all that matters. The program
 * loads the destination and finds the last beginning that is no higher, by a tree of comparisons: seven
 * for a hundred queues. A packet that is too short for a load ends it with 0.
 *
 *   r6  the packet, for loads     r7  the address, of IPv6 its upper half     r8  the lower half
 */
#include "kernel/netlink/steer.h"

#include "base/macro.h"
#include "base/shard.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/if_tun.h>

/* Before Linux 5.2, and for users without privileges, a program has 4096 instructions. */
enum { SEGMENTS_MAX = 300, CODE_MAX = 4096 };
enum {
    ETHERNET = 14,
    TYPE_AT = 12,
    TYPE_ARP = 0x0806,
    TYPE_V4 = 0x0800,
    TYPE_V6 = 0x86dd,
    ARP_TARGET_AT = ETHERNET + 24,
    V4_TARGET_AT = 16,
    V6_TARGET_AT = 24,
    V6_NEXT_AT = ETHERNET + 6,
    ND_TYPE_AT = ETHERNET + 40,
    ND_TARGET_AT = ETHERNET + 48,
    ND_SOLICITATION = 135,
    NEXT_ICMP6 = 58,
};

struct segment {
    uint64_t high, low; /* of its first address; of IPv4 `high` */
    unsigned queue;
};

struct build {
    struct bpf_insn code[CODE_MAX];
    size_t count;
    struct segment segments[SEGMENTS_MAX];
    size_t segment_count;
    bool v6;
};

/* ---- segments ---- */

static struct segment segment_at(const struct peer_addr *addr, unsigned queue)
{
    struct segment segment = {.queue = queue};
    const unsigned words = addr->family == 6 ? 8 : 4;

    for (unsigned i = 0; i < words; i++) {
        segment.high = segment.high << 8 | addr->bytes[i];
        segment.low = addr->family == 6 ? segment.low << 8 | addr->bytes[8 + i] : 0;
    }
    return segment;
}

static int add_segment(struct build *build, const struct addr_set *peers, uint64_t index,
                       unsigned queue)
{
    const struct peer_addr addr = addr_set_at(peers, index);

    if (build->segment_count && build->segments[build->segment_count - 1].queue == queue)
        return 0;
    if (build->segment_count == SEGMENTS_MAX)
        return -E2BIG;
    build->segments[build->segment_count++] = segment_at(&addr, queue);
    return 0;
}

static int add_range(struct build *build, const struct addr_set *peers,
                     const struct addr_range *range, uint64_t end, unsigned queues)
{
    for (uint64_t index = range->base; index < end;) {
        const uint64_t queue = shard_of(peers->count, index, queues);
        const int status = add_segment(build, peers, index, (unsigned)queue);
        if (status < 0)
            return status;
        index = shard_begin(peers->count, queue + 1, queues);
    }
    return 0;
}

/* Ranges in the order of their addresses; each ends where the next one of the text begins. */
static int add_ranges(struct build *build, const struct addr_set *peers, unsigned queues)
{
    const struct addr_range *ranges = peers->sorted ? peers->sorted : peers->ranges;
    int status = 0;

    for (size_t i = 0; i < peers->range_count && status == 0; i++) {
        uint64_t end = peers->count;
        for (size_t j = 0; j < peers->range_count; j++) {
            if (peers->ranges[j].base > ranges[i].base)
                end = MIN(end, peers->ranges[j].base);
        }
        status = add_range(build, peers, &ranges[i], end, queues);
    }
    return status;
}

/* ---- instructions ---- */

static void emit(struct build *build, struct bpf_insn insn)
{
    assert(build->count < CODE_MAX); /* SEGMENTS_MAX sees to it */
    build->code[build->count++] = insn;
}

static void emit_load(struct build *build, uint8_t size, int32_t at)
{
    emit(build, (struct bpf_insn){.code = BPF_LD | BPF_ABS | size, .imm = at});
}

static void emit_move(struct build *build, uint8_t to, uint8_t from)
{
    emit(build,
         (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to & 15u, .src_reg = from & 15u});
}

/* r2 = value */
static void emit_constant(struct build *build, uint64_t value)
{
    emit(build, (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW,
                                  .dst_reg = BPF_REG_2,
                                  .imm = (int32_t)(uint32_t)value});
    emit(build, (struct bpf_insn){.imm = (int32_t)(uint32_t)(value >> 32)});
}

static size_t emit_jump(struct build *build, uint8_t how, uint8_t reg, bool by_register, int32_t with)
{
    emit(build, (struct bpf_insn){.code = (uint8_t)(BPF_JMP | how | (by_register ? BPF_X : BPF_K)),
                                  .dst_reg = reg & 15u,
                                  .src_reg = by_register ? BPF_REG_2 : 0,
                                  .imm = with});
    return build->count - 1;
}

/* That jump leads to what comes next. */
static void land(struct build *build, size_t jump)
{
    build->code[jump].off = (int16_t)(build->count - jump - 1);
}

static void emit_answer(struct build *build, unsigned queue)
{
    emit(build, (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (int32_t)queue});
    emit(build, (struct bpf_insn){.code = BPF_JMP | BPF_EXIT});
}

/* The address at `at` into r7 (and r8). */
static void emit_address(struct build *build, int32_t at)
{
    static const uint8_t halves[] = {BPF_REG_7, BPF_REG_8};

    if (!build->v6) {
        emit_load(build, BPF_W, at);
        emit_move(build, BPF_REG_7, BPF_REG_0);
        return;
    }
    for (int i = 0; i < 2; i++) {
        emit_load(build, BPF_W, at + 8 * i);
        emit_move(build, halves[i], BPF_REG_0);
        emit(build, (struct bpf_insn){
                        .code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = halves[i] & 15u, .imm = 32});
        emit_load(build, BPF_W, at + 8 * i + 4);
        emit(build, (struct bpf_insn){.code = BPF_ALU64 | BPF_OR | BPF_X, .dst_reg = halves[i] & 15u});
    }
}

/* Which of the segments from `low` up to `high` is it in? */
static void emit_search(struct build *build, size_t low, size_t high)
{
    const size_t middle = low + (high - low + 1) / 2;
    const struct segment *segment = &build->segments[middle];
    size_t above, below = 0, equal = 0;

    if (low == high) {
        emit_answer(build, build->segments[low].queue);
        return;
    }
    emit_constant(build, segment->high);
    above = emit_jump(build, build->v6 ? BPF_JGT : BPF_JGE, BPF_REG_7, true, 0);
    if (build->v6) {
        below = emit_jump(build, BPF_JLT, BPF_REG_7, true, 0);
        emit_constant(build, segment->low);
        equal = emit_jump(build, BPF_JGE, BPF_REG_8, true, 0);
        land(build, below);
    }
    emit_search(build, low, middle - 1);
    land(build, above);
    if (build->v6)
        land(build, equal);
    emit_search(build, middle, high);
}

static void emit_ethernet(struct build *build)
{
    size_t no_arp, no_ip, no_icmp, no_nd, found[2];

    emit_load(build, BPF_H, TYPE_AT);
    if (!build->v6) {
        no_arp = emit_jump(build, BPF_JNE, BPF_REG_0, false, TYPE_ARP);
        emit_address(build, ARP_TARGET_AT);
        found[0] = emit_jump(build, BPF_JA, 0, false, 0);
        land(build, no_arp);
        no_ip = emit_jump(build, BPF_JNE, BPF_REG_0, false, TYPE_V4);
        emit_address(build, ETHERNET + V4_TARGET_AT);
        found[1] = emit_jump(build, BPF_JA, 0, false, 0);
    } else {
        no_ip = emit_jump(build, BPF_JNE, BPF_REG_0, false, TYPE_V6);
        emit_load(build, BPF_B, V6_NEXT_AT);
        no_icmp = emit_jump(build, BPF_JNE, BPF_REG_0, false, NEXT_ICMP6);
        emit_load(build, BPF_B, ND_TYPE_AT);
        no_nd = emit_jump(build, BPF_JNE, BPF_REG_0, false, ND_SOLICITATION);
        emit_address(build, ND_TARGET_AT);
        found[0] = emit_jump(build, BPF_JA, 0, false, 0);
        land(build, no_icmp);
        land(build, no_nd);
        emit_address(build, ETHERNET + V6_TARGET_AT);
        found[1] = emit_jump(build, BPF_JA, 0, false, 0);
    }
    land(build, no_ip);
    emit_answer(build, 0);
    land(build, found[0]);
    land(build, found[1]);
}

static void emit_all(struct build *build, bool tap)
{
    emit_move(build, BPF_REG_6, BPF_REG_1);
    if (tap)
        emit_ethernet(build);
    else
        emit_address(build, build->v6 ? V6_TARGET_AT : V4_TARGET_AT);
    emit_search(build, 0, build->segment_count - 1);
}

int steer_build(const struct addr_set *peers, bool tap, unsigned queues, struct steer *ret_steer)
{
    struct build *build = calloc(1, sizeof(*build));
    int status = build ? 0 : -ENOMEM;

    if (status == 0) {
        build->v6 = peers->family == 6;
        status = add_ranges(build, peers, queues);
    }
    if (status == 0) {
        emit_all(build, tap);
        ret_steer->count = build->count;
        ret_steer->code = malloc(build->count * sizeof(*build->code));
        if (!ret_steer->code)
            status = -ENOMEM;
        else
            memcpy(ret_steer->code, build->code, build->count * sizeof(*build->code));
    }
    free(build);
    return status;
}

void steer_done(struct steer *steer)
{
    free(steer->code);
    *steer = (struct steer){.code = NULL};
}

int steer_install(const struct steer *steer, int fd)
{
    static const struct bpf_insn first[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    static const char licence[] = "Dual BSD/GPL", name[] = "peer_queue";
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insn_cnt = (uint32_t)(steer->code ? steer->count : ARRAY_SIZE(first));
    attr.insns = (uint64_t)(uintptr_t)(steer->code ? steer->code : first);
    attr.license = (uint64_t)(uintptr_t)licence;
    memcpy(attr.prog_name, name, sizeof(name));
    int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
    if (program < 0)
        return -errno;
    int status = ioctl(fd, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0; /* the device keeps it */
    (void)close(program);
    return status;
}
