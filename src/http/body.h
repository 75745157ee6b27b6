/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/head.h"

#include <sys/types.h>

/**
 * The rest of a message: a head that comes in pieces is put together, a body is counted to its
 * end. Of a body nothing is kept.
 */

/** Zero is empty. */
struct http_collect {
    char *text; /* NULL: nothing waits for its end */
    uint32_t len, room;
};

/**
 * Takes a head's bytes: all of `data`, or those up to the head's end. Then `*ret_text` is the whole
 * head, in `data` itself where it can be, valid until http_collect_done; otherwise it is NULL.
 * The count, -E2BIG for more than HTTP_HEAD_MOST, or -ENOMEM.
 */
ssize_t http_collect(struct http_collect *collect, const char *data, size_t len,
                     const char **ret_text, size_t *ret_len);
void http_collect_done(struct http_collect *collect);

struct http_body {
    uint64_t left; /* of the length, or of this chunk */
    uint8_t kind;  /* enum http_body_kind */
    uint8_t step;
    uint16_t line; /* bytes of this line, bounded */
};

/** True when the body is over before it has begun. */
bool http_body_begin(struct http_body *body, enum http_body_kind kind, uint64_t length);
/** Takes what belongs to the body: the count, and whether it is over; -EINVAL with words. */
ssize_t http_body_take(struct http_body *body, const char *data, size_t len, bool *ret_over,
                       const char **ret_why);

#endif
