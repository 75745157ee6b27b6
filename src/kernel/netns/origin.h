/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_ORIGIN_H
#define KERNEL_NETNS_ORIGIN_H

#include "kernel/netns/netns.h"

/** In a process that is about to become the program: limits, umask, closed stdio, ignored signals and
 * at last the mask, as they were. */
void origin_restore(const struct netns_origin *origin);

#endif
