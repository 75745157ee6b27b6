/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sections and tables. A cell with a number has it once more, whole, in data-v, and where peer's
 * JSON has it in data-json: for programs that read the page.
 */
#include "report/report.h"

#include <math.h>

void section_open(struct page *page, const char *id, const char *title)
{
    page_html(page, "<section id=\"");
    page_text(page, id);
    page_html(page, "\"><h2>");
    page_text(page, title);
    page_html(page, "</h2>");
}

void section_say(struct page *page, const char *text)
{
    page_html(page, "<p class=\"note\">");
    page_text(page, text);
    page_html(page, "</p>");
}

void section_close(struct page *page)
{
    page_html(page, "</section>\n");
}

static void open(struct page *page, const char *caption, const char *first)
{
    page_html(page, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
    page_text(page, caption);
    page_html(page, "\"><table><caption>");
    page_text(page, caption);
    page_html(page, "</caption><thead><tr><th scope=\"col\">");
    page_text(page, first);
    page_html(page, "</th>");
}

static void head(struct page *page, const char *name)
{
    page_html(page, "<th scope=\"col\">");
    page_text(page, name);
    page_html(page, "</th>");
}

void table_open(struct page *page, const char *caption, const char *const *heads, size_t count)
{
    open(page, caption, heads[0]);
    for (size_t i = 1; i < count; i++)
        head(page, heads[i]);
    page_html(page, "</tr></thead><tbody>\n");
}

void table_open_runs(struct report *report, const char *caption, const char *first, bool more)
{
    struct page *page = &report->page;

    open(page, caption, first);
    for (size_t i = 0; i < report->count; i++) {
        if (report->count == 1) {
            head(page, "Value");
            continue;
        }
        page_html(page, "<th scope=\"col\"><span class=\"run t");
        page_format(page, "%zu", i % TONES);
        page_html(page, "\">");
        page_text(page, report->views[i].name);
        page_html(page, "</span></th>");
    }
    if (more)
        head(page, "Change");
    page_html(page, "</tr></thead><tbody>\n");
}

void table_close(struct page *page)
{
    page_html(page, "</tbody></table></div>\n");
}

void row_open(struct page *page, const char *name)
{
    page_html(page, "<tr><th scope=\"row\">");
    page_text(page, name);
    page_html(page, "</th>");
}

void row_close(struct page *page)
{
    page_html(page, "</tr>\n");
}

void cell_text(struct page *page, const char *text)
{
    page_html(page, "<td class=\"words\">");
    page_text(page, text);
    page_html(page, "</td>");
}

void cell_value(struct page *page, const char *path, enum unit unit, double value)
{
    char words[WORDS];

    page_html(page, "<td class=\"");
    page_text(page, value != 0 ? "number" : "number none");
    if (isfinite(value)) {
        page_html(page, "\" data-v=\"");
        page_format(page, "%.15g", value);
    }
    if (path) {
        page_html(page, "\" data-json=\"");
        page_text(page, path);
    }
    page_html(page, "\">");
    page_text(page, words_value(unit, value, words));
    page_html(page, "</td>");
}
