/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: see struct exec_crew. The chances of a flow are the peers of its side: its number
 * names one of them, and whoever has that peer has the flow (and gives it the next of his own). Where
 * flows roam, a worker with a single peer of a side could not let them: its neighbour has these.
 *
 * What another's inbox does not take is kept, nothing more is read from programs, and it is tried again;
 * the own inbox is read all the same, so that no two can wait for each other.
 */
#include "exec/internal.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/shard.h"
#include "device/passing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RETRY_NS (100 * NS_PER_US)

/* Before a packet that is passed on. */
struct ticket {
    uint32_t side;
    struct frame_offload offload;
};

struct crew {
    struct exec_crew config;
    unsigned side_count;
    bool roams;
    struct rewrite_sort *sort;
    struct passing passing;
    struct timer retry;
    uint64_t passed;
};

/* ---- whose? ---- */

/* Which of a side's peers a member has, in the order of all. */
static struct rewrite_side part(const struct exec_crew *crew, unsigned side, unsigned side_count,
                                unsigned member)
{
    const struct rewrite_side whole = exec_slice(crew->all->count, side, side_count);
    const uint64_t first =
        MAX(whole.first, shard_begin(crew->all->count, member, crew->members));
    const uint64_t end = MIN(whole.first + whole.count,
                             shard_begin(crew->all->count, member + 1u, crew->members));

    return (struct rewrite_side){first, end > first ? end - first : 0};
}

static unsigned owner_of_peer(const struct exec_crew *crew, unsigned side, unsigned side_count,
                              uint64_t index, bool roams)
{
    const struct rewrite_side whole = exec_slice(crew->all->count, side, side_count);
    const unsigned owner = (unsigned)shard_of(crew->all->count, index, crew->members);

    if (!roams || whole.count < 2 || part(crew, side, side_count, owner).count > 1)
        return owner;
    index = index > whole.first ? index - 1 : index + 1;
    return (unsigned)shard_of(crew->all->count, index, crew->members);
}

static unsigned owner(struct exec *exec, unsigned side, const struct frame *frame)
{
    struct crew *crew = exec->crew;
    const struct rewrite_side whole = exec_slice(crew->config.all->count, side, crew->side_count);
    const struct rewrite_packet packet = {(uint8_t *)(uintptr_t)frame->data, frame->len,
                                          (struct frame_offload *)(uintptr_t)&frame->offload, 0};
    uint64_t number = 0;

    /* Of no flow: somebody has to say so to the program, and it is always the same one. */
    (void)rewrite_sort_find(crew->sort, side, &packet, engine_now_ns(exec->engine), &number);
    return owner_of_peer(&crew->config, side, crew->side_count, whole.first + number % whole.count,
                         crew->roams);
}

int exec_crew_check_roaming(const struct addr_set *peers, unsigned side_count, unsigned members,
                            struct peer_error *error)
{
    const struct exec_crew crew = {.all = peers, .members = members};

    for (unsigned side = 0; side < side_count; side++) {
        const struct rewrite_side whole = exec_slice(peers->count, side, side_count);
        for (unsigned member = 0; member < members; member++) {
            const struct rewrite_side own = part(&crew, side, side_count, member);
            if (own.count != 1)
                continue;
            const unsigned other = owner_of_peer(&crew, side, side_count, own.first, true);
            if (whole.count < 2 || part(&crew, side, side_count, other).count < 2)
                return error_set(error, PEER_ERROR_USAGE, EINVAL,
                                 "to roam takes two peers or more of each of the `workers`: name more "
                                 "with `from`, or take fewer");
        }
    }
    return 0;
}

struct rewrite_side crew_slice(const struct exec_config *config, unsigned side)
{
    const struct exec_crew *crew = &config->crew;

    if (!crew->all)
        return exec_slice(config->peers->count, side, config->side_count);
    struct rewrite_side own = part(crew, side, config->side_count, crew->member);
    if (own.count == 0) /* no flow of that side comes to it */
        return (struct rewrite_side){0, 1};
    own.first -= shard_begin(crew->all->count, crew->member, crew->members);
    return own;
}

bool crew_reads(const struct crew *crew, unsigned side)
{
    return !crew || side % crew->config.members == crew->config.member;
}

int crew_fd(const struct crew *crew)
{
    return crew->config.inbox;
}

uint64_t crew_passed(const struct crew *crew)
{
    return crew ? crew->passed : 0;
}

/* ---- to others ---- */

/* One whose inbox is closed is gone, and with it the run. Without memory it is as on a wire. */
bool crew_pass(struct exec *exec, unsigned side, struct frame *frame)
{
    struct crew *crew = exec->crew;
    const unsigned member = owner(exec, side, frame);
    struct ticket ticket = {.side = side, .offload = frame->offload};
    const struct iovec parts[] = {{&ticket, sizeof(ticket)}, {frame->data, frame->len}};

    if (member == crew->config.member)
        return false;
    const struct passing_inbox inbox = {crew->config.others[member], NULL};
    crew->passed++;
    if (passing_send(&crew->passing, &inbox, parts, ARRAY_SIZE(parts)) < 0)
        exec->send_drops++;
    return true;
}

bool crew_waits(struct exec *exec)
{
    struct crew *crew = exec->crew;

    if (!crew || !passing_waits(&crew->passing) || passing_again(&crew->passing))
        return false;
    (void)timer_arm(engine_timers(exec->engine), &crew->retry,
                    engine_now_ns(exec->engine) + RETRY_NS);
    return true;
}

int crew_take(struct exec *exec, struct frame *frame, unsigned *ret_side)
{
    struct ticket ticket;
    struct iovec parts[] = {{&ticket, sizeof(ticket)}, {frame->data, frame->room}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
    ssize_t done;

    do
        done = recvmsg(exec->crew->config.inbox, &message, MSG_DONTWAIT);
    while (done < 0 && errno == EINTR);
    if (done < (ssize_t)sizeof(ticket) || ticket.side >= exec->side_count)
        return 0;
    frame->offload = ticket.offload;
    frame->len = (uint32_t)((size_t)done - sizeof(ticket));
    *ret_side = ticket.side;
    return 1;
}

/* ---- birth and death ---- */

/* It only wakes: what is kept is tried again with what else there is to move. */
static void wake(struct timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

static bool has_roaming(const struct exec_config *config)
{
    for (int i = 0; i < config->manner_count; i++) {
        if (strcmp(config->manners[i].manner->name, "roam") == 0)
            return true;
    }
    return config->roam_ns > 0;
}

int crew_new(struct exec *exec, const struct exec_config *config)
{
    const struct rewrite_sort_config sort = {.secret = {config->crew.secret, ~config->crew.secret},
                                             .by_destination = config->spread == REWRITE_DESTINATION,
                                             .localhost = config->localhost};
    struct crew *crew = calloc(1, sizeof(*crew));

    if (!crew)
        return -ENOMEM;
    crew->config = config->crew;
    crew->side_count = config->side_count;
    crew->roams = has_roaming(config);
    passing_init(&crew->passing);
    timer_init(&crew->retry, wake);
    exec->crew = crew;
    return rewrite_sort_new(&sort, &crew->sort);
}

void crew_free(struct exec *exec)
{
    struct crew *crew = exec->crew;

    if (!crew)
        return;
    timer_cancel(engine_timers(exec->engine), &crew->retry);
    passing_done(&crew->passing);
    rewrite_sort_free(crew->sort);
    free(crew);
}
