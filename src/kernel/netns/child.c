/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A child's life, and its messages.
 *
 * One sendmsg, one recvmsg: SOCK_SEQPACKET keeps message borders and, unlike SOCK_DGRAM, tells when
 * the other end is gone. Whatever goes wrong, no received descriptor stays open unnoticed.
 */
#include "kernel/netns/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 2000 };

pid_t child_fork(void)
{
    sigset_t all, before;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int status = pid < 0 ? -errno : pid;
    if (pid != 0)
        sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}

int child_reap(pid_t child)
{
    int status;
    pid_t reaped;

    do
        reaped = waitpid(child, &status, 0);
    while (reaped < 0 && errno == EINTR);
    return reaped == child ? status : -1;
}

bool child_dismiss(int end)
{
    struct pollfd wanted = {.fd = end, .events = POLLIN};
    int status;

    (void)shutdown(end, SHUT_WR);
    do
        status = poll(&wanted, 1, END_MS);
    while (status < 0 && errno == EINTR);
    return status > 0;
}

void child_end(int end, pid_t child)
{
    const bool done = child_dismiss(end);

    (void)shutdown(end, SHUT_RDWR); /* others may have copies */
    (void)close(end);
    if (done)
        (void)child_reap(child); /* of no effect when a helper process forked it */
}

int child_watch_parent(pid_t parent, int signal_number)
{
    prctl(PR_SET_PDEATHSIG, signal_number);
    /* It may have ended before the line above. */
    return getppid() == parent ? 0 : -ESRCH;
}

union control {
    struct cmsghdr header; /* for alignment */
    char bytes[CMSG_SPACE(sizeof(int) * CHILD_FDS_MAX)];
};

/* Moves a descriptor out of the range of stdio. */
static int lift(int fd)
{
    if (fd > STDERR_FILENO)
        return fd;
    int lifted = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int status = lifted < 0 ? -errno : lifted;
    close(fd);
    return status;
}

int child_pair(int ret_ends[2])
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        ends[i] = lift(ends[i]);
        if (ends[i] < 0) {
            close(ends[!i]);
            return ends[i];
        }
    }
    memcpy(ret_ends, ends, sizeof(ends));
    return 0;
}

int child_send(int end, const struct iovec *parts, size_t part_count, const int *fds, int fd_count)
{
    assert(fd_count >= 0 && fd_count <= CHILD_FDS_MAX);
    union control control = {0};
    /* The kernel reads only; the struct has no const. */
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = part_count};
    size_t fds_bytes = sizeof(int) * (size_t)fd_count;

    if (fd_count > 0) {
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(fds_bytes)};
        memcpy(CMSG_DATA(&control.header), fds, fds_bytes);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fds_bytes);
    }
    ssize_t sent;
    do
        sent = sendmsg(end, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static int take_fds(struct msghdr *message, int *fds)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t bytes = header->cmsg_len - CMSG_LEN(0);
    assert(bytes <= sizeof(int) * CHILD_FDS_MAX);
    memcpy(fds, CMSG_DATA(header), bytes);
    return (int)(bytes / sizeof(int));
}

ssize_t child_receive(int end, int flags, const struct iovec *parts, size_t part_count,
                      int *ret_fds, int *ret_fd_count)
{
    union control control;
    struct msghdr message = {
        .msg_iov = (struct iovec *)parts,
        .msg_iovlen = part_count,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    int fds[CHILD_FDS_MAX];
    ssize_t received;

    do
        received = recvmsg(end, &message, flags | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0)
        return errno == ECONNRESET ? 0 : -errno; /* gone with our message unread */

    int fd_count = take_fds(&message, fds);
    int cut = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
    if (cut || !ret_fds) {
        for (int i = 0; i < fd_count; i++)
            close(fds[i]);
        if (cut)
            return cut & MSG_CTRUNC ? -EMFILE : -EMSGSIZE;
        return received;
    }
    memcpy(ret_fds, fds, sizeof(int) * (size_t)fd_count);
    *ret_fd_count = fd_count;
    return received;
}

int child_start(void (*run)(void *user, int end), void *user, int *ret_end, pid_t *ret_child)
{
    int ends[2];
    char word;

    int status = child_pair(ends);
    if (status < 0)
        return status;
    const pid_t pid = child_fork();
    if (pid == 0) {
        (void)close(ends[0]);
        run(user, ends[1]);
        _exit(EXIT_FAILURE); /* it does not return */
    }
    (void)close(ends[1]);
    const ssize_t len =
        pid < 0 ? pid : child_receive(ends[0], 0, &(struct iovec){&word, 1}, 1, NULL, NULL);
    if (len <= 0) {
        (void)close(ends[0]);
        return len < 0 ? (int)len : -EPIPE;
    }
    *ret_end = ends[0];
    *ret_child = pid;
    return 0;
}
