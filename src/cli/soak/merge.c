/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer merge: what several soaks of one run found, as one. Nothing is averaged: histograms are added,
 * and the report is that of peer soak.
 */
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(member) .offset = offsetof(struct soak_options, member)

static int add_objective(void *options, const struct option_def *option, const char *text,
                         char why[128])
{
    (void)option;
    return objectives_add(&((struct soak_options *)options)->objectives, text, why);
}

static const struct option_def merge_table[] = {
    {0, "latency", NULL, "more percentiles in the summary", option_set_flag, FIELD(latency)},
    {0, "hdr", "FILE", "request latencies in HdrHistogram's text format", option_set_string,
     FIELD(hdr), .values = "FILES"},
    {0, "result", "FILE", "the sum, for another \"peer merge\"", option_set_string, FIELD(result),
     .values = "FILES"},
    {0, "report", "FILE", "a page to look at: tables and plots, one file of HTML", option_set_string,
     FIELD(report), .values = "FILES"},
    {0, "slo", "OBJECTIVE", "what must be kept: p99<20ms, errors<0.1%, rate>=5k; may be repeated",
     add_objective, .offset = 0},
    {0, "tolerate", NULL, "exit status 0 even when errors were counted", option_set_flag,
     FIELD(tolerate)},
    {0},
};

/* ---- the parts ---- */

/* A part that began later than this after the first is late: most of an interval is without it. */
static bool is_late(const struct peer_result_part *part, uint64_t first_ns)
{
    return part->started_ns - first_ns > part->interval_ns / 2;
}

static uint64_t first_start(const struct peer_result *result)
{
    struct peer_result_part part;
    uint64_t first_ns = UINT64_MAX;

    for (size_t i = 0; peer_result_get_part(result, i, &part); i++)
        first_ns = part.started_ns < first_ns ? part.started_ns : first_ns;
    return first_ns;
}

static void print_part(const struct peer_result_part *part, uint64_t first_ns)
{
    const uint64_t later_ns = part->started_ns - first_ns;
    char name[48] = "a part", later[32], lost[64] = "";

    if (part->shards)
        snprintf(name, sizeof(name), "shard %llu of %llu", (unsigned long long)part->shard,
                 (unsigned long long)part->shards);
    printf("  %s on %s: %llu flow%s from %llu peer%s%s%s%s", name, *part->host ? part->host : "?",
           (unsigned long long)part->flows, part->flows == 1 ? "" : "s",
           (unsigned long long)part->peer_count, part->peer_count == 1 ? "" : "s",
           *part->peers ? " (" : "", part->peers, *part->peers ? ")" : "");
    if (later_ns)
        printf(", began %s after the first%s", format_time(later_ns, later),
               is_late(part, first_ns) ? ": late" : "");
    if (part->workers_lost)
        snprintf(lost, sizeof(lost), ", without %llu of %llu workers",
                 (unsigned long long)part->workers_lost, (unsigned long long)part->workers);
    printf("%s\n", lost);
}

struct totals {
    uint64_t flows, peers;
    size_t parts;
};

static struct totals add_parts(const struct peer_result *result)
{
    struct peer_result_part part;
    struct totals totals = {0};

    for (; peer_result_get_part(result, totals.parts, &part); totals.parts++) {
        totals.flows += part.flows;
        totals.peers += part.peer_count;
    }
    return totals;
}

void print_merged(const struct peer_result *result)
{
    const struct totals totals = add_parts(result);
    const uint64_t first_ns = first_start(result);
    struct peer_result_part part;

    peer_result_get_part(result, 0, &part);
    printf("%llu flow%s from %llu peer%s in %zu part%s to %s, %s\n",
           (unsigned long long)totals.flows, totals.flows == 1 ? "" : "s",
           (unsigned long long)totals.peers, totals.peers == 1 ? "" : "s", totals.parts,
           totals.parts == 1 ? "" : "s", part.target, part.protocol);
    for (size_t i = 0; peer_result_get_part(result, i, &part); i++)
        print_part(&part, first_ns);
}

static json_t *json_part(const struct peer_result_part *part, uint64_t first_ns)
{
    json_t *entry = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:b}", "host", part->host, "from", part->peers,
        "peers", (json_int_t)part->peer_count, "flows", (json_int_t)part->flows, "seed",
        (json_int_t)part->seed, "started_ns", (json_int_t)part->started_ns, "duration_s",
        (double)part->duration_ns / 1e9, "after_first_s",
        (double)(part->started_ns - first_ns) / 1e9, "late", is_late(part, first_ns));

    if (part->shards)
        json_object_set_new(entry, "shard",
                            json_pack("{s:I, s:I}", "rank", (json_int_t)part->shard, "size",
                                      (json_int_t)part->shards));
    if (part->workers)
        json_object_set_new(entry, "workers",
                            json_pack("{s:I, s:I}", "count", (json_int_t)part->workers, "lost",
                                      (json_int_t)part->workers_lost));
    return entry;
}

json_t *json_merged(const struct peer_result *result)
{
    const struct totals totals = add_parts(result);
    const uint64_t first_ns = first_start(result);
    struct peer_result_part part;
    json_t *parts = json_array();

    for (size_t i = 0; peer_result_get_part(result, i, &part); i++)
        json_array_append_new(parts, json_part(&part, first_ns));
    peer_result_get_part(result, 0, &part);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "version", peer_version(), "command",
                     "merge", "target", part.target, "workload", part.protocol, "peers",
                     (json_int_t)totals.peers, "parts", parts);
}

void json_add_shard(json_t *document, const struct peer_result *result)
{
    struct peer_result_part part;

    if (peer_result_get_part(result, 0, &part) && part.shards &&
        !peer_result_get_part(result, 1, &part))
        json_object_set_new(document, "shard",
                            json_pack("{s:I, s:I}", "rank", (json_int_t)part.shard, "size",
                                      (json_int_t)part.shards));
}

static bool has_shard(const struct peer_result *result, uint64_t shard)
{
    struct peer_result_part part;

    for (size_t i = 0; peer_result_get_part(result, i, &part); i++) {
        if (part.shard == shard)
            return true;
    }
    return false;
}

/* Says which shards there are no results of; true when there are such. */
static bool say_missing(const struct peer_result *result)
{
    struct peer_result_part part;
    uint64_t missing = 0;
    enum { TOLD = 8 };

    if (!peer_result_get_part(result, 0, &part))
        return false;
    for (uint64_t shard = 0; shard < part.shards && shard < 65536; shard++) {
        if (has_shard(result, shard))
            continue;
        if (++missing <= TOLD)
            say("shard %llu of %llu is missing%s", (unsigned long long)shard,
                (unsigned long long)part.shards, missing == TOLD ? " (and maybe more)" : "");
    }
    return missing > 0;
}

/* ---- the files ---- */

static int join(const struct soak_options *options, struct peer_result *sum, const char *path)
{
    struct peer_error error = {0};
    struct peer_result *result = NULL;

    if ((options->report && same_file(path, options->report)) ||
        (options->hdr && same_file(path, options->hdr)))
        return usage_error(&command_merge, "\"%s\" is a result, and would be overwritten", path);
    int status = read_result_file(path, &result);
    if (status != 0)
        return status;
    if (peer_result_join(sum, result, &error) < 0) {
        say("\"%s\": %s", path, error.text);
        status = error.kind == PEER_ERROR_USAGE ? STATUS_USAGE : STATUS_MACHINE;
    }
    peer_result_free(result);
    return status;
}

static int report_merged(struct soak_run *run)
{
    struct peer_soak_report report;

    peer_result_get_report(run->result, &report);
    int status = write_outputs(run);
    const bool lost = soak_lost(run->result, &(uint64_t){0}, &(uint64_t){0});
    bool missing = say_missing(run->result) || lost;
    if (status == STATUS_DONE)
        status = judge_soak(run, &report);
    return report_soak(run, &report, missing && status == STATUS_DONE ? STATUS_REMOTE : status);
}

static int run_merge(void *options, int argc, char **argv)
{
    struct soak_run run = {.options = options, .signal_fd = -1, .hdr_fd = -1, .result_fd = -1, .report_fd = -1};
    int status = 0;

    if (argc < 1)
        return usage_error(&command_merge,
                           "which results? FILE... as \"peer soak --result\" writes them");
    run.result = peer_result_new();
    if (!run.result)
        status = STATUS_MACHINE;
    for (int i = 0; i < argc && status == 0; i++)
        status = join(options, run.result, argv[i]);
    if (status == 0)
        status = output_check();
    if (status == 0)
        status = open_outputs(&run);
    if (status == 0) {
        empty_outputs(&run);
        status = report_merged(&run);
    }
    close_outputs(&run);
    peer_result_free(run.result);
    return status;
}

static void free_options(void *options)
{
    objectives_done(&((struct soak_options *)options)->objectives);
}

static const struct option_def *const tables[] = {merge_table, options_json, options_help, NULL};
const struct command command_merge = {
    .name = "merge",
    .arguments = "FILE...",
    .operands = "FILES ...",
    .summary = "results of several soaks as one",
    .about = "Each FILE is what \"peer soak --result FILE\" or --journal wrote, or - for standard "
             "input. Percentiles are\n"
             "those of all samples; intervals are matched by the wall clock. A shard that is "
             "missing is\n"
             "named, and the exit status is 1 then, as for one of which workers were lost.",
    .tables = tables,
    .options_size = sizeof(struct soak_options),
    .run = run_merge,
    .done = free_options,
};
