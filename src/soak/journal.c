/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures and intervals are written apart: what a run has found so far takes some KB and milliseconds,
 * and is written now and then; an interval is some hundred bytes, and written at once. So the figures of
 * a run that was killed end before its intervals do, and nothing is made up in between.
 */
#include "soak/journal.h"

#include "base/error.h"
#include "base/macro.h"
#include "soak/bytes.h"
#include "soak/result_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INTERVALS_MOST = 65536 }; /* that a reader keeps as they are */

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *from)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value |= (uint32_t)from[i] << 8 * i;
    return value;
}

/* Four bits at a time. */
static uint32_t crc32(const uint8_t *bytes, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* ---- writing ---- */

void journal_put(struct out *out, enum journal_kind kind, const struct result *result)
{
    static const enum result_records which[] = {[JOURNAL_ALL] = RECORDS_ALL,
                                                [JOURNAL_STATE] = RECORDS_STATE,
                                                [JOURNAL_INTERVAL] = RECORDS_INTERVALS};
    const size_t at = out->len;
    uint8_t head[JOURNAL_HEAD] = {0};

    bytes_put(out, head, sizeof(head));
    if (kind != JOURNAL_END)
        result_put_records(out, result, which[kind]);
    if (out->failed)
        return;
    put_u32(out->bytes + at, kind);
    put_u32(out->bytes + at + 4, (uint32_t)(out->len - at - JOURNAL_HEAD));
}

void journal_sum(const void *record, size_t len, uint8_t ret_sum[JOURNAL_SUM])
{
    put_u32(ret_sum, crc32(record, len));
}

uint32_t journal_head(const uint8_t head[JOURNAL_HEAD], uint64_t *ret_len)
{
    *ret_len = (uint64_t)get_u32(head + 4) + JOURNAL_HEAD;
    return get_u32(head);
}

/* ---- reading ---- */

struct reader {
    struct result result; /* nothing, until something was read */
    bool found;
};

static void move_intervals(struct result *from, struct result *into)
{
    into->intervals = from->intervals;
    into->interval_count = from->interval_count;
    into->stride_ns = from->stride_ns;
    from->intervals = NULL;
    from->interval_count = 0;
}

/* All of it, or all but the intervals. */
static int read_state(struct reader *reader, struct in *in, bool with_intervals,
                      struct peer_error *error)
{
    struct result result;

    int status = result_init(&result);
    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    else
        status = result_get_records(in, &result, error);
    if (status == 0 && !with_intervals && result.interval_count)
        status = -EINVAL;
    if (status < 0) {
        result_done(&result);
        return status;
    }
    if (!with_intervals && reader->found)
        move_intervals(&reader->result, &result);
    if (reader->found)
        result_done(&reader->result);
    reader->result = result;
    reader->found = true;
    return 0;
}

static int read_record(struct reader *reader, uint32_t kind, struct in *in, struct peer_error *error)
{
    switch (kind) {
    case JOURNAL_ALL:
        return read_state(reader, in, true, error);
    case JOURNAL_STATE:
        return read_state(reader, in, false, error);
    case JOURNAL_INTERVAL: {
        int status = reader->found ? result_get_records(in, &reader->result, error) : -EINVAL;
        return status == 0 ? result_thin(&reader->result, INTERVALS_MOST) : status;
    }
    case JOURNAL_END:
        reader->result.journal.complete = reader->found;
        return 0;
    default:
        return 0;
    }
}

/* Where it ends; 0: not by damage. */
static int read_records(struct reader *reader, const uint8_t *data, size_t len, uint64_t *ret_damaged,
                        struct peer_error *error)
{
    size_t at = strlen(JOURNAL_LINE);

    *ret_damaged = 0;
    while (len - at >= JOURNAL_HEAD + JOURNAL_SUM) {
        uint64_t size;
        const uint32_t kind = journal_head(data + at, &size);
        if (size > len - at - JOURNAL_SUM)
            break;
        struct in in = {data + at + JOURNAL_HEAD, data + at + size, false};
        int status = get_u32(data + at + size) == crc32(data + at, (size_t)size)
                         ? read_record(reader, kind, &in, error)
                         : -EINVAL;
        if (status == -ENOMEM)
            return status;
        if (status < 0)
            break;
        at += (size_t)size + JOURNAL_SUM;
    }
    if (at < len)
        *ret_damaged = at;
    return 0;
}

static void note_end(struct result *result, uint64_t damaged_at)
{
    struct result_journal *journal = &result->journal;
    const size_t count = result->interval_count;

    journal->is_one = true;
    journal->damaged_at = damaged_at;
    journal->figures_ns = journal->intervals_ns = result->duration_ns;
    if (count)
        journal->intervals_ns =
            result->intervals[count - 1].start_ns + result->intervals[count - 1].length_ns;
}

bool journal_is_one(const void *data, size_t len)
{
    const size_t head = strlen(JOURNAL_LINE);

    return len >= head && memcmp(data, JOURNAL_LINE, head) == 0;
}

int journal_parse(const void *data, size_t len, struct result *ret_result, struct peer_error *error)
{
    struct peer_error ignored = {0};
    struct reader reader = {.found = false};
    uint64_t damaged_at;

    if (!journal_is_one(data, len))
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "it is no journal of peer");
    int status = read_records(&reader, data, len, &damaged_at, &ignored);
    if (status == 0 && !reader.found)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "it is a journal that was damaged or cut off before it tells anything");
    /* Older ones may have been thinned: all have the length that these have. */
    if (status == 0)
        status = result_regroup(&reader.result, result_typical_interval(&reader.result));
    if (status < 0) {
        if (reader.found)
            result_done(&reader.result);
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    }
    note_end(&reader.result, damaged_at);
    *ret_result = reader.result;
    return 0;
}
