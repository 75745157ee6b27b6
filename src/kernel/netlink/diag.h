/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_DIAG_H
#define KERNEL_NETLINK_DIAG_H

#include "base/addr_set.h"

#include <peer/addr.h>
#include <peer/error.h>
#include <stdbool.h>

/** Socket diagnosis (sock_diag) and counters, in the namespace the socket was opened in. */
struct diag;
int diag_open(struct diag **ret_diag, struct peer_error *error);
int diag_adopt(int fd, struct diag **ret_diag, struct peer_error *error);
int diag_fd(const struct diag *diag);
struct diag *diag_free(struct diag *diag);

/** A socket that would take what is sent to (addr, port). */
struct diag_socket {
    struct peer_addr local; /* unspecified for a wildcard */
    uint16_t port;
    int bound_ifindex;             /* SO_BINDTODEVICE, 0 when not */
    uint32_t queue_now, queue_max; /* LISTEN: accept queue; UDP: bytes queued and limit */
    uint32_t drops;                /* SK_MEMINFO_DROPS */
    uint32_t uid;
    uint32_t mark; /* SO_MARK; 0 also where only root may know */
    uint32_t inode;
    bool v6only;
    bool connected; /* takes from one peer only */
};
/** All listeners (TCP) or bound sockets (UDP) on `port`, both families. Until `each` returns
 * non-zero. */
int diag_listeners(struct diag *diag, uint8_t protocol, uint16_t port,
                   int (*each)(void *user, const struct diag_socket *socket), void *user,
                   struct peer_error *error);
/** A packet from (peer, peer_port) to (local, port) that arrives on `ifindex`. */
struct diag_packet {
    uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    struct peer_addr local, peer;
    uint16_t port, peer_port;
    int ifindex;
};
/** The kernel's own look-up: who gets it? 0 with the socket, -ENOENT when nobody. */
int diag_lookup(struct diag *diag, const struct diag_packet *packet, struct diag_socket *ret_socket,
                struct peer_error *error);

/**
 * Has this machine TCP connections to addresses of `peers` that are not over yet (time-wait is) and
 * not just begun? 1, 0 or -errno.
 */
int diag_has_connections(struct diag *diag, const struct addr_set *peers);

/**
 * Destroys this machine's TCP connections to addresses of `peers`, as far as the kernel lets: of
 * sockets that are bound to no device, to `ifindex` or to `vrf` (0: none).
 */
void diag_end_connections(struct diag *diag, const struct addr_set *peers, int ifindex, int vrf);

/** Process that holds the socket `inode`, by /proc: pid or 0; `comm` filled when found. */
int diag_inode_owner(uint32_t inode, char comm[32]);

#endif
