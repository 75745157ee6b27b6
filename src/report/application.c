/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the application used while it was soaked, where it was looked at: its processes, and whether
 * memory, descriptors or threads grow.
 */
#include "report/report.h"

#include <math.h>
#include <peer/watch.h>
#include <stdio.h>

static const struct {
    enum peer_watch_figure figure;
    const char *name;
    enum unit unit;
} figures[] = {
    {PEER_WATCH_RSS, "Memory", UNIT_BYTES},
    {PEER_WATCH_FDS, "Descriptors", UNIT_COUNT},
    {PEER_WATCH_THREADS, "Threads", UNIT_COUNT},
};
enum { FIGURES = sizeof(figures) / sizeof(*figures) };

static bool is_watched(const struct view *view)
{
    for (size_t i = 0; i < view->point_count; i++) {
        if (view->points[i].watched)
            return true;
    }
    return false;
}

/* ---- growth ---- */

static void growth_row(struct page *page, const struct view *view, size_t which)
{
    struct peer_watch_growth growth;
    const enum unit unit = figures[which].unit;

    row_open(page, figures[which].name);
    if (!peer_result_get_growth(view->result, figures[which].figure, &growth)) {
        for (int i = 0; i < 3; i++)
            cell_value(page, NULL, unit, NAN);
        cell_text(page, "too few samples to tell");
        row_close(page);
        return;
    }
    cell_value(page, NULL, unit, growth.first);
    cell_value(page, NULL, unit, growth.last);
    cell_value(page, NULL, unit, growth.grows ? growth.per_hour : NAN);
    page_html(page, "<td class=\"words");
    page_text(page, growth.grows ? " bad" : "");
    page_html(page, "\">");
    page_text(page, growth.grows ? "grows steadily, to the end" : "does not grow steadily");
    page_html(page, "</td>");
    row_close(page);
}

static void growths_of(struct report *report, const struct view *view)
{
    static const char *const heads[] = {"Figure", "At the beginning", "At the end", "An hour",
                                        "What it does"};
    char caption[LINE_NAME];

    snprintf(caption, sizeof(caption),
             report->count > 1 ? "Whether it grows: %.100s" : "Whether it grows%.0s", view->name);
    table_open(&report->page, caption, heads, 5);
    for (size_t i = 0; i < FIGURES; i++)
        growth_row(&report->page, view, i);
    table_close(&report->page);
}

/* ---- processes ---- */

enum { PROCESSES_MOST = 100 };

static void processes_of(struct report *report, const struct view *view)
{
    static const char *const heads[] = {"Process", "Its name", "Seen from", "Seen until"};
    struct page *page = &report->page;
    struct peer_watch_process process;
    char caption[LINE_NAME], pid[32];

    snprintf(caption, sizeof(caption), report->count > 1 ? "Processes: %.100s" : "Processes%.0s",
             view->name);
    table_open(page, caption, heads, 4);
    for (size_t i = 0; i < PROCESSES_MOST && peer_result_get_process(view->result, i, &process);
         i++) {
        snprintf(pid, sizeof(pid), "%llu", (unsigned long long)process.pid);
        row_open(page, pid);
        cell_text(page, process.name);
        cell_value(page, NULL, UNIT_S, (double)process.first_ns / 1e9);
        cell_value(page, NULL, UNIT_S, (double)process.last_ns / 1e9);
        row_close(page);
    }
    table_close(page);
}

static void say_restarts(struct report *report, const struct view *view)
{
    uint64_t restarts = 0;
    char text[300];

    for (size_t i = 0; i < view->point_count; i++)
        restarts += view->points[i].watch.restarts;
    if (!restarts)
        return;
    snprintf(text, sizeof(text), "%.200s%sThe application was started anew %llu time%s.",
             report->count > 1 ? view->name : "", report->count > 1 ? ": " : "",
             (unsigned long long)restarts, restarts == 1 ? "" : "s");
    section_say(&report->page, text);
}

void write_application(struct report *report)
{
    bool open = false;

    for (size_t i = 0; i < report->count; i++) {
        const struct view *view = &report->views[i];
        if (!is_watched(view))
            continue;
        if (!open)
            section_open(&report->page, "application", "The application");
        open = true;
        say_restarts(report, view);
        growths_of(report, view);
        processes_of(report, view);
    }
    if (open)
        section_close(&report->page);
}
