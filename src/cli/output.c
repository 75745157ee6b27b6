/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Standard output is written without waiting (through a descriptor of its own, so that O_NONBLOCK
 * does not leak to whoever shares it): a reader who stops leaves bytes in the flow, whose window
 * then closes, as a real machine's would.
 *
 * Into a file or a pipe the bytes go as they are, from the flow's own memory. To a terminal they go
 * by way of `text`, where they become visible (visible.h); no more is taken from the flow until
 * that is written.
 */
#include "session.h"
#include "visible.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* A datagram has to go at once, so there is room for the longest. */
enum { OUT_VECTORS = 16, SAFE_WRITE = 4096, TEXT_TAKE = 65536 };

struct output {
    int fd;
    bool waits;                /* would wait if it might block: write SAFE_WRITE when poll allows */
    struct terminal *terminal; /* where lines are edited too, or NULL */
    struct visible visible;
    char *text; /* for a terminal, else NULL */
    size_t text_at, text_len;
};

void output_place_open(struct output_place *ret_place)
{
    struct stat stat;

    *ret_place = (struct output_place){.fd = STDOUT_FILENO};
    if (fstat(STDOUT_FILENO, &stat) < 0 || S_ISREG(stat.st_mode))
        return;
    if ((fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return; /* was closed: writing is to fail */
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    ret_place->waits = fd < 0;
    if (fd >= 0)
        ret_place->fd = fd;
}

void output_place_close(struct output_place *place)
{
    if (place->fd != STDOUT_FILENO)
        close(place->fd);
    place->fd = STDOUT_FILENO;
}

struct output *output_new(const struct output_place *place, bool raw)
{
    struct output *output = calloc(1, sizeof(*output));
    if (!output)
        return NULL;
    output->fd = place->fd;
    output->waits = place->waits;
    if (!raw && isatty(STDOUT_FILENO)) {
        output->text = malloc(VISIBLE_MOST * (TEXT_TAKE + 4));
        if (!output->text)
            return output_free(output);
    }
    return output;
}

struct output *output_free(struct output *output)
{
    if (!output)
        return NULL;
    free(output->text);
    free(output);
    return NULL;
}

void output_set_terminal(struct output *output, struct terminal *terminal)
{
    output->terminal = terminal;
}

int output_fd(const struct output *output)
{
    return output->fd;
}

/* Is there room for SAFE_WRITE bytes at once? */
static bool is_ready(const struct output *output)
{
    struct pollfd fd = {.fd = output->fd, .events = POLLOUT};

    return !output->waits || poll(&fd, 1, 0) == 1;
}

/* Returns the count, -EAGAIN: later, or -errno. */
static ssize_t write_some(struct output *output, struct iovec *iov, int count)
{
    if (output->waits) {
        count = 1;
        iov->iov_len = iov->iov_len < SAFE_WRITE ? iov->iov_len : SAFE_WRITE;
    }
    if (!is_ready(output))
        return -EAGAIN;
    ssize_t done = writev(output->fd, iov, count);
    return done >= 0 ? done : errno == EINTR ? -EAGAIN : -errno;
}

/* The terminal is to know where its cursor stands. */
static void tell_terminal(struct output *output, const struct iovec *iov, size_t len)
{
    for (; output->terminal && len > 0; iov++) {
        size_t part = len < iov->iov_len ? len : iov->iov_len;
        terminal_wrote(output->terminal, iov->iov_base, part);
        len -= part;
    }
}

static int pass(struct output *output, struct peer_flow *flow)
{
    struct iovec iov[OUT_VECTORS];
    int count, moved = 0;

    while ((count = peer_flow_peek(flow, iov, OUT_VECTORS)) > 0) {
        ssize_t done = write_some(output, iov, count);
        if (done < 0)
            return (int)done;
        tell_terminal(output, iov, (size_t)done);
        peer_flow_consume(flow, (size_t)done);
        moved = 1;
    }
    return moved;
}

/* Takes what was received, as it is to be seen. */
static void take_text(struct output *output, struct peer_flow *flow)
{
    struct iovec iov[OUT_VECTORS];
    size_t taken = 0;
    int count = peer_flow_peek(flow, iov, OUT_VECTORS);

    output->text_at = output->text_len = 0;
    for (int i = 0; i < count && taken < TEXT_TAKE; i++) {
        size_t len = TEXT_TAKE - taken < iov[i].iov_len ? TEXT_TAKE - taken : iov[i].iov_len;
        output->text_len +=
            visible_encode(&output->visible, iov[i].iov_base, len, output->text + output->text_len);
        taken += len;
    }
    if (count > 0)
        peer_flow_consume(flow, taken);
    if (output->terminal)
        terminal_wrote(output->terminal, output->text, output->text_len);
}

static int write_text(struct output *output)
{
    while (output->text_at < output->text_len) {
        struct iovec iov = {output->text + output->text_at, output->text_len - output->text_at};
        ssize_t done = write_some(output, &iov, 1);
        if (done < 0)
            return (int)done;
        output->text_at += (size_t)done;
    }
    return 0;
}

static int show(struct output *output, struct peer_flow *flow)
{
    struct iovec iov;
    int status = write_text(output), moved = 0;

    while (status == 0 && peer_flow_peek(flow, &iov, 1) > 0) {
        take_text(output, flow);
        status = write_text(output);
        moved = 1;
    }
    return status < 0 ? status : moved;
}

bool output_is_empty(const struct output *output)
{
    return output->text_at == output->text_len;
}

int output_move(struct output *output, struct peer_flow *flow)
{
    struct iovec iov;

    if (output_is_empty(output) && peer_flow_peek(flow, &iov, 1) <= 0)
        return 0;
    if (output->terminal)
        terminal_hide(output->terminal);
    int status = output->text ? show(output, flow) : pass(output, flow);
    if (output->terminal)
        terminal_show(output->terminal);
    return status;
}

void output_end(struct output *output)
{
    if (!output->text)
        return;
    if (output_is_empty(output))
        output->text_at = output->text_len = 0;
    output->text_len += visible_end(&output->visible, output->text + output->text_len);
    (void)write_text(output); /* the last of it, if it can be written */
}
