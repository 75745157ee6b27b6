/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_JOURNAL_H
#define LIB_JOURNAL_H

#include "lib/internal.h"

struct peer_journal;

/** A soak has begun: what it is, and nothing yet. */
void journal_begin(struct peer_journal *journal, const struct result *result);
/** True: the figures are due, see journal_add_state. */
bool journal_add_interval(struct peer_journal *journal, const struct result_interval *interval);
/** All that was found so far, with the intervals. */
void journal_add_state(struct peer_journal *journal, const struct result *result);
/** As peer_journal_end. */
int journal_finish(struct peer_journal *journal, const struct result *result);

#endif
