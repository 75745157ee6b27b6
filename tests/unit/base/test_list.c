/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int value;
    struct list node;
};

static int value_of(const struct list *node)
{
    return list_entry(node, const struct item, node)->value;
}

static void fill(struct list *head, struct item items[4])
{
    list_init(head);
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        list_add_tail(head, &items[i].node);
    }
}

static void a_new_list_is_empty(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_pop(&head));
}

static void nodes_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct list head, *node;
    struct item items[4];
    int expected = 0;
    fill(&head, items);
    list_each(node, &head) assert_int_equal(value_of(node), expected++);
    assert_int_equal(expected, 4);
    for (int i = 0; i < 4; i++) {
        node = list_pop(&head);
        assert_ptr_equal(node, &items[i].node);
        assert_true(list_empty(node));
    }
    assert_true(list_empty(&head));
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    struct list head;
    struct item items[4];
    fill(&head, items);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_true(list_empty(&items[1].node));
    assert_int_equal(value_of(list_pop(&head)), 0);
    assert_int_equal(value_of(list_pop(&head)), 2);
    list_add_tail(&head, &items[1].node);
    assert_int_equal(value_of(list_pop(&head)), 3);
    assert_int_equal(value_of(list_pop(&head)), 1);
    assert_null(list_pop(&head));
}

static void the_safe_walk_allows_removing_the_node_at_hand(void **state)
{
    (void)state;
    struct list head, *node, *after;
    struct item items[4];
    int seen = 0;
    fill(&head, items);
    list_each_safe(node, after, &head)
    {
        seen++;
        if (value_of(node) % 2)
            list_remove(node);
    }
    assert_int_equal(seen, 4);
    assert_int_equal(value_of(list_pop(&head)), 0);
    assert_int_equal(value_of(list_pop(&head)), 2);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_is_empty),
        cmocka_unit_test(nodes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(the_safe_walk_allows_removing_the_node_at_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
