/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order: what is read later is opened, the monitor forked with the privileges that it keeps,
 * then this process gives up its own.
 */
#include "lib/internal.h"

#include "kernel/netns/confine.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include <peer/confine.h>

static_assert((int)PEER_CALL_TEXT == (int)CONFINE_NAME_TEXT, "they are handed on");

static unsigned calls_of(unsigned wanted)
{
    static const struct {
        unsigned wanted, calls;
    } table[] = {
        {PEER_CALLS_TERMINAL, CONFINE_TERMINAL},
        {PEER_CALLS_FILES, CONFINE_FILES},
        {PEER_CALLS_ACCEPTS, CONFINE_ACCEPTS},
        {PEER_CALLS_BINDS, CONFINE_BINDS},
        {PEER_CALLS_CONNECTS, CONFINE_CONNECTS},
        {PEER_CALLS_RECORDS, CONFINE_RECORDS},
        {PEER_CALLS_OBSERVES, CONFINE_OBSERVES | CONFINE_SOCKETS | CONFINE_FILES | CONFINE_FORKS |
                                  CONFINE_SIGNALS},
    };
    unsigned calls = CONFINE_WAITS; /* for holder, guardian and monitor at the end */

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (wanted & table[i].wanted)
            calls |= table[i].calls;
    }
    return calls;
}

static int prepare(struct peer_net *net, const struct peer_confine_config *config,
                   struct peer_error *error)
{
    if (config->soaks)
        attachment_open_meters(&net->attachment);
    int status = attachment_confine(&net->attachment, error);
    return status < 0 ? status : helpers_watch_monitor(net);
}

static int confine(struct peer_net *net, const struct peer_confine_config *config,
                   struct peer_error *error)
{
    const struct confine wanted = {
        .calls = calls_of(config->calls),
        .unfiltered = config->unfiltered,
        .trap = config->trap,
        .capabilities = config->capabilities,
        .change_user = config->change_user,
        .may_stay = config->may_stay,
        .uid = config->uid,
        .gid = config->gid,
    };

    struct confine wide = wanted;
    if (net && net->workers) /* they are forked when a soak begins, and give up more */
        wide.calls |= CONFINE_FORKS | CONFINE_FILES;
    int status = net && !net->attachment.confined ? prepare(net, config, error) : 0;
    if (net)
        net->confined_as = wanted;
    return status < 0 ? status : confine_process(&wide, error);
}

int peer_confine_sized(struct peer_net *net, const struct peer_confine_config *given, size_t size,
                       struct peer_error *error)
{
    struct peer_confine_config config;

    if (net && !net_is_ours(net))
        return -ECHILD;
    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : confine(net, &config, error);
}

void peer_close_others(const int *kept, size_t count)
{
    int *all = malloc((count + 3) * sizeof(*all));

    if (!all)
        return;
    for (size_t i = 0; i < count; i++)
        all[i] = kept[i];
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        all[count + (size_t)fd] = fd;
    confine_descriptors(all, count + 3);
    free(all);
}

const char *peer_call_name(int call, char buf[PEER_CALL_TEXT])
{
    return confine_call_name(call, buf);
}
