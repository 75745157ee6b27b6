/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "rewrite/index.h"
#include "rewrite/recall.h"

#include <string.h>

enum { SLOTS = 3000 };

static uint32_t tags[SLOTS]; /* 0: not in the index */

/* Few tags, near to each other and at both ends of the table: long runs, and round its end. */
static uint32_t draw_tag(struct rng *rng)
{
    uint32_t few = 1 + (uint32_t)rng_below(rng, 200);

    return rng_below(rng, 2) ? few : UINT32_MAX - few;
}

static void assert_holds(const struct slot_index *index)
{
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint32_t at = tags[slot], found, times = 0;
        if (!tags[slot])
            continue;
        count++;
        while ((found = slot_index_next(index, tags[slot], &at)) != SLOT_NONE) {
            assert_int_equal(tags[found], tags[slot]);
            times += found == slot;
        }
        assert_int_equal(times, 1);
    }
    assert_int_equal(index->count, count);
}

static void slots_are_found_by_their_tags(void **state)
{
    struct slot_index index = {0};
    struct rng rng;
    uint32_t at = 5;

    (void)state;
    rng_seed(&rng, 3);
    assert_int_equal(slot_index_next(&index, 5, &at), SLOT_NONE);
    for (int i = 0; i < 20000; i++) {
        uint32_t slot = (uint32_t)rng_below(&rng, SLOTS);
        if (tags[slot]) {
            slot_index_remove(&index, tags[slot], slot);
            tags[slot] = 0;
        } else {
            tags[slot] = draw_tag(&rng);
            assert_int_equal(slot_index_reserve(&index), 0);
            slot_index_put(&index, tags[slot], slot);
        }
        if (i % 1000 == 0)
            assert_holds(&index);
    }
    assert_holds(&index);
    slot_index_done(&index);
}

static void the_one_used_longest_ago_is_forgotten(void **state)
{
    struct recall recall = {.sets = 2};

    (void)state;
    assert_null(recall_find(&recall, 2));
    for (uint64_t i = 0; i < RECALL_WAYS; i++)
        recall_put(&recall, 2 + 2 * i, i, 100 + i);
    recall_find(&recall, 2)->used_ns = 200;
    recall_put(&recall, 100, 9, 201);
    assert_int_equal(recall_find(&recall, 2)->value, 0);
    assert_null(recall_find(&recall, 4));
    assert_int_equal(recall_find(&recall, 100)->value, 9);
    recall_put(&recall, 100, 10, 202);
    assert_int_equal(recall_find(&recall, 100)->value, 10);
    assert_null(recall_find(&recall, 3)); /* the other set is untouched */
    recall_put(&recall, 0, 11, 203);
    assert_int_equal(recall_find(&recall, 0)->value, 11);
    recall_done(&recall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_found_by_their_tags),
        cmocka_unit_test(the_one_used_longest_ago_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
