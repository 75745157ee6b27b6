/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_RESOLVER_SERVE_H
#define EXEC_RESOLVER_SERVE_H

#include "exec/resolver.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

/** Internal to the resolver: its port, and its process once it is confined. */

enum { RESOLVER_PORT = 53 };

/** The address as bind and connect take it, with that port. Its length. */
socklen_t resolver_address(const struct peer_addr *addr, struct sockaddr_storage *ret);
/** A socket to the nameserver that is connected, or about to be. -errno. */
int resolver_call(const struct peer_addr *nameserver, int type);
/** Its clock: a timer descriptor, set by resolver_serve. -errno. */
int resolver_ticks(void);
/** Passes queries and answers on until the other end of `end` is closed. */
void resolver_serve(const struct resolver_door *doors, int count, int end, int ticks);

/** Queries by UDP that wait for their answers: when there are more, the oldest is forgotten. */
enum { QUERIES_MAX = 256, QUERY_TICKS = 6 /* 5 s at the least */ };
struct queries;
struct queries *queries_new(void);
bool queries_wait(const struct queries *queries);
/** Takes what came to a door, and passes it on. */
void queries_take(struct queries *queries, const struct resolver_door *door);
/** Fills QUERIES_MAX entries before poll; acts on them afterwards. */
void queries_poll(const struct queries *queries, struct pollfd *polls);
void queries_run(struct queries *queries, const struct pollfd *polls);
/** Another second. */
void queries_tick(struct queries *queries);

/** Connections by TCP, the same way, with two entries each. */
enum { CALLS_MAX = 32, CALL_TICKS = 31 };
struct calls;
struct calls *calls_new(void);
bool calls_wait(const struct calls *calls);
void calls_take(struct calls *calls, const struct resolver_door *door);
void calls_poll(const struct calls *calls, struct pollfd *polls);
void calls_run(struct calls *calls, const struct pollfd *polls);
void calls_tick(struct calls *calls);

#endif
