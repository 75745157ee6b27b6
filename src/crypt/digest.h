/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRYPT_DIGEST_H
#define CRYPT_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Digests and base64, by OpenSSL. No file is read for them, so they work when nothing may be opened
 *  any more. */
void sha256(const void *data, size_t len, uint8_t out[32]);
void hmac_sha256(const uint8_t key[32], const void *data, size_t len, uint8_t out[32]);
/** PBKDF2 with HMAC-SHA-256. -EINVAL when it cannot be had. */
int sha256_stretch(const char *password, const uint8_t *salt, size_t salt_len, uint32_t rounds,
                   uint8_t out[32]);
/** 32 hexadecimal digits of the MD5 of `a` and `b`, one behind the other. -EINVAL where OpenSSL does
 *  not allow it. */
int md5_hex(const void *a, size_t a_len, const void *b, size_t b_len, char out[33]);

#define BASE64_ROOM(len) (((len) + 2) / 3 * 4 + 1)
/** With padding, and a zero at the end. */
void base64_write(const uint8_t *data, size_t len, char *out);
/** How many bytes; -EINVAL: it is none, without its padding, or longer than `room`. There must be
 *  room for three more. */
ssize_t base64_read(const char *text, size_t len, uint8_t *out, size_t room);

#endif
