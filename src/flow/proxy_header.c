/* SPDX-License-Identifier: BSD-3-Clause */
/* See proxy_header.h. */
#include "flow/proxy_header.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    COMMAND_PROXY = 0x21, /* version 2, on behalf of another */
    TCP_OVER_V4 = 0x11,
    TCP_OVER_V6 = 0x21,
};

static size_t write_text(const struct stack_tuple *tuple, uint8_t out[PROXY_HEADER_MOST])
{
    char from[PEER_ADDR_TEXT], to[PEER_ADDR_TEXT], line[PROXY_HEADER_MOST + 1];

    int len = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
                       tuple->local.family == 6 ? '6' : '4', peer_addr_format(&tuple->local, from),
                       peer_addr_format(&tuple->remote, to), tuple->local_port, tuple->remote_port);
    assert(len > 0 && len <= PROXY_HEADER_MOST);
    memcpy(out, line, (size_t)len);
    return (size_t)len;
}

static uint8_t *put16(uint8_t *at, unsigned value)
{
    *at++ = (uint8_t)(value >> 8);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put(uint8_t *at, const uint8_t *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static size_t write_binary(const struct stack_tuple *tuple, uint8_t out[PROXY_HEADER_MOST])
{
    static const uint8_t signature[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                        0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    const bool v6 = tuple->local.family == 6;
    const size_t addr_bytes = v6 ? 16 : 4;
    uint8_t *at = put(out, signature, sizeof(signature));

    *at++ = COMMAND_PROXY;
    *at++ = v6 ? TCP_OVER_V6 : TCP_OVER_V4;
    at = put16(at, (unsigned)(2 * addr_bytes + 4));
    at = put(at, tuple->local.bytes, addr_bytes);
    at = put(at, tuple->remote.bytes, addr_bytes);
    at = put16(at, tuple->local_port);
    at = put16(at, tuple->remote_port);
    return (size_t)(at - out);
}

size_t proxy_header_write(uint8_t version, const struct stack_tuple *tuple,
                          uint8_t out[PROXY_HEADER_MOST])
{
    return version == PROXY_HEADER_BINARY ? write_binary(tuple, out) : write_text(tuple, out);
}
