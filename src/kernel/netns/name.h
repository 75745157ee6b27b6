/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_NAME_H
#define KERNEL_NETNS_NAME_H

/**
 * Takes a name that one owner has at a time in the namespace of the calling thread, and waits for
 * one who is about to leave it. The descriptor that holds it, or -errno: EADDRINUSE when its owner
 * stays, or does not leave for 2 s.
 */
int name_take(const char *text);
/** For the owner, whenever `fd` is readable: tells one who waits that it stays. */
void name_keep(int fd);

#endif
