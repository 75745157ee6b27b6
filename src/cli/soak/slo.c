/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objectives (--slo) and what became of them, in words and as JSON.
 */
#include "slo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int objectives_add(struct objectives *objectives, const char *text, char why[128])
{
    struct peer_error error;
    struct peer_slo *slo;

    if (objectives->count == OBJECTIVES_MAX) {
        snprintf(why, 128, "is one objective too many");
        return -EINVAL;
    }
    if (peer_slo_new(text, &slo, &error) < 0) {
        snprintf(why, 128, "is no objective: %.110s", error.text);
        return -EINVAL;
    }
    objectives->slos[objectives->count++] = slo;
    objectives->each |= peer_slo_is_each(slo);
    objectives->errors |= peer_slo_is_errors(slo);
    return 0;
}

void objectives_done(struct objectives *objectives)
{
    for (size_t i = 0; i < objectives->count; i++)
        peer_slo_free(objectives->slos[i]);
    objectives->count = 0;
}

static const char *format_value(enum peer_slo_unit unit, double value, char buf[32])
{
    switch (unit) {
    case PEER_SLO_MICROSECONDS:
        return format_time((uint64_t)(value * 1e3), buf);
    case PEER_SLO_SHARE:
        snprintf(buf, 32, "%.3g%%", value * 100);
        return buf;
    case PEER_SLO_PER_SECOND:
        snprintf(buf, 32, "%.2f/s", value);
        return buf;
    case PEER_SLO_NUMBER:
        break;
    }
    snprintf(buf, 32, "%.0f", value);
    return buf;
}

/* "23.10 ms", "23.10 ms at 4.0 s, 3 intervals", "nothing measured". */
static const char *describe(const struct peer_slo_verdict *verdict, char buf[128])
{
    char value[32];

    if (!verdict->measured)
        return "nothing was measured";
    format_value(verdict->unit, verdict->value, value);
    if (!verdict->in_interval)
        snprintf(buf, 128, "%s", value);
    else if (verdict->intervals_failed)
        snprintf(buf, 128, "%s at %.1f s, not kept in %llu interval%s", value,
                 (double)verdict->interval_start_ns / 1e9,
                 (unsigned long long)verdict->intervals_failed,
                 verdict->intervals_failed == 1 ? "" : "s");
    else
        snprintf(buf, 128, "%s at %.1f s at the worst", value,
                 (double)verdict->interval_start_ns / 1e9);
    return buf;
}

/* Of something that is still counted. */
static bool is_a_total(const struct peer_slo *slo)
{
    static const char name[] = "completed";
    const char *text = peer_slo_text(slo);

    return strncmp(text + strspn(text, " "), name, sizeof(name) - 1) == 0;
}

static bool are_kept(const struct objectives *objectives, const struct peer_result *result,
                     bool so_far, char why[128])
{
    struct peer_slo_verdict verdict;
    char text[128];

    for (size_t i = 0; i < objectives->count; i++) {
        peer_slo_judge(objectives->slos[i], result, &verdict);
        if (verdict.kept || (so_far && (!verdict.measured || is_a_total(objectives->slos[i]))))
            continue;
        snprintf(why, 128, "%.60s: %.60s", peer_slo_text(objectives->slos[i]),
                 describe(&verdict, text));
        return false;
    }
    return true;
}

bool objectives_are_kept(const struct objectives *objectives, const struct peer_result *result,
                         char why[128])
{
    return are_kept(objectives, result, false, why);
}

bool objectives_are_kept_so_far(const struct objectives *objectives,
                                const struct peer_result *result, char why[128])
{
    return are_kept(objectives, result, true, why);
}

bool objectives_judge(const struct objectives *objectives, const struct peer_result *result)
{
    char why[128];
    bool kept = objectives_are_kept(objectives, result, why);

    if (!kept)
        say("not kept: %s", why);
    return kept;
}

void objectives_print(const struct objectives *objectives, const struct peer_result *result)
{
    struct peer_slo_verdict verdict;
    char text[128];

    for (size_t i = 0; i < objectives->count; i++) {
        peer_slo_judge(objectives->slos[i], result, &verdict);
        printf("%-8s %-22s %s\n", verdict.kept ? "kept" : "NOT KEPT",
               peer_slo_text(objectives->slos[i]), describe(&verdict, text));
    }
}

json_t *objectives_json(const struct objectives *objectives, const struct peer_result *result)
{
    static const char *const units[] = {[PEER_SLO_NUMBER] = "number",
                                        [PEER_SLO_MICROSECONDS] = "us",
                                        [PEER_SLO_SHARE] = "share",
                                        [PEER_SLO_PER_SECOND] = "per_s"};
    json_t *all = json_array();

    for (size_t i = 0; i < objectives->count; i++) {
        struct peer_slo_verdict verdict;

        peer_slo_judge(objectives->slos[i], result, &verdict);
        json_t *entry = json_pack("{s:s, s:b, s:o, s:f, s:s}", "objective",
                                  peer_slo_text(objectives->slos[i]), "kept", verdict.kept, "value",
                                  verdict.measured ? json_real(verdict.value) : json_null(),
                                  "bound", verdict.bound, "unit", units[verdict.unit]);
        if (peer_slo_is_each(objectives->slos[i]))
            json_object_set_new(entry, "intervals_failed",
                                json_integer((json_int_t)verdict.intervals_failed));
        if (verdict.in_interval)
            json_object_set_new(entry, "interval_start_s",
                                json_real((double)verdict.interval_start_ns / 1e9));
        json_array_append_new(all, entry);
    }
    return all;
}
