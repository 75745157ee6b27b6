/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a result beside its report: files, and an exit status.
 */
#include "soak.h"

#include <peer/report.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Shards have the same command line: "{}" is what tells their files apart. */
static int open_output(const char *path, uint64_t shard, int *ret_fd)
{
    if (!path)
        return STATUS_DONE;
    if (strcmp(path, "-") == 0) {
        say("cannot write \"-\": standard output has the report of the run; name a file");
        return STATUS_USAGE;
    }
    char *numbered = number_path(path, shard);
    if (numbered)
        *ret_fd = output_open(numbered, false);
    free(numbered);
    return *ret_fd < 0 ? STATUS_MACHINE : STATUS_DONE;
}

/* One of the two would be lost. */
static int check_apart(const struct soak_options *options)
{
    const struct {
        const char *option, *path;
    } files[] = {{"--hdr", options->hdr},
                 {"--result", options->result},
                 {"--report", options->report},
                 {"--journal", options->journal},
                 {"--pcap", options->common.pcap}};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(files); i++) {
        for (size_t j = 0; j < i; j++) {
            if (!files[i].path || !files[j].path || !same_file(files[i].path, files[j].path))
                continue;
            say("%s and %s are the same file, \"%s\"", files[j].option, files[i].option, files[i].path);
            return STATUS_USAGE;
        }
    }
    return STATUS_DONE;
}

int open_outputs(struct soak_run *run)
{
    int status = check_apart(run->options);

    if (status == STATUS_DONE)
        status = open_output(run->options->hdr, run->options->common.shard, &run->hdr_fd);

    if (status == STATUS_DONE)
        status = open_output(run->options->result, run->options->common.shard, &run->result_fd);
    if (status == STATUS_DONE)
        status = open_output(run->options->report, run->options->common.shard, &run->report_fd);
    return status;
}

void empty_outputs(struct soak_run *run)
{
    const int fds[] = {run->hdr_fd, run->result_fd, run->report_fd};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(fds); i++) {
        if (fds[i] >= 0)
            (void)ftruncate(fds[i], 0); /* which a FIFO or a device cannot be */
    }
}

static int written(const char *path, int status)
{
    if (status < 0)
        say("cannot write \"%s\": %s", path, strerror(-status));
    return status < 0 ? STATUS_MACHINE : STATUS_DONE;
}

/* What was to be kept, and which rates were tried: reports that are made later say so, too. */
static int note(struct soak_run *run)
{
    const struct objectives *objectives = &run->options->objectives;
    int status = 0;

    for (size_t i = 0; i < objectives->count && status == 0; i++)
        status = peer_result_note_objective(run->result, objectives->slos[i]);
    for (size_t i = 0; i < run->step_count && status == 0; i++) {
        const struct search_step *step = &run->steps[i];
        const struct peer_search_step noted = {.rate = step->rate,
                                               .reached = step->reached,
                                               .p99_us = step->p99_us,
                                               .kept = step->kept,
                                               .why_not = step->why_not};
        status = peer_result_note_step(run->result, &noted);
    }
    return status;
}

int write_outputs(struct soak_run *run)
{
    const struct peer_result *const results[] = {run->result};
    const struct peer_report_config page = {.results = results, .result_count = 1};
    int status = note(run) < 0 ? STATUS_MACHINE : STATUS_DONE;

    if (run->hdr_fd >= 0 && status == STATUS_DONE)
        status =
            written(run->options->hdr,
                    peer_result_print_histogram(run->result, PEER_HISTOGRAM_REQUEST, run->hdr_fd));
    if (run->result_fd >= 0 && status == STATUS_DONE)
        status = written(run->options->result, peer_result_write(run->result, run->result_fd));
    if (run->report_fd >= 0 && status == STATUS_DONE)
        status = write_page(&page, run->options->report, run->report_fd);
    return status;
}

void close_outputs(struct soak_run *run)
{
    if (run->hdr_fd >= 0)
        close(run->hdr_fd);
    if (run->result_fd >= 0)
        close(run->result_fd);
    if (run->report_fd >= 0)
        close(run->report_fd);
}

/* An objective about errors says how many of them are too many. */
int judge_soak(const struct soak_run *run, const struct peer_soak_report *report)
{
    const struct soak_options *options = run->options;

    if (run->steps)
        return run->found_rate > 0 ? STATUS_DONE : STATUS_REMOTE;
    bool kept = !*run->broke && objectives_judge(&options->objectives, run->result);

    if (*run->broke)
        say("ended, since it is not kept: %s", run->broke);

    if (peer_soak_errors(&report->counts) && !options->tolerate && !options->objectives.errors)
        return STATUS_REMOTE;
    return kept ? STATUS_DONE : STATUS_REMOTE;
}
