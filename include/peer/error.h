/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_ERROR_H
#define PEER_ERROR_H

/**
 * An error from outside (input, kernel, network), in words for a person.
 *
 * Functions that can fail for reasons a user can mend take a `struct peer_error *`, which may be
 * NULL. They return `-code`. The text is one line without a full stop or a line break, names what
 * was refused and, after "; ", what would help; fields of the configuration stand in backquotes:
 * "choose other addresses with `from`". On success the struct is not touched.
 */
struct peer_error {
    int code; /* positive errno value, 0 when nothing was reported */
    enum peer_error_kind {
        PEER_ERROR_USAGE,   /* the caller's input is wrong: exit status 2 */
        PEER_ERROR_MACHINE, /* this machine cannot do it, or not now: exit status 3 */
        PEER_ERROR_REMOTE,  /* the application refused, reset, timed out: exit status 1 */
    } kind;
    char text[512];
};

#endif
