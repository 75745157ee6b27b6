/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_SOAKS_H
#define LIB_SOAKS_H

/**
 * A soak as the library has it: soak.c starts and ends it, steer.c changes it while it goes on.
 */
#include "lib/internal.h"

#include "lib/workload.h"
#include "soak/soak.h"

#include <peer/steer.h>
#include <sys/resource.h>

/* The local kernel's, and what of them is no loss. */
struct counted {
    struct peer_soak_local local;
    uint64_t syn_retransmits;
};

/* What this process has used by now. */
struct cost {
    struct rusage usage;
    struct cpu_wait wait;
    uint64_t spun_ns;
};

struct peer_soak {
    struct peer_net *net;
    struct soak *run;      /* NULL: workers run it */
    struct worker *worker; /* whose part this is, NULL: it is all */
    double asked_rate;     /* of all workers */
    struct counted before;               /* when measuring began */
    struct cost cost_before, cost_after; /* when it began and ended */
    struct stack_stats sent_before;
    struct peer_addr to;
    uint16_t port;
    uint8_t protocol;
    struct result_part part;
    bool tls;
    bool warming; /* intervals are of the warm-up, and nobody's */
    bool keeps; /* the intervals that were taken, in */
    struct result series; /* and there the changes, with `at_ns` as the net has the time */
    size_t intervals_most;
    struct peer_journal *journal; /* the caller's; NULL: none */
    size_t changes_written;       /* into it */
    struct peer_watch *watch;     /* likewise */
    uint64_t looked_ns;           /* when it was asked last; 0: not yet */
    bool holds;                   /* an interval until its sample is there */
    struct result_interval held;
    struct workload workload; /* the caller's, if there is one */
    /* What was asked for in a hook of it, and waits until that is over. */
    struct timer later;
    bool stops, frees;
    uint64_t grace_ns;
    struct peer_soak *next; /* of net->doomed */
};

/** When its measured time began, by the net's clock. */
uint64_t soak_measured_from_ns(const struct peer_soak *soak);
/** What the local kernel counted since measuring began. */
void soak_read_local(const struct peer_soak *soak, struct peer_soak_local *ret_local);

#endif
