/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include "attachment/attachment.h"
#include "base/error.h"
#include "base/macro.h"
#include "engine/engine.h"
#include "kernel/netns/confine.h"
#include "lib/scribe.h"
#include "manner/manner.h"
#include "serve/serve.h"
#include "soak/result.h"
#include "tls/tls.h"

#include <peer/manner.h>
#include <peer/peer.h>

#include <errno.h>
#include <netinet/in.h>

enum { NOTICES_MAX = 8, NOTICE_TEXT = 400 };
struct notices {
    char lines[NOTICES_MAX][NOTICE_TEXT];
    unsigned first, count;
};

/* See capture_ring.c: all zero is none. */
struct capture_ring {
    struct scribe scribe;
    struct pcapring_told *told; /* shared with it */
};

/* See leave.c. */
struct leaving {
    bool begun, reset;
    uint64_t begun_ns;
    uint64_t frames, moved_ns; /* so many had crossed the device, since then */
    uint64_t look_ns, look_delay_ns;
};

struct crew;
struct worker;

struct peer_net {
    const unsigned char *owned; /* see owner.c; NULL in tests: always */
    bool abandoned;
    struct attachment attachment;
    struct engine *engine; /* on the attachment's queue */
    struct capture_ring ring;
    struct leaving leaving;
    bool offload;
    bool forwards; /* the targets may be other machines */
    int gone;      /* 0, or why there is nothing any more: -EBADFD... */
    struct notices notices;
    /* see watch.c */
    bool device_up, device_told, card_up, card_told, card_gone, route_told;
    struct addr_prefix route_gone; /* family 0: none */
    struct peer_addr target;       /* this machine's, that all is about; family 0: there is none */
    bool target_gone;
    struct list pending;    /* flows with events to take */
    struct list pings;      /* results to take */
    struct list sent_pings; /* requests without an answer yet */
    struct list listeners;
    struct list handles; /* flows whose owner is the caller */
    struct list processes;
    struct list contexts; /* struct peer_tls */
    uint64_t listen_turn;
    uint64_t peer_turn;  /* whose turn it is when `from` is not given */
    unsigned hooks;      /* of workloads that are being called: nothing is dispatched or freed */
    struct peer_soak *doomed; /* freed in a hook, and not gone yet */
    struct exec *exec;   /* of programs that are peers; NULL: there are none */
    struct engine_config engine_config; /* without device and capture: what a worker's is made of */
    struct confine confined_as;
    /* see crew.h */
    unsigned workers;  /* 0: this process does it all */
    int *cpus;         /* of worker_cpus, owned */
    int cpu_count;     /* 0: where they may */
    int idle_fd;       /* in the place of a device; -1: there is one */
    int crew_fd;       /* an epoll of their sockets, -1: there are no workers */
    void *crew_piece;  /* room for what they say, owned */
    struct crew *crew; /* while a soak runs */
    uint64_t crew_runs;
    struct peer_net_stats crew_stats; /* of those that have ended */
    struct worker *worker;            /* this process is one */
    bool heard;                       /* worker: the local kernel has done with the peers */
};

/* What happened to a flow when; READABLE is when its bytes came. */
enum { EVENT_OPENED, EVENT_EOF, EVENT_END, EVENT_OTHER, EVENT_TIMES };

/* A flow whose owner is the caller of the library. */
struct peer_flow {
    struct flow flow; /* first */
    struct peer_net *net;
    struct peer_listener *listener;
    struct list node;    /* of net->handles */
    struct list pending; /* of net->pending while `events` is not 0 */
    unsigned events;     /* FLOW_* that were not taken yet */
    bool gone;           /* freed by the caller; may live on as an orphan */
    struct stack_tuple tuple; /* as it began: known after the end too */
    uint64_t at_ns[EVENT_TIMES];
    void *user;
};

/** Settings of TLS. */
struct peer_tls {
    struct peer_net *net; /* NULL: it is gone */
    struct list node;     /* of net->contexts */
    struct tls_context *context;
};

struct peer_listener {
    struct peer_net *net;
    struct list node;
    struct stack_listener *stack;
    uint16_t port;
    struct serve serve;
    bool serving;
    struct tls_context *tls; /* NULL: none */
    struct manner_spec *manners; /* NULL: none */
    int manner_count;
    uint64_t callers;
    void *user;
};

/* net.c */
/** Whom `from` means: itself, or the next in turn when its family is 0. */
int net_choose_peer(struct peer_net *net, const struct peer_addr *from, struct peer_addr *ret_peer);

/** Is it an address of this machine? As attachment_is_local; a worker asks its coordinator. */
int net_is_local(struct peer_net *net, const struct peer_addr *addr);

/* capture_ring.c */
/** Starts whoever writes the files of `config`. The capture goes into a pipe, whose end it gives. */
int capture_ring_start(struct capture_ring *ring, const struct peer_net_config *config, int *ret_fd,
                       struct peer_error *error);
/** Once its scribe has ended: nothing is said of it any more. */
void capture_ring_forget(struct capture_ring *ring);
/** What is to be said of it, or of the last one, added to what is known of the capture. */
void capture_ring_add_stats(const struct capture_ring *ring, struct peer_net_stats *stats);

/* notice.c */
void notice_add(struct peer_net *net, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Is this left to workers, who have the peers? -EOPNOTSUPP with text, or 0. */
int net_check_alone(const struct peer_net *net, const char *what, struct peer_error *error);

/* watch.c */
int watch_start(struct peer_net *net);

/* helpers.c */
int helpers_watch(struct peer_net *net);
/** Likewise the monitor, once there is one. */
int helpers_watch_monitor(struct peer_net *net);

/* owner.c */
int owner_mark(struct peer_net *net);
void owner_done(struct peer_net *net);
/** Nothing of this net reaches the outside from now on. */
void owner_let_go(struct peer_net *net);
/** False in a child that was forked from the process that made it. */
static inline bool net_is_ours(const struct peer_net *net)
{
    return !net->owned || *net->owned;
}
/** Before something is freed: false when only what this process has of it is to go. */
static inline bool owner_frees(struct peer_net *net)
{
    if (net_is_ours(net))
        return true;
    owner_let_go(net);
    return false;
}

/* border.c */
/**
 * A struct from the caller, who knows `size` bytes of it, as `own` (`own_size` bytes): what he does not
 * know is zero. -EINVAL for NULL; -E2BIG when he has set what is not known here, with text.
 */
int border_take(void *own, size_t own_size, const void *given, size_t size,
                struct peer_error *error);
/** And one for him: no more than `size` bytes, zero where nothing is known here. */
void border_give(void *given, size_t size, const void *own, size_t own_size);

/* process.c */
/** Asks all programs to end, and waits until they have. */
void processes_end(struct peer_net *net);
/** When they are ended they have no grace. */
void processes_forsake(struct peer_net *net);

/* link.c */
/** Both directions, as a configuration has them. 0 or -errno with text. */
int links_read(const char *uplink, const char *downlink, struct link_spec ret_specs[2],
               struct peer_error *error);

/* flow.c */
struct flow *net_flow_accept(void *user, struct stack_listener *listener,
                         const struct stack_tuple *tuple);

/* tls.c */
/** A capture began or ended: is anybody to be told of secrets? */
void contexts_tell_secrets(struct peer_net *net);
/** The net goes: nobody is told of secrets any more. */
void contexts_leave(struct peer_net *net);

/* event.c */
/** These happened, now: to be taken. */
void event_note(struct peer_flow *flow, unsigned events, uint64_t now_ns);

/* flow_manners.c */
int manners_read(const struct peer_net *net, const char *manners, bool udp,
                 enum peer_manner_use use, struct manner_spec specs[MANNERS_MAX],
                 struct peer_error *error);
/** Is `to` this machine's own, if these manners ask for that? 0 or -EPERM. */
int manners_check_target(struct peer_net *net, const struct manner_spec *specs, int count,
                         const struct peer_addr *to, struct peer_error *error);
/** Have the flows TLS, if these manners need it? 0 or -EINVAL. */
int manners_check_tls(const struct manner_spec *specs, int count, bool tls,
                      struct peer_error *error);
int manners_dress(struct flow *flow, const struct manner_spec *specs, int count);
void manners_dress_caller(struct peer_listener *listener, struct flow *flow);

/* soak.c */
/** Frees what was freed in a hook. */
void soaks_bury(struct peer_net *net);

/* histogram.c */
struct peer_histogram {
    struct hdr_histogram *value;
};
/** In HdrHistogram's text format, to a descriptor that stays open. 0 or -errno. */
int histogram_print(const struct hdr_histogram *histogram, int fd);

/* result.c */
struct peer_result {
    struct result value;
};

/* ping.c */
void ping_result(void *user, const struct stack_icmp *icmp);
int ping_pop(struct peer_net *net, struct peer_event *ret_event);
void ping_done(struct peer_net *net);

#endif
