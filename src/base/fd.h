/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>

/** Writes all of it, however often it takes. 0 or -errno; -EIO: the file takes no more. */
int fd_write(int fd, const void *data, size_t len);

#endif
