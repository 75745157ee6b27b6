/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a soak found, as text like wrk's. Losses in the local kernel stand beside the result, since
 * most "network" trouble turns out to be those.
 */
#include "words.h"
#include "cli/workers.h"

#include <peer/steer.h>

#include <stdio.h>
#include <string.h>

static void print_latency(const char *name, const struct peer_latency *latency, bool more)
{
    char mean[32], p50[32], p90[32], p99[32], p999[32], max[32], min[32];
#define NS(us) ((uint64_t)((us)*1e3))

    if (!latency->count)
        return;
    printf("  %-11s %9s %9s %9s %9s", name, format_time(NS(latency->mean), mean),
           format_time(NS(latency->p50), p50), format_time(NS(latency->p99), p99),
           format_time(NS(latency->max), max));
    if (more)
        printf(" %9s %9s %9s", format_time(NS(latency->min), min),
               format_time(NS(latency->p90), p90), format_time(NS(latency->p999), p999));
    putchar('\n');
#undef NS
}

static void print_latencies(const struct peer_soak_report *report, bool more)
{
    if (!report->handshake.count && !report->request.count)
        return;
    printf("  %-11s %9s %9s %9s %9s", "latency", "mean", "p50", "p99", "max");
    printf("%s%s\n", more ? "       min       p90      p999" : "",
           report->corrected ? "   (from when the schedule wanted the request)" : "");
    print_latency("handshake", &report->handshake, more);
    print_latency("TLS", &report->tls, more);
    print_latency("login", &report->login, more);
    print_latency("first byte", &report->first_byte, more);
    print_latency("request", &report->request, more);
    print_latency("ping", &report->ping, more);
    print_latency("will", &report->will, more);
}

/* Those that are all 200 need no word. */
static bool is_plain(const struct soak_run *run)
{
    for (unsigned status = 0; status < PEER_STATUS_CODES; status++) {
        if (status != 200 && peer_result_get_status(run->result, status))
            return false;
    }
    return true;
}

static void print_statuses(const struct soak_run *run)
{
    for (unsigned status = 1; status < PEER_STATUS_CODES && !is_plain(run); status++) {
        uint64_t count = peer_result_get_status(run->result, status);
        if (count)
            printf("  answers with status %u: %llu\n", status, (unsigned long long)count);
    }
    if (peer_result_get_status(run->result, 0))
        printf("  answers with a status beyond 999: %llu\n",
               (unsigned long long)peer_result_get_status(run->result, 0));
}

static void print_errors(const struct soak_run *run, const struct peer_soak_report *report)
{
    char trace[TRACE_COMMAND];
    const struct peer_soak_counts *counts = &report->counts;
    bool any = false;

    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        if (!soak_error_count(counts, i))
            continue;
        printf("%s%llu %s",
               any ? ", " : "  errors: ", (unsigned long long)soak_error_count(counts, i),
               soak_error_kinds[i].text);
        any = true;
    }
    if (any)
        putchar('\n');
    if (counts->late || counts->duplicates)
        printf("  answers beyond those: %llu late, %llu twice\n", (unsigned long long)counts->late,
               (unsigned long long)counts->duplicates);
    if (counts->redirects)
        printf("  %llu redirects followed\n", (unsigned long long)counts->redirects);
    if (counts->truncated)
        printf("  %llu answers were truncated, and asked for again over TCP\n",
               (unsigned long long)counts->truncated);
    if (counts->asked_again)
        printf("  %llu requests asked again: the application had closed their connections, or "
               "refused them, unread\n",
               (unsigned long long)counts->asked_again);
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        if (report->first_errors[i])
            printf("  the first %s: %s\n", soak_error_kinds[i].text, report->first_errors[i]);
    }
    if (soak_trace_advice(run, report, trace))
        printf("  to see why: %s\n", trace);
    if (report->cannot_open)
        printf("  %s\n", report->cannot_open);
    print_statuses(run);
    print_targets(run->result);
}

/* Connections that had to try again are ours, and counted once; the counter is of packets, each
   repetition again, and of everybody's. */
static void print_accept_queue(const struct peer_soak_report *report)
{
    unsigned long long packets = report->local.listen_overflows;

    if (packets && report->syn_repeated)
        printf("  %llu connections had to ask again: the accept queue was full for %llu packets\n",
               (unsigned long long)report->syn_repeated, packets);
    else if (packets)
        printf("  the accept queue was full for %llu packets, but no connection had to ask again\n",
               packets);
}

/* What the kernel lost, only when it did. Its listener counts what the accept queue dropped too. */
static void print_local(const struct peer_soak_report *report)
{
    const struct peer_soak_local *local = &report->local;
    const struct {
        uint64_t count;
        const char *text;
    } lines[] = {
        {local->listen_overflows ? 0 : local->listener_drops,
         "packets dropped by the listening socket"},
        {local->overflow_aborts, "connections reset because the accept queue was full"},
        {local->request_queue_drops, "SYNs dropped because the queue of half-open connections was "
                                     "full"},
        {local->syn_cookies,
         "SYN cookies sent because the queue of half-open connections was full"},
        {local->udp_receive_errors, "datagrams lost because a receive buffer was full"},
        {local->device_drops, "packets lost in the device's queue (peer read too late)"},
        {local->retransmits, "segments sent again by the local kernel"},
        {report->retransmits, "segments sent again by the peers"},
    };

    print_accept_queue(report);
    for (size_t i = 0; i < CLI_ARRAY_SIZE(lines); i++) {
        if (lines[i].count)
            printf("  %llu %s\n", (unsigned long long)lines[i].count, lines[i].text);
    }
    if (local->conntrack_max && local->conntrack_count >= local->conntrack_max)
        printf("  connection tracking is full: %llu\n", (unsigned long long)local->conntrack_max);
}

/* As it was asked for, or three digits of what was measured. */
static const char *format_rate(double rate, bool exact, char buf[32])
{
    snprintf(buf, 32, exact ? "%.12g" : rate < 100 ? "%.3g" : "%.0f", rate);
    return buf;
}

static void print_rate(const struct soak_run *run, const struct peer_soak_report *report)
{
    static const char *const texts[][2] = {
        {"quota", "the processor time that peer's control group may use"},
        {"processors", "this machine's processors: peer was ready to run, and others had them"},
        {"accept queue", "the application's accept queue"},
        {"peer", "this process's CPU time"},
        {"application", "answers: more flows (-c), or a faster application"},
    };
    const char *by = soak_limited_by(run, report);
    char asked[32], reached[32], waited[32];
    struct peer_soak_change change; /* then it is the mean of what was asked for */
    const bool changed = peer_result_get_change(run->result, 0, &change) > 0;
    size_t i = 0;

    if (!by)
        return;
    while (strcmp(texts[i][0], by) != 0)
        i++;
    printf("  asked %s/s, reached %s/s: limited by %s",
           format_rate(report->asked_rate, !changed, asked),
           format_rate(soak_reached_rate(report), false, reached), texts[i][1]);
    if (i < 2)
        printf(" (%s)",
               format_time((uint64_t)((report->cpu_waited_s + report->cpu_throttled_s) * 1e9),
                           waited));
    putchar('\n');
}

static void print_head(const struct soak_run *run)
{
    if (!run->net) {
        print_merged(run->result);
        return;
    }
    static const char *const proxied[] = {"", " by PROXY v1", " by PROXY v2"};
    const struct common_options *common = &run->options->common;
    struct peer_result_part part = {0};
    struct peer_net_info info;
    char target[PEER_ENDPOINT_TEXT], peer[PEER_ADDR_TEXT], shard[64] = "";

    peer_net_get_info(run->net, &info);
    peer_result_get_part(run->result, 0, &part);
    if (part.shards)
        snprintf(shard, sizeof(shard), "shard %llu of %llu: ", (unsigned long long)part.shard,
                 (unsigned long long)part.shards);
    printf("%s%llu flow%s from %llu peer%s (%s%s) to %s%s, seed %llu\n", shard,
           (unsigned long long)part.flows, part.flows == 1 ? "" : "s",
           (unsigned long long)info.peers, info.peers == 1 ? "" : "s",
           peer_addr_format(&info.first_peer, peer), info.peers > 1 ? " and on" : "",
           peer_endpoint_format(&run->options->target.addr, run->options->target.port, target),
           proxied[common->proxy_protocol], (unsigned long long)info.seed);
    print_workers(run->net, common);
    if (info.neighbours != PEER_NEIGHBOURS_ASK)
        printf("  neighbours: %s\n",
               info.neighbours == PEER_NEIGHBOURS_PERMANENT
                   ? "permanent entries, since the table has no room for so many"
                   : "one peer is the gateway of the others");
}

static void print_manner(const struct peer_soak_manner *manner)
{
    const struct peer_soak_counts *counts = &manner->counts;
    char p50[32] = "", p99[32] = "";

    if (manner->request.count) {
        format_time((uint64_t)(manner->request.p50 * 1e3), p50);
        format_time((uint64_t)(manner->request.p99 * 1e3), p99);
    }
    printf("  %-24s %8llu %8llu %8llu %8llu %8llu %8llu %8llu %9s %9s\n", manner->spec,
           (unsigned long long)manner->flows, (unsigned long long)counts->opened,
           (unsigned long long)counts->established, (unsigned long long)counts->completed,
           (unsigned long long)manner->closed, (unsigned long long)manner->reset,
           (unsigned long long)manner->given_up, p50, p99);
}

/* The flows with bad manners; "closed" and "reset" are the application's doing. */
static void print_manners(const struct soak_run *run)
{
    struct peer_soak_manner manner;

    for (size_t i = 0; peer_result_get_manner(run->result, i, &manner); i++) {
        if (i == 0)
            printf("All of the above is of the healthy flows alone. The others:\n"
                   "  %-24s %8s %8s %8s %8s %8s %8s %8s %9s %9s\n",
                   "manner", "flows", "opened", "connect", "answered", "closed", "reset",
                   "given up", "p50", "p99");
        print_manner(&manner);
    }
}

static void print_text(const struct soak_run *run, const struct peer_soak_report *report)
{
    const struct peer_soak_counts *counts = &report->counts;
    const struct peer_soak_counts timed = soak_timed_counts(report);
    char time[32], sent[32], received[32], rss[32];
    double duration = (double)soak_active_ns(report) / 1e9;

    print_head(run);
    print_lost(run->result);
    print_latencies(report, run->options->latency);
    printf("  %llu requests, %llu connections in %s, %s sent, %s received\n",
           (unsigned long long)counts->completed, (unsigned long long)counts->established,
           format_time(report->duration_ns, time), format_bytes(counts->bytes_sent, sent),
           format_bytes(counts->bytes_received, received));
    if (soak_after_end(report) * 100 > counts->completed)
        printf("  %llu of the requests were answered after that time, and are in no rate\n",
               (unsigned long long)soak_after_end(report));
    print_changes(run->result, report);
    print_tls(run, report);
    print_answers(run->result);
    print_application(run);
    print_wills(&report->counts);
    print_errors(run, report);
    print_local(report);
    print_limits(&report->limits);
    print_links(report);
    print_rate(run, report);
    if (counts->completed)
        printf("Requests/sec:    %.2f\n", soak_per_s(timed.completed, soak_active_ns(report)));
    if (report->login.count)
        printf("Logins/sec:      %.2f\n", soak_per_s(report->login.count, soak_active_ns(report)));
    printf("Connections/sec: %.2f\n", soak_per_s(timed.established, soak_active_ns(report)));
    printf("Throughput:      %.2f Mbit/s up, %.2f Mbit/s down\n",
           duration > 0 ? (double)timed.bytes_sent * 8 / 1e6 / duration : 0,
           duration > 0 ? (double)timed.bytes_received * 8 / 1e6 / duration : 0);
    printf("CPU of peer:     %.2f s user, %.2f s system", report->cpu_user_s, report->cpu_sys_s);
    if (report->cpu_spin_s >= 0.01)
        printf(" (%.2f s of it looking for answers instead of sleeping)", report->cpu_spin_s);
    printf("; %s resident\n", format_bytes(report->rss_bytes, rss));
    print_manners(run);
    objectives_print(&run->options->objectives, run->result);
    if (*run->broke && !run->steps)
        printf("Ended before its time: %s\n", run->broke);
    print_search(run);
}

int report_soak(struct soak_run *run, const struct peer_soak_report *report, int status)
{
    if (run->options->soak.warmup_ns || report->warmed)
        say("%llu requests of the warm-up are in no figure", (unsigned long long)report->warmed);
    if (run->options->json_stream || run->options->common.json)
        return report_as_json(run, report, status);
    print_text(run, report);
    return flush_output(status);
}
