/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See sink.h. The bytes go from the flow's own memory. A descriptor that cannot be opened again (a
 * socket, a pipe of another user) may be others' too, so it is left as it is: poll then says when
 * SAFE_WRITE bytes can be written without waiting.
 */
#include "relay/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VECTORS = 16, SAFE_WRITE = 4096 };

void sink_open(struct sink *ret_sink, int fd)
{
    struct stat about;
    char path[32];

    *ret_sink = (struct sink){.fd = fd};
    if (fstat(fd, &about) < 0 || S_ISREG(about.st_mode))
        return;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return; /* was closed: writing is to fail */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    ret_sink->waits = own < 0;
    ret_sink->own = own >= 0;
    if (own >= 0)
        ret_sink->fd = own;
}

void sink_close(struct sink *sink)
{
    if (sink->own)
        close(sink->fd);
    sink->own = false;
}

/* Is there room for SAFE_WRITE bytes at once? */
static bool is_ready(const struct sink *sink)
{
    struct pollfd fd = {.fd = sink->fd, .events = POLLOUT};

    return !sink->waits || poll(&fd, 1, 0) == 1;
}

ssize_t sink_write(struct sink *sink, struct iovec *iov, int count)
{
    if (sink->waits) {
        count = 1;
        iov->iov_len = iov->iov_len < SAFE_WRITE ? iov->iov_len : SAFE_WRITE;
    }
    if (!is_ready(sink))
        return -EAGAIN;
    ssize_t done = writev(sink->fd, iov, count);
    return done >= 0 ? done : errno == EINTR ? -EAGAIN : -errno;
}

int sink_move(struct sink *sink, struct peer_flow *flow, uint64_t *moved)
{
    struct iovec iov[VECTORS];
    int count, status = 0;

    if (sink->move)
        return sink->move(sink, flow, moved);
    while ((count = peer_flow_peek(flow, iov, VECTORS)) > 0) {
        ssize_t done = sink_write(sink, iov, count);
        if (done < 0)
            return (int)done;
        peer_flow_consume(flow, (size_t)done);
        *moved += (uint64_t)done;
        status = 1;
    }
    return status;
}
