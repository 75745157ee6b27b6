/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   client-first   n,,n=USER,r=NONCE
 *   server-first   r=NONCE more,s=SALT,i=ROUNDS
 *   client-final   c=biws,r=NONCE more,p=PROOF
 *   server-final   v=SIGNATURE
 *
 * AuthMessage is the first three without "n,," and ",p=PROOF", with commas between; the proof is
 * ClientKey xor HMAC(StoredKey, AuthMessage), the signature HMAC(ServerKey, AuthMessage).
 */
#include "crypt/scram.h"

#include "base/macro.h"
#include "crypt/digest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t scram_begin(struct scram *scram, const char *user, const char *nonce, char out[SCRAM_TEXT])
{
    assert(strlen(user) <= SCRAM_NAME_MOST && strlen(nonce) <= SCRAM_NAME_MOST);
    *scram = (struct scram){.nonce_len = (uint8_t)strlen(nonce)};
    snprintf(scram->first, sizeof(scram->first), "n=%s,r=%s", user, nonce);
    return (size_t)snprintf(out, SCRAM_TEXT, "n,,%s", scram->first);
}

/* ---- the challenge ---- */

struct challenge {
    const char *nonce;
    size_t nonce_len;
    uint8_t salt[SCRAM_SALT_MOST + 3];
    size_t salt_len;
    uint32_t rounds;
};

/* "X=VALUE" at `*at`, up to a comma or the end, which is passed. NULL: it is another. */
static const char *attribute(const char **at, const char *end, char name, size_t *ret_len)
{
    const char *from = *at, *comma;

    if (end - from < 2 || from[0] != name || from[1] != '=')
        return NULL;
    from += 2;
    comma = memchr(from, ',', (size_t)(end - from));
    *ret_len = (size_t)((comma ? comma : end) - from);
    *at = comma ? comma + 1 : end;
    return from;
}

static int read_rounds(const char *text, size_t len, uint32_t *ret_rounds)
{
    char word[12] = "", *end;

    if (!len || len >= sizeof(word) || text[0] < '1' || text[0] > '9')
        return -EINVAL;
    memcpy(word, text, len);
    unsigned long rounds = strtoul(word, &end, 10);
    if (*end || rounds > SCRAM_ROUNDS_MOST)
        return -EINVAL;
    *ret_rounds = (uint32_t)rounds;
    return 0;
}

/* NULL, or what is wrong. */
static const char *read_challenge(const struct scram *scram, const char *text, size_t len,
                                  struct challenge *challenge)
{
    const char *at = text, *end = text + len, *value;
    const char *own = strstr(scram->first, ",r=") + 3;
    size_t value_len = 0;

    challenge->nonce = attribute(&at, end, 'r', &challenge->nonce_len);
    if (!challenge->nonce)
        return "its challenge begins with no nonce";
    if (challenge->nonce_len <= scram->nonce_len || challenge->nonce_len > 4 * SCRAM_NAME_MOST ||
        memcmp(challenge->nonce, own, scram->nonce_len) != 0)
        return "its nonce is none that goes on from ours";
    value = attribute(&at, end, 's', &value_len);
    ssize_t salt_len = value ? base64_read(value, value_len, challenge->salt, SCRAM_SALT_MOST) : -1;
    if (salt_len <= 0)
        return "its challenge has no salt";
    challenge->salt_len = (size_t)salt_len;
    value = attribute(&at, end, 'i', &value_len);
    if (!value || read_rounds(value, value_len, &challenge->rounds) < 0)
        return "its challenge has no number of rounds up to 1000000";
    return NULL;
}

/* ---- keys ---- */

static bool is_for(const struct scram_keys *keys, const struct challenge *challenge)
{
    return keys->rounds == challenge->rounds && keys->salt_len == challenge->salt_len &&
           memcmp(keys->salt, challenge->salt, challenge->salt_len) == 0;
}

static int derive(struct scram_keys *keys, const char *password, const struct challenge *challenge)
{
    uint8_t salted[SCRAM_KEY];

    *keys = (struct scram_keys){.salt_len = (uint8_t)challenge->salt_len};
    memcpy(keys->salt, challenge->salt, challenge->salt_len);
    if (sha256_stretch(password, challenge->salt, challenge->salt_len, challenge->rounds, salted) <
        0)
        return -EINVAL;
    hmac_sha256(salted, "Client Key", 10, keys->client);
    hmac_sha256(salted, "Server Key", 10, keys->server);
    sha256(keys->client, SCRAM_KEY, keys->stored);
    explicit_bzero(salted, sizeof(salted));
    keys->rounds = challenge->rounds;
    return 0;
}

/* Those of the cache, or new ones in the place of the oldest. NULL: PBKDF2 cannot be had. */
static const struct scram_keys *find_keys(struct scram_cache *cache,
                                          const struct challenge *challenge)
{
    for (size_t i = 0; i < SCRAM_CACHED; i++) {
        if (is_for(&cache->keys[i], challenge))
            return &cache->keys[i];
    }
    struct scram_keys *keys = &cache->keys[cache->next];
    cache->next = (cache->next + 1) % SCRAM_CACHED;
    cache->derived++;
    return derive(keys, cache->password, challenge) < 0 ? NULL : keys;
}

/* ---- the proof ---- */

ssize_t scram_prove(struct scram *scram, struct scram_cache *cache, const char *text, size_t len,
                    char out[SCRAM_TEXT], const char **ret_why)
{
    char message[2 * SCRAM_TEXT], proof_text[BASE64_ROOM(SCRAM_KEY)];
    uint8_t proof[SCRAM_KEY];
    struct challenge challenge = {0};

    *ret_why = len > SCRAM_TEXT ? "its challenge is too long"
                                : read_challenge(scram, text, len, &challenge);
    if (*ret_why)
        return -EINVAL;
    const struct scram_keys *keys = find_keys(cache, &challenge);
    if (!keys) {
        *ret_why = "PBKDF2 cannot be had here";
        return -EINVAL;
    }
    int bare =
        snprintf(out, SCRAM_TEXT, "c=biws,r=%.*s", (int)challenge.nonce_len, challenge.nonce);
    int total = snprintf(message, sizeof(message), "%s,%.*s,%s", scram->first, (int)len, text, out);
    hmac_sha256(keys->stored, message, (size_t)total, proof);
    for (size_t i = 0; i < SCRAM_KEY; i++)
        proof[i] ^= keys->client[i];
    hmac_sha256(keys->server, message, (size_t)total, scram->signature);
    scram->proved = true;
    base64_write(proof, SCRAM_KEY, proof_text);
    return bare + snprintf(out + bare, SCRAM_TEXT - (size_t)bare, ",p=%s", proof_text);
}

int scram_verify(const struct scram *scram, const char *final, size_t len, const char **ret_why)
{
    const char *at = final, *value;
    uint8_t signature[SCRAM_KEY + 3];
    size_t value_len = 0;

    value = attribute(&at, final + len, 'v', &value_len);
    *ret_why = "it has no signature";
    if (!scram->proved || !value ||
        base64_read(value, value_len, signature, SCRAM_KEY) != SCRAM_KEY)
        return -EINVAL;
    *ret_why = "its signature is wrong: it does not know the password";
    return memcmp(signature, scram->signature, SCRAM_KEY) == 0 ? 0 : -EINVAL;
}
