/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers for which their protocol has words, as RCODEs are DNS's.
 */
#include "soak.h"

#include <stdio.h>
#include <string.h>

void json_add_answers(json_t *requests, const struct peer_result *result)
{
    struct peer_soak_answers answers;

    for (size_t i = 0; peer_result_get_answers(result, i, &answers); i++) {
        json_t *kind = json_object_get(requests, answers.kind);
        if (!kind) {
            kind = json_object();
            json_object_set_new(requests, answers.kind, kind);
        }
        json_object_set_new(kind, answers.name, json_integer((json_int_t)answers.count));
    }
}

void print_answers(const struct peer_result *result)
{
    struct peer_soak_answers answers;
    const char *kind = NULL;

    for (size_t i = 0; peer_result_get_answers(result, i, &answers); i++) {
        bool more = kind && strcmp(kind, answers.kind) == 0;
        printf("%s%s%s%llu %s", kind && !more ? "\n" : "", more ? ", " : "  ",
               more ? "" : "answers: ", (unsigned long long)answers.count, answers.name);
        kind = answers.kind;
    }
    if (kind)
        putchar('\n');
}
