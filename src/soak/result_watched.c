/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The application in a result: its processes, and how what they use develops.
 */
#include "soak/result_internal.h"

#include "base/macro.h"
#include "soak/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct result_process *find(const struct result *result, const struct result_process *like)
{
    for (size_t i = 0; i < result->process_count; i++) {
        struct result_process *process = &result->processes[i];
        if (process->pid == like->pid && process->started == like->started)
            return process;
    }
    return NULL;
}

int result_add_process(struct result *result, const struct result_process *process)
{
    const size_t count = result->process_count;
    struct result_process *known = find(result, process);

    if (known) {
        known->first_ns = MIN(known->first_ns, process->first_ns);
        known->last_ns = MAX(known->last_ns, process->last_ns);
        return 0;
    }
    if (count == RESULT_PROCESSES_MOST)
        return 0;
    void *larger = realloc(result->processes, (count + 1) * sizeof(*result->processes));
    if (!larger)
        return -ENOMEM;
    result->processes = larger;
    result->processes[count] = *process;
    bytes_make_visible(result->processes[count].name); /* it gave itself that name */
    result->process_count++;
    return 0;
}

int result_add_processes(struct result *into, const struct result *from, uint64_t later_ns)
{
    int status = 0;

    for (size_t i = 0; i < from->process_count && status == 0; i++) {
        struct result_process process = from->processes[i];
        process.first_ns += later_ns;
        process.last_ns += later_ns;
        status = result_add_process(into, &process);
    }
    return status;
}

bool result_has_processes_of(const struct result *result, const struct result *other)
{
    for (size_t i = 0; i < other->process_count; i++) {
        if (find(result, &other->processes[i]))
            return true;
    }
    return false;
}

/* ---- growth ---- */

static size_t since_restart(const struct result *result)
{
    size_t first = 0;

    for (size_t i = 0; i < result->interval_count; i++) {
        if (result->intervals[i].watch.restarts)
            first = i;
    }
    return first;
}

void result_growth(const struct result *result, size_t at, double least, struct growth *ret_growth)
{
    uint64_t *times = malloc((result->interval_count + 1) * sizeof(*times));
    double *values = malloc((result->interval_count + 1) * sizeof(*values));
    size_t count = 0;

    *ret_growth = (struct growth){.known = false};
    for (size_t i = since_restart(result); times && values && i < result->interval_count; i++) {
        const struct result_interval *interval = &result->intervals[i];
        uint64_t value;
        if (!interval->watch.taken || !interval->watch.processes || interval->after_end)
            continue;
        memcpy(&value, (const char *)&interval->watch + at, sizeof(value));
        times[count] = interval->start_ns + interval->length_ns;
        values[count++] = (double)value;
    }
    if (times && values)
        growth_of(times, values, count, least, ret_growth);
    free(times);
    free(values);
}
