/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that is written as an address is that address, whatever the message calls it: clients send
 * "192.0.2.1" as a name. Names go to a resolver and into messages for people, so they are of few
 * characters only.
 */
#include "proxy/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int complain(char why[HTTP_WHY], const char *text)
{
    snprintf(why, HTTP_WHY, "%s", text);
    return -EINVAL;
}

static bool is_name(struct http_text host)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    for (size_t i = 0; i < host.len; i++) {
        if (!host.at[i] || !strchr(chars, host.at[i]))
            return false;
    }
    return host.at[0] != '-' && host.at[0] != '.';
}

struct peer_addr proxy_addr_unmapped(struct peer_addr addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct peer_addr unmapped = {.family = 4};

    if (addr.family != 6 || memcmp(addr.bytes, mapped, sizeof(mapped)) != 0)
        return addr;
    memcpy(unmapped.bytes, addr.bytes + sizeof(mapped), 4);
    return unmapped;
}

int proxy_target_set_host(struct proxy_target *target, struct http_text host, char why[HTTP_WHY])
{
    const bool bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    char text[PROXY_NAME_MOST + 1];
    struct peer_addr addr;

    if (!host.len)
        return complain(why, "a target without a host");
    if (host.len > PROXY_NAME_MOST)
        return complain(why, "a host's name of more than 255 bytes");
    if (bracketed)
        host = (struct http_text){host.at + 1, host.len - 2};
    memcpy(text, host.at, host.len);
    text[host.len] = 0;
    const bool numeric = strlen(text) == host.len && peer_addr_parse(text, &addr) == 0;
    if (bracketed ? !numeric || addr.family != 6 : !numeric && !is_name(host))
        return complain(why, "a target whose host is neither a name nor an address");
    target->addr = numeric ? proxy_addr_unmapped(addr) : (struct peer_addr){0};
    memcpy(target->name, numeric ? "" : text, numeric ? 1 : host.len + 1);
    return 0;
}

/* Where the port's colon is; the text's length when there is none. */
static size_t find_colon(struct http_text authority)
{
    const char *bracket =
        authority.len && authority.at[0] == '[' ? memchr(authority.at, ']', authority.len) : NULL;
    const size_t from = bracket ? (size_t)(bracket - authority.at) : 0;
    const char *colon =
        authority.len ? memchr(authority.at + from, ':', authority.len - from) : NULL;

    return colon ? (size_t)(colon - authority.at) : authority.len;
}

static int parse_port(struct http_text digits, uint16_t *ret_port)
{
    unsigned port = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(digits.at[i] - '0');
        if (port > UINT16_MAX)
            return -EINVAL;
    }
    *ret_port = (uint16_t)port;
    return port ? 0 : -EINVAL;
}

int proxy_target_parse(struct http_text authority, uint16_t port, struct proxy_target *ret_target,
                       char why[HTTP_WHY])
{
    const size_t colon = find_colon(authority);
    const struct http_text host = {authority.at, colon};
    struct proxy_target target = {.port = port};

    /* "host:" is one with the scheme's port (RFC 3986 3.2.3) */
    if (colon + 1 < authority.len || (colon < authority.len && !port)) {
        const struct http_text digits = {authority.at + colon + 1, authority.len - colon - 1};
        if (parse_port(digits, &target.port) < 0)
            return complain(why, "a target's port is none of 1 to 65535");
    }
    if (!target.port)
        return complain(why, "a target without a port");
    if (proxy_target_set_host(&target, host, why) < 0)
        return -EINVAL;
    *ret_target = target;
    return 0;
}

const char *proxy_target_format(const struct proxy_target *target, char buf[PROXY_TARGET_TEXT])
{
    if (target->addr.family)
        return peer_endpoint_format(&target->addr, target->port, buf);
    snprintf(buf, PROXY_TARGET_TEXT, "%s:%u", target->name, target->port);
    return buf;
}

bool proxy_target_equal(const struct proxy_target *a, const struct proxy_target *b)
{
    return a->port == b->port && peer_addr_equal(&a->addr, &b->addr) &&
           strcasecmp(a->name, b->name) == 0;
}
