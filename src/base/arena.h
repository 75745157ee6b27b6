/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

/**
 * Memory for the small things of connections, which come and go by the hundred thousand: malloc's
 * contract, of the process as malloc is, with a few instructions for each call and on huge pages
 * once there is much of it. Not for several threads. What was given back is kept for the next of
 * that size. Aligned to 16 bytes.
 */
void *arena_get(size_t size);
void *arena_get_zeroed(size_t size);
/** NULL is taken. */
void arena_put(void *memory);

#endif
