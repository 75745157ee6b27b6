/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include <peer/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The text of a page, as it grows. Zero is empty; `bytes` is for free(). */
struct page {
    char *bytes;
    size_t len, room;
    bool failed; /* there was no memory: it is not whole */
};

/** As it is. By its name only a literal is: nothing that comes from outside gets into the page but
 *  by the functions below. */
#define page_html(page, literal) page_bytes(page, "" literal, sizeof(literal) - 1)
void page_bytes(struct page *page, const void *bytes, size_t len);

/** Text of an element, or of an attribute in quotes. What is no UTF-8, controls and what turns the
 *  direction of text around are U+FFFD. */
void page_text(struct page *page, const char *text);
/** The same, formatted. */
void page_format(struct page *page, const char *format, ...) PEER_PRINTF(2, 3);
/** A string of JSON, with its quotes, which may stand in a script. */
void page_json(struct page *page, const char *text);
/** A number of JSON: six digits; null for what is none. */
void page_json_number(struct page *page, double number);

#endif
