/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_REDIS_ANSWER_H
#define PROTOCOL_REDIS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * An answer of Redis (RESP2), read as it comes; of its values only an error is kept. Zero is before
 * the first byte.
 */
struct redis_answer {
    uint64_t values; /* still to come */
    uint64_t skip;   /* bytes of a value, with the line's end behind it */
    uint8_t line_len;
    bool in_line, ends; /* `ends`: a CR came */
    bool refused;       /* an error is in the answer: the last one */
    char line[80];      /* how the line begins */
    char error[80];     /* printable */
};

/** The next byte begins an answer: what came before is complete. */
static inline bool redis_answer_begins(const struct redis_answer *answer)
{
    return !answer->values && !answer->skip;
}
/** How many of the bytes, `len` > 0 of them, belong to this answer; -1: it is none. */
ssize_t redis_answer_take(struct redis_answer *answer, const char *data, size_t len);

#endif
