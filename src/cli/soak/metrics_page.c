/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The figures of a soak as OpenMetrics 1.0 or as Prometheus' own text has them: counters, gauges and
 * histograms of the healthy flows, as the report tells them. Tables say what there is.
 *
 * A family of counters is called by its name in OpenMetrics, and by the name of its samples, with
 * "_total", in the older format. Units of time are seconds.
 */
#include "metrics.h"

#include "words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct page {
    FILE *out;
    enum metrics_form form;
    const struct soak_run *run;
    struct peer_soak_state state;
    struct peer_soak_local local;
};

enum kind { COUNTER, GAUGE, HISTOGRAM, INFO };
struct family {
    enum kind kind;
    const char *name, *unit, *help; /* the unit ends the name; NULL: none */
};

static void begin_family(const struct page *page, const struct family *family)
{
    static const char *const open[] = {"counter", "gauge", "histogram", "info"};
    static const char *const older[] = {"counter", "gauge", "histogram", "gauge"};
    static const char *const behind[] = {"_total", "", "", "_info"};
    bool is_open = page->form == METRICS_OPEN;
    const char *more = is_open ? "" : behind[family->kind];

    fprintf(page->out, "# HELP %s%s %s\n", family->name, more, family->help);
    fprintf(page->out, "# TYPE %s%s %s\n", family->name, more,
            (is_open ? open : older)[family->kind]);
    if (is_open && family->unit)
        fprintf(page->out, "# UNIT %s %s\n", family->name, family->unit);
}

static void put_count(const struct page *page, const struct family *family, uint64_t count)
{
    begin_family(page, family);
    fprintf(page->out, "%s%s %" PRIu64 "\n", family->name,
            family->kind == COUNTER ? "_total" : "", count);
}

static void put_real(const struct page *page, const struct family *family, double value)
{
    begin_family(page, family);
    fprintf(page->out, "%s%s %.15g\n", family->name, family->kind == COUNTER ? "_total" : "",
            value);
}

/* A label's value is any text. */
static void put_label(const struct page *page, const char *name, const char *value, bool first)
{
    fprintf(page->out, "%s%s=\"", first ? "" : ",", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            fputc('\\', page->out);
        fputc((unsigned char)*value < 0x20 ? ' ' : *value, page->out);
    }
    fputc('"', page->out);
}

/* ---- counters and gauges ---- */

#define AT(member) offsetof(struct peer_soak_counts, member)
static const struct {
    struct family family;
    size_t at;
} counters[] = {
    {{COUNTER, "peer_soak_requests", NULL, "Requests that were begun."}, AT(requests)},
    {{COUNTER, "peer_soak_requests_completed", NULL, "Requests that were answered."},
     AT(completed)},
    {{COUNTER, "peer_soak_requests_asked_again", NULL,
      "Requests that went out once more, since their connection was closed before they were read."},
     AT(asked_again)},
    {{COUNTER, "peer_soak_connections_opened", NULL, "Connections that were asked for."},
     AT(opened)},
    {{COUNTER, "peer_soak_connections_established", NULL, "Connections that came about."},
     AT(established)},
    {{COUNTER, "peer_soak_connections_closed", NULL, "Connections that are over."}, AT(closed)},
    {{COUNTER, "peer_soak_sent_bytes", "bytes", "Payload that the peers sent."}, AT(bytes_sent)},
    {{COUNTER, "peer_soak_received_bytes", "bytes", "Payload that the peers received."},
     AT(bytes_received)},
    {{COUNTER, "peer_soak_redirects", NULL, "Redirects that were followed."}, AT(redirects)},
    {{COUNTER, "peer_soak_answers_late", NULL, "Answers that came after their time-out."},
     AT(late)},
    {{COUNTER, "peer_soak_answers_duplicate", NULL, "Answers that came twice."}, AT(duplicates)},
    {{COUNTER, "peer_soak_tls_handshakes", NULL, "Handshakes of TLS that were done."}, AT(tls)},
    {{COUNTER, "peer_soak_tls_resumed", NULL, "Handshakes of TLS that resumed a session."},
     AT(tls_resumed)},
};
#undef AT

static void put_counters(const struct page *page)
{
    const char *counts = (const char *)&page->state.counts;
    uint64_t count;

    for (size_t i = 0; i < CLI_ARRAY_SIZE(counters); i++) {
        memcpy(&count, counts + counters[i].at, sizeof(count));
        put_count(page, &counters[i].family, count);
    }
}

static void put_errors(const struct page *page)
{
    static const struct family family = {COUNTER, "peer_soak_errors", NULL,
                                         "Errors, each request or connection once, by kind."};

    begin_family(page, &family);
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++) {
        fprintf(page->out, "%s_total{", family.name);
        put_label(page, "kind", soak_error_kinds[i].name, true);
        fprintf(page->out, "} %" PRIu64 "\n", soak_error_count(&page->state.counts, i));
    }
}

static void put_statuses(const struct page *page)
{
    static const struct family family = {COUNTER, "peer_soak_responses", NULL,
                                         "Answers that have a status, by it."};
    const struct peer_soak *soak = page->run->soak;

    begin_family(page, &family);
    for (unsigned code = 0; soak && code < PEER_STATUS_CODES; code++) {
        uint64_t count = peer_soak_get_status(soak, code);
        if (!count)
            continue;
        if (code)
            fprintf(page->out, "%s_total{code=\"%u\"} %" PRIu64 "\n", family.name, code, count);
        else
            fprintf(page->out, "%s_total{code=\"other\"} %" PRIu64 "\n", family.name, count);
    }
}

static void put_local(const struct page *page)
{
    static const struct family family = {COUNTER, "peer_soak_local_events", NULL,
                                         "What the local kernel did meanwhile, by its counters."};
    static const struct family entries = {GAUGE, "peer_soak_conntrack_entries", NULL,
                                          "Connections that the local kernel tracks."};
    static const struct family limit = {GAUGE, "peer_soak_conntrack_limit", NULL,
                                        "How many it tracks at the most."};
    const struct peer_soak_local *local = &page->local;
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
        {"listen_overflows", local->listen_overflows},
        {"listen_drops", local->listen_drops},
        {"listener_drops", local->listener_drops},
        {"udp_receive_errors", local->udp_receive_errors},
        {"retransmits", local->retransmits},
        {"syn_cookies", local->syn_cookies},
        {"request_queue_drops", local->request_queue_drops},
        {"overflow_aborts", local->overflow_aborts},
        {"device_drops", local->device_drops},
    };

    begin_family(page, &family);
    for (size_t i = 0; i < CLI_ARRAY_SIZE(rows); i++)
        fprintf(page->out, "%s_total{event=\"%s\"} %" PRIu64 "\n", family.name, rows[i].name,
                rows[i].count);
    if (!local->conntrack_max)
        return;
    put_count(page, &entries, local->conntrack_count);
    put_count(page, &limit, local->conntrack_max);
}

/* ---- latencies ---- */

static const struct {
    struct family family;
    enum peer_soak_histogram which;
    bool always;
} histograms[] = {
    {{HISTOGRAM, "peer_soak_request_duration_seconds", "seconds",
      "From when a request was wanted to the end of its answer."},
     PEER_HISTOGRAM_REQUEST,
     true},
    {{HISTOGRAM, "peer_soak_first_byte_seconds", "seconds",
      "From when a request was wanted to the first byte of its answer."},
     PEER_HISTOGRAM_FIRST_BYTE,
     true},
    {{HISTOGRAM, "peer_soak_handshake_seconds", "seconds", "TCP's handshake."},
     PEER_HISTOGRAM_HANDSHAKE,
     true},
    {{HISTOGRAM, "peer_soak_tls_handshake_seconds", "seconds", "TLS' handshake."},
     PEER_HISTOGRAM_TLS,
     false},
    {{HISTOGRAM, "peer_soak_login_seconds", "seconds", "From the open connection to the login."},
     PEER_HISTOGRAM_LOGIN,
     false},
};

static void put_histogram(const struct page *page, size_t index)
{
    static const struct {
        double s;
        const char *text; /* as both formats write it */
    } bounds[] = {{0.00005, "5e-05"}, {0.0001, "0.0001"}, {0.00025, "0.00025"},
                  {0.0005, "0.0005"}, {0.001, "0.001"},   {0.0025, "0.0025"},
                  {0.005, "0.005"},   {0.01, "0.01"},     {0.025, "0.025"},
                  {0.05, "0.05"},     {0.1, "0.1"},       {0.25, "0.25"},
                  {0.5, "0.5"},       {1, "1.0"},         {2.5, "2.5"},
                  {5, "5.0"},         {10, "10.0"},       {30, "30.0"},
                  {60, "60.0"},       {INFINITY, "+Inf"}};
    struct peer_soak_bucket buckets[CLI_ARRAY_SIZE(bounds)];
    const size_t count = CLI_ARRAY_SIZE(buckets);
    const char *name = histograms[index].family.name;
    double sum_us = 0;

    for (size_t i = 0; i < count; i++)
        buckets[i] = (struct peer_soak_bucket){.most_us = bounds[i].s * 1e6};
    if (page->run->soak)
        (void)peer_soak_get_buckets(page->run->soak, histograms[index].which, buckets, count,
                                    &sum_us);
    if (!buckets[count - 1].count && !histograms[index].always)
        return;
    begin_family(page, &histograms[index].family);
    for (size_t i = 0; i < count; i++)
        fprintf(page->out, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, bounds[i].text,
                buckets[i].count);
    fprintf(page->out, "%s_sum %.9g\n", name, sum_us / 1e6);
    fprintf(page->out, "%s_count %" PRIu64 "\n", name, buckets[count - 1].count);
}

/* ---- the page ---- */

static void put_state(const struct page *page)
{
    const struct peer_soak_state *state = &page->state;
    const struct peer_soak_interval *last = &page->run->last;
    const double per_s =
        last->length_ns ? (double)last->counts.completed * 1e9 / (double)last->length_ns : 0;
    const struct {
        struct family family;
        double value;
    } rows[] = {
        {{GAUGE, "peer_soak_open_connections", NULL, "Connections that are open."},
         (double)state->open},
        {{GAUGE, "peer_soak_wanted_connections", NULL, "Connections that there are to be."},
         (double)state->flows},
        {{GAUGE, "peer_soak_wanted_rate", NULL,
          "Requests a second that the schedule wants; 0: as fast as answers come."},
         state->rate},
        {{GAUGE, "peer_soak_rate", NULL, "Requests a second that were answered, in the last "
                                         "interval."},
         per_s},
        {{GAUGE, "peer_soak_requests_behind", NULL, "Requests that are due and were not begun."},
         (double)state->behind},
        {{GAUGE, "peer_soak_paused", NULL, "1 while nothing is wanted."}, state->paused},
        {{GAUGE, "peer_soak_warming", NULL, "1 in the warm-up, whose figures are dropped."},
         state->warming},
        {{GAUGE, "peer_soak_elapsed_seconds", "seconds", "The measured time so far."},
         (double)state->elapsed_ns / 1e9},
        {{COUNTER, "peer_soak_paused_seconds", "seconds", "What of it was paused."},
         (double)state->paused_ns / 1e9},
        {{COUNTER, "peer_soak_changes", NULL, "How often something was changed."},
         (double)state->changes},
        {{COUNTER, "peer_soak_retransmitted_segments", NULL,
          "Segments that the peers sent again, without SYNs."},
         (double)state->retransmits},
        {{COUNTER, "peer_soak_retransmitted_syns", NULL, "SYNs that the peers sent again."},
         (double)state->syn_retransmits},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(rows); i++)
        put_real(page, &rows[i].family, rows[i].value);
}

static void put_info(const struct page *page)
{
    static const struct family family = {INFO, "peer_soak", NULL, "What is soaked, and by what."};
    const struct soak_options *options = page->run->options;
    char target[PEER_ENDPOINT_TEXT];

    begin_family(page, &family);
    fprintf(page->out, "%s_info{", family.name);
    put_label(page, "version", peer_version(), true);
    put_label(page, "protocol", options->soak.protocol, false);
    put_label(page, "target",
              peer_endpoint_format(&options->target.addr, options->target.port, target), false);
    fputs("} 1\n", page->out);
}

void metrics_write(FILE *out, const struct soak_run *run, enum metrics_form form)
{
    struct page page = {.out = out, .form = form, .run = run};

    if (run->soak) {
        peer_soak_get_state(run->soak, &page.state);
        peer_soak_get_local(run->soak, &page.local);
    }
    put_info(&page);
    put_counters(&page);
    put_errors(&page);
    put_statuses(&page);
    put_state(&page);
    for (size_t i = 0; i < CLI_ARRAY_SIZE(histograms); i++)
        put_histogram(&page, i);
    put_local(&page);
    if (form == METRICS_OPEN)
        fputs("# EOF\n", out);
}
