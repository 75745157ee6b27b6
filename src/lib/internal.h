/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include "base/addr_set.h"
#include "base/error.h"
#include "base/macro.h"
#include "engine/engine.h"
#include "kernel/netlink/diag.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/netlink/watch.h"
#include "kernel/netns/child.h"
#include "kernel/netns/netns.h"
#include "kernel/observe/counters.h"
#include "kernel/observe/cpu.h"
#include "lib/attach.h"
#include "manner/manner.h"
#include "serve/serve.h"
#include "soak/result.h"

#include <peer/manner.h>
#include <peer/peer.h>

#include <errno.h>
#include <netinet/in.h>

enum { NOTICES_MAX = 8, NOTICE_TEXT = 400 };
struct notices {
    char lines[NOTICES_MAX][NOTICE_TEXT];
    unsigned first, count;
};

/* See leave.c. */
struct leaving {
    bool begun, reset;
    uint64_t begun_ns;
    uint64_t frames, moved_ns; /* so many had crossed the device, since then */
    uint64_t look_ns, look_delay_ns;
};

/* What soaks read besides: see meters.c. */
struct meters {
    bool open;
    struct counters counters; /* of the device's namespace */
    struct cpu_files cpu;     /* of this process, */
    int statm;                /* likewise; -1: there is none */
};

struct peer_net {
    struct addr_set peers;
    struct peer_mac first_mac;
    enum peer_device_kind kind;
    char device[IF_NAMESIZE];
    int ifindex;
    char arrival[IF_NAMESIZE]; /* the device by which packets arrive: the wire's, else ours */
    int arrival_ifindex;
    struct wire_hold wire;
    struct wire_card card; /* ifindex 0: no wire */
    struct guard guard; /* fd -1: none */
    uint32_t mtu;
    uint32_t device_mtu; /* with a card's wire: as it was made, and no card makes it larger */
    struct peer_addr local;
    enum peer_neighbours neighbours;
    uint64_t seed;
    bool offload;
    struct rtnl *rtnl; /* of the device's namespace */
    struct diag *diag;
    struct netns_place netns; /* that the device is in; fd -1: our own */
    bool isolate;
    struct netns_isolated isolated;
    bool has_program, program_started;
    struct engine *engine;
    struct leaving leaving;
    bool forwards; /* the targets may be other machines */
    struct notices notices;
    struct meters meters;
    struct guard monitor; /* see monitor.c; fd -1: none */
    bool confined;        /* privileges are gone: what needs them is the monitor's */
    int watch_fd; /* see watch.c, as for what follows */
    struct standing standing;
    bool device_up, device_told, card_up, card_told, card_gone, route_told;
    struct addr_prefix route_gone; /* family 0: none */
    struct list pending;    /* flows with events to take */
    struct list pings;      /* results to take */
    struct list sent_pings; /* requests without an answer yet */
    struct list listeners;
    struct list handles; /* flows whose owner is the caller */
    uint64_t peer_turn;  /* whose turn it is when `from` is not given */
};

/* A flow whose owner is the caller of the library. */
struct peer_flow {
    struct flow flow; /* first */
    struct peer_net *net;
    struct peer_listener *listener;
    struct list node;    /* of net->handles */
    struct list pending; /* of net->pending while `events` is not 0 */
    unsigned events;     /* FLOW_* that were not taken yet */
    bool gone;           /* freed by the caller; may live on as an orphan */
    struct peer_addr to; /* of peer_connect: known after the end too */
    void *user;
};

struct peer_listener {
    struct peer_net *net;
    struct list node;
    struct stack_listener *stack;
    struct serve serve;
    bool serving;
    struct manner_spec *manners; /* NULL: none */
    int manner_count;
    uint64_t callers;
    void *user;
};

/* net.c */
/** Whom `from` means: itself, or the next in turn when its family is 0. */
int net_choose_peer(struct peer_net *net, const struct peer_addr *from, struct peer_addr *ret_peer);

/* notice.c */
void notice_add(struct peer_net *net, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* watch.c */
int watch_start(struct peer_net *net, const struct attach_outcome *outcome);

/* helpers.c */
int helpers_watch(struct peer_net *net);
/** Likewise the monitor, once there is one. */
int helpers_watch_monitor(struct peer_net *net);
/** What a guardian is to hold of this process's: how many. */
int helpers_guard_fds(const struct peer_net *net, int ret_fds[CHILD_FDS_MAX]);
/** Another guardian, in the namespace of the calling thread. `fds` as above. */
int helpers_guard_here(struct peer_net *net, const int *fds, struct guard *ret_guard,
                       struct peer_error *error);

/* monitor.c: a child that does what a confined process may not; all wait for its answer */
/** Forks it. 0 or -errno with text. */
int monitor_start(struct peer_net *net, struct peer_error *error);
/** What stands on the machine for the peers, again: see standing_restore. */
int monitor_restore(struct peer_net *net, struct peer_error *error);
/** The MAC of the device. */
int monitor_set_mac(struct peer_net *net, const struct peer_mac *mac, struct peer_error *error);
/** Another guardian. */
int monitor_guard(struct peer_net *net, struct guard *ret_guard, struct peer_error *error);
/** Kills what is left in an isolated namespace that nobody holds. */
int monitor_clear(struct peer_net *net, struct peer_error *error);

/* meters.c */
/** Opens what is not open yet. */
void meters_open(struct peer_net *net);
void meters_close(struct meters *meters);
uint64_t meters_resident_bytes(const struct meters *meters);

/* flow.c */
struct flow *net_flow_accept(void *user, struct stack_listener *listener,
                         const struct stack_tuple *tuple);

/* flow_manners.c */
int manners_read(const struct peer_net *net, const char *manners, bool udp,
                 enum peer_manner_use use, struct manner_spec specs[MANNERS_MAX],
                 struct peer_error *error);
/** Is `to` this machine's own, if these manners ask for that? 0 or -EPERM. */
int manners_check_target(struct peer_net *net, const struct manner_spec *specs, int count,
                         const struct peer_addr *to, struct peer_error *error);
int manners_dress(struct flow *flow, const struct manner_spec *specs, int count);
void manners_dress_caller(struct peer_listener *listener, struct flow *flow);

/* result.c */
struct peer_result {
    struct result value;
};

/* ping.c */
void ping_result(void *user, const struct stack_icmp *icmp);
int ping_pop(struct peer_net *net, struct peer_event *ret_event);
void ping_done(struct peer_net *net);

#endif
