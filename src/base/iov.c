/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/iov.h"

#include <stdint.h>
#include <string.h>

size_t iov_total(const struct iovec *iov, int count)
{
    size_t total = 0;

    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    return total;
}

size_t iov_gather(const struct iovec *iov, int count, void *out)
{
    uint8_t *at = out;

    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len == 0)
            continue; /* its base may be NULL */
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    return (size_t)(at - (uint8_t *)out);
}
