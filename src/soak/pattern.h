/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_PATTERN_H
#define SOAK_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * An endless stream of bytes that is a function of (key, offset): both ends of a check can make any
 * part of it without having kept any. Two streams, or two offsets of one, agree by chance only, so
 * lost, doubled and exchanged bytes are found.
 */
void pattern_fill(uint64_t key, uint64_t offset, void *out, size_t len);
/** Offset of the first byte of `data` that differs from the stream, or -1. */
int64_t pattern_check(uint64_t key, uint64_t offset, const void *data, size_t len);
/** Whether `data` is a part of the stream, and where that is. It is found when a whole word of the
 *  stream, eight bytes from a multiple of eight on, is in it: 15 bytes are always enough. */
bool pattern_find(uint64_t key, const void *data, size_t len, uint64_t *ret_offset);

#endif
