/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SUPPORT_PACKET_FORMAT_H
#define SUPPORT_PACKET_FORMAT_H

#include "packet/parse.h"

/**
 * One line such as tcpdump prints: "198.18.0.2.40000 > 192.0.2.1.80: Flags [S], seq 1, win 64240,
 * length 0". Cut to `room`. Returns `buf`, or "" when there is no room at all.
 */
const char *packet_format(const void *data, size_t len, enum frame_layer layer, char *buf,
                          size_t room);

#endif
