/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of an attachment: plan, namespace, device, in this order; and back.
 *
 * The device is made in the namespace it is wanted in. When that is not our own, a helper process
 * enters it, does the work and passes the descriptors home, so that this process never moves.
 */
#include "attachment/internal.h"

#include "attachment/attach.h"
#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GRACE_MS = 2000 };

/* ---- the way to the namespace ---- */

struct attaching {
    const struct attach_plan *plan;
    struct attach_outcome outcome;
};

/* In the helper process. */
static int attach_there(void *arg, struct netns_result *result)
{
    struct attaching *attaching = arg;
    int *places[ATTACH_FDS_MAX];
    int status = attach_run(attaching->plan, &attaching->outcome, &result->error);

    if (status == 0) {
        result->fd_count = attach_list_fds(&attaching->outcome, places);
        for (int i = 0; i < result->fd_count; i++)
            result->fds[i] = *places[i];
    }
    return status;
}

static int attach_in_namespace(struct netns_place place, const struct attach_plan *plan,
                               struct attach_outcome *ret_outcome, struct peer_error *error)
{
    struct attaching attaching = {.plan = plan};
    const struct netns_errand errand = {.place = place,
                                        .work = attach_there,
                                        .arg = &attaching,
                                        .data = &attaching.outcome,
                                        .data_len = sizeof(attaching.outcome)};
    struct netns_result result = {0};
    int *places[ATTACH_FDS_MAX];

    int status = netns_run(&errand, &result, error);
    if (status < 0)
        return status;
    *ret_outcome = attaching.outcome;
    const int count = attach_list_fds(ret_outcome, places);
    for (int i = 0; i < count; i++)
        *places[i] = result.fds[i];
    return 0;
}

/* ---- more queues ---- */

struct queueing {
    const struct attach_plan *plan;
    const char *device;
    int wanted;
};

/* In the helper process. */
static int open_queues(void *arg, struct netns_result *result)
{
    const struct queueing *queueing = arg;

    while (result->fd_count < queueing->wanted) {
        int fd = attach_add_queue(queueing->plan, queueing->device, &result->error);
        if (fd < 0)
            return fd;
        result->fds[result->fd_count++] = fd;
    }
    return 0;
}

/* As many as one helper brings home. */
static int add_some_queues(struct attachment *attachment, const struct attach_plan *plan, int wanted,
                           struct peer_error *error)
{
    struct queueing queueing = {plan, attachment->device, wanted};
    const struct netns_errand errand = {
        .place = attachment->netns, .work = open_queues, .arg = &queueing};
    struct netns_result result = {.fd_count = 0};
    int status;

    if (attachment->netns.fd >= 0)
        status = netns_run(&errand, &result, error);
    else if ((status = open_queues(&queueing, &result)) < 0 && error)
        *error = result.error;
    for (int i = 0; i < result.fd_count && (status >= 0 || attachment->netns.fd < 0); i++)
        attachment->queues[attachment->queue_count++] = result.fds[i];
    return status;
}

static int add_queues(struct attachment *attachment, const struct attach_plan *plan,
                      struct peer_error *error)
{
    const int wanted = (int)plan->config->workers;
    int status = 0;

    while (attachment->queue_count < wanted && status == 0)
        status = add_some_queues(attachment, plan,
                                 MIN(wanted - attachment->queue_count, (int)NETNS_FDS_MAX), error);
    return status;
}

static int attach_by_name(struct attachment *attachment, const struct attach_plan *plan,
                          struct attach_outcome *ret_outcome, struct peer_error *error)
{
    struct netns_place *place = &attachment->netns;

    place->fd = netns_open(plan->config->netns, &place->owner, error);
    if (place->fd < 0)
        return place->fd;
    return attach_in_namespace(*place, plan, ret_outcome, error);
}

static int attach_isolated(struct attachment *attachment, const struct attach_plan *plan,
                           struct attach_outcome *ret_outcome, struct peer_error *error)
{
    const struct netns_isolate_config config = {.argv = plan->config->isolate_argv,
                                                .stdio = NETNS_STDIO_ASIDE};
    struct netns_isolated *isolated = &attachment->isolated;

    int status = netns_isolate(&config, isolated, error);
    if (status < 0)
        return status;
    attachment->isolate = true;
    attachment->has_program = plan->config->isolate_argv != NULL;
    attachment->netns = (struct netns_place){dup(isolated->netns_fd), isolated->holder};
    return attach_in_namespace(attachment->netns, plan, ret_outcome, error);
}

static int attach_anywhere(struct attachment *attachment, const struct attach_plan *plan,
                           struct attach_outcome *ret_outcome, struct peer_error *error)
{
    if (plan->config->isolate)
        return attach_isolated(attachment, plan, ret_outcome, error);
    if (plan->config->netns)
        return attach_by_name(attachment, plan, ret_outcome, error);
    return attach_run(plan, ret_outcome, error);
}

/* ---- birth ---- */

/* The peers move from the plan (or from what was chosen) here. */
static int take_peers(struct attachment *attachment, struct attach_plan *plan,
                      const struct attach_outcome *outcome, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (!plan->peers.family)
        return addr_set_parse(peer_addr_format(&outcome->chosen, text), &attachment->peers, error);
    attachment->peers = plan->peers;
    memset(&plan->peers, 0, sizeof(plan->peers));
    return 0;
}

/* What was made is ours from here on, so that attachment_done ends it. */
static void take_outcome(struct attachment *attachment, const struct attach_plan *plan,
                         const struct attach_outcome *outcome)
{
    const struct wire_card *card = &outcome->card;

    attachment->queues[attachment->queue_count++] = outcome->tun.fd;
    attachment->wire = outcome->wire;
    attachment->card = *card;
    attachment->guard = outcome->guard;
    attachment->watch_fd = outcome->watch_fd;
    attachment->kind = plan->kind;
    attachment->mtu = attachment->device_mtu = outcome->mtu;
    attachment->seed = plan->seed;
    attachment->seed_told = plan->seed_told;
    attachment->shard = plan->config->shard;
    attachment->shards = MAX(plan->config->shards, UINT64_C(1));
    attachment->first_mac = plan->first_mac;
    attachment->ifindex = outcome->tun.ifindex;
    attachment->steered = outcome->tun.steered;
    attachment->offload_tcp = outcome->tun.offload_tcp;
    attachment->offload_udp = outcome->tun.offload_udp;
    attachment->local_mac = outcome->tun.mac;
    attachment->local = outcome->local;
    attachment->neighbours = outcome->neighbours;
    (void)snprintf(attachment->device, sizeof(attachment->device), "%s", outcome->tun.name);
    attachment->arrival_ifindex = card->ifindex ? card->ifindex : attachment->ifindex;
    (void)snprintf(attachment->arrival, sizeof(attachment->arrival), "%s",
                   card->ifindex ? card->name : outcome->tun.name);
}

static int take_sockets(struct attachment *attachment, const struct attach_outcome *outcome,
                        struct peer_error *error)
{
    int status = rtnl_adopt(outcome->rtnl_fd, &attachment->rtnl, error);
    if (status < 0)
        (void)close(outcome->rtnl_fd);
    int diag_status = diag_adopt(outcome->diag_fd, &attachment->diag, error);
    if (diag_status < 0)
        (void)close(outcome->diag_fd);
    return status < 0 ? status : diag_status;
}

void attachment_init(struct attachment *attachment)
{
    *attachment = (struct attachment){
        .netns = {.fd = -1},
        .grace_ms = GRACE_MS,
        .guard = {.fd = -1},
        .monitor = {.fd = -1},
        .watch_fd = -1};
}

int attachment_make(struct attachment *attachment, struct attach_plan *plan,
                    struct peer_error *error)
{
    struct attach_outcome outcome;

    int status = attach_anywhere(attachment, plan, &outcome, error);
    if (status < 0)
        return status;
    take_outcome(attachment, plan, &outcome);
    status = take_sockets(attachment, &outcome, error);
    if (status == 0)
        status = add_queues(attachment, plan, error);
    if (status == 0)
        status = take_peers(attachment, plan, &outcome, error);
    attachment->standing = outcome.standing;
    attachment->standing.rtnl = attachment->rtnl;
    attachment->standing.peers = &attachment->peers;
    return status;
}

/* ---- death ---- */

/* A holder that somebody killed can end nobody: then it is the monitor's. */
static void end_isolation(struct attachment *attachment)
{
    if (attachment->confined && netns_isolate_is_dead(&attachment->isolated))
        attachment->isolated.cleared = monitor_clear(attachment, NULL) == 0;
    netns_isolate_end(&attachment->isolated, attachment->grace_ms);
}

/* What is left of it here. */
static void release(struct attachment *attachment)
{
    rtnl_free(attachment->rtnl);
    diag_free(attachment->diag);
    if (attachment->watch_fd >= 0)
        (void)close(attachment->watch_fd);
    meters_close(&attachment->meters);
}

static void forget(struct attachment *attachment)
{
    if (attachment->netns.fd >= 0)
        (void)close(attachment->netns.fd);
    if (attachment->peers.family)
        addr_set_done(&attachment->peers);
    attachment_init(attachment);
}

static void close_queues(struct attachment *attachment)
{
    for (int i = 0; i < attachment->queue_count; i++)
        (void)close(attachment->queues[i]);
}

/* A device goes with its last descriptor, and ours is to be that: the guardian has let go of its own by
   then. That of a wire has none, and removes what carries the last frames, so it comes after. */
static void end_device(struct attachment *attachment)
{
    guard_await(&attachment->guard);
    removal_close(attachment);
    wire_detach(&attachment->wire);
    removal_ensure(attachment);
    guard_end(&attachment->guard); /* whoever waits for the device waits for it */
}

void attachment_done(struct attachment *attachment)
{
    end_device(attachment);
    release(attachment);
    if (attachment->isolate)
        end_isolation(attachment);
    guard_end(&attachment->monitor);
    forget(attachment);
}

void attachment_abandon(struct attachment *attachment)
{
    close_queues(attachment);
    wire_abandon(&attachment->wire);
    guard_abandon(&attachment->guard);
    guard_abandon(&attachment->monitor);
    release(attachment);
    if (attachment->isolate)
        netns_isolate_abandon(&attachment->isolated);
    forget(attachment);
}

/* ---- life ---- */

int attachment_start_program(struct attachment *attachment, struct peer_error *error)
{
    if (!attachment->isolate || !attachment->has_program)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no program to start");
    if (attachment->program_started)
        return error_set(error, PEER_ERROR_USAGE, EALREADY, "the program was started before");
    int status = netns_isolate_start(&attachment->isolated, error);
    attachment->program_started = status == 0;
    return status;
}

int attachment_program_ended(struct attachment *attachment, int *ret_status)
{
    return attachment->program_started ? netns_isolate_ended(&attachment->isolated, ret_status) : 0;
}

int attachment_has_listener(struct attachment *attachment, uint8_t protocol,
                            const struct peer_addr *addr, uint16_t port)
{
    const struct diag_packet packet = {.protocol = protocol,
                                       .local = *addr,
                                       .port = port,
                                       .peer = addr_set_at(&attachment->peers, 0),
                                       .peer_port = 1,
                                       .ifindex = attachment->arrival_ifindex};
    struct diag_socket socket;
    int status = diag_lookup(attachment->diag, &packet, &socket, NULL);

    if (status == -ENOENT)
        return 0;
    return status < 0 ? status : 1;
}

int attachment_is_local(struct attachment *attachment, const struct peer_addr *addr,
                        uint64_t now_ns)
{
    return targets_is_local(&attachment->targets, attachment->rtnl, addr, now_ns);
}

void attachment_ask_again(struct attachment *attachment)
{
    attachment->targets = (struct targets){0};
}

uint64_t attachment_drops(struct attachment *attachment)
{
    struct rtnl_link link = {0};

    (void)rtnl_link_get(attachment->rtnl, attachment->ifindex, NULL, &link, NULL);
    return link.tx_dropped;
}

int attachment_restore(struct attachment *attachment, struct peer_error *error)
{
    return attachment->confined ? monitor_restore(attachment, error)
                                : standing_restore(&attachment->standing, error);
}

int attachment_set_mac(struct attachment *attachment, const struct peer_mac *mac,
                       struct peer_error *error)
{
    const struct rtnl_link_change change = {.mac = mac};

    return attachment->confined
               ? monitor_set_mac(attachment, mac, error)
               : rtnl_link_set(attachment->rtnl, attachment->ifindex, &change, error);
}
