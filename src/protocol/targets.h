/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_TARGETS_H
#define PROTOCOL_TARGETS_H

#include <peer/error.h>
#include <peer/soak.h>

/**
 * What a run asks for: a list of requests as a person writes them. Nothing here knows how a protocol
 * writes one, nor where the run goes.
 */

enum { TARGETS_MOST = 1000000, TARGETS_BODIES_MOST = 256 << 20 };

struct target {
    char *method;   /* NULL: POST with a body, else GET */
    char *url;      /* as it was written: "http://HOST:PORT/PATH" or "/PATH" */
    char **headers; /* "Name: value", ends with NULL */
    size_t header_count;
    void *body;
    size_t body_len;
    bool has_body; /* one of no bytes is one */
    unsigned line; /* where it stands, for complaints; 0: in no file */
};

/** Counted: `targets_free` gives one hold back. */
struct peer_targets {
    struct target *at;
    size_t count, room, bodies_len;
    unsigned holds;
};

struct peer_targets *targets_new(void);
struct peer_targets *targets_hold(struct peer_targets *targets);
struct peer_targets *targets_free(struct peer_targets *targets);

/** One more; all is copied. -ENOMEM with text. Words are not looked at yet. */
int targets_add(struct peer_targets *targets, const struct peer_target *target,
                struct peer_error *error);

/** Reads the file that a body is in: 0 and its bytes, which are the caller's, or -errno with text. */
typedef int (*targets_read_body)(void *user, const char *path, size_t most, void **ret_body,
                                 size_t *ret_len, struct peer_error *error);
/** Adds those of a text:
 *
 *     METHOD URL
 *     Name: value
 *     @FILE
 *
 *  with blank lines between and lines of "#" anywhere. A line "METHOD URL" begins the next one too.
 *  -EINVAL with the line. */
int targets_parse(struct peer_targets *targets, const char *text, size_t len,
                  targets_read_body read_body, void *user, struct peer_error *error);

#endif
