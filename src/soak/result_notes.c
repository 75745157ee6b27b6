/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a result keeps of the question, beside the answer: objectives, and the rates that a search tried.
 */
#include "soak/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int result_add_step(struct result *result, const struct result_step *step)
{
    size_t size = (result->step_count + 1) * sizeof(*result->steps);
    struct result_step *larger = realloc(result->steps, size);

    if (!larger)
        return -ENOMEM;
    result->steps = larger;
    larger[result->step_count++] = *step;
    return 0;
}

int result_add_objective(struct result *result, const char *text)
{
    size_t size = (result->objective_count + 1) * sizeof(*result->objectives);

    for (size_t i = 0; i < result->objective_count; i++) {
        if (strcmp(result->objectives[i].text, text) == 0)
            return 0;
    }
    struct result_objective *larger = realloc(result->objectives, size);
    if (!larger)
        return -ENOMEM;
    result->objectives = larger;
    snprintf(larger[result->objective_count++].text, sizeof(larger->text), "%s", text);
    return 0;
}
