/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parsers behind peer trace. Random bytes are hardly ever a rule of nftables, so the input is
 * read as a list of decisions: messages are built of what the kernel would say (rules with
 * expressions, chains, elements of sets, events of the trace, routes, links, sockets), then some
 * bytes of them are changed: lengths, types, numbers, or the end is cut.
 *
 * They go to the parsers directly, each in memory of exactly its size, and as answers of a kernel
 * that is played here (sendto, recv and recvmsg are wrapped by the linker), so that requests,
 * lists, sets and the collection of events run as they are.
 */
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
#include "kernel/diag_internal.h"
#include "kernel/ingress.h"
#include "kernel/nftrace_internal.h"
#include "kernel/rtnl_internal.h"

#ifdef __SANITIZE_ADDRESS__
#define FUZZ_POISON
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_POISON
#endif
#endif
#ifdef FUZZ_POISON
#include <sanitizer/asan_interface.h>
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags);

/* ---- decisions ---- */

static struct {
    const uint8_t *at;
    size_t left;
} input;

static uint8_t take8(void)
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
        value = value << 8 | take8();
    return value;
}

/** Below `bound`. */
static uint32_t pick(uint32_t bound)
{
    return take8() % bound;
}

static bool one_in(uint32_t n)
{
    return pick(n) == 1; /* never when the input is over */
}

/* ---- building ---- */

enum { ROOM = 8192, BYTES_MAX = 40 };

struct out {
    _Alignas(4) uint8_t bytes[ROOM];
    size_t len;
};

static void put(struct out *out, const void *data, size_t len)
{
    const size_t padded = (len + 3) & ~(size_t)3;

    if (padded > ROOM - out->len)
        return;
    memset(out->bytes + out->len, 0, padded);
    if (len > 0)
        memcpy(out->bytes + out->len, data, len);
    out->len += padded;
}

static void put_attribute(struct out *out, uint32_t type, const void *data, size_t len)
{
    const struct nlattr head = {.nla_len = (uint16_t)(sizeof(head) + len),
                                .nla_type = (uint16_t)type};

    if (sizeof(head) + len + 3 > ROOM - out->len)
        return;
    put(out, &head, sizeof(head));
    put(out, data, len);
}

static void put_be32(struct out *out, uint32_t type, uint32_t value)
{
    value = htonl(value);
    put_attribute(out, type, &value, sizeof(value));
}

static void put_text(struct out *out, uint32_t type, const char *text)
{
    put_attribute(out, type, text, strlen(text) + !one_in(32));
}

/** Begins a nest, or a message: returns where its length belongs. */
static size_t open_nest(struct out *out, uint32_t type)
{
    const size_t at = out->len;

    put_attribute(out, type | (one_in(2) ? NLA_F_NESTED : 0), NULL, 0);
    return at;
}

static void close_nest(struct out *out, size_t at)
{
    const uint16_t len = (uint16_t)(out->len - at);

    if (len >= sizeof(struct nlattr))
        memcpy(out->bytes + at, &len, sizeof(len));
}

static void put_bytes(struct out *out, uint32_t type, size_t len)
{
    uint8_t bytes[BYTES_MAX];

    for (size_t i = 0; i < len && i < BYTES_MAX; i++)
        bytes[i] = take8();
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
    return names[pick(ARRAY_SIZE(names))];
}

static void put_verdict(struct out *out, uint32_t type)
{
    static const int codes[] = {NFT_CONTINUE, NFT_BREAK, NFT_JUMP, NFT_GOTO, NFT_RETURN, 0, 1, 3};
    const size_t nest = open_nest(out, type);

    put_be32(out, NFTA_VERDICT_CODE, (uint32_t)codes[pick(ARRAY_SIZE(codes))]);
    if (one_in(2))
        put_text(out, NFTA_VERDICT_CHAIN, any_name());
    close_nest(out, nest);
}

static void put_any(struct out *out, uint32_t type, int depth);

/** The value of some attribute of an expression. */
static void put_nested(struct out *out, uint32_t type, int depth)
{
    const size_t nest = open_nest(out, type);

    switch (pick(3)) {
    case 0:
        put_bytes(out, NFTA_DATA_VALUE, one_in(4) ? pick(BYTES_MAX + 1) : 1u << pick(5));
        break;
    case 1:
        put_verdict(out, NFTA_DATA_VERDICT);
        break;
    default:
        for (uint32_t i = pick(4); i > 0 && depth < 4; i--)
            put_any(out, pick(8), depth + 1);
    }
    close_nest(out, nest);
}

static void put_any(struct out *out, uint32_t type, int depth)
{
    switch (pick(6)) {
    case 0:
    case 1:
        put_be32(out, type, pick(26)); /* registers, operators, keys */
        break;
    case 2:
        put_be32(out, type, take32());
        break;
    case 3:
        put_bytes(out, type, pick(BYTES_MAX + 1));
        break;
    case 4:
        put_text(out, type, any_name());
        break;
    default:
        put_nested(out, type, depth);
    }
}

/* ---- messages ---- */

static size_t begin(struct out *out, uint16_t type, const void *family_header, size_t len)
{
    const struct nlmsghdr head = {.nlmsg_type = type};
    const size_t at = out->len;

    put(out, &head, sizeof(head));
    put(out, family_header, len);
    return at;
}

static void end(struct out *out, size_t at)
{
    const uint32_t len = (uint32_t)(out->len - at);

    if (len >= sizeof(struct nlmsghdr))
        memcpy(out->bytes + at, &len, sizeof(len));
}

static size_t begin_nft(struct out *out, uint16_t type)
{
    static const uint8_t families[] = {NFPROTO_INET,   NFPROTO_IPV4,   NFPROTO_IPV6,
                                       NFPROTO_NETDEV, NFPROTO_BRIDGE, NFPROTO_ARP};
    const struct nfgenmsg head = {.nfgen_family = families[pick(ARRAY_SIZE(families))]};

    return begin(out, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), &head, sizeof(head));
}

static void put_expression(struct out *out)
{
    static const char *const expressions[] = {
        "meta", "payload", "cmp",    "bitwise", "lookup", "immediate", "counter", "ct",
        "nat",  "range",   "redir",  "masq",    "reject", "limit",     "log",     "queue",
        "fib",  "match",   "target", "notrack", "osf",    "meta",      "payload", "cmp"};
    const size_t element = open_nest(out, NFTA_LIST_ELEM);

    put_text(out, NFTA_EXPR_NAME, expressions[pick(ARRAY_SIZE(expressions))]);
    const size_t nest = open_nest(out, NFTA_EXPR_DATA);
    for (uint32_t type = 1; type <= 12; type++)
        if (!one_in(4))
            put_any(out, type, 0);
    close_nest(out, nest);
    close_nest(out, element);
}

/** An expression of which all but the values is right. */
static size_t open_expression(struct out *out, const char *name, size_t *ret_data)
{
    const size_t element = open_nest(out, NFTA_LIST_ELEM);

    put_text(out, NFTA_EXPR_NAME, name);
    *ret_data = open_nest(out, NFTA_EXPR_DATA);
    return element;
}

static void close_expression(struct out *out, size_t element, size_t data)
{
    close_nest(out, data);
    close_nest(out, element);
}

static void put_value(struct out *out, uint32_t type, size_t len)
{
    const size_t nest = open_nest(out, type);

    put_bytes(out, NFTA_DATA_VALUE, len);
    close_nest(out, nest);
}

/** "meta l4proto tcp", "ip saddr & mask == ...", as nft(8) writes them for the kernel. */
static void put_comparison(struct out *out)
{
    static const uint8_t fields[][3] = {{1, 12, 4}, {1, 16, 4}, {1, 8, 16}, {1, 9, 1},  {1, 8, 2},
                                        {1, 6, 2},  {2, 0, 2},  {2, 2, 2},  {2, 13, 1}, {0, 6, 6}};
    static const uint32_t metas[] = {NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_META_PROTOCOL,
                                     NFT_META_IIFNAME};
    const uint8_t *field = fields[pick(ARRAY_SIZE(fields))];
    const bool meta = one_in(2);
    size_t data, element = open_expression(out,
                                           meta        ? "meta"
                                           : one_in(6) ? "ct"
                                                       : "payload",
                                           &data);

    put_be32(out, meta ? NFTA_META_DREG : NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_be32(out, 2, meta ? metas[pick(ARRAY_SIZE(metas))] : field[0]);
    put_be32(out, NFTA_PAYLOAD_OFFSET, field[1]);
    put_be32(out, NFTA_PAYLOAD_LEN, one_in(8) ? pick(20) : field[2]);
    if (one_in(8))
        put_be32(out, NFTA_PAYLOAD_SREG, NFT_REG_1);
    close_expression(out, element, data);
    if (one_in(3)) {
        element = open_expression(out, "bitwise", &data);
        put_be32(out, NFTA_BITWISE_SREG, NFT_REG_1);
        put_be32(out, NFTA_BITWISE_DREG, NFT_REG_1);
        put_value(out, NFTA_BITWISE_MASK, field[2]);
        close_expression(out, element, data);
    }
    element = open_expression(out, one_in(4) ? "lookup" : "cmp", &data);
    if (one_in(2)) {
        put_text(out, NFTA_LOOKUP_SET, one_in(2) ? "__set0" : "bad");
        put_be32(out, NFTA_LOOKUP_SREG, NFT_REG_1);
    } else {
        static const uint8_t values[] = {NFPROTO_IPV4, NFPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP};
        put_be32(out, NFTA_CMP_SREG, NFT_REG_1);
        put_be32(out, NFTA_CMP_OP, pick(3));
        const size_t nest = open_nest(out, NFTA_CMP_DATA);
        if (meta)
            put_attribute(out, NFTA_DATA_VALUE, &values[pick(4)], 1);
        else
            put_bytes(out, NFTA_DATA_VALUE, one_in(4) ? pick(20) : field[2]);
        close_nest(out, nest);
    }
    close_expression(out, element, data);
}

/** What iptables-nft brings along. */
static void put_compat(struct out *out)
{
    static const char *const matches[] = {"tcp", "udp", "comment", "conntrack"};
    const bool target = one_in(4);
    size_t data, element = open_expression(out, target ? "target" : "match", &data);

    put_text(out, NFTA_MATCH_NAME, target ? "REJECT" : matches[pick(4)]);
    put_bytes(out, NFTA_MATCH_INFO, 8 + pick(8));
    close_expression(out, element, data);
}

static void put_rule(struct out *out)
{
    const uint64_t handle = 1;
    const size_t message = begin_nft(out, NFT_MSG_NEWRULE);

    put_text(out, NFTA_RULE_TABLE, any_name());
    put_text(out, NFTA_RULE_CHAIN, any_name());
    put_attribute(out, NFTA_RULE_HANDLE, &handle, sizeof(handle));
    const size_t list = open_nest(out, NFTA_RULE_EXPRESSIONS);
    for (uint32_t i = pick(8); i > 0; i--) {
        static void (*const puts[])(struct out * out) = {put_comparison, put_comparison,
                                                         put_expression, put_compat};
        puts[pick(ARRAY_SIZE(puts))](out);
    }
    close_nest(out, list);
    if (one_in(3))
        put_bytes(out, NFTA_RULE_USERDATA, pick(BYTES_MAX + 1));
    else if (one_in(2))
        put_attribute(out, NFTA_RULE_USERDATA, "\0\4why\1\2\1x", 10);
    end(out, message);
}

static void put_chain(struct out *out)
{
    const size_t message = begin_nft(out, NFT_MSG_NEWCHAIN);

    put_text(out, NFTA_CHAIN_TABLE, any_name());
    put_text(out, NFTA_CHAIN_NAME, any_name());
    if (!one_in(3)) {
        const size_t nest = open_nest(out, NFTA_CHAIN_HOOK);
        put_be32(out, NFTA_HOOK_HOOKNUM, pick(7));
        put_be32(out, NFTA_HOOK_PRIORITY, take32());
        close_nest(out, nest);
    }
    put_be32(out, NFTA_CHAIN_POLICY, pick(3));
    put_text(out, NFTA_CHAIN_TYPE, any_name());
    end(out, message);
}

static void put_elements(struct out *out)
{
    const size_t message = begin_nft(out, NFT_MSG_NEWSETELEM);
    const size_t size = 1u << pick(5);

    put_text(out, NFTA_SET_ELEM_LIST_SET, any_name());
    const size_t list = open_nest(out, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (uint32_t i = pick(200); i > 0 && input.left > 0; i--) {
        const size_t element = open_nest(out, NFTA_LIST_ELEM);
        const size_t key = open_nest(out, NFTA_SET_ELEM_KEY);
        put_bytes(out, NFTA_DATA_VALUE, one_in(16) ? pick(20) : size);
        close_nest(out, key);
        if (one_in(3))
            put_be32(out, NFTA_SET_ELEM_FLAGS, pick(2));
        if (one_in(4))
            put_nested(out, NFTA_SET_ELEM_DATA, 0);
        close_nest(out, element);
    }
    close_nest(out, list);
    end(out, message);
}

/** The packet that is looked for, its answer, or another. */
static void put_packet(struct out *out)
{
    static const uint8_t ends[2][4] = {{198, 18, 0, 2}, {192, 0, 2, 1}};
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 99};
    uint8_t ip[40] = {0x45}, ports[20] = {0x80, 0, 0, 80};
    const uint32_t back = pick(2);

    memcpy(ip + 12, ends[back], 4);
    memcpy(ip + 16, ends[!back], 4);
    ip[9] = protocols[pick(4)];
    if (one_in(4))
        ip[0] = 0x60;
    if (back)
        memcpy(ports, (uint8_t[]){0, 80, 0x80, 0}, 4);
    ports[13] = (uint8_t)(1u << pick(6));
    put_attribute(out, NFTA_TRACE_NETWORK_HEADER, ip,
                  one_in(4)         ? pick(40)
                  : ip[0] >> 4 == 6 ? 40
                                    : 20);
    put_attribute(out, NFTA_TRACE_TRANSPORT_HEADER, ports, one_in(4) ? pick(20) : 20);
}

static void put_event(struct out *out)
{
    const size_t message = begin_nft(out, NFT_MSG_TRACE);

    put_be32(out, NFTA_TRACE_ID, pick(100));
    put_be32(out, NFTA_TRACE_TYPE, pick(5));
    put_text(out, NFTA_TRACE_TABLE, any_name());
    put_text(out, NFTA_TRACE_CHAIN, any_name());
    if (one_in(2))
        put_bytes(out, NFTA_TRACE_RULE_HANDLE, 8);
    put_verdict(out, NFTA_TRACE_VERDICT);
    if (!one_in(3))
        put_packet(out);
    if (one_in(2))
        put_be32(out, NFTA_TRACE_POLICY, pick(3));
    put_be32(out, NFTA_TRACE_IIF, pick(4));
    end(out, message);
}

/** Of rtnetlink and sock_diag: a header that begins with a family, and attributes. */
static void put_other(struct out *out)
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
    const uint32_t kind = pick(ARRAY_SIZE(kinds));
    uint8_t header[128] = {one_in(2) ? AF_INET6 : AF_INET};

    if (kinds[kind].type == RTM_NEWROUTE)
        header[1] = (uint8_t)pick(130), header[7] = (uint8_t)pick(12);
    else if (kinds[kind].type == SOCK_DIAG_BY_FAMILY)
        header[1] = 10, header[5] = 80;
    else
        header[4] = (uint8_t)pick(3), header[8] = (uint8_t)pick(3);
    const size_t message = begin(out, kinds[kind].type, header, kinds[kind].header);
    for (uint32_t i = pick(20); i > 0; i--) {
        const uint32_t type = pick(64);
        if (one_in(3))
            put_bytes(out, type, header[0] == AF_INET6 ? 16 : 4);
        else
            put_any(out, type, 0);
    }
    end(out, message);
}

/** Changes what was built. */
static void mutate(struct out *out)
{
    for (uint32_t i = pick(6); i > 0 && out->len > 0; i--) {
        const size_t at = (take32() & 0xffff) % out->len;
        switch (pick(4)) {
        case 0:
            out->bytes[at] ^= (uint8_t)(1u << pick(8));
            break;
        case 1: /* a length, often */
            out->bytes[at & ~(size_t)3] = take8();
            break;
        case 2:
            out->bytes[at] = take8();
            break;
        default:
            if (one_in(4))
                out->len = at;
        }
    }
}

static void build(struct out *out)
{
    static void (*const puts[])(struct out * out) = {put_rule,  put_rule,     put_chain,
                                                     put_event, put_elements, put_other};
    out->len = 0;
    for (uint32_t i = 1 + pick(4); i > 0; i--)
        puts[pick(ARRAY_SIZE(puts))](out);
    if (!one_in(3))
        mutate(out);
}

/* ---- the kernel, played ---- */

static struct {
    uint32_t seq;  /* of the request at hand */
    int datagrams; /* that still come */
    void *poisoned;
    size_t poisoned_len;
} kernel;

static void unpoison(void)
{
#ifdef FUZZ_POISON
    if (kernel.poisoned)
        __asan_unpoison_memory_region(kernel.poisoned, kernel.poisoned_len);
#endif
    kernel.poisoned = NULL;
}

/** A datagram into the reader's buffer, of which nothing more may be read. */
static ssize_t deliver(void *buffer, size_t room, const struct out *out)
{
    const size_t len = MIN(out->len, room);

    unpoison();
    memcpy(buffer, out->bytes, len);
#ifdef FUZZ_POISON
    kernel.poisoned = (uint8_t *)buffer + len;
    kernel.poisoned_len = room - len;
    __asan_poison_memory_region(kernel.poisoned, kernel.poisoned_len);
#endif
    return (ssize_t)len;
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len)
{
    struct nlmsghdr head;

    (void)fd, (void)flags, (void)to, (void)to_len;
    memcpy(&head, data, sizeof(head));
    kernel.seq = head.nlmsg_seq;
    kernel.datagrams = (int)pick(4);
    return (ssize_t)len;
}

/** Answers have the number of the request; without it they would be skipped. */
static void number(struct out *out)
{
    size_t at = 0;

    while (out->len - at >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr head;
        memcpy(&head, out->bytes + at, sizeof(head));
        head.nlmsg_seq = kernel.seq;
        head.nlmsg_pid = 0;
        memcpy(out->bytes + at, &head, sizeof(head));
        if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > out->len - at)
            return;
        at = MIN(at + ((head.nlmsg_len + 3) & ~(size_t)3), out->len);
    }
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags)
{
    struct out out = {.len = 0};

    (void)fd, (void)flags;
    if (kernel.datagrams-- > 0) {
        build(&out);
        number(&out);
    } else {
        const int code = one_in(8) ? -(int)take8() : 0;
        const size_t message =
            begin(&out, one_in(2) ? NLMSG_ERROR : NLMSG_DONE, &code, sizeof(code));
        end(&out, message);
        number(&out);
    }
    memset(header->msg_name, 0, sizeof(struct sockaddr_nl));
    header->msg_namelen = sizeof(struct sockaddr_nl);
    header->msg_flags = 0;
    return deliver(header->msg_iov[0].iov_base, header->msg_iov[0].iov_len, &out);
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
    struct out out;

    (void)fd, (void)flags;
    if (kernel.datagrams-- <= 0) {
        errno = EAGAIN;
        return -1;
    }
    build(&out);
    return deliver(data, len, &out);
}

/* ---- the parsers ---- */

/** One line, with an end. */
static void check_text(const char *text, size_t room)
{
    if (!memchr(text, '\0', room))
        abort();
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            abort();
}

static void format_rule(struct nl *nl, const struct nlmsghdr *message)
{
    const size_t room = one_in(2) ? NFTRACE_TEXT : 1 + pick(64);
    char *buf = malloc(room);
    bool rejects;

    if (!buf)
        return;
    nftrace_rule_format(nl, message, buf, room, &rejects);
    check_text(buf, room);
    free(buf);
}

static void parse_all(const struct nlmsghdr *message)
{
    struct nftrace_event event;
    struct nftrace_chain chain;
    struct diag_socket found;
    struct addr_prefix prefix;
    struct rtnl_route route;
    struct rtnl_link link;
    char text[160], why[NL_WHY_BYTES];
    int ifindex;

    format_rule(NULL, message);
    (void)nftrace_event_parse(message, &event);
    (void)nftrace_chain_parse(message, &chain);
    (void)diag_parse(message, &found);
    (void)rtnl_link_parse(message, &link);
    (void)rtnl_addr_parse(message, &ifindex, &prefix);
    if (rtnl_route_parse(message, &route))
        check_text(rtnl_route_format(&route, text, sizeof(text)), sizeof(text));
    (void)nl_verdict(message, why);
}

static void parse_directly(void)
{
    struct out out;

    build(&out);
    uint8_t *exact = malloc(out.len ? out.len : 1);
    if (!exact)
        return;
    memcpy(exact, out.bytes, out.len);
    const struct nl_answers answers = {.bytes = exact, .len = out.len};
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m; m = nl_next(&answers, m))
        parse_all(m);
    free(exact);
}

static int ignore_chain(void *user, const struct nftrace_chain *chain)
{
    (void)user;
    return nftrace_hook_text(chain->hook) && nftrace_family_text(chain->family) ? 0 : -EINVAL;
}

static int ignore_route(void *user, const struct rtnl_route *route)
{
    (void)user;
    return route->dst.length > 128 ? -EINVAL : 0;
}

static void ask_for_set(struct nl *nl)
{
    const size_t room = 1 + pick(200);
    char *buf = malloc(room);

    if (!buf)
        return;
    buf[0] = '\0';
    (void)nft_set_format(nl, NFPROTO_INET, "f", "__set0", (enum nft_kind)pick(KIND_FIB_TYPE + 1),
                         buf, room);
    if (!memchr(buf, '\0', room))
        abort();
    free(buf);
}

static void follow(struct nftrace *nftrace)
{
    struct nftrace_event *events = calloc(8, sizeof(*events));
    char text[NFTRACE_TEXT];
    uint64_t lost;

    if (!events)
        return;
    kernel.datagrams = 1 + (int)pick(4);
    const int count = nftrace_collect(nftrace, events, 8, &lost);
    for (int i = 0; i < count; i++) {
        (void)nftrace_verdict_text(events[i].verdict);
        (void)nftrace_rule_text(nftrace, &events[i].chain, events[i].handle, text, sizeof(text),
                                NULL);
        check_text(text, sizeof(text));
    }
    free(events);
}

static void ask(struct nftrace *nftrace, struct rtnl *rtnl)
{
    const struct rtnl_lookup lookup = {.dst = {4, {192, 0, 2, 1}}};
    struct ingress ingress;
    struct rtnl_route route;

    (void)nftrace_each_chain(nftrace, ignore_chain, NULL);
    follow(nftrace);
    ask_for_set(&nftrace->owner);
    (void)ingress_survey(rtnl, 1, false, &ingress, NULL);
    (void)ingress_neighbour(rtnl, 1, &lookup.dst);
    (void)rtnl_route_each(rtnl, one_in(2) ? 6 : 4, ignore_route, NULL, NULL);
    (void)rtnl_route_lookup(rtnl, &lookup, &route, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nftrace *nftrace = calloc(1, sizeof(*nftrace));
    struct rtnl *rtnl = calloc(1, sizeof(*rtnl));

    input.at = data;
    input.left = len;
    if (nftrace && rtnl) {
        nftrace->owner.fd = nftrace->events.fd = rtnl->nl.fd = -1;
        memcpy(nftrace->table, "peer-trace-1", sizeof("peer-trace-1"));
        nftrace->config = (struct nftrace_config){.peer = {4, {198, 18, 0, 2}},
                                                  .target = {4, {192, 0, 2, 1}},
                                                  .protocol = IPPROTO_TCP,
                                                  .peer_port = 0x8000,
                                                  .port = 80};
        while (input.left > 0) {
            parse_directly();
            ask(nftrace, rtnl);
        }
        unpoison();
        free(nftrace->chains);
    }
    free(nftrace);
    free(rtnl);
    return 0;
}
