/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_APPLICATION_H
#define LIB_APPLICATION_H

#include "lib/internal.h"

struct peer_watch;

/** Wants a sample. False: one is under way, or it is over. */
bool application_ask(struct peer_watch *watch);
/** The sample that was asked for, and who was seen, added to `series` as seen at `at_ns`. 1, 0: it is not
 *  there yet, or -errno: there will be none. Waits so long. */
int application_take(struct peer_watch *watch, int wait_ms, uint64_t at_ns,
                     struct result_watch *ret_watch, struct result *series);

#endif
