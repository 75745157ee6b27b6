/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DEVICE_PASSING_H
#define DEVICE_PASSING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/**
 * Messages from a worker to others, each to the socket that somebody reads as his inbox. When an inbox
 * has no room, that message and all later ones wait here, in order, and are tried again. Who passes
 * something on should then take nothing more from where it came, but read his own inbox all the same, so
 * that no two wait for each other.
 */
struct passing {
    struct passing_kept *first, **last;
};

/** An inbox, as others see it. `waiting`, or NULL, counts what is in it, for its reader, who counts down. */
struct passing_inbox {
    int fd;
    _Atomic uint32_t *waiting;
};

void passing_init(struct passing *passing);
/** Forgets what waits. */
void passing_done(struct passing *passing);
/** A copy is kept where it must wait. 0, also to one whose inbox is closed; -ENOMEM: it is lost. */
int passing_send(struct passing *passing, const struct passing_inbox *inbox,
                 const struct iovec *parts, size_t count);
static inline bool passing_waits(const struct passing *passing)
{
    return passing->first != NULL;
}
/** Tries what waits again: true when nothing does any more. */
bool passing_again(struct passing *passing);

#endif
