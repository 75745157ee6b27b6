/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_WIRE_GUARD_INTERNAL_H
#define KERNEL_WIRE_GUARD_INTERNAL_H

#include "kernel/netlink/netlink.h"
#include "kernel/wire/guard.h"

/* Shared by guard.c and guard_sockets.c. */

/** Ends this machine's TCP connections to the peers, as far as the kernel lets. `diag`:
 * NETLINK_SOCK_DIAG. */
void guard_end_sockets(struct nl *diag, const struct guard_job *job);

#endif
