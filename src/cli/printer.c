/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See printer.h. `stdout` is a stream of our own meanwhile, which glibc allows: what is printed ends
 * up in `keep`, is written at once when it can be, and waits here else.
 *
 * A pipe is made as large as anybody may make one, so that a report goes into it whole though its
 * reader (a pager, say) has looked at the first page only.
 */
#include "printer.h"

#include "cli.h"
#include "relay/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEEP_BYTES = 256 * 1024, /* hundreds of intervals; with the pipe an hour of them */
    PIPE_BYTES = 1 << 20,
    IN_VAIN_MS = 5000,
};

struct printer {
    struct sink sink;
    FILE *before, *stream;
    int error; /* 0 or -errno that ended the writing */
    uint64_t left_out;
    size_t at, len, room; /* of `bytes`: written so far, filled so far */
    char *bytes;
};

static size_t waiting(const struct printer *printer)
{
    return printer->len - printer->at;
}

void printer_push(struct printer *printer)
{
    while (waiting(printer) > 0 && !printer->error) {
        struct iovec iov = {printer->bytes + printer->at, waiting(printer)};
        ssize_t done = sink_write(&printer->sink, &iov, 1);
        if (done == -EAGAIN)
            return;
        if (done < 0)
            printer->error = (int)done;
        else
            printer->at += (size_t)done;
    }
    printer->at = printer->len = 0;
}

static bool make_room(struct printer *printer, size_t len)
{
    memmove(printer->bytes, printer->bytes + printer->at, waiting(printer));
    printer->len -= printer->at;
    printer->at = 0;
    if (printer->room - printer->len >= len)
        return true;
    size_t room = 2 * (printer->len + len);
    char *bytes = realloc(printer->bytes, room);
    if (!bytes)
        return false;
    printer->bytes = bytes;
    printer->room = room;
    return true;
}

/* What has been printed. 0: it failed. */
static ssize_t keep(void *cookie, const char *data, size_t len)
{
    struct printer *printer = cookie;

    if (!printer->error && printer->room - printer->len < len && !make_room(printer, len))
        printer->error = -ENOMEM;
    if (!printer->error) {
        memcpy(printer->bytes + printer->len, data, len);
        printer->len += len;
        printer_push(printer);
    }
    if (!printer->error)
        return (ssize_t)len;
    errno = -printer->error;
    return 0;
}

struct printer *printer_open(void)
{
    struct printer *printer = calloc(1, sizeof(*printer));

    if (printer)
        printer->bytes = malloc(KEEP_BYTES);
    if (printer && printer->bytes)
        printer->stream = fopencookie(printer, "w", (cookie_io_functions_t){.write = keep});
    if (!printer || !printer->stream) {
        say("out of memory");
        if (printer)
            free(printer->bytes);
        free(printer);
        return NULL;
    }
    printer->room = KEEP_BYTES;
    sink_open(&printer->sink, STDOUT_FILENO);
    if (fcntl(printer->sink.fd, F_GETPIPE_SZ) < PIPE_BYTES)
        (void)fcntl(printer->sink.fd, F_SETPIPE_SZ, PIPE_BYTES); /* or it is no pipe */
    fflush(stdout);
    printer->before = stdout;
    stdout = printer->stream;
    return printer;
}

bool printer_takes_line(struct printer *printer)
{
    bool takes = waiting(printer) < KEEP_BYTES;

    printer->left_out += !takes;
    return takes;
}

uint64_t printer_left_out(const struct printer *printer)
{
    return printer->left_out;
}

/* The lowest free number is that of standard output: dup2 is no call of the steady state. */
void printer_go_on(struct printer *printer, int fd)
{
    fflush(printer->stream);
    printer_push(printer);
    close(STDOUT_FILENO);
    int own = fcntl(fd, F_DUPFD, STDOUT_FILENO);
    if (own != STDOUT_FILENO)
        printer->error = -EBADF;
    close(fd);
    printer->sink.fd = STDOUT_FILENO;
}

/* Until all is written, or NULL; or why it is not. */
static const char *drain(struct printer *printer, int signal_fd)
{
    int patience = isatty(printer->sink.fd) ? -1 : IN_VAIN_MS;

    for (printer_push(printer); waiting(printer) > 0; printer_push(printer)) {
        struct pollfd fds[] = {{.fd = printer->sink.fd, .events = POLLOUT},
                               {.fd = signal_fd, .events = POLLIN}};
        int ready = poll(fds, 2, patience);
        if (ready == 0)
            return "its reader took nothing for five seconds";
        if (ready > 0 && fds[1].revents && signals_take(signal_fd))
            return "a signal came while its reader took nothing";
    }
    return NULL;
}

int printer_close(struct printer *printer, int signal_fd, int status)
{
    if (!printer)
        return status;
    fclose(printer->stream);
    stdout = printer->before;
    int said = printer->error; /* when it was printed */
    const char *why = drain(printer, signal_fd);
    if (!why && !said && printer->error && printer->error != -EPIPE)
        why = strerror(-printer->error);
    if (why)
        say("standard output is incomplete: %s", why);
    if (printer->left_out)
        say("%llu lines were left out, as the reader of standard output did not keep up",
            (unsigned long long)printer->left_out);
    if ((why || printer->error) && status == STATUS_DONE)
        status = STATUS_MACHINE;
    sink_close(&printer->sink);
    free(printer->bytes);
    free(printer);
    return status;
}
