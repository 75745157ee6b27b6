/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_SWEEP_H
#define KERNEL_NETNS_SWEEP_H

#include <stdbool.h>
#include <sys/types.h>

/** Kills every process in the namespace but the caller, as far as it may. */
void sweep_namespace(int netns_fd);

/**
 * A process that does so when the caller has ended without a word, after the holder has: who kills
 * both at the same moment leaves nothing behind either. Both outputs > 0. 0 or -errno.
 */
int sweeper_start(int netns_fd, pid_t holder, int *ret_end, pid_t *ret_sweeper);
/** It ends, after it has swept, or without when nothing is left to sweep. Waits for that. */
void sweeper_end(int end, pid_t sweeper, bool sweep);

#endif
