/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/** Intrusive doubly linked list, circular with a head. A node on no list points to itself. */
struct list {
    struct list *next, *prev;
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/** Walks from the first node to the last; the second form allows removing the node at hand. */
#define list_each(node, head) for ((node) = (head)->next; (node) != (head); (node) = (node)->next)
#define list_each_safe(node, after, head)                                                          \
    for ((node) = (head)->next, (after) = (node)->next; (node) != (head);                          \
         (node) = (after), (after) = (node)->next)

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}
static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}
static inline void list_add_tail(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
/** Removing twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;
    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

#endif
