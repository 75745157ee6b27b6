/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses as values: 17 bytes without padding, so that equality is one memcmp and a hash may run
 * over the struct itself. That holds because every function that makes an IPv4 address leaves the
 * twelve bytes after it zero.
 */
#include "base/addr_set.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(struct peer_addr) == 17, "addresses are compared and hashed as bytes");

static const uint8_t ipv6_loopback[16] = {[15] = 1};

int peer_addr_parse(const char *text, struct peer_addr *ret_addr)
{
    struct peer_addr addr = {0};

    if (!text)
        return -EINVAL;
    if (inet_pton(AF_INET, text, addr.bytes) == 1)
        addr.family = 4;
    else if (inet_pton(AF_INET6, text, addr.bytes) == 1)
        addr.family = 6;
    else
        return -EINVAL;
    *ret_addr = addr;
    return 0;
}

const char *peer_addr_format(const struct peer_addr *addr, char buf[PEER_ADDR_TEXT])
{
    int af = addr->family == 4 ? AF_INET : AF_INET6;

    if (addr->family == 0 || !inet_ntop(af, addr->bytes, buf, PEER_ADDR_TEXT))
        memcpy(buf, "none", sizeof("none"));
    return buf;
}

const char *peer_endpoint_format(const struct peer_addr *addr, uint16_t port,
                                 char buf[PEER_ENDPOINT_TEXT])
{
    char text[PEER_ADDR_TEXT];
    bool brackets = addr->family == 6;

    snprintf(buf, PEER_ENDPOINT_TEXT, "%s%s%s:%u", brackets ? "[" : "",
             peer_addr_format(addr, text), brackets ? "]" : "", (unsigned)port);
    return buf;
}

bool peer_addr_equal(const struct peer_addr *a, const struct peer_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- kinds of addresses ---- */

bool addr_is_loopback(const struct peer_addr *addr)
{
    if (addr->family == 4)
        return addr->bytes[0] == 127;
    return addr->family == 6 && memcmp(addr->bytes, ipv6_loopback, 16) == 0;
}

bool addr_is_multicast(const struct peer_addr *addr)
{
    if (addr->family == 4)
        return (addr->bytes[0] & 0xF0) == 0xE0;
    return addr->family == 6 && addr->bytes[0] == 0xFF;
}

bool addr_is_unspecified(const struct peer_addr *addr)
{
    static const uint8_t zero[16];

    return addr->family != 0 && memcmp(addr->bytes, zero, 16) == 0;
}

bool addr_is_link_local(const struct peer_addr *addr)
{
    if (addr->family == 4)
        return addr->bytes[0] == 169 && addr->bytes[1] == 254;
    return addr->family == 6 && addr->bytes[0] == 0xFE && (addr->bytes[1] & 0xC0) == 0x80;
}

/* ---- Ethernet addresses ---- */

/* Value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int peer_mac_parse(const char *text, struct peer_mac *ret_mac)
{
    static const struct peer_mac zero;
    struct peer_mac mac;

    /* The length first, so that nothing below reads past the end. */
    if (!text || strlen(text) != PEER_MAC_TEXT - 1)
        return -EINVAL;
    char separator = text[2];
    if (separator != ':' && separator != '-')
        return -EINVAL;
    for (size_t i = 0; i < sizeof(mac.bytes); i++) {
        int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);
        bool last = i + 1 == sizeof(mac.bytes);
        if (high < 0 || low < 0 || (!last && text[3 * i + 2] != separator))
            return -EINVAL;
        mac.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if ((mac.bytes[0] & 1) || memcmp(&mac, &zero, sizeof(mac)) == 0)
        return -EINVAL;
    *ret_mac = mac;
    return 0;
}

const char *peer_mac_format(const struct peer_mac *mac, char buf[PEER_MAC_TEXT])
{
    const uint8_t *b = mac->bytes;

    snprintf(buf, PEER_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
             b[5]);
    return buf;
}

struct peer_mac mac_add(struct peer_mac mac, uint64_t n)
{
    /* The first byte holds the group and local bits: never touched, so a sum stays a station's. */
    for (int i = 5; i >= 1; i--) {
        n += mac.bytes[i];
        mac.bytes[i] = (uint8_t)n;
        n >>= 8;
    }
    return mac;
}
