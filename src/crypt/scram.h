/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRYPT_SCRAM_H
#define CRYPT_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: both sides prove
 * that they know the password, and neither says it.
 *
 * A password is used as it is, without SASLprep (RFC 4013): the same for all of ASCII.
 */
enum { SCRAM_NAME_MOST = 64, SCRAM_TEXT = 768, SCRAM_KEY = 32, SCRAM_SALT_MOST = 64 };
/* More rounds of PBKDF2 take longer than a second, in which nobody else is served. */
enum { SCRAM_ROUNDS_MOST = 1000000, SCRAM_CACHED = 8 };

/** What PBKDF2 makes of a password takes milliseconds, and is the same for a salt and a number of
 *  rounds: kept for those seen last. */
struct scram_cache {
    const char *password; /* set by the owner before the first proof; the rest zero */
    struct scram_keys {
        uint32_t rounds; /* 0: none */
        uint8_t salt_len, salt[SCRAM_SALT_MOST];
        uint8_t client[SCRAM_KEY], stored[SCRAM_KEY], server[SCRAM_KEY];
    } keys[SCRAM_CACHED];
    uint32_t next;
    uint64_t derived; /* how often PBKDF2 was run */
};

/** One login. */
struct scram {
    char first[2 * SCRAM_NAME_MOST + 8]; /* client-first-message-bare */
    uint8_t nonce_len;
    bool proved;
    uint8_t signature[SCRAM_KEY]; /* what the server has to come up with */
};

/** Writes client-first-message and returns its length. `user` and `nonce` have SCRAM_NAME_MOST bytes
 *  at the most, printable, none of "," and "=". */
size_t scram_begin(struct scram *scram, const char *user, const char *nonce, char out[SCRAM_TEXT]);
/** Reads server-first-message and writes client-final-message: its length, or -EINVAL and in words
 *  what is wrong with it. */
ssize_t scram_prove(struct scram *scram, struct scram_cache *cache, const char *challenge,
                    size_t len, char out[SCRAM_TEXT], const char **ret_why);
/** Reads server-final-message: 0 when the server knows the password too, else -EINVAL. */
int scram_verify(const struct scram *scram, const char *final, size_t len, const char **ret_why);

#endif
