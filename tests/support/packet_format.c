/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line a frame, in the words of tcpdump (without the time and the leading "IP"), with absolute
 * sequence numbers. Text that does not fit is cut. Everything is printed from the frame within the
 * bounds that packet_parse found, so a broken frame prints as far as it was understood.
 */
#include "support/packet_format.h"

#include "packet/fields.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *buf;
    size_t room, len;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    va_list args;

    if (text->len + 1 >= text->room)
        return;
    va_start(args, format);
    int len = vsnprintf(text->buf + text->len, text->room - text->len, format, args);
    va_end(args);
    if (len > 0)
        text->len += (size_t)len;
    if (text->len >= text->room)
        text->len = text->room - 1;
}

static void put_addr(struct text *text, const struct peer_addr *addr)
{
    char buf[PEER_ADDR_TEXT];

    put(text, "%s", peer_addr_format(addr, buf));
}

static void put_addr4(struct text *text, const uint8_t *bytes)
{
    struct peer_addr addr = {.family = 4};

    memcpy(addr.bytes, bytes, 4);
    put_addr(text, &addr);
}

static void put_addr6(struct text *text, const uint8_t *bytes)
{
    struct peer_addr addr = {.family = 6};

    memcpy(addr.bytes, bytes, 16);
    put_addr(text, &addr);
}

/* The two ends: "a > b: ", with ports "a.1 > b.2: ". From the IP header, since `dst` of a
   neighbour solicitation is its target. */
static void put_ends(struct text *text, const uint8_t *frame, const struct packet *packet)
{
    const uint8_t *ip = frame + packet->ip_at;
    bool ports = packet->src_port || packet->dst_port;

    put_addr(text, &packet->src);
    if (ports)
        put(text, ".%u", packet->src_port);
    put(text, " > ");
    if (packet->ip_version == 6)
        put_addr6(text, ip + 24);
    else
        put_addr4(text, ip + 16);
    if (ports)
        put(text, ".%u", packet->dst_port);
    put(text, ": ");
}

/* ---- TCP ---- */

static void put_sack(struct text *text, const uint8_t *value, uint32_t len)
{
    put(text, "sack %u ", len / 8);
    for (uint32_t i = 0; i + 8 <= len; i += 8)
        put(text, "{%u:%u}", get32(value + i), get32(value + i + 4));
}

/* One option of kind > 1, its value `len` bytes long. */
static void put_tcp_option(struct text *text, uint8_t kind, const uint8_t *value, uint32_t len)
{
    if (kind == 2 && len == 2)
        put(text, "mss %u", get16(value));
    else if (kind == 3 && len == 1)
        put(text, "wscale %u", value[0]);
    else if (kind == 4 && len == 0)
        put(text, "sackOK");
    else if (kind == 5 && len % 8 == 0)
        put_sack(text, value, len);
    else if (kind == 8 && len == 8)
        put(text, "TS val %u ecr %u", get32(value), get32(value + 4));
    else
        put(text, "unknown-%u", kind);
}

static void put_tcp_options(struct text *text, const uint8_t *at, const uint8_t *end)
{
    const char *separator = "";

    if (at == end)
        return;
    put(text, ", options [");
    while (at < end) {
        uint8_t kind = *at;
        put(text, "%s", separator);
        separator = ",";
        if (kind <= 1) {
            put(text, kind ? "nop" : "eol");
            at++;
            if (kind == 0)
                break;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at) {
            put(text, "bad opt");
            break;
        }
        put_tcp_option(text, kind, at + 2, at[1] - 2u);
        at += at[1];
    }
    put(text, "]");
}

static void put_tcp_flags(struct text *text, uint8_t flags)
{
    static const char letters[] = "FSRP.UEW";

    put(text, "Flags [");
    for (unsigned i = 0; i < 8; i++) {
        if (flags & (1u << i))
            put(text, "%c", letters[i]);
    }
    put(text, flags ? "]" : "none]");
}

static void put_tcp(struct text *text, const uint8_t *frame, const struct packet *packet)
{
    const uint8_t *tcp = frame + packet->transport_at;
    uint8_t flags = packet->tcp_flags;
    uint32_t seq = get32(tcp + 4);

    put_tcp_flags(text, flags);
    if (packet->payload_len)
        put(text, ", seq %u:%u", seq, seq + packet->payload_len);
    else if (flags & (TCP_SYN | TCP_FIN | TCP_RST))
        put(text, ", seq %u", seq);
    if (flags & TCP_ACK)
        put(text, ", ack %u", get32(tcp + 8));
    put(text, ", win %u", get16(tcp + 14));
    if (flags & TCP_URG)
        put(text, ", urg %u", get16(tcp + 18));
    put_tcp_options(text, tcp + TCP_HEADER, frame + packet->payload_at);
    put(text, ", length %u", packet->payload_len);
}

/* ---- ICMP ---- */

/* The packet an error is about, as "icmp udp 192.0.2.1.53". */
static void put_quote(struct text *text, const uint8_t *quote, size_t len)
{
    struct packet inner;

    (void)packet_parse(quote, len, FRAME_IP, &inner);
    if (inner.kind == PACKET_OTHER)
        return;
    put(text, ", for ");
    put_addr(text, &inner.dst);
    if (inner.protocol == IPPROTO_TCP && inner.dst_port)
        put(text, " tcp port %u", inner.dst_port);
    else if (inner.protocol == IPPROTO_UDP && inner.dst_port)
        put(text, " udp port %u", inner.dst_port);
    else
        put(text, " protocol %u", inner.protocol);
}

static const char *icmp4_name(uint8_t type, uint8_t code)
{
    static const char *const unreachable[] = {
        "net unreachable",  "host unreachable", "protocol unreachable",
        "port unreachable", "need to frag",     "source route failed",
    };

    switch (type) {
    case 0:
        return "echo reply";
    case 3:
        if (code == 9 || code == 10 || code == 13)
            return "unreachable, admin prohibited";
        return code < sizeof(unreachable) / sizeof(unreachable[0]) ? unreachable[code]
                                                                   : "unreachable";
    case 5:
        return "redirect";
    case 8:
        return "echo request";
    case 11:
        return code ? "time exceeded in reassembly" : "time exceeded in-transit";
    case 12:
        return "parameter problem";
    default:
        return NULL;
    }
}

static const char *icmp6_name(uint8_t type, uint8_t code)
{
    static const char *const unreachable[] = {
        "unreachable route", "unreachable prohibited",       "beyond scope", "unreachable address",
        "unreachable port",  "source address failed policy", "reject route",
    };

    switch (type) {
    case 1:
        return code < sizeof(unreachable) / sizeof(unreachable[0]) ? unreachable[code]
                                                                   : "unreachable";
    case 2:
        return "packet too big";
    case 3:
        return code ? "time exceeded in reassembly" : "time exceeded in-transit";
    case 4:
        return "parameter problem";
    case 128:
        return "echo request";
    case 129:
        return "echo reply";
    case 133:
        return "router solicitation";
    case 134:
        return "router advertisement";
    case 135:
        return "neighbor solicitation";
    case 136:
        return "neighbor advertisement";
    default:
        return NULL;
    }
}

/* What follows the name of the message: numbers of an echo, target of ND, the quote of an error. */
static void put_icmp_detail(struct text *text, const uint8_t *icmp, uint32_t len, bool v6)
{
    uint8_t type = icmp[0];
    bool echo = v6 ? type == 128 || type == 129 : type == 0 || type == 8;
    bool error = v6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;

    if (echo)
        put(text, ", id %u, seq %u", get16(icmp + 4), get16(icmp + 6));
    if (v6 && (type == 135 || type == 136) && len >= ND_SOLICIT_BYTES) {
        put(text, type == 135 ? ", who has " : ", tgt is ");
        put_addr6(text, icmp + 8);
    }
    if (v6 && type == 2)
        put(text, ", mtu %u", get32(icmp + 4));
    if (!v6 && type == 3 && icmp[1] == 4)
        put(text, ", mtu %u", get16(icmp + 6));
    if (error)
        put_quote(text, icmp + ICMP_HEADER, len - ICMP_HEADER);
}

static void put_icmp(struct text *text, const uint8_t *frame, const struct packet *packet)
{
    const uint8_t *icmp = frame + packet->transport_at;
    uint32_t len = packet->ip_len - (uint32_t)(packet->transport_at - packet->ip_at);
    bool v6 = packet->ip_version == 6;
    const char *name = v6 ? icmp6_name(icmp[0], icmp[1]) : icmp4_name(icmp[0], icmp[1]);

    put(text, v6 ? "ICMP6, " : "ICMP ");
    if (name)
        put(text, "%s", name);
    else
        put(text, "type %u code %u", icmp[0], icmp[1]);
    put_icmp_detail(text, icmp, len, v6);
    put(text, ", length %u", len);
}

/* ---- the rest ---- */

static void put_arp(struct text *text, const uint8_t *frame, size_t len,
                    const struct packet *packet)
{
    char mac[PEER_MAC_TEXT];
    struct peer_mac sender;

    memcpy(sender.bytes, frame + packet->arp_at + 8, sizeof(sender.bytes));
    if (packet->arp_op == 1) {
        put(text, "ARP, Request who-has ");
        put_addr(text, &packet->dst);
        put(text, " tell ");
        put_addr(text, &packet->src);
    } else if (packet->arp_op == 2) {
        put(text, "ARP, Reply ");
        put_addr(text, &packet->src);
        put(text, " is-at %s", peer_mac_format(&sender, mac));
    } else {
        put(text, "ARP, op %u", packet->arp_op);
    }
    put(text, ", length %zu", len - packet->arp_at);
}

static void put_fragment(struct text *text, const uint8_t *frame, const struct packet *packet)
{
    const uint8_t *ip = frame + packet->ip_at;

    put(text, "frag");
    if (packet->ip_version == 4)
        put(text, " (id %u, offset %u%s)", get16(ip + 4), (get16(ip + 6) & 0x1fffu) * 8,
            ip[6] & 0x20 ? "+" : "");
    put(text, ", ip-proto-%u, length %u", packet->protocol, packet->ip_len);
}

static void put_ip(struct text *text, const uint8_t *frame, const struct packet *packet, bool bad)
{
    put_ends(text, frame, packet);
    if (packet->fragment)
        put_fragment(text, frame, packet);
    else if (packet->kind == PACKET_TCP)
        put_tcp(text, frame, packet);
    else if (packet->kind == PACKET_UDP)
        put(text, "UDP, length %u", packet->payload_len);
    else if (packet->kind == PACKET_ICMP || packet->kind == PACKET_ND_SOLICIT)
        put_icmp(text, frame, packet);
    else
        put(text, "ip-proto-%u, length %u", packet->protocol, packet->ip_len);
    if (bad)
        put(text, " [malformed]");
}

static void put_other(struct text *text, const uint8_t *frame, size_t len, enum frame_layer layer,
                      bool bad)
{
    if (layer == FRAME_ETHERNET && len >= ETHERNET_HEADER)
        put(text, "ethertype 0x%04x", get16(frame + 12));
    else
        put(text, layer == FRAME_ETHERNET ? "Ethernet" : "IP");
    put(text, ", length %zu%s", len, bad ? " [malformed]" : "");
}

const char *packet_format(const void *data, size_t len, enum frame_layer layer, char *buf,
                          size_t room)
{
    struct text text = {buf, room, 0};
    struct packet packet;
    const uint8_t *frame = data;

    if (room == 0)
        return "";
    buf[0] = '\0';
    bool bad = packet_parse(data, len, layer, &packet) < 0;
    if (packet.kind == PACKET_ARP)
        put_arp(&text, frame, len, &packet);
    else if (packet.kind == PACKET_OTHER)
        put_other(&text, frame, len, layer, bad);
    else
        put_ip(&text, frame, &packet, bad);
    return buf;
}
