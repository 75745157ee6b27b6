/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses and errors across the wall between lwIP's types and ours.
 */
#include "stack/internal.h"

#include <string.h>

void addr_to_lwip(const struct peer_addr *addr, ip_addr_t *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (addr->family == 6) {
        IP_SET_TYPE_VAL(*ret, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(ret)->addr, addr->bytes, 16);
    } else {
        IP_SET_TYPE_VAL(*ret, IPADDR_TYPE_V4);
        memcpy(&ip_2_ip4(ret)->addr, addr->bytes, 4);
    }
}

void addr_from_lwip(const ip_addr_t *ip, struct peer_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (IP_IS_V6_VAL(*ip)) {
        ret->family = 6;
        memcpy(ret->bytes, ip_2_ip6(ip)->addr, 16);
    } else {
        ret->family = 4;
        memcpy(ret->bytes, &ip_2_ip4(ip)->addr, 4);
    }
}

int errno_from_lwip(err_t error)
{
    switch (error) {
    case ERR_OK:
        return 0;
    case ERR_MEM:
    case ERR_BUF:
        return -ENOMEM;
    case ERR_TIMEOUT:
        return -ETIMEDOUT;
    case ERR_RTE:
        return -ENETUNREACH;
    case ERR_INPROGRESS:
        return -EINPROGRESS;
    case ERR_WOULDBLOCK:
        return -EAGAIN;
    case ERR_USE:
        return -EADDRINUSE;
    case ERR_ALREADY:
        return -EALREADY;
    case ERR_ISCONN:
        return -EISCONN;
    case ERR_CONN:
    case ERR_CLSD:
        return -ENOTCONN;
    case ERR_ABRT:
    case ERR_RST:
        return -ECONNRESET;
    default:
        return -EINVAL;
    }
}
