/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_WORKLOAD_H
#define LIB_WORKLOAD_H

#include "lib/internal.h"
#include "protocol/table.h"

#include <peer/workload.h>

/**
 * A workload of the caller's as a protocol of the soak's (soak/protocol.h). workload.c has the hooks,
 * client.c the functions that they call.
 */

/* Bytes that a client holds for its workload, in each direction. */
#define WORKLOAD_HELD_MOST (UINT64_C(16) << 20)
enum { WORKLOAD_TEXT = 240 };

/* A request that is finished when the hook has returned. */
struct workload_finish {
    struct client *client; /* NULL: none */
    uint32_t request;
    enum { FINISH_DONE, FINISH_STATUS, FINISH_LOSE } how;
    unsigned status;
    bool right;
    enum peer_soak_error kind;
    char text[WORKLOAD_TEXT];
};

/* Lives as long as the soak. */
struct workload {
    struct peer_workload hooks;
    char name[32];
    struct protocol protocol;
    struct protocol_ops ops;
    struct peer_net *net;
    double rate;
    bool delays;     /* what is finished waits in `finish` */
    unsigned begins; /* in so many of `opened` and `ask`, */
    unsigned asks;   /* of `ask`, */
    unsigned looks;  /* and of hooks that may only look */
    struct workload_finish finish;
};

/* Behind each client; the caller's bytes follow. */
struct workload_client {
    char *kept; /* came, and is not used yet */
    size_t kept_len, kept_room;
    char *unsent;
    size_t unsent_at, unsent_len;
    bool reads; /* a hook has `kept` */
};

/** Checks what the caller gave, and makes a protocol of it. -EINVAL, -E2BIG with text. */
int workload_take(struct workload *workload, struct peer_net *net,
                  const struct peer_soak_config *config, struct peer_error *error);

static inline struct workload *workload_of(const struct client *client)
{
    return *(struct workload **)client_run(client);
}
static inline struct workload_client *workload_client(const struct client *client)
{
    return client_own(client);
}
/** Where the caller's bytes are. */
void *workload_own(const struct client *client);
/** What `finish` holds happens. */
void workload_finish_now(struct workload *workload);
/** Writes what is left. False: the client is over. */
bool workload_send_rest(struct client *client);

#endif
