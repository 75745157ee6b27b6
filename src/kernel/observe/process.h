/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_PROCESS_H
#define KERNEL_OBSERVE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** What a process uses, by /proc. */
struct process_use {
    char name[32]; /* "nginx" */
    uint64_t started; /* when, in ticks since the machine did: another process of that id has another */
    uint64_t rss_bytes, fds, threads;
    uint64_t cpu_ns; /* user and system, of all its threads, in steps of a tick */
    bool fds_known;  /* another user's may not be counted */
};

/** A descriptor for process_read, which means this process for good: when it has ended, nobody who gets
 *  its id is taken for it. -errno: ESRCH. */
int process_open(pid_t pid);
/** 0, or -errno: ESRCH, it has ended. */
int process_read(int process, struct process_use *ret_use);
/** May its descriptors be seen? 0, or -errno: EACCES. */
int process_check(int process);

/** All processes that hold one of these sockets, as far as they may be looked into, until `each` returns
 *  non-zero. */
void process_each_holder(const uint32_t *inodes, size_t count,
                         int (*each)(void *user, pid_t pid), void *user);

/* For tests. */
/** Fills in what a /proc/PID/stat has: name, started, threads, cpu_ns. 0, or -EINVAL. */
int process_parse_stat(const char *text, long ticks_per_s, struct process_use *use);

#endif
