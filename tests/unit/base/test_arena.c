/* SPDX-License-Identifier: BSD-3-Clause */
/* The arena keeps malloc's contract, for sizes on both sides of its limit. It is compiled in here,
   so that it is tested where the program has malloc's in its place, under the sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARENA_BYTES (UINT64_C(1) << 26)
#include "base/arena.c"
#include "base/rng.h"

enum { OBJECTS = 20000, LARGEST = 700 };

struct object {
    unsigned char *bytes;
    size_t size;
    unsigned char mark;
};

static void check(const struct object *object)
{
    for (size_t i = 0; i < object->size; i++)
        assert_int_equal(object->bytes[i], object->mark);
}

static void objects_do_not_overlap_under_random_use(void **state)
{
    (void)state;
    static struct object objects[OBJECTS];
    struct rng rng;
    rng_seed(&rng, 5);
    for (int step = 0; step < 10 * OBJECTS; step++) {
        struct object *object = &objects[rng_below(&rng, OBJECTS)];
        if (object->bytes) {
            check(object);
            arena_put(object->bytes);
            object->bytes = NULL;
            continue;
        }
        object->size = rng_below(&rng, LARGEST) + 1;
        object->bytes = arena_get(object->size);
        assert_non_null(object->bytes);
        assert_int_equal((uintptr_t)object->bytes % 16, 0);
        object->mark = (unsigned char)rng_next(&rng);
        memset(object->bytes, object->mark, object->size);
    }
    for (int i = 0; i < OBJECTS; i++) {
        if (objects[i].bytes)
            check(&objects[i]);
        arena_put(objects[i].bytes);
    }
}

static void zeroed_memory_is_zero_when_it_was_used_before(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LARGEST; size += 33) {
        unsigned char *first = arena_get(size);
        assert_non_null(first);
        memset(first, 0xff, size);
        arena_put(first);
        unsigned char *second = arena_get_zeroed(size);
        assert_non_null(second);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(second[i], 0);
        arena_put(second);
    }
}

static void when_it_is_full_malloc_takes_over(void **state)
{
    (void)state;
    enum { COUNT = 200000 }; /* of 512 bytes: more than there is room for */
    static char *objects[COUNT];
    for (int i = 0; i < COUNT; i++) {
        objects[i] = arena_get(512);
        assert_non_null(objects[i]);
        memcpy(objects[i], &i, sizeof(i));
        memset(objects[i] + sizeof(i), i, 512 - sizeof(i));
    }
    for (int i = 0; i < COUNT; i++) {
        int found;
        memcpy(&found, objects[i], sizeof(found));
        assert_int_equal(found, i);
        arena_put(objects[i]);
    }
}

static void nothing_may_be_given_back(void **state)
{
    (void)state;
    arena_put(NULL);
    void *none = arena_get(0);
    arena_put(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_do_not_overlap_under_random_use),
        cmocka_unit_test(zeroed_memory_is_zero_when_it_was_used_before),
        cmocka_unit_test(when_it_is_full_malloc_takes_over),
        cmocka_unit_test(nothing_may_be_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
