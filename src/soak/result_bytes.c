/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A result as bytes: a line that names it, then records, each a kind, a length and so many bytes. A
 * reader passes over kinds that it does not know, and over what follows in a record what it knows;
 * what is missing at the end of one is 0. So versions read each other as far as they can. The last
 * record is empty: a file without it was cut off.
 *
 * Numbers are seven bits a byte, lowest first (LEB128), doubles eight bytes of their bits, lowest
 * first; texts have their length before them. A histogram is pairs for the counters that are not 0:
 * how many to pass over, and the count.
 *
 * What is read may come from anywhere: every length is doubted.
 */
#include "soak/result_internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <hdr/hdr_histogram.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name_line[] = "peer result 1\n";
enum {
    RECORD_END,
    RECORD_FIELDS,
    RECORD_FOUND,
    RECORD_SHARE,
    RECORD_INTERVAL,
    RECORD_TARGET,
    RECORD_PART,
};
#define RESULT_BYTES_MOST (UINT64_C(1) << 30)
/* Those of the first version stand before the words of errors, later ones behind. */
enum { HISTOGRAMS_FIRST = 3 };
enum { TARGETS_MOST = 1000000 };
enum { PARTS_MOST = 65536 };
enum { SHARES_MOST = 256 }; /* each takes a megabyte, however short its record is */

/* ---- writing ---- */

struct out {
    uint8_t *bytes;
    size_t len, room;
    bool failed;
};

static void put(struct out *out, const void *data, size_t len)
{
    if (!len)
        return;
    if (out->len + len > out->room) {
        size_t room = MAX(2 * out->room, out->len + len + 256);
        uint8_t *larger = out->failed ? NULL : realloc(out->bytes, room);
        if (!larger) {
            out->failed = true;
            return;
        }
        out->bytes = larger;
        out->room = room;
    }
    memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

static void put_number(struct out *out, uint64_t number)
{
    uint8_t bytes[10];
    size_t len = 0;

    for (; number >= 0x80; number >>= 7)
        bytes[len++] = (uint8_t)(number | 0x80);
    bytes[len++] = (uint8_t)number;
    put(out, bytes, len);
}

static void put_real(struct out *out, double real)
{
    uint64_t bits;
    uint8_t bytes[8];

    memcpy(&bits, &real, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(bits >> 8 * i);
    put(out, bytes, sizeof(bytes));
}

static void put_text(struct out *out, const char *text)
{
    size_t len = strlen(text);

    put_number(out, len);
    put(out, text, len);
}

/* Only those that are not 0, and how many before each are. */
static void put_sparse(struct out *out, const void *counters, size_t count)
{
    const char *from = counters;
    uint64_t number, used = 0, skipped = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy(&number, from + i * sizeof(number), sizeof(number));
        used += number != 0;
    }
    put_number(out, used);
    for (size_t i = 0; i < count; i++) {
        memcpy(&number, from + i * sizeof(number), sizeof(number));
        if (!number) {
            skipped++;
            continue;
        }
        put_number(out, skipped);
        put_number(out, number);
        skipped = 0;
    }
}

static void put_histogram(struct out *out, const struct hdr_histogram *histogram)
{
    put_sparse(out, histogram->counts, (size_t)histogram->counts_len);
}

static void put_counts(struct out *out, const struct peer_soak_counts *counts)
{
    put_sparse(out, counts, COUNTS);
}

static void put_answers(struct out *out, const struct figures *figures)
{
    uint64_t used = 0;

    for (size_t i = 0; i < RESULT_ANSWERS; i++)
        used += figures->answers[i].count != 0;
    put_number(out, used);
    for (size_t i = 0; i < RESULT_ANSWERS; i++) {
        if (!figures->answers[i].count)
            continue;
        put_text(out, figures->answers[i].kind);
        put_text(out, figures->answers[i].name);
        put_number(out, figures->answers[i].count);
    }
}

static void put_figures(struct out *out, const struct figures *figures)
{
    put_counts(out, &figures->counts);
    put_counts(out, &figures->in_time);
    put_sparse(out, figures->codes, PEER_STATUS_CODES);
    put_number(out, figures->carried);
    put_number(out, figures->warmed);
    for (size_t i = 0; i < HISTOGRAMS_FIRST; i++)
        put_histogram(out, figures->histograms[i]);
    put_number(out, figures->first_error);
    put_text(out, figures->cannot_open);
    put_number(out, PEER_SOAK_ERROR_KINDS);
    for (size_t i = 0; i < PEER_SOAK_ERROR_KINDS; i++)
        put_text(out, figures->first_errors[i]);
    for (size_t i = HISTOGRAMS_FIRST; i < RESULT_HISTOGRAMS; i++)
        put_histogram(out, figures->histograms[i]);
    put_answers(out, figures);
    put_text(out, figures->tls_agreed);
}

static void put_fields(struct out *out, const struct result *result)
{
    for (size_t i = 0; i < result_field_count; i++) {
        const void *from = (const char *)result + result_fields[i].at;
        if (result_fields[i].rule == RESULT_REAL)
            put_real(out, *(const double *)from);
        else
            put_number(out, *(const uint64_t *)from);
    }
}

static void put_share(struct out *out, const struct result_share *share)
{
    put_text(out, share->name);
    put_text(out, share->spec);
    put_real(out, share->share);
    put_number(out, share->flows);
    put_number(out, share->open);
    put_number(out, share->begun);
    put_number(out, share->closed);
    put_number(out, share->reset);
    put_number(out, share->given_up);
    put_figures(out, &share->found);
}

static void put_target(struct out *out, const struct target_figures *target)
{
    put_text(out, target->name ? target->name : "");
    put_number(out, target->completed);
    put_number(out, target->errors);
    for (size_t i = 0; i < TARGET_STATUSES && target->statuses[i].count; i++) {
        put_number(out, target->statuses[i].status);
        put_number(out, target->statuses[i].count);
    }
}

static void put_interval(struct out *out, const struct result_interval *interval)
{
    put_number(out, interval->start_ns);
    put_number(out, interval->length_ns);
    put_number(out, interval->open);
    put_number(out, interval->after_end);
    put_counts(out, &interval->counts);
    put(out, interval->request.bytes, interval->request.len);
}

static void put_part(struct out *out, const struct result_part *part)
{
    put_text(out, part->version);
    put_text(out, part->host);
    put_text(out, part->protocol);
    put_text(out, part->target);
    put_text(out, part->peers);
    put_number(out, part->peer_count);
    put_number(out, part->flows);
    put_number(out, part->seed);
    put_number(out, part->interval_ns);
    put_number(out, part->started_ns);
    put_number(out, part->duration_ns);
    put_number(out, part->shard);
    put_number(out, part->shards);
}

/* What `body` holds, as a record; `body` is empty again. */
static void put_record(struct out *out, unsigned kind, struct out *body)
{
    put_number(out, kind);
    put_number(out, body->len);
    put(out, body->bytes, body->len);
    out->failed |= body->failed;
    body->len = 0;
}

static void put_result(struct out *out, const struct result *result)
{
    struct out body = {0};

    put(out, name_line, strlen(name_line));
    put_fields(&body, result);
    put_record(out, RECORD_FIELDS, &body);
    put_figures(&body, &result->found);
    put_record(out, RECORD_FOUND, &body);
    for (size_t i = 0; i < result->share_count; i++) {
        put_share(&body, &result->shares[i]);
        put_record(out, RECORD_SHARE, &body);
    }
    for (size_t i = 0; i < result->interval_count; i++) {
        put_interval(&body, &result->intervals[i]);
        put_record(out, RECORD_INTERVAL, &body);
    }
    for (size_t i = 0; i < result->found.target_count; i++) {
        put_target(&body, &result->found.targets[i]);
        put_record(out, RECORD_TARGET, &body);
    }
    for (size_t i = 0; i < result->part_count; i++) {
        put_part(&body, &result->parts[i]);
        put_record(out, RECORD_PART, &body);
    }
    put_record(out, RECORD_END, &body);
    free(body.bytes);
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

int result_write(const struct result *result, int fd)
{
    struct out out = {0};

    put_result(&out, result);
    int status = out.failed ? -ENOMEM : write_all(fd, out.bytes, out.len);
    free(out.bytes);
    return status;
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

/* ---- reading ---- */

struct in {
    const uint8_t *at, *end;
    bool wrong;
};

/* Past the end everything is 0. */
static uint64_t get_number(struct in *in)
{
    uint64_t number = 0;

    for (unsigned shift = 0; in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        if (shift > 63 || (shift == 63 && byte > 1)) {
            in->wrong = true;
            return 0;
        }
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
        in->wrong |= in->at == in->end;
    }
    return number;
}

static double get_real(struct in *in)
{
    uint64_t bits = 0;
    double real;

    if (in->end - in->at < 8) {
        in->at = in->end;
        return 0;
    }
    for (size_t i = 0; i < 8; i++)
        bits |= (uint64_t)*in->at++ << 8 * i;
    memcpy(&real, &bits, sizeof(real));
    if (!(real >= 0 && real < 1e18)) { /* no number, and none that one could mean */
        in->wrong = true;
        return 0;
    }
    return real;
}

/* What is longer than there is room for is cut. */
static void get_text(struct in *in, char *text, size_t room)
{
    uint64_t len = get_number(in);

    if (len > (uint64_t)(in->end - in->at)) {
        in->wrong = true;
        return;
    }
    size_t kept = MIN((size_t)len, room - 1);
    memcpy(text, in->at, kept);
    text[kept] = 0;
    in->at += len;
}

/* Adds to `counters`; those beyond `count` are passed over, from a later version. */
static void get_sparse(struct in *in, void *counters, size_t count)
{
    uint64_t used = get_number(in), index = 0, number;
    char *to = counters;

    for (; used && !in->wrong; used--) {
        uint64_t skip = get_number(in);
        uint64_t add = get_number(in);
        if (!add || skip > INT32_MAX) { /* what is there is not 0; nor is the end of the bytes */
            in->wrong = true;
            return;
        }
        index += skip;
        if (index < count) {
            memcpy(&number, to + index * sizeof(number), sizeof(number));
            in->wrong |= number + add < number;
            number += add;
            memcpy(to + index * sizeof(number), &number, sizeof(number));
        }
        index++;
    }
}

static void get_histogram(struct in *in, struct hdr_histogram *histogram)
{
    uint64_t total = 0;

    get_sparse(in, histogram->counts, (size_t)histogram->counts_len);
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
    get_sparse(in, counts, COUNTS);
}

static void get_answers(struct in *in, struct figures *figures)
{
    uint64_t used = get_number(in);

    for (; used && !in->wrong && in->at < in->end; used--) {
        struct answers answers = {.count = 0};
        get_text(in, answers.kind, sizeof(answers.kind));
        get_text(in, answers.name, sizeof(answers.name));
        answers.count = get_number(in);
        answers_add(figures, &answers);
    }
}

static void get_figures(struct in *in, struct figures *figures)
{
    char text[RESULT_ERROR_TEXT];

    get_counts(in, &figures->counts);
    get_counts(in, &figures->in_time);
    get_sparse(in, figures->codes, PEER_STATUS_CODES);
    figures->carried = get_number(in);
    figures->warmed = get_number(in);
    for (size_t i = 0; i < HISTOGRAMS_FIRST; i++)
        get_histogram(in, figures->histograms[i]);
    uint64_t first = get_number(in);
    figures->first_error = first <= PEER_SOAK_ERROR_KINDS ? (uint8_t)first : 0;
    get_text(in, figures->cannot_open, RESULT_OPEN_TEXT);
    uint64_t kinds = get_number(in);
    for (uint64_t i = 0; i < kinds && !in->wrong && in->at < in->end; i++)
        get_text(in, i < PEER_SOAK_ERROR_KINDS ? figures->first_errors[i] : text, sizeof(text));
    for (size_t i = HISTOGRAMS_FIRST; i < RESULT_HISTOGRAMS && !in->wrong; i++)
        get_histogram(in, figures->histograms[i]);
    get_answers(in, figures);
    get_text(in, figures->tls_agreed, RESULT_TLS_TEXT);
}

static int get_fields(struct in *in, struct result *result)
{
    for (size_t i = 0; i < result_field_count; i++) {
        void *to = (char *)result + result_fields[i].at;
        if (result_fields[i].rule == RESULT_REAL)
            *(double *)to = get_real(in);
        else
            *(uint64_t *)to = get_number(in);
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
    get_text(in, share->name, sizeof(share->name));
    get_text(in, share->spec, sizeof(share->spec));
    share->share = get_real(in);
    share->flows = get_number(in);
    share->open = get_number(in);
    share->begun = get_number(in);
    share->closed = get_number(in);
    share->reset = get_number(in);
    share->given_up = get_number(in);
    get_figures(in, &share->found);
    return 0;
}

/* Whether get_histogram would find one, without the place for it. */
static bool is_histogram(struct in in)
{
    uint64_t total = 0;

    for (uint64_t used = get_number(&in); used && !in.wrong; used--) {
        uint64_t skip = get_number(&in);
        uint64_t count = get_number(&in);
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

    interval.start_ns = get_number(in);
    interval.length_ns = get_number(in);
    interval.open = get_number(in);
    interval.after_end = get_number(in) != 0;
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

    get_text(in, name, sizeof(name));
    in->wrong |= found->target_count == TARGETS_MOST;
    if (in->wrong)
        return 0;
    if (figures_list(found, found->target_count + 1) < 0)
        return -ENOMEM;
    struct target_figures *target = &found->targets[found->target_count - 1];
    target->name = strdup(name);
    target->completed = get_number(in);
    target->errors = get_number(in);
    while (in->at < in->end && !in->wrong) {
        uint64_t status = get_number(in);
        uint64_t count = get_number(in);
        in->wrong |= status >= PEER_STATUS_CODES || !count;
        target_add_status(target, (unsigned)status, count);
    }
    return target->name ? 0 : -ENOMEM;
}

static int get_part(struct in *in, struct result *result)
{
    struct result_part part = {0};

    in->wrong |= result->part_count == PARTS_MOST;
    get_text(in, part.version, sizeof(part.version));
    get_text(in, part.host, sizeof(part.host));
    get_text(in, part.protocol, sizeof(part.protocol));
    get_text(in, part.target, sizeof(part.target));
    get_text(in, part.peers, sizeof(part.peers));
    part.peer_count = get_number(in);
    part.flows = get_number(in);
    part.seed = get_number(in);
    part.interval_ns = get_number(in);
    part.started_ns = get_number(in);
    part.duration_ns = get_number(in);
    part.shard = get_number(in);
    part.shards = get_number(in);
    in->wrong |= part.shards && part.shard >= part.shards;
    return in->wrong ? 0 : result_add_part(result, &part);
}

int packed_add_to(const struct packed *packed, struct hdr_histogram *into)
{
    if (!packed->len) /* and no bytes to point to */
        return 0;
    struct in in = {packed->bytes, packed->bytes + packed->len, false};
    get_histogram(&in, into);
    return in.wrong ? -EBADMSG : 0;
}

static int (*const record_readers[])(struct in *in, struct result *result) = {
    [RECORD_FIELDS] = get_fields,
    [RECORD_FOUND] = get_found,
    [RECORD_SHARE] = get_share,
    [RECORD_INTERVAL] = get_interval,
    [RECORD_TARGET] = get_target,
    [RECORD_PART] = get_part,
};

static int refuse(struct peer_error *error, const char *why)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", why);
}

static int get_records(struct in *in, struct result *result, struct peer_error *error)
{
    while (in->at < in->end && !in->wrong) {
        uint64_t kind = get_number(in);
        bool ends = in->at == in->end; /* without a length */
        uint64_t len = get_number(in);
        if (ends || in->wrong || len > (uint64_t)(in->end - in->at))
            break;
        if (kind == RECORD_END)
            return 0;
        struct in record = {in->at, in->at + len, false};
        in->at += len;
        int status = kind < ARRAY_SIZE(record_readers) ? record_readers[kind](&record, result) : 0;
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
        status = get_records(&in, &result, error);
    if (status < 0)
        result_done(&result);
    else
        *ret_result = result;
    return status;
}

/* Up to the end of the file; longer ones than a result can be are none. */
static int read_all(int fd, struct out *out)
{
    uint8_t part[16384];
    ssize_t done;

    while ((done = read(fd, part, sizeof(part))) != 0) {
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        put(out, part, (size_t)done);
        if (out->failed)
            return -ENOMEM;
        if (out->len > RESULT_BYTES_MOST)
            return -EFBIG;
    }
    return 0;
}

int result_read(int fd, struct result *ret_result, struct peer_error *error)
{
    struct out out = {0};
    int status = read_all(fd, &out);

    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, -status, "%s", error_text(-status));
    else
        status = result_parse(out.bytes, out.len, ret_result, error);
    free(out.bytes);
    return status;
}
