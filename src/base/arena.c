/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A great range of addresses is reserved, without memory. It is given out in spans of 64 KiB, each
 * for objects of one size (a multiple of 32 bytes, up to 512) and noted as such in a table, so that
 * an object needs no header: its address tells its size. Objects that were given back are a list,
 * last in first out. Larger ones are malloc's, and so is everything when there is no such range.
 *
 * From the second 2 MiB on huge pages are asked for. With ten thousand connections the translation
 * of addresses is a good part of what a cache miss costs, in a virtual machine above all.
 *
 * The sanitizer sees more when each object is malloc's.
 */
#include "base/arena.h"

#include "base/macro.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef ARENA_BYTES /* its test says */
#if SANITIZED
#define ARENA_BYTES 0
#else
#define ARENA_BYTES (UINT64_C(1) << 36)
#endif
#endif

#define SPAN_BYTES   (UINT64_C(1) << 16)
#define REGION_BYTES (UINT64_C(1) << 21)
enum { STEP_BYTES = 32, SIZES = 16 };

struct free_object {
    struct free_object *next;
};

/* Objects of (index + 1) * STEP_BYTES. */
struct size_class {
    struct free_object *free;
    char *fresh, *end; /* what was not given out yet of the latest span */
};

static struct {
    char *base;         /* NULL: not reserved */
    bool asked;         /* for the range */
    uint64_t used;      /* bytes of spans given out */
    uint64_t committed; /* bytes with memory behind them */
    struct size_class classes[SIZES];
    uint8_t size_of_span[ARENA_BYTES / SPAN_BYTES + 1];
} arena;

/* Aligned to a region. */
static void reserve(void)
{
    arena.asked = true;
    if (ARENA_BYTES == 0)
        return;
    void *range = mmap(NULL, ARENA_BYTES + REGION_BYTES, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED)
        return;
    uintptr_t start = ((uintptr_t)range + REGION_BYTES - 1) & ~(uintptr_t)(REGION_BYTES - 1);
    arena.base = (char *)start;
}

static bool commit_region(void)
{
    char *region = arena.base + arena.committed;

    if (arena.committed == ARENA_BYTES ||
        mprotect(region, REGION_BYTES, PROT_READ | PROT_WRITE) < 0)
        return false;
    if (arena.committed > 0)
        (void)madvise(region, REGION_BYTES, MADV_HUGEPAGE);
    arena.committed += REGION_BYTES;
    return true;
}

static bool new_span(unsigned index)
{
    struct size_class *class = &arena.classes[index];

    if (!arena.asked)
        reserve();
    if (!arena.base || (arena.used == arena.committed && !commit_region()))
        return false;
    class->fresh = arena.base + arena.used;
    class->end = class->fresh + SPAN_BYTES;
    arena.size_of_span[arena.used / SPAN_BYTES] = (uint8_t)index;
    arena.used += SPAN_BYTES;
    return true;
}

void *arena_get(size_t size)
{
    unsigned index = (unsigned)(MAX(size, (size_t)1) - 1) / STEP_BYTES;
    if (size > STEP_BYTES * SIZES)
        return malloc(size);

    struct size_class *class = &arena.classes[index];
    struct free_object *object = class->free;
    if (object) {
        class->free = object->next;
        return object;
    }
    size_t bytes = (index + 1) * (size_t)STEP_BYTES;
    if ((size_t)(class->end - class->fresh) < bytes && !new_span(index))
        return malloc(size);
    char *fresh = class->fresh;
    class->fresh += bytes;
    return fresh;
}

void *arena_get_zeroed(size_t size)
{
    void *memory = arena_get(size);

    return memory ? memset(memory, 0, size) : NULL;
}

void arena_put(void *memory)
{
    uint64_t offset = (uintptr_t)memory - (uintptr_t)arena.base;

    if (!arena.base || offset >= arena.used) {
        free(memory);
        return;
    }
    struct size_class *class = &arena.classes[arena.size_of_span[offset / SPAN_BYTES]];
    struct free_object *object = memory;
    object->next = class->free;
    class->free = object;
}
