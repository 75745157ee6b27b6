/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TLS_DIGEST_H
#define TLS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/**
 * What protocols need beside TLS, without OpenSSL: a confined process has it too.
 */

enum { DIGEST_SHA1_BYTES = 20 };

/** SHA-1 (FIPS 180-4). 0, always. */
int digest_sha1(const void *data, size_t len, uint8_t ret_digest[DIGEST_SHA1_BYTES]);

/** Room for the text of `len` bytes, with its end. */
#define DIGEST_BASE64_ROOM(len) (((size_t)(len) + 2) / 3 * 4 + 1)
/** Base64 with padding (RFC 4648 4). */
void digest_base64(const void *data, size_t len, char *out);

#endif
