/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --manner: how the remote machines misbehave.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add_manner(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    struct common_options *common = options;
    size_t len = strlen(common->manners), room = sizeof(common->manners) - len;

    (void)option;
    if (!*text) {
        snprintf(why, 128, "is empty");
        return -EINVAL;
    }
    if (snprintf(common->manners + len, room, "%s%s", len ? " " : "", text) >= (int)room) {
        snprintf(why, 128, "is more than there is room for");
        return -EINVAL;
    }
    return 0;
}

const struct option_def options_manner[] = {
    {0, "manner", "NAME[:SHARE][@WHEN]",
     "misbehave, may be repeated: \"stall\", \"vanish:2%@10s\", or "
     "help",
     add_manner, .offset = 0, .values = "MANNERS help"},
    {0},
};

void manner_print_help(FILE *file)
{
    struct peer_manner manner;

    fprintf(file,
            "NAME[:SHARE][:VALUE][@WHEN]\n\n"
            "SHARE  a part of many flows: 5%%\n"
            "VALUE  what the manner takes: bytes a second (10B/s), a count a second (1000/s), or "
            "a size\n       (1280B, 1KiB)\n"
            "WHEN   a time since the connection was made (10s, 200ms), a count of bytes both ways "
            "(4KiB),\n       or syn, connected, request (the first bytes were sent)\n\n");
    for (size_t i = 0; peer_manner(i, &manner); i++) {
        char usage[64];
        snprintf(usage, sizeof(usage), "%s%s%s", manner.name, manner.value[0] ? ":" : "",
                 manner.value);
        fprintf(file, "%-22s @%-9s  %s  %s\n", usage, manner.when,
                manner.udp   ? "TCP, UDP"
                : manner.tls ? "TLS     "
                             : "TCP     ", manner.about);
    }
}

bool manner_help(const struct common_options *common)
{
    if (strcmp(common->manners, "help") != 0)
        return false;
    manner_print_help(stdout);
    return true;
}

int check_manners(const struct peer_net *net, const struct common_options *common,
                  enum peer_manner_use use)
{
    struct peer_error error;

    if (peer_manners_check(net, common->manners, common->udp, use, &error) >= 0)
        return 0;
    say("--manner: %s", error.text);
    return STATUS_USAGE;
}
