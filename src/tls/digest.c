/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digests and base64, by OpenSSL.
 */
#include "tls/digest.h"

#include <errno.h>
#include <openssl/evp.h>

int digest_sha1(const void *data, size_t len, uint8_t ret_digest[DIGEST_SHA1_BYTES])
{
    return EVP_Digest(data, len, ret_digest, NULL, EVP_sha1(), NULL) == 1 ? 0 : -EIO;
}

void digest_base64(const void *data, size_t len, char *out)
{
    (void)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
}
