/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structs that cross the border of the library. A program may have been compiled with the headers
 * of an older or a newer version: it says how much of a struct it knows, and the rest is zero, which
 * is the default everywhere.
 */
#include "lib/internal.h"

#include <string.h>

int border_take(void *own, size_t own_size, const void *given, size_t size,
                struct peer_error *error)
{
    const unsigned char *bytes = given;

    if (!given)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no configuration");
    for (size_t i = own_size; i < size; i++) {
        if (bytes[i])
            return error_set(error, PEER_ERROR_USAGE, E2BIG,
                             "the configuration asks for what libpeer %s does not know yet",
                             PEER_VERSION);
    }
    memset(own, 0, own_size);
    memcpy(own, given, MIN(size, own_size));
    return 0;
}

void border_give(void *given, size_t size, const void *own, size_t own_size)
{
    memcpy(given, own, MIN(size, own_size));
    if (size > own_size)
        memset((unsigned char *)given + own_size, 0, size - own_size);
}
