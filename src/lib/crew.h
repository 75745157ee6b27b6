/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_CREW_H
#define LIB_CREW_H

#include "exec/exec.h"
#include "lib/internal.h"
#include "lib/placing.h"

#include "device/device.h"

#include <peer/soak.h>
#include <peer/steer.h>

/**
 * Workers: one piece of work in several processes. This one, the coordinator, has all that stands on the
 * machine; it sends and reads no frame. The work forks the workers, each with one queue of the device,
 * an engine and its part of the peers, and they end with it. Words between the two go by a socket for
 * each. What the work is, a table of functions says (struct crew_work): a soak (soak_crew.h), programs
 * (exec_crew.h), or what a caller of the library makes of it (work.c).
 */

enum crew_word {
    /* to a worker */
    CREW_GO,    /* at `start_ns` */
    CREW_LEAVE, /* peer_net_leave */
    CREW_HEARD, /* the local kernel has no connection to any peer */
    CREW_END,
    CREW_MTU, /* news of the kernel */
    CREW_MAC,
    CREW_BAR,
    CREW_ADDRESSES, /* some have gone from this machine: ask again whose they are */
    CREW_LINK,      /* `uplink`, `downlink` */
    CREW_PLUG,      /* `addr`, `on` */
    CREW_LOCAL,     /* `status`: what was asked, see below */
    /* a soak's: */
    CREW_STOP,   /* with `grace_ns` */
    CREW_RESULT, /* what was found is wanted */
    CREW_RATE,   /* `rate`; this and what follows is answered */
    CREW_PAUSE,
    CREW_RESUME,
    CREW_MANNERS, /* `text` */
    /* of others: */
    CREW_TELL, /* figures are wanted; answered */
    /* from one */
    CREW_READY,
    CREW_STARTED,
    CREW_DONE,
    CREW_FAILED, /* `error` */
    CREW_COUNTS, /* struct crew_told behind it */
    CREW_LEFT,
    CREW_GONE,     /* `status`: its engine cannot go on */
    CREW_NOTICE,   /* `text` */
    CREW_IS_LOCAL, /* `addr`: is it this machine's? Answered by CREW_LOCAL */
    /* in a soak: */
    CREW_MEASURED, /* `on`: it begins */
    CREW_INTERVAL, /* a result with that interval behind it */
    CREW_OVER,
    CREW_FOUND, /* a piece of a result behind it; `on`: more follow */
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
    struct peer_net_stats stats;
    uint64_t at_ns; /* when these were so */
    struct peer_soak_state soak;
    struct {
        struct exec_stats stats;
        struct exec_unfinished unfinished;
    } exec;
};

struct crew_member {
    int control; /* -1: it has ended */
    pid_t pid;
    bool left, gone;
    bool lost; /* it ended before its time, and what it has done is known to nobody */
    struct crew_told told;
};

struct crew;
/** A kind of work. Each function may be NULL. */
struct crew_work {
    bool keeps_calls; /* workers may make the system calls that this process said it would */
    /* in the coordinator: */
    /** A word that is none of all crews', of member `index`. -errno ends the run. */
    int (*take)(struct crew *crew, unsigned index, const struct crew_message *message,
                const void *data, size_t len);
    /** Member `index` has ended before its time: what becomes of the run. NULL: it cannot go on. */
    void (*lost)(struct crew *crew, unsigned index);
    /** When all have ended: the last of crew->data. */
    void (*free)(struct crew *crew);
    /* in a worker: */
    /** Descriptors that it keeps besides its own: their number, at the most `room`. */
    size_t (*keep)(struct worker *worker, int *fds, size_t room);
    /** Before it gives up privileges. 0, or -errno with text. */
    int (*prepare)(struct worker *worker, struct peer_error *error);
    /** All are there and begin at one moment. Likewise. */
    int (*begin)(struct worker *worker, const struct crew_message *go, struct peer_error *error);
    /** Instead of peer_net_wait. */
    int (*wait)(struct worker *worker, uint64_t timeout_ns);
    /** After each wait: what there is to tell. */
    void (*turned)(struct worker *worker);
    /** Its figures, beside those of the net. */
    void (*fill)(struct worker *worker, struct crew_told *told);
    /** A word that is none of all crews'. It comes while the net is dispatched: what must not be done
     *  then waits for `turned`. */
    void (*heed)(struct worker *worker, const struct crew_message *message);
    /** Before peer_net_leave: nothing more is begun. */
    void (*leave)(struct worker *worker);
    void (*end)(struct worker *worker);
};

enum { CREW_NOTICES = 32 };
struct crew {
    struct peer_net *net;
    const struct crew_work *work;
    void *data; /* the work's */
    unsigned count;
    struct crew_member members[PEER_WORKERS_MOST];
    struct placing placing; /* of them on processors, unless the caller has said where */
    struct timer look;      /* to see to that */
    struct device_crew_shared *shared;
    int inboxes[PEER_WORKERS_MOST][2]; /* to read, to write; until all are forked */
    int failed; /* 0, or why it cannot go on: -EOWNERDEAD after notices */
    unsigned lost;
    bool leaving, heard;
    uint64_t begun_ns;              /* when all began */
    uint64_t noticed[CREW_NOTICES]; /* what was told of by one, as hashes: another says the same */
    unsigned notice_turn;
};

/** One message, with `len` bytes behind it. 0 or -errno. */
int crew_send(int control, const struct crew_message *message, const void *data, size_t len);
/** As child_receive: without the message's length. `data` has room for CREW_PIECE. */
ssize_t crew_receive(int control, int flags, struct crew_message *message, void *data);

/* crew.c: the coordinator */
/** Forks the workers and has them begin. 0 or -errno with text. Work->free is called in any case. */
int crew_start(struct peer_net *net, const struct crew_work *work, void *data,
               struct peer_error *error);
/** Ends them, waits for that, and frees. NULL is taken. */
void crew_end(struct peer_net *net);
/** Waits for what member `index` says next, and takes it. -errno: it is gone. */
int crew_hear(struct crew *crew, unsigned index);
/** All is to do that, and has: 0, or -errno with text of the first who has not. */
int crew_order(struct crew *crew, const struct crew_message *order, struct peer_error *error);
/** As peer_net_leave; `is_heard` says that the local kernel has done with the peers. */
int crew_leave(struct crew *crew, bool is_heard);
/** To all of them, if there are any. */
void crew_tell(struct peer_net *net, const struct crew_message *message);

/* crew_stats.c */
/** Adds theirs to what is in `stats`. */
void crew_add_stats(const struct peer_net *net, struct peer_net_stats *stats);

/* worker.c */
struct worker {
    struct crew *crew;
    struct peer_net *net;
    unsigned index;
    int control;
    void *data;          /* the work's */
    struct addr_set all; /* peers, of all workers */
    int others[PEER_WORKERS_MOST];
    bool leaving, closed, left, ended;
    uint64_t told_ns;
    struct crew_message *kept; /* that came while it waited for an answer */
    size_t kept_count;
    uint8_t piece[CREW_PIECE];
};

/** Which of them; NULL is 0. */
unsigned worker_index(const struct worker *worker);
/** Which part of `number` is this worker's, from where to where. */
uint64_t worker_part(const struct worker *worker, uint64_t number);
/** In a child that was forked for it; does not return. */
void worker_run(struct crew *crew, unsigned index, int control);
/** To the coordinator. Without one this process ends. */
void worker_say(struct worker *worker, const struct crew_message *message, const void *data,
                size_t len);
void worker_tell_counts(struct worker *worker);
/** As peer_net_is_local: the coordinator asks. */
int worker_is_local(struct worker *worker, const struct peer_addr *addr);

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
