/* SPDX-License-Identifier: BSD-3-Clause */
/* What the workers' nets count, added up. */
#include "lib/crew.h"

static void add_link(struct peer_link_stats *into, const struct peer_link_stats *from)
{
    const double delayed = (double)into->delayed + (double)from->delayed;

    if (delayed > 0)
        into->delay_mean_ns =
            (uint64_t)(((double)into->delay_mean_ns * (double)into->delayed +
                        (double)from->delay_mean_ns * (double)from->delayed) / delayed);
    into->sent += from->sent;
    into->delivered += from->delivered;
    into->lost += from->lost;
    into->overflowed += from->overflowed;
    into->discarded += from->discarded;
    into->duplicated += from->duplicated;
    into->corrupted += from->corrupted;
    into->reordered += from->reordered;
    into->delayed += from->delayed;
    into->delay_max_ns = MAX(into->delay_max_ns, from->delay_max_ns);
    into->queued += from->queued;
    into->queued_max = MAX(into->queued_max, from->queued_max);
}

static void add_limits(struct peer_limit_stats *into, const struct peer_limit_stats *from)
{
    into->half_open += from->half_open;
    into->strangers += from->strangers;
    into->icmp_errors += from->icmp_errors;
    into->challenges += from->challenges;
    into->fragments += from->fragments;
    into->unread += from->unread;
    into->gaps += from->gaps;
    into->unacknowledged += from->unacknowledged;
    into->neighbours += from->neighbours;
}

static void add_stats(struct peer_net_stats *into, const struct peer_net_stats *from)
{
    into->frames_sent += from->frames_sent;
    into->frames_received += from->frames_received;
    into->bytes_sent += from->bytes_sent;
    into->bytes_received += from->bytes_received;
    into->frames_ignored += from->frames_ignored;
    into->frames_bad += from->frames_bad;
    into->send_drops += from->send_drops;
    into->flows += from->flows;
    into->flows_refused += from->flows_refused;
    into->retransmits += from->retransmits;
    add_limits(&into->limits, &from->limits);
    add_link(&into->uplink, &from->uplink);
    add_link(&into->downlink, &from->downlink);
    into->pcap_error = into->pcap_error ? into->pcap_error : from->pcap_error;
    into->pcap_frames += from->pcap_frames;
    into->pcap_dropped += from->pcap_dropped;
    into->frames_passed += from->frames_passed;
    into->cpu_left_ns += from->cpu_left_ns;
}

void crew_add_stats(const struct peer_net *net, struct peer_net_stats *stats)
{
    if (stats != &net->crew_stats)
        add_stats(stats, &net->crew_stats);
    for (unsigned i = 0; net->crew && i < net->crew->count; i++)
        add_stats(stats, &net->crew->members[i].told.stats);
    if (net->crew)
        stats->cpu_left_ns += net->crew->placing.given_ns;
}
