/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRACE_INTERNAL_H
#define TRACE_INTERNAL_H

#include "kernel/observe/dropreason.h"
#include "kernel/observe/ingress.h"
#include "kernel/observe/nftrace.h"
#include "trace/trace.h"

#include <errno.h>
#include <netinet/in.h>

/* ---- survey.c: settings and counters of the namespace ---- */

enum trace_setting {
    SETTING_FORWARD4,
    SETTING_FORWARD6,
    SETTING_RP_ALL,
    SETTING_RP_DEVICE,
    SETTING_LOCALNET_ALL,
    SETTING_LOCALNET_DEVICE,
    SETTING_ACCEPT_LOCAL_ALL,
    SETTING_ACCEPT_LOCAL_DEVICE,
    SETTING_ECHO_OFF4,
    SETTING_ECHO_OFF6,
    SETTING_IPV6_OFF,
    SETTING_FWMARK_ACCEPT,
    SETTING_REFLECT4,
    SETTING_REFLECT6,
    SETTINGS,
};

enum trace_counter {
    COUNTER_RP_FILTER,
    COUNTER_HEADER4,
    COUNTER_HEADER6,
    COUNTER_ADDR4,
    COUNTER_ADDR6,
    COUNTER_IN_NO_ROUTES4,
    COUNTER_IN_NO_ROUTES6,
    COUNTER_OUT_NO_ROUTES4,
    COUNTER_OUT_NO_ROUTES6,
    COUNTER_LISTEN_OVERFLOWS,
    COUNTER_LISTEN_DROPS,
    COUNTER_IP_CSUM,
    COUNTER_TCP_CSUM,
    COUNTER_ICMP_CSUM4,
    COUNTER_ICMP_CSUM6,
    COUNTER_UDP_CSUM4,
    COUNTER_UDP_CSUM6,
    COUNTER_UDP_NO_PORTS4,
    COUNTER_UDP_NO_PORTS6,
    COUNTER_UDP_BUFFER4,
    COUNTER_UDP_BUFFER6,
    COUNTERS,
};

struct trace_survey {
    int64_t settings[SETTINGS]; /* 0 where unreadable */
    uint64_t counters[COUNTERS];
    bool legacy[2]; /* iptables-legacy has tables, ip6tables-legacy likewise */
};
/** In the namespace of the attachment. `fds` (may be NULL) gets the sockets of nftrace_open(), or -errno
 * in fds[0]. */
int trace_survey(struct attachment *attachment, struct trace_survey *ret_survey, int *fds,
                 struct peer_error *error);

/* ---- what is known ---- */

enum { TRACE_EVENTS = 1024, TRACE_DROPS = 1024 };

struct tracing {
    const struct trace_job *job;
    struct attachment *attachment; /* the job's, as for what follows */
    const struct trace_sender *sender;
    const struct peer_trace_config *config;
    struct peer_trace_result result;

    /* the packet */
    struct peer_addr peer, to;
    uint8_t protocol;
    uint16_t peer_port, port;
    struct peer_addr dst; /* behind DNAT */
    uint16_t dst_port;
    bool translated;
    uint32_t mark;        /* when its route was decided */
    uint64_t received_ns; /* when the device's driver handed it over, 0: not known */
    uint64_t sent_ns;     /* just before the write */
    bool dry;             /* nothing is sent: asked for, or nobody could send it */
    bool delayed;         /* it was not the first thing that was written */
    bool not_taken;
    char down[IF_NAMESIZE]; /* our device, or the card, when it is; else "" */
    /* frames for the peers that found the device's queue full, ever until then, and since */
    uint64_t ring_drops_before, ring_drops;

    /* what observed it */
    struct dropreason *dropreason;
    int dropreason_status; /* -errno when there is none */
    struct nftrace *nftrace;
    struct peer_error nftrace_error;
    struct trace_survey before, after;
    struct nftrace_event *events;
    uint64_t *event_ns; /* of each event, 0: not known */
    int event_count;
    uint64_t received_before, received; /* messages of netfilter until the write, and during it */
    struct dropreason_event drops[TRACE_DROPS];
    int drop_count;
    struct ingress ingress;

    /* what was looked up */
    int route_status, back_status; /* 0 or the kernel's -errno */
    struct rtnl_route route, back_route;
    struct rtnl_rule rule;         /* the rule that refuses it; `pref` 0: none */
    struct rtnl_link holder;       /* the link that has the target's address; `ifindex` 0: none */
    uint8_t holder_length;         /* of that address' prefix */
    bool holder_routed;            /* the table "local" has it */
    bool has_listener, has_socket; /* before the packet was sent, and after */
    struct diag_socket listener, socket;
    int pid;
    char comm[32];

    /* what came back */
    struct trace_answer answer;
};

static inline bool trace_v6(const struct tracing *tracing)
{
    return tracing->peer.family == 6;
}
/** How much a counter grew. */
static inline uint64_t trace_grew(const struct tracing *tracing, enum trace_counter v4,
                                  enum trace_counter v6)
{
    const enum trace_counter counter = trace_v6(tracing) ? v6 : v4;
    return tracing->after.counters[counter] - tracing->before.counters[counter];
}
static inline bool trace_has_ports(const struct tracing *tracing)
{
    return tracing->protocol == IPPROTO_TCP || tracing->protocol == IPPROTO_UDP;
}
const char *trace_protocol_text(const struct tracing *tracing);
/** "198.18.0.1:80", or the address alone for echo. */
const char *trace_target_text(const struct tracing *tracing, const struct peer_addr *addr,
                              uint16_t port, char buf[PEER_ENDPOINT_TEXT]);

/** The kernel's drop of our packet (`back` false) or of the answer to it; NULL when none was
 *  seen. */
const struct dropreason_event *trace_drop(const struct tracing *tracing, bool back);
/** The event of netfilter that ended it; NULL when none did. */
const struct nftrace_event *trace_nft_drop(const struct tracing *tracing, bool back);
/** Did it reach the beginning, or the end, of a hook? */
bool trace_hook_entered(const struct tracing *tracing, enum nftrace_hook hook, bool back);
bool trace_hook_left(const struct tracing *tracing, enum nftrace_hook hook, bool back);

/** The hook that it reached and did not leave, without a word of nftables; NFTRACE_NO_HOOK:
 *  none. */
enum nftrace_hook trace_stuck_hook(const struct tracing *tracing, bool back);

/** lookup.c: who would get the packet if it were not translated; before it is sent. */
void trace_look_up_listener(struct tracing *tracing);
/** Destination, routes, socket and devices, when the packet's way is known. */
int trace_look_up(struct tracing *tracing, struct peer_error *error);
/** Did a rule give it to a transparent proxy (tproxy)? */
bool trace_is_proxied(const struct tracing *tracing);
/* A mark of an output chain has its route decided again, and there is none. */
bool trace_is_led_nowhere(const struct tracing *tracing);
/** The way back once more, when more has been seen of it. */
void trace_look_up_back(struct tracing *tracing);
/** The program's datagram to the peer, as seen, when it comes from an address that was not asked;
 * NULL when none did. */
const struct nftrace_event *trace_strange_answer(const struct tracing *tracing);

/** causes.c: station, word, text and mend of a reason (the kernel's or ours) into `result`;
 * false when it is not known. */
bool trace_take_cause(struct tracing *tracing, const char *reason);
/** judge.c: fills `result`. */
void trace_judge(struct tracing *tracing);
/** stations.c: calls `each`. */
void trace_report(struct tracing *tracing);

#endif
