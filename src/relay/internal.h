/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_INTERNAL_H
#define RELAY_INTERNAL_H

#include "relay/door.h"

#include <sys/epoll.h>

#define DOOR_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP))
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/** Between door.c, door_accept.c and door_talk.c. */

struct door {
    struct loop *loop;
    uint64_t most;
    struct door_entry *entries;
    struct door_listener *listeners;
    unsigned listener_count; /* so far */
    struct loop_timer retry;
    bool full;
    struct lobby *lobby; /* NULL: none */
    unsigned member;
    struct loop_fd inbox;        /* or the bell */
    struct loop_task inbox_task;
    struct door_stats stats; /* without the bytes of open entries */
    struct join_scratch scratch;
};

/* door.c */
/** One more, or NULL without memory. */
struct door_entry *door_entry_new(struct door *door, const struct door_ops *ops, void *user);
void door_set_socket(struct door_entry *entry, int fd, bool called, bool local);

/* door_accept.c */
int door_accept_init(struct door *door, const struct door_config *config);
void door_accept_done(struct door *door);
/** There is room again. */
void door_accept_again(struct door *door);

/** There is something to do for it. */
void door_queue(struct door_entry *entry);
/** In whatever way; the last thing of it. */
void door_end(struct door_entry *entry, enum door_end how);

/** Reads from a client that is talking. */
void door_talk(struct door_entry *entry);
/** Bytes that were kept go on to the application, as far as they may. */
void door_pass_talk(struct door_entry *entry);
/** A flow that is kept while its client is talking had an event. */
void door_look_kept(struct door_entry *entry);

#endif
