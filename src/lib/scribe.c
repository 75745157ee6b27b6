/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process ends by the pipe's end, or when whoever started it wants it to (child_end): others may
 * have copies of the pipe. What is in it then is taken first, so that nothing is lost when this
 * process is killed.
 */
#include "lib/scribe.h"

#include "base/error.h"
#include "base/macro.h"
#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, SUFFIX = 8, LOOKS = 20, LOOK_MS = 25 };
enum { PIPE_WANTED = 8 << 20, PIPE_GIVEN = 1 << 20, SOCKET_WANTED = 4 << 20 };

/* ---- the process ---- */

struct start {
    const struct scribe_work *work;
    int stream; /* to read from */
};

static void take_all(const struct start *start, int end)
{
    struct pollfd fds[] = {{.fd = start->stream, .events = POLLIN}, {.fd = end, .events = POLLIN}};
    const struct scribe_work *work = start->work;
    uint8_t *chunk = malloc(CHUNK);

    while (chunk) {
        ssize_t len = read(start->stream, chunk, CHUNK);
        if (len == 0 || (len > 0 && work->take(work->user, chunk, (size_t)len) < 0))
            break;
        if (len < 0 && errno != EINTR && (errno != EAGAIN || fds[1].revents))
            break;
        if (len < 0)
            (void)poll(fds, ARRAY_SIZE(fds), -1);
    }
    if (chunk)
        explicit_bzero(chunk, CHUNK);
    free(chunk);
}

static void run(void *user, int end)
{
    const struct start *start = user;
    const struct scribe_work *work = start->work;
    int kept[] = {end, work->file->folder, work->file->fd, start->stream};

    (void)prctl(PR_SET_NAME, work->process);
    confine_descriptors(kept, ARRAY_SIZE(kept));
    (void)confine_process(&(struct confine){.calls = CONFINE_RECORDS,
                                            .capabilities = UINT64_C(1) << CAP_DAC_OVERRIDE},
                          NULL);
    if (work->begin(work->user) < 0)
        _exit(EXIT_FAILURE);
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    take_all(start, end);
    work->end(work->user);
    _exit(EXIT_SUCCESS);
}

/* ---- its file ---- */

static int fail(const char *what, const char *path, int status, struct peer_error *error)
{
    const bool usage = status == -ENOENT || status == -ENOTDIR || status == -EISDIR ||
                       status == -ENAMETOOLONG;

    return error_set(error, usage ? PEER_ERROR_USAGE : PEER_ERROR_MACHINE, -status,
                     "cannot write the %s to %s: %s", what, path, error_text(-status));
}

static int open_folder(const char *path, struct scribe_file *file)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char folder[PATH_MAX] = ".";

    if (!*name || strlen(name) + SUFFIX > NAME_MAX || strlen(path) >= sizeof(folder))
        return *name ? -ENAMETOOLONG : -EISDIR;
    if (slash)
        (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path);
    memcpy(file->name, name, strlen(name) + 1);
    file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder < 0 && errno == EACCES) /* it can be entered, and not brought to the disk */
        file->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return file->folder < 0 ? -errno : 0;
}

bool scribe_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES);
}

/* Whoever wrote it may have put another one in its place meanwhile. */
static bool is_still_there(const struct scribe_file *file)
{
    struct stat opened, named;

    return fstat(file->fd, &opened) == 0 &&
           fstatat(file->folder, file->name, &named, 0) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

static int lock_file(const char *what, const char *path, const struct scribe_file *file,
                     struct peer_error *error)
{
    if (scribe_lock(file->fd) && is_still_there(file))
        return 0;
    return error_set(error, PEER_ERROR_MACHINE, EBUSY,
                     "cannot write the %s to %s: another process writes it", what, path);
}

static int open_once(const char *path, const char *what, struct scribe_file *ret_file,
                     struct peer_error *error)
{
    struct stat status;

    *ret_file = (struct scribe_file){.folder = -1, .fd = -1};
    if (strcmp(path, "-") == 0)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "the %s needs a file, and standard output "
                         "is none", what);
    int result = open_folder(path, ret_file);
    if (result < 0)
        return fail(what, path, result, error);
    ret_file->fd = openat(ret_file->folder, ret_file->name,
                          O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
    if (ret_file->fd < 0 && errno != ENXIO)
        return fail(what, path, -errno, error);
    if (ret_file->fd < 0 || fstat(ret_file->fd, &status) < 0 || !S_ISREG(status.st_mode))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "the %s needs a file, and %s is none", what,
                         path);
    return lock_file(what, path, ret_file, error);
}

/* The scribe of one that was killed a moment ago has something to write still. */
int scribe_open(const char *path, const char *what, struct scribe_file *ret_file,
                struct peer_error *error)
{
    int status = open_once(path, what, ret_file, error);

    for (int i = 0; status == -EBUSY && i < LOOKS; i++) {
        scribe_close(ret_file);
        (void)poll(NULL, 0, LOOK_MS);
        status = open_once(path, what, ret_file, error);
    }
    return status;
}

void scribe_close(struct scribe_file *file)
{
    if (file->folder >= 0)
        (void)close(file->folder);
    if (file->fd >= 0)
        (void)close(file->fd);
    *file = (struct scribe_file){.folder = -1, .fd = -1};
}

/* ---- its life ---- */

/* To read from, and to write to. What several write into a pipe would be mixed up. */
static int open_stream(bool shared, int stream[2])
{
    const int room = SOCKET_WANTED;

    if (shared) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, stream) < 0)
            return -errno;
        if (setsockopt(stream[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
            (void)setsockopt(stream[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
        return 0;
    }
    if (pipe2(stream, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    if (fcntl(stream[1], F_SETPIPE_SZ, PIPE_WANTED) < 0)
        (void)fcntl(stream[1], F_SETPIPE_SZ, PIPE_GIVEN); /* what everybody may have */
    return 0;
}

int scribe_start(struct scribe *scribe, const struct scribe_work *work, int *ret_fd,
                 struct peer_error *error)
{
    int stream[2];
    int status = open_stream(work->shared, stream);

    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot make a pipe: %s",
                         error_text(-status));
    struct start start = {work, stream[0]};
    status = child_start(run, &start, &scribe->end, &scribe->pid);
    (void)close(stream[0]);
    if (status < 0) {
        (void)close(stream[1]);
        scribe->pid = 0;
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot start the process %s: %s",
                         work->process, error_text(-status));
    }
    *ret_fd = stream[1];
    return 0;
}

void scribe_end(struct scribe *scribe)
{
    if (scribe->pid)
        child_end(scribe->end, scribe->pid);
    scribe->pid = 0;
}

void scribe_abandon(struct scribe *scribe)
{
    if (scribe->pid)
        (void)close(scribe->end);
    scribe->pid = 0;
}
