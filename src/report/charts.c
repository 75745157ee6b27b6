/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plots. One run has a line a figure; several have a line a run, with the same colour in each
 * plot.
 */
#include "report/report.h"

#include <math.h>
#include <peer/steer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- over time ---- */

/* What points of all views have, side by side: xs and then columns of `count` numbers. */
struct columns {
    double *numbers;
    size_t count;
};

enum column {
    COLUMN_START,
    COLUMN_RATE,
    COLUMN_CONNECTS,
    COLUMN_P50,
    COLUMN_P90,
    COLUMN_P99,
    COLUMN_MAX,
    COLUMN_OPEN,
    COLUMN_SENT,
    COLUMN_RECEIVED,
    COLUMN_ERRORS,
    COLUMN_ASKED,
    COLUMN_RSS,
    COLUMN_FDS,
    COLUMN_THREADS,
    COLUMN_CPU,
    COLUMN_ERROR_KINDS,
    COLUMNS = COLUMN_ERROR_KINDS + PEER_SOAK_ERROR_KINDS,
};

static const double *column(const struct columns *columns, unsigned which)
{
    return columns->numbers + which * columns->count;
}

static void fill(const struct point *point, double *at, size_t stride)
{
    const struct peer_soak_counts *counts = &point->counts;
    const double values[] = {
        [COLUMN_START] = point->start_s,
        [COLUMN_RATE] = (double)counts->completed / point->length_s,
        [COLUMN_CONNECTS] = (double)counts->established / point->length_s,
        [COLUMN_P50] = point->p50_us,
        [COLUMN_P90] = point->p90_us,
        [COLUMN_P99] = point->p99_us,
        [COLUMN_MAX] = point->max_us,
        [COLUMN_OPEN] = (double)point->open,
        [COLUMN_SENT] = (double)counts->bytes_sent * 8 / point->length_s,
        [COLUMN_RECEIVED] = (double)counts->bytes_received * 8 / point->length_s,
        [COLUMN_ERRORS] = (double)peer_soak_errors(counts) / point->length_s,
        [COLUMN_ASKED] = NAN,
        [COLUMN_RSS] = point->watched ? (double)point->watch.rss_bytes : NAN,
        [COLUMN_FDS] = point->watched ? (double)point->watch.fds : NAN,
        [COLUMN_THREADS] = point->watched ? (double)point->watch.threads : NAN,
        [COLUMN_CPU] = point->watched ? (double)point->watch.cpu_ns / 1e7 / point->length_s : NAN,
    };

    for (size_t i = 0; i < COLUMN_ERROR_KINDS; i++)
        at[i * stride] = values[i];
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++)
        at[(COLUMN_ERROR_KINDS + i) * stride] = (double)error_count(counts, i) / point->length_s;
}

/* A last interval that is cut short says nothing of a rate. */
static size_t whole_points(const struct view *view)
{
    size_t count = view->drawn;

    if (count > 2 && view->points[count - 1].length_s < 0.5 * view->points[count - 2].length_s)
        count--;
    return count;
}

/* One that was changed on the way has no single rate to draw. */
static double asked_rate(const struct view *view)
{
    struct peer_soak_change change;

    if (view->report.asked_rate <= 0 || peer_result_get_change(view->result, 0, &change))
        return NAN;
    return view->report.asked_rate;
}

static int columns_init(struct columns *columns, const struct view *view)
{
    columns->count = whole_points(view);
    columns->numbers = calloc((columns->count + 1) * COLUMNS, sizeof(double));
    if (!columns->numbers)
        return -1;
    for (size_t i = 0; i < columns->count; i++)
        fill(&view->points[i], columns->numbers + i, columns->count);
    for (size_t i = 0; i < columns->count; i++)
        columns->numbers[COLUMN_ASKED * columns->count + i] = asked_rate(view);
    return 0;
}

static bool has_any(const struct columns *columns, unsigned which)
{
    const double *numbers = column(columns, which);

    for (size_t i = 0; i < columns->count; i++) {
        if (numbers[i] > 0)
            return true;
    }
    return false;
}

/* A figure that is drawn: which column, what it is called, its colour beside others of one run. */
struct drawn {
    unsigned column;
    const char *name;
    uint8_t tone;
    bool filled, dashed;
    bool together; /* drawn of several runs, too */
    bool if_any;   /* not when it is 0 throughout */
};

static void draw_column(struct plot *plot, struct report *report, const struct columns *columns,
                        const struct drawn *drawn)
{
    const bool many = report->count > 1;

    for (size_t i = 0; i < report->count && (!many || drawn->together); i++) {
        char name[LINE_NAME];
        if (!columns[i].count || (drawn->if_any && !has_any(&columns[i], drawn->column)))
            continue;
        snprintf(name, sizeof(name), many ? "%.100s: %s" : "%.0s%s", report->views[i].name,
                 drawn->name);
        struct line *line = plot_line(plot, name);
        if (!line)
            return;
        line->xs = column(&columns[i], COLUMN_START);
        line->ys = column(&columns[i], drawn->column);
        line->count = columns[i].count;
        line->tone = many ? (uint8_t)(i % TONES) : drawn->tone;
        line->dashed = drawn->dashed;
        line->filled = drawn->filled && !many;
    }
}

/* Where the highest is so much more than the lowest a linear axis hides one of them. */
static enum axis axis_for(const struct columns *columns, size_t count)
{
    double low = INFINITY, high = 0;

    for (size_t i = 0; i < count; i++) {
        const double *p50 = column(&columns[i], COLUMN_P50), *max = column(&columns[i], COLUMN_MAX);
        for (size_t j = 0; j < columns[i].count; j++) {
            low = p50[j] > 0 ? fmin(low, p50[j]) : low;
            high = fmax(high, max[j]);
        }
    }
    return high > 30 * low ? AXIS_LOG : AXIS_LINEAR;
}

/* With what was changed on the way. */
static void plot_marked(struct report *report, struct plot *plot)
{
    struct peer_soak_change change;

    for (size_t i = 0; i < report->count; i++) {
        for (size_t j = 0; plot->mark_count < MARKS_MOST &&
                           peer_result_get_change(report->views[i].result, j, &change);
             j++)
            plot->marks[plot->mark_count++] =
                (struct mark){.x = (double)change.at_ns / 1e9, .words = change.words};
    }
    report_plot(report, plot);
}

/* Connections that are opened once and kept have no rate that says anything. */
static bool opens_anew(const struct report *report)
{
    const struct peer_soak_report *found = &report->views[0].report;

    return found->counts.established > 2 * found->open_most;
}

static void draw_rate(struct report *report, const struct columns *columns)
{
    static const struct drawn rows[] = {
        {COLUMN_RATE, "requests answered", 0, true, false, true, false},
        {COLUMN_CONNECTS, "connections established", 1, false, false, false, true},
        {COLUMN_ASKED, "requests asked for", 4, false, true, false, true},
    };
    struct plot plot = {.id = "plot-rate",
                        .title = "Rate",
                        .about = "What was done a second.",
                        .unit_x = UNIT_S,
                        .unit_y = UNIT_PER_S};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].column != COLUMN_CONNECTS || opens_anew(report))
            draw_column(&plot, report, columns, &rows[i]);
    }
    plot_marked(report, &plot);
}

static void draw_latency(struct report *report, const struct columns *columns)
{
    static const struct drawn rows[] = {
        {COLUMN_MAX, "longest", 3, false, false, false, false},
        {COLUMN_P99, "99 %", 1, false, false, true, false},
        {COLUMN_P90, "90 %", 4, false, false, false, false},
        {COLUMN_P50, "median", 0, false, true, true, false},
    };
    struct plot plot = {.id = "plot-latency",
                        .title = "Latency of requests",
                        .about = "So many percent of each interval's requests took no longer.",
                        .unit_x = UNIT_S,
                        .unit_y = UNIT_US,
                        .axis_y = axis_for(columns, report->count)};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct drawn row = rows[i];
        row.dashed = row.dashed && report->count > 1;
        draw_column(&plot, report, columns, &row);
    }
    plot_marked(report, &plot);
}

static void draw_errors(struct report *report, const struct columns *columns)
{
    struct plot plot = {.id = "plot-errors",
                        .title = "Errors",
                        .about = "A second, by kind.",
                        .unit_x = UNIT_S,
                        .unit_y = UNIT_PER_S};
    const struct drawn all = {COLUMN_ERRORS, "errors", 3, false, false, true, true};

    if (report->count > 1) {
        plot.about = "A second, of all kinds.";
        draw_column(&plot, report, columns, &all);
    }
    for (unsigned i = 0; i < PEER_SOAK_ERROR_KINDS && report->count == 1; i++) {
        const struct drawn kind = {COLUMN_ERROR_KINDS + i,
                                   error_kinds[i].text,
                                   (uint8_t)((i + 3) % TONES),
                                   false,
                                   i >= TONES,
                                   false,
                                   true};
        draw_column(&plot, report, columns, &kind);
    }
    plot_marked(report, &plot);
}

static void draw_connections(struct report *report, const struct columns *columns)
{
    static const struct drawn open = {COLUMN_OPEN, "open", 2, true, false, true, false};
    struct plot plot = {.id = "plot-connections",
                        .title = "Connections",
                        .about = "Open at the end of each interval.",
                        .unit_x = UNIT_S,
                        .unit_y = UNIT_COUNT};

    draw_column(&plot, report, columns, &open);
    plot_marked(report, &plot);
}

static void draw_bytes(struct report *report, const struct columns *columns)
{
    static const struct drawn rows[] = {
        {COLUMN_RECEIVED, "to the peers", 0, false, false, true, true},
        {COLUMN_SENT, "to the application", 1, false, true, true, true},
    };
    struct plot plot = {.id = "plot-bytes",
                        .title = "Throughput",
                        .about = "Payload, without what TCP and IP add.",
                        .unit_x = UNIT_S,
                        .unit_y = UNIT_BITS_PER_S};

    for (size_t i = 0; i < 2; i++) {
        struct drawn row = rows[i];
        row.dashed = row.dashed && report->count > 1;
        draw_column(&plot, report, columns, &row);
    }
    plot_marked(report, &plot);
}

static void draw_application(struct report *report, const struct columns *columns)
{
    static const struct {
        const char *id, *title, *about;
        enum unit unit;
        struct drawn rows[2];
    } plots[] = {
        {"plot-memory",
         "Memory of the application",
         "Resident, at the end of each interval.",
         UNIT_BYTES,
         {{COLUMN_RSS, "memory", 4, true, false, true, true}}},
        {"plot-descriptors",
         "Descriptors and threads of the application",
         "At the end of each interval.",
         UNIT_COUNT,
         {{COLUMN_FDS, "descriptors", 5, false, false, true, true},
          {COLUMN_THREADS, "threads", 6, false, true, true, true}}},
        {"plot-processor",
         "Processor time of the application",
         "100 % is one processor.",
         UNIT_PERCENT,
         {{COLUMN_CPU, "processors", 7, true, false, true, true}}},
    };

    for (size_t i = 0; i < sizeof(plots) / sizeof(*plots); i++) {
        struct plot plot = {.id = plots[i].id,
                            .title = plots[i].title,
                            .about = plots[i].about,
                            .unit_x = UNIT_S,
                            .unit_y = plots[i].unit};
        for (size_t j = 0; j < 2 && plots[i].rows[j].name; j++)
            draw_column(&plot, report, columns, &plots[i].rows[j]);
        plot_marked(report, &plot);
    }
}

static void say_thinned(struct report *report)
{
    char text[400];

    for (size_t i = 0; i < report->count; i++) {
        const struct view *view = &report->views[i];
        if (view->per_point < 2)
            continue;
        snprintf(
            text, sizeof(text),
            "%.160s%sthinned: each point is %zu of %zu intervals, with the percentiles of all of "
            "their samples.",
            report->count > 1 ? view->name : "", report->count > 1 ? ": " : "The plots are ",
            view->per_point, view->intervals);
        section_say(&report->page, text);
    }
}

void write_time(struct report *report)
{
    struct columns columns[PEER_REPORT_RESULTS] = {0};
    size_t most = 0;

    for (size_t i = 0; i < report->count; i++) {
        if (columns_init(&columns[i], &report->views[i]) < 0)
            report->page.failed = true;
        most = columns[i].count > most ? columns[i].count : most;
    }
    section_open(&report->page, "time", "Over time");
    if (most < 2)
        section_say(&report->page,
                    "There are no plots over time: fewer than two whole intervals "
                    "were kept. A soak that lasts longer, or shorter intervals, have more.");
    else
        say_thinned(report);
    if (most > 1 && !report->page.failed) {
        draw_rate(report, columns);
        draw_latency(report, columns);
        draw_errors(report, columns);
        draw_connections(report, columns);
        draw_bytes(report, columns);
        draw_application(report, columns);
    }
    section_close(&report->page);
    for (size_t i = 0; i < report->count; i++)
        free(columns[i].numbers);
}

/* ---- the distribution ---- */

enum { STEPS = 120, STEPS_A_NINE = 20 };

/* To where there is one request for each step, and no further. */
static size_t fill_distribution(const struct peer_histogram *histogram, double xs[STEPS],
                                double ys[STEPS])
{
    struct peer_latency latency;
    size_t count = 0;

    peer_histogram_get_summary(histogram, &latency);
    for (; count < STEPS; count++) {
        const double x = (double)count / STEPS_A_NINE;
        const double beyond = pow(10, -x);
        if ((double)latency.count * beyond < 1)
            break;
        xs[count] = x;
        ys[count] = peer_histogram_percentile(histogram, 100 * (1 - beyond));
    }
    return count;
}

static const struct {
    enum peer_soak_histogram which;
    const char *name;
} latency_kinds[] = {
    {PEER_HISTOGRAM_REQUEST, "request"},
    {PEER_HISTOGRAM_FIRST_BYTE, "first byte"},
    {PEER_HISTOGRAM_LOGIN, "login"},
    {PEER_HISTOGRAM_TLS, "TLS handshake"},
    {PEER_HISTOGRAM_HANDSHAKE, "TCP handshake"},
    {PEER_HISTOGRAM_WILL, "will"},
};
enum { KINDS = sizeof(latency_kinds) / sizeof(*latency_kinds) };

static bool has_requests(const struct report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->views[i].report.request.count)
            return true;
    }
    return false;
}

static void draw_distribution(struct plot *plot, const struct report *report, size_t run,
                              double (*numbers)[2][STEPS])
{
    const struct view *view = &report->views[run];
    const bool many = report->count > 1;

    for (size_t kind = 0; kind < (many && has_requests(report) ? 1 : KINDS); kind++) {
        char name[LINE_NAME];
        double(*of)[STEPS] = numbers[kind];
        snprintf(name, sizeof(name), many ? "%.100s: %s" : "%.0s%s", view->name,
                 latency_kinds[kind].name);
        size_t count = fill_distribution(view->histograms[latency_kinds[kind].which], of[0], of[1]);
        struct line *line = count > 1 ? plot_line(plot, name) : NULL;
        if (!line)
            continue;
        line->xs = of[0];
        line->ys = of[1];
        line->count = count;
        line->tone = (uint8_t)((many ? run : kind) % TONES);
    }
}

void write_distribution(struct report *report)
{
    double(*numbers)[2][STEPS] = calloc(PEER_REPORT_RESULTS * KINDS, sizeof(*numbers));
    struct plot plot = {
        .id = "plot-distribution",
        .title = "Distribution of latencies",
        .about = "So many percent took no longer. Each step to the right is ten times rarer.",
        .unit_x = UNIT_COUNT,
        .unit_y = UNIT_US,
        .axis_x = AXIS_NINES,
        .axis_y = AXIS_LOG};

    for (size_t i = 0; i < report->count && numbers; i++)
        draw_distribution(&plot, report, i, numbers + i * KINDS);
    report->page.failed |= !numbers;
    report_plot(report, &plot);
    free(numbers);
}

/* ---- a search for the highest rate ---- */

static int by_rate(const void *a, const void *b)
{
    const struct peer_search_step *one = a, *other = b;

    return one->rate < other->rate ? -1 : one->rate > other->rate;
}

/* The steps by their rates, and how many; NULL without one. */
static struct peer_search_step *sorted_steps(const struct view *view, size_t *ret_count)
{
    struct peer_search_step step;
    size_t count = 0;

    while (peer_result_get_step(view->result, count, &step))
        count++;
    struct peer_search_step *steps = count ? calloc(count, sizeof(*steps)) : NULL;
    for (size_t i = 0; i < count && steps; i++)
        peer_result_get_step(view->result, i, &steps[i]);
    if (steps)
        qsort(steps, count, sizeof(*steps), by_rate);
    *ret_count = steps ? count : 0;
    return steps;
}

static void add_steps(struct plot *plot, const double *numbers, size_t count)
{
    static const char *const names[] = {"kept", "not kept"};

    for (size_t i = 0; i < 2; i++) {
        const double *ys = numbers + (i + 1) * count;
        size_t used = 0;
        for (size_t j = 0; j < count; j++)
            used += isfinite(ys[j]) ? 1 : 0;
        struct line *line = used ? plot_line(plot, names[i]) : NULL;
        if (!line)
            continue;
        line->xs = numbers;
        line->ys = ys;
        line->count = count;
        line->tone = i ? 3 : 2;
        line->dots = i == 0;
        line->crosses = i == 1;
    }
}

static void plot_steps(struct report *report, const struct view *view, size_t index)
{
    char id[32];
    size_t count;
    struct peer_search_step *steps = sorted_steps(view, &count);
    double *numbers = steps ? calloc(3 * count, sizeof(*numbers)) : NULL;
    struct plot plot = {.id = id,
                        .title = "Rates that were tried",
                        .about = "Latency that 99 % of the requests did not exceed, at each rate.",
                        .unit_x = UNIT_PER_S,
                        .unit_y = UNIT_US,
                        .axis_y = AXIS_LOG};

    snprintf(id, sizeof(id), "plot-search-%zu", index);
    for (size_t i = 0; i < count && numbers; i++) {
        const double p99 = steps[i].p99_us > 0 ? steps[i].p99_us : NAN;
        numbers[i] = steps[i].rate;
        numbers[count + i] = steps[i].kept ? p99 : NAN;
        numbers[2 * count + i] = steps[i].kept ? NAN : p99;
    }
    if (numbers) {
        if (steps[count - 1].rate > 50 * steps[0].rate)
            plot.axis_x = AXIS_LOG;
        add_steps(&plot, numbers, count);
        report_plot(report, &plot);
    }
    free(numbers);
    free(steps);
}

static void list_steps(struct report *report, const struct view *view)
{
    static const char *const heads[] = {"Asked for", "Answered", "Latency, 99 %", "Kept"};
    struct page *page = &report->page;
    struct peer_search_step step;
    char rate[WORDS];

    table_open(page, "Rates in the order in which they were tried", heads, 4);
    for (size_t i = 0; peer_result_get_step(view->result, i, &step); i++) {
        snprintf(rate, sizeof(rate), "%.10g/s", step.rate);
        row_open(page, rate);
        cell_value(page, NULL, UNIT_PER_S, step.reached);
        cell_value(page, NULL, UNIT_US, step.p99_us > 0 ? step.p99_us : NAN);
        page_html(page, "<td class=\"words ");
        page_text(page, step.kept ? "good" : "bad");
        page_html(page, "\">");
        page_format(page, "%s%s%s", step.kept ? "kept" : "not kept", *step.why_not ? ": " : "",
                    step.why_not);
        page_html(page, "</td>");
        row_close(page);
    }
    table_close(page);
}

/* NaN: none was kept. */
static double highest_kept(const struct view *view)
{
    struct peer_search_step step;
    double highest = NAN;

    for (size_t i = 0; peer_result_get_step(view->result, i, &step); i++) {
        if (step.kept)
            highest = fmax(highest, step.rate);
    }
    return highest;
}

void write_search(struct report *report)
{
    struct page *page = &report->page;
    struct peer_search_step step;
    bool open = false;

    for (size_t i = 0; i < report->count; i++) {
        const struct view *view = &report->views[i];
        char text[300], rate[WORDS];
        if (!peer_result_get_step(view->result, 0, &step))
            continue;
        if (!open)
            section_open(page, "search", "Search for the highest rate");
        open = true;
        const double highest = highest_kept(view);
        snprintf(rate, sizeof(rate), "%.10g/s", highest);
        snprintf(text, sizeof(text), "%.150s%sThe highest rate that was kept: %s.%s",
                 report->count > 1 ? view->name : "", report->count > 1 ? ": " : "",
                 isfinite(highest) ? rate : "none",
                 isfinite(highest) ? " All else on this page is of the soak at that rate." : "");
        section_say(page, text);
        plot_steps(report, view, i);
        list_steps(report, view);
    }
    if (open)
        section_close(page);
}
