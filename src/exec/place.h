/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_PLACE_H
#define EXEC_PLACE_H

#include "exec/resolver.h"
#include "kernel/netns/netns.h"

#include <peer/addr.h>
#include <peer/error.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * Where a program runs that is to come from remote machines: a network namespace with lo and one TUN
 * device, "peer0", whose far end is our descriptor. The device has the inside address, alone (/32 or
 * /128), and the default route of that address' family; the other family has no route, so that
 * clients fall back at once. Names resolve as on the host (resolver.h). The namespace's settings of
 * TCP are the host's, but for ports (1024 to 65535), tcp_tw_reuse, and ping without capabilities.
 *
 * CAP_NET_ADMIN is needed in the namespace only. Several places may be made one after the other, for
 * copies of a program; a netns_isolate in each has the rest of the words.
 */
struct place_config {
    const char *node;        /* of TUN devices; NULL: /dev/net/tun */
    struct peer_addr inside; /* of the program; IPv4 or IPv6 */
    uint32_t mtu;
    bool offload; /* super-segments and partial checksums, as far as granted */
    /**
     * 127.0.0.1 leaves by the device too, from the inside address; answers may come from it. Nothing
     * can be bound to 127.0.0.1 then, ::1 is taken away (clients fall back), the rest of
     * 127.0.0.0/8 is the namespace's own. A nameserver of 127.0.0.1 is asked where localhost leads.
     * Only with an IPv4 `inside`: the kernel takes nothing from ::1 but on lo, so for IPv6 there is
     * no such way.
     */
    bool localhost;
    const char *resolv_conf; /* NULL: /etc/resolv.conf */
    /**
     * The peers' device is in another namespace than this process: then nameservers with an address
     * of this machine are made addresses of the place as well.
     */
    bool elsewhere;
    struct netns_isolate_config program; /* with an origin */
};

struct place {
    struct netns_isolated isolated; /* the namespace, and the program in it */
    int tun_fd;                     /* non-blocking, close-on-exec; 10 bytes of virtio header */
    bool offload_tcp, offload_udp;  /* granted */
    struct resolver resolver;
};

/**
 * Makes it all but starts no program (netns_isolate_start of `isolated`). 0, or -errno with a text
 * that says what to mend.
 */
int place_make(const struct place_config *config, struct place *ret, struct peer_error *error);
/**
 * Ends the program and what it left behind (netns_isolate_end), the resolver, and closes the device.
 * Returns the program's wait status, or -1. Takes NULL and zero-initialised, and leaves it so.
 */
int place_end(struct place *place, int grace_ms);
/** Only closes what this process has of it: for one that was forked from the caller. */
void place_abandon(struct place *place);

#endif
