/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_PLACE_H
#define RELAY_PLACE_H

#include <peer/peer.h>

#include <stdbool.h>

/**
 * Where kernel sockets listen, or connect to: an address and a port, or a path of a Unix socket.
 * Everything here is of this process's own network namespace.
 */
enum { PLACE_PATH = 108, PLACE_TEXT = PLACE_PATH + PEER_ENDPOINT_TEXT + 8 };

struct place {
    struct peer_addr addr; /* family 0: a path */
    uint16_t port;
    char path[PLACE_PATH];
};

/** "192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/x". Returns `buf`. */
const char *place_format(const struct place *place, char buf[PLACE_TEXT]);
/**
 * A socket that is bound there and, for TCP and a stream, listens. Fills in the port that the kernel
 * has chosen for port 0. IPv6 is that alone. The descriptor, or -errno: -EADDRINUSE (somebody is
 * there), -EEXIST (the path is there, and nobody listens at it), -EADDRNOTAVAIL, -EACCES.
 */
int place_listen(struct place *place, bool udp);
/**
 * The UDP socket fds[0], which is bound there, gets company: up to `count` sockets of one place, among
 * which the kernel keeps each source with one. What came to it before is thrown away. -errno; what was
 * opened is in `fds` then, too.
 */
int place_share(const struct place *place, int *fds, unsigned count);
/** Removes the path, if that is what it is. */
void place_unlink(const struct place *place);
/** A connection to it that is under way, or there: *ret_called. The descriptor, or -errno. */
int place_connect(const struct place *place, bool udp, bool *ret_called);

struct sockaddr_storage;
/** The place of a socket's address; a Unix socket without a name has an empty path. */
void place_of(const struct sockaddr_storage *from, struct place *ret_place);

#endif
