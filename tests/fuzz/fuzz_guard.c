/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is sent to the guardian of a wire, which has a privilege, by the process that has none. In
 * the end it undoes what the last whole order says, on its own card and nowhere else, and lets all
 * descriptors go.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fuzz/helper_messages.h"
#include "kernel/netlink/diag.h"
#include "kernel/netns/name.h"
#include "kernel/wire/wire_internal.h"

/* What it would do to the machine. */
static void play_end(void);
static int play_none(int (*each)(void *user, const struct rtnl_neighbour *neighbour), void *user);
static void play_tc_remove(const struct wire_tc *tc);
#define diag_end_connections(diag, peers, ifindex, vrf)    play_end()
#define rtnl_neigh_each(rtnl, ifindex, family, each, user) play_none(each, user)
#define wire_tc_remove(rtnl, tc)                           ((void)(rtnl), play_tc_remove(tc))
#include "kernel/wire/guard.c"
#include "kernel/wire/wire.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { IFINDEX = 7 };
static int null_fd = -1, card;
static bool removed, removes_qdisc;

static void play_end(void)
{
}

static int play_none(int (*each)(void *user, const struct rtnl_neighbour *neighbour), void *user)
{
    (void)each;
    (void)user;
    return 0;
}

static void play_tc_remove(const struct wire_tc *tc)
{
    if (tc->ifindex != card || !tc->priority)
        abort();
    removed = true;
    removes_qdisc = tc->removes_qdisc;
}

/* What the last order says. */
static struct wire_tc last_order(const struct messages *messages)
{
    struct wire_tc tc;

    memcpy(&tc, messages->last, sizeof(tc));
    return tc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct addr_set nobody = {0};
    const struct wire_guard what = {.job = {.name = -1}};
    struct guard_job job = {.name = -1,
                            .ifindex = IFINDEX,
                            .peers = &nobody,
                            .undo_first = undo_first,
                            .undo_last = undo_last,
                            .user = &what};
    struct guardian guardian = {.job = &job};

    if (null_fd < 0)
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int before = messages_open_descriptors();
    struct messages messages = {.data = data, .len = len, .whole = GUARD_ORDER_MAX, .fd = null_fd};
    const int end = messages_send(&messages);
    const struct wire_tc order = last_order(&messages);
    if (len % 2) /* the card is the right one */
        job.ifindex = order.ifindex;
    card = job.ifindex;
    removed = false;
    serve(&guardian, end);
    tidy(&guardian);
    (void)close(end);
    if (removed != (order.ifindex == card && order.priority) ||
        (removed && removes_qdisc != (order.removes_qdisc != 0)))
        abort();
    if (messages_open_descriptors() != before)
        abort();
    return 0;
}
