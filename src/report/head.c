/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes first: what was soaked, whether it is well, and the few figures that one looks for.
 */
#include "report/report.h"

#include <math.h>
#include <peer/journal.h>
#include <stdio.h>
#include <string.h>

/* ---- objectives ---- */

enum { OBJECTIVES_MOST = 64 };

/* Those that were given, and those that results were noted to have, each once. */
static size_t list_objectives(const struct report *report, const char *texts[OBJECTIVES_MOST])
{
    size_t count = 0;

    for (size_t i = 0; i < report->config->objective_count && count < OBJECTIVES_MOST; i++)
        texts[count++] = peer_slo_text(report->config->objectives[i]);
    for (size_t i = 0; i < report->count; i++) {
        const char *text;
        for (size_t j = 0; (text = peer_result_get_objective(report->views[i].result, j)); j++) {
            bool there = count == OBJECTIVES_MOST;
            for (size_t k = 0; k < count; k++)
                there |= strcmp(texts[k], text) == 0;
            if (!there)
                texts[count++] = text;
        }
    }
    return count;
}

static bool judge(const char *text, const struct view *view, struct peer_slo_verdict *ret_verdict)
{
    struct peer_slo *slo;

    if (peer_slo_new(text, &slo, NULL) < 0)
        return false;
    peer_slo_judge(slo, view->result, ret_verdict);
    peer_slo_free(slo);
    return true;
}

static void describe(const struct peer_slo_verdict *verdict, char *out, size_t room)
{
    static const enum unit units[] = {[PEER_SLO_NUMBER] = UNIT_COUNT,
                                      [PEER_SLO_MICROSECONDS] = UNIT_US,
                                      [PEER_SLO_SHARE] = UNIT_SHARE,
                                      [PEER_SLO_PER_SECOND] = UNIT_PER_S};
    char value[WORDS], start[WORDS];
    const char *said = words_value(units[verdict->unit], verdict->value, value);

    if (!verdict->measured)
        snprintf(out, room, "nothing was measured");
    else if (verdict->in_interval && verdict->kept)
        snprintf(out, room, "%s at the worst, at %s", said,
                 words_value(UNIT_S, (double)verdict->interval_start_ns / 1e9, start));
    else if (verdict->in_interval)
        snprintf(out, room, "%s at %s, not kept in %llu interval%s", said,
                 words_value(UNIT_S, (double)verdict->interval_start_ns / 1e9, start),
                 (unsigned long long)verdict->intervals_failed,
                 verdict->intervals_failed == 1 ? "" : "s");
    else
        snprintf(out, room, "%s", said);
}

static void verdict_cell(struct page *page, const char *text, const struct view *view)
{
    struct peer_slo_verdict verdict;
    char words[160];

    if (!judge(text, view, &verdict)) {
        cell_text(page, "not known to this version");
        return;
    }
    describe(&verdict, words, sizeof(words));
    page_html(page, "<td class=\"words ");
    page_text(page, verdict.kept ? "good" : "bad");
    page_html(page, "\" data-kept=\"");
    page_text(page, verdict.kept ? "true" : "false");
    page_html(page, "\">");
    page_format(page, "%s: %s", verdict.kept ? "kept" : "not kept", words);
    page_html(page, "</td>");
}

void write_objectives(struct report *report)
{
    const char *texts[OBJECTIVES_MOST];
    const size_t count = list_objectives(report, texts);
    struct page *page = &report->page;

    if (!count)
        return;
    section_open(page, "objectives", "Objectives");
    table_open_runs(report, "What was to be kept, and whether it was", "Objective", false);
    for (size_t i = 0; i < count; i++) {
        row_open(page, texts[i]);
        for (size_t run = 0; run < report->count; run++)
            verdict_cell(page, texts[i], &report->views[run]);
        row_close(page);
    }
    table_close(page);
    section_close(page);
}

/* ---- the head ---- */

/* In a few words, and good or not. */
static bool sum_up(const struct report *report, const struct view *view, char *out, size_t room)
{
    const char *texts[OBJECTIVES_MOST];
    const size_t count = list_objectives(report, texts);
    const uint64_t errors = peer_soak_errors(&view->report.counts);
    struct peer_slo_verdict verdict;
    size_t kept = 0;
    char number[WORDS];

    for (size_t i = 0; i < count; i++)
        kept += judge(texts[i], view, &verdict) && verdict.kept;
    if (count)
        snprintf(out, room, "%zu of %zu objective%s kept", kept, count, count == 1 ? "" : "s");
    else if (errors)
        snprintf(out, room, "%s error%s", words_value(UNIT_COUNT, (double)errors, number),
                 errors == 1 ? "" : "s");
    else if (!view->report.counts.established)
        snprintf(out, room, "No connection was established");
    else
        snprintf(out, room, "No errors");
    return count ? kept == count : !errors && view->report.counts.established;
}

static void write_verdict(struct report *report, const struct view *view)
{
    struct page *page = &report->page;
    char words[160];
    const bool good = sum_up(report, view, words, sizeof(words));

    page_html(page, "<p class=\"verdict ");
    page_text(page, good ? "good" : "bad");
    page_html(page, "\">");
    page_text(page, words);
    page_html(page, "</p>");
}

static void write_fact(struct page *page, const char *name, const char *fact)
{
    if (!*fact)
        return;
    page_html(page, "<div><dt>");
    page_text(page, name);
    page_html(page, "</dt><dd>");
    page_text(page, fact);
    page_html(page, "</dd></div>");
}

static void write_shard(struct page *page, const struct view *view)
{
    char text[80] = "";

    if (view->parts > 1)
        snprintf(text, sizeof(text), "%zu parts, joined", view->parts);
    else if (view->part.shards)
        snprintf(text, sizeof(text), "shard %llu of %llu", (unsigned long long)view->part.shard,
                 (unsigned long long)view->part.shards);
    write_fact(page, "Part", text);
}

static void write_facts(struct page *page, const struct view *view)
{
    char text[400], word[WORDS];

    page_html(page, "<dl class=\"facts\">");
    write_fact(page, "Workload", view->part.protocol);
    write_fact(page, "Began", words_date(view->part.started_ns, word));
    write_fact(page, "Measured", words_value(UNIT_S, (double)view->report.duration_ns / 1e9, word));
    snprintf(text, sizeof(text), "%s", words_value(UNIT_COUNT, (double)view->flows, word));
    write_fact(page, "Flows", text);
    snprintf(text, sizeof(text), "%s%s%.280s", words_value(UNIT_COUNT, (double)view->peers, word),
             view->parts == 1 && *view->part.peers ? ": " : "",
             view->parts == 1 ? view->part.peers : "");
    write_fact(page, "Peers", text);
    write_fact(page, "Host", view->parts == 1 ? view->part.host : "");
    write_shard(page, view);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)view->part.seed);
    write_fact(page, "Seed", view->parts == 1 ? text : "");
    write_fact(page, "peer", view->part.version);
    page_html(page, "</dl>");
}

/* A journal may be all that is left of a run. */
static void write_extent(struct page *page, const struct view *view)
{
    struct peer_journal_extent extent;
    char figures[WORDS], intervals[WORDS];

    if (!peer_result_get_extent(view->result, &extent) || extent.complete)
        return;
    page_html(page, "<p class=\"note\">");
    page_format(page,
                "The run did not come to its end. Its journal has all figures of the first %s, and "
                "intervals up to %s.",
                words_value(UNIT_S, (double)extent.figures_ns / 1e9, figures),
                words_value(UNIT_S, (double)extent.intervals_ns / 1e9, intervals));
    page_html(page, "</p>");
}

/* The figures are of those who were left. */
static void write_lost(struct page *page, const struct view *view)
{
    struct peer_result_part part;

    for (size_t i = 0; peer_result_get_part(view->result, i, &part); i++) {
        if (!part.workers_lost)
            continue;
        page_html(page, "<p class=\"note\">");
        page_format(page,
                    "This is a partial result: %llu of the %llu workers on %.64s ended before their "
                    "time, and what they found is in no figure, but in the intervals up to then.",
                    (unsigned long long)part.workers_lost, (unsigned long long)part.workers,
                    *part.host ? part.host : "one machine");
        page_html(page, "</p>");
    }
}

void write_head(struct report *report)
{
    struct page *page = &report->page;
    const struct view *view = &report->views[0];

    page_html(page, "<header><p class=\"kind\">");
    page_text(page, report->count > 1 ? "peer: comparison of soaks" : "peer: report of a soak");
    page_html(page, "</p><h1>");
    page_text(page, report->config->title ? report->config->title
                    : *view->part.target  ? view->part.target
                                          : "A soak");
    page_html(page, "</h1>");
    for (size_t i = 0; i < report->count; i++) {
        if (report->count > 1) {
            page_html(page, "<h2 class=\"run t");
            page_format(page, "%zu", i % TONES);
            page_html(page, "\">");
            page_format(page, "%.300s", report->views[i].name);
            page_html(page, "</h2>");
        }
        write_verdict(report, &report->views[i]);
        write_extent(page, &report->views[i]);
        write_lost(page, &report->views[i]);
        write_facts(page, &report->views[i]);
    }
    page_html(page, "</header>\n");
}

/* ---- figures ---- */

static void write_card(struct page *page, const struct view *view, const struct metric *metric)
{
    const double value = metric->of(view);
    char words[WORDS];

    if (!isfinite(value))
        return;
    page_html(page, "<div class=\"card");
    if (metric->better < 0 && metric->unit == UNIT_COUNT && value > 0)
        page_html(page, " bad");
    page_html(page, "\"><dt>");
    page_text(page, metric->name);
    page_html(page, "</dt><dd>");
    page_text(page, words_value(metric->unit, value, words));
    page_html(page, "</dd></div>");
}

/* How the second of two is beside the first. */
static void cell_change(struct page *page, const struct metric *metric, double before, double after)
{
    const double change = before != 0       ? (after - before) / fabs(before)
                          : after == before ? 0
                                            : INFINITY;
    const bool much = fabs(change) >= 0.01 && metric->better != 0;
    const bool good = (change > 0) == (metric->better > 0);

    page_html(page, "<td class=\"number");
    if (much)
        page_text(page, good ? " good" : " bad");
    page_html(page, "\">");
    if (!isfinite(before) || !isfinite(after))
        page_text(page, "–");
    else if (isinf(change))
        page_text(page, "from none");
    else if (fabs(change) < 0.0005)
        page_text(page, "the same");
    else if (change >= 9)
        page_format(page, "× %.0f", after / before);
    else
        page_format(page, "%+.1f %%", change * 100);
    if (much && isfinite(before) && isfinite(after))
        page_text(page, good ? " (better)" : " (worse)");
    page_html(page, "</td>");
}

static void write_metric(struct report *report, const struct metric *metric)
{
    struct page *page = &report->page;
    bool any = false;

    for (size_t i = 0; i < report->count; i++)
        any |= isfinite(metric->of(&report->views[i]));
    if (!any)
        return;
    row_open(page, metric->name);
    for (size_t i = 0; i < report->count; i++)
        cell_value(page, metric->path, metric->unit, metric->of(&report->views[i]));
    if (report->count == 2)
        cell_change(page, metric, metric->of(&report->views[0]), metric->of(&report->views[1]));
    row_close(page);
}

/* A rate that was not reached is the first thing to know, and who it was that could not: a
   processor that others had makes peer late, and its latencies long. */
static void say_behind(struct page *page, const struct report *report, const struct view *view)
{
    const struct peer_soak_report *found = &view->report;
    const double waited = found->cpu_waited_s + found->cpu_throttled_s;
    char begun[WORDS], time[WORDS];

    if (found->asked_rate <= 0 || found->behind * 100 <= found->counts.requests)
        return;
    page_html(page, "<p class=\"note\">");
    if (report->count > 1)
        page_format(page, "%.200s: ", view->name);
    page_format(
        page,
        "The rate was not reached: %s requests were not begun in time. In that time peer was "
        "ready to run for %s while others had the processors.",
        words_value(UNIT_COUNT, (double)found->behind, begun), words_value(UNIT_S, waited, time));
    page_html(page, "</p>");
}

static void say_schedule(struct report *report)
{
    struct page *page = &report->page;
    bool corrected = false;

    for (size_t i = 0; i < report->count; i++) {
        corrected |= report->views[i].report.corrected;
        say_behind(page, report, &report->views[i]);
    }
    if (corrected)
        section_say(
            page,
            "Latencies of a soak with a rate count from when the schedule wanted the request, not "
            "from when it was sent: what waited is in them.");
}

void write_figures(struct report *report)
{
    struct page *page = &report->page;

    section_open(page, "figures", "Figures");
    if (report->count == 1) {
        page_html(page, "<dl class=\"cards\">");
        for (size_t i = 0; i < metric_count; i++) {
            if (metrics[i].card)
                write_card(page, &report->views[0], &metrics[i]);
        }
        page_html(page, "</dl>\n<details><summary>All figures</summary>");
    }
    table_open_runs(report, "Figures of the whole run", "Figure", report->count == 2);
    for (size_t i = 0; i < metric_count; i++)
        write_metric(report, &metrics[i]);
    table_close(page);
    if (report->count == 1)
        page_html(page, "</details>");
    say_schedule(report);
    section_close(page);
}

void write_foot(struct report *report)
{
    struct page *page = &report->page;

    page_html(page, "<footer><p>");
    page_format(page, "Made by peer %s. ", peer_version());
    page_html(
        page,
        "Percentiles are those of all samples (HdrHistogram, three digits), never means. Drag in a "
        "plot to look closer, double-click to go back; tables have what plots "
        "show.</p></footer>\n");
}
