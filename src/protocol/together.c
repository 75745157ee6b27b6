/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/together.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TOGETHER_BYTES = 65536 };

int together_make(struct together *together, const char *text, size_t len, uint64_t times)
{
    uint64_t fit = MIN(times, MAX(TOGETHER_BYTES / len, (size_t)1));

    together->len = len;
    together->total = len * (size_t)fit;
    together->bytes = malloc(together->total);
    for (size_t at = 0; together->bytes && at < together->total; at += len)
        memcpy(together->bytes + at, text, len);
    return together->bytes ? 0 : -ENOMEM;
}

void together_done(struct together *together)
{
    free(together->bytes);
    together->bytes = NULL;
}

void together_write(struct client *client, const struct together *together,
                    struct together_asked *asked)
{
    while (asked->unsent) {
        size_t from = (together->len - (size_t)(asked->unsent % together->len)) % together->len;
        size_t part = (size_t)MIN(asked->unsent, (uint64_t)(together->total - from));
        ssize_t done = client_write(client, together->bytes + from, part, FLOW_WRITE_STABLE);
        if (done < 0 && done != -EAGAIN && client_flow(client)->state != FLOW_ENDED)
            client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the request was sent");
        if (done <= 0)
            return;
        asked->unsent -= (uint64_t)done;
    }
}
