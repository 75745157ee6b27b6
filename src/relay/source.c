/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See source.h. Relays remember where they are as a count of all bytes that there have been, so
 * that filling the buffer anew touches none of them.
 */
#include "relay/source.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct source *source_new(int fd, size_t room, size_t most)
{
    struct source *source = malloc(sizeof(*source) + room); /* untouched until it is needed */

    if (source)
        *source = (struct source){.fd = fd, .room = room, .most = most};
    return source;
}

struct source *source_free(struct source *source)
{
    free(source);
    return NULL;
}

uint64_t source_end(const struct source *source)
{
    return source->begin + source->len;
}

static void forget_taken(struct source *source)
{
    source->begin += source->len;
    source->len = 0;
}

int source_read(struct source *source)
{
    assert(source->behind == 0);
    ssize_t len = read(source->fd, source->bytes, source->most);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    forget_taken(source);
    source->eof = len <= 0;
    source->len = len > 0 ? (size_t)len : 0;
    return (int)source->len;
}

int source_append(struct source *source, const char *data, size_t len)
{
    if (source->behind == 0)
        forget_taken(source);
    if (len > source->room - source->len)
        return -ENOSPC;
    memcpy(source->bytes + source->len, data, len);
    source->len += len;
    return 0;
}

size_t source_look(const struct source *source, uint64_t at, uint64_t end, const char **ret_data)
{
    uint64_t there = source_end(source);

    if (end > there)
        end = there;
    if (at < source->begin || at >= end)
        return 0;
    *ret_data = source->bytes + (at - source->begin);
    return (size_t)(end - at);
}
