/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_IOV_H
#define BASE_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/** Total of an iovec array. */
size_t iov_total(const struct iovec *iov, int count);
/** Copies an iovec array into `out` (room >= total). Returns the total. */
size_t iov_gather(const struct iovec *iov, int count, void *out);

#endif
