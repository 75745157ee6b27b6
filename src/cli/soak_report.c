/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a soak found, as text like wrk's and as JSON. Losses in the local kernel stand beside the
 * result, since most "network" trouble turns out to be those.
 */
#include "soak.h"

#include <stdio.h>
#include <string.h>

static const char *const status_classes[PEER_STATUS_CLASSES] = {"other", "1xx", "2xx",
                                                                "3xx",   "4xx", "5xx"};

/* By enum peer_soak_error: in JSON, and in words. */
#define COUNTER(member) offsetof(struct peer_soak_counts, member)
static const struct {
    const char *name, *text;
    size_t at;
} error_kinds[PEER_SOAK_ERROR_KINDS] = {
    [PEER_SOAK_REFUSED] = {"refused", "refused", COUNTER(refused)},
    [PEER_SOAK_RESET] = {"reset", "reset", COUNTER(reset)},
    [PEER_SOAK_TIMEOUT] = {"timeout", "timeout", COUNTER(timeout)},
    [PEER_SOAK_BAD_ANSWER] = {"bad_answer", "bad answer", COUNTER(bad_answer)},
    [PEER_SOAK_CLOSED_EARLY] = {"closed_early", "closed early", COUNTER(closed_early)},
    [PEER_SOAK_STATUS] = {"status", "of unexpected status", COUNTER(unexpected_status)},
    [PEER_SOAK_CLOSED_IDLE] = {"closed_idle", "closed while idle", COUNTER(closed_idle)},
    [PEER_SOAK_LOGIN] = {"login", "login refused", COUNTER(login)},
    [PEER_SOAK_FULL] = {"full", "refused since the application is full", COUNTER(full)},
    [PEER_SOAK_TLS_PROTOCOL] = {"tls_protocol", "errors of TLS", COUNTER(tls_protocol)},
    [PEER_SOAK_TLS_CERTIFICATE] = {"tls_certificate", "certificates refused",
                                   COUNTER(tls_certificate)},
    [PEER_SOAK_TLS_CLOSED] = {"tls_closed", "closed in the handshake of TLS", COUNTER(tls_closed)},
};

static uint64_t error_count(const struct peer_soak_counts *counts, size_t kind)
{
    return *(const uint64_t *)(const void *)((const char *)counts + error_kinds[kind].at);
}

static double per_s(uint64_t count, uint64_t duration_ns)
{
    return duration_ns ? (double)count / ((double)duration_ns / 1e9) : 0;
}

/* What rates are made of: all that was done in the measured time. */
static struct peer_soak_counts timed_counts(const struct peer_soak_report *report)
{
    struct peer_soak_counts timed = report->in_time;

    timed.completed += report->carried;
    return timed;
}

static double reached_rate(const struct peer_soak_report *report)
{
    return per_s(report->in_time.completed + report->carried, report->duration_ns);
}

/* Answered, but only when the measured time was over. */
static uint64_t after_end(const struct peer_soak_report *report)
{
    return report->counts.completed - report->in_time.completed;
}

/* The command that tells why nobody was reached; NULL when somebody was, or when the application
   was peer's own and is gone with it. */
static const char *trace_advice(const struct soak_run *run, const struct peer_soak_report *report,
                                char buf[TRACE_COMMAND])
{
    struct common_options common = run->options->common;

    if (!run->net)
        return NULL;
    if (!report->first_errors[PEER_SOAK_TIMEOUT] && !report->first_errors[PEER_SOAK_REFUSED])
        return NULL;
    if (common.isolate && !common.program)
        return NULL;
    common.udp = run->options->soak.udp;
    return trace_command(&common, &run->options->target, buf);
}

/* Without what it spent for want of answers. */
static double cpu_needed(const struct peer_soak_report *report)
{
    return report->cpu_user_s + report->cpu_sys_s - report->cpu_spin_s;
}

enum { WAITED_PERCENT = 25, BUSY_PERCENT = 95 };

/* Why the rate was not reached, or NULL when it was. Who waits for a processor for a quarter of the
   time asks and reads too late, however little it uses. */
static const char *limited_by(const struct peer_soak_report *report)
{
    double percent = (double)report->duration_ns / 1e11;

    if (report->asked_rate <= 0 || report->behind * 100 <= report->counts.requests)
        return NULL;
    if (report->cpu_throttled_s > WAITED_PERCENT * percent)
        return "quota";
    if (report->cpu_waited_s + report->cpu_throttled_s > WAITED_PERCENT * percent)
        return "processors";
    if (report->local.listen_overflows)
        return "accept queue";
    return cpu_needed(report) > BUSY_PERCENT * percent ? "peer" : "application";
}

/* ---- JSON ---- */

static json_int_t integer(uint64_t value)
{
    return (json_int_t)value;
}

static json_t *json_latency(const struct peer_latency *latency)
{
    if (!latency->count)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "min", latency->min, "mean",
                     latency->mean, "p50", latency->p50, "p90", latency->p90, "p99", latency->p99,
                     "p999", latency->p999, "max", latency->max);
}

static json_t *json_latencies(const struct peer_latency *handshake, const struct peer_latency *tls,
                              const struct peer_latency *first_byte,
                              const struct peer_latency *request)
{
    json_t *latencies =
        json_pack("{s:o, s:o, s:o}", "handshake", json_latency(handshake), "first_byte",
                  json_latency(first_byte), "request", json_latency(request));

    if (tls->count)
        json_object_set_new(latencies, "tls", json_latency(tls));
    return latencies;
}

/* `timed`: what was done within `duration_ns`. */
static void json_add_counts(json_t *document, const struct peer_soak_counts *counts,
                            const struct peer_soak_counts *timed, uint64_t duration_ns)
{
    json_t *statuses = json_object();

    for (size_t i = 0; i < PEER_STATUS_CLASSES; i++) {
        if (counts->statuses[i])
            json_object_set_new(statuses, status_classes[i],
                                json_integer(integer(counts->statuses[i])));
    }
    json_object_set_new(
        document, "connections",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "opened", integer(counts->opened),
                  "established", integer(counts->established), "refused", integer(counts->refused),
                  "reset", integer(counts->reset), "timeout", integer(counts->timeout), "closed",
                  integer(counts->closed), "http2", integer(counts->http2), "per_s",
                  per_s(timed->established, duration_ns)));
    json_object_set_new(document, "requests",
                        json_pack("{s:I, s:I, s:I, s:f, s:o}", "sent", integer(counts->requests),
                                  "completed", integer(counts->completed), "asked_again",
                                  integer(counts->asked_again), "per_s",
                                  per_s(timed->completed, duration_ns), "status", statuses));
    json_object_set_new(document, "bytes",
                        json_pack("{s:I, s:I, s:f}", "sent", integer(counts->bytes_sent),
                                  "received", integer(counts->bytes_received), "per_s",
                                  per_s(timed->bytes_sent + timed->bytes_received, duration_ns)));
    if (counts->tls)
        json_object_set_new(document, "tls",
                            json_pack("{s:I, s:I, s:f}", "handshakes", integer(counts->tls),
                                      "resumed", integer(counts->tls_resumed), "per_s",
                                      per_s(timed->tls, duration_ns)));
    if (counts->duplicates || counts->late || counts->truncated)
        json_object_set_new(document, "datagrams",
                            json_pack("{s:I, s:I, s:I}", "duplicates", integer(counts->duplicates),
                                      "late", integer(counts->late), "truncated",
                                      integer(counts->truncated)));
    json_t *errors = json_pack("{s:I}", "total", integer(peer_soak_errors(counts)));
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++)
        json_object_set_new(errors, error_kinds[i].name,
                            json_integer(integer(error_count(counts, i))));
    json_object_set_new(document, "errors", errors);
}

static json_t *json_interval(const struct peer_soak_interval *interval)
{
    json_t *entry =
        json_pack("{s:f, s:f, s:I}", "start_s", (double)interval->start_ns / 1e9, "duration_s",
                  (double)interval->length_ns / 1e9, "open", integer(interval->open));

    json_add_counts(entry, &interval->counts, &interval->counts, interval->length_ns);
    if (interval->after_end)
        json_object_set_new(entry, "after_end", json_true());
    json_object_set_new(
        entry, "latency_us",
        json_pack("{s:{s:f, s:f}}", "request", "p50", interval->p50_us, "p99", interval->p99_us));
    return entry;
}

static json_t *json_local(const struct peer_soak_local *local)
{
    json_t *entry = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "listen_overflows",
        integer(local->listen_overflows), "listen_drops", integer(local->listen_drops),
        "listener_drops", integer(local->listener_drops), "udp_receive_errors",
        integer(local->udp_receive_errors), "retransmits", integer(local->retransmits),
        "device_drops", integer(local->device_drops), "syn_cookies", integer(local->syn_cookies),
        "request_queue_drops", integer(local->request_queue_drops), "overflow_aborts",
        integer(local->overflow_aborts));

    if (local->conntrack_max)
        json_object_set_new(entry, "conntrack",
                            json_pack("{s:I, s:I}", "count", integer(local->conntrack_count), "max",
                                      integer(local->conntrack_max)));
    return entry;
}

static json_t *json_manner(const struct peer_soak_manner *manner, uint64_t duration_ns)
{
    json_t *entry =
        json_pack("{s:s, s:s, s:f, s:I, s:I}", "name", manner->name, "spec", manner->spec, "share",
                  manner->share, "flows", integer(manner->flows), "begun", integer(manner->begun));

    json_add_counts(entry, &manner->counts, &manner->counts, duration_ns);
    json_object_set_new(entry, "ended",
                        json_pack("{s:I, s:I, s:I}", "closed", integer(manner->closed), "reset",
                                  integer(manner->reset), "given_up", integer(manner->given_up)));
    json_object_set_new(entry, "latency_us",
                        json_latencies(&manner->handshake, &manner->tls, &manner->first_byte,
                                       &manner->request));
    return entry;
}

/* What stands above is the healthy flows' alone. */
static void json_add_manners(json_t *document, const struct soak_run *run, uint64_t duration_ns)
{
    struct peer_soak_manner manner;
    json_t *manners = json_array();

    for (size_t i = 0; peer_result_get_manner(run->result, i, &manner); i++)
        json_array_append_new(manners, json_manner(&manner, duration_ns));
    json_object_set_new(document, "manners", manners);
}

/* Requests are also told by whether they were answered in the measured time, and by status. */
static void json_add_requests(json_t *document, const struct soak_run *run,
                              const struct peer_soak_report *report)
{
    struct peer_soak_counts timed = timed_counts(report);
    json_t *codes = json_object();
    char name[8];

    json_add_counts(document, &report->counts, &timed, report->duration_ns);
    json_t *requests = json_object_get(document, "requests");
    json_object_set_new(requests, "after_end", json_integer(integer(after_end(report))));
    for (unsigned status = 1; status < PEER_STATUS_CODES; status++) {
        uint64_t count = peer_result_get_status(run->result, status);
        snprintf(name, sizeof(name), "%u", status);
        if (count)
            json_object_set_new(codes, name, json_integer(integer(count)));
    }
    json_object_set_new(requests, "status_codes", codes);
    json_object_set_new(requests, "redirects", json_integer(integer(report->counts.redirects)));
    if (run->options->targets_file)
        json_object_set_new(document, "targets", json_targets(run->result));
    json_add_answers(requests, run->result);
}

static void json_add_errors(json_t *document, const struct soak_run *run,
                            const struct peer_soak_report *report)
{
    json_t *firsts = json_object();
    char trace[TRACE_COMMAND];

    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        if (report->first_errors[i])
            json_object_set_new(firsts, error_kinds[i].name, json_string(report->first_errors[i]));
    }
    if (report->first_error)
        json_object_set_new(document, "first_error", json_string(report->first_error));
    json_object_set_new(document, "first_errors", firsts);
    if (trace_advice(run, report, trace))
        json_object_set_new(document, "trace", json_string(trace));
}

static void json_add_latencies(json_t *document, const struct peer_soak_report *report)
{
    json_t *latencies = json_latencies(&report->handshake, &report->tls, &report->first_byte,
                                       &report->request);

    json_object_set_new(latencies, "login", json_latency(&report->login));
    json_object_set_new(document, "latency_us", latencies);
    if (report->login.count)
        json_object_set_new(document, "logins",
                            json_pack("{s:I, s:f}", "completed", integer(report->login.count),
                                      "per_s", per_s(report->login.count, report->duration_ns)));
}

static bool has_manners(const struct peer_result *result)
{
    struct peer_soak_manner manner;

    return peer_result_get_manner(result, 0, &manner) > 0;
}

static void json_add_tcp(json_t *document, const struct peer_soak_report *report)
{
    json_object_set_new(
        document, "tcp",
        json_pack("{s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "retransmits", integer(report->retransmits),
                  "syn_retransmits", integer(report->syn_retransmits), "syn_repeated",
                  integer(report->syn_repeated), "ecn", "connections",
                  integer(report->ecn_connections), "marked", integer(report->ecn_marked),
                  "reduced", integer(report->ecn_reduced)));
}

static json_t *json_soak(const struct soak_run *run, const struct peer_soak_report *report)
{
    json_t *document =
        run->net ? json_report("soak", run->net, &run->options->target) : json_merged(run->result);
    const unsigned proxy = run->options->common.proxy_protocol;

    if (proxy)
        json_object_set_new(document, "proxy_protocol", json_sprintf("v%u", proxy));

    json_add_requests(document, run, report);
    if (report->asked_rate > 0)
        json_object_set_new(document, "rate",
                            json_pack("{s:f, s:f, s:I, s:s?}", "asked", report->asked_rate,
                                      "reached", reached_rate(report), "behind",
                                      integer(report->behind), "limited_by", limited_by(report)));
    json_add_shard(document, run->result);
    json_object_set_new(document, "corrected", json_boolean(report->corrected));
    json_add_latencies(document, report);
    json_add_tls(document, run, report);
    json_add_tcp(document, report);
    json_object_set_new(document, "local", json_local(&report->local));
    json_add_links(document, report);
    json_object_set_new(document, "limits", json_limits(&report->limits));
    if (has_manners(run->result))
        json_add_manners(document, run, report->duration_ns);
    json_object_set_new(document, "duration_s", json_real((double)report->duration_ns / 1e9));
    json_object_set_new(document, "open_most", json_integer(integer(report->open_most)));
    json_object_set_new(document, "cpu_s",
                        json_pack("{s:f, s:f, s:f, s:f, s:f}", "user", report->cpu_user_s, "sys",
                                  report->cpu_sys_s, "spin", report->cpu_spin_s, "waited",
                                  report->cpu_waited_s, "throttled", report->cpu_throttled_s));
    json_object_set_new(document, "rss_bytes", json_integer(integer(report->rss_bytes)));
    if (run->options->soak.warmup_ns || report->warmed)
        json_object_set_new(document, "warmup",
                            json_pack("{s:I}", "completed", integer(report->warmed)));
    if (run->options->objectives.count)
        json_object_set_new(document, "slo",
                            objectives_json(&run->options->objectives, run->result));
    if (run->steps)
        json_object_set_new(document, "rate_search", json_search(run));
    json_add_errors(document, run, report);
    return document;
}

static void print_line(json_t *entry)
{
    json_dumpf(entry, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(entry);
}

void report_interval(struct soak_run *run, const struct peer_soak_interval *interval)
{
    if (!run->options->json_stream || !printer_takes_line(run->printer))
        return;
    json_t *entry = json_interval(interval);
    json_object_set_new(entry, "type", json_string("interval"));
    print_line(entry);
}

static json_t *json_series(const struct peer_result *result)
{
    struct peer_soak_interval interval;
    json_t *series = json_array();

    for (size_t i = 0; peer_result_get_interval(result, i, &interval); i++)
        json_array_append_new(series, json_interval(&interval));
    return series;
}

/* ---- text ---- */

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
        if (!error_count(counts, i))
            continue;
        printf("%s%llu %s", any ? ", " : "  errors: ", (unsigned long long)error_count(counts, i),
               error_kinds[i].text);
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
            printf("  the first %s: %s\n", error_kinds[i].text, report->first_errors[i]);
    }
    if (trace_advice(run, report, trace))
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

static void print_rate(const struct peer_soak_report *report)
{
    static const char *const texts[][2] = {
        {"quota", "the processor time that peer's control group may use"},
        {"processors", "this machine's processors: peer was ready to run, and others had them"},
        {"accept queue", "the application's accept queue"},
        {"peer", "this process's CPU time"},
        {"application", "answers: more flows (-c), or a faster application"},
    };
    const char *by = limited_by(report);
    char asked[32], reached[32], waited[32];
    size_t i = 0;

    if (!by)
        return;
    while (strcmp(texts[i][0], by) != 0)
        i++;
    printf("  asked %s/s, reached %s/s: limited by %s",
           format_rate(report->asked_rate, true, asked),
           format_rate(reached_rate(report), false, reached), texts[i][1]);
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
    const struct peer_soak_counts timed = timed_counts(report);
    char time[32], sent[32], received[32], rss[32];
    double duration = (double)report->duration_ns / 1e9;

    print_head(run);
    print_latencies(report, run->options->latency);
    printf("  %llu requests, %llu connections in %s, %s sent, %s received\n",
           (unsigned long long)counts->completed, (unsigned long long)counts->established,
           format_time(report->duration_ns, time), format_bytes(counts->bytes_sent, sent),
           format_bytes(counts->bytes_received, received));
    if (after_end(report) * 100 > counts->completed)
        printf("  %llu of the requests were answered after that time, and are in no rate\n",
               (unsigned long long)after_end(report));
    print_tls(run, report);
    print_answers(run->result);
    print_errors(run, report);
    print_local(report);
    print_limits(&report->limits);
    print_links(report);
    print_rate(report);
    if (counts->completed)
        printf("Requests/sec:    %.2f\n", per_s(timed.completed, report->duration_ns));
    if (report->login.count)
        printf("Logins/sec:      %.2f\n", per_s(report->login.count, report->duration_ns));
    printf("Connections/sec: %.2f\n", per_s(timed.established, report->duration_ns));
    printf("Throughput:      %.2f Mbit/s up, %.2f Mbit/s down\n",
           duration > 0 ? (double)timed.bytes_sent * 8 / 1e6 / duration : 0,
           duration > 0 ? (double)timed.bytes_received * 8 / 1e6 / duration : 0);
    printf("CPU of peer:     %.2f s user, %.2f s system", report->cpu_user_s, report->cpu_sys_s);
    if (report->cpu_spin_s >= 0.01)
        printf(" (%.2f s of it looking for answers instead of sleeping)", report->cpu_spin_s);
    printf("; %s resident\n", format_bytes(report->rss_bytes, rss));
    print_manners(run);
    objectives_print(&run->options->objectives, run->result);
    print_search(run);
}

int report_soak(struct soak_run *run, const struct peer_soak_report *report, int status)
{
    if (run->options->soak.warmup_ns || report->warmed)
        say("%llu requests of the warm-up are in no figure", (unsigned long long)report->warmed);
    if (!run->options->json_stream && !run->options->common.json) {
        print_text(run, report);
        return flush_output(status);
    }
    json_t *document = json_soak(run, report);
    if (run->options->json_stream) {
        json_object_set_new(document, "type", json_string("report"));
        json_object_set_new(document, "intervals_left_out",
                            json_integer(integer(printer_left_out(run->printer))));
        print_line(document);
        return flush_output(status);
    }
    json_object_set_new(document, "intervals", json_series(run->result));
    return json_print(document, status);
}
