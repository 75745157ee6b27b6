/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --pcap-rotate SIZE[:N]
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LEAST = 128 << 10, FILES_LEAST = 2, FILES_MOST = 1000 };

int option_set_rotate(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    static const struct option_def size = {.offset = offsetof(struct common_options, rotate_bytes),
                                           .min = LEAST,
                                           .max = UINT64_C(1) << 50};
    static const struct option_def count = {.offset = offsetof(struct common_options, rotate_files),
                                            .min = FILES_LEAST,
                                            .max = FILES_MOST};
    const size_t len = strcspn(text, ":");
    char bytes[32], part[96];

    (void)option;
    snprintf(bytes, sizeof(bytes), "%.*s", (int)len, text);
    if (len >= sizeof(bytes) || option_set_size(options, &size, bytes, part) < 0) {
        snprintf(why, 128, "is no SIZE[:N] such as 100MB:10: a file has at least 128 KiB");
        return -EINVAL;
    }
    if (text[len] && option_set_number(options, &count, text + len + 1, part) < 0) {
        snprintf(why, 128, "is no SIZE[:N] such as 100MB:10: a ring has %d to %d files",
                 (int)FILES_LEAST, (int)FILES_MOST);
        return -EINVAL;
    }
    return 0;
}
