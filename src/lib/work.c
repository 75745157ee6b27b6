/* SPDX-License-Identifier: BSD-3-Clause */
/* What workers do for a caller of the library, by functions of his. */
#include "lib/crew.h"

#include <peer/work.h>
#include <stdlib.h>
#include <string.h>

enum { FDS_MOST = 1000 };

struct peer_work {
    struct peer_net *net;
    struct peer_work_config config; /* `fds` as the caller's, for as long as peer_work_start takes */
    bool told; /* in a worker: figures are wanted */
};

static struct peer_work *work_of(const struct worker *worker)
{
    return worker->crew->data;
}

/* ---- in a worker ---- */

static size_t keep(struct worker *worker, int *fds, size_t room)
{
    const struct peer_work_config *config = &work_of(worker)->config;
    const size_t count = MIN(config->fd_count, room);

    if (count)
        memcpy(fds, config->fds + worker->index * config->fd_count, count * sizeof(*fds));
    return count;
}

static int prepare(struct worker *worker, struct peer_error *error)
{
    const struct peer_work_config *config = &work_of(worker)->config;

    return config->begin ? config->begin(worker->net, worker->index, config->user, error) : 0;
}

static int wait_for_something(struct worker *worker, uint64_t timeout_ns)
{
    const struct peer_work_config *config = &work_of(worker)->config;

    return config->turn ? config->turn(worker->net, timeout_ns, config->user)
                        : peer_net_wait(worker->net, timeout_ns);
}

static void heed(struct worker *worker, const struct crew_message *message)
{
    work_of(worker)->told |= message->word == CREW_TELL;
}

static void turned(struct worker *worker)
{
    const struct peer_work_config *config = &work_of(worker)->config;

    if (!work_of(worker)->told)
        return;
    work_of(worker)->told = false;
    if (config->tell)
        config->tell(config->user);
    worker_tell_counts(worker);
    worker_say(worker, &(struct crew_message){.word = CREW_DONE}, NULL, 0);
}

static void leave(struct worker *worker)
{
    const struct peer_work_config *config = &work_of(worker)->config;

    if (config->leave)
        config->leave(worker->net, config->user);
}

/* ---- in the coordinator ---- */

static const struct crew_work own_work = {
    .keeps_calls = true,
    .keep = keep,
    .prepare = prepare,
    .wait = wait_for_something,
    .turned = turned,
    .heed = heed,
    .leave = leave,
};

static int check(const struct peer_net *net, const struct peer_work_config *config,
                 struct peer_error *error)
{
    if (!net->workers || net->worker)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "this net has no `workers`, and so there is nobody to do the work");
    if (net->crew)
        return error_set(error, PEER_ERROR_USAGE, EBUSY,
                         "the workers of this net are at work already; they do one thing at a time");
    if (config->fd_count > FDS_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a worker keeps %d descriptors of yours at the most, not %zu", FDS_MOST,
                         config->fd_count);
    return 0;
}

int peer_work_start_sized(struct peer_net *net, const struct peer_work_config *given, size_t size,
                          struct peer_work **ret_work, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_work_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    if (status == 0)
        status = check(net, &config, error);
    if (status < 0)
        return status;
    struct peer_work *work = malloc(sizeof(*work));
    if (!work)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    *work = (struct peer_work){.net = net, .config = config};
    status = crew_start(net, &own_work, work, error);
    work->config.fds = NULL;
    if (status < 0)
        free(work);
    else
        *ret_work = work;
    return status;
}

int peer_work_tell(struct peer_work *work)
{
    if (!net_is_ours(work->net))
        return -ECHILD;
    if (!work->net->crew)
        return -EOWNERDEAD;
    return crew_order(work->net->crew, &(struct crew_message){.word = CREW_TELL}, NULL);
}

struct peer_work *peer_work_free(struct peer_work *work)
{
    if (!work)
        return NULL;
    if (owner_frees(work->net))
        crew_end(work->net);
    free(work);
    return NULL;
}
