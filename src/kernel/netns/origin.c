/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an execve hands on, beside argv, environment, user and working directory, which nobody here
 * changes: descriptors, dispositions and mask of signals, limits and umask.
 *
 * The descriptors are read from /proc, and where that is not mounted asked for one by one.
 */
#include "kernel/netns/origin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ASKED_MAX = 4096 };

static int note_fd(struct netns_origin *origin, int fd)
{
    const int flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : -1;

    if (flags < 0 || flags & FD_CLOEXEC) /* ours: what was inherited is not closed by execve */
        return 0;
    int *fds = reallocarray(origin->fds, origin->fd_count + 1, sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    origin->fds = fds;
    origin->fds[origin->fd_count++] = fd;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int note_fds(struct netns_origin *origin)
{
    DIR *dir = opendir("/proc/self/fd"); /* its own descriptor is close-on-exec */
    struct dirent *entry;
    int status = 0;

    while (dir && status == 0 && (entry = readdir(dir)))
        status = note_fd(origin, atoi(entry->d_name));
    if (dir)
        (void)closedir(dir);
    for (int fd = 0; !dir && fd < ASKED_MAX && status == 0; fd++)
        status = note_fd(origin, fd);
    if (origin->fd_count > 0)
        qsort(origin->fds, origin->fd_count, sizeof(*origin->fds), compare);
    return status;
}

int netns_origin_take(struct netns_origin *ret)
{
    struct netns_origin origin = {.fds = NULL};
    struct sigaction action;

    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        origin.stdio_closed[fd] = fcntl(fd, F_GETFD) < 0 && errno == EBADF;
    (void)sigprocmask(SIG_SETMASK, NULL, &origin.mask);
    (void)sigemptyset(&origin.ignored);
    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            (void)sigaddset(&origin.ignored, number);
    }
    for (int which = 0; which < RLIM_NLIMITS; which++)
        (void)getrlimit((__rlimit_resource_t)which, &origin.limits[which]);
    origin.umask = umask(0);
    (void)umask(origin.umask);
    int status = note_fds(&origin);
    if (status < 0) {
        netns_origin_done(&origin);
        return status;
    }
    *ret = origin;
    return 0;
}

void netns_origin_let_go(struct netns_origin *origin)
{
    for (size_t i = 0; i < origin->fd_count; i++)
        (void)close(origin->fds[i]);
    origin->fd_count = 0;
}

void netns_origin_done(struct netns_origin *origin)
{
    free(origin->fds);
    origin->fds = NULL;
    origin->fd_count = 0;
}

void origin_restore(const struct netns_origin *origin)
{
    for (int which = 0; which < RLIM_NLIMITS; which++)
        (void)setrlimit((__rlimit_resource_t)which, &origin->limits[which]);
    (void)umask(origin->umask);
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (origin->stdio_closed[fd])
            (void)close(fd);
    }
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, sigismember(&origin->ignored, number) > 0 ? SIG_IGN : SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &origin->mask, NULL);
}
