/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of processes whose holder could not see to it. A program dies with its holder by the
 * kernel's hand; what it had started lives on, as somebody else's child, and is found by its
 * namespace.
 *
 * The sweeper waits in a read for its caller's end, then for the holder's, which kills in better
 * order; so it does nothing but when both were killed. It is in a session of its own, so that no
 * signal to a process group reaches it, and its name is none by which one looks for peer: who ends
 * all processes called so still gets all that they had started.
 */
#include "kernel/netns/sweep.h"

#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"

#include <dirent.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PASSES = 64, HOLDER_MS = 2000 };

static int kill_in_namespace(const struct stat *namespace)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int count = 0;

    while (dir && (entry = readdir(dir))) {
        char path[sizeof(entry->d_name) + 16];
        struct stat its;
        const int pid = atoi(entry->d_name);
        (void)snprintf(path, sizeof(path), "/proc/%s/ns/net", entry->d_name);
        if (pid > 0 && pid != getpid() && stat(path, &its) == 0 &&
            its.st_ino == namespace->st_ino && its.st_dev == namespace->st_dev)
            count += kill(pid, SIGKILL) == 0;
    }
    if (dir)
        closedir(dir);
    return count;
}

/* Again, as they may have forked meanwhile; the dead have no namespace. */
void sweep_namespace(int netns_fd)
{
    struct stat namespace;

    if (fstat(netns_fd, &namespace) < 0)
        return;
    for (int i = 0; i < PASSES && kill_in_namespace(&namespace) > 0; i++)
        sched_yield();
}

/* ---- the sweeper ---- */

struct sweeper {
    int netns_fd;
    int holder; /* a pidfd, < 0 when there is no such thing */
};

static void give_up_privileges(const struct sweeper *sweeper, int end)
{
    const struct confine confine = {.calls = CONFINE_FILES | CONFINE_SIGNALS,
                                    .capabilities = UINT64_C(1) << CAP_KILL |
                                                    UINT64_C(1) << CAP_SYS_PTRACE};
    int kept[] = {end, sweeper->netns_fd, sweeper->holder};

    confine_descriptors(kept, sweeper->holder < 0 ? 2 : 3);
    (void)confine_process(&confine, NULL);
}

static void run(void *user, int end)
{
    const struct sweeper *sweeper = user;
    struct pollfd holder = {.fd = sweeper->holder, .events = POLLIN};
    char word;

    (void)setsid();
    (void)prctl(PR_SET_NAME, "exec-sweeper");
    give_up_privileges(sweeper, end);
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    if (child_receive(end, 0, &(struct iovec){&word, 1}, 1, NULL, NULL) > 0)
        _exit(EXIT_SUCCESS);
    if (sweeper->holder >= 0)
        (void)poll(&holder, 1, HOLDER_MS);
    sweep_namespace(sweeper->netns_fd);
    _exit(EXIT_SUCCESS);
}

int sweeper_start(int netns_fd, pid_t holder, int *ret_end, pid_t *ret_sweeper)
{
    struct sweeper sweeper = {netns_fd, (int)syscall(SYS_pidfd_open, holder, 0)};

    int status = child_start(run, &sweeper, ret_end, ret_sweeper);
    if (sweeper.holder >= 0)
        (void)close(sweeper.holder);
    return status;
}

void sweeper_end(int end, pid_t sweeper, bool sweep)
{
    if (!sweep)
        (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0);
    child_end(end, sweeper);
}
