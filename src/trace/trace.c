/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: observers are set up, one packet is sent, and since the kernel works on it
 * within that very write, all that befell it is known when the call returns. Then the peers go on
 * until an answer comes or the time is over. Look-ups that the kernel makes for
 * such a packet (route, socket) are asked for again by lookup.c. judge.c makes one
 * verdict of all this, stations.c the list of stations.
 *
 * What cannot be observed (without privileges: the kernel's drop reasons) is said, and concluded
 * from counters and look-ups.
 */
#include "trace/internal.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/rng.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORT_FIRST = 32768,
    PORT_RANGE = 28000,
    ANSWER_MS = 300,
    SEND_TRIES = 5,
    SEND_TRIES_DELAYED = 100,
    SEND_WAIT_MS = 20
};

const char *trace_protocol_text(const struct tracing *tracing)
{
    switch (tracing->protocol) {
    case IPPROTO_TCP:
        return "TCP";
    case IPPROTO_UDP:
        return "UDP";
    default:
        return "echo";
    }
}

const char *trace_target_text(const struct tracing *tracing, const struct peer_addr *addr,
                              uint16_t port, char buf[PEER_ENDPOINT_TEXT])
{
    char text[PEER_ADDR_TEXT];

    if (trace_has_ports(tracing))
        return peer_endpoint_format(addr, port, buf);
    (void)snprintf(buf, PEER_ENDPOINT_TEXT, "%s", peer_addr_format(addr, text));
    return buf;
}

/* ---- evidence ---- */

static bool is_one_of(const char *reason, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(reason, list[i]))
            return true;
    return false;
}

/* Was it the answer that was dropped? */
static bool is_leaving(const struct tracing *tracing, const struct dropreason_event *drop)
{
    static const char *const outward[] = {"FULL_RING", "TAP_FILTER", "TAP_TXFILTER",
                                          "TC_EGRESS", "QDISC_DROP", "BPF_CGROUP_EGRESS"};
    const bool local = tracing->route_status == 0 && tracing->route.type == RTN_LOCAL;

    if (drop->owner != DROPREASON_LIKELY)
        return drop->owner == DROPREASON_ANSWER;
    if (drop->hook && (!strcmp(drop->hook, "output") || !strcmp(drop->hook, "egress") ||
                       (!strcmp(drop->hook, "postrouting") && local)))
        return true;
    return local && is_one_of(drop->reason, outward, ARRAY_SIZE(outward));
}

/* Does what is known of the route leave room for such a reason? A packet that was freed unseen
   leaves its address to another, so what comes on top of the thread is asked once more. */
static bool fits_route(const struct tracing *tracing, const struct dropreason_event *drop)
{
    static const char *const at_sockets[] = {"NO_SOCKET", "SOCKET_RCVBUFF", "SOCKET_FILTER",
                                             "TCP_CSUM",  "UDP_CSUM",       "PROTO_MEM"};
    const bool known = tracing->route_status == 0;
    const bool local = known && tracing->route.type == RTN_LOCAL;

    if (drop->owner != DROPREASON_LIKELY && !drop->deferred)
        return true; /* the kernel's own word about this very packet */
    if (!strncmp(drop->reason, "NEIGH", 5))
        return known && !local;
    if (!strcmp(drop->reason, "NO_SOCKET") && tracing->has_socket)
        return false;
    return local || !is_one_of(drop->reason, at_sockets, ARRAY_SIZE(at_sockets));
}

/* Was the packet given to a program, or taken by the kernel, without any loss? A copy lives on. */
static bool has_heir(const struct tracing *tracing)
{
    bool received = false;

    for (int i = 0; i < tracing->drop_count; i++) {
        const struct dropreason_event *event = &tracing->drops[i];
        received = received || event->kind == DROPREASON_RECEIVE;
        if (event->kind == DROPREASON_CONSUME && event->owner == DROPREASON_OURS && event->copied)
            return true;
    }
    return !received;
}

const struct dropreason_event *trace_drop(const struct tracing *tracing, bool back)
{
    const uint16_t protocol = trace_v6(tracing) ? 0x86dd : 0x0800;
    const bool heir = has_heir(tracing);

    for (int i = 0; i < tracing->drop_count; i++) {
        const struct dropreason_event *drop = &tracing->drops[i];
        if (drop->kind == DROPREASON_DROP && drop->protocol == protocol &&
            drop->owner != DROPREASON_OTHERS && strcmp(drop->reason, "NOT_SPECIFIED") != 0 &&
            is_leaving(tracing, drop) == back && fits_route(tracing, drop) &&
            (back || heir || drop->owner == DROPREASON_OURS))
            return drop;
    }
    return NULL;
}

const struct nftrace_event *trace_nft_drop(const struct tracing *tracing, bool back)
{
    const struct nftrace_event *last = NULL;

    /* A drop is the end, so it is the last thing that is heard of a packet. */
    for (int i = 0; i < tracing->event_count; i++)
        if (tracing->events[i].back == back && !tracing->events[i].ours)
            last = &tracing->events[i];
    return last && last->verdict == NFTRACE_DROP && last->type != NFTRACE_HEADER ? last : NULL;
}

bool trace_hook_entered(const struct tracing *tracing, enum nftrace_hook hook, bool back)
{
    for (int i = 0; i < tracing->event_count; i++)
        if (tracing->events[i].back == back && tracing->events[i].chain.hook == hook)
            return true;
    return false;
}

bool trace_hook_left(const struct tracing *tracing, enum nftrace_hook hook, bool back)
{
    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back == back && event->ours && event->chain.hook == hook &&
            event->chain.priority == INT32_MAX - 1)
            return true;
    }
    return false;
}

/* ---- observers ---- */

static int observe(struct tracing *tracing, struct peer_error *error)
{
    int fds[NFTRACE_FDS];
    struct nftrace_config config = {
        .peer = tracing->peer,
        .target = tracing->to,
        .protocol = tracing->protocol,
        .peer_port = tracing->peer_port,
        .port = tracing->port,
        .icmp_id = tracing->peer_port,
    };

    int status = trace_survey(tracing->attachment, &tracing->before, fds, error);
    if (status < 0)
        return status;
    tracing->ring_drops_before = attachment_drops(tracing->attachment);
    memcpy(config.device, tracing->attachment->arrival, sizeof(config.device));
    if (fds[0] < 0)
        (void)error_set(&tracing->nftrace_error, PEER_ERROR_MACHINE, -fds[0], "%s",
                        error_text(-fds[0]));
    else
        (void)nftrace_new(fds, &config, &tracing->nftrace, &tracing->nftrace_error);
    tracing->dropreason_status =
        tracing->dry ? -ECANCELED
                     : dropreason_open(tracing->peer.family, tracing->attachment->device,
                                       &tracing->dropreason);
    return ingress_survey(tracing->attachment->rtnl, tracing->attachment->arrival_ifindex,
                          tracing->attachment->netns.fd < 0, &tracing->ingress, error);
}

/* ---- the packet ---- */

static void collect_nft(struct tracing *tracing)
{
    if (!tracing->nftrace)
        return;
    const int count = nftrace_collect(tracing->nftrace, tracing->events + tracing->event_count,
                                      TRACE_EVENTS - tracing->event_count, NULL);
    if (count > 0)
        tracing->event_count += count;
}

static void take_times(struct tracing *tracing, uint64_t socket)
{
    uint64_t serial = tracing->received_before;

    for (int i = 0; i < tracing->drop_count; i++) {
        const struct dropreason_event *notice = &tracing->drops[i];
        if (notice->kind != DROPREASON_NOTICE || notice->socket != socket)
            continue;
        for (int j = 0; j < tracing->event_count; j++)
            if (tracing->events[j].serial == serial)
                tracing->event_ns[j] = notice->at_ns;
        serial++;
    }
}

/* Each report of netfilter was a message to our socket: the time of its coming is that of the
   report. Not when their numbers differ: then some came from elsewhere, or were lost. */
static void time_events(struct tracing *tracing)
{
    const uint64_t wanted = tracing->received - tracing->received_before;

    for (int i = 0; i < tracing->drop_count; i++) {
        const struct dropreason_event *first = &tracing->drops[i];
        uint64_t count = 0;
        if (first->kind != DROPREASON_NOTICE)
            continue;
        for (int j = i; j < tracing->drop_count; j++) {
            const struct dropreason_event *notice = &tracing->drops[j];
            if (notice->kind == DROPREASON_NOTICE && notice->socket == first->socket)
                count++;
        }
        if (count != wanted)
            continue;
        take_times(tracing, first->socket);
        return;
    }
}

static void hear(struct tracing *tracing)
{
    if (tracing->answer.kind == ANSWER_NONE)
        tracing->sender->hear(tracing->sender->user, &tracing->answer);
}

static uint64_t frames_sent(const struct tracing *tracing)
{
    uint64_t sent, not_taken;

    tracing->sender->count(tracing->sender->user, &sent, &not_taken);
    return sent;
}

static bool was_sent(const struct tracing *tracing, uint64_t frames_before)
{
    if (tracing->attachment->kind == PEER_TUN)
        return frames_sent(tracing) != frames_before;
    return tracing->answer.kind != ANSWER_NONE ||
           trace_hook_entered(tracing, NFTRACE_PREROUTING, false) ||
           trace_hook_entered(tracing, NFTRACE_INGRESS, false);
}

/* On Ethernet a MAC may have to be asked for first: then what was written is a question, and the
   packet follows in answer to the answer. And an impaired link holds it back. */
static void wait_until_sent(struct tracing *tracing, uint64_t frames_before)
{
    const int tries = tracing->attachment->kind == PEER_TUN ? SEND_TRIES_DELAYED : SEND_TRIES;

    for (int i = 0; i < tries; i++) {
        collect_nft(tracing);
        if (tracing->dropreason)
            dropreason_drain(tracing->dropreason);
        if (was_sent(tracing, frames_before) ||
            tracing->sender->wait(tracing->sender->user, SEND_WAIT_MS * NS_PER_MS) < 0)
            return;
        hear(tracing);
        tracing->delayed = true;
    }
}

/* The packet itself, and not a question that went before, begins the count of time. */
static void find_start(struct tracing *tracing)
{
    const uint16_t protocol = trace_v6(tracing) ? 0x86dd : 0x0800;

    for (int i = 0; i < tracing->drop_count; i++) {
        const struct dropreason_event *event = &tracing->drops[i];
        if (event->kind != DROPREASON_RECEIVE || event->protocol != protocol)
            continue;
        tracing->received_ns = event->at_ns;
        if (tracing->delayed)
            tracing->sent_ns = event->at_ns;
        return;
    }
}

/* Answers of the kernel are on the device when the write returns, and wait there for our observers
   to be done: what counts is when they came there. */
static void find_answer(struct tracing *tracing)
{
    for (int i = 0; i < tracing->drop_count && tracing->answer.kind != ANSWER_NONE; i++) {
        const struct dropreason_event *event = &tracing->drops[i];
        if (event->kind != DROPREASON_SEND || event->owner != DROPREASON_ANSWER ||
            strcmp(event->device, tracing->attachment->device) != 0 || !tracing->received_ns ||
            event->at_ns < tracing->received_ns)
            continue;
        tracing->answer.at_ns = event->at_ns;
        return;
    }
}

static int send_observed(struct tracing *tracing)
{
    const struct trace_sender *sender = tracing->sender;
    const struct trace_packet packet = {.protocol = tracing->protocol,
                                        .peer = tracing->peer,
                                        .to = tracing->to,
                                        .peer_port = tracing->peer_port,
                                        .port = tracing->port};
    uint64_t frames, not_taken_before, sent, not_taken;

    sender->count(sender->user, &frames, &not_taken_before);
    collect_nft(tracing); /* what others trace */
    tracing->received_before = tracing->nftrace ? nftrace_received(tracing->nftrace) : 0;
    if (tracing->dropreason)
        (void)dropreason_enable(tracing->dropreason, true);
    tracing->sent_ns = sender->now_ns(sender->user);
    int status = sender->send(sender->user, &packet);
    if (status == 0)
        wait_until_sent(tracing, frames);
    if (tracing->dropreason)
        (void)dropreason_enable(tracing->dropreason, false);
    collect_nft(tracing);
    tracing->received = tracing->nftrace ? nftrace_received(tracing->nftrace) : 0;
    sender->count(sender->user, &sent, &not_taken);
    tracing->not_taken = not_taken != not_taken_before;
    return status;
}

/* Takes its time, so it comes when the answer has been read. */
static void collect_drops(struct tracing *tracing)
{
    if (!tracing->dropreason)
        return;
    const int count = dropreason_collect(tracing->dropreason, tracing->drops, TRACE_DROPS, NULL);
    tracing->drop_count = count < 0 ? 0 : count;
    find_start(tracing);
    find_answer(tracing);
    time_events(tracing);
}

/* ---- the wait ---- */

static int await_answer(struct tracing *tracing)
{
    const struct trace_sender *sender = tracing->sender;
    const uint64_t timeout_ns =
        tracing->config->timeout_ns ? tracing->config->timeout_ns : ANSWER_MS * NS_PER_MS;
    const uint64_t deadline_ns = tracing->sent_ns + timeout_ns;

    for (bool over = false;; hear(tracing)) {
        if (tracing->answer.kind != ANSWER_NONE || over)
            return 0;
        const uint64_t now_ns = sender->now_ns(sender->user);
        over = now_ns >= deadline_ns; /* a busy machine may have stopped us: what has come counts */
        int status = sender->wait(sender->user, over ? 0 : deadline_ns - now_ns);
        if (status < 0)
            return status == -EINTR ? 0 : status;
    }
}

/* ---- in order ---- */

static int follow(struct tracing *tracing, struct peer_error *error)
{
    const struct trace_sender *sender = tracing->sender;

    trace_look_up_listener(tracing);
    int status = send_observed(tracing);
    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, -status, "cannot send: %s", error_text(-status));
    if (status == 0) {
        (void)sender->wait(sender->user, 0); /* most answers are there already */
        hear(tracing);
        collect_drops(tracing);
        status = trace_look_up(tracing, error);
    }
    if (status == 0) {
        status = await_answer(tracing);
        if (status < 0)
            (void)error_set(error, PEER_ERROR_MACHINE, -status, "the device is gone");
        collect_nft(tracing);
        trace_look_up_back(tracing);
    }
    sender->end(sender->user);
    return status;
}

static int set_up(struct tracing *tracing, struct peer_error *error)
{
    struct rng rng;

    rng_derive(&rng, tracing->attachment->seed, RNG_TRACE);
    tracing->peer_port = (uint16_t)(PORT_FIRST + rng_next(&rng) % PORT_RANGE);
    tracing->events = calloc(TRACE_EVENTS, sizeof(*tracing->events));
    tracing->event_ns = calloc(TRACE_EVENTS, sizeof(*tracing->event_ns));
    if (!tracing->events || !tracing->event_ns)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    if (tracing->peer.family != tracing->to.family)
        return error_set(error, PEER_ERROR_USAGE, EAFNOSUPPORT,
                         "the peer and the target are addresses of two families");
    return observe(tracing, error);
}

static void tear_down(struct tracing *tracing)
{
    dropreason_free(tracing->dropreason);
    nftrace_free(tracing->nftrace);
    free(tracing->events);
    free(tracing->event_ns);
    free(tracing);
}

static uint8_t protocol_of(const struct peer_trace_config *config)
{
    switch (config->protocol) {
    case IPPROTO_UDP:
        return IPPROTO_UDP;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return config->to.family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    default:
        return IPPROTO_TCP;
    }
}

int trace_run(const struct trace_job *job, struct peer_trace_result *ret_result,
              struct peer_error *error)
{
    const struct peer_trace_config *config = job->config;
    const struct addr_set *peers = &job->attachment->peers;
    struct tracing *tracing = calloc(1, sizeof(*tracing));

    if (!tracing)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    tracing->job = job;
    tracing->attachment = job->attachment;
    tracing->sender = job->sender;
    tracing->config = config;
    tracing->to = tracing->dst = config->to;
    /* No stack sends to loopback; what the kernel would say to it is known all the same. */
    tracing->dry = config->dry || addr_is_loopback(&config->to);
    tracing->protocol = protocol_of(config);
    tracing->port = tracing->dst_port = trace_has_ports(tracing) ? config->to_port : 0;
    tracing->peer = config->from.family ? config->from : addr_set_at(peers, 0);
    int status = addr_set_find(peers, &tracing->peer) < 0
                     ? error_set(error, PEER_ERROR_USAGE, EADDRNOTAVAIL,
                                 "the packet's source is none of the peers")
                     : set_up(tracing, error);
    if (status == 0)
        status = tracing->dry ? trace_look_up(tracing, error) : follow(tracing, error);
    if (status == 0) {
        trace_judge(tracing);
        trace_report(tracing);
        *ret_result = tracing->result;
    }
    tear_down(tracing);
    return status;
}
