/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIB_DOCTOR_INTERNAL_H
#define LIB_DOCTOR_INTERNAL_H

#include <peer/confine.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** What a process has that confined itself. */
struct privileges_left {
    int status; /* of peer_confine: below 0 there is nothing but `error` */
    struct peer_error error;
    uid_t uid;
    uint64_t capabilities; /* effective or permitted */
    bool no_new_privs, filtered;
};
/** Tries it in a child. 0, or -errno with text. */
int privileges_try(const struct peer_confine_config *config, struct privileges_left *ret_left,
                   struct peer_error *error);

#endif
