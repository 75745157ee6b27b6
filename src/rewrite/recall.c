/* SPDX-License-Identifier: BSD-3-Clause */
#include "rewrite/recall.h"

#include <stdlib.h>

/* 0 stands for an empty place. */
static uint64_t some(uint64_t key)
{
    return key ? key : 1;
}

static struct recall_entry *set_of(const struct recall *recall, uint64_t key)
{
    return recall->entries + (key & (recall->sets - 1)) * RECALL_WAYS;
}

struct recall_entry *recall_find(struct recall *recall, uint64_t key)
{
    key = some(key);
    if (!recall->entries)
        return NULL;
    struct recall_entry *set = set_of(recall, key);
    for (int i = 0; i < RECALL_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
    }
    return NULL;
}

void recall_put(struct recall *recall, uint64_t key, uint64_t value, uint64_t now_ns)
{
    key = some(key);
    if (!recall->entries)
        recall->entries = calloc((size_t)recall->sets * RECALL_WAYS, sizeof(*recall->entries));
    if (!recall->entries)
        return;
    struct recall_entry *place = recall_find(recall, key);
    if (!place) {
        struct recall_entry *set = set_of(recall, key);
        place = set;
        for (int i = 1; i < RECALL_WAYS; i++) {
            if (set[i].used_ns < place->used_ns)
                place = &set[i];
        }
    }
    *place = (struct recall_entry){key, value, now_ns};
}

void recall_done(struct recall *recall)
{
    free(recall->entries);
    recall->entries = NULL;
}
