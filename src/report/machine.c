/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stood around the requests: the kernels on both sides, links, and who made the load.
 */
#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A counter of a report. */
struct counter {
    size_t at;
    const char *path, *text;
    bool always; /* also when it is 0 throughout */
};

static uint64_t count_of(const struct view *view, const struct counter *counter)
{
    uint64_t count;

    memcpy(&count, (const char *)&view->report + counter->at, sizeof(count));
    return count;
}

static bool any_count(const struct report *report, const struct counter *counter)
{
    for (size_t i = 0; i < report->count; i++) {
        if (count_of(&report->views[i], counter))
            return true;
    }
    return false;
}

static size_t write_counters(struct report *report, const struct counter *counters, size_t count)
{
    size_t written = 0;

    for (size_t i = 0; i < count; i++) {
        if (!counters[i].always && !any_count(report, &counters[i]))
            continue;
        written++;
        row_open(&report->page, counters[i].text);
        for (size_t run = 0; run < report->count; run++)
            cell_value(&report->page, counters[i].path, UNIT_COUNT,
                       (double)count_of(&report->views[run], &counters[i]));
        row_close(&report->page);
    }
    return written;
}

#define COUNT(member) sizeof(member) / sizeof(*(member))
#define AT(member)    offsetof(struct peer_soak_report, member)

/* ---- what the kernel lost ---- */

/* Like a table of the kernel's that is full. */
static void say_tracking(struct report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct peer_soak_local *local = &report->views[i].report.local;
        if (local->conntrack_max && local->conntrack_count >= local->conntrack_max) {
            section_say(&report->page, "Connection tracking is full: what is new is dropped.");
            return;
        }
    }
}

void write_local(struct report *report)
{
    static const struct counter counters[] = {
        {AT(local.listen_overflows), "local.listen_overflows",
         "Packets that met a full accept queue", true},
        {AT(local.listener_drops), "local.listener_drops",
         "Packets dropped by the listening socket", true},
        {AT(local.overflow_aborts), "local.overflow_aborts",
         "Connections reset since the accept queue was full", true},
        {AT(local.request_queue_drops), "local.request_queue_drops",
         "SYNs dropped since the queue of half-open connections was full", true},
        {AT(local.syn_cookies), "local.syn_cookies", "SYN cookies sent", true},
        {AT(local.udp_receive_errors), "local.udp_receive_errors",
         "Datagrams lost to full receive buffers", true},
        {AT(local.device_drops), "local.device_drops",
         "Packets lost in the device's queue: peer read too late", true},
        {AT(local.retransmits), "local.retransmits",
         "Segments sent again by the application's kernel", true},
        {AT(retransmits), "tcp.retransmits", "Segments sent again by the peers", true},
        {AT(syn_retransmits), "tcp.syn_retransmits", "SYNs sent again by the peers", true},
        {AT(syn_repeated), "tcp.syn_repeated", "Connections that had to ask again", true},
        {AT(ecn_connections), "tcp.ecn.connections",
         "Connections with congestion notification (ECN)", false},
        {AT(ecn_marked), "tcp.ecn.marked", "Frames marked as congested", false},
        {AT(ecn_reduced), "tcp.ecn.reduced", "Times a peer sent less for that", false},
        {AT(local.conntrack_count), "local.conntrack.count", "Connections tracked (conntrack)",
         false},
    };

    section_open(&report->page, "kernel", "What the kernel lost");
    table_open_runs(report, "Counters of the local kernel and of the peers", "Counter", false);
    write_counters(report, counters, COUNT(counters));
    table_close(&report->page);
    say_tracking(report);
    section_close(&report->page);
}

/* ---- links and limits ---- */

#define LINK(way, name, words)                                                                     \
    {AT(way##link.sent), "link." name ".sent", words ": packets", false},                          \
        {AT(way##link.lost), "link." name ".lost", words ": lost", false},                         \
        {AT(way##link.overflowed), "link." name ".overflowed", words ": overflowed the queue",     \
         false},                                                                                   \
        {AT(way##link.discarded), "link." name ".discarded",                                       \
         words ": discarded, the cable was out", false},                                           \
        {AT(way##link.duplicated), "link." name ".duplicated", words ": doubled", false},          \
        {AT(way##link.corrupted), "link." name ".corrupted", words ": corrupted", false},          \
        {AT(way##link.reordered), "link." name ".reordered", words ": reordered", false},          \
        {AT(way##link.delayed), "link." name ".delayed", words ": delayed", false},                \
    {                                                                                              \
        AT(way##link.queued_max), "link." name ".queued_max", words ": most on the way at once",   \
            false                                                                                  \
    }

static void delay_row(struct report *report, const char *name, bool up)
{
    bool any = false;

    for (size_t i = 0; i < report->count; i++)
        any |= (up ? report->views[i].report.uplink.delayed
                   : report->views[i].report.downlink.delayed) > 0;
    if (!any)
        return;
    row_open(&report->page, name);
    for (size_t i = 0; i < report->count; i++) {
        const struct peer_link_stats *link =
            up ? &report->views[i].report.uplink : &report->views[i].report.downlink;
        cell_value(&report->page, up ? "link.uplink.delay_mean_us" : "link.downlink.delay_mean_us",
                   UNIT_US, link->delayed ? (double)link->delay_mean_ns / 1e3 : NAN);
    }
    row_close(&report->page);
}

static void write_limits(struct report *report)
{
    static const struct counter limits[] = {
        {AT(limits.half_open), "limits.half_open", "Calls that had a SYN cookie for an answer",
         false},
        {AT(limits.strangers), "limits.strangers", "Calls of strangers without an answer", false},
        {AT(limits.icmp_errors), "limits.icmp_errors", "ICMP errors that were not sent", false},
        {AT(limits.challenges), "limits.challenges", "Segments of no connection without an answer",
         false},
        {AT(limits.fragments), "limits.fragments",
         "Packets given up whose fragments were not all there", false},
        {AT(limits.unread), "limits.unread", "Segments and datagrams dropped behind unread ones",
         false},
        {AT(limits.gaps), "limits.gaps", "Segments behind gaps that were dropped", false},
        {AT(limits.unacknowledged), "limits.unacknowledged",
         "Writes that waited, too much being unacknowledged", false},
        {AT(limits.neighbours), "limits.neighbours", "ARP entries that were not made", false},
    };
    bool any = false;

    for (size_t i = 0; i < COUNT(limits); i++)
        any |= any_count(report, &limits[i]);
    if (!any)
        return;
    section_open(&report->page, "limits", "Bounds of the peers that were met");
    section_say(&report->page,
                "What peer did by its own rules, so that nobody takes it for the network's doing.");
    table_open_runs(report, "Bounds that were met", "Bound", false);
    write_counters(report, limits, COUNT(limits));
    table_close(&report->page);
    section_close(&report->page);
}

void write_links(struct report *report)
{
    static const struct counter counters[] = {LINK(up, "uplink", "Up"),
                                              LINK(down, "downlink", "Down")};
    bool any = false;

    for (size_t i = 0; i < COUNT(counters); i++)
        any |= any_count(report, &counters[i]);
    if (any) {
        section_open(&report->page, "links", "Links");
        table_open_runs(report, "What the links did to packets", "Link", false);
        write_counters(report, counters, COUNT(counters));
        delay_row(report, "Up: delay, mean", true);
        delay_row(report, "Down: delay, mean", false);
        table_close(&report->page);
        section_close(&report->page);
    }
    write_limits(report);
}

/* ---- who made the load ---- */

struct cost {
    const char *name, *path;
    enum unit unit;
    double (*of)(const struct peer_soak_report *found);
};

static double user(const struct peer_soak_report *found)
{
    return found->cpu_user_s;
}

static double sys(const struct peer_soak_report *found)
{
    return found->cpu_sys_s;
}

static double spin(const struct peer_soak_report *found)
{
    return found->cpu_spin_s;
}

static double waited(const struct peer_soak_report *found)
{
    return found->cpu_waited_s;
}

static double throttled(const struct peer_soak_report *found)
{
    return found->cpu_throttled_s;
}

static double rss(const struct peer_soak_report *found)
{
    return (double)found->rss_bytes;
}

static const struct cost costs[] = {
    {"Processor time, user", "cpu_s.user", UNIT_S, user},
    {"Processor time, system", "cpu_s.sys", UNIT_S, sys},
    {"of both, looking for answers instead of sleeping", "cpu_s.spin", UNIT_S, spin},
    {"Ready to run while others had the processors", "cpu_s.waited", UNIT_S, waited},
    {"Stopped by the quota of its control group", "cpu_s.throttled", UNIT_S, throttled},
    {"Memory", "rss_bytes", UNIT_BYTES, rss},
};

static void part_row(struct page *page, const struct peer_result_part *part, uint64_t first_ns)
{
    char name[64] = "one part";

    if (part->shards)
        snprintf(name, sizeof(name), "shard %llu of %llu", (unsigned long long)part->shard,
                 (unsigned long long)part->shards);
    row_open(page, name);
    cell_text(page, part->host);
    cell_value(page, NULL, UNIT_COUNT, (double)part->flows);
    cell_value(page, NULL, UNIT_COUNT, (double)part->peer_count);
    cell_text(page, part->peers);
    cell_value(page, NULL, UNIT_S, (double)(part->started_ns - first_ns) / 1e9);
    cell_value(page, NULL, UNIT_S, (double)part->duration_ns / 1e9);
    row_close(page);
}

static void parts_of(struct report *report, const struct view *view)
{
    static const char *const heads[] = {
        "Part", "Host", "Flows", "Peers", "Their addresses", "Began after the first", "Measured"};
    struct peer_result_part part;
    uint64_t first_ns = UINT64_MAX;
    char caption[LINE_NAME];

    for (size_t i = 0; peer_result_get_part(view->result, i, &part); i++)
        first_ns = part.started_ns < first_ns ? part.started_ns : first_ns;
    snprintf(caption, sizeof(caption), report->count > 1 ? "Parts: %.100s" : "Parts of the run%.0s",
             view->name);
    table_open(&report->page, caption, heads, 7);
    for (size_t i = 0; peer_result_get_part(view->result, i, &part); i++)
        part_row(&report->page, &part, first_ns);
    table_close(&report->page);
}

void write_parts(struct report *report)
{
    struct page *page = &report->page;

    section_open(page, "load", "Who made the load");
    for (size_t i = 0; i < report->count; i++) {
        if (report->views[i].parts > 1)
            parts_of(report, &report->views[i]);
    }
    table_open_runs(report, "What it cost peer", "Cost", false);
    for (size_t i = 0; i < COUNT(costs); i++) {
        row_open(page, costs[i].name);
        for (size_t run = 0; run < report->count; run++)
            cell_value(page, costs[i].path, costs[i].unit, costs[i].of(&report->views[run].report));
        row_close(page);
    }
    table_close(page);
    section_close(page);
}
