/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_JOURNAL_H
#define SOAK_JOURNAL_H

#include "soak/result.h"

/**
 * A result that is written while its run goes on, and can be read wherever it ends: a line that names it,
 * then records, each a kind and a length (32 bits, lowest byte first), so many bytes, and their CRC-32
 * (IEEE 802.3, of kind and length too).
 *
 * The bytes are records of a result, with its end. JOURNAL_ALL replaces all that stands before it,
 * JOURNAL_STATE all but the intervals, JOURNAL_INTERVAL is one more of these, and JOURNAL_END says that the
 * run came to its end. A reader passes over other kinds.
 */
enum journal_kind { JOURNAL_ALL = 1, JOURNAL_STATE, JOURNAL_INTERVAL, JOURNAL_END };
#define JOURNAL_LINE "peer journal 1\n"
enum { JOURNAL_HEAD = 8, JOURNAL_SUM = 4 }; /* bytes before and behind those of a record */
/** One of more bytes is none. */
#define JOURNAL_RECORD_MOST (UINT32_C(1) << 28)

struct out;
/** A record but for its sum, which is left to whoever writes it. Of JOURNAL_INTERVAL `result` has one
 *  interval and nothing else; NULL for JOURNAL_END. */
void journal_put(struct out *out, enum journal_kind kind, const struct result *result);
/** What goes behind `record`, of `len` bytes. */
void journal_sum(const void *record, size_t len, uint8_t ret_sum[JOURNAL_SUM]);
/** The kind at the beginning of a record; `ret_len`: its length, with head but without sum. */
uint32_t journal_head(const uint8_t head[JOURNAL_HEAD], uint64_t *ret_len);

bool journal_is_one(const void *data, size_t len);
/** Up to the last record that is whole. -EINVAL with text when there is none that tells anything; else as
 *  result_parse. `journal` of the result says how far it goes. */
int journal_parse(const void *data, size_t len, struct result *ret_result, struct peer_error *error);

#endif
