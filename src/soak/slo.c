/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objectives: a line of words becomes a metric, a comparison and a bound; the metric is looked up in
 * a result, or in each interval of one. Nothing is measured here: a metric that the run has no
 * sample of is not kept, since nobody can say that it was.
 */
#include "soak/slo.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/suggest.h"
#include "soak/result.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEPS_UP_PERCENT = 99 };

/* What is judged: the whole, or one interval. */
struct sample {
    const struct peer_soak_counts *counts; /* wanted in that time */
    uint64_t completed, established;       /* done in that time */
    uint64_t length_ns;
    struct hdr_histogram *const *histograms;
};

static const struct metric {
    const char *name;
    enum peer_slo_unit unit;
    size_t at; /* ERRORS: of its counter in struct peer_soak_counts */
    enum { METRIC_LATENCY, METRIC_ERRORS, METRIC_RATE, METRIC_CONNECTIONS, METRIC_COMPLETED } kind;
} metrics[] = {
#define ERRORS(name, member)                                                                       \
    {                                                                                              \
        name, PEER_SLO_NUMBER, offsetof(struct peer_soak_counts, member), METRIC_ERRORS            \
    }
    {"latency", PEER_SLO_MICROSECONDS, 0, METRIC_LATENCY}, /* first: see slo_parse */
    {"errors", PEER_SLO_NUMBER, SIZE_MAX, METRIC_ERRORS},
    ERRORS("errors.refused", refused),
    ERRORS("errors.reset", reset),
    ERRORS("errors.timeout", timeout),
    ERRORS("errors.bad_answer", bad_answer),
    ERRORS("errors.closed_early", closed_early),
    ERRORS("errors.status", unexpected_status),
    ERRORS("errors.closed_idle", closed_idle),
    ERRORS("errors.login", login),
    ERRORS("errors.full", full),
    ERRORS("errors.tls_protocol", tls_protocol),
    ERRORS("errors.tls_certificate", tls_certificate),
    ERRORS("errors.tls_closed", tls_closed),
    {"rate", PEER_SLO_PER_SECOND, 0, METRIC_RATE},
    {"connections", PEER_SLO_PER_SECOND, 0, METRIC_CONNECTIONS},
    {"completed", PEER_SLO_NUMBER, 0, METRIC_COMPLETED},
#undef ERRORS
};

static const char *const histogram_names[RESULT_HISTOGRAMS] = {
    [PEER_HISTOGRAM_HANDSHAKE] = "handshake",
    [PEER_HISTOGRAM_FIRST_BYTE] = "first_byte",
    [PEER_HISTOGRAM_REQUEST] = "request",
    [PEER_HISTOGRAM_LOGIN] = "login",
    [PEER_HISTOGRAM_TLS] = "tls",
    [PEER_HISTOGRAM_WILL] = "will",
    [PEER_HISTOGRAM_PING] = "ping",
};

/* ---- the words ---- */

struct cut {
    const char *text;
    size_t len;
};

static bool is_word(struct cut cut, const char *word)
{
    return strlen(word) == cut.len && memcmp(cut.text, word, cut.len) == 0;
}

static struct cut trim(const char *text, size_t len)
{
    while (len && *text == ' ')
        text++, len--;
    while (len && text[len - 1] == ' ')
        len--;
    return (struct cut){text, len};
}

/* "p99", "p99.9", "p999": from the third digit on they are behind the point. */
static bool take_percentile(struct cut cut, double *ret_percentile)
{
    double value = 0, unit = 1;
    size_t digits = 0;

    if (cut.len < 2 || cut.text[0] != 'p')
        return false;
    for (size_t i = 1; i < cut.len; i++) {
        char c = cut.text[i];
        if (c == '.' && digits == 2 && i + 1 < cut.len)
            continue;
        if (c < '0' || c > '9' || ++digits > 7)
            return false;
        if (digits <= 2)
            value = value * 10 + (c - '0');
        else
            value += (c - '0') * (unit /= 10);
    }
    *ret_percentile = value;
    return value > 0;
}

/* "p99" and "mean", with "request." or another before it. */
static bool take_latency(struct cut cut, struct slo *slo)
{
    static const struct {
        const char *name;
        double percentile;
    } names[] = {{"mean", -1}, {"min", 0}, {"max", 100}, {"p100", 100}};
    const char *dot = memchr(cut.text, '.', cut.len);

    slo->histogram = PEER_HISTOGRAM_REQUEST;
    for (uint8_t i = 0; dot && i < RESULT_HISTOGRAMS; i++) {
        if (!is_word((struct cut){cut.text, (size_t)(dot - cut.text)}, histogram_names[i]))
            continue;
        slo->histogram = i;
        cut = (struct cut){dot + 1, cut.len - (size_t)(dot + 1 - cut.text)};
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (is_word(cut, names[i].name)) {
            slo->percentile = names[i].percentile;
            return true;
        }
    }
    return take_percentile(cut, &slo->percentile);
}

static int refuse_metric(struct cut cut, struct peer_error *error)
{
    static const char *const words[] = {"p50",
                                        "p90",
                                        "p99",
                                        "p999",
                                        "mean",
                                        "min",
                                        "max",
                                        "handshake.p99",
                                        "first_byte.p99",
                                        "request.p99",
                                        "errors",
                                        "errors.refused",
                                        "errors.reset",
                                        "errors.timeout",
                                        "errors.bad_answer",
                                        "errors.closed_early",
                                        "errors.status",
                                        "errors.closed_idle",
                                        "rate",
                                        "connections",
                                        "completed",
                                        NULL};
    const char *near = suggest_word(cut.text, cut.len, words);

    if (near)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "nothing that is measured is called \"%.*s\"; did you mean \"%s\"?",
                         (int)MIN(cut.len, (size_t)40), cut.text, near);
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "nothing is called \"%.*s\"; there are p99 (also handshake.p99), mean, max, "
                     "errors, rate, connections ...",
                     (int)MIN(cut.len, (size_t)20), cut.text);
}

static int take_metric(struct cut cut, struct slo *slo, struct peer_error *error)
{
    if (take_latency(cut, slo)) {
        slo->metric = 0;
        return 0;
    }
    for (uint8_t i = 1; i < ARRAY_SIZE(metrics); i++) {
        if (is_word(cut, metrics[i].name)) {
            slo->metric = i;
            return 0;
        }
    }
    return refuse_metric(cut, error);
}

/* "/s" off the end of what is a rate. */
static struct cut take_per_second(struct cut cut, const struct metric *metric)
{
    if (metric->unit != PEER_SLO_PER_SECOND || cut.len < 2 ||
        memcmp(cut.text + cut.len - 2, "/s", 2) != 0)
        return cut;
    return trim(cut.text, cut.len - 2);
}

/* The number of "20ms" or "20 ms", with what its unit is worth. */
static int take_bound(struct cut given, struct slo *slo, struct peer_error *error)
{
    static const struct {
        const char *name;
        bool of_time, of_errors;
        double factor; /* of times to us */
    } units[] = {{"us", true, false, 1},   {"ms", true, false, 1e3}, {"s", true, false, 1e6},
                 {"%", false, true, 0.01}, {"", false, false, 1},    {"k", false, false, 1e3},
                 {"m", false, false, 1e6}};
    const struct metric *metric = &metrics[slo->metric];
    const bool time = metric->kind == METRIC_LATENCY, errors = metric->kind == METRIC_ERRORS;
    const struct cut cut = take_per_second(given, metric);
    char number[32], *end;

    if (cut.len > 0 && cut.len < sizeof(number) && strchr(".0123456789", cut.text[0])) {
        memcpy(number, cut.text, cut.len);
        number[cut.len] = 0;
        slo->bound = strtod(number, &end);
        if (strpbrk(number, "xXeEpPiI"))
            end = number;
        const char *unit = end + strspn(end, " ");
        for (size_t i = 0; end != number && i < ARRAY_SIZE(units); i++) {
            if (strcmp(unit, units[i].name) != 0 || units[i].of_time != time ||
                (units[i].of_errors && !errors))
                continue;
            slo->bound *= units[i].factor;
            slo->share = units[i].of_errors;
            return 0;
        }
    }
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "the bound \"%.*s\" is no %s",
                     (int)MIN(given.len, (size_t)40), given.text,
                     time     ? "time such as 20ms, 1.5s or 800us"
                     : errors ? "number, and no share such as 0.1%"
                              : "number such as 5000 or 20k");
}

/* "@each" or "@ each" off the end. */
static struct cut take_each(struct cut cut, struct slo *slo)
{
    static const char each[] = "each";
    const size_t len = sizeof(each) - 1;

    if (cut.len < len || memcmp(cut.text + cut.len - len, each, len) != 0)
        return cut;
    const struct cut before = trim(cut.text, cut.len - len);
    slo->each = before.len && before.text[before.len - 1] == '@';
    return slo->each ? trim(before.text, before.len - 1) : cut;
}

/* In one line of a report, and in a file of one: blanks. */
static void blank_tabs(char *text)
{
    for (; *text; text++) {
        if (*text == '\t' || *text == '\n')
            *text = ' ';
    }
}

int slo_parse(const char *given, struct slo *ret_slo, struct peer_error *error)
{
    struct slo slo = {0};

    if ((size_t)snprintf(slo.text, sizeof(slo.text), "%s", given) >= sizeof(slo.text))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "it is too long");
    blank_tabs(slo.text);
    const char *text = slo.text;
    const size_t before = strcspn(text, "<>");
    if (!text[before])
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "there is no comparison in it as in p99<20ms, errors<0.1%% or rate>=5000");
    slo.less = text[before] == '<';
    slo.or_equal = text[before + 1] == '=';
    const char *behind = text + before + 1 + slo.or_equal;
    int status = take_metric(trim(text, before), &slo, error);
    if (status == 0)
        status = take_bound(take_each(trim(behind, strlen(behind)), &slo), &slo, error);
    if (status == 0 && slo.each && metrics[slo.metric].kind == METRIC_LATENCY &&
        slo.histogram != PEER_HISTOGRAM_REQUEST)
        status = error_set(error, PEER_ERROR_USAGE, EINVAL,
                           "of each interval only latencies of requests are kept");
    if (status == 0)
        *ret_slo = slo;
    return status;
}

bool slo_is_errors(const struct slo *slo)
{
    return metrics[slo->metric].kind == METRIC_ERRORS;
}

/* ---- the verdict ---- */

static bool latency_of(const struct slo *slo, const struct sample *sample, double *ret_value)
{
    const struct hdr_histogram *histogram = sample->histograms[slo->histogram];

    if (!histogram || !histogram->total_count)
        return false;
    double ns = slo->percentile < 0 ? histogram_mean(histogram)
                : slo->percentile == 0
                    ? (double)hdr_min(histogram)
                    : (double)hdr_value_at_percentile(histogram, slo->percentile);
    *ret_value = ns / 1e3;
    return true;
}

/* All that was asked for came to an answer or to an error. */
static bool errors_of(const struct slo *slo, const struct peer_soak_counts *counts,
                      double *ret_value)
{
    const size_t at = metrics[slo->metric].at;
    uint64_t all = peer_soak_errors(counts), asked = counts->completed + all;
    uint64_t errors =
        at == SIZE_MAX ? all : *(const uint64_t *)(const void *)((const char *)counts + at);

    if (slo->share && !asked)
        return false;
    *ret_value = slo->share ? (double)errors / (double)asked : (double)errors;
    return true;
}

static bool value_of(const struct slo *slo, const struct sample *sample, double *ret_value)
{
    const double seconds = (double)sample->length_ns / 1e9;

    switch (metrics[slo->metric].kind) {
    case METRIC_LATENCY:
        return latency_of(slo, sample, ret_value);
    case METRIC_ERRORS:
        return errors_of(slo, sample->counts, ret_value);
    case METRIC_COMPLETED:
        *ret_value = (double)sample->counts->completed;
        return true;
    case METRIC_RATE:
    case METRIC_CONNECTIONS:
        *ret_value = (double)(metrics[slo->metric].kind == METRIC_RATE ? sample->completed
                                                                       : sample->established) /
                     seconds;
        return sample->length_ns > 0;
    }
    return false;
}

static bool is_kept(const struct slo *slo, double value)
{
    return slo->less ? value < slo->bound || (slo->or_equal && value <= slo->bound)
                     : value > slo->bound || (slo->or_equal && value >= slo->bound);
}

static void judge_sample(const struct slo *slo, const struct sample *sample,
                         struct peer_slo_verdict *verdict)
{
    verdict->measured = value_of(slo, sample, &verdict->value);
    verdict->kept = verdict->measured && is_kept(slo, verdict->value);
}

/* An interval with no sample says nothing. */
static void judge_interval(const struct slo *slo, const struct result_interval *interval,
                           struct hdr_histogram *scratch, struct peer_slo_verdict *verdict)
{
    struct hdr_histogram *const histograms[RESULT_HISTOGRAMS] = {[PEER_HISTOGRAM_REQUEST] =
                                                                     scratch};
    const struct sample sample = {.counts = &interval->counts,
                                  .completed = interval->counts.completed,
                                  .established = interval->counts.established,
                                  .length_ns = interval->length_ns,
                                  .histograms = histograms};
    double value;

    hdr_reset(scratch);
    if (interval->request.len && packed_add_to(&interval->request, scratch) < 0)
        return;
    if (!value_of(slo, &sample, &value))
        return;
    bool kept = is_kept(slo, value);
    verdict->intervals_failed += !kept;
    if (!verdict->in_interval || (slo->less ? value > verdict->value : value < verdict->value)) {
        verdict->in_interval = verdict->measured = true;
        verdict->value = value;
        verdict->interval_start_ns = interval->start_ns;
    }
}

static bool is_rate(const struct slo *slo)
{
    return metrics[slo->metric].kind == METRIC_RATE ||
           metrics[slo->metric].kind == METRIC_CONNECTIONS;
}

/* The whole was judged already. */
static void judge_intervals(const struct slo *slo, const struct result *result,
                            struct peer_slo_verdict *verdict)
{
    struct peer_slo_verdict worst = *verdict;
    struct hdr_histogram *scratch;
    uint64_t usual_ns = result->interval_count ? result->intervals[0].length_ns : 0;

    if (histogram_new(&scratch) < 0)
        return;
    for (size_t i = 0; i < result->interval_count; i++) {
        const struct result_interval *interval = &result->intervals[i];
        if (!interval->after_end && !(is_rate(slo) && interval->length_ns < usual_ns))
            judge_interval(slo, interval, scratch, &worst);
    }
    hdr_close(scratch);
    worst.kept = verdict->kept && !worst.intervals_failed;
    if (worst.intervals_failed || verdict->kept)
        *verdict = worst;
}

void slo_judge(const struct slo *slo, const struct result *result,
               struct peer_slo_verdict *ret_verdict)
{
    const struct figures *found = &result->found;
    const struct sample whole = {.counts = &found->counts,
                                 .completed = found->in_time.completed + found->carried,
                                 .established = found->in_time.established,
                                 .length_ns = result_active_ns(result),
                                 .histograms = found->histograms};

    *ret_verdict = (struct peer_slo_verdict){
        .unit = slo->share ? PEER_SLO_SHARE : metrics[slo->metric].unit, .bound = slo->bound};
    judge_sample(slo, &whole, ret_verdict);
    if (slo->each)
        judge_intervals(slo, result, ret_verdict);
}

/* In requests: what was begun before the measured time and ended in it is as many as what was not
   answered by its end, when the service keeps up. One or two may be on the way. */
bool result_keeps_up(const struct result *result)
{
    double wanted = result->asked_rate * (double)result_active_ns(result) / 1e9;
    double done = (double)(result->found.in_time.completed + result->found.carried);

    return done + 2 >= wanted * KEEPS_UP_PERCENT / 100;
}
