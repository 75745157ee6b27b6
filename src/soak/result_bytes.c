/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A result as bytes: a line that names it, then records, each a kind, a length and so many bytes. A
 * reader passes over kinds that it does not know, and over what follows in a record what it knows;
 * what is missing at the end of one is 0. So versions read each other as far as they can. The last
 * record is empty: a file without it was cut off.
 *
 * How values are written is bytes.h's. A histogram is pairs for the counters that are not 0: how many
 * to pass over, and the count.
 *
 * What is read may come from anywhere: every length is doubted.
 */
#include "soak/bytes.h"
#include "soak/journal.h"
#include "soak/result_internal.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/macro.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <stdlib.h>
#include <string.h>

static const char name_line[] = "peer result 1\n";
#define RESULT_BYTES_MOST (UINT64_C(1) << 30)
/* Those of the first version stand before the words of errors, later ones behind, the latest last. */
enum { HISTOGRAMS_FIRST = 3, HISTOGRAMS_SECOND = 5 };
enum { TARGETS_MOST = 1000000 };
enum { PARTS_MOST = 65536 };
enum { STEPS_MOST = 10000, OBJECTIVES_MOST = 1000 };
enum { SHARES_MOST = 256 }; /* each takes a megabyte, however short its record is */

/* ---- writing ---- */

static void put_histogram(struct out *out, const struct hdr_histogram *histogram)
{
    bytes_put_sparse(out, histogram->counts, (size_t)histogram->counts_len);
}

static void put_counts(struct out *out, const struct peer_soak_counts *counts)
{
    bytes_put_sparse(out, counts, COUNTS);
}

static void put_answers(struct out *out, const struct figures *figures)
{
    uint64_t used = 0;

    for (size_t i = 0; i < RESULT_ANSWERS; i++)
        used += figures->answers[i].count != 0;
    bytes_put_number(out, used);
    for (size_t i = 0; i < RESULT_ANSWERS; i++) {
        if (!figures->answers[i].count)
            continue;
        bytes_put_text(out, figures->answers[i].kind);
        bytes_put_text(out, figures->answers[i].name);
        bytes_put_number(out, figures->answers[i].count);
    }
}

static void put_figures(struct out *out, const struct figures *figures)
{
    put_counts(out, &figures->counts);
    put_counts(out, &figures->in_time);
    bytes_put_sparse(out, figures->codes, PEER_STATUS_CODES);
    bytes_put_number(out, figures->carried);
    bytes_put_number(out, figures->warmed);
    for (size_t i = 0; i < HISTOGRAMS_FIRST; i++)
        put_histogram(out, figures->histograms[i]);
    bytes_put_number(out, figures->first_error);
    bytes_put_text(out, figures->cannot_open);
    bytes_put_number(out, PEER_SOAK_ERROR_KINDS);
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++)
        bytes_put_text(out, figures->first_errors[i]);
    for (size_t i = HISTOGRAMS_FIRST; i < HISTOGRAMS_SECOND; i++)
        put_histogram(out, figures->histograms[i]);
    put_answers(out, figures);
    bytes_put_text(out, figures->tls_agreed);
    for (size_t i = HISTOGRAMS_SECOND; i < RESULT_HISTOGRAMS; i++)
        put_histogram(out, figures->histograms[i]);
}

static void put_found(struct out *out, const struct result *result, size_t index)
{
    (void)index;
    put_figures(out, &result->found);
}

static void put_fields(struct out *out, const struct result *result, size_t index)
{
    (void)index;
    for (size_t i = 0; i < result_field_count; i++) {
        const void *from = (const char *)result + result_fields[i].at;
        if (result_fields[i].rule == RESULT_REAL)
            bytes_put_real(out, *(const double *)from);
        else
            bytes_put_number(out, *(const uint64_t *)from);
    }
}

static void put_share(struct out *out, const struct result *result, size_t index)
{
    const struct result_share *share = &result->shares[index];

    bytes_put_text(out, share->name);
    bytes_put_text(out, share->spec);
    bytes_put_real(out, share->share);
    bytes_put_number(out, share->flows);
    bytes_put_number(out, share->open);
    bytes_put_number(out, share->begun);
    bytes_put_number(out, share->closed);
    bytes_put_number(out, share->reset);
    bytes_put_number(out, share->given_up);
    put_figures(out, &share->found);
}

static void put_target(struct out *out, const struct result *result, size_t index)
{
    const struct target_figures *target = &result->found.targets[index];

    bytes_put_text(out, target->name ? target->name : "");
    bytes_put_number(out, target->completed);
    bytes_put_number(out, target->errors);
    for (size_t i = 0; i < TARGET_STATUSES && target->statuses[i].count; i++) {
        bytes_put_number(out, target->statuses[i].status);
        bytes_put_number(out, target->statuses[i].count);
    }
}

static void put_interval(struct out *out, const struct result *result, size_t index)
{
    const struct result_interval *interval = &result->intervals[index];

    bytes_put_number(out, interval->start_ns);
    bytes_put_number(out, interval->length_ns);
    bytes_put_number(out, interval->open);
    bytes_put_number(out, interval->after_end);
    put_counts(out, &interval->counts);
    bytes_put(out, interval->request.bytes, interval->request.len);
}

static void put_part(struct out *out, const struct result *result, size_t index)
{
    const struct result_part *part = &result->parts[index];

    bytes_put_text(out, part->version);
    bytes_put_text(out, part->host);
    bytes_put_text(out, part->protocol);
    bytes_put_text(out, part->target);
    bytes_put_text(out, part->peers);
    bytes_put_number(out, part->peer_count);
    bytes_put_number(out, part->flows);
    bytes_put_number(out, part->seed);
    bytes_put_number(out, part->interval_ns);
    bytes_put_number(out, part->started_ns);
    bytes_put_number(out, part->duration_ns);
    bytes_put_number(out, part->shard);
    bytes_put_number(out, part->shards);
    bytes_put_number(out, part->workers);
    bytes_put_number(out, part->workers_lost);
}

int packed_from(const struct hdr_histogram *histogram, struct packed *ret_packed)
{
    struct out out = {0};

    put_histogram(&out, histogram);
    if (out.failed) {
        free(out.bytes);
        return -ENOMEM;
    }
    *ret_packed = (struct packed){out.bytes, out.len};
    return 0;
}

static void put_watch(struct out *out, const struct result *result, size_t index)
{
    const struct result_interval *interval = &result->intervals[index];
    const struct result_watch *watch = &interval->watch;

    if (!watch->taken)
        return;
    bytes_put_number(out, interval->start_ns);
    bytes_put_number(out, watch->processes);
    bytes_put_number(out, watch->rss_bytes);
    bytes_put_number(out, watch->fds);
    bytes_put_number(out, watch->threads);
    bytes_put_number(out, watch->cpu_ns);
    bytes_put_number(out, watch->restarts);
}

static void put_process(struct out *out, const struct result *result, size_t index)
{
    const struct result_process *process = &result->processes[index];

    bytes_put_number(out, process->pid);
    bytes_put_number(out, process->started);
    bytes_put_text(out, process->name);
    bytes_put_number(out, process->first_ns);
    bytes_put_number(out, process->last_ns);
}

/* ---- reading ---- */

static void get_histogram(struct in *in, struct hdr_histogram *histogram)
{
    uint64_t total = 0;

    bytes_get_sparse(in, histogram->counts, (size_t)histogram->counts_len);
    for (int32_t i = 0; i < histogram->counts_len; i++) {
        uint64_t count = (uint64_t)histogram->counts[i];
        if (count > RESULT_SAMPLES_MOST - total) {
            in->wrong = true;
            histogram->counts[i] = 0;
            continue;
        }
        total += count;
    }
    hdr_reset_internal_counters(histogram);
}

static void get_counts(struct in *in, struct peer_soak_counts *counts)
{
    bytes_get_sparse(in, counts, COUNTS);
}

static void get_answers(struct in *in, struct figures *figures)
{
    uint64_t used = bytes_get_number(in);

    for (; used && !in->wrong && in->at < in->end; used--) {
        struct answers answers = {.count = 0};
        bytes_get_text(in, answers.kind, sizeof(answers.kind));
        bytes_get_text(in, answers.name, sizeof(answers.name));
        answers.count = bytes_get_number(in);
        answers_add(figures, &answers);
    }
}

static void get_figures(struct in *in, struct figures *figures)
{
    char text[RESULT_ERROR_TEXT];

    get_counts(in, &figures->counts);
    get_counts(in, &figures->in_time);
    bytes_get_sparse(in, figures->codes, PEER_STATUS_CODES);
    figures->carried = bytes_get_number(in);
    figures->warmed = bytes_get_number(in);
    for (size_t i = 0; i < HISTOGRAMS_FIRST; i++)
        get_histogram(in, figures->histograms[i]);
    uint64_t first = bytes_get_number(in);
    figures->first_error = first <= PEER_SOAK_ERROR_KINDS ? (uint8_t)first : 0;
    bytes_get_text(in, figures->cannot_open, RESULT_OPEN_TEXT);
    uint64_t kinds = bytes_get_number(in);
    for (uint64_t i = 0; i < kinds && !in->wrong && in->at < in->end; i++)
        bytes_get_text(in, i < PEER_SOAK_ERROR_KINDS ? figures->first_errors[i] : text,
                       sizeof(text));
    for (size_t i = HISTOGRAMS_FIRST; i < HISTOGRAMS_SECOND && !in->wrong; i++)
        get_histogram(in, figures->histograms[i]);
    get_answers(in, figures);
    bytes_get_text(in, figures->tls_agreed, RESULT_TLS_TEXT);
    for (size_t i = HISTOGRAMS_SECOND; i < RESULT_HISTOGRAMS && !in->wrong; i++)
        get_histogram(in, figures->histograms[i]);
}

static int get_fields(struct in *in, struct result *result)
{
    for (size_t i = 0; i < result_field_count; i++) {
        void *to = (char *)result + result_fields[i].at;
        if (result_fields[i].rule == RESULT_REAL)
            *(double *)to = bytes_get_real(in);
        else
            *(uint64_t *)to = bytes_get_number(in);
    }
    return 0;
}

static int get_found(struct in *in, struct result *result)
{
    get_figures(in, &result->found);
    return 0;
}

static int get_share(struct in *in, struct result *result)
{
    struct result_share *share;

    in->wrong = result->share_count == SHARES_MOST;
    if (in->wrong)
        return 0;
    share = result_new_share(result);
    if (!share)
        return -ENOMEM;
    bytes_get_text(in, share->name, sizeof(share->name));
    bytes_get_text(in, share->spec, sizeof(share->spec));
    share->share = bytes_get_real(in);
    share->flows = bytes_get_number(in);
    share->open = bytes_get_number(in);
    share->begun = bytes_get_number(in);
    share->closed = bytes_get_number(in);
    share->reset = bytes_get_number(in);
    share->given_up = bytes_get_number(in);
    get_figures(in, &share->found);
    return 0;
}

/* Whether get_histogram would find one, without the place for it. */
static bool is_histogram(struct in in)
{
    uint64_t total = 0;

    for (uint64_t used = bytes_get_number(&in); used && !in.wrong; used--) {
        uint64_t skip = bytes_get_number(&in);
        uint64_t count = bytes_get_number(&in);
        if (!count || skip > INT32_MAX || count > RESULT_SAMPLES_MOST - total)
            return false;
        total += count;
    }
    return !in.wrong;
}

/* The histogram stays packed. */
static int get_packed(struct in *in, struct packed *ret_packed)
{
    struct packed packed = {.len = (size_t)(in->end - in->at)};

    in->wrong |= !is_histogram(*in);
    if (!packed.len || in->wrong)
        return 0;
    packed.bytes = malloc(packed.len);
    if (!packed.bytes)
        return -ENOMEM;
    memcpy(packed.bytes, in->at, packed.len);
    in->at = in->end;
    *ret_packed = packed;
    return 0;
}

static int get_interval(struct in *in, struct result *result)
{
    struct result_interval interval = {0};

    interval.start_ns = bytes_get_number(in);
    interval.length_ns = bytes_get_number(in);
    interval.open = bytes_get_number(in);
    interval.after_end = bytes_get_number(in) != 0;
    get_counts(in, &interval.counts);
    size_t count = result->interval_count; /* they were written in order */
    in->wrong |= count && result->intervals[count - 1].start_ns > interval.start_ns;
    int status = in->wrong ? 0 : get_packed(in, &interval.request);
    if (status == 0 && !in->wrong)
        status = result_take_interval(result, &interval);
    if (status < 0)
        result_interval_done(&interval);
    return status;
}

static int get_target(struct in *in, struct result *result)
{
    struct figures *found = &result->found;
    char name[512] = "";

    bytes_get_text(in, name, sizeof(name));
    in->wrong |= found->target_count == TARGETS_MOST;
    if (in->wrong)
        return 0;
    if (figures_list(found, found->target_count + 1) < 0)
        return -ENOMEM;
    struct target_figures *target = &found->targets[found->target_count - 1];
    target->name = strdup(name);
    target->completed = bytes_get_number(in);
    target->errors = bytes_get_number(in);
    while (in->at < in->end && !in->wrong) {
        uint64_t status = bytes_get_number(in);
        uint64_t count = bytes_get_number(in);
        in->wrong |= status >= PEER_STATUS_CODES || !count;
        if (!in->wrong) /* a journal keeps what came before what is wrong */
            target_add_status(target, (unsigned)status, count);
    }
    return target->name ? 0 : -ENOMEM;
}

/* Of an interval that was not watched nothing is written, not even a record. */
static int get_watch(struct in *in, struct result *result)
{
    struct result_interval *interval = result_find_interval(result, bytes_get_number(in));

    in->wrong |= !interval;
    if (in->wrong)
        return 0;
    struct result_watch *watch = &interval->watch;
    watch->taken = true;
    watch->processes = bytes_get_number(in);
    watch->rss_bytes = bytes_get_number(in);
    watch->fds = bytes_get_number(in);
    watch->threads = bytes_get_number(in);
    watch->cpu_ns = bytes_get_number(in);
    watch->restarts = bytes_get_number(in);
    return 0;
}

static int get_process(struct in *in, struct result *result)
{
    struct result_process process = {.pid = bytes_get_number(in)};

    process.started = bytes_get_number(in);
    bytes_get_text(in, process.name, sizeof(process.name));
    process.first_ns = bytes_get_number(in);
    process.last_ns = bytes_get_number(in);
    return in->wrong ? 0 : result_add_process(result, &process);
}

static int get_part(struct in *in, struct result *result)
{
    struct result_part part = {0};

    in->wrong |= result->part_count == PARTS_MOST;
    bytes_get_text(in, part.version, sizeof(part.version));
    bytes_get_text(in, part.host, sizeof(part.host));
    bytes_get_text(in, part.protocol, sizeof(part.protocol));
    bytes_get_text(in, part.target, sizeof(part.target));
    bytes_get_text(in, part.peers, sizeof(part.peers));
    part.peer_count = bytes_get_number(in);
    part.flows = bytes_get_number(in);
    part.seed = bytes_get_number(in);
    part.interval_ns = bytes_get_number(in);
    part.started_ns = bytes_get_number(in);
    part.duration_ns = bytes_get_number(in);
    part.shard = bytes_get_number(in);
    part.shards = bytes_get_number(in);
    part.workers = bytes_get_number(in);
    part.workers_lost = bytes_get_number(in);
    in->wrong |= part.shards && part.shard >= part.shards;
    in->wrong |= part.workers_lost > part.workers;
    return in->wrong ? 0 : result_add_part(result, &part);
}

/* A time is kept as sign and magnitude: most are small, and few before the measured time. */
static void put_change(struct out *out, const struct result *result, size_t index)
{
    const struct result_change *change = &result->changes[index];
    bool before = change->at_ns < 0;

    bytes_put_number(out, before);
    bytes_put_number(out, before ? 0 - (uint64_t)change->at_ns : (uint64_t)change->at_ns);
    bytes_put_number(out, change->wall_ns);
    bytes_put_number(out, change->shard);
    bytes_put_text(out, change->words);
}

static int get_change(struct in *in, struct result *result)
{
    struct result_change change = {.at_ns = 0};
    size_t count = result->change_count; /* they were written in order */

    bool before = bytes_get_number(in) != 0;
    uint64_t apart_ns = bytes_get_number(in);
    change.wall_ns = bytes_get_number(in);
    change.shard = bytes_get_number(in);
    bytes_get_text(in, change.words, sizeof(change.words));
    in->wrong |= apart_ns > INT64_MAX || count == RESULT_CHANGES_MOST;
    change.at_ns = before ? -(int64_t)(apart_ns & INT64_MAX) : (int64_t)(apart_ns & INT64_MAX);
    in->wrong |= count && result->changes[count - 1].at_ns > change.at_ns;
    return in->wrong ? 0 : result_add_change(result, &change);
}

int packed_add_to(const struct packed *packed, struct hdr_histogram *into)
{
    if (!packed->len) /* and no bytes to point to */
        return 0;
    struct in in = {packed->bytes, packed->bytes + packed->len, false};
    get_histogram(&in, into);
    return in.wrong ? -EBADMSG : 0;
}

static void put_step(struct out *out, const struct result *result, size_t index)
{
    const struct result_step *step = &result->steps[index];

    bytes_put_real(out, step->rate);
    bytes_put_real(out, step->reached);
    bytes_put_real(out, step->p99_us);
    bytes_put_number(out, step->kept);
    bytes_put_text(out, step->why_not);
}

static int get_step(struct in *in, struct result *result)
{
    struct result_step step = {.rate = bytes_get_real(in)};

    in->wrong |= result->step_count == STEPS_MOST;
    step.reached = bytes_get_real(in);
    step.p99_us = bytes_get_real(in);
    step.kept = bytes_get_number(in) != 0;
    bytes_get_text(in, step.why_not, sizeof(step.why_not));
    return in->wrong ? 0 : result_add_step(result, &step);
}

static void put_objective(struct out *out, const struct result *result, size_t index)
{
    bytes_put_text(out, result->objectives[index].text);
}

static int get_objective(struct in *in, struct result *result)
{
    struct result_objective objective;

    in->wrong |= result->objective_count == OBJECTIVES_MOST;
    bytes_get_text(in, objective.text, sizeof(objective.text));
    return in->wrong ? 0 : result_add_objective(result, objective.text);
}

/* ---- records ---- */

static size_t one(const struct result *result)
{
    (void)result;
    return 1;
}

static size_t shares(const struct result *result)
{
    return result->share_count;
}

static size_t intervals(const struct result *result)
{
    return result->interval_count;
}

static size_t targets(const struct result *result)
{
    return result->found.target_count;
}

static size_t parts(const struct result *result)
{
    return result->part_count;
}

static size_t changes(const struct result *result)
{
    return result->change_count;
}

static size_t steps(const struct result *result)
{
    return result->step_count;
}

static size_t objectives(const struct result *result)
{
    return result->objective_count;
}

static size_t processes(const struct result *result)
{
    return result->process_count;
}

/* By their kinds, in the order in which they are written. A kind stays what it is for ever. */
enum { RECORD_END };
static const struct record {
    size_t (*count)(const struct result *result);
    void (*put)(struct out *out, const struct result *result, size_t index);
    int (*get)(struct in *in, struct result *result); /* -ENOMEM */
    bool of_interval;                                 /* one an interval */
} records[] = {
    [1] = {one, put_fields, get_fields, false},
    [2] = {one, put_found, get_found, false},
    [3] = {shares, put_share, get_share, false},
    [4] = {intervals, put_interval, get_interval, true},
    [5] = {targets, put_target, get_target, false},
    [6] = {parts, put_part, get_part, false},
    [7] = {intervals, put_watch, get_watch, true},
    [8] = {processes, put_process, get_process, false},
    [9] = {changes, put_change, get_change, false},
    [12] = {steps, put_step, get_step, false},
    [13] = {objectives, put_objective, get_objective, false},
};

/* What `body` holds, as a record; `body` is empty again. */
static void put_record(struct out *out, unsigned kind, struct out *body)
{
    bytes_put_number(out, kind);
    bytes_put_number(out, body->len);
    bytes_put(out, body->bytes, body->len);
    out->failed |= body->failed;
    body->len = 0;
}

void result_put_records(struct out *out, const struct result *result, enum result_records which)
{
    struct out body = {0};

    for (unsigned kind = RECORD_END + 1; kind < ARRAY_SIZE(records); kind++) {
        const enum result_records is = records[kind].of_interval ? RECORDS_INTERVALS : RECORDS_STATE;
        const size_t count = which & is && records[kind].count ? records[kind].count(result) : 0;
        for (size_t i = 0; i < count; i++) {
            records[kind].put(&body, result, i);
            if (body.len)
                put_record(out, kind, &body);
        }
    }
    put_record(out, RECORD_END, &body);
    free(body.bytes);
}

int result_pack(const struct result *result, uint8_t **ret_bytes, size_t *ret_len)
{
    struct out out = {0};

    bytes_put(&out, name_line, strlen(name_line));
    result_put_records(&out, result, RECORDS_ALL);
    if (out.failed) {
        free(out.bytes);
        return -ENOMEM;
    }
    *ret_bytes = out.bytes;
    *ret_len = out.len;
    return 0;
}

int result_write(const struct result *result, int fd)
{
    uint8_t *bytes;
    size_t len;

    int status = result_pack(result, &bytes, &len);
    if (status < 0)
        return status;
    status = fd_write(fd, bytes, len);
    free(bytes);
    return status;
}

static int refuse(struct peer_error *error, const char *why)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", why);
}

int result_get_records(struct in *in, struct result *result, struct peer_error *error)
{
    while (in->at < in->end && !in->wrong) {
        uint64_t kind = bytes_get_number(in);
        bool ends = in->at == in->end; /* without a length */
        uint64_t len = bytes_get_number(in);
        if (ends || in->wrong || len > (uint64_t)(in->end - in->at))
            break;
        if (kind == RECORD_END)
            return 0;
        struct in record = {in->at, in->at + len, false};
        in->at += len;
        bool known = kind < ARRAY_SIZE(records) && records[kind].get;
        int status = known ? records[kind].get(&record, result) : 0;
        if (status < 0)
            return error_set(error, PEER_ERROR_MACHINE, -status, "out of memory");
        if (record.wrong)
            return refuse(error, "it is damaged");
    }
    return refuse(error, "it is cut off: a part of it is missing");
}

int result_parse(const void *data, size_t len, struct result *ret_result, struct peer_error *error)
{
    const size_t head = strlen(name_line);
    struct in in = {data, (const uint8_t *)data + len, false};
    struct result result;

    if (len < head || memcmp(data, name_line, head) != 0)
        return refuse(error, "it is no result of peer");
    in.at += head;
    int status = result_init(&result);
    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    else
        status = result_get_records(&in, &result, error);
    if (status < 0)
        result_done(&result);
    else
        *ret_result = result;
    return status;
}

int result_read(int fd, struct result *ret_result, struct peer_error *error)
{
    struct out out = {0};
    int status = bytes_read(fd, RESULT_BYTES_MOST, &out);

    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, -status, "%s", error_text(-status));
    else
        status = journal_is_one(out.bytes, out.len)
                     ? journal_parse(out.bytes, out.len, ret_result, error)
                     : result_parse(out.bytes, out.len, ret_result, error);
    free(out.bytes);
    return status;
}
