/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who removes the paths of Unix sockets. It reads from a pipe whose other end only this process has,
 * so its end is noticed whatever way it comes, and removes what is still the socket that was made.
 *
 * A deputy does it when somebody killed that one. It reads from a pipe whose other ends both have, and
 * removes only where nobody has written that it is done: who comes next may have a socket at that path,
 * even with the same number of an inode.
 */
#include "path_keeper.h"

#include "cli.h"

#include <peer/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const struct path_keeper path_keeper_none = {.fds = {-1, -1}};

struct path {
    const char *name;
    struct stat is;
};

static int list_paths(const char *const *names, int count, struct path *paths)
{
    int found = 0;

    for (int i = 0; i < count; i++) {
        paths[found].name = names[i];
        if (stat(names[i], &paths[found].is) == 0)
            found++;
    }
    return found;
}

/* Ctrl-C of a terminal is for the other one: this one ends by that. */
static void ignore_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(numbers); i++)
        signal(numbers[i], SIG_IGN);
}

static void leave_streams(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
        (void)dup2(null, fd);
}

/* `fds` are to wait at, and where to say that it is done; the deputy has the first alone. */
static _Noreturn void keep(int fds[2], int fd_count, const struct path *paths, int count)
{
    const int own[2] = {fds[0], fds[fd_count - 1]};
    struct stat is;
    ssize_t len;
    char byte;

    ignore_signals();
    leave_streams();
    peer_close_others(fds, (size_t)fd_count);
    (void)prctl(PR_SET_NAME, "peer-paths");
    do
        len = read(own[0], &byte, 1);
    while (len < 0 && errno == EINTR);
    for (int i = 0; i < count && len == 0; i++) {
        if (stat(paths[i].name, &is) == 0 && is.st_ino == paths[i].is.st_ino &&
            is.st_dev == paths[i].is.st_dev)
            (void)unlink(paths[i].name);
    }
    if (own[1] != own[0])
        (void)!write(own[1], "", 1);
    _exit(0);
}

static int fail(struct path_keeper *keeper, const char *what)
{
    say("cannot start a process: %s: %s", what, strerror(errno));
    path_keeper_end(keeper);
    return STATUS_MACHINE;
}

/* One that waits at `pipes[which]`. */
static void start_one(struct path_keeper *keeper, int which, int pipes[2][2],
                      const struct path *paths, int count)
{
    int fds[2] = {pipes[which][0], pipes[1][1]};

    keeper->pids[which] = fork();
    if (keeper->pids[which] == 0)
        keep(fds, which == 0 ? 2 : 1, paths, count);
    close(pipes[which][0]);
    keeper->fds[which] = pipes[which][1];
}

int path_keeper_start(struct path_keeper *ret_keeper, const char *const *names,
                      int count)
{
    struct path paths[PATHS_MOST];
    int pipes[2][2];

    *ret_keeper = path_keeper_none;
    int found = list_paths(names, count, paths);
    if (!found)
        return 0;
    if (pipe2(pipes[0], O_CLOEXEC) < 0)
        return fail(ret_keeper, "a pipe");
    if (pipe2(pipes[1], O_CLOEXEC) < 0) {
        close(pipes[0][0]);
        close(pipes[0][1]);
        return fail(ret_keeper, "a pipe");
    }
    ret_keeper->name = paths[0].name;
    ret_keeper->others = found - 1;
    start_one(ret_keeper, 0, pipes, paths, found);
    start_one(ret_keeper, 1, pipes, paths, found);
    return ret_keeper->pids[0] > 0 && ret_keeper->pids[1] > 0 ? 0 : fail(ret_keeper, "a copy");
}

/* Nobody reads at the other end of its pipe. */
static bool is_gone(int fd)
{
    struct pollfd end = {.fd = fd, .events = 0};

    return poll(&end, 1, 0) > 0 && end.revents & POLLERR;
}

void path_keeper_end(struct path_keeper *keeper)
{
    const bool gone = keeper->pids[0] > 0 && keeper->pids[1] > 0 && is_gone(keeper->fds[0]) &&
                      is_gone(keeper->fds[1]);

    for (int i = 0; i < 2; i++) {
        if (keeper->fds[i] >= 0)
            close(keeper->fds[i]);
    }
    for (int i = 0; i < 2; i++) {
        while (keeper->pids[i] > 0 && waitpid(keeper->pids[i], NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (gone && keeper->others)
        say("\"%s\" and %d more stay: somebody killed the processes that remove them", keeper->name,
            keeper->others);
    else if (gone)
        say("\"%s\" stays: somebody killed the processes that remove it", keeper->name);
    *keeper = path_keeper_none;
}
