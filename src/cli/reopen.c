/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The name is the one that the file has when it begins, and is looked for in its directory: whoever rotates
 * logs has renamed the file by the time that the signal comes. An order is one byte; the answer is the
 * descriptor of the new file, or why there is none.
 *
 * A hangup of the terminal comes from the kernel, and ends the run as ever.
 */
#include "reopen.h"

#include "cli.h"

#include <peer/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct reopen {
    int end;
    pid_t child;
    char path[PATH_MAX];
};

/* ---- messages with a descriptor ---- */

union control {
    struct cmsghdr header; /* for alignment */
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* `fd` below 0: the answer is that it is missing, -errno. */
static bool answer(int end, int fd)
{
    union control control = {.header = {.cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec iov = {&fd, sizeof(fd)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(end, &message, MSG_NOSIGNAL) >= 0;
}

/* The descriptor, or -errno: EAGAIN, it is not there yet; EPIPE, nobody is. */
static int take_answer(int end)
{
    union control control;
    int fd = -EPIPE;
    struct iovec iov = {&fd, sizeof(fd)};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    const ssize_t len = recvmsg(end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = len > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    if (len <= 0)
        return len < 0 && errno == EAGAIN ? -EAGAIN : -EPIPE;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    else if (fd >= 0)
        fd = -EPIPE;
    return fd;
}

/* ---- the process that opens ---- */

_Noreturn static void serve(int end, int folder, const char *name, mode_t mode)
{
    const struct peer_confine_config config = {.calls = PEER_CALLS_RECORDS,
                                               .capabilities = UINT64_C(1) << CAP_DAC_OVERRIDE};
    const int kept[] = {end, folder};
    struct peer_error error;
    sigset_t all;
    char order;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    peer_close_others(kept, CLI_ARRAY_SIZE(kept));
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    (void)prctl(PR_SET_NAME, "peer-reopen");
    (void)umask(0); /* it gets the mode of the file before */
    if (peer_confine(NULL, &config, &error) < 0)
        _exit(1);
    while (recv(end, &order, 1, 0) == 1) {
        const int fd = openat(folder, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, mode);
        const bool told = answer(end, fd < 0 ? -errno : fd);
        if (fd >= 0)
            close(fd);
        if (!told)
            break;
    }
    _exit(0);
}

/* ---- its start ---- */

/* The path of standard output, if it is a file that has one. */
static bool find_path(struct reopen *reopen, struct stat *about)
{
    struct stat named;

    if (fstat(STDOUT_FILENO, about) < 0 || !S_ISREG(about->st_mode))
        return false;
    const ssize_t len = readlink("/proc/self/fd/1", reopen->path, sizeof(reopen->path) - 1);
    if (len <= 0 || *reopen->path != '/')
        return false;
    reopen->path[len] = '\0';
    return stat(reopen->path, &named) == 0 && named.st_ino == about->st_ino &&
           named.st_dev == about->st_dev;
}

static int start(struct reopen *reopen, mode_t mode)
{
    char *slash = strrchr(reopen->path, '/');
    int ends[2];

    *slash = '\0';
    const int folder = open(slash == reopen->path ? "/" : reopen->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    if (folder < 0)
        return -errno;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        const int status = -errno;
        close(folder);
        return status;
    }
    reopen->child = fork();
    if (reopen->child == 0)
        serve(ends[1], folder, slash + 1, mode);
    const int status = reopen->child < 0 ? -errno : 0;
    close(folder);
    close(ends[1]);
    if (status < 0)
        close(ends[0]);
    reopen->end = status < 0 ? -1 : ends[0];
    return status;
}

int reopen_start(struct reopen **ret_reopen)
{
    struct reopen *reopen = calloc(1, sizeof(*reopen));
    struct stat about;

    *ret_reopen = NULL;
    if (!reopen || !find_path(reopen, &about)) {
        free(reopen);
        return 0;
    }
    const int status = start(reopen, about.st_mode & 0777);
    if (status < 0) {
        say("cannot start the process that opens \"%s\" anew: %s", reopen->path, strerror(-status));
        free(reopen);
        return STATUS_MACHINE;
    }
    *ret_reopen = reopen;
    return 0;
}

struct reopen *reopen_free(struct reopen *reopen)
{
    if (!reopen)
        return NULL;
    if (reopen->end >= 0)
        close(reopen->end);
    while (waitpid(reopen->child, NULL, 0) < 0 && errno == EINTR)
        ;
    free(reopen);
    return NULL;
}

/* ---- the signal ---- */

int reopen_fd(const struct reopen *reopen)
{
    return reopen ? reopen->end : -1;
}

int reopen_take_signals(struct reopen *reopen, int signal_fd)
{
    struct signalfd_siginfo info;
    int ends = 0;

    if (!reopen)
        return signals_take(signal_fd);
    while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo != SIGHUP || info.ssi_code == SI_KERNEL)
            ends = 1;
        else if (reopen->end < 0 || send(reopen->end, "", 1, MSG_NOSIGNAL) < 0)
            say("cannot open \"%s\" anew: the process that does is gone", reopen->path);
    }
    return ends;
}

void reopen_work(struct reopen *reopen, struct printer *printer)
{
    if (!reopen || reopen->end < 0)
        return;
    const int fd = take_answer(reopen->end);
    if (fd >= 0) {
        printer_go_on(printer, fd);
    } else if (fd != -EAGAIN) {
        say("cannot open \"%s\" anew: %s", reopen->path,
            fd == -EPIPE ? "the process that does is gone" : strerror(-fd));
        if (fd == -EPIPE) {
            close(reopen->end);
            reopen->end = -1;
        }
    }
}
