/* SPDX-License-Identifier: BSD-3-Clause */
/* See fd.h. */
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

int fd_write(int fd, const void *data, size_t len)
{
    const char *bytes = data;

    while (len) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}
