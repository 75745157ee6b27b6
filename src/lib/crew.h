/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_CREW_H
#define LIB_CREW_H

#include "lib/internal.h"
#include "lib/placing.h"
#include "lib/soaks.h"

#include "device/device.h"
#include "soak/result.h"

/**
 * Workers: a soak in several processes. This one, the coordinator, has all that stands on the machine;
 * it sends and reads no frame. A soak forks the workers, each with one queue of the device, an engine
 * and its part of the peers, and they end with it. Words between the two go by a socket for each.
 */

enum crew_word {
    /* to a worker */
    CREW_GO,     /* at `start_ns` */
    CREW_STOP,   /* with `grace_ns` */
    CREW_LEAVE,  /* peer_net_leave */
    CREW_HEARD,  /* the local kernel has no connection to any peer */
    CREW_RESULT, /* what was found is wanted */
    CREW_END,
    CREW_MTU,  /* news of the kernel */
    CREW_MAC,
    CREW_BAR,
    CREW_LINK, /* `uplink`, `downlink` */
    CREW_PLUG, /* `addr`, `on` */
    CREW_RATE, /* `rate`; this and what follows is answered */
    CREW_PAUSE,
    CREW_RESUME,
    CREW_MANNERS, /* `text` */
    /* from one */
    CREW_READY,
    CREW_STARTED,
    CREW_DONE,
    CREW_FAILED,   /* `error` */
    CREW_MEASURED, /* `on`: it begins */
    CREW_COUNTS,   /* struct crew_told behind it */
    CREW_INTERVAL, /* a result with that interval behind it */
    CREW_OVER,
    CREW_LEFT,
    CREW_FOUND, /* a piece of a result behind it; `on`: more follow */
    CREW_GONE,  /* `status`: its engine cannot go on */
};

struct crew_message {
    enum crew_word word;
    int status;
    bool on;
    uint32_t mtu;
    uint64_t start_ns, wall_ns, grace_ns;
    double rate;
    struct peer_mac mac;
    struct peer_addr addr;
    union {
        struct peer_error error;
        char text[1024];
        struct {
            bool has_uplink, has_downlink;
            char uplink[512], downlink[512];
        } link;
    };
};
enum { CREW_PIECE = 32 * 1024 }; /* behind it, at the most */

/** What a worker tells now and then, and last of all. */
struct crew_told {
    struct peer_soak_state state;
    struct peer_net_stats stats;
    uint64_t at_ns; /* when these were so */
};

struct crew_member {
    int control; /* -1: it has ended */
    pid_t pid;
    bool measured, over, left, found, gone;
    bool lost; /* it ended before its time, and what it found is known to nobody */
    struct crew_told told;
    struct result_interval *intervals; /* not taken yet */
    size_t interval_count;
    uint8_t *bytes; /* of a result */
    size_t len;
};

struct crew {
    struct peer_net *net;
    struct peer_soak *soak;
    struct peer_soak_config config; /* as the caller's, for as long as peer_soak_start takes */
    unsigned count;
    struct crew_member members[PEER_WORKERS_MOST];
    struct placing placing; /* of them on processors, unless the caller has said where */
    struct timer look;      /* to see to that */
    struct device_crew_shared *shared;
    int inboxes[PEER_WORKERS_MOST][2]; /* to read, to write; until all are forked */
    int failed; /* 0, or why it cannot go on: -EOWNERDEAD after notices, when all are lost */
    unsigned lost;
    bool measured, paused, leaving, heard;
    uint64_t begun_ns, measured_ns; /* when all began, and measuring */
    struct result snapshot;         /* see crew_snapshot */
    uint64_t snapshot_ns;           /* 0: there is none */
};

/** One message, with `len` bytes behind it. 0 or -errno. */
int crew_send(int control, const struct crew_message *message, const void *data, size_t len);
/** As child_receive: without the message's length. `data` has room for CREW_PIECE. */
ssize_t crew_receive(int control, int flags, struct crew_message *message, void *data);

/* crew.c: the coordinator */
/** Forks the workers and has them begin. 0 or -errno with text. */
int crew_start(struct peer_net *net, struct peer_soak *soak, const struct peer_soak_config *config,
               struct peer_error *error);
/** Ends them, waits for that, and frees. NULL is taken. */
void crew_end(struct peer_net *net);
bool crew_is_over(const struct crew *crew);
/** The sums so far, as they were told of. */
void crew_get_state(const struct crew *crew, struct peer_soak_state *ret_state);
/** All is to do that, and has: 0, or -errno with text of the first who has not. */
int crew_order(struct crew *crew, const struct crew_message *order, struct peer_error *error);
/** What they have found, as it was some 100 ms ago at the most; NULL: it is not to be had. */
const struct result *crew_snapshot(struct crew *crew);
/** Adds theirs to what is in `stats`. */
void crew_add_stats(const struct peer_net *net, struct peer_net_stats *stats);
/** The next interval that all have told: 1, or 0. */
int crew_pop_interval(struct crew *crew, struct result_interval *ret_interval);
/** Adds what those found who are not lost. -errno. */
int crew_get_result(struct crew *crew, struct result *result);
/** As peer_net_leave; `is_heard` says that the local kernel has done with the peers. */
int crew_leave(struct crew *crew, bool is_heard);
/** To all of them, if there are any. */
void crew_tell(struct peer_net *net, const struct crew_message *message);

/* worker.c */
/** Which of them; NULL is 0. */
unsigned worker_index(const struct worker *worker);
/** In a child that was forked for it; does not return. */
void worker_run(struct crew *crew, unsigned index, int control);
/** In a worker: measuring begins or ends. */
void worker_tell_measured(struct worker *worker, bool begins);

/* soak.c */
/** Where a worker stands among the others: when all began, by both clocks. */
struct soak_part {
    uint64_t begin_ns, wall_ns;
    struct worker *worker;
    uint64_t all_flows; /* of all */
};
int soak_start_part(struct peer_net *net, const struct peer_soak_config *config,
                    const struct soak_part *part, struct peer_soak **ret_soak,
                    struct peer_error *error);
int soak_take_interval(struct peer_soak *soak, struct result_interval *ret_interval);
int soak_fill_result(struct peer_soak *soak, struct result *result);
/** In the coordinator: measuring begins or ends in all of them. */
void soak_is_being_measured(struct peer_soak *soak, bool begins);

/* net.c */
/** The engine of a worker, in place of the coordinator's. */
int net_make_worker_engine(struct peer_net *net, const struct device_crew_config *crew,
                           struct peer_error *error);

/* cpus.c */
/** "0-3,8": how many, in `ret_cpus`; -EINVAL. */
int cpus_parse(const char *text, int *ret_cpus, int room);
/** This process runs on that one alone. 0 or -errno. */
int cpus_pin(int cpu);
/** From now on the workers are where they do most (lib/placing.h), unless somebody has said where. */
void crew_place(struct crew *crew);
void crew_unplace(struct crew *crew);

#endif
