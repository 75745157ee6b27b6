/* SPDX-License-Identifier: BSD-3-Clause */
/* What a report says when workers of the run were lost: it is not of all. */
#include "soak.h"

#include <stdio.h>

bool soak_lost(const struct peer_result *result, uint64_t *ret_workers, uint64_t *ret_lost)
{
    struct peer_result_part part;
    uint64_t workers = 0, lost = 0;

    for (size_t i = 0; peer_result_get_part(result, i, &part); i++) {
        workers += part.workers ? part.workers : 1;
        lost += part.workers_lost;
    }
    *ret_workers = workers;
    *ret_lost = lost;
    return lost > 0;
}

void print_lost(const struct peer_result *result)
{
    uint64_t workers, lost;

    if (soak_lost(result, &workers, &lost))
        printf("  PARTIAL: %llu of %llu workers %s lost; what %s found is in no figure here\n",
               (unsigned long long)lost, (unsigned long long)workers, lost == 1 ? "was" : "were",
               lost == 1 ? "it" : "they");
}

void json_add_lost(json_t *document, const struct peer_result *result)
{
    uint64_t workers, lost;

    if (soak_lost(result, &workers, &lost))
        json_object_set_new(document, "partial",
                            json_pack("{s:I, s:I}", "workers", (json_int_t)workers, "lost",
                                      (json_int_t)lost));
}

void say_lost(const char *path, const struct peer_result *result)
{
    struct peer_result_part part;
    char name[64] = "";

    for (size_t i = 0; peer_result_get_part(result, i, &part); i++) {
        if (!part.workers_lost)
            continue;
        if (part.shards)
            snprintf(name, sizeof(name), ", shard %llu of %llu,", (unsigned long long)part.shard,
                     (unsigned long long)part.shards);
        say("\"%s\"%s is partial: %llu of its %llu workers %s lost, and what %s found", path, name,
            (unsigned long long)part.workers_lost, (unsigned long long)part.workers,
            part.workers_lost == 1 ? "was" : "were", part.workers_lost == 1 ? "it" : "they");
    }
}
