/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What became of requests and connections, as tables.
 */
#include "report/report.h"

#include <math.h>
#include <peer/manner.h>
#include <peer/steer.h>
#include <stdio.h>
#include <string.h>

/* ---- latencies ---- */

static const char *const latency_heads[] = {"Latency", "Count", "Shortest", "Mean",   "Median",
                                            "90 %",    "99 %",  "99.9 %",   "Longest"};
enum { LATENCY_HEADS = 9 };

static void latency_row(struct page *page, const char *name, const char *path,
                        const struct peer_latency *latency)
{
    const struct {
        const char *name;
        double value;
    } cells[] = {{"min", latency->min}, {"mean", latency->mean}, {"p50", latency->p50},
                 {"p90", latency->p90}, {"p99", latency->p99},   {"p999", latency->p999},
                 {"max", latency->max}};
    char place[80];

    if (!latency->count)
        return;
    row_open(page, name);
    cell_value(page, NULL, UNIT_COUNT, (double)latency->count);
    for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
        snprintf(place, sizeof(place), "latency_us.%s.%s", path, cells[i].name);
        cell_value(page, place, UNIT_US, cells[i].value);
    }
    row_close(page);
}

static void latency_rows(struct report *report, const struct view *view)
{
    const struct peer_soak_report *found = &view->report;
    const struct {
        const char *name, *path;
        const struct peer_latency *latency;
    } rows[] = {{"Request", "request", &found->request},
                {"First byte", "first_byte", &found->first_byte},
                {"Login", "login", &found->login},
                {"TLS handshake", "tls", &found->tls},
                {"TCP handshake", "handshake", &found->handshake},
                {"Will", "will", &found->will}};
    char name[LINE_NAME];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        snprintf(name, sizeof(name), report->count > 1 ? "%s: %.100s" : "%s%.0s", rows[i].name,
                 view->name);
        latency_row(&report->page, name, rows[i].path, rows[i].latency);
    }
}

static bool has_latencies(const struct view *view)
{
    return view->report.request.count || view->report.handshake.count || view->report.tls.count ||
           view->report.login.count || view->report.first_byte.count || view->report.will.count;
}

void write_latencies(struct report *report)
{
    struct page *page = &report->page;
    bool any = false;

    for (size_t i = 0; i < report->count; i++)
        any |= has_latencies(&report->views[i]);
    section_open(page, "latencies", "Latencies");
    if (!any) {
        section_say(page, "Nothing that has a latency was done.");
        section_close(page);
        return;
    }
    write_distribution(report);
    table_open(page, "Latencies of the whole run", latency_heads, LATENCY_HEADS);
    for (size_t i = 0; i < report->count; i++)
        latency_rows(report, &report->views[i]);
    table_close(page);
    section_close(page);
}

/* ---- errors ---- */

static bool any_error(const struct report *report, size_t kind)
{
    for (size_t i = 0; i < report->count; i++) {
        if (error_count(&report->views[i].report.counts, kind))
            return true;
    }
    return false;
}

static void error_row(struct report *report, size_t kind)
{
    struct page *page = &report->page;
    const char *first = "";

    row_open(page, error_kinds[kind].text);
    for (size_t i = 0; i < report->count; i++) {
        const struct peer_soak_report *found = &report->views[i].report;
        cell_value(page, error_kinds[kind].path, UNIT_COUNT,
                   (double)error_count(&found->counts, kind));
        if (!*first && found->first_errors[kind])
            first = found->first_errors[kind];
    }
    cell_text(page, first);
    row_close(page);
}

static void error_heads(struct report *report)
{
    const char *heads[PEER_REPORT_RESULTS + 2] = {"Kind"};
    size_t count = 1;

    for (size_t i = 0; i < report->count; i++)
        heads[count++] = report->count > 1 ? report->views[i].name : "Count";
    heads[count++] = "The first of them";
    table_open(&report->page, "Errors by kind", heads, count);
}

static void say_cannot_open(struct report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->views[i].report.cannot_open)
            section_say(&report->page, report->views[i].report.cannot_open);
    }
}

void write_errors(struct report *report)
{
    struct page *page = &report->page;
    bool any = false;

    section_open(page, "errors", "Errors");
    for (size_t kind = 0; kind < PEER_SOAK_ERROR_KINDS; kind++)
        any |= any_error(report, kind);
    if (!any)
        section_say(page, "None were counted.");
    else
        error_heads(report);
    for (size_t kind = 0; kind < PEER_SOAK_ERROR_KINDS; kind++) {
        if (any_error(report, kind))
            error_row(report, kind);
    }
    if (any)
        table_close(page);
    say_cannot_open(report);
    section_close(page);
}

/* ---- answers ---- */

static bool any_status(const struct report *report, unsigned status)
{
    for (size_t i = 0; i < report->count; i++) {
        if (peer_result_get_status(report->views[i].result, status))
            return true;
    }
    return false;
}

static void status_row(struct report *report, unsigned status)
{
    char name[32] = "beyond 999", path[64];

    if (status)
        snprintf(name, sizeof(name), "status %u", status);
    snprintf(path, sizeof(path), "requests.status_codes.%u", status);
    row_open(&report->page, name);
    for (size_t i = 0; i < report->count; i++)
        cell_value(&report->page, status ? path : NULL, UNIT_COUNT,
                   (double)peer_result_get_status(report->views[i].result, status));
    row_close(&report->page);
}

static uint64_t named_count(const struct view *view, const struct peer_soak_answers *like)
{
    struct peer_soak_answers answers;

    for (size_t i = 0; peer_result_get_answers(view->result, i, &answers); i++) {
        if (strcmp(answers.kind, like->kind) == 0 && strcmp(answers.name, like->name) == 0)
            return answers.count;
    }
    return 0;
}

static void named_rows(struct report *report, size_t run)
{
    struct peer_soak_answers answers;
    char path[128];

    for (size_t i = 0; peer_result_get_answers(report->views[run].result, i, &answers); i++) {
        bool told = false;
        for (size_t before = 0; before < run; before++)
            told |= named_count(&report->views[before], &answers) > 0;
        if (told)
            continue;
        snprintf(path, sizeof(path), "requests.%s.%s", answers.kind, answers.name);
        row_open(&report->page, answers.name);
        for (size_t j = 0; j < report->count; j++)
            cell_value(&report->page, path, UNIT_COUNT,
                       (double)named_count(&report->views[j], &answers));
        row_close(&report->page);
    }
}

void write_answers(struct report *report)
{
    struct page *page = &report->page;
    struct peer_soak_answers answers;
    bool any = false;

    for (unsigned status = 0; status < PEER_STATUS_CODES; status++)
        any |= any_status(report, status);
    for (size_t i = 0; i < report->count; i++)
        any |= peer_result_get_answers(report->views[i].result, 0, &answers) > 0;
    if (!any)
        return;
    section_open(page, "answers", "Answers");
    table_open_runs(report, "Answers by what they said", "Answer", false);
    for (unsigned status = 1; status <= PEER_STATUS_CODES; status++) {
        if (any_status(report, status % PEER_STATUS_CODES))
            status_row(report, status % PEER_STATUS_CODES);
    }
    for (size_t i = 0; i < report->count; i++)
        named_rows(report, i);
    table_close(page);
    section_close(page);
}

/* ---- targets ---- */

enum { TARGETS_MOST = 500 };

static void target_row(struct page *page, const struct peer_soak_target *target)
{
    char text[300] = "";
    size_t len = 0;

    row_open(page, target->name ? target->name : "");
    cell_value(page, NULL, UNIT_COUNT, (double)target->completed);
    cell_value(page, NULL, UNIT_COUNT, (double)target->errors);
    for (size_t i = 0; i < 8 && target->statuses[i].count && len < sizeof(text) - 40; i++) {
        char name[16] = "others";
        if (target->statuses[i].status)
            snprintf(name, sizeof(name), "%u", target->statuses[i].status);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s: %llu", len ? ", " : "", name,
                                (unsigned long long)target->statuses[i].count);
    }
    cell_text(page, text);
    row_close(page);
}

static void targets_of(struct report *report, const struct view *view)
{
    static const char *const heads[] = {"Target", "Answered", "Errors", "Statuses"};
    struct page *page = &report->page;
    struct peer_soak_target target;
    char caption[LINE_NAME];
    size_t i = 0;

    snprintf(caption, sizeof(caption),
             report->count > 1 ? "What was asked for: %.100s" : "What was asked for%.0s",
             view->name);
    table_open(page, caption, heads, 4);
    for (; i < TARGETS_MOST && peer_result_get_target(view->result, i, &target); i++)
        target_row(page, &target);
    table_close(page);
    if (i == TARGETS_MOST && peer_result_get_target(view->result, i, &target))
        section_say(page, "There are more targets than the 500 that are listed here.");
}

void write_targets(struct report *report)
{
    struct peer_soak_target target;
    bool open = false;

    for (size_t i = 0; i < report->count; i++) {
        if (!peer_result_get_target(report->views[i].result, 0, &target))
            continue;
        if (!open)
            section_open(&report->page, "targets", "Targets");
        open = true;
        targets_of(report, &report->views[i]);
    }
    if (open)
        section_close(&report->page);
}

/* ---- changes ---- */

static void changes_of(struct report *report, const struct view *view)
{
    static const char *const heads[] = {"When", "What", "Shard", "By the clock"};
    struct page *page = &report->page;
    struct peer_soak_change change;
    char word[WORDS], caption[LINE_NAME];

    snprintf(caption, sizeof(caption),
             report->count > 1 ? "What was changed: %.100s" : "What was changed%.0s", view->name);
    table_open(page, caption, heads, view->parts > 1 ? 4 : 2);
    for (size_t i = 0; peer_result_get_change(view->result, i, &change); i++) {
        const double at_s = (double)change.at_ns / 1e9;
        row_open(page, change.at_ns < 0 ? "in the warm-up" : words_value(UNIT_S, at_s, word));
        cell_text(page, change.words);
        if (view->parts > 1) {
            cell_value(page, NULL, UNIT_COUNT, (double)change.shard);
            cell_text(page, words_date(change.wall_ns, word));
        }
        row_close(page);
    }
    table_close(page);
}

void write_changes(struct report *report)
{
    struct peer_soak_change change;
    bool open = false;

    for (size_t i = 0; i < report->count; i++) {
        if (!peer_result_get_change(report->views[i].result, 0, &change))
            continue;
        if (!open)
            section_open(&report->page, "changes", "Changed on the way");
        open = true;
        changes_of(report, &report->views[i]);
    }
    if (open)
        section_close(&report->page);
}

/* ---- manners ---- */

/* The share of connections that a flow keeps, and how its requests fare. */
struct behaved {
    const char *name;
    double flows, begun, closed, reset, given_up; /* NaN: does not apply */
    const struct peer_soak_counts *counts;
    const struct peer_latency *request;
};

static void behaved_row(struct page *page, const struct behaved *row)
{
    const double values[] = {row->flows,
                             row->begun,
                             (double)row->counts->opened,
                             (double)row->counts->established,
                             (double)row->counts->completed,
                             (double)peer_soak_errors(row->counts),
                             row->closed,
                             row->reset,
                             row->given_up};

    row_open(page, row->name);
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        cell_value(page, NULL, UNIT_COUNT, values[i]);
    cell_value(page, NULL, UNIT_US, row->request->count ? row->request->p50 : NAN);
    cell_value(page, NULL, UNIT_US, row->request->count ? row->request->p99 : NAN);
    row_close(page);
}

static void manners_of(struct report *report, const struct view *view)
{
    static const char *const heads[] = {"Flows",       "At once",  "Misbehaved", "Opened",
                                        "Connected",   "Answered", "Errors",     "Closed by it",
                                        "Reset by it", "Given up", "Median",     "99 %"};
    struct page *page = &report->page;
    struct peer_soak_manner manner;
    char caption[LINE_NAME];
    const struct behaved healthy = {.name = "healthy",
                                    .flows = NAN,
                                    .begun = NAN,
                                    .closed = NAN,
                                    .reset = NAN,
                                    .given_up = NAN,
                                    .counts = &view->report.counts,
                                    .request = &view->report.request};

    snprintf(caption, sizeof(caption),
             report->count > 1 ? "Healthy flows and the others: %.100s"
                               : "Healthy flows and the others%.0s",
             view->name);
    table_open(page, caption, heads, 12);
    behaved_row(page, &healthy);
    for (size_t i = 0; peer_result_get_manner(view->result, i, &manner); i++) {
        const struct behaved row = {.name = manner.spec,
                                    .flows = (double)manner.flows,
                                    .begun = (double)manner.begun,
                                    .closed = (double)manner.closed,
                                    .reset = (double)manner.reset,
                                    .given_up = (double)manner.given_up,
                                    .counts = &manner.counts,
                                    .request = &manner.request};
        behaved_row(page, &row);
    }
    table_close(page);
}

void write_manners(struct report *report)
{
    struct peer_soak_manner manner;
    bool open = false;

    for (size_t i = 0; i < report->count; i++) {
        if (!peer_result_get_manner(report->views[i].result, 0, &manner))
            continue;
        if (!open) {
            section_open(&report->page, "manners", "Bad manners");
            section_say(&report->page,
                        "All other figures on this page are of the healthy flows alone. Closed and "
                        "reset is what the application did to a flow.");
        }
        open = true;
        manners_of(report, &report->views[i]);
    }
    if (open)
        section_close(&report->page);
}

/* ---- intervals ---- */

static const char *const interval_heads[] = {"Begin",  "Length",      "Answered", "A second",
                                             "Errors", "Established", "Open",     "Median",
                                             "90 %",   "99 %",        "Longest"};
enum { INTERVAL_HEADS = 11 };

static void interval_row(struct page *page, const struct point *point)
{
    char start[WORDS];

    row_open(page, point->after_end ? "after the end" : words_value(UNIT_S, point->start_s, start));
    cell_value(page, NULL, UNIT_S, point->length_s);
    cell_value(page, NULL, UNIT_COUNT, (double)point->counts.completed);
    cell_value(page, NULL, UNIT_PER_S,
               point->length_s > 0 && !point->after_end
                   ? (double)point->counts.completed / point->length_s
                   : NAN);
    cell_value(page, NULL, UNIT_COUNT, (double)peer_soak_errors(&point->counts));
    cell_value(page, NULL, UNIT_COUNT, (double)point->counts.established);
    cell_value(page, NULL, UNIT_COUNT, (double)point->open);
    cell_value(page, NULL, UNIT_US, point->p50_us);
    cell_value(page, NULL, UNIT_US, point->p90_us);
    cell_value(page, NULL, UNIT_US, point->p99_us);
    cell_value(page, NULL, UNIT_US, point->max_us);
    row_close(page);
}

void write_intervals(struct report *report)
{
    struct page *page = &report->page;

    for (size_t i = 0; i < report->count; i++) {
        const struct view *view = &report->views[i];
        char caption[LINE_NAME];
        if (!view->point_count)
            continue;
        snprintf(caption, sizeof(caption),
                 report->count > 1 ? "Intervals: %.100s" : "Intervals%.0s", view->name);
        page_html(page, "<details class=\"intervals\"><summary>");
        page_text(page, caption);
        if (view->per_point > 1)
            page_format(page, ", %zu in a row", view->per_point);
        page_html(page, "</summary>");
        table_open(page, caption, interval_heads, INTERVAL_HEADS);
        for (size_t j = 0; j < view->point_count; j++)
            interval_row(page, &view->points[j]);
        table_close(page);
        page_html(page, "</details>\n");
    }
}
