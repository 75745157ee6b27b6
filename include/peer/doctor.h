/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_DOCTOR_H
#define PEER_DOCTOR_H

#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Can this machine run peer, and what would have to change? Reads only; nothing is left behind. */
enum peer_check_status {
    PEER_CHECK_OK,
    PEER_CHECK_NOTE,    /* works, but know this */
    PEER_CHECK_PROBLEM, /* something will not work; `mend` says what to do */
};

struct peer_check {
    const char *name; /* stable word: "device-node", "rp-filter", ... */
    enum peer_check_status status;
    char text[256]; /* what was found, one line */
    char mend[256]; /* a command, or empty */
};

struct peer_confine_config;
/** All zero: the machine alone. */
struct peer_doctor_config {
    const char *device_node; /* default /dev/net/tun */
    const char *from;        /* addresses to check for conflicting routes; default 198.18.0.0/15 */
    /** An interface on whose wire the peers would be: may they? Nothing is joined to it. NULL:
     * none. */
    const char *wire;
    /** A target: what stands in the way of a packet from a peer to it, without sending one. A
     * device is made for the look and gone afterwards, so CAP_NET_ADMIN is needed. */
    struct peer_addr to; /* family 0: none */
    uint16_t to_port;
    bool udp;
    /** What would be given up: tried by a process made for it. NULL: as all zero, which keeps
     *  nothing. */
    const struct peer_confine_config *confine;
};

/** Runs every check in order, and calls `each` (which may be NULL) with what it found. Returns how
 *  many found a problem, or -E2BIG, see peer/peer.h. */
PEER_EXPORT int peer_doctor_sized(const struct peer_doctor_config *config, size_t size,
                                  void (*each)(void *user, const struct peer_check *check),
                                  void *user);
static inline int peer_doctor(const struct peer_doctor_config *config,
                              void (*each)(void *user, const struct peer_check *check), void *user)
{
    return peer_doctor_sized(config, sizeof(*config), each, user);
}

#ifdef __cplusplus
}
#endif

#endif
