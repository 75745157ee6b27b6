/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a listening socket in the namespace's own space of abstract names. It is the
 * owner's while any copy of its descriptor is open, so it is given back whatever way the owner
 * ends. Who finds a name taken connects to it and waits: either the owner says that it stays, or
 * the connection breaks when the name is free. So nobody asks twice a second, and nobody guesses.
 */
#include "kernel/netns/name.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 2000, TRIES = 1000, BACKLOG = 64 };

struct name {
    struct sockaddr_un addr;
    socklen_t len;
};

static struct name make_name(const char *text)
{
    struct name name = {.addr = {.sun_family = AF_UNIX}};
    const size_t len = strlen(text);

    assert(len < sizeof(name.addr.sun_path));
    memcpy(name.addr.sun_path + 1, text, len);
    name.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    return name;
}

static int new_socket(int flags)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    return fd < 0 ? -errno : fd;
}

static int grab(const struct name *name)
{
    const int fd = new_socket(SOCK_NONBLOCK);

    if (fd < 0 || (bind(fd, (const struct sockaddr *)&name->addr, name->len) == 0 &&
                   listen(fd, BACKLOG) == 0))
        return fd;
    const int code = errno;
    (void)close(fd);
    return -code;
}

/** Waits on the owner: 0 when the name may be free, -EADDRINUSE when it is not, or -errno. */
static int wait_for(const struct name *name)
{
    const int fd = new_socket(SOCK_NONBLOCK);
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    char word;
    int status;

    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&name->addr, name->len) < 0) {
        /* Gone just now, or about to listen, or there are many who ask. */
        (void)poll(NULL, 0, 1);
        status = 0;
    } else {
        do
            status = poll(&wanted, 1, WAIT_MS);
        while (status < 0 && errno == EINTR);
        status = status > 0 && recv(fd, &word, 1, 0) <= 0 ? 0 : -EADDRINUSE;
    }
    (void)close(fd);
    return status;
}

int name_take(const char *text)
{
    const struct name name = make_name(text);
    int fd = -EADDRINUSE;

    for (int i = 0; i < TRIES && fd == -EADDRINUSE; i++) {
        fd = grab(&name);
        const int status = fd == -EADDRINUSE ? wait_for(&name) : 0;
        if (status < 0)
            return status;
    }
    return fd;
}

void name_keep(int fd)
{
    const int asking = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (asking < 0)
        return;
    (void)send(asking, "", 1, MSG_NOSIGNAL);
    (void)close(asking);
}
