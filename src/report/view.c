/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A result, read for the page. Intervals that are too many for a plot are joined, and the
 * percentiles of what they are joined to are those of all samples: their histograms are added.
 */
#include "report/view.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS = sizeof(struct peer_soak_counts) / sizeof(uint64_t) };

static void add_counts(struct peer_soak_counts *into, const struct peer_soak_counts *from)
{
    uint64_t *to = (uint64_t *)into;
    const uint64_t *add = (const uint64_t *)from;

    for (size_t i = 0; i < COUNTERS; i++)
        to[i] += add[i];
}

/* ---- intervals ---- */

/* Each that is asked for costs the sum of its histogram: few are. */
static size_t count_intervals(const struct peer_result *result)
{
    struct peer_soak_interval interval;
    size_t low = 0, high = 1;

    while (peer_result_get_interval(result, high - 1, &interval)) {
        low = high;
        high *= 2;
    }
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (peer_result_get_interval(result, middle - 1, &interval))
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void close_point(struct point *point, struct peer_histogram *histogram)
{
    struct peer_latency latency;

    peer_histogram_get_summary(histogram, &latency);
    const bool any = latency.count > 0;
    point->p50_us = any ? latency.p50 : NAN;
    point->p90_us = any ? latency.p90 : NAN;
    point->p99_us = any ? latency.p99 : NAN;
    point->max_us = any ? latency.max : NAN;
    peer_histogram_clear(histogram);
}

static void join_watch(struct point *point, const struct peer_soak_interval *interval)
{
    const struct peer_watch_sample before = point->watch;

    if (!interval->watched)
        return;
    point->watched = true;
    point->watch = interval->watch;
    point->watch.cpu_ns += before.cpu_ns;
    point->watch.restarts += before.restarts;
}

static void join_interval(struct point *point, const struct peer_soak_interval *interval,
                          bool first)
{
    if (first)
        *point = (struct point){.start_s = (double)interval->start_ns / 1e9,
                                .after_end = interval->after_end};
    point->length_s = (double)(interval->start_ns + interval->length_ns) / 1e9 - point->start_s;
    point->open = interval->open;
    join_watch(point, interval);
    add_counts(&point->counts, &interval->counts);
}

static int read_points(struct view *view, struct peer_histogram *histogram)
{
    struct peer_soak_interval interval;
    struct point *point = view->points;
    size_t joined = 0;

    for (size_t i = 0; peer_result_get_interval(view->result, i, &interval); i++) {
        if (joined == view->per_point || (joined && interval.after_end)) {
            close_point(point++, histogram);
            joined = 0;
        }
        join_interval(point, &interval, joined++ == 0);
        if (peer_result_get_interval_histogram(view->result, i, histogram) == -ENOMEM)
            return -ENOMEM;
    }
    if (joined)
        close_point(point++, histogram);
    view->point_count = (size_t)(point - view->points);
    for (size_t i = 0; i < view->point_count; i++)
        view->drawn += !view->points[i].after_end && view->points[i].length_s > 0;
    return 0;
}

static int init_points(struct view *view, size_t points_most)
{
    view->intervals = count_intervals(view->result);
    view->per_point = view->intervals ? (view->intervals + points_most - 1) / points_most : 1;
    view->points = calloc(view->intervals / view->per_point + 2, sizeof(*view->points));
    struct peer_histogram *histogram = peer_histogram_new();
    int status = view->points && histogram ? read_points(view, histogram) : -ENOMEM;
    peer_histogram_free(histogram);
    return status;
}

/* ---- the whole ---- */

int view_init(struct view *view, const struct peer_result *result, size_t points_most)
{
    struct peer_result_part part;

    memset(view, 0, sizeof(*view));
    view->result = result;
    view->part = (struct peer_result_part){
        .version = "", .host = "", .protocol = "", .target = "", .peers = ""};
    peer_result_get_report(result, &view->report);
    peer_result_get_part(result, 0, &view->part);
    for (; peer_result_get_part(result, view->parts, &part); view->parts++) {
        view->flows += part.flows;
        view->peers += part.peer_count;
    }
    for (size_t i = 0; i < HISTOGRAMS; i++) {
        view->histograms[i] = peer_histogram_new();
        if (!view->histograms[i] ||
            peer_result_get_histogram(result, (enum peer_soak_histogram)i, view->histograms[i]) < 0)
            return -ENOMEM;
    }
    return init_points(view, points_most);
}

void view_name(struct view *view, const char *name, size_t number)
{
    snprintf(view->number, sizeof(view->number), "%zu", number);
    view->name = name ? name : view->number;
}

void view_done(struct view *view)
{
    for (size_t i = 0; i < HISTOGRAMS; i++)
        peer_histogram_free(view->histograms[i]);
    free(view->points);
}

double view_rate(const struct view *view, uint64_t count)
{
    const struct peer_soak_report *report = &view->report;

    if (report->duration_ns <= report->paused_ns)
        return NAN;
    return (double)count * 1e9 / (double)(report->duration_ns - report->paused_ns);
}

/* ---- errors ---- */

#define KIND(name, member, words)                                                                  \
    {                                                                                              \
        words, "errors." name, offsetof(struct peer_soak_counts, member)                           \
    }
const struct error_kind error_kinds[PEER_SOAK_ERROR_KINDS] = {
    [PEER_SOAK_REFUSED] = KIND("refused", refused, "refused"),
    [PEER_SOAK_RESET] = KIND("reset", reset, "reset"),
    [PEER_SOAK_TIMEOUT] = KIND("timeout", timeout, "timeout"),
    [PEER_SOAK_BAD_ANSWER] = KIND("bad_answer", bad_answer, "bad answer"),
    [PEER_SOAK_CLOSED_EARLY] = KIND("closed_early", closed_early, "closed early"),
    [PEER_SOAK_STATUS] = KIND("status", unexpected_status, "unexpected status"),
    [PEER_SOAK_CLOSED_IDLE] = KIND("closed_idle", closed_idle, "closed while idle"),
    [PEER_SOAK_LOGIN] = KIND("login", login, "login refused"),
    [PEER_SOAK_FULL] = KIND("full", full, "application is full"),
    [PEER_SOAK_TLS_PROTOCOL] = KIND("tls_protocol", tls_protocol, "error of TLS"),
    [PEER_SOAK_TLS_CERTIFICATE] = KIND("tls_certificate", tls_certificate, "certificate refused"),
    [PEER_SOAK_TLS_CLOSED] = KIND("tls_closed", tls_closed, "closed in TLS handshake"),
};

uint64_t error_count(const struct peer_soak_counts *counts, size_t kind)
{
    uint64_t count;

    memcpy(&count, (const char *)counts + error_kinds[kind].at, sizeof(count));
    return count;
}

/* ---- figures ---- */

static double reached(const struct view *view)
{
    return view_rate(view, view->report.in_time.completed + view->report.carried);
}

static double asked(const struct view *view)
{
    return view->report.asked_rate > 0 ? view->report.asked_rate : NAN;
}

static double behind(const struct view *view)
{
    return view->report.asked_rate > 0 ? (double)view->report.behind : NAN;
}

static double completed(const struct view *view)
{
    return (double)view->report.counts.completed;
}

static double errors(const struct view *view)
{
    return (double)peer_soak_errors(&view->report.counts);
}

static double latency(const struct peer_latency *latency, double value)
{
    return latency->count ? value : NAN;
}

#define LATENCY(name, member, value)                                                               \
    static double name(const struct view *view)                                                    \
    {                                                                                              \
        return latency(&view->report.member, view->report.member.value);                           \
    }
LATENCY(request_p50, request, p50)
LATENCY(request_p90, request, p90)
LATENCY(request_p99, request, p99)
LATENCY(request_p999, request, p999)
LATENCY(request_max, request, max)
LATENCY(handshake_p99, handshake, p99)

static double established(const struct view *view)
{
    return (double)view->report.counts.established;
}

static double connect_rate(const struct view *view)
{
    return view_rate(view, view->report.in_time.established);
}

static double open_most(const struct view *view)
{
    return (double)view->report.open_most;
}

static double bytes_sent(const struct view *view)
{
    return (double)view->report.counts.bytes_sent;
}

static double bytes_received(const struct view *view)
{
    return (double)view->report.counts.bytes_received;
}

static double duration(const struct view *view)
{
    return (double)view->report.duration_ns / 1e9;
}

static double paused(const struct view *view)
{
    return view->report.paused_ns ? (double)view->report.paused_ns / 1e9 : NAN;
}

static double warmed(const struct view *view)
{
    return view->report.warmed ? (double)view->report.warmed : NAN;
}

const struct metric metrics[] = {
    {"Requests a second", "requests.per_s", UNIT_PER_S, 1, true, reached},
    {"Asked for a second", "rate.asked", UNIT_PER_S, 0, false, asked},
    {"Requests not begun in time", "rate.behind", UNIT_COUNT, -1, false, behind},
    {"Requests answered", "requests.completed", UNIT_COUNT, 1, true, completed},
    {"Errors", "errors.total", UNIT_COUNT, -1, true, errors},
    {"Latency, median", "latency_us.request.p50", UNIT_US, -1, true, request_p50},
    {"Latency, 90 %", "latency_us.request.p90", UNIT_US, -1, false, request_p90},
    {"Latency, 99 %", "latency_us.request.p99", UNIT_US, -1, true, request_p99},
    {"Latency, 99.9 %", "latency_us.request.p999", UNIT_US, -1, false, request_p999},
    {"Latency, longest", "latency_us.request.max", UNIT_US, -1, true, request_max},
    {"Handshake, 99 %", "latency_us.handshake.p99", UNIT_US, -1, false, handshake_p99},
    {"Connections established", "connections.established", UNIT_COUNT, 0, true, established},
    {"Connections a second", "connections.per_s", UNIT_PER_S, 0, false, connect_rate},
    {"Connections at once, most", "open_most", UNIT_COUNT, 0, true, open_most},
    {"Sent", "bytes.sent", UNIT_BYTES, 0, false, bytes_sent},
    {"Received", "bytes.received", UNIT_BYTES, 0, false, bytes_received},
    {"Measured time", "duration_s", UNIT_S, 0, false, duration},
    {"Paused, in no rate", NULL, UNIT_S, 0, false, paused},
    {"Requests of the warm-up, in no figure", "warmup.completed", UNIT_COUNT, 0, false, warmed},
};
const size_t metric_count = sizeof(metrics) / sizeof(*metrics);
