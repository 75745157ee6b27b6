/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_CPU_H
#define KERNEL_OBSERVE_CPU_H

#include <sched.h>
#include <stddef.h>
#include <stddef.h>
#include <stdint.h>

/** Where the kernel tells it, opened once: see cpu_wait_read. */
enum { CPU_GROUPS_MAX = 16 };
struct cpu_files {
    int schedstat;              /* -1: there is none */
    int groups[CPU_GROUPS_MAX]; /* cpu.stat of this process's control group and of those above */
    int group_count;
};
void cpu_files_open(struct cpu_files *ret_files);
void cpu_files_close(struct cpu_files *files);

/** How long this process could not run though it wanted to, since it began. What the kernel does
 *  not tell is 0. */
struct cpu_wait {
    uint64_t waited_ns;    /* runnable, and others had the processor: /proc/self/schedstat */
    uint64_t throttled_ns; /* its control group had used its quota: cpu.stat, of the one that was
                            * stopped longest among it and those above it */
};
void cpu_wait_read(const struct cpu_files *files, struct cpu_wait *ret_wait);

/** How many processors the quotas of this process's control groups come to: of the one that has the
 *  least; 0: there is none. */
double cpu_quota(void);

/** What processors have done since the machine began. Time that a host took from a virtual one is neither. */
struct cpu_load {
    uint64_t busy_ns, idle_ns;
    unsigned cpus; /* of those asked for, how many the text tells of */
};
/** Reads /proc/stat, open as `fd`, into `buf`. 0 or -errno; what has no room is left out. */
int cpu_load_read(int fd, char *buf, size_t room);
/** Of the processors in `set`, together. */
void cpu_load_parse(const char *text, const cpu_set_t *set, struct cpu_load *ret_load);

/* For tests. */
/** Of a cpu.max of version 2, "200000 100000"; 0: no quota. */
double cpu_parse_max(const char *text);
/** The second number of a schedstat; 0 for what is none. */
uint64_t cpu_parse_schedstat(const char *text);
/** Of a cpu.stat, "throttled_usec" (version 2) or "throttled_time" (1, in ns), in ns. */
uint64_t cpu_parse_throttled(const char *text);
/** The path of the group that limits the processor in a /proc/PID/cgroup: below the mount of
 *  version 2 or of the cpu controller. `*ret_version` 1 or 2. 0, or -ENOENT. */
int cpu_parse_cgroup(const char *text, char *path, uint32_t room, int *ret_version);

#endif
