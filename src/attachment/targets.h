/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHMENT_TARGETS_H
#define ATTACHMENT_TARGETS_H

#include "kernel/netlink/rtnl.h"

#include <stdbool.h>
#include <stdint.h>

enum { TARGETS_ROOM = 256 };

/** What the kernel said of addresses within the last second. Zeroed: nothing. */
struct targets {
    struct target_answer {
        struct peer_addr addr; /* family 0: none */
        bool local;
        uint64_t asked_ns;
    } answers[TARGETS_ROOM];
};

/**
 * Are packets to `addr` this machine's own? 1, 0 (another machine's, nobody's, or a group's) or
 * -errno. Addresses that only a local route claims are its own too. The kernel is asked, and for a
 * second what it said stands.
 */
int targets_is_local(struct targets *targets, struct rtnl *rtnl, const struct peer_addr *addr,
                     uint64_t now_ns);
/** The two halves of it, for who asks another way: what still stands, or -ENOENT; and what was said. */
int targets_find(const struct targets *targets, const struct peer_addr *addr, uint64_t now_ns);
void targets_note(struct targets *targets, const struct peer_addr *addr, bool local, uint64_t now_ns);

#endif
