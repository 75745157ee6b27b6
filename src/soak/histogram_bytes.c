/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram alone, as bytes: a line that names it, then what it is in a result (packed_from). That
 * says first how many counters follow, so that one which was cut off is known.
 */
#include "soak/result.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name_line[] = "peer histogram 1\n";
/* There are some 27 000 counters, of 12 bytes at the most. */
enum { BYTES_MOST = 1 << 20 };

static int write_all(int fd, const void *data, size_t len)
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

int histogram_write(const struct hdr_histogram *histogram, int fd)
{
    struct packed packed;

    int status = packed_from(histogram, &packed);
    if (status < 0)
        return status;
    status = write_all(fd, name_line, strlen(name_line));
    if (status == 0)
        status = write_all(fd, packed.bytes, packed.len);
    free(packed.bytes);
    return status;
}

static int refuse(struct peer_error *error, const char *why)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", why);
}

int histogram_parse(const void *data, size_t len, struct hdr_histogram *into,
                    struct peer_error *error)
{
    const size_t head = strlen(name_line);

    if (len < head || memcmp(data, name_line, head) != 0)
        return refuse(error, "it is no histogram of peer");
    const struct packed packed = {(uint8_t *)(uintptr_t)data + head, len - head};
    if (!packed.len || packed_add_to(&packed, into) < 0)
        return refuse(error, "it is damaged, or a part of it is missing");
    return 0;
}

/* Up to the end of the file: how much that is, or -errno. */
static ssize_t read_all(int fd, char *bytes, size_t room)
{
    size_t len = 0;
    ssize_t done;

    while (len < room && (done = read(fd, bytes + len, room - len)) != 0) {
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        len += (size_t)done;
    }
    return len < room ? (ssize_t)len : -EFBIG;
}

int histogram_read(int fd, struct hdr_histogram *into, struct peer_error *error)
{
    char *bytes = malloc(BYTES_MOST);

    if (!bytes)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    ssize_t len = read_all(fd, bytes, BYTES_MOST);
    int status = len < 0 ? error_set(error, PEER_ERROR_MACHINE, (int)-len, "%s",
                                     error_text((int)-len))
                         : histogram_parse(bytes, (size_t)len, into, error);
    free(bytes);
    return status;
}
