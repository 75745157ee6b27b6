/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The highest rate at which a service keeps its objectives: a soak for each rate that
 * peer_rate_search wants tried. The one net serves all of them.
 */
#include "soak.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a step, unless another is asked for: long enough for a backlog to grow into the latencies. */
#define STEP_NS        (2 * CLI_NS_PER_S)
#define STEP_WARMUP_NS (500 * CLI_NS_PER_MS)

static bool take_rate(const char **text, double *ret_rate)
{
    char *end;

    *ret_rate = strtod(*text, &end);
    if (end == *text || !(*ret_rate > 0) || *ret_rate > 1e9)
        return false;
    if (*end == 'k') {
        *ret_rate *= 1000;
        end++;
    }
    *text = end;
    return true;
}

int option_set_search(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    struct soak_options *soak = options;
    char word[32], *dots;
    const char *low = word, *high;

    (void)option;
    snprintf(word, sizeof(word), "%s", text);
    dots = strstr(word, "..");
    high = dots ? dots + 2 : word;
    if (dots)
        *dots = 0; /* or 1..20 would be read as 1. and .20 */
    if (!dots || strlen(text) >= sizeof(word) || !take_rate(&low, &soak->search_low) || *low ||
        !take_rate(&high, &soak->search_high) || *high || soak->search_low > soak->search_high) {
        snprintf(why, 128, "is no range of rates such as 1k..200k");
        return -EINVAL;
    }
    return 0;
}

int settle_search(struct soak_options *options)
{
    struct peer_soak_config *soak = &options->soak;

    if (options->stop_at_slo && !options->objectives.count)
        return usage_error(&command_soak, "--stop-at-slo needs to know what is to be kept: --slo");
    if (options->search_low <= 0)
        return 0;
    if (!options->objectives.count)
        return usage_error(&command_soak, "--rate-search needs to know what is to be kept: --slo");
    if (soak->rate > 0 || soak->connect_rate > 0)
        return usage_error(&command_soak,
                           "--rate-search chooses the rate: no -R, no --connect-rate");
    if (soak->total)
        return usage_error(&command_soak,
                           "--rate-search tries each rate for some time: -d, not -n");
    if (!soak->duration_ns)
        soak->duration_ns = STEP_NS;
    if (!soak->warmup_ns)
        soak->warmup_ns = STEP_WARMUP_NS;
    return 0;
}

static void judge_step(const struct soak_run *run, struct search_step *step)
{
    struct peer_soak_report report;
    char text[128];

    peer_result_get_report(run->result, &report);
    step->reached = report.duration_ns ? (double)(report.in_time.completed + report.carried) * 1e9 /
                                             (double)report.duration_ns
                                       : 0;
    step->p99_us = report.request.count ? report.request.p99 : 0;
    step->kept = !*run->broke && objectives_are_kept(&run->options->objectives, run->result, text);
    if (*run->broke)
        snprintf(step->why_not, sizeof(step->why_not), "%s", run->broke);
    else if (!step->kept)
        snprintf(step->why_not, sizeof(step->why_not), "%s", text);
    else if (peer_soak_errors(&report.counts) && !run->options->objectives.errors)
        snprintf(step->why_not, sizeof(step->why_not), "%llu errors",
                 (unsigned long long)peer_soak_errors(&report.counts));
    else if (!peer_result_keeps_up(run->result))
        snprintf(step->why_not, sizeof(step->why_not), "answers came at %.0f/s", step->reached);
    step->kept = !*step->why_not;
}

static struct search_step *new_step(struct soak_run *run)
{
    void *more = realloc(run->steps, (run->step_count + 1) * sizeof(*run->steps));

    if (!more)
        return NULL;
    run->steps = more;
    struct search_step *step = &run->steps[run->step_count++];
    memset(step, 0, sizeof(*step));
    return step;
}

/* Keeps the result of the highest rate that was kept, or the first. What was cut short tells nothing. */
static int try_rate(struct soak_run *run, double rate, struct peer_result **best)
{
    struct search_step *step = new_step(run);

    if (!step)
        return STATUS_MACHINE;
    step->rate = run->options->soak.rate = rate;
    int status = soak_once(run);
    if (status != 0)
        return status;
    judge_step(run, step);
    if ((step->kept && !run->broken_off) || !*best) {
        peer_result_free(*best);
        *best = run->result;
    } else {
        peer_result_free(run->result);
    }
    run->result = NULL;
    if (run->live.form != LIVE_NONE && !run->broken_off)
        fprintf(stderr, "%.10g/s: %s\n", rate, step->kept ? "kept" : step->why_not);
    return 0;
}

int soak_search(struct soak_run *run)
{
    struct peer_rate_search *search =
        peer_rate_search_new(run->options->search_low, run->options->search_high);
    struct peer_result *best = NULL;
    int status = search ? 0 : STATUS_MACHINE;
    double rate;

    while (status == 0 && !run->broken_off && peer_rate_search_next(search, &rate)) {
        status = try_rate(run, rate, &best);
        if (status == 0 && !run->broken_off)
            peer_rate_search_tell(search, run->steps[run->step_count - 1].kept);
    }
    if (search)
        run->found_rate = run->options->soak.rate = peer_rate_search_found(search);
    if (run->broken_off && run->step_count)
        run->step_count--; /* it was cut short, and says nothing */
    run->result = best;
    peer_rate_search_free(search);
    if (status == 0 && !best)
        status = STATUS_MACHINE; /* a signal came before the first was over */
    return status;
}

/* ---- what was found ---- */

void print_search(const struct soak_run *run)
{
    char p99[32];

    if (!run->steps)
        return;
    if (!run->step_count) {
        printf("The search was ended before the first rate had been tried\n");
        return;
    }
    printf("The rates that were tried; all above is of the highest that was kept:\n"
           "  %12s %12s %9s\n",
           "asked", "answered", "p99");
    for (size_t i = 0; i < run->step_count; i++) {
        const struct search_step *step = &run->steps[i];
        printf("  %10.10g/s %10.0f/s %9s  %s\n", step->rate, step->reached,
               format_time((uint64_t)(step->p99_us * 1e3), p99),
               step->kept ? "kept" : step->why_not);
    }
    if (run->found_rate > 0)
        printf("Highest rate:    %.10g/s\n", run->found_rate);
    else
        printf("Highest rate:    none: %.10g/s was too high\n", run->options->search_low);
}

json_t *json_search(const struct soak_run *run)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < run->step_count; i++) {
        const struct search_step *step = &run->steps[i];
        json_t *entry = json_pack("{s:f, s:f, s:b, s:f}", "rate", step->rate, "reached",
                                  step->reached, "kept", step->kept, "p99_us", step->p99_us);
        if (!step->kept)
            json_object_set_new(entry, "why_not", json_string(step->why_not));
        json_array_append_new(steps, entry);
    }
    return json_pack("{s:o, s:o}", "highest",
                     run->found_rate > 0 ? json_real(run->found_rate) : json_null(), "steps",
                     steps);
}
