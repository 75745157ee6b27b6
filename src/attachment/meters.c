/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel counts of the application's side, and of this process. All of it is opened once:
 * a process that has given up its privileges opens no files and enters no namespaces.
 */
#include "attachment/attachment.h"

#include "kernel/observe/sysctl.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static_assert((int)COUNTERS_FILES <= (int)NETNS_FDS_MAX, "one message carries them all");

/* In a helper process. `arg` says which of the files are there. */
static int open_there(void *arg, struct netns_result *result)
{
    struct counters *there = arg;

    counters_open(there);
    for (int i = 0; i < COUNTERS_FILES; i++) {
        if (there->fds[i] >= 0)
            result->fds[result->fd_count++] = there->fds[i];
    }
    return 0;
}

static void open_counters(struct attachment *attachment)
{
    struct counters counters = {.fds = {-1, -1, -1, -1}};
    const struct netns_errand errand = {.place = attachment->netns,
                                        .work = open_there,
                                        .arg = &counters,
                                        .data = &counters,
                                        .data_len = sizeof(counters)};
    struct netns_result result = {0};
    int taken = 0;

    if (attachment->netns.fd < 0)
        counters_open(&counters);
    else if (netns_run(&errand, &result, NULL) == 0)
        for (int i = 0; i < COUNTERS_FILES; i++) {
            if (counters.fds[i] >= 0)
                counters.fds[i] = result.fds[taken++];
        }
    attachment->meters.counters = counters;
}

void attachment_open_own_meters(struct attachment *attachment)
{
    attachment->meters = (struct meters){.open = true, .counters = {.fds = {-1, -1, -1, -1}}};
    cpu_files_open(&attachment->meters.cpu);
    attachment->meters.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void attachment_open_meters(struct attachment *attachment)
{
    if (attachment->meters.open)
        return;
    open_counters(attachment);
    cpu_files_open(&attachment->meters.cpu);
    attachment->meters.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    attachment->meters.open = true;
}

void meters_close(struct meters *meters)
{
    if (!meters->open)
        return;
    counters_close(&meters->counters);
    cpu_files_close(&meters->cpu);
    if (meters->statm >= 0)
        (void)close(meters->statm);
    meters->open = false;
}

uint64_t meters_resident_bytes(const struct meters *meters)
{
    unsigned long long pages = 0;
    char text[128];

    if (!meters->open || proc_text(meters->statm, text, sizeof(text)) < 0 ||
        sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
