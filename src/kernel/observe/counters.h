/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_COUNTERS_H
#define KERNEL_OBSERVE_COUNTERS_H

#include <stdint.h>

/**
 * Counters of a namespace through files that are opened once: who has given up his privileges, or
 * is in another namespace, can still read them.
 */
enum counters_file {
    COUNTERS_SNMP,
    COUNTERS_NETSTAT,
    COUNTERS_CONNTRACK_COUNT,
    COUNTERS_CONNTRACK_MAX,
    COUNTERS_FILES,
};
struct counters {
    int fds[COUNTERS_FILES]; /* -1: this kernel has it not */
};
/** Those of the calling thread's namespace. Close with counters_close. */
void counters_open(struct counters *ret_counters);
void counters_close(struct counters *counters);
/** By "Tcp", "RetransSegs" or "TcpExt", "ListenOverflows": see snmp_read. 0 or -errno. */
int counters_read(const struct counters *counters, const char *group, const char *name,
                  uint64_t *ret_value);
/** One of the files that hold a number. 0 or -errno. */
int counters_read_number(const struct counters *counters, enum counters_file file,
                         uint64_t *ret_value);

#endif
