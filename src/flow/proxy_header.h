/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FLOW_PROXY_HEADER_H
#define FLOW_PROXY_HEADER_H

#include "stack/conn.h"

/**
 * The header of the PROXY protocol, by which a proxy tells the server behind it who calls
 * (HAProxy's specification of 2020, 2.1 and 2.2). Both versions, TCP over IPv4 and IPv6, no TLVs.
 */
enum { PROXY_HEADER_TEXT = 1, PROXY_HEADER_BINARY = 2, PROXY_HEADER_MOST = 107 };

/** Of the flow `tuple`: its `local` end is the source. `version` is one of the two. Returns how many
 *  bytes of `out` it takes. */
size_t proxy_header_write(uint8_t version, const struct stack_tuple *tuple,
                          uint8_t out[PROXY_HEADER_MOST]);

#endif
