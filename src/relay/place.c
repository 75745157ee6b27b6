/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay/place.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/filter.h>

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

const char *place_format(const struct place *place, char buf[PLACE_TEXT])
{
    if (place->addr.family)
        peer_endpoint_format(&place->addr, place->port, buf);
    else
        (void)snprintf(buf, PLACE_TEXT, "unix:%s", place->path);
    return buf;
}

static socklen_t fill(const struct place *place, union address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (place->addr.family == 4) {
        ret_address->in.sin_family = AF_INET;
        ret_address->in.sin_port = htons(place->port);
        memcpy(&ret_address->in.sin_addr, place->addr.bytes, 4);
        return sizeof(ret_address->in);
    }
    if (place->addr.family == 6) {
        ret_address->in6.sin6_family = AF_INET6;
        ret_address->in6.sin6_port = htons(place->port);
        memcpy(&ret_address->in6.sin6_addr, place->addr.bytes, 16);
        return sizeof(ret_address->in6);
    }
    ret_address->un.sun_family = AF_UNIX;
    memcpy(ret_address->un.sun_path, place->path, strnlen(place->path, PLACE_PATH - 1));
    return sizeof(ret_address->un);
}

void place_of(const struct sockaddr_storage *from, struct place *ret_place)
{
    union address address = {.storage = *from};

    *ret_place = (struct place){0};
    if (address.any.sa_family == AF_INET) {
        ret_place->addr.family = 4;
        ret_place->port = ntohs(address.in.sin_port);
        memcpy(ret_place->addr.bytes, &address.in.sin_addr, 4);
    } else if (address.any.sa_family == AF_INET6) {
        ret_place->addr.family = 6;
        ret_place->port = ntohs(address.in6.sin6_port);
        memcpy(ret_place->addr.bytes, &address.in6.sin6_addr, 16);
    } else {
        memcpy(ret_place->path, address.un.sun_path, PLACE_PATH - 1);
    }
}

static int open_socket(const struct place *place, bool udp)
{
    int family = place->addr.family == 4 ? AF_INET : place->addr.family == 6 ? AF_INET6 : AF_UNIX;
    int fd = socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    return fd < 0 ? -errno : fd;
}

static void set(int fd, int level, int option)
{
    (void)setsockopt(fd, level, option, &(int){1}, sizeof(int));
}

/* Accepted sockets have it from the one that listens. What we write is whole already. */
static void prepare(const struct place *place, int fd, bool udp)
{
    if (!place->addr.family || udp)
        return;
    set(fd, IPPROTO_TCP, TCP_NODELAY);
    set(fd, SOL_SOCKET, SO_KEEPALIVE);
}

/* A path in the way: does somebody listen there? */
static int look_at_path(const struct place *place, bool udp)
{
    bool called;
    int fd = place_connect(place, udp, &called);

    if (fd < 0)
        return fd == -ECONNREFUSED ? -EEXIST : -EADDRINUSE;
    close(fd);
    return -EADDRINUSE;
}

static int bind_to(struct place *place, int fd, bool udp)
{
    union address address;
    socklen_t len = fill(place, &address);

    if (!udp && place->addr.family)
        set(fd, SOL_SOCKET, SO_REUSEADDR);
    if (place->addr.family == 6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    prepare(place, fd, udp);
    if (bind(fd, &address.any, len) < 0)
        return errno == EADDRINUSE && !place->addr.family ? look_at_path(place, udp) : -errno;
    if (!udp && listen(fd, INT_MAX) < 0) /* the kernel's own limit is a sysctl */
        return -errno;
    if (place->addr.family && getsockname(fd, &address.any, &len) == 0)
        place->port = ntohs(place->addr.family == 4 ? address.in.sin_port : address.in6.sin6_port);
    return 0;
}

int place_listen(struct place *place, bool udp)
{
    int fd = open_socket(place, udp);
    if (fd < 0)
        return fd;
    int status = bind_to(place, fd, udp);
    if (status == 0)
        return fd;
    close(fd);
    return status;
}

/* Nothing gets in until all are there: which of them has a source depends on how many there are. */
static void close_filter(int fd)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K};
    const struct sock_fprog filter = {.len = 1, .filter = &nothing};
    char byte;

    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
    while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
        ;
}

static int join_group(const struct place *place, int *ret_fd)
{
    union address address;
    socklen_t len = fill(place, &address);
    int fd = open_socket(place, true);

    if (fd < 0)
        return fd;
    *ret_fd = fd;
    close_filter(fd);
    set(fd, SOL_SOCKET, SO_REUSEPORT);
    if (place->addr.family == 6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return bind(fd, &address.any, len) < 0 ? -errno : 0;
}

/* The first was bound alone: nobody else is there, and who comes later must say that he shares. */
int place_share(const struct place *place, int *fds, unsigned count)
{
    int status = 0;

    close_filter(fds[0]);
    set(fds[0], SOL_SOCKET, SO_REUSEPORT);
    for (unsigned i = 1; i < count && status == 0; i++)
        status = join_group(place, &fds[i]);
    for (unsigned i = 0; i < count && status == 0; i++) {
        if (setsockopt(fds[i], SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)) < 0)
            status = -errno;
    }
    return status;
}

void place_unlink(const struct place *place)
{
    if (!place->addr.family && place->path[0])
        (void)unlink(place->path);
}

int place_connect(const struct place *place, bool udp, bool *ret_called)
{
    union address address;
    socklen_t len = fill(place, &address);

    int fd = open_socket(place, udp);
    if (fd < 0)
        return fd;
    prepare(place, fd, udp);
    int status = connect(fd, &address.any, len);
    if (status == 0 || errno == EINPROGRESS) {
        *ret_called = status == 0;
        return fd;
    }
    int code = errno;
    close(fd);
    return -code;
}
