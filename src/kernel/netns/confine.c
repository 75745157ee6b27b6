/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: who finds a fault in what parses packets finds himself in a process that can
 * move bytes between descriptors it has already, and nothing else: no file, no program, no new
 * socket, no capability, no memory that runs.
 *
 * The order is given by what each step needs: the bounding set needs CAP_SETPCAP and the user
 * CAP_SETUID, which the capabilities then go without; the filter comes last, since it forbids all
 * of them. Without no_new_privs an ordinary user may not set a filter at all.
 *
 * A system call is allowed by number alone, but for the few whose arguments matter: memory may not
 * be executable, a signal may go to this process only, a file is opened for reading only, and a
 * terminal is asked for its modes and size (TIOCSTI would type into the shell behind it).
 */
#include "kernel/netns/confine.h"

#include "base/error.h"
#include "base/macro.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPABILITIES = 64 }; /* there is no number above, and the kernel says where they end */

/* ---- descriptors ---- */

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_some(unsigned first, unsigned last)
{
    struct rlimit limit;

    if (syscall(SYS_close_range, first, last, 0) == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++) /* before Linux 5.9 */
        (void)close((int)fd);
}

void confine_descriptors(int *kept, size_t count)
{
    unsigned next = 0;

    qsort(kept, count, sizeof(*kept), compare);
    for (size_t i = 0; i < count; i++) {
        if ((unsigned)kept[i] > next)
            close_some(next, (unsigned)kept[i] - 1);
        next = (unsigned)kept[i] + 1;
    }
    close_some(next, ~0U);
}

/* ---- user and capabilities ---- */

static int read_capabilities(struct __user_cap_data_struct ret_data[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capget, &header, ret_data) < 0 ? -errno : 0;
}

static int change_user(const struct confine *confine)
{
    int signal_number = 0;

    (void)prctl(PR_GET_PDEATHSIG, &signal_number); /* a new user undoes it */
    /* They would go with the user; what is kept of them is chosen below. */
    if (confine->capabilities && prctl(PR_SET_KEEPCAPS, 1) < 0)
        return -errno;
    if (setgroups(0, NULL) < 0 || setresgid(confine->gid, confine->gid, confine->gid) < 0 ||
        setresuid(confine->uid, confine->uid, confine->uid) < 0)
        return -errno;
    (void)prctl(PR_SET_PDEATHSIG, signal_number);
    return 0;
}

/* Without CAP_SETPCAP it stays as it is: a bound on what execve could give, which no_new_privs
   and the filter forbid as well. */
static void drop_bounding_set(uint64_t kept)
{
    for (unsigned long i = 0; i < CAPABILITIES && prctl(PR_CAPBSET_READ, i) >= 0; i++) {
        if (!(kept >> i & 1))
            (void)prctl(PR_CAPBSET_DROP, i);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int keep_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    int status = read_capabilities(data);
    if (status < 0)
        return status;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(kept >> 32 * i);
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* ---- system calls ---- */

static const struct call_group {
    unsigned calls; /* 0: always */
    const char *names[64];
} groups[] = {
    {0,
     {"read",
      "write",
      "readv",
      "writev",
      "pread64",
      "pwrite64",
      "close",
      "poll",
      "ppoll",
      "ppoll_time64",
      "epoll_wait",
      "epoll_pwait",
      "epoll_ctl",
      "recvmsg",
      "recvfrom",
      "sendmsg",
      "sendto",
      "recvmmsg",
      "recvmmsg_time64",
      "sendmmsg",
      "shutdown",
      "getsockopt",
      "getrusage",
      "clock_gettime",
      "clock_gettime64",
      "clock_getres",
      "gettimeofday",
      "timerfd_settime",
      "munmap",
      "mremap",
      "madvise",
      "brk",
      "fstat",
      "fstat64",
      "newfstatat",
      "fstatat64",
      "statx",
      "lseek",
      "_llseek",
      "dup",
      "sysinfo",
      "uname",
      "sched_yield",
      "getpid",
      "getppid",
      "gettid",
      "getuid",
      "geteuid",
      "getgid",
      "getegid",
      "rt_sigreturn",
      "rt_sigaction",
      "signalfd4",
      "rt_sigprocmask",
      "sigreturn",
      "restart_syscall",
      "futex",
      "exit",
      "exit_group",
      "getrandom",
      "fcntl",
      "fcntl64",
      "sched_getaffinity"}},
    {CONFINE_TERMINAL,
     {"sigaltstack", "getpgrp", "getpgid", "pselect6", "select"}},
    {CONFINE_FILES, {"readlink", "readlinkat", "access", "faccessat", "faccessat2", "getdents64"}},
    {CONFINE_SOCKETS,
     {"socket", "bind", "connect", "listen", "accept4", "getsockname", "setsockopt"}},
    {CONFINE_ACCEPTS, {"accept", "accept4", "setsockopt"}},
    {CONFINE_BINDS, {"bind", "getsockname", "setsockopt"}},
    {CONFINE_CONNECTS, {"connect", "setsockopt"}},
    {CONFINE_SIGNALS, {"kill"}},
    {CONFINE_WAITS, {"wait4", "waitid"}},
    {CONFINE_RECORDS,
     {"openat", "renameat", "renameat2", "unlinkat", "ftruncate", "ftruncate64", "fsync", "fdatasync"}},
    {CONFINE_FORKS,
     {"clone",      "clone3",  "fork",   "vfork",       "set_robust_list", "rseq",  "socketpair",
      "setsid",     "setpgid", "prctl",  "capget",      "capset",          "chdir", "seccomp",
      "close_range", "dup3",   "dup2",   "rt_sigaction", "setgroups",      "setresuid",
      "setresgid",  "setgroups32", "setresuid32", "setresgid32", "sched_setaffinity",
      "epoll_create1"}}, /* of the new one: what it waits for */
    {CONFINE_OBSERVES,
     {"open",      "openat",     "openat2",    "ioctl",     "perf_event_open", "bpf",
      "fsopen",    "fsconfig",   "fsmount",    "setns",     "unshare",         "pipe2",
      "signalfd4", "timerfd_create", "epoll_create1", "stat",         "lstat",
      "stat64",    "lstat64",    "flock",      "getrlimit", "ugetrlimit",      "prlimit64",
      "getpgrp",   "getpgid"}},
#if SANITIZED
    /* What the sanitizers do at the end, and when they have something to say. */
    {0, {"clone",     "clone3",   "ptrace",     "prctl",           "wait4",        "openat",
         "open",      "readlink", "readlinkat", "sigaltstack",     "rt_sigaction", "mprotect",
         "mmap",      "getppid",  "kill",       "tgkill",          "dup",          "dup2",
         "pipe",      "pipe2",    "getdents64", "set_robust_list", "rseq",         "getrlimit", "getdents", "process_vm_readv", "nanosleep",
         "prlimit64", "stat",     "lstat",      "sysinfo",      "access"}},
#endif
};

/** One or two arguments of a system call, as they must be. */
struct call_rule {
    unsigned calls;
    const char *name;
    struct scmp_arg_cmp arguments[2];
};
#define MASKED(index, mask, value)                                                                 \
    {                                                                                              \
        {                                                                                          \
            index, SCMP_CMP_MASKED_EQ, mask, value                                                 \
        }                                                                                          \
    }
#define EQUAL(index, value)                                                                        \
    {                                                                                              \
        {                                                                                          \
            index, SCMP_CMP_EQ, value, 0                                                           \
        }                                                                                          \
    }
#define EQUALS(index, value, other_index, other_value)                                             \
    {                                                                                              \
        {index, SCMP_CMP_EQ, value, 0},                                                            \
        {                                                                                          \
            other_index, SCMP_CMP_EQ, other_value, 0                                               \
        }                                                                                          \
    }

static int allow(scmp_filter_ctx filter, const char *name, const struct scmp_arg_cmp *arguments,
                 unsigned count)
{
    const int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return 0; /* another machine's */
    const int status =
        seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, count, arguments);
    return status == -EDOM || status == -EEXIST ? 0 : status;
}

static int allow_groups(scmp_filter_ctx filter, unsigned calls)
{
    int status = 0;

    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        if (groups[i].calls & ~calls)
            continue;
        for (const char *const *name = groups[i].names; *name && status == 0; name++)
            status = allow(filter, *name, NULL, 0);
    }
    return status;
}

static int allow_rules(scmp_filter_ctx filter, unsigned calls)
{
    const unsigned long self = (unsigned long)getpid();
    const unsigned long datagrams = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const struct call_rule rules[] = {
        {0, "mmap", MASKED(2, PROT_EXEC, 0)},
        {0, "mmap2", MASKED(2, PROT_EXEC, 0)},
        {0, "mprotect", MASKED(2, PROT_EXEC, 0)},
        {0, "kill", EQUAL(0, self)},
        {0, "tgkill", EQUAL(0, self)},
        {0, "prctl", EQUAL(0, PR_SET_NAME)},
        {0, "ioctl", EQUAL(1, FIONREAD)},
        {0, "ioctl", EQUAL(1, TCGETS)},
        {0, "ioctl", EQUAL(1, TIOCGWINSZ)},
#ifdef TCGETS2 /* the C library's since 2.42 */
        {0, "ioctl", EQUAL(1, TCGETS2)},
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TCSETS2)},
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TCSETSW2)},
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TCSETSF2)},
#endif
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TCSETS)},
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TCSETSW)},
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TCSETSF)},
        {CONFINE_TERMINAL, "ioctl", EQUAL(1, TIOCGPGRP)},
        {CONFINE_BINDS, "socket", EQUALS(0, AF_INET, 1, datagrams)},
        {CONFINE_BINDS, "socket", EQUALS(0, AF_INET6, 1, datagrams)},
        {CONFINE_CONNECTS, "socket", EQUAL(0, AF_INET)},
        {CONFINE_CONNECTS, "socket", EQUAL(0, AF_INET6)},
        {CONFINE_CONNECTS, "socket", EQUAL(0, AF_UNIX)},
        {CONFINE_FILES, "openat", MASKED(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)},
        {CONFINE_FILES, "open", MASKED(1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)},
    };
    int status = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rules) && status == 0; i++) {
        if (!(rules[i].calls & ~calls))
            status = allow(filter, rules[i].name, rules[i].arguments,
                           rules[i].arguments[1].op ? 2 : 1);
    }
    return status;
}

static int load_filter(const struct confine *confine)
{
    scmp_filter_ctx filter = seccomp_init(confine->trap ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return -ENOMEM;
    /* A tree instead of a list: a call passes four or five comparisons, not forty. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    /* Before Linux 5.16 a filter would else slow down all loads that follow a store: a protection
       from code that is not one's own, and here there is none. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    int status = allow_groups(filter, confine->calls);
    if (status == 0)
        status = allow_rules(filter, confine->calls);
    if (status == 0)
        status = seccomp_load(filter);
    seccomp_release(filter);
    return status;
}

/* ---- in order ---- */

static int fail(struct peer_error *error, int status, const char *what)
{
    return error_set(error, PEER_ERROR_MACHINE, -status, "cannot %s: %s", what,
                     error_text(-status));
}

static bool filtered;

bool confine_is_filtered(void)
{
    return filtered;
}

int confine_process(const struct confine *confine, struct peer_error *error)
{
    if (chdir("/") < 0)
        return fail(error, -errno, "leave the working directory");
    drop_bounding_set(confine->capabilities);
    int status = confine->change_user ? change_user(confine) : 0;
    if (status < 0 && !confine->may_stay)
        return fail(error, status, "change to another user");
    status = keep_capabilities(confine->capabilities);
    if (status < 0)
        return fail(error, status, "give up capabilities");
    if (prctl(PR_SET_DUMPABLE, confine->dumpable || SANITIZED /* whose search for leaks traces it */) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail(error, -errno, "give up privileges");
    status = confine->unfiltered ? 0 : load_filter(confine);
    if (status < 0)
        (void)fail(error, status, "set a filter of system calls");
    filtered |= status == 0 && !confine->unfiltered;
    return status < 0;
}

const char *confine_call_name(int call, char buf[CONFINE_NAME_TEXT])
{
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

    if (name)
        (void)snprintf(buf, CONFINE_NAME_TEXT, "%s", name);
    else
        (void)snprintf(buf, CONFINE_NAME_TEXT, "call %d", call);
    free(name);
    return buf;
}
