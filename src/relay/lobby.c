/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a client is counted for its member when it is handed over, not when it has
 * come, so that of many who call at once each member gets its part. Each member has a socket, in
 * which descriptors lie until it takes them.
 *
 * Who finds no room says so (`waits`) and looks once more: whoever leaves in between either was seen
 * to have left, or sees that somebody waits, and rings.
 */
#include "relay/lobby.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct shared {
    _Atomic uint64_t open, open_most;
    _Atomic bool waits;
    _Atomic uint64_t by[LOBBY_MOST];
};

struct ticket {
    unsigned listener;
    struct sockaddr_storage from;
};

struct lobby {
    struct lobby_config config;
    struct shared *shared;
    int ends[LOBBY_MOST][2]; /* to read, to write */
    int bell;
    unsigned turn;
    int kept; /* a client whom nobody took, or -1 */
    struct ticket ticket;
};

union room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* ---- numbers ---- */

static void note_most(struct shared *shared, uint64_t open)
{
    uint64_t most = atomic_load(&shared->open_most);

    while (open > most && !atomic_compare_exchange_weak(&shared->open_most, &most, open))
        ;
}

static bool has_room(const struct lobby *lobby)
{
    return !lobby->config.most || atomic_load(&lobby->shared->open) < lobby->config.most;
}

bool lobby_reserve(struct lobby *lobby)
{
    struct shared *shared = lobby->shared;

    if (!has_room(lobby)) {
        atomic_store(&shared->waits, true);
        if (!has_room(lobby))
            return false;
        atomic_store(&shared->waits, false);
    }
    atomic_fetch_add(&shared->open, 1);
    return true;
}

static void ring(struct lobby *lobby)
{
    const uint64_t one = 1;

    if (atomic_load(&lobby->shared->waits) && atomic_exchange(&lobby->shared->waits, false))
        (void)!write(lobby->bell, &one, sizeof(one));
}

void lobby_release(struct lobby *lobby)
{
    atomic_fetch_sub(&lobby->shared->open, 1);
}

void lobby_enter(struct lobby *lobby, unsigned member)
{
    atomic_fetch_add(&lobby->shared->by[member], 1);
    note_most(lobby->shared, atomic_fetch_add(&lobby->shared->open, 1) + 1);
}

void lobby_left(struct lobby *lobby, unsigned member)
{
    atomic_fetch_sub(&lobby->shared->by[member], 1);
    atomic_fetch_sub(&lobby->shared->open, 1);
    ring(lobby);
}

void lobby_get_stats(const struct lobby *lobby, struct lobby_stats *ret_stats)
{
    *ret_stats = (struct lobby_stats){.open = atomic_load(&lobby->shared->open),
                                      .open_most = atomic_load(&lobby->shared->open_most)};
}

/* ---- handing over ---- */

static int send_to(const struct lobby *lobby, unsigned member, int fd, const struct ticket *ticket)
{
    struct iovec part = {(void *)(uintptr_t)ticket, sizeof(*ticket)};
    union room room;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
    ssize_t done;

    memset(&room, 0, sizeof(room));
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(control), &fd, sizeof(fd));
    do
        done = sendmsg(lobby->ends[member][1], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : 0;
}

/* The one that has fewest; of several, the next in turn. LOBBY_MOST: none has room. */
static unsigned choose(struct lobby *lobby, const bool *tried)
{
    uint64_t least = lobby->config.each ? lobby->config.each : UINT64_MAX;
    unsigned found = LOBBY_MOST;

    for (unsigned i = 0; i < lobby->config.members; i++) {
        const unsigned member = (lobby->turn + i) % lobby->config.members;
        const uint64_t open = atomic_load(&lobby->shared->by[member]);
        if (open >= least || tried[member])
            continue;
        least = open;
        found = member;
    }
    lobby->turn = found + 1;
    return found;
}

static int pass(struct lobby *lobby, int fd, const struct ticket *ticket)
{
    bool tried[LOBBY_MOST] = {false};
    unsigned member;

    while ((member = choose(lobby, tried)) < LOBBY_MOST) {
        atomic_fetch_add(&lobby->shared->by[member], 1);
        if (send_to(lobby, member, fd, ticket) == 0) {
            (void)close(fd);
            note_most(lobby->shared, atomic_load(&lobby->shared->open));
            return 0;
        }
        atomic_fetch_sub(&lobby->shared->by[member], 1);
        tried[member] = true;
    }
    return -EAGAIN;
}

int lobby_pass(struct lobby *lobby, int fd, unsigned listener, const struct sockaddr_storage *from)
{
    const struct ticket ticket = {.listener = listener, .from = *from};

    int status = pass(lobby, fd, &ticket);
    if (status < 0) {
        lobby->kept = fd;
        lobby->ticket = ticket;
    }
    return status;
}

int lobby_pass_kept(struct lobby *lobby)
{
    int status = lobby->kept < 0 ? 0 : pass(lobby, lobby->kept, &lobby->ticket);

    if (status == 0)
        lobby->kept = -1;
    return status;
}

/* ---- taking ---- */

bool lobby_has(const struct lobby *lobby, unsigned member)
{
    struct pollfd wanted = {.fd = lobby->ends[member][0], .events = POLLIN};

    return poll(&wanted, 1, 0) > 0 && wanted.revents & POLLIN;
}

int lobby_take(struct lobby *lobby, unsigned member, unsigned *ret_listener,
               struct sockaddr_storage *ret_from)
{
    struct ticket ticket;
    struct iovec part = {&ticket, sizeof(ticket)};
    union room room;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof(room.bytes)};
    ssize_t done;
    int fd;

    do
        done = recvmsg(lobby->ends[member][0], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (done < 0 && errno == EINTR);
    if (done != (ssize_t)sizeof(ticket))
        return -EAGAIN;
    const struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    if (!control || control->cmsg_type != SCM_RIGHTS || control->cmsg_len != CMSG_LEN(sizeof(fd))) {
        lobby_left(lobby, member); /* the limit of descriptors was lowered meanwhile */
        return -EAGAIN;
    }
    memcpy(&fd, CMSG_DATA(control), sizeof(fd));
    *ret_listener = ticket.listener;
    *ret_from = ticket.from;
    return fd;
}

/* ---- the lobby ---- */

int lobby_fd(const struct lobby *lobby, unsigned member)
{
    return member == LOBBY_ACCEPTS ? lobby->bell : lobby->ends[member][0];
}

void lobby_fds(const struct lobby *lobby, unsigned member, int fds[LOBBY_FDS])
{
    fds[0] = lobby->ends[member][0];
    fds[1] = lobby->bell;
}

int lobby_new(const struct lobby_config *config, struct lobby **ret_lobby)
{
    struct lobby *lobby = calloc(1, sizeof(*lobby));
    int status = 0;

    if (!lobby)
        return -ENOMEM;
    lobby->config = *config;
    lobby->kept = lobby->bell = -1;
    memset(lobby->ends, 0xff, sizeof(lobby->ends));
    lobby->shared = mmap(NULL, sizeof(*lobby->shared), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lobby->shared == MAP_FAILED) {
        free(lobby);
        return -ENOMEM;
    }
    lobby->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lobby->bell < 0)
        status = -errno;
    for (unsigned i = 0; i < config->members && status == 0; i++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lobby->ends[i]) < 0)
            status = -errno;
    }
    if (status < 0)
        lobby_free(lobby);
    else
        *ret_lobby = lobby;
    return status;
}

struct lobby *lobby_free(struct lobby *lobby)
{
    if (!lobby)
        return NULL;
    for (unsigned i = 0; i < lobby->config.members; i++) {
        for (int end = 0; end < 2; end++) {
            if (lobby->ends[i][end] >= 0)
                (void)close(lobby->ends[i][end]);
        }
    }
    if (lobby->bell >= 0)
        (void)close(lobby->bell);
    if (lobby->kept >= 0)
        (void)close(lobby->kept);
    (void)munmap(lobby->shared, sizeof(*lobby->shared));
    free(lobby);
    return NULL;
}
