/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_TUN_H
#define KERNEL_NETLINK_TUN_H

#include "base/addr_set.h"

#include <peer/addr.h>
#include <peer/error.h>
#include <net/if.h>
#include <stdbool.h>

/** Opening of TUN/TAP devices in the namespace of the calling thread. Everything dies with the
 * descriptor. */
struct tun_config {
    const char *node; /* device node, NULL for /dev/net/tun */
    const char *name; /* wanted name, may hold one %d; NULL for "peer%d" */
    bool tap;
    bool offload; /* try IFF_VNET_HDR and TSO/USO; without it the header is there all the same */
    unsigned queues;              /* more than 1: tun_add_queue opens the others */
    const struct addr_set *peers; /* with several queues: each has its part of these, see steer.h */
};
struct tun {
    int fd; /* non-blocking, close-on-exec */
    char name[IF_NAMESIZE];
    int ifindex;
    bool offload_tcp, offload_udp; /* granted */
    bool steered; /* packets come to the queue that has their peer, not to any */
    struct peer_mac mac;           /* TAP: the local side's */
};
/**
 * Opens and creates. Errors with text and mend: ENOENT (no node: modprobe tun / mknod), EACCES and
 * EPERM (who may; suggest sudo, chmod, --isolate), EBUSY (name taken), EINVAL (bad name, or the
 * name belongs to a device of another kind).
 */
int tun_open(const struct tun_config *config, struct tun *ret_tun, struct peer_error *error);
/** One more queue of the device `name` that tun_open made with the same `config`: its descriptor, or
 *  -errno with text. */
int tun_add_queue(const struct tun_config *config, const char *name, struct peer_error *error);

#endif
