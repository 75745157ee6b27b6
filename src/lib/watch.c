/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others do to the device, or to the card on whose wire it is, while it is in use.
 *
 * Down takes routes, IPv6 addresses and permanent neighbours away, and up brings none of them back:
 * they are made anew, so that a run goes on as after a cable was plugged in again. Another MAC of
 * the local side takes the neighbours too. Another MTU is the peers' too from then on: both ends of
 * a wire have the same. A route that somebody takes away is not fought for, but told of.
 */
#include "lib/crew.h"

#include "exec/exec.h"
#include "kernel/netlink/watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

/*
 * The kernel tells of a link before its IPv6 has seen the change, both under one lock, and newer
 * kernels make IPv6 routes without that lock: one that is made in between is refused, since IPv6 is
 * not there yet. A question about the link is answered when that is over.
 */
static void restore(struct peer_net *net, const char *what, const struct rtnl_link *link)
{
    struct attachment *attachment = &net->attachment;
    struct peer_error error = {0};
    struct rtnl_link now;

    (void)rtnl_link_get(attachment->rtnl, link->ifindex, NULL, &now, NULL);
    int status = attachment_restore(attachment, &error);

    if (status == 0 && what)
        notice_add(net, "%s %s; routes, addresses and neighbours of the peers are there again",
                   link->name, what);
    else if (status < 0 && rtnl_link_get(attachment->rtnl, link->ifindex, NULL, &now, NULL) == 0 &&
             now.flags & IFF_UP) /* else of that we shall hear */
        notice_add(net, "%s%s%s, but: %s", link->name, what ? " " : "", what ? what : "",
                   error.text);
}

/* Addresses and routes go with it, and whoever reads from it hears that it is the device. */
static bool device_is_gone(const struct peer_net *net)
{
    struct rtnl_link link;

    return rtnl_link_get(net->attachment.rtnl, net->attachment.ifindex, NULL, &link, NULL) ==
           -ENODEV;
}

/* It was this machine's, or there would have been no local route. While the device is down nothing
   gets to the kernel, and what of addresses went with that is there again when it is up. */
static void see_address(struct peer_net *net, const struct peer_addr *addr)
{
    char text[PEER_ADDR_TEXT];

    if (net->forwards || !addr->family || !net->device_up || engine_is_barred(net->engine, addr) ||
        attachment_is_local(&net->attachment, addr, engine_now_fresh_ns(net->engine)) != 0 ||
        device_is_gone(net))
        return;
    engine_bar(net->engine, addr);
    crew_tell(net, &(struct crew_message){.word = CREW_BAR, .addr = *addr});
    net->target_gone |= peer_addr_equal(addr, &net->target);
    if (peer_addr_equal(addr, &net->target))
        notice_add(net, "%s is no address of this machine any more: nothing more is sent to it",
                   peer_addr_format(addr, text));
}

static void see_flags(struct peer_net *net, bool *up, const struct rtnl_link *link)
{
    bool now = link->flags & IFF_UP;

    if (now == *up)
        return;
    *up = now;
    if (!now)
        return;
    restore(net, "was down and is up again", link);
    see_address(net, &net->target);
}

static void see_mtu(struct peer_net *net, const struct rtnl_link *link, uint32_t most)
{
    struct attachment *attachment = &net->attachment;
    uint32_t before = attachment->mtu, mtu = MIN(link->mtu, most);

    if (mtu == before || !mtu)
        return;
    attachment->mtu = mtu;
    engine_set_mtu(net->engine, mtu);
    crew_tell(net, &(struct crew_message){.word = CREW_MTU, .mtu = mtu});
    if (link->mtu == mtu)
        notice_add(net, "the MTU of %s is %u now, it was %u; so is the peers'", link->name, mtu,
                   before);
    else
        notice_add(net, "the MTU of %s is %u now; the peers' is %u, it was %u", link->name,
                   link->mtu, mtu, before);
    if (attachment->peers.family == 6 && before >= PEER_MTU_MIN_V6 && mtu < PEER_MTU_MIN_V6)
        notice_add(
            net,
            "IPv6 needs an MTU of %d: the kernel has none on %s until \"ip link set %s mtu %d\"",
            PEER_MTU_MIN_V6, link->name, link->name, PEER_MTU_MIN_V6);
    if (attachment->peers.family == 6 && before < PEER_MTU_MIN_V6 && mtu >= PEER_MTU_MIN_V6)
        restore(net, NULL, link);
}

static void see_mac(struct peer_net *net, const struct rtnl_link *link)
{
    struct attachment *attachment = &net->attachment;

    if (attachment->kind != PEER_TAP ||
        memcmp(link->mac.bytes, attachment->local_mac.bytes, sizeof(link->mac.bytes)) == 0)
        return;
    attachment->local_mac = link->mac;
    engine_set_local_mac(net->engine, &link->mac);
    crew_tell(net, &(struct crew_message){.word = CREW_MAC, .mac = link->mac});
    if (attachment->standing.by_wire) /* the filters of tc want the device to have it too */
        (void)attachment_set_mac(attachment, &link->mac, NULL);
    if (attachment->neighbours == PEER_NEIGHBOURS_PERMANENT)
        restore(net, NULL, link);
}

static void see_link(struct peer_net *net, const struct rtnl_link *link)
{
    struct attachment *attachment = &net->attachment;
    bool wire = attachment->standing.by_wire;

    if (wire && link->ifindex == attachment->arrival_ifindex) {
        see_mac(net, link);
        see_flags(net, &net->card_up, link);
        see_mtu(net, link, attachment->device_mtu);
    } else if (link->ifindex == attachment->ifindex) {
        if (!wire) {
            see_mac(net, link);
            see_mtu(net, link, UINT32_MAX);
        }
        see_flags(net, &net->device_up, link);
    }
}

static void see_all(struct peer_net *net)
{
    struct attachment *attachment = &net->attachment;
    const int indices[] = {attachment->ifindex, attachment->arrival_ifindex};
    struct rtnl_link link;

    for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
        if (rtnl_link_get(attachment->rtnl, indices[i], NULL, &link, NULL) < 0)
            continue;
        see_link(net, &link);
        if (link.flags & IFF_UP) /* it may have been down and up */
            restore(net, NULL, &link);
    }
}

/* An address may have gone from this machine: with it goes the route that made it local. */
static void ask_again(struct peer_net *net)
{
    attachment_ask_again(&net->attachment);
    crew_tell(net, &(struct crew_message){.word = CREW_ADDRESSES});
    if (net->exec)
        exec_ask_again(net->exec);
}

/* Of what went with it nothing else is told. */
static void lose_link(struct peer_net *net)
{
    ask_again(net);
    see_address(net, &net->target);
}

static void on_news(void *user, const struct watch_news *news)
{
    struct peer_net *net = user;
    const struct attachment *attachment = &net->attachment;

    switch (news->kind) {
    case WATCH_LINK:
        see_link(net, &news->link);
        if (!(news->link.flags & IFF_UP)) /* of IPv4 routes that go with it nothing is told */
            lose_link(net);
        break;
    case WATCH_LINK_GONE: /* that of the device itself tells who reads from it */
        net->card_gone |=
            attachment->standing.by_wire && news->ifindex == attachment->arrival_ifindex;
        break;
    case WATCH_ROUTE_GONE:
        if (news->ifindex == attachment->ifindex && net->device_up &&
            !net->route_gone.addr.family &&
            standing_has_route(&attachment->standing, &news->route.dst))
            net->route_gone = news->route.dst;
        if (news->route.type == RTN_LOCAL) {
            ask_again(net);
            see_address(net, &news->route.dst.addr);
        }
        break;
    case WATCH_LOST:
        see_all(net);
        lose_link(net);
        break;
    }
}

/* Said once, when it is not there for good, and not for a reason that was told of already. */
static void see_route_gone(struct peer_net *net)
{
    struct attachment *attachment = &net->attachment;
    const struct rtnl_lookup lookup = {.dst = net->route_gone.addr};
    const char *six = lookup.dst.family == 6 ? "-6 " : "";
    struct rtnl_route route;
    char text[PEER_ADDR_TEXT];
    unsigned length = net->route_gone.length;

    net->route_gone = (struct addr_prefix){.length = 0};
    if (!net->device_up || net->route_told || net->target_gone ||
        (*six && attachment->mtu < PEER_MTU_MIN_V6) ||
        (rtnl_route_lookup(attachment->rtnl, &lookup, &route, NULL) == 0 &&
         route.oif == attachment->ifindex))
        return;
    net->route_told = true;
    (void)peer_addr_format(&lookup.dst, text);
    notice_add(net,
               "somebody removed the route to %s/%u: answers to these peers get lost or leave "
               "elsewhere until \"ip %sroute add %s/%u dev %s\"",
               text, length, six, text, length, attachment->device);
}

/* Once all is known: what goes down on its way out says so as well. */
static void tell_down(struct peer_net *net, int ifindex, bool up, bool *told)
{
    struct rtnl_link link;

    if (!up && !*told && rtnl_link_get(net->attachment.rtnl, ifindex, NULL, &link, NULL) == 0 &&
        !(link.flags & IFF_UP))
        notice_add(net,
                   "%s is down: nothing reaches the peers or comes from them until \"ip link "
                   "set %s up\"",
                   link.name, link.name);
    *told = !up;
}

static int look(void *user)
{
    struct peer_net *net = user;
    const struct attachment *attachment = &net->attachment;

    watch_read(attachment->watch_fd, on_news, net);
    tell_down(net, attachment->ifindex, net->device_up, &net->device_told);
    tell_down(net, attachment->arrival_ifindex, net->card_up, &net->card_told);
    if (net->route_gone.addr.family)
        see_route_gone(net);
    if (net->target_gone)
        return -ENETUNREACH;
    if (!net->card_gone)
        return 0;
    notice_add(net, "%s, on whose wire the peers are, is gone", attachment->arrival);
    return -ENODEV;
}

int watch_start(struct peer_net *net)
{
    const struct attachment *attachment = &net->attachment;
    struct rtnl_link link;

    net->device_up = net->card_up = true;
    /* What happened between the making and now is no news to be missed. */
    if (rtnl_link_get(attachment->rtnl, attachment->ifindex, NULL, &link, NULL) == 0)
        see_link(net, &link);
    return engine_watch(net->engine, attachment->watch_fd, look, net);
}
