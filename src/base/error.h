/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <peer/error.h>

/**
 * Fills `error` (if not NULL) and returns `-code`, so that a failing function can end with
 * `return error_set(error, PEER_ERROR_MACHINE, EPERM, "...")`. `code` is a positive errno value.
 */
int error_set(struct peer_error *error, enum peer_error_kind kind, int code, const char *format,
              ...) __attribute__((format(printf, 4, 5)));

/** Short name of an errno value for people ("permission denied"), never NULL, no trailing dot. */
const char *error_text(int code);

#endif
