/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: two programs of a few instructions, written here by hand, since a compiler
 * for them and a loader would weigh more than all of them.
 *
 *   TAP ingress   bpf_redirect(card, BPF_F_INGRESS)
 *   card egress   whom is it for: IPv4 destination, ARP target, IPv6 destination, target of a
 *                 neighbour solicitation? When that is in the trie of the peers' prefixes:
 *                 bpf_redirect(TAP). Else it goes on its way.
 *
 * A frame with a VLAN tag belongs to another network and is left alone. They are attached by links
 * of tcx before all other programs; the kernel takes a link away when its last descriptor is
 * closed, and program and trie with it.
 */
#include "kernel/wire/wire_internal.h"

#include "base/macro.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

/* Linux 6.6: the headers may be older, or have them under names without WIRE_. */
enum { WIRE_TCX_INGRESS = 46, WIRE_TCX_EGRESS = 47, WIRE_TCX_NEXT = -1, WIRE_BEFORE = 1 << 3 };

/* Offsets in an Ethernet frame. */
enum {
    AT_IP4_DST = ETH_HLEN + 16,
    AT_ARP_TARGET = ETH_HLEN + 24,
    AT_IP6_NEXT = ETH_HLEN + 6,
    AT_IP6_DST = ETH_HLEN + 24,
    AT_ICMP6_TYPE = ETH_HLEN + 40,
    AT_ND_TARGET = ETH_HLEN + 48,
};
enum { NEIGHBOUR_SOLICIT = 135 };

/* Offsets on a program's stack, from the frame pointer. */
enum { STACK_KEY = -24, STACK_BYTE = -32 };

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
    long status = syscall(SYS_bpf, command, attr, sizeof(*attr));
    return status < 0 ? -errno : (int)status;
}

/* ---- the trie ---- */

/** As the kernel's trie has it: the length in bits, then the address. */
struct trie_key {
    uint32_t length;
    uint8_t bytes[16];
};

static int trie_fill(int trie, const struct wire_job *job)
{
    const uint32_t value = 1;

    for (int i = 0; i < job->prefix_count; i++) {
        struct trie_key key = {.length = job->prefixes[i].length};
        union bpf_attr attr;
        memcpy(key.bytes, job->prefixes[i].addr.bytes, sizeof(key.bytes));
        memset(&attr, 0, sizeof(attr));
        attr.map_fd = (uint32_t)trie;
        attr.key = (uint64_t)(uintptr_t)&key;
        attr.value = (uint64_t)(uintptr_t)&value;
        int status = bpf(BPF_MAP_UPDATE_ELEM, &attr);
        if (status < 0)
            return status;
    }
    return 0;
}

static int trie_new(const struct wire_job *job)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.map_type = BPF_MAP_TYPE_LPM_TRIE;
    attr.key_size = (uint32_t)sizeof(uint32_t) + nl_addr_len(nl_family(job->family));
    attr.value_size = sizeof(uint32_t);
    attr.max_entries = (uint32_t)job->prefix_count;
    attr.map_flags = BPF_F_NO_PREALLOC;
    int trie = bpf(BPF_MAP_CREATE, &attr);
    int status = trie < 0 ? trie : trie_fill(trie, job);
    if (status < 0 && trie >= 0)
        (void)close(trie);
    return status < 0 ? status : trie;
}

/* ---- the assembler ---- */

/** Where a jump leads to; both ends are written last. */
enum label { NEXT, HIT, LABELS };

struct program {
    struct bpf_insn code[96];
    int count;
    struct {
        int at;
        enum label to;
    } jumps[24];
    int jump_count;
};

static void put(struct program *program, int code, int dst, int src, int off, int32_t imm)
{
    assert(program->count < (int)ARRAY_SIZE(program->code));
    program->code[program->count++] = (struct bpf_insn){.code = (uint8_t)code,
                                                        .dst_reg = (uint8_t)(dst & 15),
                                                        .src_reg = (uint8_t)(src & 15),
                                                        .off = (int16_t)off,
                                                        .imm = imm};
}

static void put_move(struct program *program, int dst, int src)
{
    put(program, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void put_set(struct program *program, int dst, int32_t value)
{
    put(program, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

static void put_stack_address(struct program *program, int dst, int offset)
{
    put_move(program, dst, BPF_REG_10);
    put(program, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, offset);
}

static void put_call(struct program *program, int helper)
{
    put(program, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

/** Jumps when `dst` OP `value`. */
static void put_jump(struct program *program, int op, int dst, int32_t value, enum label to)
{
    assert(program->jump_count < (int)ARRAY_SIZE(program->jumps));
    program->jumps[program->jump_count].at = program->count;
    program->jumps[program->jump_count++].to = to;
    put(program, BPF_JMP | op | BPF_K, dst, 0, 0, value);
}

/** `len` bytes of the frame at the offset in register 8 to the stack; too short a frame is not
 * ours. */
static void put_load(struct program *program, int stack, int len)
{
    put_move(program, BPF_REG_1, BPF_REG_6);
    put_move(program, BPF_REG_2, BPF_REG_8);
    put_stack_address(program, BPF_REG_3, stack);
    put_set(program, BPF_REG_4, len);
    put_call(program, BPF_FUNC_skb_load_bytes);
    put_jump(program, BPF_JNE, BPF_REG_0, 0, NEXT);
}

/** HIT when the address at the offset in register 8 is a peer's; goes on otherwise. */
static void put_look_up(struct program *program, int trie, int len)
{
    put_load(program, STACK_KEY + (int)offsetof(struct trie_key, bytes), len);
    put(program, BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, STACK_KEY, len * 8);
    put(program, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, trie);
    put(program, 0, 0, 0, 0, 0); /* the second half of that */
    put_stack_address(program, BPF_REG_2, STACK_KEY);
    put_call(program, BPF_FUNC_map_lookup_elem);
    put_jump(program, BPF_JNE, BPF_REG_0, 0, HIT);
}

/** NEXT unless the byte at `at` is `value`. */
static void put_want_byte(struct program *program, int at, int value)
{
    put_set(program, BPF_REG_8, at);
    put_load(program, STACK_BYTE, 1);
    put(program, BPF_LDX | BPF_MEM | BPF_B, BPF_REG_1, BPF_REG_10, STACK_BYTE, 0);
    put_jump(program, BPF_JNE, BPF_REG_1, value, NEXT);
}

static void put_redirect(struct program *program, int ifindex, int flags)
{
    put_set(program, BPF_REG_1, ifindex);
    put_set(program, BPF_REG_2, flags);
    put_call(program, BPF_FUNC_redirect);
    put(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/** The two ends, and all jumps to them. */
static void put_ends(struct program *program, int ifindex)
{
    int ends[LABELS];

    ends[NEXT] = program->count;
    put_set(program, BPF_REG_0, WIRE_TCX_NEXT);
    put(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    ends[HIT] = program->count;
    put_redirect(program, ifindex, 0);
    for (int i = 0; i < program->jump_count; i++) {
        const int at = program->jumps[i].at;
        program->code[at].off = (int16_t)(ends[program->jumps[i].to] - at - 1);
    }
}

/* ---- the programs ---- */

static void put_context(struct program *program, int dst, size_t offset)
{
    put(program, BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_6, (int)offset, 0);
}

/* The two protocols differ only in where the address is: a register holds that. */
static void write_egress4(struct program *program, int trie)
{
    put_set(program, BPF_REG_8, AT_IP4_DST);
    put(program, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_7, 0, 2,
        htons(ETH_P_IP)); /* over the next two */
    put_set(program, BPF_REG_8, AT_ARP_TARGET);
    put_jump(program, BPF_JNE, BPF_REG_7, htons(ETH_P_ARP), NEXT);
    put_look_up(program, trie, 4);
}

static void write_egress6(struct program *program, int trie)
{
    put_jump(program, BPF_JNE, BPF_REG_7, htons(ETH_P_IPV6), NEXT);
    put_set(program, BPF_REG_8, AT_IP6_DST);
    put_look_up(program, trie, 16);
    put_want_byte(program, AT_IP6_NEXT, IPPROTO_ICMPV6);
    put_want_byte(program, AT_ICMP6_TYPE, NEIGHBOUR_SOLICIT);
    put_set(program, BPF_REG_8, AT_ND_TARGET);
    put_look_up(program, trie, 16);
}

static void write_egress(struct program *program, const struct wire_job *job, int trie)
{
    put_move(program, BPF_REG_6, BPF_REG_1);
    put_context(program, BPF_REG_7, offsetof(struct __sk_buff, vlan_present));
    put_jump(program, BPF_JNE, BPF_REG_7, 0, NEXT);
    put_context(program, BPF_REG_7, offsetof(struct __sk_buff, protocol));
    if (job->family == 6)
        write_egress6(program, trie);
    else
        write_egress4(program, trie);
    put_ends(program, job->tap_ifindex);
}

/** A descriptor of the loaded program. */
static int load(const struct program *program)
{
    static const char licence[] = "Dual BSD/GPL", name[] = "peer_wire";
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
    attr.insn_cnt = (uint32_t)program->count;
    attr.insns = (uint64_t)(uintptr_t)program->code;
    attr.license = (uint64_t)(uintptr_t)licence;
    memcpy(attr.prog_name, name, sizeof(name));
    return bpf(BPF_PROG_LOAD, &attr);
}

/** A descriptor of the link. */
static int attach(const struct program *program, int ifindex, int type)
{
    union bpf_attr attr;
    int loaded = load(program);

    if (loaded < 0)
        return loaded;
    memset(&attr, 0, sizeof(attr));
    attr.link_create.prog_fd = (uint32_t)loaded;
    attr.link_create.target_ifindex = (uint32_t)ifindex;
    attr.link_create.attach_type = (uint32_t)type;
    attr.link_create.flags = WIRE_BEFORE;
    int link = bpf(BPF_LINK_CREATE, &attr);
    (void)close(loaded);
    return link;
}

int wire_bpf_attach(const struct wire_job *job, int ret_links[WIRE_LINKS])
{
    struct program egress = {0}, ingress = {0};
    int trie = trie_new(job);

    if (trie < 0)
        return trie;
    write_egress(&egress, job, trie);
    put_redirect(&ingress, job->card->ifindex, BPF_F_INGRESS);
    /* The way out first: nothing may be sent to the real wire because a peer spoke too early. */
    int out = attach(&egress, job->card->ifindex, WIRE_TCX_EGRESS);
    int in = out < 0 ? out : attach(&ingress, job->tap_ifindex, WIRE_TCX_INGRESS);
    (void)close(trie);
    if (in < 0) {
        if (out >= 0)
            (void)close(out);
        return in;
    }
    ret_links[0] = out;
    ret_links[1] = in;
    return 0;
}

int wire_bpf_try(void)
{
    struct program program = {0};

    put_redirect(&program, 1, 0);
    /* A kernel without tcx does not know the type, and says so before it looks for the device. */
    const int status = attach(&program, INT32_MAX, WIRE_TCX_EGRESS);
    if (status >= 0) /* there is no such device */
        (void)close(status);
    return status == -ENODEV ? 0 : status < 0 ? status : -EINVAL;
}
