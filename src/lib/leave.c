/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of all flows, as far as it is not there yet.
 *
 *   orderly  what is closing gets the time that its link needs: FINs cross, are acknowledged, and
 *            sent again where they were lost; the last acknowledgement crosses
 *   reset    who has not answered by then gets a reset, which crosses too. Its sequence number may
 *            lie behind bytes that never arrived: then the local machine asks, and is told exactly
 *            (RFC 5961, 3.2)
 *   heard    the local kernel says (sock_diag) whether it still has a connection to a peer. While
 *            it has, its FIN may come once more and must find somebody who acknowledges it
 *
 * Where the other side is not this machine's, nobody can be asked: a short grace has to do.
 */
#include "lib/crew.h"

#define ORDERLY_NS (2 * NS_PER_S)
#define RESET_NS   (1 * NS_PER_S)
#define GRACE_NS   (500 * NS_PER_MS)
#define LOOK_FIRST (2 * NS_PER_MS)
#define LOOK_MOST  (100 * NS_PER_MS)
#define ROUND_MOST (2 * NS_PER_S)

/* The longest that a frame was seen to take there and back, within reason: a queue may be
   longer. */
static uint64_t round_ns(const struct engine_stats *stats)
{
    uint64_t there = stats->links[LINK_UPLINK].delay_max_ns;
    uint64_t back = stats->links[LINK_DOWNLINK].delay_max_ns;

    return MIN(there + back, ROUND_MOST);
}

static void begin(struct peer_net *net, uint64_t now_ns)
{
    struct leaving *leaving = &net->leaving;

    leaving->begun = true;
    leaving->begun_ns = leaving->moved_ns = leaving->look_ns = now_ns;
    leaving->look_delay_ns = LOOK_FIRST;
    engine_reset_flows(net->engine, false); /* what nobody closed */
}

/* Has the local kernel done with the peers? Asked now and then, as its table may be large. */
static bool is_heard(struct peer_net *net, uint64_t now_ns)
{
    struct leaving *leaving = &net->leaving;

    if (now_ns < leaving->look_ns)
        return false;
    if (net->worker)
        return net->heard; /* of the coordinator, who asks */
    leaving->look_ns = now_ns + leaving->look_delay_ns;
    leaving->look_delay_ns = MIN(2 * leaving->look_delay_ns, LOOK_MOST);
    return diag_has_connections(net->attachment.diag, &net->attachment.peers) <= 0;
}

/* All is quiet here. */
static bool is_settled(struct peer_net *net, uint64_t now_ns, uint64_t round)
{
    struct stack_stats stats;
    uint64_t still_ns = now_ns - net->leaving.moved_ns;

    flows_get_stats(engine_flows(net->engine), &stats);
    if (net->forwards)
        return !stats.time_wait || still_ns >= GRACE_NS + 2 * round;
    return stats.vanished || is_heard(net, now_ns) || still_ns >= RESET_NS + 2 * round;
}

int peer_net_leave(struct peer_net *net)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->hooks)
        return -EBUSY;
    struct leaving *leaving = &net->leaving;
    uint64_t now_ns = engine_now_fresh_ns(net->engine);
    struct engine_stats stats;

    if (net->gone)
        return 1;
    if (!leaving->begun)
        begin(net, now_ns);
    if (net->crew)
        return crew_leave(net->crew, !net->forwards && is_heard(net, now_ns));
    engine_get_stats(net->engine, &stats);
    if (stats.frames_sent + stats.frames_received != leaving->frames) {
        leaving->frames = stats.frames_sent + stats.frames_received;
        leaving->moved_ns = now_ns;
    }
    uint64_t round = round_ns(&stats), patience = ORDERLY_NS + 2 * round;
    if (!leaving->reset && now_ns - leaving->begun_ns >= patience) {
        leaving->reset = true;
        engine_reset_flows(net->engine, true);
    }
    if (now_ns - leaving->begun_ns >= patience + RESET_NS + 2 * round)
        return 1;
    return engine_is_quiet(net->engine) && is_settled(net, now_ns, round);
}
