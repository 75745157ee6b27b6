/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_FORWARD_H
#define CLI_FORWARD_H

#include "cli/cli.h"
#include "relay/datagram.h"
#include "relay/door.h"
#include "relay/place.h"

#include <stdatomic.h>

/** The grammar of ssh -L and -R: where each way begins and where it leads. */
enum { WAY_PLACES = 8, WAYS_MOST = 64 };

struct way {
    const char *text; /* as it was given */
    bool reverse;     /* -R */
    /* Where it begins: kernel sockets, */
    struct place at[WAY_PLACES];
    int fds[WAY_PLACES]; /* -1: not open, or somebody else's by now */
    int *shares;         /* UDP by workers: of each place one for each; NULL: none */
    unsigned share_count; /* of a place */
    int at_count;
    bool optional; /* loopback of both families, or all addresses: one of them may be missing */
    /* or peers: family 0 is every peer. */
    struct peer_addr peer;
    uint16_t peer_port;
    /* Where it leads: an application that peers call, or a kernel socket's other end. */
    struct target to;
    struct place to_place;
};

/** "[LISTEN:]PORT:HOST:PORT" or "unix:PATH:HOST:PORT"; names are resolved. 0 or an exit status after
 *  a message. */
int way_parse(const struct command *command, const struct common_options *common, const char *text,
              struct way *ret_way);
/** "[PEER:]PORT:HOST:PORT" or "[PEER:]PORT:unix:PATH". */
int way_parse_reverse(const struct command *command, const struct common_options *common,
                      const char *text, struct way *ret_way);
/** Opens the kernel sockets where it begins; over UDP as many of each as there are `workers`. 0 or an
 *  exit status after a message. */
int way_open(struct way *way, bool udp, unsigned workers);
/** That of a worker at the place `at`. */
int way_share(const struct way *way, int at, unsigned worker);
void way_close_shares(struct way *way);
/** Closes those that are still its own. */
void way_close(struct way *way);

/* ---- at work ---- */

struct forward_options {
    struct common_options common;
    const char *reverse[WAYS_MOST];
    int reverse_count;
    uint64_t connections;
    bool accept_first;
};

/** A way, for those who go it. */
struct forward;
struct road {
    struct loop_flow flow; /* hears of callers of the peers */
    struct forward *forward;
    const struct way *way;
    struct peer_connect_config to;
    struct datagram_way datagrams;
};

/** What a worker has counted. */
struct forward_told {
    struct door_stats door;
    struct datagram_stats datagram;
};
/** In memory of all workers; without these of this process alone. */
struct forward_shared {
    _Atomic bool told[DOOR_ENDS], told_udp[DATAGRAM_ENDS]; /* the first of its kind was said */
    _Atomic unsigned listens[WAYS_MOST];                   /* so many listen for that way, -R */
    _Atomic uint64_t sessions, sessions_most;              /* of UDP, at once */
    struct forward_told by[PEER_WORKERS_MOST];
};

struct peer_work;
struct forward {
    const struct forward_options *options;
    struct peer_net *net;
    struct loop *loop;
    struct door *door;         /* TCP */
    struct datagram *datagram; /* UDP */
    int signal_fd;
    uint64_t began_ns;
    struct forward_shared *shared;
    uint64_t sessions_most; /* of UDP; with workers these share it */
    /* With workers: */
    struct peer_work *work;
    struct lobby *lobby; /* TCP */
    unsigned worker;     /* in one: which */
    bool is_worker;
    uint64_t published_ns;
    int way_count;
    struct way ways[WAYS_MOST];
    struct road roads[WAYS_MOST];
};

/** Where it leads, as text. Returns `buf`. */
const char *where_to(const struct way *way, char buf[PLACE_TEXT]);
/** Lets clients, or callers of peers, go that way. 0, or -errno with text. In a worker it is no error that
 *  a peer is another's. */
int road_open(struct forward *forward, struct way *way, struct road *ret_road,
              struct peer_error *error);
/** It listens at a peer that is none. The exit status. */
int road_say_no_peer(const struct way *way);

/* workers.c */
static inline unsigned forward_workers(const struct forward *forward)
{
    return forward->options->common.workers > 1 ? forward->options->common.workers : 0;
}
/** Before all that is shared. 0 or an exit status after a message. */
int forward_share(struct forward *forward);
/** The door of this process only accepts: for at most so many, 0 for no limit, and of each worker. */
int forward_make_lobby(struct forward *forward, uint64_t most, uint64_t each);
int forward_start_workers(struct forward *forward);
/** They tell what they have counted, and nobody else comes in. */
void forward_ask_workers(struct forward *forward);
void forward_get_door(const struct forward *forward, struct door_stats *ret_stats);
void forward_get_datagrams(const struct forward *forward, struct datagram_stats *ret_stats);

/** On standard error, or with --json on standard output. Passes `status` on. */
int forward_report(const struct forward *forward, int status);

#endif
