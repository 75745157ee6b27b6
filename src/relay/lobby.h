/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_LOBBY_H
#define RELAY_LOBBY_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Where clients wait who are accepted in one process and served in several, its members: each is
 * handed to the member that has fewest. The numbers are in memory that all share; it is made before
 * they are forked.
 */
struct lobby;
struct sockaddr_storage;
enum { LOBBY_MOST = 128, LOBBY_ACCEPTS = LOBBY_MOST };

struct lobby_config {
    unsigned members;
    uint64_t most; /* clients at once, of all members; 0: no limit */
    uint64_t each; /* and of each: its descriptors */
};
/** 0 or -errno. */
int lobby_new(const struct lobby_config *config, struct lobby **ret_lobby);
/** NULL is taken; returns NULL. */
struct lobby *lobby_free(struct lobby *lobby);
/** What is readable when there is somebody for that member, or, for who accepts (LOBBY_ACCEPTS), when
 *  there may be room again. Edge-triggered, and nobody reads the latter. */
int lobby_fd(const struct lobby *lobby, unsigned member);
/** The descriptors that a member has of it. */
enum { LOBBY_FDS = 2 };
void lobby_fds(const struct lobby *lobby, unsigned member, int fds[LOBBY_FDS]);

/** Who accepts: takes room for one more. False: there is none, and the bell rings when there is. */
bool lobby_reserve(struct lobby *lobby);
/** Gives that room back: nobody came. */
void lobby_release(struct lobby *lobby);
/** Hands a client to a member, with the number of the socket that it called at. `fd` is the lobby's in
 *  any case. -EAGAIN: nobody takes it now; it is kept, see lobby_pass_kept. */
int lobby_pass(struct lobby *lobby, int fd, unsigned listener, const struct sockaddr_storage *from);
/** -EAGAIN: one is still kept. */
int lobby_pass_kept(struct lobby *lobby);

/** A member: is there a client for it, and takes him: his descriptor, or -EAGAIN. */
bool lobby_has(const struct lobby *lobby, unsigned member);
int lobby_take(struct lobby *lobby, unsigned member, unsigned *ret_listener,
               struct sockaddr_storage *ret_from);
/** One has come to the member on another way; one of it has gone. */
void lobby_enter(struct lobby *lobby, unsigned member);
void lobby_left(struct lobby *lobby, unsigned member);

struct lobby_stats {
    uint64_t open, open_most; /* of all members */
};
void lobby_get_stats(const struct lobby *lobby, struct lobby_stats *ret_stats);

#endif
