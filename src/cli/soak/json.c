/* SPDX-License-Identifier: BSD-3-Clause */
/* What a soak found, as JSON. */
#include "words.h"
#include "cli/workers.h"

#include <stdio.h>

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
            json_object_set_new(statuses, soak_status_classes[i],
                                json_integer(integer(counts->statuses[i])));
    }
    json_object_set_new(
        document, "connections",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "opened", integer(counts->opened),
                  "established", integer(counts->established), "refused", integer(counts->refused),
                  "reset", integer(counts->reset), "timeout", integer(counts->timeout), "closed",
                  integer(counts->closed), "http2", integer(counts->http2), "per_s",
                  soak_per_s(timed->established, duration_ns)));
    json_object_set_new(document, "requests",
                        json_pack("{s:I, s:I, s:I, s:f, s:o}", "sent", integer(counts->requests),
                                  "completed", integer(counts->completed), "asked_again",
                                  integer(counts->asked_again), "per_s",
                                  soak_per_s(timed->completed, duration_ns), "status", statuses));
    json_object_set_new(
        document, "bytes",
        json_pack("{s:I, s:I, s:f}", "sent", integer(counts->bytes_sent), "received",
                  integer(counts->bytes_received), "per_s",
                  soak_per_s(timed->bytes_sent + timed->bytes_received, duration_ns)));
    if (counts->tls)
        json_object_set_new(document, "tls",
                            json_pack("{s:I, s:I, s:f}", "handshakes", integer(counts->tls),
                                      "resumed", integer(counts->tls_resumed), "per_s",
                                      soak_per_s(timed->tls, duration_ns)));
    if (counts->duplicates || counts->late || counts->truncated)
        json_object_set_new(document, "datagrams",
                            json_pack("{s:I, s:I, s:I}", "duplicates", integer(counts->duplicates),
                                      "late", integer(counts->late), "truncated",
                                      integer(counts->truncated)));
    json_t *errors = json_pack("{s:I}", "total", integer(peer_soak_errors(counts)));
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++)
        json_object_set_new(errors, soak_error_kinds[i].name,
                            json_integer(integer(soak_error_count(counts, i))));
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
    if (interval->watched)
        json_object_set_new(entry, "application", json_sample(&interval->watch));
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
    json_object_set_new(
        entry, "latency_us",
        json_latencies(&manner->handshake, &manner->tls, &manner->first_byte, &manner->request));
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
    struct peer_soak_counts timed = soak_timed_counts(report);
    json_t *codes = json_object();
    char name[8];

    json_add_counts(document, &report->counts, &timed, soak_active_ns(report));
    json_t *requests = json_object_get(document, "requests");
    json_object_set_new(requests, "after_end", json_integer(integer(soak_after_end(report))));
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
            json_object_set_new(firsts, soak_error_kinds[i].name,
                                json_string(report->first_errors[i]));
    }
    if (report->first_error)
        json_object_set_new(document, "first_error", json_string(report->first_error));
    json_object_set_new(document, "first_errors", firsts);
    if (soak_trace_advice(run, report, trace))
        json_object_set_new(document, "trace", json_string(trace));
}

static void json_add_latencies(json_t *document, const struct peer_soak_report *report)
{
    json_t *latencies =
        json_latencies(&report->handshake, &report->tls, &report->first_byte, &report->request);

    json_object_set_new(latencies, "login", json_latency(&report->login));
    json_object_set_new(document, "latency_us", latencies);
    if (report->login.count)
        json_object_set_new(document, "logins",
                            json_pack("{s:I, s:f}", "completed", integer(report->login.count),
                                      "per_s",
                                      soak_per_s(report->login.count, soak_active_ns(report))));
    if (report->counts.pings) {
        json_object_set_new(latencies, "ping", json_latency(&report->ping));
        json_object_set_new(document, "pings",
                            json_pack("{s:I, s:I}", "sent", integer(report->counts.pings),
                                      "answered", integer(report->ping.count)));
    }
    if (report->counts.wills_due) {
        json_object_set_new(latencies, "will", json_latency(&report->will));
        json_object_set_new(document, "wills",
                            json_pack("{s:I, s:I}", "due", integer(report->counts.wills_due),
                                      "came", integer(report->counts.wills)));
    }
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

static void json_add_verdicts(json_t *document, const struct soak_run *run)
{
    if (run->options->objectives.count)
        json_object_set_new(document, "slo",
                            objectives_json(&run->options->objectives, run->result));
    if (*run->broke && !run->steps)
        json_object_set_new(document, "stopped_at_slo", json_string(run->broke));
    if (run->steps)
        json_object_set_new(document, "rate_search", json_search(run));
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
                                      "reached", soak_reached_rate(report), "behind",
                                      integer(report->behind), "limited_by",
                                      soak_limited_by(run, report)));
    json_add_shard(document, run->result);
    json_add_lost(document, run->result);
    json_object_set_new(document, "corrected", json_boolean(report->corrected));
    json_add_latencies(document, report);
    json_add_tls(document, run, report);
    json_add_tcp(document, report);
    json_object_set_new(document, "local", json_local(&report->local));
    json_add_links(document, report);
    json_object_set_new(document, "limits", json_limits(&report->limits));
    if (has_manners(run->result))
        json_add_manners(document, run, soak_active_ns(report));
    json_object_set_new(document, "duration_s", json_real((double)report->duration_ns / 1e9));
    json_add_changes(document, run->result, report);
    json_add_application(document, run->result);
    json_object_set_new(document, "open_most", json_integer(integer(report->open_most)));
    json_object_set_new(document, "cpu_s",
                        json_pack("{s:f, s:f, s:f, s:f, s:f}", "user", report->cpu_user_s, "sys",
                                  report->cpu_sys_s, "spin", report->cpu_spin_s, "waited",
                                  report->cpu_waited_s, "throttled", report->cpu_throttled_s));
    if (run->net)
        json_add_workers(document, run->net, &run->options->common);
    json_object_set_new(document, "rss_bytes", json_integer(integer(report->rss_bytes)));
    if (run->options->soak.warmup_ns || report->warmed)
        json_object_set_new(document, "warmup",
                            json_pack("{s:I}", "completed", integer(report->warmed)));
    json_add_verdicts(document, run);
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

void report_changes(struct soak_run *run)
{
    struct peer_soak_change change;

    while (run->options->json_stream &&
           peer_soak_get_change(run->soak, run->changes_told, &change) > 0) {
        run->changes_told++;
        if (!printer_takes_line(run->printer))
            continue;
        json_t *entry = json_change(&change, run->options->common.shards > 1);
        json_object_set_new(entry, "type", json_string("change"));
        print_line(entry);
    }
}

static json_t *json_series(const struct peer_result *result)
{
    struct peer_soak_interval interval;
    json_t *series = json_array();

    for (size_t i = 0; peer_result_get_interval(result, i, &interval); i++)
        json_array_append_new(series, json_interval(&interval));
    return series;
}

/* How many measured intervals one of the series is of, where there were too many to keep. */
static void json_add_thinned(json_t *document, const struct peer_result *result)
{
    struct peer_soak_interval interval;
    struct peer_result_part part;

    if (!peer_result_get_interval(result, 0, &interval) || !peer_result_get_part(result, 0, &part) ||
        !part.interval_ns)
        return;
    const uint64_t times = (interval.length_ns + part.interval_ns / 2) / part.interval_ns;
    if (times > 1)
        json_object_set_new(document, "intervals_thinned", json_integer(integer(times)));
}

int report_as_json(struct soak_run *run, const struct peer_soak_report *report, int status)
{
    json_t *document = json_soak(run, report);

    if (!run->options->json_stream) {
        json_object_set_new(document, "intervals", json_series(run->result));
        json_add_thinned(document, run->result);
        return json_print(document, status);
    }
    json_object_set_new(document, "type", json_string("report"));
    json_object_set_new(document, "intervals_left_out",
                        json_integer(integer(printer_left_out(run->printer))));
    print_line(document);
    return flush_output(status);
}
