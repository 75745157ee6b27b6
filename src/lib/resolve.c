/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names to addresses, by the system's resolver.
 */
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

static int by_name(const char *host, uint8_t family, struct peer_addr *ret_addr,
                   struct peer_error *error)
{
    struct addrinfo hints = {.ai_family = family_of(family), .ai_socktype = SOCK_STREAM}, *found;
    int status = getaddrinfo(host, NULL, &hints, &found);
    if (status != 0)
        return error_set(error, PEER_ERROR_USAGE, ENOENT, "no address for \"%s\": %s", host,
                         gai_strerror(status));
    struct peer_addr addr = {0};
    if (found->ai_family == AF_INET6) {
        addr.family = 6;
        memcpy(addr.bytes, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, 16);
    } else {
        addr.family = 4;
        memcpy(addr.bytes, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, 4);
    }
    freeaddrinfo(found);
    *ret_addr = addr;
    return 0;
}

int peer_resolve(const char *host, uint8_t family, struct peer_addr *ret_addr,
                 struct peer_error *error)
{
    struct peer_addr addr;

    if (!*host)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "the host is empty");
    if (peer_addr_parse(host, &addr) < 0)
        return by_name(host, family, ret_addr, error);
    if (family && addr.family != family)
        return wrong_family(host, family, error);
    *ret_addr = addr;
    return 0;
}
