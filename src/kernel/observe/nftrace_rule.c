/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rule is a list of expressions for a machine with registers: "load 2 bytes at transport+2 into
 * register 1; compare register 1 with 80". Here that machine runs on words: a register holds the
 * name of what was loaded ("tcp dport") and how its bytes are to be written, so that a comparison
 * can be put as nft(8) does. Tests of the protocol that a later word implies are not written.
 */
#include "kernel/observe/nftrace_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 20, WORDS = 64 };

struct slot {
    char words[WORDS]; /* "" : holds data */
    enum nft_kind kind;
    uint8_t data[16];
    uint8_t mask[16];
    uint8_t len;
    bool masked;
};

struct machine {
    struct slot slots[SLOTS];
    uint8_t family;
    struct nl *nl; /* to ask for the elements of sets */
    char table[NFTRACE_NAME];
    uint8_t l3, l4;   /* what tests of the protocol said so far: 4, 6; IPPROTO_* */
    char pending[32]; /* such a test that nothing implied so far */
    bool rejects;
    char *buf;
    size_t room, len;
};

__attribute__((format(printf, 2, 3))) static void say(struct machine *machine, const char *format,
                                                      ...)
{
    va_list args;

    if (machine->len > 0 && machine->len + 1 < machine->room)
        machine->buf[machine->len++] = ' ';
    va_start(args, format);
    int n = vsnprintf(machine->buf + machine->len, machine->room - machine->len, format, args);
    va_end(args);
    if (n > 0)
        machine->len = MIN(machine->len + (size_t)n, machine->room - 1);
}

/** A test of the protocol that turned out to be one in its own right. */
static void say_pending(struct machine *machine)
{
    if (machine->pending[0])
        say(machine, "%s", machine->pending);
    machine->pending[0] = '\0';
}

static struct slot *slot_of(struct machine *machine, const struct nlattr *attribute)
{
    uint32_t number = nft_get_u32(attribute, 0);

    if (number >= NFT_REG_1 && number <= NFT_REG_4)
        number = (number - NFT_REG_1) * 4;
    else if (number >= NFT_REG32_00 && number <= NFT_REG32_15)
        number -= NFT_REG32_00;
    else
        number = SLOTS - 1; /* one that nobody reads */
    return &machine->slots[number];
}

__attribute__((format(printf, 4, 5))) static void
load(struct machine *machine, const struct nlattr *reg, enum nft_kind kind, const char *format, ...)
{
    struct slot *slot = slot_of(machine, reg);
    va_list args;

    *slot = (struct slot){.kind = kind};
    va_start(args, format);
    (void)vsnprintf(slot->words, sizeof(slot->words), format, args);
    va_end(args);
}

/* ---- loads ---- */

static const struct {
    uint32_t key;
    enum nft_kind kind;
    const char *words;
} metas[] = {
    {NFT_META_IIFNAME, KIND_TEXT, "iifname"},
    {NFT_META_OIFNAME, KIND_TEXT, "oifname"},
    {NFT_META_IIF, KIND_NUMBER, "iif"},
    {NFT_META_OIF, KIND_NUMBER, "oif"},
    {NFT_META_MARK, KIND_NUMBER, "meta mark"},
    {NFT_META_L4PROTO, KIND_PROTOCOL, "meta l4proto"},
    {NFT_META_NFPROTO, KIND_FAMILY, "meta nfproto"},
    {NFT_META_PROTOCOL, KIND_ETHERTYPE, "meta protocol"},
    {NFT_META_IIFTYPE, KIND_NUMBER, "iiftype"},
    {NFT_META_OIFTYPE, KIND_NUMBER, "oiftype"},
    {NFT_META_IIFGROUP, KIND_NUMBER, "iifgroup"},
    {NFT_META_OIFGROUP, KIND_NUMBER, "oifgroup"},
    {NFT_META_IIFKIND, KIND_TEXT, "meta iifkind"},
    {NFT_META_OIFKIND, KIND_TEXT, "meta oifkind"},
    {NFT_META_LEN, KIND_NUMBER, "meta length"},
    {NFT_META_PKTTYPE, KIND_NUMBER, "meta pkttype"},
    {NFT_META_SKUID, KIND_NUMBER, "meta skuid"},
    {NFT_META_SKGID, KIND_NUMBER, "meta skgid"},
    {NFT_META_CPU, KIND_NUMBER, "meta cpu"},
    {NFT_META_PRIORITY, KIND_NUMBER, "meta priority"},
    {NFT_META_NFTRACE, KIND_NUMBER, "meta nftrace"},
};

static void say_set(struct machine *machine, const char *what, enum nft_kind kind,
                    const struct nlattr *reg)
{
    const struct slot *slot = slot_of(machine, reg);
    char value[64] = "?";

    if (slot->words[0])
        (void)snprintf(value, sizeof(value), "%s", slot->words);
    else
        nft_value_format(kind, slot->data, slot->len, value, sizeof(value));
    say_pending(machine);
    say(machine, "%s set %s", what, value);
}

static void run_meta(struct machine *machine, const struct nlattr *const *table)
{
    const uint32_t key = nft_get_u32(table[NFTA_META_KEY], UINT32_MAX);
    const char *words = "[meta]";
    enum nft_kind kind = KIND_HEX;

    for (size_t i = 0; i < ARRAY_SIZE(metas); i++)
        if (metas[i].key == key) {
            words = metas[i].words;
            kind = metas[i].kind;
        }
    if (table[NFTA_META_SREG])
        say_set(machine, words, kind, table[NFTA_META_SREG]);
    else
        load(machine, table[NFTA_META_DREG], kind, "%s", words);
}

static void run_ct(struct machine *machine, const struct nlattr *const *table)
{
    static const struct {
        enum nft_kind kind;
        const char *words;
    } keys[] = {
        [NFT_CT_STATE] = {KIND_CT_STATE, "ct state"},
        [NFT_CT_DIRECTION] = {KIND_NUMBER, "ct direction"},
        [NFT_CT_STATUS] = {KIND_CT_STATUS, "ct status"},
        [NFT_CT_MARK] = {KIND_NUMBER, "ct mark"},
        [NFT_CT_PROTO_SRC] = {KIND_PORT, "ct original proto-src"},
        [NFT_CT_PROTO_DST] = {KIND_PORT, "ct original proto-dst"},
        [NFT_CT_ZONE] = {KIND_NUMBER, "ct zone"},
        [NFT_CT_SRC_IP] = {KIND_ADDR, "ct original ip saddr"},
        [NFT_CT_DST_IP] = {KIND_ADDR, "ct original ip daddr"},
        [NFT_CT_SRC_IP6] = {KIND_ADDR, "ct original ip6 saddr"},
        [NFT_CT_DST_IP6] = {KIND_ADDR, "ct original ip6 daddr"},
    };
    const uint32_t key = nft_get_u32(table[NFTA_CT_KEY], UINT32_MAX);
    const bool known = key < ARRAY_SIZE(keys) && keys[key].words;
    const char *words = known ? keys[key].words : "[ct]";
    const enum nft_kind kind = known ? keys[key].kind : KIND_HEX;

    if (table[NFTA_CT_SREG])
        say_set(machine, words, kind, table[NFTA_CT_SREG]);
    else
        load(machine, table[NFTA_CT_DREG], kind, "%s", words);
}

enum { ANY = 0xff };

/** Fields by base, protocol below (l3 or l4), offset and length. */
static const struct {
    uint8_t base, protocol, offset, len;
    enum nft_kind kind;
    const char *words;
} fields[] = {
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 12, 4, KIND_ADDR, "ip saddr"},
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 16, 4, KIND_ADDR, "ip daddr"},
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 9, 1, KIND_PROTOCOL, "ip protocol"},
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 8, 1, KIND_PORT, "ip ttl"},
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 2, 2, KIND_PORT, "ip length"},
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 1, 1, KIND_HEX, "ip dscp"},
    {NFT_PAYLOAD_NETWORK_HEADER, 4, 6, 2, KIND_HEX, "ip frag-off"},
    {NFT_PAYLOAD_NETWORK_HEADER, 6, 8, 16, KIND_ADDR, "ip6 saddr"},
    {NFT_PAYLOAD_NETWORK_HEADER, 6, 24, 16, KIND_ADDR, "ip6 daddr"},
    {NFT_PAYLOAD_NETWORK_HEADER, 6, 6, 1, KIND_PROTOCOL, "ip6 nexthdr"},
    {NFT_PAYLOAD_NETWORK_HEADER, 6, 7, 1, KIND_PORT, "ip6 hoplimit"},
    {NFT_PAYLOAD_TRANSPORT_HEADER, IPPROTO_TCP, 13, 1, KIND_HEX, "tcp flags"},
    {NFT_PAYLOAD_TRANSPORT_HEADER, IPPROTO_ICMP, 0, 1, KIND_PORT, "icmp type"},
    {NFT_PAYLOAD_TRANSPORT_HEADER, IPPROTO_ICMP, 1, 1, KIND_PORT, "icmp code"},
    {NFT_PAYLOAD_TRANSPORT_HEADER, IPPROTO_ICMPV6, 0, 1, KIND_PORT, "icmpv6 type"},
    {NFT_PAYLOAD_TRANSPORT_HEADER, ANY, 0, 2, KIND_PORT, "%s sport"},
    {NFT_PAYLOAD_TRANSPORT_HEADER, ANY, 2, 2, KIND_PORT, "%s dport"},
    {NFT_PAYLOAD_LL_HEADER, ANY, 0, 6, KIND_HEX, "ether daddr"},
    {NFT_PAYLOAD_LL_HEADER, ANY, 6, 6, KIND_HEX, "ether saddr"},
};

static void run_payload(struct machine *machine, const struct nlattr *const *table)
{
    const uint32_t base = nft_get_u32(table[NFTA_PAYLOAD_BASE], 0);
    const uint32_t offset = nft_get_u32(table[NFTA_PAYLOAD_OFFSET], 0);
    const uint32_t len = nft_get_u32(table[NFTA_PAYLOAD_LEN], 0);
    const char *l4 = nft_protocol_text(machine->l4);

    if (table[NFTA_PAYLOAD_SREG]) {
        say_pending(machine);
        /* A checksum is mended by whole words, so these are written with their neighbours. */
        if (base == NFT_PAYLOAD_NETWORK_HEADER && machine->l3 == 4 && offset == 8)
            say(machine, "[ip ttl set]");
        else if (base == NFT_PAYLOAD_NETWORK_HEADER && machine->l3 == 6 && offset + len == 8)
            say(machine, "[ip6 hoplimit set]");
        else
            say(machine, "[payload set]");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        const bool network = base == NFT_PAYLOAD_NETWORK_HEADER;
        if (fields[i].base != base || fields[i].offset != offset || fields[i].len < len ||
            (fields[i].len > len && fields[i].kind != KIND_ADDR) ||
            (fields[i].protocol != ANY &&
             fields[i].protocol != (network ? machine->l3 : machine->l4)))
            continue;
        struct slot *slot = slot_of(machine, table[NFTA_PAYLOAD_DREG]);
        *slot = (struct slot){.kind = fields[i].kind, .len = fields[i].len};
        if (fields[i].base == NFT_PAYLOAD_TRANSPORT_HEADER && fields[i].protocol == ANY)
            (void)snprintf(slot->words, WORDS, "%s %s", l4 ? l4 : "th", offset ? "dport" : "sport");
        else
            (void)snprintf(slot->words, WORDS, "%s", fields[i].words);
        machine->pending[0] = '\0'; /* implied by the name of the field */
        return;
    }
    load(machine, table[NFTA_PAYLOAD_DREG], KIND_HEX, "@%s,%u,%u",
         base == NFT_PAYLOAD_LL_HEADER        ? "ll"
         : base == NFT_PAYLOAD_NETWORK_HEADER ? "nh"
                                              : "th",
         offset * 8, len * 8);
}

static void run_fib(struct machine *machine, const struct nlattr *const *table)
{
    const uint32_t result = nft_get_u32(table[NFTA_FIB_RESULT], 0);
    const uint32_t flags = nft_get_u32(table[NFTA_FIB_FLAGS], 0);

    load(machine, table[NFTA_FIB_DREG],
         result == NFT_FIB_RESULT_ADDRTYPE  ? KIND_FIB_TYPE
         : result == NFT_FIB_RESULT_OIFNAME ? KIND_TEXT
                                            : KIND_NUMBER,
         "fib %s%s%s%s %s", flags & NFTA_FIB_F_SADDR ? "saddr" : "daddr",
         flags & NFTA_FIB_F_MARK ? " . mark" : "", flags & NFTA_FIB_F_IIF ? " . iif" : "",
         flags & NFTA_FIB_F_OIF ? " . oif" : "",
         result == NFT_FIB_RESULT_ADDRTYPE  ? "type"
         : result == NFT_FIB_RESULT_OIFNAME ? "oifname"
                                            : "oif");
}

static void run_immediate(struct machine *machine, const struct nlattr *const *table)
{
    struct slot *slot = slot_of(machine, table[NFTA_IMMEDIATE_DREG]);
    char verdict[NFTRACE_NAME + 16];

    if (nft_get_u32(table[NFTA_IMMEDIATE_DREG], 0) == NFT_REG_VERDICT) {
        say_pending(machine);
        if (nft_verdict_format(table[NFTA_IMMEDIATE_DATA], verdict, sizeof(verdict)))
            say(machine, "%s", verdict);
        return;
    }
    *slot = (struct slot){.kind = KIND_HEX};
    slot->len = (uint8_t)nft_data_value(table[NFTA_IMMEDIATE_DATA], slot->data);
}

/* ---- tests ---- */

static void run_bitwise(struct machine *machine, const struct nlattr *const *table)
{
    struct slot slot = *slot_of(machine, table[NFTA_BITWISE_SREG]);

    if (nft_get_u32(table[NFTA_BITWISE_OP], 0) == 0) {
        slot.len = (uint8_t)nft_data_value(table[NFTA_BITWISE_MASK], slot.mask);
        slot.masked = slot.len > 0;
    }
    *slot_of(machine, table[NFTA_BITWISE_DREG]) = slot;
}

/** Bits set at the front of a mask, or -1 when it is no prefix. */
static int prefix_length(const uint8_t *mask, size_t len)
{
    int bits = 0;

    while ((size_t)bits < len * 8 && (mask[bits / 8] & (0x80 >> bits % 8)))
        bits++;
    for (size_t i = (size_t)bits; i < len * 8; i++)
        if (mask[i / 8] & (0x80 >> i % 8))
            return -1;
    return bits;
}

/** A test of a protocol, which what follows may imply. True: it waits in `pending`. */
static bool take_protocol_test(struct machine *machine, const struct slot *slot,
                               const uint8_t *data, size_t len)
{
    const uint64_t net = nft_network_number(data, len), host = nft_machine_number(data, len);
    char value[32];

    if (slot->kind == KIND_PROTOCOL)
        machine->l4 = (uint8_t)host;
    else if (slot->kind == KIND_FAMILY)
        machine->l3 = host == NFPROTO_IPV6 ? 6 : 4;
    else if (slot->kind == KIND_ETHERTYPE)
        machine->l3 = net == 0x86dd ? 6 : 4;
    else
        return false;
    say_pending(machine);
    nft_value_format(slot->kind, data, len, value, sizeof(value));
    (void)snprintf(machine->pending, sizeof(machine->pending), "%.16s %.14s", slot->words, value);
    return true;
}

static void run_cmp(struct machine *machine, const struct nlattr *const *table)
{
    static const char *const operators[] = {"", "!= ", "< ", "<= ", "> ", ">= "};
    const struct slot *slot = slot_of(machine, table[NFTA_CMP_SREG]);
    const uint32_t op = nft_get_u32(table[NFTA_CMP_OP], 0);
    uint8_t data[16] = {0};
    char value[64], suffix[64] = "", mask[48];
    const size_t len = nft_data_value(table[NFTA_CMP_DATA], data);

    if (op == NFT_CMP_EQ && !slot->masked && take_protocol_test(machine, slot, data, len))
        return;
    say_pending(machine);
    if (slot->masked && (slot->kind == KIND_CT_STATE || slot->kind == KIND_CT_STATUS)) {
        /* "ct state new" is: (state & new) != 0 */
        nft_value_format(slot->kind, slot->mask, slot->len, value, sizeof(value));
        say(machine, "%s %s%s", slot->words, op == NFT_CMP_NEQ ? "" : "!= ", value);
        return;
    }
    if (slot->masked) {
        const int bits = prefix_length(slot->mask, slot->len);
        if (slot->kind == KIND_ADDR && bits >= 0) {
            (void)snprintf(suffix, sizeof(suffix), "/%d", bits);
        } else {
            nft_hex_format(slot->mask, slot->len, mask, sizeof(mask));
            (void)snprintf(suffix, sizeof(suffix), " & %s", mask);
        }
    }
    if (slot->kind == KIND_ADDR && !slot->masked && len > 0 && len < slot->len) {
        /* A prefix of whole bytes is compared without a mask. */
        const size_t whole = slot->len;
        nft_addr_format(data, whole, value, sizeof(value));
        (void)snprintf(suffix, sizeof(suffix), "/%zu", len * 8);
    } else {
        nft_value_format(slot->kind, data, len, value, sizeof(value));
    }
    say(machine, "%s %s%s%s", slot->words, op < ARRAY_SIZE(operators) ? operators[op] : "? ", value,
        suffix);
}

static void run_range(struct machine *machine, const struct nlattr *const *table)
{
    const struct slot *slot = slot_of(machine, table[NFTA_RANGE_SREG]);
    uint8_t from[16] = {0}, to[16] = {0};
    char first[64], last[64];

    const size_t from_len = nft_data_value(table[NFTA_RANGE_FROM_DATA], from);
    const size_t to_len = nft_data_value(table[NFTA_RANGE_TO_DATA], to);
    nft_value_format(slot->kind, from, from_len, first, sizeof(first));
    nft_value_format(slot->kind, to, to_len, last, sizeof(last));
    say_pending(machine);
    say(machine, "%s %s%s-%s", slot->words,
        nft_get_u32(table[NFTA_RANGE_OP], 0) == NFT_RANGE_NEQ ? "!= " : "", first, last);
}

/* ---- sets ---- */

static void run_lookup(struct machine *machine, const struct nlattr *const *table)
{
    const struct slot slot = *slot_of(machine, table[NFTA_LOOKUP_SREG]);
    char set[NFTRACE_NAME] = "?", text[NFTRACE_TEXT];

    (void)nl_get_text(table[NFTA_LOOKUP_SET], set, sizeof(set));
    /* A set without a name is of this rule alone: its elements are the rule's words. */
    const struct nft_set wanted = {machine->family, machine->table, set, slot.kind};
    if (strncmp(set, "__", 2) != 0 || !machine->nl ||
        nft_set_format(machine->nl, &wanted, text, sizeof(text)) < 0)
        (void)snprintf(text, sizeof(text), "@%s", set);
    say_pending(machine);
    const bool map = table[NFTA_LOOKUP_DREG];
    const bool vmap = map && nft_get_u32(table[NFTA_LOOKUP_DREG], 1) == NFT_REG_VERDICT;
    if (map && !vmap) {
        load(machine, table[NFTA_LOOKUP_DREG], KIND_HEX, "%.20s map %.30s", slot.words, text);
        return;
    }
    say(machine, "%s %s%s%s", slot.words, vmap ? "vmap " : "",
        nft_get_u32(table[NFTA_LOOKUP_FLAGS], 0) & NFT_LOOKUP_F_INV ? "!= " : "", text);
}

/* ---- deeds ---- */

static void format_register(struct machine *machine, const struct nlattr *reg, enum nft_kind kind,
                            char *buf, size_t room)
{
    buf[0] = '\0';
    if (!reg)
        return;
    const struct slot *slot = slot_of(machine, reg);
    if (slot->words[0])
        (void)snprintf(buf, room, "%s", slot->words);
    else
        nft_value_format(kind, slot->data, kind == KIND_PORT ? 2 : slot->len, buf, room);
}

static void run_nat(struct machine *machine, const struct nlattr *const *table)
{
    char addr[64], port[64];
    const bool dnat = nft_get_u32(table[NFTA_NAT_TYPE], 0) == NFT_NAT_DNAT;

    format_register(machine, table[NFTA_NAT_REG_ADDR_MIN], KIND_ADDR, addr, sizeof(addr));
    format_register(machine, table[NFTA_NAT_REG_PROTO_MIN], KIND_PORT, port, sizeof(port));
    const bool v6 = strchr(addr, ':') && port[0];
    say_pending(machine);
    say(machine, "%s to %s%s%s%s%s", dnat ? "dnat" : "snat", v6 ? "[" : "", addr, v6 ? "]" : "",
        port[0] ? ":" : "", port);
}

static void run_redir(struct machine *machine, const struct nlattr *const *table)
{
    char port[64];

    format_register(machine, table[NFTA_REDIR_REG_PROTO_MIN], KIND_PORT, port, sizeof(port));
    say_pending(machine);
    say(machine, "redirect%s%s", port[0] ? " to :" : "", port);
}

static void run_reject(struct machine *machine, const struct nlattr *const *table)
{
    machine->rejects = true;
    say_pending(machine);
    say(machine, "reject%s",
        nft_get_u32(table[NFTA_REJECT_TYPE], 0) == NFT_REJECT_TCP_RST ? " with tcp reset" : "");
}

static void run_limit(struct machine *machine, const struct nlattr *const *table)
{
    const uint64_t rate = nft_get_u64(table[NFTA_LIMIT_RATE]),
                   unit = nft_get_u64(table[NFTA_LIMIT_UNIT]);
    const bool over = nft_get_u32(table[NFTA_LIMIT_FLAGS], 0) & NFT_LIMIT_F_INV;
    const char *per = unit == 1 ? "second" : unit == 60 ? "minute" : unit == 3600 ? "hour" : "day";

    say_pending(machine);
    say(machine, "limit rate %s%llu/%s", over ? "over " : "", (unsigned long long)rate, per);
}

static void run_counter(struct machine *machine, const struct nlattr *const *table)
{
    (void)table;
    say_pending(machine);
    say(machine, "counter");
}

static void run_masquerade(struct machine *machine, const struct nlattr *const *table)
{
    (void)table;
    say_pending(machine);
    say(machine, "masquerade");
}

static void run_notrack(struct machine *machine, const struct nlattr *const *table)
{
    (void)table;
    say_pending(machine);
    say(machine, "notrack");
}

static void run_log(struct machine *machine, const struct nlattr *const *table)
{
    char prefix[NFTRACE_NAME] = "";

    (void)nl_get_text(table[NFTA_LOG_PREFIX], prefix, sizeof(prefix));
    say_pending(machine);
    if (prefix[0])
        say(machine, "log prefix \"%s\"", prefix);
    else
        say(machine, "log");
}

static void run_queue(struct machine *machine, const struct nlattr *const *table)
{
    uint16_t number = 0;

    (void)nl_get(table[NFTA_QUEUE_NUM], &number, sizeof(number));
    say_pending(machine);
    say(machine, "queue to %u", ntohs(number));
}

/* ---- what iptables-nft brings along ---- */

static void say_xt_ports(struct machine *machine, const char *protocol, const char *which,
                         const uint16_t range[2])
{
    if (range[0] == 0 && range[1] == 0xffff)
        return;
    if (range[0] == range[1])
        say(machine, "%s %s %u", protocol, which, range[0]);
    else
        say(machine, "%s %s %u-%u", protocol, which, range[0], range[1]);
}

static void run_match(struct machine *machine, const struct nlattr *const *table)
{
    char name[32] = "?", comment[NFTRACE_TEXT];
    struct xt_tcp tcp;
    struct xt_udp udp;

    (void)nl_get_text(table[NFTA_MATCH_NAME], name, sizeof(name));
    if (!strcmp(name, "tcp") && nl_get(table[NFTA_MATCH_INFO], &tcp, sizeof(tcp))) {
        machine->pending[0] = '\0';
        say_xt_ports(machine, "tcp", "sport", tcp.spts);
        say_xt_ports(machine, "tcp", "dport", tcp.dpts);
        return;
    }
    if (!strcmp(name, "udp") && nl_get(table[NFTA_MATCH_INFO], &udp, sizeof(udp))) {
        machine->pending[0] = '\0';
        say_xt_ports(machine, "udp", "sport", udp.spts);
        say_xt_ports(machine, "udp", "dport", udp.dpts);
        return;
    }
    say_pending(machine);
    if (!strcmp(name, "comment") && nl_get_text(table[NFTA_MATCH_INFO], comment, sizeof(comment)))
        say(machine, "comment \"%s\"", comment);
    else
        say(machine, "[-m %s]", name);
}

static void run_target(struct machine *machine, const struct nlattr *const *table)
{
    char name[32] = "?";

    (void)nl_get_text(table[NFTA_TARGET_NAME], name, sizeof(name));
    if (!strcmp(name, "REJECT"))
        machine->rejects = true;
    say_pending(machine);
    say(machine, "-j %s", name);
}

/* ---- the list ---- */

static const struct {
    const char *name;
    void (*run)(struct machine *machine, const struct nlattr *const *table);
} expressions[] = {
    {"meta", run_meta},       {"payload", run_payload}, {"cmp", run_cmp},
    {"bitwise", run_bitwise}, {"lookup", run_lookup},   {"immediate", run_immediate},
    {"counter", run_counter}, {"ct", run_ct},           {"range", run_range},
    {"nat", run_nat},         {"redir", run_redir},     {"masq", run_masquerade},
    {"reject", run_reject},   {"limit", run_limit},     {"log", run_log},
    {"queue", run_queue},     {"match", run_match},     {"target", run_target},
    {"notrack", run_notrack}, {"fib", run_fib},
};

enum { EXPRESSION_ATTRIBUTES = 16 };

static void run_expression(struct machine *machine, const struct nlattr *element)
{
    const struct nlattr *table[NFTA_EXPR_DATA + 1], *data[EXPRESSION_ATTRIBUTES + 1];
    char name[32] = "?";

    nl_nested(element, table, NFTA_EXPR_DATA);
    nl_nested(table[NFTA_EXPR_DATA], data, EXPRESSION_ATTRIBUTES);
    (void)nl_get_text(table[NFTA_EXPR_NAME], name, sizeof(name));
    for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
        if (!strcmp(expressions[i].name, name)) {
            expressions[i].run(machine, data);
            return;
        }
    say_pending(machine);
    say(machine, "[%s]", name);
}

/** nft(8) keeps comments in the part of a rule that belongs to it: type, length, text. */
static void say_comment(struct machine *machine, const struct nlattr *userdata)
{
    if (!userdata)
        return;
    const uint8_t *at = nl_data(userdata);
    size_t len = nl_len(userdata);

    while (len >= 2 && (size_t)at[1] + 2 <= len) {
        if (at[0] == 0 && at[1] > 0)
            say(machine, "comment \"%.*s\"", (int)strnlen((const char *)at + 2, at[1]), at + 2);
        len -= (size_t)at[1] + 2;
        at += (size_t)at[1] + 2;
    }
}

/** Names and comments come from elsewhere: they must not break the line. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void nftrace_rule_format(struct nl *nl, const struct nlmsghdr *message, char *buf, size_t room,
                         bool *ret_rejects)
{
    const struct nlattr *table[NFTA_RULE_USERDATA + 1], *element;
    struct machine *machine;

    buf[0] = '\0';
    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) ||
        !nl_attributes(message, sizeof(struct nfgenmsg), table, NFTA_RULE_USERDATA) ||
        !(machine = calloc(1, sizeof(*machine))))
        return;
    const struct nfgenmsg *head = nl_payload(message, sizeof(*head));
    machine->family = head->nfgen_family;
    machine->l3 = head->nfgen_family == NFPROTO_IPV4   ? 4
                  : head->nfgen_family == NFPROTO_IPV6 ? 6
                                                       : 0;
    machine->nl = nl;
    machine->buf = buf;
    machine->room = room;
    (void)nl_get_text(table[NFTA_RULE_TABLE], machine->table, sizeof(machine->table));
    if (table[NFTA_RULE_EXPRESSIONS])
        nftrace_each_nested(element, table[NFTA_RULE_EXPRESSIONS]) run_expression(machine, element);
    say_pending(machine);
    say_comment(machine, table[NFTA_RULE_USERDATA]);
    make_printable(buf);
    if (ret_rejects)
        *ret_rejects = machine->rejects;
    free(machine);
}
