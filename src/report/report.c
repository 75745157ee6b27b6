/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page, from top to bottom. All of it is made from what the public API says of results. It is
 * whole without its script; that draws the plots a second time, so that one can look closer. Nothing
 * is fetched, which the page itself forbids the browser: its policy names the scripts that may run by
 * their hashes.
 */
#include "report/report.h"

#include <report_assets.h> /* which embed.cmake makes */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool report_plot(struct report *report, const struct plot *plot)
{
    if (!plot_figure(&report->page, plot))
        return false;
    if (report->plots.len)
        page_html(&report->plots, ",\n");
    plot_numbers(&report->plots, plot);
    return true;
}

static void write_top(struct report *report)
{
    struct page *page = &report->page;
    const struct view *view = &report->views[0];

    page_html(page,
              "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
              "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
              "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
              "script-src ");
    page_bytes(page, report_script_policy, strlen(report_script_policy));
    page_html(page,
              "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
              "<meta name=\"color-scheme\" content=\"light dark\">\n"
              "<link rel=\"icon\" href=\"data:,\">\n<title>");
    page_format(page, "%.300s: peer",
                report->config->title ? report->config->title : view->part.target);
    page_html(page, "</title>\n<style>\n");
    page_bytes(page, report_plot_style, report_plot_style_len);
    page_bytes(page, report_style, report_style_len);
    page_html(page, "</style></head>\n<body><main>\n");
}

/* Scripts are written as they were hashed, to the byte. */
static void write_scripts(struct report *report)
{
    struct page *page = &report->page;

    page_html(page, "</main>\n<script type=\"application/json\" id=\"plots\">[");
    page_bytes(page, report->plots.bytes, report->plots.len);
    page_html(page, "]</script>\n");
    if (report_plot_script_len) {
        page_html(page, "<!-- uPlot:\n");
        page_bytes(page, report_plot_licence, report_plot_licence_len);
        page_html(page, "\n-->\n<script>");
        page_bytes(page, report_plot_script, report_plot_script_len);
        page_html(page, "</script>\n<script>");
        page_bytes(page, report_script, report_script_len);
        page_html(page, "</script>\n");
    }
    page_html(page, "</body></html>\n");
}

static void write_page(struct report *report)
{
    write_top(report);
    write_head(report);
    write_figures(report);
    write_objectives(report);
    write_search(report);
    write_time(report);
    write_changes(report);
    write_latencies(report);
    write_errors(report);
    write_answers(report);
    write_targets(report);
    write_manners(report);
    write_application(report);
    write_local(report);
    write_links(report);
    write_parts(report);
    write_intervals(report);
    write_foot(report);
    write_scripts(report);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

static int read_views(struct report *report)
{
    const struct peer_report_config *config = report->config;
    int status = 0;

    for (size_t i = 0; i < config->result_count && status == 0; i++) {
        struct view *view = &report->views[report->count++];
        status = view_init(view, config->results[i], POINTS_MOST / config->result_count);
        view_name(view, config->names ? config->names[i] : NULL, i + 1);
    }
    return status;
}

static int write_report(const struct peer_report_config *config, int fd)
{
    struct report *report = calloc(1, sizeof(*report));
    int status = report ? 0 : -ENOMEM;

    if (report) {
        report->config = config;
        status = read_views(report);
    }
    if (status == 0) {
        write_page(report);
        status = report->page.failed || report->plots.failed
                     ? -ENOMEM
                     : write_all(fd, report->page.bytes, report->page.len);
    }
    for (size_t i = 0; report && i < report->count; i++)
        view_done(&report->views[i]);
    if (report) {
        free(report->page.bytes);
        free(report->plots.bytes);
    }
    free(report);
    return status;
}

/* What is asked for beyond what is known here is refused. */
int peer_report_write_sized(const struct peer_report_config *config, size_t size, int fd)
{
    struct peer_report_config own = {0};

    if (!config)
        return -EINVAL;
    for (size_t i = sizeof(own); i < size; i++) {
        if (((const unsigned char *)config)[i])
            return -E2BIG;
    }
    memcpy(&own, config, size < sizeof(own) ? size : sizeof(own));
    if (!own.result_count || own.result_count > PEER_REPORT_RESULTS || !own.results)
        return -EINVAL;
    return write_report(&own, fd);
}
