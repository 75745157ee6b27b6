/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_DOOR_H
#define RELAY_DOOR_H

#include "relay/join.h"
#include "relay/lobby.h"
#include "relay/loop.h"
#include "relay/place.h"

#include <peer/peer.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Kernel sockets through which local programs come to flows of peers, and callers of peers to local
 * programs: thousands of joins in one loop. What a door does with those who come is said by its owner
 * in functions (door_ops); the owner's own data of an entry lies behind it, in the same memory.
 *
 * The life of an entry:
 *
 *   talking   a client was accepted, and what it sends goes to ops->bytes (without that function
 *             nothing is read). Left by door_connect, door_finish, door_reset.
 *   calling   a flow is on its way to the application. ops->connected, or ops->failed: then it is
 *             talking again, with nothing read, and reset unless something else was done to it.
 *   joined    bytes go both ways until the end.
 *   leaving   what was said last is written, then FIN; see join_finish.
 *   over      ops->ended was called, the memory goes at the end of the turn.
 *
 * Every function of ops may be NULL, and may do anything to its entry.
 */
struct door;
struct door_entry;
struct door_listener;

/** What became of an entry; the words are door_end_text's. */
enum door_end {
    DOOR_OPEN,
    DOOR_CLOSED,       /* both sides in order */
    DOOR_REFUSED,      /* by the other side, before it was open */
    DOOR_RESET,        /* by the application */
    DOOR_CLIENT_RESET, /* by the client, or its connection failed */
    DOOR_TIMEOUT,
    DOOR_UNREACHABLE,
    DOOR_FAILED,      /* here: no flow could be made, no memory */
    DOOR_EXPIRED,     /* its deadline came */
    DOOR_TURNED_AWAY, /* by the owner: door_finish or door_reset */
    DOOR_ENDS,
};
/** "closed", "refused" ... */
const char *door_end_text(enum door_end end);

struct door_ops {
    size_t entry_bytes; /* of the owner's struct, which begins with struct door_entry; zeroed */
    /** A client is there, or with door_call a caller, who is calling at once. */
    void (*accepted)(struct door_entry *entry);
    /** While it is talking: all it has sent that was not taken yet, DOOR_TALK bytes at the most.
     *  Returns how many are taken. */
    size_t (*bytes)(struct door_entry *entry, const char *data, size_t len);
    /** While it is talking, it has said its last (FIN). Else door_finish. */
    void (*said_all)(struct door_entry *entry);
    /** Both sides are there. What door_answer writes now comes before the application's bytes. */
    void (*connected)(struct door_entry *entry);
    /** The flow has not come about: `event` is its CLOSED. */
    void (*failed)(struct door_entry *entry, const struct peer_event *event);
    /** Guarded: how many of these bytes, which came from the client, go to the application; or from
     *  it to the client. Fewer than all: nothing more passes that way until door_go_on. */
    size_t (*to_flow)(struct door_entry *entry, const char *data, size_t len);
    size_t (*to_client)(struct door_entry *entry, const char *data, size_t len);
    /** Guarded: something may have passed, or the flow may have ended, which ends nothing else then:
     *  see door_passed, door_flow_ended. */
    void (*moved)(struct door_entry *entry);
    /** The deadline is reached. Else the entry is reset. */
    void (*expired)(struct door_entry *entry);
    /** The last call. `entry->end` tells why. */
    void (*ended)(struct door_entry *entry);
};

enum { DOOR_TALK = 16 * 1024 };

enum door_phase { DOOR_TALKING, DOOR_CALLING, DOOR_JOINED, DOOR_LEAVING, DOOR_OVER };

/** Read-only for owners, but for `user`. */
struct door_entry {
    struct door *door;
    const struct door_ops *ops;
    void *user;          /* of the listener, or of door_call, at first */
    struct place client; /* who was accepted; without address and path: an unnamed Unix socket */
    enum door_phase phase;
    enum door_end end;
    uint64_t began_ns;
    struct join join; /* figures: join.state; the flow: join.flow */

    /* The door's. */
    struct loop_fd fd;
    struct loop_flow flow;
    struct loop_task task;
    struct loop_timer deadline;
    struct door_entry *next, **link;
    char *talk; /* what was read and not taken while it is talking */
    size_t talk_len;
    bool unheard; /* ops->bytes has not seen that */
    bool paused;
};

struct door_config {
    struct loop *loop;
    uint64_t most; /* entries at once: then accepting pauses. 0: as many as there are descriptors */
    /** Doors of several processes: clients are accepted in one, and come to all; NULL: not so. */
    struct lobby *lobby;
    unsigned member; /* which of them this is, or LOBBY_ACCEPTS */
};
int door_new(const struct door_config *config, struct door **ret_door);
/** Closes all entries (ops->ended is called) and the listeners. Returns NULL. */
struct door *door_free(struct door *door);

/**
 * Raises the process's limit of descriptors to what it may be. How many entries fit then, each taking
 * `each` descriptors. Before peer_confine.
 */
uint64_t door_raise_limit(unsigned each);

/** Takes clients of `fd` (place_listen), which is the door's from now on. -errno. With a lobby all doors
 *  are told of the same ones in the same order, with -1 where they do not accept. */
int door_listen(struct door *door, int fd, const struct door_ops *ops, void *user);
/** Those that were accepted elsewhere and have come: of a door with a lobby. */
void door_take_all(struct door *door);
/** Accepts nobody any more, and closes the listening sockets. */
void door_stop_listening(struct door *door);
/** A caller of a peer (PEER_EVENT_ACCEPTED) is joined to a new socket that calls `to`. The flow is
 *  the door's in any case. */
void door_call(struct door *door, struct peer_flow *flow, const struct place *to,
               const struct door_ops *ops, void *user);

/** From talking to calling: peer_connect (its `user` is set here), or its -errno: still talking.
 *  Bytes that were not taken go to the application first. */
int door_connect(struct door_entry *entry, const struct peer_connect_config *config);
/** Bytes that are put before what comes next for the client, or the application. -ENOMEM. */
int door_answer(struct door_entry *entry, const void *data, size_t len);
int door_say(struct door_entry *entry, const void *data, size_t len);
/**
 * A guarded entry's owner has a say in every byte: see ops->to_flow and the following. Before
 * door_connect or when it is joined, and no more of it from then on.
 */
void door_guard(struct door_entry *entry, bool guarded);
/** All that may pass to the client has passed. */
bool door_passed(const struct door_entry *entry);
/** The application has ended, in order or not (join.state.end), and nothing of it is left. */
bool door_flow_ended(const struct door_entry *entry);
/** If the client has ended, and all it said is with the application, so does the flow's way there. */
void door_pass_end(struct door_entry *entry);
/** From joined, guarded, back to talking. The flow is kept, as long as the application keeps it. */
void door_talk_again(struct door_entry *entry);
/** From ops->bytes, to that flow: these bytes first, then joined and guarded again. False: it is not
 *  there any more. */
bool door_go_on(struct door_entry *entry, const void *data, size_t len);
/** While it is talking: the flow that was kept is closed in order. */
void door_let_go(struct door_entry *entry);

/** While it is talking: nothing is read. */
void door_pause(struct door_entry *entry, bool paused);
/** Ends in order: answers are written, then FIN; the client has DOOR_LEAVE_NS to close as well. Its
 *  flow, if it has one, is reset. */
#define DOOR_LEAVE_NS UINT64_C(2000000000)
void door_finish(struct door_entry *entry, enum door_end end);
/** Both sides are closed, see join_close: nothing more is moved. */
void door_close(struct door_entry *entry, enum door_end end);
/** Both sides are reset. */
void door_reset(struct door_entry *entry, enum door_end end);
/** 0: none. Costs no system call. */
void door_set_deadline(struct door_entry *entry, uint64_t at_ns);

struct door_stats {
    uint64_t accepted;        /* clients, and callers of peers */
    uint64_t opened;          /* both sides were there */
    uint64_t open, open_most; /* entries now, and the most at once */
    uint64_t ends[DOOR_ENDS];
    uint64_t bytes_sent, bytes_received; /* to applications (callers of peers), from them */
    uint64_t pauses;                     /* accepting had to wait for an entry to end */
};
void door_get_stats(const struct door *door, struct door_stats *ret_stats);

#endif
