/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_FORWARD_H
#define CLI_FORWARD_H

#include "cli/cli.h"
#include "relay/datagram.h"
#include "relay/door.h"
#include "relay/place.h"

/** The grammar of ssh -L and -R: where each way begins and where it leads. */
enum { WAY_PLACES = 8, WAYS_MOST = 64 };

struct way {
    const char *text; /* as it was given */
    bool reverse;     /* -R */
    /* Where it begins: kernel sockets, */
    struct place at[WAY_PLACES];
    int fds[WAY_PLACES]; /* -1: not open, or somebody else's by now */
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
/** Opens the kernel sockets where it begins. 0 or an exit status after a message. */
int way_open(struct way *way, bool udp);
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

struct forward {
    const struct forward_options *options;
    struct peer_net *net;
    struct loop *loop;
    struct door *door;         /* TCP */
    struct datagram *datagram; /* UDP */
    int signal_fd;
    uint64_t began_ns;
    bool told[DOOR_ENDS], told_udp[DATAGRAM_ENDS]; /* the first of its kind was said */
    int way_count;
    struct way ways[WAYS_MOST];
    struct road roads[WAYS_MOST];
};

/** Where it leads, as text. Returns `buf`. */
const char *where_to(const struct way *way, char buf[PLACE_TEXT]);
/** Lets clients, or callers of peers, go that way. 0 or an exit status after a message. */
int road_open(struct forward *forward, struct way *way, struct road *ret_road);

/** On standard error, or with --json on standard output. Passes `status` on. */
int forward_report(const struct forward *forward, int status);

#endif
