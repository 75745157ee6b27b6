/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram alone, as bytes: a line that names it, then what it is in a result (packed_from). That
 * says first how many counters follow, so that one which was cut off is known.
 */
#include "soak/bytes.h"
#include "soak/result.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char name_line[] = "peer histogram 1\n";
/* There are some 27 000 counters, of 12 bytes at the most. */
enum { BYTES_MOST = 1 << 20 };

int histogram_write(const struct hdr_histogram *histogram, int fd)
{
    struct packed packed;

    int status = packed_from(histogram, &packed);
    if (status < 0)
        return status;
    status = fd_write(fd, name_line, strlen(name_line));
    if (status == 0)
        status = fd_write(fd, packed.bytes, packed.len);
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

int histogram_read(int fd, struct hdr_histogram *into, struct peer_error *error)
{
    struct out out = {0};
    int status = bytes_read(fd, BYTES_MOST, &out);

    if (status < 0)
        (void)error_set(error, PEER_ERROR_MACHINE, -status, "%s", error_text(-status));
    else
        status = histogram_parse(out.bytes, out.len, into, error);
    free(out.bytes);
    return status;
}
