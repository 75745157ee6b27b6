/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/internal.h"

#include "soak/search.h"
#include "soak/slo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct peer_slo {
    struct slo value;
};

int peer_slo_new(const char *text, struct peer_slo **ret_slo, struct peer_error *error)
{
    if (!text)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no objective");
    struct peer_slo *slo = calloc(1, sizeof(*slo));
    if (!slo)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    int status = slo_parse(text, &slo->value, error);
    if (status < 0)
        free(slo);
    else
        *ret_slo = slo;
    return status;
}

struct peer_slo *peer_slo_free(struct peer_slo *slo)
{
    free(slo);
    return NULL;
}

const char *peer_slo_text(const struct peer_slo *slo)
{
    return slo->value.text;
}

bool peer_slo_is_each(const struct peer_slo *slo)
{
    return slo->value.each;
}

bool peer_slo_is_errors(const struct peer_slo *slo)
{
    return slo_is_errors(&slo->value);
}

void peer_slo_judge_sized(const struct peer_slo *slo, const struct peer_result *result,
                          struct peer_slo_verdict *ret_verdict, size_t size)
{
    struct peer_slo_verdict verdict;

    slo_judge(&slo->value, &result->value, &verdict);
    border_give(ret_verdict, size, &verdict, sizeof(verdict));
}

/* ---- the highest rate ---- */

bool peer_result_keeps_up(const struct peer_result *result)
{
    return result_keeps_up(&result->value);
}

struct peer_rate_search {
    struct rate_search value;
};

struct peer_rate_search *peer_rate_search_new(double low, double high)
{
    struct peer_rate_search *search = low > 0 && low <= high ? calloc(1, sizeof(*search)) : NULL;

    if (search)
        rate_search_init(&search->value, low, high);
    return search;
}

struct peer_rate_search *peer_rate_search_free(struct peer_rate_search *search)
{
    free(search);
    return NULL;
}

bool peer_rate_search_next(struct peer_rate_search *search, double *ret_rate)
{
    return rate_search_next(&search->value, ret_rate);
}

void peer_rate_search_tell(struct peer_rate_search *search, bool kept)
{
    rate_search_tell(&search->value, kept);
}

double peer_rate_search_found(const struct peer_rate_search *search)
{
    return search->value.kept;
}

/* ---- what a result keeps of both ---- */

int peer_result_note_objective(struct peer_result *result, const struct peer_slo *slo)
{
    return result_add_objective(&result->value, slo->value.text);
}

const char *peer_result_get_objective(const struct peer_result *result, size_t index)
{
    return index < result->value.objective_count ? result->value.objectives[index].text : NULL;
}

int peer_result_note_step_sized(struct peer_result *result, const struct peer_search_step *step,
                                size_t size)
{
    struct peer_search_step own;

    int status = border_take(&own, sizeof(own), step, size, NULL);
    if (status < 0)
        return status;
    struct result_step kept = {
        .rate = own.rate, .reached = own.reached, .p99_us = own.p99_us, .kept = own.kept};
    if (own.why_not)
        snprintf(kept.why_not, sizeof(kept.why_not), "%s", own.why_not);
    return result_add_step(&result->value, &kept);
}

int peer_result_get_step_sized(const struct peer_result *result, size_t index,
                               struct peer_search_step *ret_step, size_t size)
{
    if (index >= result->value.step_count)
        return 0;
    const struct result_step *step = &result->value.steps[index];
    const struct peer_search_step told = {.rate = step->rate,
                                          .reached = step->reached,
                                          .p99_us = step->p99_us,
                                          .kept = step->kept,
                                          .why_not = step->why_not};
    border_give(ret_step, size, &told, sizeof(told));
    return 1;
}
