/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_SYSCTL_H
#define KERNEL_OBSERVE_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Reads of /proc (of the calling thread's namespace). Nothing here writes. */

/** All of an open file of /proc from its beginning, as it is now: cut at `room` - 1 bytes, and
 *  terminated. 0 or -errno. */
int proc_text(int fd, char *buf, size_t room);
/** net.ipv4.conf.IFNAME.KEY and the like: `path` below /proc/sys, e.g. "net/ipv4/ip_forward". 0 or
 * -errno. */
int sysctl_read(const char *path, int64_t *ret_value);
/** The effective rp_filter of an interface: max(all, dev). -errno when unreadable. */
int sysctl_rp_filter(const char *ifname);

/** Counters of /proc/net/snmp, netstat and snmp6, by "Tcp", "RetransSegs" or "TcpExt",
 * "ListenOverflows". 0 or -ENOENT. `pid` 0 is the caller's own namespace, else that process's. */
int snmp_read(int pid, const char *group, const char *name, uint64_t *ret_value);

#endif
