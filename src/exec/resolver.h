/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_RESOLVER_H
#define EXEC_RESOLVER_H

#include <peer/addr.h>
#include <peer/error.h>
#include <sys/types.h>

/**
 * Names resolve in a place as on the host. The host's nameservers are addresses of lo there, with
 * sockets on port 53 (UDP and TCP); a child process in the host's namespace passes queries on to the
 * same nameservers by sockets of its own, and the answers back. It reads nothing of either.
 *
 * Not shadowed so is a nameserver with an address of this machine that is no loopback one, when the
 * place can reach that: it may be the very server under test. One with a link-local address is left
 * out: the place has not the link. Names that the host's C library asks of others by a Unix socket
 * (nscd, nss-resolve, mDNS) resolve by that, since files are the host's.
 *
 * A query that the nameserver does not answer within 5 s is forgotten; one that it refuses is
 * answered with SERVFAIL, so that the asking program goes on to the next.
 */
enum { RESOLVER_MAX = 3 }; /* as many as any resolver asks (MAXNS) */

struct resolver_door {
    struct peer_addr nameserver;
    int udp, tcp; /* bound to it in the place; tcp listens */
};
struct resolver {
    int end;   /* readable when it was killed by somebody; 0: there is none */
    pid_t pid;
};

/** The nameservers of a resolv.conf, 127.0.0.1 where it names none (or is not there). Their number,
 * from 0 (all are link-local) to RESOLVER_MAX. */
int resolver_read(const char *path, struct peer_addr ret_nameservers[RESOLVER_MAX]);
/** In the place, to whose lo the address was added: its two sockets. 0 or -errno. */
int resolver_open(struct resolver_door *door);
/** Starts the process; the doors stay the caller's to close. 0 or -errno with text. */
int resolver_start(const struct resolver_door *doors, int count, struct resolver *ret,
                   struct peer_error *error);
/** Takes zero-initialised, and leaves it so. */
void resolver_end(struct resolver *resolver);

#endif
