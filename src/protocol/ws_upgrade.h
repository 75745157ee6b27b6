/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_WS_UPGRADE_H
#define PROTOCOL_WS_UPGRADE_H

#include "http/head.h"

#include <peer/error.h>
#include <peer/soak.h>

/**
 * How a WebSocket begins (RFC 6455 4.1): a request by HTTP, and the answer that agrees.
 */

enum { WS_KEY_BYTES = 24 };

/** The request, the same on all connections but for its key. Zero is none. */
struct ws_upgrade {
    char *text;
    size_t len, key_at;
    char *offered; /* what stands in Sec-WebSocket-Protocol; NULL: nothing */
};
/** Takes from `config` what it says; its strings need not live on. -EINVAL with text, -ENOMEM. */
int ws_upgrade_make(struct ws_upgrade *upgrade, struct peer_soak_config *config,
                    struct peer_error *error);
void ws_upgrade_done(struct ws_upgrade *upgrade);

/** The key of a connection, without an end. */
void ws_upgrade_key(uint64_t seed, char ret_key[WS_KEY_BYTES]);
/** The request with it; `out` has room for `len` bytes. */
void ws_upgrade_print(const struct ws_upgrade *upgrade, uint64_t seed, char *out);

/** What an answer means. */
enum ws_answer {
    WS_AGREES,
    WS_WAITS,   /* an interim one: another follows */
    WS_REFUSES, /* by its status */
    WS_WRONG,   /* neither */
};
/** Judges a whole head; `why` is written for the last two. */
enum ws_answer ws_upgrade_judge(const struct ws_upgrade *upgrade, uint64_t seed, const char *text,
                                size_t len, char why[HTTP_WHY]);

#endif
