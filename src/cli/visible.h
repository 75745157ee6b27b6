/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_VISIBLE_H
#define CLI_VISIBLE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * What an application sends, made harmless for a terminal: control characters as cat -v writes
 * them (^[, ^?, M-^A). Line breaks (CR LF too), tabs and UTF-8 text stay. A character whose bytes
 * come apart is held until it is complete. Zeroed before the first use.
 */
struct visible {
    unsigned char held[4];
    unsigned held_len;
};

enum { VISIBLE_MOST = 4 }; /* characters for a byte, at the most */
/** Writes to `out`, which has room for VISIBLE_MOST * (len + 4) bytes, and returns how many. */
size_t visible_encode(struct visible *visible, const void *data, size_t len, char *out);
/** What is held and will not be completed. */
size_t visible_end(struct visible *visible, char *out);

#endif
