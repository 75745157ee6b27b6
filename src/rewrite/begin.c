/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a flow gets its peer and port, at its beginning and when it roams. All is chosen for a draft;
 * only then a slot is taken, so that nobody is pushed out for a flow that cannot be.
 *
 * `turn` counts the peers that a side has taken. With REWRITE_RUN it stands still and is the one of
 * all flows; with REWRITE_DESTINATION each target has a turn of its own, in the memory of targets.
 *
 * The program's port is kept when nobody has it from the same peer to the same target, which also
 * keeps one outside port for a UDP socket towards all targets (RFC 4787 REQ-1).
 */
#include "internal.h"

#include "base/macro.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { FIRST_PORT = 1024, PORTS = 65536 - FIRST_PORT };

/* ---- targets ---- */

static int set_target(struct rewrite *rewrite, struct rewrite_flow *draft)
{
    struct peer_addr to = rewrite_addr(draft, draft->seen);

    if (addr_is_multicast(&to) || addr_is_unspecified(&to))
        return -EPERM;
    if (addr_is_loopback(&to)) {
        if (rewrite->config.localhost.family != rewrite->family)
            return -EPERM;
        to = rewrite->config.localhost;
        draft->marks |= MARK_LOCALHOST;
    }
    memcpy(draft->target, to.bytes, sizeof(draft->target));
    if (rewrite->config.allowed && !rewrite->config.allowed(rewrite->config.user, &to))
        return -EPERM;
    return 0;
}

static uint64_t target_key(const struct rewrite *rewrite, const struct rewrite_flow *flow)
{
    uint8_t key[18];

    memcpy(key, flow->target, 16);
    memcpy(key + 16, &flow->side, 2);
    return siphash(rewrite->secrets[INSIDE], key, sizeof(key));
}

/* ---- peers ---- */

static void set_peer(const struct rewrite *rewrite, uint64_t turn, struct rewrite_flow *draft)
{
    const struct side *side = &rewrite->sides[draft->side];
    uint64_t at = side->first + turn % side->count;
    struct peer_addr addr = addr_set_at(rewrite->config.peers, at);

    draft->peer_index = (uint32_t)at;
    memcpy(draft->peer, addr.bytes, sizeof(draft->peer));
}

/* The turn of a target; a new one has the next. */
static uint64_t turn_of_target(struct rewrite *rewrite, const struct rewrite_flow *draft)
{
    uint64_t key = target_key(rewrite, draft);
    struct recall_entry *entry = recall_find(&rewrite->destinations, key);

    if (entry) {
        entry->used_ns = rewrite->now_ns;
        return entry->value;
    }
    uint64_t turn = rewrite->sides[draft->side].turn++;
    recall_put(&rewrite->destinations, key, turn, rewrite->now_ns);
    return turn;
}

static uint64_t turn_of_new(struct rewrite *rewrite, const struct rewrite_flow *draft)
{
    switch (rewrite->config.spread) {
    case REWRITE_DESTINATION:
        return turn_of_target(rewrite, draft);
    case REWRITE_RUN:
        return rewrite->sides[draft->side].turn;
    default:
        return rewrite->sides[draft->side].turn++;
    }
}

static bool is_turn_of(const struct side *side, uint64_t turn, const struct rewrite_flow *flow)
{
    return side->first + turn % side->count == flow->peer_index;
}

/* The next turn that is another's than the flow's; the side has two peers at least. */
static uint64_t turn_of_another(struct side *side, const struct rewrite_flow *flow)
{
    uint64_t turn = side->turn++;

    return is_turn_of(side, turn, flow) ? side->turn++ : turn;
}

static uint64_t turn_of_roaming(struct rewrite *rewrite, const struct rewrite_flow *flow)
{
    struct side *side = &rewrite->sides[flow->side];

    if (rewrite->config.spread == REWRITE_CONNECTION)
        return turn_of_another(side, flow);
    if (rewrite->config.spread == REWRITE_RUN)
        return is_turn_of(side, side->turn, flow) ? ++side->turn : side->turn;
    uint64_t turn = turn_of_target(rewrite, flow);
    if (is_turn_of(side, turn, flow)) {
        turn = turn_of_another(side, flow);
        recall_put(&rewrite->destinations, target_key(rewrite, flow), turn, rewrite->now_ns);
    }
    return turn;
}

/* ---- ports ---- */

static struct tuple outside_of(const struct rewrite_flow *flow)
{
    return (struct tuple){.near = flow->peer,
                          .far = flow->target,
                          .near_port = flow->outside_port,
                          .far_port = flow->target_port,
                          .protocol = flow->protocol};
}

static struct rewrite_flow *holder_of(const struct rewrite *rewrite, struct rewrite_flow *draft,
                                      uint32_t port)
{
    draft->outside_port = (uint16_t)port;
    struct tuple tuple = outside_of(draft);
    draft->tags[OUTSIDE] = tuple_tag(rewrite, OUTSIDE, &tuple);
    return find_outside(rewrite, &tuple, draft->tags[OUTSIDE]);
}

/* Whether the flow itself has left this address: it may come back to it. */
static bool was_here(const struct rewrite_flow *holder, const struct rewrite_flow *draft)
{
    return holder->state == REWRITE_GONE && holder->side == draft->side &&
           holder->inside_port == draft->inside_port &&
           memcmp(holder->inside, draft->inside, sizeof(draft->inside)) == 0 &&
           memcmp(holder->seen, draft->seen, sizeof(draft->seen)) == 0;
}

/* Sets port and tag. */
static int set_port(struct rewrite *rewrite, struct rewrite_flow *draft)
{
    struct rewrite_flow *holder = holder_of(rewrite, draft, draft->inside_port);

    if (holder && was_here(holder, draft)) {
        flow_table_end(rewrite, holder);
        holder = NULL;
    }
    if (!holder)
        return 0;
    uint64_t start = rng_below(&rewrite->rng, PORTS);
    for (uint32_t i = 0; i < PORTS; i++) {
        uint32_t port = FIRST_PORT + (uint32_t)(start + i) % PORTS;
        if (!holder_of(rewrite, draft, port))
            return 0;
    }
    return -EADDRINUSE;
}

/* ---- both ---- */

static void fill_draft(const struct rewrite *rewrite, const struct tuple *tuple,
                       struct rewrite_flow *draft)
{
    size_t len = rewrite->family == 4 ? 4 : 16;

    *draft = (struct rewrite_flow){.inside_port = tuple->near_port,
                                   .target_port = tuple->far_port,
                                   .side = tuple->side,
                                   .family = rewrite->family,
                                   .protocol = tuple->protocol,
                                   .state = REWRITE_OPENING,
                                   .made_ns = rewrite->now_ns,
                                   .last_ns = rewrite->now_ns};
    memcpy(draft->inside, tuple->near, len);
    memcpy(draft->seen, tuple->far, len);
}

/* The draft becomes what is in the slot, which keeps its number. */
static void settle(struct rewrite_flow *flow, const struct rewrite_flow *draft)
{
    uint32_t slot = flow->slot, serial = flow->serial;

    *flow = *draft;
    flow->slot = slot;
    flow->serial = serial;
}

static void count_made(struct rewrite *rewrite, uint8_t protocol)
{
    if (protocol == IPPROTO_TCP)
        rewrite->stats.tcp_flows++;
    else if (protocol == IPPROTO_UDP)
        rewrite->stats.udp_flows++;
    else
        rewrite->stats.echo_flows++;
}

int begin_flow(struct rewrite *rewrite, const struct tuple *tuple, uint32_t tag,
               struct rewrite_flow **ret_flow)
{
    struct rewrite_flow draft;

    fill_draft(rewrite, tuple, &draft);
    int status = set_target(rewrite, &draft);
    if (status < 0)
        return status;
    set_peer(rewrite, turn_of_new(rewrite, &draft), &draft);
    status = set_port(rewrite, &draft);
    if (status < 0)
        return status;
    edit_prepare(&draft);
    draft.tags[INSIDE] = tag;
    if (slot_index_reserve(&rewrite->by[INSIDE]) < 0 ||
        slot_index_reserve(&rewrite->by[OUTSIDE]) < 0)
        return -ENOSPC;
    struct rewrite_flow *flow = flow_table_take(rewrite, NULL);
    if (!flow)
        return -ENOSPC;
    settle(flow, &draft);
    flow_table_add(rewrite, flow, true);
    count_made(rewrite, flow->protocol);
    if (rewrite->config.begun)
        rewrite->config.begun(rewrite->config.user, flow);
    *ret_flow = flow;
    return 0;
}

/* What stays at the old address. */
static void leave_behind(struct rewrite *rewrite, struct rewrite_flow *gone,
                         const struct rewrite_flow *flow)
{
    settle(gone, flow);
    gone->state = REWRITE_GONE;
    gone->last_ns = rewrite->now_ns;
    gone->user = NULL;
    flow_table_add(rewrite, gone, false);
}

int rewrite_roam_next(struct rewrite *rewrite, struct rewrite_flow *flow)
{
    if (rewrite->sides[flow->side].count == 1)
        return -EADDRNOTAVAIL;
    flow->marks |= MARK_ROAMS;
    return 0;
}

int rewrite_roam(struct rewrite *rewrite, struct rewrite_flow *flow, uint64_t now_ns)
{
    struct rewrite_flow draft = *flow;

    rewrite->now_ns = MAX(rewrite->now_ns, now_ns);
    if (rewrite->sides[flow->side].count == 1)
        return -EADDRNOTAVAIL;
    set_peer(rewrite, turn_of_roaming(rewrite, flow), &draft);
    int status = set_port(rewrite, &draft);
    if (status < 0)
        return status;
    if (slot_index_reserve(&rewrite->by[OUTSIDE]) < 0)
        return -ENOSPC;
    struct rewrite_flow *gone = flow_table_take(rewrite, flow);
    if (!gone)
        return -ENOSPC;
    slot_index_remove(&rewrite->by[OUTSIDE], flow->tags[OUTSIDE], flow->slot);
    leave_behind(rewrite, gone, flow);
    memcpy(flow->peer, draft.peer, sizeof(flow->peer));
    flow->peer_index = draft.peer_index;
    flow->outside_port = draft.outside_port;
    flow->tags[OUTSIDE] = draft.tags[OUTSIDE];
    edit_prepare(flow);
    slot_index_put(&rewrite->by[OUTSIDE], flow->tags[OUTSIDE], flow->slot);
    flow->marks &= (uint8_t)~MARK_ROAMS;
    rewrite->stats.roamed++;
    return 0;
}
