/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_LIMITS_H
#define PEER_LIMITS_H

/** Numbers that IP and Linux fix. One name each, for callers and for us. */
enum {
    PEER_PORT_MAX = 65535,
    PEER_PORT_ANY_USER = 1024, /* the first one that needs no privilege */
    /** So many connections a peer may have to one place: each takes a port that needs none. */
    PEER_PORTS = PEER_PORT_MAX + 1 - PEER_PORT_ANY_USER,

    PEER_MTU_DEFAULT = 1500,  /* Ethernet's */
    PEER_MTU_MIN_V4 = 68,     /* RFC 791, 3.2 */
    PEER_MTU_MIN_V6 = 1280,   /* RFC 8200, 5 */
    PEER_MTU_MAX_TUN = 65535, /* of Linux's driver, */
    PEER_MTU_MAX_TAP = 65521, /* which counts the Ethernet header */

    /** Payload bytes of the longest datagram and the longest ping. RFC 791 counts the IPv4 header
     *  in 16 bits; lwIP counts the IPv6 header, too, which RFC 8200 does not. */
    PEER_DATAGRAM_MAX_V4 = 65507,
    PEER_DATAGRAM_MAX_V6 = 65487,
};

#endif
