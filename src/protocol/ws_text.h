/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_WS_TEXT_H
#define PROTOCOL_WS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/**
 * Messages of text, that are UTF-8 and have neither blanks nor line breaks: servers that take a message
 * for a line echo them too. Each byte is a function of the pattern (soak/pattern.h) and its place.
 */

/** Writes the bytes at `at` of a message of `size` bytes, which begins at `base` of the pattern. */
void ws_text_fill(uint64_t key, uint64_t base, uint64_t size, uint64_t at, void *out, size_t len);
/** The place in the message of the first byte that differs, or -1. */
int64_t ws_text_check(uint64_t key, uint64_t base, uint64_t size, uint64_t at, const void *data,
                      size_t len);

#endif
