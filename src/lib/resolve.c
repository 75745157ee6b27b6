/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names to addresses, by the system's resolver.
 */
#include "base/addr_set.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <peer/peer.h>
#include <string.h>

static int family_of(uint8_t family)
{
    return family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
}

static int wrong_family(const char *host, uint8_t family, struct peer_error *error)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" is no IPv%d address", host, family);
}

static struct peer_addr addr_of(const struct addrinfo *found)
{
    struct peer_addr addr = {.family = found->ai_family == AF_INET6 ? 6 : 4};

    if (addr.family == 6)
        memcpy(addr.bytes, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, 16);
    else
        memcpy(addr.bytes, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, 4);
    return addr;
}

/* In the resolver's order (RFC 6724), each once. */
static int by_name(const char *host, uint8_t family, struct peer_addr *addrs, int most,
                   struct peer_error *error)
{
    struct addrinfo hints = {.ai_family = family_of(family), .ai_socktype = SOCK_STREAM}, *found;
    int status = getaddrinfo(host, NULL, &hints, &found), count = 0;
    if (status != 0)
        return error_set(error, PEER_ERROR_USAGE, ENOENT, "no address for \"%s\": %s", host,
                         gai_strerror(status));
    for (struct addrinfo *at = found; at && count < most; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        struct peer_addr addr = addr_of(at);
        int same = 0;
        while (same < count && !peer_addr_equal(&addrs[same], &addr))
            same++;
        if (same == count)
            addrs[count++] = addr;
    }
    freeaddrinfo(found);
    if (!count)
        return error_set(error, PEER_ERROR_USAGE, ENOENT, "no IP address for \"%s\"", host);
    return count;
}

int peer_resolve_all(const char *host, uint8_t family, struct peer_addr *addrs, int most,
                     struct peer_error *error)
{
    struct peer_addr addr;

    if (!*host)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "the host is empty");
    if (peer_addr_parse(host, &addr) < 0)
        return by_name(host, family, addrs, most, error);
    if (family && addr.family != family)
        return wrong_family(host, family, error);
    addrs[0] = addr;
    return 1;
}

int peer_resolve(const char *host, uint8_t family, struct peer_addr *ret_addr,
                 struct peer_error *error)
{
    struct peer_addr addr;
    int count = peer_resolve_all(host, family, &addr, 1, error);

    if (count < 0)
        return count;
    *ret_addr = addr;
    return 0;
}

int peer_count_addresses(const char *from, uint64_t *ret_count)
{
    struct addr_set set;
    int status = addr_set_parse(from, &set, NULL);

    if (status < 0)
        return status;
    *ret_count = set.count;
    addr_set_done(&set);
    return 0;
}
