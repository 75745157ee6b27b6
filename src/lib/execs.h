/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_EXECS_H
#define LIB_EXECS_H

/**
 * Programs as the library has them: exec.c has their places, exec_moves.c what moves their packets, in
 * this process or by workers.
 */
#include "lib/crew.h"

#include "exec/exec.h"
#include "exec/place.h"

#include <peer/exec.h>

enum { REFUSALS_TOLD = 8 }; /* a line each */

/* One copy of the program. */
struct copy {
    struct place place;
    char **argv; /* of its own, where it has its number in it; else NULL */
    bool ended;
};

struct peer_exec {
    struct peer_net *net;
    struct exec *moves; /* NULL: workers do it */
    struct peer_origin *origin;
    bool own_origin;
    struct copy *copies;
    unsigned copy_count, copy_room; /* made so far; wanted */
    int news;                       /* epoll of the copies' controls */
    unsigned turn;                  /* whose news to ask for next */
    /* How packets are to be moved. */
    enum peer_spread spread;
    struct peer_addr localhost;
    struct manner_spec specs[MANNERS_MAX];
    int spec_count;
    uint64_t roam_ns, max_flows;
    int (*inboxes)[2]; /* of workers: to read, to write; until they are forked */
    struct peer_addr told[REFUSALS_TOLD];
    unsigned told_count;
    bool told_full, told_ports;
    uint64_t packets, moved_ns; /* see peer_exec_leave */
};

/** Begins to: here, or in workers. 0 or -errno with text. */
int exec_start_moving(struct peer_exec *exec, struct peer_error *error);
int exec_start_workers(struct peer_exec *exec, struct peer_error *error);
/** What cannot be with workers. */
int exec_check_workers(const struct peer_net *net, const struct peer_exec_config *config,
                       const struct manner_spec *specs, int spec_count, struct peer_error *error);
/** As it is now, of all. */
void exec_get_told(const struct peer_exec *exec, struct exec_stats *ret_stats,
                   struct exec_unfinished *ret_unfinished);

#endif
