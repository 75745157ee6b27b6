/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers for which their protocol has words, as RCODEs are DNS's, and wills, which are MQTT's.
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

/* What they are called before the first of them, and what stands before each name. */
static void print_kind(const char *kind, const char **ret_before)
{
    static const struct {
        const char *kind, *called, *before;
    } rows[] = {
        {"closes", "closes that servers sent, by code", "of "},
        {"sqlstates", "errors, by SQLSTATE", "of "},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].kind, kind) != 0)
            continue;
        printf("  %s: ", rows[i].called);
        *ret_before = rows[i].before;
        return;
    }
    printf("  answers: ");
    *ret_before = "";
}

void print_answers(const struct peer_result *result)
{
    struct peer_soak_answers answers;
    const char *kind = NULL, *before = "";

    for (size_t i = 0; peer_result_get_answers(result, i, &answers); i++) {
        bool more = kind && strcmp(kind, answers.kind) == 0;
        if (kind)
            fputs(more ? ", " : "\n", stdout);
        if (!more)
            print_kind(answers.kind, &before);
        printf("%llu %s%s", (unsigned long long)answers.count, before, answers.name);
        kind = answers.kind;
    }
    if (kind)
        putchar('\n');
}

void print_wills(const struct peer_soak_counts *counts)
{
    const unsigned long long due = counts->wills_due, came = counts->wills;

    if (!due)
        return;
    printf("  %llu client%s went without a word: %llu of the wills came", due, due == 1 ? "" : "s",
           came);
    if (came < due)
        printf(", %llu had not at the end", due - came);
    putchar('\n');
}
