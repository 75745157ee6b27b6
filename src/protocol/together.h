/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_TOGETHER_H
#define PROTOCOL_TOGETHER_H

#include "soak/protocol.h"

/**
 * Requests that are the same bytes every time, several at once: they lie behind one another, and what
 * is asked together is one write of a piece of them.
 */
struct together {
    char *bytes;
    size_t len, total; /* of one, and of all that lie there */
};

/** `text` up to `times`; `len` > 0. -ENOMEM. */
int together_make(struct together *together, const char *text, size_t len, uint64_t times);
void together_done(struct together *together);
/** A client's part. Zero is none. */
struct together_asked {
    uint64_t unsent;  /* bytes of what was asked, which end where a request does */
    uint64_t awaited; /* bytes of what was not answered yet */
};
static inline void together_ask(struct together_asked *asked, const struct together *together)
{
    asked->unsent += together->len;
    asked->awaited += together->len;
}
/** Writes what a client has asked. Fails it when that cannot be. */
void together_write(struct client *client, const struct together *together,
                    struct together_asked *asked);
/** Something was sent that has no answer yet: what comes is one. */
static inline bool together_awaits(const struct together_asked *asked)
{
    return asked->awaited > asked->unsent;
}
static inline void together_answered(struct together_asked *asked, const struct together *together)
{
    asked->awaited -= together->len;
}

#endif
