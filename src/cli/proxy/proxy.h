/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_PROXY_H
#define CLI_PROXY_H

#include "cli/cli.h"
#include "cli/names.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "relay/door.h"

/** The parts of peer proxy: its command (proxy.c), where it listens and who may (listen.c), one
 *  client (patron.c), plain HTTP (http.c), datagrams (udp.c). */

enum { PROXY_LISTENS = 8, PROXY_PLACES = 2 * PROXY_LISTENS, PROXY_PORT = 1080 };

struct proxy_options {
    struct common_options common;
    const char *listens[PROXY_LISTENS];
    int listen_count;
    const char *password, *password_file;
    uint64_t connections;
};

struct proxy_counts {
    uint64_t tunnels, requests, associations; /* that were open, answered */
    uint64_t turned_away;                     /* clients that were refused something */
    uint64_t datagrams_sent, datagrams_received, datagrams_dropped;
};

struct proxy {
    const struct proxy_options *options;
    struct proxy_rules rules;
    struct peer_net *net;
    struct peer_net_info info; /* of its start */
    struct loop *loop;
    struct door *door;
    struct names *names;
    struct proxy_counts counts;
    uint64_t silent_ns; /* how long a client may say nothing */
    uint64_t began_ns;
    int signal_fd;
    int place_count;
    struct place places[PROXY_PLACES];
    int fds[PROXY_PLACES];
};

struct association;

/** What a client wants, until it has it; of plain HTTP for as long as it is there. */
struct asking {
    struct proxy_client client;
    struct names_request request; /* under way or not */
    struct patron *patron;
    struct peer_addr addrs[NAMES_MOST]; /* of the target, to be tried one after the other */
    int count, at;
    enum proxy_wants wants;
    /* The flow that is kept from the request before: to whom, and whose it is. */
    struct proxy_target kept;
    char kept_user[PROXY_USER_MOST + 1];
};

/** A client. */
struct patron {
    struct door_entry entry; /* first */
    struct asking *asking;   /* NULL once a tunnel is open */
    struct proxy_exchange exchange;
    bool exchanging;           /* a request, or its answer, is under way */
    bool reused;               /* on a flow that had others before */
    enum proxy_result trouble; /* with the bytes of it; PROXY_OPEN: none */
    char why[HTTP_WHY];        /* and what */
    struct association *association;
    /* For -v: */
    struct peer_addr peer; /* family 0: there is nothing to tell */
    uint16_t peer_port;
    uint64_t opened_ns, sent, received; /* when its flow was opened, and before */
    char to[PROXY_TARGET_TEXT];
};

/** 0 or an exit status after a message. */
int proxy_listen_parse(struct proxy *proxy);
int proxy_listen_open(struct proxy *proxy);
void proxy_listen_close(struct proxy *proxy);
int proxy_take_password(struct proxy *proxy);
void proxy_forget_password(struct proxy *proxy);

extern const struct door_ops patron_ops;
struct proxy *patron_proxy(const struct patron *patron);
/** Whose peer the user's name means, into `from`: family 0 is the next in turn. 0, or why not. */
enum proxy_result patron_choose(const struct patron *patron, struct peer_addr *ret_from,
                                char why[HTTP_WHY]);
/** May a peer send to it? */
enum proxy_result patron_judge(struct proxy *proxy, const struct peer_addr *addr,
                               char why[HTTP_WHY]);
/** Of a name's addresses this machine's come first. */
void patron_sort(struct proxy *proxy, struct peer_addr *addrs, int count);
/** Answers that, and ends the client's connection. */
void patron_refuse(struct patron *patron, enum proxy_result result, const char *why);
/** A flow of its is over: a line with -v. */
void patron_tell(struct patron *patron, const char *how);

/** The flow of a plain request is open, or was kept. */
void patron_exchange(struct patron *patron);
/** The same flow as for the request before: true when it goes on with that. */
bool patron_exchange_again(struct patron *patron);
size_t patron_to_flow(struct door_entry *entry, const char *data, size_t len);
size_t patron_to_client(struct door_entry *entry, const char *data, size_t len);
void patron_moved(struct door_entry *entry);

/** Opens a socket for the client's datagrams and answers with its address. */
void patron_associate(struct patron *patron);
void association_end(struct association *association);

#endif
