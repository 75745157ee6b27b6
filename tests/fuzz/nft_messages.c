/* SPDX-License-Identifier: BSD-3-Clause */
/* See fuzz_nftables.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include "base/macro.h"
#include "fuzz/nft_messages.h"
#include "kernel/observe/nftrace_internal.h"

/* ---- decisions ---- */

static struct {
    const uint8_t *at;
    size_t left;
} input;

void nft_input(const uint8_t *data, size_t len)
{
    input.at = data;
    input.left = len;
}

size_t nft_left(void)
{
    return input.left;
}

uint8_t nft_take8(void)
{
    if (input.left == 0)
        return 0;
    input.left--;
    return *input.at++;
}

static uint32_t take32(void)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 8 | nft_take8();
    return value;
}

uint32_t nft_pick(uint32_t bound)
{
    return nft_take8() % bound;
}

bool nft_one_in(uint32_t n)
{
    return nft_pick(n) == 1; /* never when the input is over */
}

/* ---- building ---- */

enum { BYTES_MAX = 40 };

void nft_put(struct nft_out *out, const void *data, size_t len)
{
    const size_t padded = (len + 3) & ~(size_t)3;

    if (padded > NFT_ROOM - out->len)
        return;
    memset(out->bytes + out->len, 0, padded);
    if (len > 0)
        memcpy(out->bytes + out->len, data, len);
    out->len += padded;
}

static void put_attribute(struct nft_out *out, uint32_t type, const void *data, size_t len)
{
    const struct nlattr head = {.nla_len = (uint16_t)(sizeof(head) + len),
                                .nla_type = (uint16_t)type};

    if (sizeof(head) + len + 3 > NFT_ROOM - out->len)
        return;
    nft_put(out, &head, sizeof(head));
    nft_put(out, data, len);
}

static void put_be32(struct nft_out *out, uint32_t type, uint32_t value)
{
    value = htonl(value);
    put_attribute(out, type, &value, sizeof(value));
}

static void put_text(struct nft_out *out, uint32_t type, const char *text)
{
    put_attribute(out, type, text, strlen(text) + !nft_one_in(32));
}

/** Begins a nest, or a message: returns where its length belongs. */
static size_t open_nest(struct nft_out *out, uint32_t type)
{
    const size_t at = out->len;

    put_attribute(out, type | (nft_one_in(2) ? NLA_F_NESTED : 0), NULL, 0);
    return at;
}

static void close_nest(struct nft_out *out, size_t at)
{
    const uint16_t len = (uint16_t)(out->len - at);

    if (len >= sizeof(struct nlattr))
        memcpy(out->bytes + at, &len, sizeof(len));
}

static void put_bytes(struct nft_out *out, uint32_t type, size_t len)
{
    uint8_t bytes[BYTES_MAX];

    for (size_t i = 0; i < len && i < BYTES_MAX; i++)
        bytes[i] = nft_take8();
    put_attribute(out, type, bytes, MIN(len, (size_t)BYTES_MAX));
}

static const char *const names[] = {
    "f",
    "in",
    "web",
    "peer-trace-1",
    "__set0",
    "eth0",
    "filter",
    "INPUT",
    "tcp",
    "udp",
    "comment",
    "",
    "a\nb",
    "clsact",
    "ingress",
    "%s%n",
    "a name that is much longer than any name of a chain may be, so "
    "that it has to be cut or refused, whatever comes behind it, and "
    "that is what this is for"};

static const char *any_name(void)
{
    return names[nft_pick(ARRAY_SIZE(names))];
}

static void put_verdict(struct nft_out *out, uint32_t type)
{
    static const int codes[] = {NFT_CONTINUE, NFT_BREAK, NFT_JUMP, NFT_GOTO, NFT_RETURN, 0, 1, 3};
    const size_t nest = open_nest(out, type);

    put_be32(out, NFTA_VERDICT_CODE, (uint32_t)codes[nft_pick(ARRAY_SIZE(codes))]);
    if (nft_one_in(2))
        put_text(out, NFTA_VERDICT_CHAIN, any_name());
    close_nest(out, nest);
}

static void put_any(struct nft_out *out, uint32_t type, int depth);

/** The value of some attribute of an expression. */
static void put_nested(struct nft_out *out, uint32_t type, int depth)
{
    const size_t nest = open_nest(out, type);

    switch (nft_pick(3)) {
    case 0:
        put_bytes(out, NFTA_DATA_VALUE, nft_one_in(4) ? nft_pick(BYTES_MAX + 1) : 1u << nft_pick(5));
        break;
    case 1:
        put_verdict(out, NFTA_DATA_VERDICT);
        break;
    default:
        for (uint32_t i = nft_pick(4); i > 0 && depth < 4; i--)
            put_any(out, nft_pick(8), depth + 1);
    }
    close_nest(out, nest);
}

static void put_any(struct nft_out *out, uint32_t type, int depth)
{
    switch (nft_pick(6)) {
    case 0:
    case 1:
        put_be32(out, type, nft_pick(26)); /* registers, operators, keys */
        break;
    case 2:
        put_be32(out, type, take32());
        break;
    case 3:
        put_bytes(out, type, nft_pick(BYTES_MAX + 1));
        break;
    case 4:
        put_text(out, type, any_name());
        break;
    default:
        put_nested(out, type, depth);
    }
}

/* ---- messages ---- */

size_t nft_begin(struct nft_out *out, uint16_t type, const void *family_header, size_t len)
{
    const struct nlmsghdr head = {.nlmsg_type = type};
    const size_t at = out->len;

    nft_put(out, &head, sizeof(head));
    nft_put(out, family_header, len);
    return at;
}

void nft_end(struct nft_out *out, size_t at)
{
    const uint32_t len = (uint32_t)(out->len - at);

    if (len >= sizeof(struct nlmsghdr))
        memcpy(out->bytes + at, &len, sizeof(len));
}

static size_t begin_nft(struct nft_out *out, uint16_t type)
{
    static const uint8_t families[] = {NFPROTO_INET,   NFPROTO_IPV4,   NFPROTO_IPV6,
                                       NFPROTO_NETDEV, NFPROTO_BRIDGE, NFPROTO_ARP};
    const struct nfgenmsg head = {.nfgen_family = families[nft_pick(ARRAY_SIZE(families))]};

    return nft_begin(out, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), &head, sizeof(head));
}

static void put_expression(struct nft_out *out)
{
    static const char *const expressions[] = {
        "meta", "payload", "cmp",    "bitwise", "lookup", "immediate", "counter", "ct",
        "nat",  "range",   "redir",  "masq",    "reject", "limit",     "log",     "queue",
        "fib",  "match",   "target", "notrack", "osf",    "meta",      "payload", "cmp"};
    const size_t element = open_nest(out, NFTA_LIST_ELEM);

    put_text(out, NFTA_EXPR_NAME, expressions[nft_pick(ARRAY_SIZE(expressions))]);
    const size_t nest = open_nest(out, NFTA_EXPR_DATA);
    for (uint32_t type = 1; type <= 12; type++)
        if (!nft_one_in(4))
            put_any(out, type, 0);
    close_nest(out, nest);
    close_nest(out, element);
}

/** An expression of which all but the values is right. */
static size_t open_expression(struct nft_out *out, const char *name, size_t *ret_data)
{
    const size_t element = open_nest(out, NFTA_LIST_ELEM);

    put_text(out, NFTA_EXPR_NAME, name);
    *ret_data = open_nest(out, NFTA_EXPR_DATA);
    return element;
}

static void close_expression(struct nft_out *out, size_t element, size_t data)
{
    close_nest(out, data);
    close_nest(out, element);
}

static void put_value(struct nft_out *out, uint32_t type, size_t len)
{
    const size_t nest = open_nest(out, type);

    put_bytes(out, NFTA_DATA_VALUE, len);
    close_nest(out, nest);
}

/** "meta l4proto tcp", "ip saddr & mask == ...", as nft(8) writes them for the kernel. */
static void put_comparison(struct nft_out *out)
{
    static const uint8_t fields[][3] = {{1, 12, 4}, {1, 16, 4}, {1, 8, 16}, {1, 9, 1},  {1, 8, 2},
                                        {1, 6, 2},  {2, 0, 2},  {2, 2, 2},  {2, 13, 1}, {0, 6, 6}};
    static const uint32_t metas[] = {NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_META_PROTOCOL,
                                     NFT_META_IIFNAME};
    const uint8_t *field = fields[nft_pick(ARRAY_SIZE(fields))];
    const bool meta = nft_one_in(2);
    size_t data, element = open_expression(out,
                                           meta        ? "meta"
                                           : nft_one_in(6) ? "ct"
                                                       : "payload",
                                           &data);

    put_be32(out, meta ? NFTA_META_DREG : NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_be32(out, 2, meta ? metas[nft_pick(ARRAY_SIZE(metas))] : field[0]);
    put_be32(out, NFTA_PAYLOAD_OFFSET, field[1]);
    put_be32(out, NFTA_PAYLOAD_LEN, nft_one_in(8) ? nft_pick(20) : field[2]);
    if (nft_one_in(8))
        put_be32(out, NFTA_PAYLOAD_SREG, NFT_REG_1);
    close_expression(out, element, data);
    if (nft_one_in(3)) {
        element = open_expression(out, "bitwise", &data);
        put_be32(out, NFTA_BITWISE_SREG, NFT_REG_1);
        put_be32(out, NFTA_BITWISE_DREG, NFT_REG_1);
        put_value(out, NFTA_BITWISE_MASK, field[2]);
        close_expression(out, element, data);
    }
    element = open_expression(out, nft_one_in(4) ? "lookup" : "cmp", &data);
    if (nft_one_in(2)) {
        put_text(out, NFTA_LOOKUP_SET, nft_one_in(2) ? "__set0" : "bad");
        put_be32(out, NFTA_LOOKUP_SREG, NFT_REG_1);
    } else {
        static const uint8_t values[] = {NFPROTO_IPV4, NFPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP};
        put_be32(out, NFTA_CMP_SREG, NFT_REG_1);
        put_be32(out, NFTA_CMP_OP, nft_pick(3));
        const size_t nest = open_nest(out, NFTA_CMP_DATA);
        if (meta)
            put_attribute(out, NFTA_DATA_VALUE, &values[nft_pick(4)], 1);
        else
            put_bytes(out, NFTA_DATA_VALUE, nft_one_in(4) ? nft_pick(20) : field[2]);
        close_nest(out, nest);
    }
    close_expression(out, element, data);
}

/** What iptables-nft brings along. */
static void put_compat(struct nft_out *out)
{
    static const char *const matches[] = {"tcp", "udp", "comment", "conntrack"};
    const bool target = nft_one_in(4);
    size_t data, element = open_expression(out, target ? "target" : "match", &data);

    put_text(out, NFTA_MATCH_NAME, target ? "REJECT" : matches[nft_pick(4)]);
    put_bytes(out, NFTA_MATCH_INFO, 8 + nft_pick(8));
    close_expression(out, element, data);
}

static void put_rule(struct nft_out *out)
{
    const uint64_t handle = 1;
    const size_t message = begin_nft(out, NFT_MSG_NEWRULE);

    put_text(out, NFTA_RULE_TABLE, any_name());
    put_text(out, NFTA_RULE_CHAIN, any_name());
    put_attribute(out, NFTA_RULE_HANDLE, &handle, sizeof(handle));
    const size_t list = open_nest(out, NFTA_RULE_EXPRESSIONS);
    for (uint32_t i = nft_pick(8); i > 0; i--) {
        static void (*const puts[])(struct nft_out * out) = {put_comparison, put_comparison,
                                                         put_expression, put_compat};
        puts[nft_pick(ARRAY_SIZE(puts))](out);
    }
    close_nest(out, list);
    if (nft_one_in(3))
        put_bytes(out, NFTA_RULE_USERDATA, nft_pick(BYTES_MAX + 1));
    else if (nft_one_in(2))
        put_attribute(out, NFTA_RULE_USERDATA, "\0\4why\1\2\1x", 10);
    nft_end(out, message);
}

static void put_chain(struct nft_out *out)
{
    const size_t message = begin_nft(out, NFT_MSG_NEWCHAIN);

    put_text(out, NFTA_CHAIN_TABLE, any_name());
    put_text(out, NFTA_CHAIN_NAME, any_name());
    if (!nft_one_in(3)) {
        const size_t nest = open_nest(out, NFTA_CHAIN_HOOK);
        put_be32(out, NFTA_HOOK_HOOKNUM, nft_pick(7));
        put_be32(out, NFTA_HOOK_PRIORITY, take32());
        close_nest(out, nest);
    }
    put_be32(out, NFTA_CHAIN_POLICY, nft_pick(3));
    put_text(out, NFTA_CHAIN_TYPE, any_name());
    nft_end(out, message);
}

static void put_elements(struct nft_out *out)
{
    const size_t message = begin_nft(out, NFT_MSG_NEWSETELEM);
    const size_t size = 1u << nft_pick(5);

    put_text(out, NFTA_SET_ELEM_LIST_SET, any_name());
    const size_t list = open_nest(out, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (uint32_t i = nft_pick(200); i > 0 && input.left > 0; i--) {
        const size_t element = open_nest(out, NFTA_LIST_ELEM);
        const size_t key = open_nest(out, NFTA_SET_ELEM_KEY);
        put_bytes(out, NFTA_DATA_VALUE, nft_one_in(16) ? nft_pick(20) : size);
        close_nest(out, key);
        if (nft_one_in(3))
            put_be32(out, NFTA_SET_ELEM_FLAGS, nft_pick(2));
        if (nft_one_in(4))
            put_nested(out, NFTA_SET_ELEM_DATA, 0);
        close_nest(out, element);
    }
    close_nest(out, list);
    nft_end(out, message);
}

/** The packet that is looked for, its answer, or another. */
static void put_packet(struct nft_out *out)
{
    static const uint8_t ends[2][4] = {{198, 18, 0, 2}, {192, 0, 2, 1}};
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 99};
    uint8_t ip[40] = {0x45}, ports[20] = {0x80, 0, 0, 80};
    const uint32_t back = nft_pick(2);

    memcpy(ip + 12, ends[back], 4);
    memcpy(ip + 16, ends[!back], 4);
    ip[9] = protocols[nft_pick(4)];
    if (nft_one_in(4))
        ip[0] = 0x60;
    if (back)
        memcpy(ports, (uint8_t[]){0, 80, 0x80, 0}, 4);
    ports[13] = (uint8_t)(1u << nft_pick(6));
    put_attribute(out, NFTA_TRACE_NETWORK_HEADER, ip,
                  nft_one_in(4)         ? nft_pick(40)
                  : ip[0] >> 4 == 6 ? 40
                                    : 20);
    put_attribute(out, NFTA_TRACE_TRANSPORT_HEADER, ports, nft_one_in(4) ? nft_pick(20) : 20);
}

static void put_event(struct nft_out *out)
{
    const size_t message = begin_nft(out, NFT_MSG_TRACE);

    put_be32(out, NFTA_TRACE_ID, nft_pick(100));
    put_be32(out, NFTA_TRACE_TYPE, nft_pick(5));
    put_text(out, NFTA_TRACE_TABLE, any_name());
    put_text(out, NFTA_TRACE_CHAIN, any_name());
    if (nft_one_in(2))
        put_bytes(out, NFTA_TRACE_RULE_HANDLE, 8);
    put_verdict(out, NFTA_TRACE_VERDICT);
    if (!nft_one_in(3))
        put_packet(out);
    if (nft_one_in(2))
        put_be32(out, NFTA_TRACE_POLICY, nft_pick(3));
    put_be32(out, NFTA_TRACE_IIF, nft_pick(4));
    nft_end(out, message);
}

/** Of rtnetlink and sock_diag: a header that begins with a family, and attributes. */
static void put_other(struct nft_out *out)
{
    static const struct {
        uint16_t type;
        uint8_t header;
    } kinds[] = {{RTM_NEWROUTE, sizeof(struct rtmsg)},
                 {RTM_NEWLINK, sizeof(struct ifinfomsg)},
                 {RTM_NEWADDR, sizeof(struct ifaddrmsg)},
                 {RTM_NEWNEIGH, sizeof(struct ndmsg)},
                 {RTM_NEWQDISC, sizeof(struct tcmsg)},
                 {RTM_NEWTFILTER, sizeof(struct tcmsg)},
                 {SOCK_DIAG_BY_FAMILY, sizeof(struct inet_diag_msg)}};
    const uint32_t kind = nft_pick(ARRAY_SIZE(kinds));
    uint8_t header[128] = {nft_one_in(2) ? AF_INET6 : AF_INET};

    if (kinds[kind].type == RTM_NEWROUTE)
        header[1] = (uint8_t)nft_pick(130), header[7] = (uint8_t)nft_pick(12);
    else if (kinds[kind].type == SOCK_DIAG_BY_FAMILY)
        header[1] = 10, header[5] = 80;
    else
        header[4] = (uint8_t)nft_pick(3), header[8] = (uint8_t)nft_pick(3);
    const size_t message = nft_begin(out, kinds[kind].type, header, kinds[kind].header);
    for (uint32_t i = nft_pick(20); i > 0; i--) {
        const uint32_t type = nft_pick(64);
        if (nft_one_in(3))
            put_bytes(out, type, header[0] == AF_INET6 ? 16 : 4);
        else
            put_any(out, type, 0);
    }
    nft_end(out, message);
}

/** Changes what was built. */
static void mutate(struct nft_out *out)
{
    for (uint32_t i = nft_pick(6); i > 0 && out->len > 0; i--) {
        const size_t at = (take32() & 0xffff) % out->len;
        switch (nft_pick(4)) {
        case 0:
            out->bytes[at] ^= (uint8_t)(1u << nft_pick(8));
            break;
        case 1: /* a length, often */
            out->bytes[at & ~(size_t)3] = nft_take8();
            break;
        case 2:
            out->bytes[at] = nft_take8();
            break;
        default:
            if (nft_one_in(4))
                out->len = at;
        }
    }
}

void nft_build(struct nft_out *out)
{
    static void (*const puts[])(struct nft_out * out) = {put_rule,  put_rule,     put_chain,
                                                     put_event, put_elements, put_other};
    out->len = 0;
    for (uint32_t i = 1 + nft_pick(4); i > 0; i--)
        puts[nft_pick(ARRAY_SIZE(puts))](out);
    if (!nft_one_in(3))
        mutate(out);
}
