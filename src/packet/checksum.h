/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_CHECKSUM_H
#define PACKET_CHECKSUM_H

#include "frame.h"
#include "parse.h"

/** Sum of 16-bit words (RFC 1071), unfolded; `sum` continues an earlier one over even lengths. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);
/** Folds and inverts: ready for the header, network order already. */
uint16_t checksum_finish(uint64_t sum);
/** The unfolded sum of the pseudo-header (RFC 793 3.1, RFC 8200 8.1). */
uint64_t checksum_pseudo(const struct peer_addr *src, const struct peer_addr *dst, uint8_t protocol,
                         uint32_t transport_len);

/**
 * Makes the transport checksum complete where the offload says it is not; clears
 * FRAME_NEEDS_CSUM. A frame that is too short for its own csum_start is -EBADMSG.
 */
int checksum_complete(void *data, size_t len, struct frame_offload *offload);

/**
 * Whether IPv4 header and TCP/UDP/ICMP/ICMPv6 checksum are right (UDP over IPv4: 0 is right).
 * `packet` is what packet_parse made of this frame. Of a fragment only the IPv4 header is checked,
 * what has no checksum is right, and a frame shorter than its packet is wrong.
 */
bool checksum_verify(const void *data, size_t len, const struct packet *packet);

#endif
