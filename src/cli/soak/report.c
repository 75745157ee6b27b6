/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer report: results as a page for people, one alone or several side by side.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <peer/report.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(member) .offset = offsetof(struct report_options, member)

struct report_options {
    struct common_options common; /* first, as in all commands */
    const char *output, *title;
    struct objectives objectives;
};

static int add_objective(void *options, const struct option_def *option, const char *text,
                         char why[128])
{
    (void)option;
    return objectives_add(&((struct report_options *)options)->objectives, text, why);
}

static const struct option_def report_table[] = {
    {'o', "output", "FILE|-", "where the page goes", option_set_string, FIELD(output),
     .values = "FILES"},
    {0, "title", "TEXT", "of the page (what was soaked)", option_set_string, FIELD(title)},
    {0, "slo", "OBJECTIVE", "what must be kept: p99<20ms, errors<0.1%, rate>=5k; may be repeated",
     add_objective, .offset = 0},
    {0},
};

/* ---- the results ---- */

struct results {
    struct peer_result *results[PEER_REPORT_RESULTS];
    const char *names[PEER_REPORT_RESULTS];
    size_t count;
};

static int read_results(struct results *results, const struct report_options *options, char **paths,
                        int count)
{
    for (int i = 0; i < count; i++) {
        if (same_file(paths[i], options->output)) /* it would be gone before the page is there */
            return usage_error(&command_report, "\"%s\" is a result, and would be overwritten",
                               paths[i]);
        int status = read_result_file(paths[i], &results->results[results->count]);
        if (status != 0)
            return status;
        results->names[results->count++] = paths[i];
    }
    return 0;
}

/* Without their folders, unless these tell them apart. */
static void shorten_names(struct results *results)
{
    const char *bases[PEER_REPORT_RESULTS];

    for (size_t i = 0; i < results->count; i++) {
        const char *slash = strrchr(results->names[i], '/');
        bases[i] = slash && slash[1] ? slash + 1 : results->names[i];
        for (size_t j = 0; j < i; j++) {
            if (strcmp(bases[i], bases[j]) == 0)
                return;
        }
    }
    memcpy(results->names, bases, results->count * sizeof(*bases));
}

/* ---- the page ---- */

int write_page(const struct peer_report_config *config, const char *path, int fd)
{
    int status = peer_report_write(config, fd);

    if (status < 0)
        say("cannot write \"%s\": %s", path, strerror(-status));
    return status < 0 ? STATUS_MACHINE : STATUS_DONE;
}

static int open_page(const char *path, int *ret_fd)
{
    if (strcmp(path, "-") == 0) {
        *ret_fd = STDOUT_FILENO;
        return output_check();
    }
    *ret_fd = output_open(path, true);
    return *ret_fd < 0 ? STATUS_MACHINE : STATUS_DONE;
}

static int report_results(struct results *results, const struct report_options *options)
{
    const struct objectives *objectives = &options->objectives;
    const struct peer_report_config config = {
        .results = (const struct peer_result *const *)results->results,
        .result_count = results->count,
        .names = results->names,
        .title = options->title,
        .objectives = (const struct peer_slo *const *)objectives->slos,
        .objective_count = objectives->count,
    };
    int fd = -1;
    int status = open_page(options->output, &fd);

    if (status == STATUS_DONE)
        status = write_page(&config, options->output, fd);
    for (size_t i = 0; i < results->count && status == STATUS_DONE; i++)
        status = objectives_judge(objectives, results->results[i]) ? STATUS_DONE : STATUS_REMOTE;
    if (fd >= 0 && fd != STDOUT_FILENO)
        close(fd);
    return status;
}

static int run_report(void *given, int argc, char **argv)
{
    struct report_options *options = given;
    struct results results = {.count = 0};
    int status = 0;

    if (argc < 1)
        status = usage_error(&command_report,
                             "which results? FILE... as \"peer soak --result\" writes them");
    else if (argc > PEER_REPORT_RESULTS)
        status = usage_error(&command_report, "%d results are too many to compare: %d at the most",
                             argc, PEER_REPORT_RESULTS);
    else if (!options->output)
        status = usage_error(&command_report, "where does the page go? -o FILE");
    else
        status = read_results(&results, options, argv, argc);
    shorten_names(&results);
    if (status == 0)
        status = report_results(&results, options);
    for (size_t i = 0; i < results.count; i++)
        peer_result_free(results.results[i]);
    return status;
}

static void free_options(void *options)
{
    objectives_done(&((struct report_options *)options)->objectives);
}

static const struct option_def *const tables[] = {report_table, options_help, NULL};
const struct command command_report = {
    .name = "report",
    .arguments = "RESULT... -o FILE",
    .operands = "FILES ...",
    .summary = "results of soaks as a page to look at, or to compare",
    .about =
        "Each RESULT is what \"peer soak --result FILE\" or \"peer merge --result FILE\" wrote, or "
        "-\n"
        "for standard input. The page is one file of HTML with tables and plots, which needs no\n"
        "network. Several results are put side by side.",
    .tables = tables,
    .options_size = sizeof(struct report_options),
    .run = run_report,
    .done = free_options,
};
