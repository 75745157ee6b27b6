/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How clients come to a door.
 *
 * Accepting pauses when there are as many entries as are allowed, or when the kernel has no
 * descriptor left: clients wait in the kernel's queue. The end of any entry, or a while, makes all
 * listeners try again.
 *
 * Where doors of several processes share a lobby, one process accepts, and hands each client to the
 * door that has fewest entries (lobby.h); all of them have their listeners in the same order.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS = 64 }; /* of a listener in a turn */
#define RETRY_NS UINT64_C(100000000)

struct door_listener {
    struct door *door;
    struct loop_fd fd;
    struct loop_task task;
    const struct door_ops *ops;
    void *user;
    unsigned index; /* among those of the door */
    struct door_listener *next;
};

void door_accept_again(struct door *door)
{
    if (!door->full)
        return;
    door->full = false;
    loop_cancel_timer(door->loop, &door->retry);
    for (struct door_listener *listener = door->listeners; listener; listener = listener->next)
        loop_queue(door->loop, &listener->task);
}

/* Is there room for one more? Then it is taken, where others take it too. */
static bool find_room(struct door *door)
{
    if (door->lobby)
        return lobby_reserve(door->lobby);
    return !door->most || door->stats.open < door->most;
}

static void enter(struct door_listener *listener, int fd, const struct sockaddr_storage *from)
{
    struct door *door = listener->door;
    struct door_entry *entry = door_entry_new(door, listener->ops, listener->user);
    if (!entry) {
        close(fd);
        if (door->lobby)
            lobby_left(door->lobby, door->member);
        return;
    }
    place_of(from, &entry->client);
    door_set_socket(entry, fd, true, !entry->client.addr.family);
    entry->phase = DOOR_TALKING;
    if (loop_add(door->loop, &entry->fd, DOOR_EVENTS) < 0)
        door_reset(entry, DOOR_FAILED);
    else if (entry->ops->accepted)
        entry->ops->accepted(entry);
}

static bool pause_accepting(struct door *door)
{
    door->full = true;
    door->stats.pauses++;
    return false;
}

/* Descriptors and memory may be free again without an entry's end. */
static bool pause_for_a_while(struct door *door)
{
    (void)loop_set_timer(door->loop, &door->retry, loop_now_ns(door->loop) + RETRY_NS);
    return pause_accepting(door);
}

static void on_retry(struct loop_timer *timer)
{
    door_accept_again(container_of(timer, struct door, retry));
}

/* A client that nobody can take now is kept, and nobody is accepted until he is gone. */
static bool admit(struct door_listener *listener, int fd, const struct sockaddr_storage *from)
{
    struct door *door = listener->door;

    if (!door->lobby) {
        enter(listener, fd, from);
        return true;
    }
    return lobby_pass(door->lobby, fd, listener->index, from) == 0 || pause_for_a_while(door);
}

/* False: nobody else is there, or there is no room. */
static bool accept_one(struct door_listener *listener)
{
    struct door *door = listener->door;
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);

    if (door->lobby && lobby_pass_kept(door->lobby) < 0)
        return pause_for_a_while(door);
    if (!find_room(door))
        return pause_accepting(door);
    int fd = accept4(listener->fd.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        return admit(listener, fd, &from);
    if (door->lobby)
        lobby_release(door->lobby);
    if (errno == EAGAIN)
        return false;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        return pause_for_a_while(door);
    return errno == ECONNABORTED || errno == EINTR || errno == EPROTO || errno == EPERM;
}

static void run_listener(struct loop_task *task)
{
    struct door_listener *listener = container_of(task, struct door_listener, task);

    if (listener->door->full)
        return;
    for (int i = 0; i < ACCEPTS; i++) {
        if (!accept_one(listener))
            return;
    }
    loop_queue(listener->door->loop, &listener->task);
}

static void on_listener(struct loop_fd *fd, uint32_t events)
{
    struct door_listener *listener = container_of(fd, struct door_listener, fd);

    (void)events;
    loop_queue(listener->door->loop, &listener->task);
}

static void free_listener(struct loop_task *task)
{
    free(container_of(task, struct door_listener, task));
}

/* ---- from the lobby ---- */

static struct door_listener *find_listener(const struct door *door, unsigned index)
{
    struct door_listener *listener = door->listeners;

    while (listener && listener->index != index)
        listener = listener->next;
    return listener;
}

static void run_inbox(struct loop_task *task)
{
    struct door *door = container_of(task, struct door, inbox_task);
    struct sockaddr_storage from;
    unsigned index;

    for (int i = 0; i < ACCEPTS; i++) {
        int fd = lobby_take(door->lobby, door->member, &index, &from);
        if (fd < 0)
            return;
        struct door_listener *listener = find_listener(door, index);
        if (listener)
            enter(listener, fd, &from);
        else
            close(fd);
    }
    loop_queue(door->loop, task);
}

static void on_inbox(struct loop_fd *fd, uint32_t events)
{
    struct door *door = container_of(fd, struct door, inbox);

    (void)events;
    loop_queue(door->loop, &door->inbox_task);
}

static void on_bell(struct loop_fd *fd, uint32_t events)
{
    struct door *door = container_of(fd, struct door, inbox);

    (void)events;
    door_accept_again(door);
}

void door_take_all(struct door *door)
{
    while (door->lobby && lobby_has(door->lobby, door->member))
        run_inbox(&door->inbox_task);
}

static void free_nothing(struct loop_task *task)
{
    (void)task;
}

int door_accept_init(struct door *door, const struct door_config *config)
{
    door->retry.fire = on_retry;
    door->lobby = config->lobby;
    door->member = config->member;
    if (!door->lobby)
        return 0;
    door->inbox_task = (struct loop_task){.run = run_inbox, .free = free_nothing};
    door->inbox = (struct loop_fd){.fd = lobby_fd(door->lobby, door->member),
                                   .ready = door->member == LOBBY_ACCEPTS ? on_bell : on_inbox};
    return loop_add(door->loop, &door->inbox, EPOLLIN);
}

void door_accept_done(struct door *door)
{
    loop_cancel_timer(door->loop, &door->retry);
    if (!door->lobby)
        return;
    loop_remove(door->loop, &door->inbox);
    loop_bury(door->loop, &door->inbox_task);
}

/* ---- listeners ---- */

int door_listen(struct door *door, int fd, const struct door_ops *ops, void *user)
{
    struct door_listener *listener = calloc(1, sizeof(*listener));
    int status = -ENOMEM;

    if (listener) {
        *listener = (struct door_listener){.door = door,
                                           .fd = {.fd = fd, .ready = on_listener},
                                           .ops = ops,
                                           .user = user,
                                           .task = {.run = run_listener, .free = free_listener},
                                           .index = door->listener_count,
                                           .next = door->listeners};
        status = fd < 0 ? 0 : loop_add(door->loop, &listener->fd, EPOLLIN);
    }
    if (status < 0) {
        free(listener);
        if (fd >= 0)
            close(fd);
        return status;
    }
    door->listener_count++;
    door->listeners = listener;
    return 0;
}

void door_stop_listening(struct door *door)
{
    struct door_listener *listener;

    while ((listener = door->listeners)) {
        door->listeners = listener->next;
        if (listener->fd.fd >= 0) {
            loop_remove(door->loop, &listener->fd);
            close(listener->fd.fd);
        }
        loop_bury(door->loop, &listener->task);
    }
}
