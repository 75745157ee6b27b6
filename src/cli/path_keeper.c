/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who removes the paths of Unix sockets. It reads from a pipe whose other end only this process has,
 * so its end is noticed whatever way it comes, and removes what is still the socket that was made.
 */
#include "path_keeper.h"

#include "cli.h"

#include <peer/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

static _Noreturn void keep(int fd, const struct path *paths, int count)
{
    struct stat is;
    char byte;

    ignore_signals();
    leave_streams();
    peer_close_others(&fd, 1);
    (void)prctl(PR_SET_NAME, "peer-paths");
    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < count; i++) {
        if (stat(paths[i].name, &is) == 0 && is.st_ino == paths[i].is.st_ino &&
            is.st_dev == paths[i].is.st_dev)
            (void)unlink(paths[i].name);
    }
    _exit(0);
}

int path_keeper_start(struct path_keeper *ret_keeper, const char *const *names,
                      int count)
{
    struct path paths[PATHS_MOST];
    int fds[2];

    *ret_keeper = (struct path_keeper){.fd = -1};
    int found = list_paths(names, count, paths);
    if (!found)
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        say("no pipe: %s", strerror(errno));
        return STATUS_MACHINE;
    }
    ret_keeper->pid = fork();
    if (ret_keeper->pid == 0)
        keep(fds[0], paths, found);
    close(fds[0]);
    ret_keeper->fd = fds[1];
    if (ret_keeper->pid > 0)
        return 0;
    say("cannot start a process: %s", strerror(errno));
    path_keeper_end(ret_keeper);
    return STATUS_MACHINE;
}

void path_keeper_end(struct path_keeper *keeper)
{
    if (keeper->fd < 0)
        return;
    close(keeper->fd);
    keeper->fd = -1;
    while (keeper->pid > 0 && waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
