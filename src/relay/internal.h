/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_INTERNAL_H
#define RELAY_INTERNAL_H

#include "relay/door.h"

/** Between door.c and door_talk.c. */

/** There is something to do for it. */
void door_queue(struct door_entry *entry);
/** In whatever way; the last thing of it. */
void door_end(struct door_entry *entry, enum door_end how);

/** Reads from a client that is talking. */
void door_talk(struct door_entry *entry);
/** Bytes that were kept go on to the application, as far as they may. */
void door_pass_talk(struct door_entry *entry);
/** A flow that is kept while its client is talking had an event. */
void door_look_kept(struct door_entry *entry);

#endif
