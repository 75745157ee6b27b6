/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypt/digest.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

/* OpenSSL's file of settings is not looked for: its own provider is all that is needed. */
static void begin(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

void sha256(const void *data, size_t len, uint8_t out[32])
{
    begin();
    (void)SHA256(data, len, out);
}

void hmac_sha256(const uint8_t key[32], const void *data, size_t len, uint8_t out[32])
{
    begin();
    if (!HMAC(EVP_sha256(), key, 32, data, len, out, NULL))
        memset(out, 0, 32); /* a proof that nobody takes */
}

int sha256_stretch(const char *password, const uint8_t *salt, size_t salt_len, uint32_t rounds,
                   uint8_t out[32])
{
    size_t len = strlen(password);

    begin();
    if (len > INT_MAX || salt_len > INT_MAX || rounds > INT_MAX)
        return -EINVAL;
    return PKCS5_PBKDF2_HMAC(password, (int)len, salt, (int)salt_len, (int)rounds, EVP_sha256(), 32,
                             out) == 1
               ? 0
               : -EINVAL;
}

int md5_hex(const void *a, size_t a_len, const void *b, size_t b_len, char out[33])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    begin();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int fine = context && EVP_DigestInit_ex(context, EVP_md5(), NULL) &&
               EVP_DigestUpdate(context, a, a_len) && EVP_DigestUpdate(context, b, b_len) &&
               EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    for (size_t i = 0; fine && i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return fine ? 0 : -EINVAL;
}

void base64_write(const uint8_t *data, size_t len, char *out)
{
    (void)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
}

ssize_t base64_read(const char *text, size_t len, uint8_t *out, size_t room)
{
    size_t padding = 0;

    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    if (!len || len % 4 || len > INT_MAX || len / 4 * 3 - padding > room)
        return -EINVAL;
    for (size_t i = 0; i < len - padding; i++) {
        if (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/')
            return -EINVAL;
    }
    if (EVP_DecodeBlock(out, (const unsigned char *)text, (int)len) < 0)
        return -EINVAL;
    return (ssize_t)(len / 4 * 3 - padding);
}
