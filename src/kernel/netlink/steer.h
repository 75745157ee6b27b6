/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_STEER_H
#define KERNEL_NETLINK_STEER_H

#include "base/addr_set.h"

#include <linux/bpf.h>

/**
 * The choice of a queue for each packet that the kernel sends to a device with several: a program of
 * eBPF that looks at the destination, or at whom ARP and neighbour solicitations ask for. Queue i has
 * the i-th part of the peers (base/shard.h). What is for no peer goes to any.
 */
struct steer {
    struct bpf_insn *code; /* owned; NULL: always queue 0 */
    size_t count;
};

/** For frames with an Ethernet header (`tap`) or without. -E2BIG when the peers are in too many ranges
 *  for a program, -ENOMEM. */
int steer_build(const struct addr_set *peers, bool tap, unsigned queues, struct steer *ret_steer);
void steer_done(struct steer *steer);
/** The device of that descriptor chooses by it. 0 or -errno: EPERM where programs may not be loaded. */
int steer_install(const struct steer *steer, int fd);

#endif
