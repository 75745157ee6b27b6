/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding a network namespace, and working in it by a helper process.
 *
 * A helper and not setns in our own process, for two reasons. Whoever enters a user namespace on
 * the way (and an ordinary user has to) cannot come back. And nothing of the caller, a signal or an
 * error in between, can ever leave the program in the wrong namespace.
 *
 * The user namespace to enter is the one that owns the network namespace. The kernel tells it
 * (NS_GET_USERNS), and that is better than a process's own: a process may well sit in a user
 * namespace below the owner's. So names and paths work rootless as well.
 *
 * The helper answers with one message: the result, the data, the descriptors. No message and the
 * end of the socket means that it died. Its wait status only words the error then, so that nothing
 * depends on it: a caller that ignores SIGCHLD has its children reaped by the kernel.
 */
#include "kernel/netns/netns.h"

#include "base/error.h"
#include "kernel/netns/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static_assert((int)NETNS_FDS_MAX == (int)CHILD_FDS_MAX, "one message carries them all");

/* ---- netns_open ---- */

/* What would help where permission is wanting. */
static const char *more_rights(void)
{
    return geteuid() == 0 ? "root has not CAP_SYS_ADMIN or CAP_SYS_PTRACE here" : "try with sudo";
}

/* O_NONBLOCK and O_NOCTTY: the path may be anything, a FIFO or a terminal too. */
static int open_plain(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

/* Takes `fd` over: returned when it is a network namespace, closed otherwise. */
static int check_kind(int fd, const char *path, struct peer_error *error)
{
    int kind = ioctl(fd, NS_GET_NSTYPE);

    if (kind == CLONE_NEWNET)
        return fd;
    close(fd);
    if (kind >= 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" is a namespace of another kind, not a network namespace", path);
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%s\" is not a network namespace", path);
}

static int open_path(const char *path, struct peer_error *error)
{
    int fd = open_plain(path);

    if (fd >= 0)
        return check_kind(fd, path, error);
    if (fd == -ENOENT || fd == -ENOTDIR)
        return error_set(error, PEER_ERROR_USAGE, -fd, "no network namespace \"%s\": %s", path,
                         error_text(-fd));
    if (fd == -EACCES || fd == -EPERM)
        return error_set(error, PEER_ERROR_MACHINE, -fd,
                         "no permission to open the network namespace \"%s\"; %s", path,
                         more_rights());
    return error_set(error, PEER_ERROR_MACHINE, -fd, "cannot open the network namespace \"%s\": %s",
                     path, error_text(-fd));
}

static int refuse_process(const char *spec, pid_t pid, int code, struct peer_error *error)
{
    if (code == EACCES || code == EPERM)
        return error_set(
            error, PEER_ERROR_MACHINE, code,
            "no permission to enter the network namespace of process %s; it belongs to "
            "another user or has more rights than you, so try with sudo",
            spec);
    if (code != ENOENT && code != ESRCH)
        return error_set(error, PEER_ERROR_MACHINE, code,
                         "cannot open the network namespace of process %s: %s", spec,
                         error_text(code));
    if (pid > 0 && (kill(pid, 0) == 0 || errno == EPERM))
        return error_set(error, PEER_ERROR_MACHINE, ESRCH,
                         "process %s has ended, or /proc does not show it to you", spec);
    return error_set(error, PEER_ERROR_USAGE, ESRCH, "no process %s", spec);
}

static int open_process(const char *spec, pid_t *ret_pid, struct peer_error *error)
{
    char path[64];
    errno = 0;
    unsigned long number = strtoul(spec, NULL, 10);

    if (errno || number == 0 || number > INT_MAX)
        return refuse_process(spec, 0, ESRCH, error);
    snprintf(path, sizeof(path), "/proc/%lu/ns/net", number);
    int fd = open_plain(path);
    if (fd < 0)
        return refuse_process(spec, (pid_t)number, -fd, error);
    fd = check_kind(fd, path, error);
    if (fd >= 0)
        *ret_pid = (pid_t)number;
    return fd;
}

static int open_name(const char *name, struct peer_error *error)
{
    static const char *const folders[] = {"/run/netns", "/var/run/netns"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        int len = snprintf(path, sizeof(path), "%s/%s", folders[i], name);
        if (len < 0 || (size_t)len >= sizeof(path))
            return error_set(error, PEER_ERROR_USAGE, ENAMETOOLONG,
                             "the name of the network namespace is too long");
        int fd = open_plain(path);
        if (fd == -ENOENT || fd == -ENOTDIR)
            continue;
        if (fd < 0)
            return open_path(path, error); /* for its words */
        /* Without its mount a name is an empty file: left over, or mounted where we do not see
           it. */
        if (ioctl(fd, NS_GET_NSTYPE) < 0) {
            close(fd);
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%s\" is not a network namespace; it is left over, or mounted in "
                             "another mount namespace only: give a process id instead",
                             path);
        }
        return check_kind(fd, path, error);
    }
    return error_set(error, PEER_ERROR_USAGE, ENOENT,
                     "no network namespace \"%s\": it is neither in /run/netns (see \"ip netns "
                     "list\") nor a process id nor a path",
                     name);
}

int netns_open(const char *spec, pid_t *ret_pid, struct peer_error *error)
{
    pid_t pid = 0;
    int fd;

    if (!*spec)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "the network namespace is empty; give a name, a process id or a path");
    if (strspn(spec, "0123456789") == strlen(spec))
        fd = open_process(spec, &pid, error);
    else if (strchr(spec, '/'))
        fd = open_path(spec, error);
    else
        fd = open_name(spec, error);
    if (fd >= 0 && ret_pid)
        *ret_pid = pid;
    return fd;
}

/* ---- netns_run: the helper's side ---- */

/* The user namespace that owns `netns_fd`; -errno when there is none that we could enter. */
static int open_owner(int netns_fd, pid_t owner_pid)
{
    char path[64];
    int fd = ioctl(netns_fd, NS_GET_USERNS); /* close-on-exec already */

    if (fd >= 0)
        return fd;
    if (owner_pid <= 0)
        return -errno;
    snprintf(path, sizeof(path), "/proc/%ld/ns/user", (long)owner_pid);
    return open_plain(path);
}

/* 0 or -errno. The first error is the one to tell: that we may not, and not how the detour
   failed. */
int netns_enter(struct netns_place place)
{
    if (setns(place.fd, CLONE_NEWNET) == 0)
        return 0;
    int status = -errno;
    if (status != -EPERM)
        return status;
    int owner = open_owner(place.fd, place.owner);
    if (owner < 0)
        return status;
    if (setns(owner, CLONE_NEWUSER) == 0)
        status = setns(place.fd, CLONE_NEWNET) == 0 ? 0 : -errno;
    close(owner);
    return status;
}

static int refuse_entry(int code, pid_t owner_pid, struct peer_error *error)
{
    char of[48] = "";

    if (owner_pid > 0)
        snprintf(of, sizeof(of), " of process %ld", (long)owner_pid);
    if (code == EPERM)
        return error_set(error, PEER_ERROR_MACHINE, code,
                         "no permission to enter the network namespace%s: it belongs to another "
                         "user; %s",
                         of, more_rights());
    return error_set(error, PEER_ERROR_MACHINE, code, "cannot enter the network namespace%s: %s",
                     of, error_text(code));
}

static _Noreturn void help(const struct netns_errand *errand, int end, pid_t parent)
{
    struct netns_result result = {0};

    child_watch_parent(parent, SIGKILL);
    result.status = netns_enter(errand->place);
    if (child_watch_parent(parent, SIGKILL) < 0) /* again: new credentials undo it */
        _exit(EXIT_FAILURE);
    if (result.status < 0)
        refuse_entry(-result.status, errand->place.owner, &result.error);
    else
        result.status = errand->work(errand->arg, &result);

    assert(result.fd_count >= 0 && result.fd_count <= NETNS_FDS_MAX);
    if (result.status < 0)
        result.fd_count = 0;
    const struct iovec parts[] = {{&result, sizeof(result)}, {errand->data, errand->data_len}};
    int status = child_send(end, parts, 2, result.fds, result.fd_count);
    if (status < 0) { /* a bad descriptor, or too many under way */
        result.status = error_set(&result.error, PEER_ERROR_MACHINE, -status,
                                  "cannot send descriptors home from the network namespace: %s",
                                  error_text(-status));
        result.fd_count = 0;
        child_send(end, parts, 2, NULL, 0);
    }
    _exit(EXIT_SUCCESS);
}

/* ---- netns_run: the caller's side ---- */

static int explain_silence(int wait_status, struct peer_error *error)
{
    static const char what[] = "the helper process in the network namespace";

    if (wait_status >= 0 && WIFSIGNALED(wait_status))
        return error_set(error, PEER_ERROR_MACHINE, EIO, "%s was killed by signal %d (%s)", what,
                         WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    if (wait_status >= 0)
        return error_set(error, PEER_ERROR_MACHINE, EIO,
                         "%s ended with status %d before it answered", what,
                         WEXITSTATUS(wait_status));
    return error_set(error, PEER_ERROR_MACHINE, EIO, "%s ended before it answered", what);
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

/* Judges the helper's message. Returns what `work` returned, or the error that came home. */
static int unpack(struct netns_result *result, int fd_count, struct peer_error *error)
{
    if (result->status >= 0 && result->fd_count == fd_count)
        return result->status;
    close_all(result->fds, fd_count);
    if (result->status >= 0)
        return error_set(error, PEER_ERROR_MACHINE, EMFILE,
                         "descriptors from the network namespace were lost");
    if (!result->error.code)
        return error_set(error, PEER_ERROR_MACHINE, -result->status,
                         "the work in the network namespace failed: %s",
                         error_text(-result->status));
    if (error)
        *error = result->error;
    return result->status;
}

static int receive_result(int end, pid_t helper, const struct netns_errand *errand,
                          struct netns_result *ret_result, struct peer_error *error)
{
    struct netns_result result;
    unsigned char data[NETNS_DATA_MAX];
    int fds[NETNS_FDS_MAX], fd_count = 0;
    const struct iovec parts[] = {{&result, sizeof(result)}, {data, errand->data_len}};

    ssize_t len = child_receive(end, 0, parts, 2, fds, &fd_count);
    int wait_status = child_reap(helper);
    if (len == 0)
        return explain_silence(wait_status, error);
    if (len < 0)
        return error_set(error, PEER_ERROR_MACHINE, (int)-len,
                         "cannot take what the helper process in the network namespace sent: %s",
                         error_text((int)-len));
    assert((size_t)len == sizeof(result) + errand->data_len);
    memcpy(result.fds, fds, sizeof(int) * (size_t)fd_count);
    int status = unpack(&result, fd_count, error);
    if (status < 0)
        return status;
    if (errand->data_len)
        memcpy(errand->data, data, errand->data_len);
    if (ret_result)
        *ret_result = result;
    else
        close_all(result.fds, fd_count);
    return status;
}

int netns_run(const struct netns_errand *errand, struct netns_result *ret_result,
              struct peer_error *error)
{
    int ends[2];
    pid_t self = getpid();

    assert(errand->data_len <= NETNS_DATA_MAX);
    int status = child_pair(ends);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot talk to a helper process: %s",
                         error_text(-status));
    pid_t helper = child_fork();
    if (helper == 0) {
        close(ends[0]);
        help(errand, ends[1], self);
    }
    close(ends[1]);
    if (helper < 0)
        status = error_set(error, PEER_ERROR_MACHINE, -helper, "cannot start a helper process: %s",
                           error_text(-helper));
    else
        status = receive_result(ends[0], helper, errand, ret_result, error);
    close(ends[0]);
    return status;
}
