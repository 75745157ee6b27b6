/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: first what must not be. The card must be one that receives for this machine
 * by itself, and the peers' addresses must belong to nobody that the kernel knows of, while its
 * answers to them must leave by the card, where they are picked off. Then the guardian, then the
 * programs or filters: whatever way this ends from there on, somebody tidies up.
 */
#include "kernel/wire/wire_internal.h"

#include "base/error.h"
#include "kernel/netns/child.h"

#include <net/if_arp.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/* ---- the card ---- */

static int refuse_part(struct rtnl *rtnl, const struct rtnl_link *link, struct peer_error *error)
{
    char master[IF_NAMESIZE];

    (void)rtnl_device_text(rtnl, link->master, master);
    return error_set(error, PEER_ERROR_MACHINE, EBUSY,
                     "%s is a port of the %s %s, which takes all that it receives; use `wire` %s",
                     link->name, link->slave_kind, master, master);
}

int wire_card(struct rtnl *rtnl, const char *name, struct wire_card *ret_card,
              struct peer_error *error)
{
    struct rtnl_link link;

    int status = rtnl_link_get(rtnl, 0, name, &link, NULL);
    if (status == -ENODEV)
        return error_set(error, PEER_ERROR_USAGE, ENODEV,
                         "there is no interface \"%.64s\" (`wire`); \"ip link\" lists them", name);
    if (status < 0)
        return nl_fail(&rtnl->nl, status, error, "find device %.64s", name);
    if (link.flags & IFF_LOOPBACK)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%s is loopback, which has no wire; leave `wire` away", link.name);
    if (link.type != ARPHRD_ETHER)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "%s is no Ethernet interface, so no peer can be on its wire", link.name);
    if (link.master && strcmp(link.slave_kind, "vrf") != 0)
        return refuse_part(rtnl, &link, error);
    if (!(link.flags & IFF_UP))
        return error_set(error, PEER_ERROR_MACHINE, ENETDOWN,
                         "%s is down, so it receives nothing; ip link set %s up", link.name,
                         link.name);
    *ret_card = (struct wire_card){.ifindex = link.ifindex, .mac = link.mac, .mtu = link.mtu};
    ret_card->vrf = link.master;
    memcpy(ret_card->name, link.name, sizeof(ret_card->name));
    return 0;
}

/* ---- the peers ---- */

/**
 * The prefixes that cover the peers and nothing else: the broadcast address of a subnet, which a
 * covering of fewer may contain, must go out as ever.
 */
static int exact_prefixes(const struct addr_set *peers, struct addr_prefix **ret_prefixes,
                          struct peer_error *error)
{
    const struct addr_range *ranges = peers->sorted ? peers->sorted : peers->ranges;
    struct addr_set exact = *peers;

    exact.sorted = NULL;
    exact.ranges = calloc(peers->range_count, sizeof(*exact.ranges));
    int count = -ENOMEM;
    for (size_t i = 0; exact.ranges && i < peers->range_count; i++)
        exact.ranges[i] = (struct addr_range){
            .first = ranges[i].first, .last = ranges[i].last, .base = ranges[i].base};
    if (exact.ranges)
        count = addr_set_prefixes(&exact, ret_prefixes);
    free(exact.ranges);
    if (count == -ENOMEM)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    if (count < 0)
        return error_set(error, PEER_ERROR_USAGE, -count,
                         "the peers' addresses fall into too many prefixes for `wire`; give fewer "
                         "ranges with `from`");
    return count;
}

/**
 * Two who emulate one address on one card would take each other's answers. No route and no address
 * tells of a peer here, so a name does, for the first of the peers.
 */
static int reserve(const struct wire_card *card, const struct addr_set *peers,
                   struct peer_error *error)
{
    const struct peer_addr first = addr_set_at(peers, 0);
    char text[PEER_ADDR_TEXT], name[PEER_ADDR_TEXT + 32];

    (void)peer_addr_format(&first, text);
    (void)snprintf(name, sizeof(name), "peer-wire/%d/%s", card->ifindex, text);
    const int fd = name_take(name);
    if (fd >= 0)
        return fd;
    if (fd == -EADDRINUSE)
        return error_set(
            error, PEER_ERROR_MACHINE, EADDRINUSE,
            "another process has a peer at %s on the wire of %s: all connections of a peer come "
            "from one process; choose other addresses with `from`, or end that process",
            text, card->name);
    return error_set(error, PEER_ERROR_MACHINE, -fd, "cannot reserve %s on the wire of %s: %s",
                     text, card->name, error_text(-fd));
}

struct check {
    const struct wire_card *card;
    const struct addr_set *peers;
    const struct addr_prefix *prefix; /* whose routes are looked at */
    struct rtnl_route route;          /* what was found */
    struct rtnl_neighbour neighbour;
};

static int find_gateway(void *user, const struct rtnl_route *route)
{
    struct check *check = user;

    if (route->oif != check->card->ifindex || !route->gateway.family ||
        addr_set_find(check->peers, &route->gateway) < 0)
        return 0;
    check->route = *route;
    return 1;
}

static int find_next_hop(void *user, int oif, const struct peer_addr *gateway)
{
    struct check *check = user;

    if (oif != check->card->ifindex || addr_set_find(check->peers, gateway) < 0)
        return 0;
    check->route.gateway = *gateway;
    return 1;
}

static int find_neighbour(void *user, const struct rtnl_neighbour *neighbour)
{
    struct check *check = user;
    const uint16_t alive = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

    if (!(neighbour->state & alive) || addr_set_find(check->peers, &neighbour->addr) < 0)
        return 0;
    check->neighbour = *neighbour;
    return 1;
}

/** A route within the prefix that leads elsewhere. */
static int find_detour(void *user, const struct rtnl_route *route)
{
    struct check *check = user;

    if (route->oif == check->card->ifindex || route->dst.length <= check->prefix->length ||
        !addr_prefix_contains(check->prefix, &route->dst.addr))
        return 0;
    check->route = *route;
    return 1;
}

static int check_gateways(struct rtnl *rtnl, struct check *check, struct peer_error *error)
{
    const uint8_t family = check->peers->family;
    char text[PEER_ADDR_TEXT], route[160];

    int status = rtnl_route_each(rtnl, family, find_gateway, check, error);
    if (status > 0)
        return error_set(
            error, PEER_ERROR_MACHINE, EADDRINUSE,
            "%s is the gateway of a route (%s), which a peer would shadow; choose other "
            "addresses with `from`",
            peer_addr_format(&check->route.gateway, text),
            rtnl_route_format(&check->route, route, sizeof(route)));
    if (status == 0)
        status = rtnl_nexthop_each(rtnl, family, find_next_hop, check, error);
    if (status > 0)
        return error_set(error, PEER_ERROR_MACHINE, EADDRINUSE,
                         "%s is the gateway of a next hop (ip nexthop), which a peer would shadow; "
                         "choose other addresses with `from`",
                         peer_addr_format(&check->route.gateway, text));
    return status;
}

static int check_neighbours(struct rtnl *rtnl, struct check *check, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT], mac[PEER_MAC_TEXT];

    int status =
        rtnl_neigh_each(rtnl, check->card->ifindex, check->peers->family, find_neighbour, check);
    if (status < 0)
        return nl_fail(&rtnl->nl, status, error, "list the neighbours on %s", check->card->name);
    if (status == 0)
        return 0;
    (void)peer_addr_format(&check->neighbour.addr, text);
    return error_set(
        error, PEER_ERROR_MACHINE, EADDRINUSE,
        "%s is a neighbour on %s already, at %s, which a peer would shadow; choose other "
        "addresses with `from`, or, if it is gone: ip neigh del %s dev %s",
        text, check->card->name, peer_mac_format(&check->neighbour.mac, mac), text,
        check->card->name);
}

static int refuse_way(const struct check *check, const struct rtnl_route *route,
                      struct peer_error *error)
{
    char text[PEER_ADDR_TEXT], way[160];

    return error_set(error, PEER_ERROR_MACHINE, ENETUNREACH,
                     "answers to %s/%d would not leave by %s but by this route: %s; choose other "
                     "addresses with `from`",
                     peer_addr_format(&check->prefix->addr, text), check->prefix->length,
                     check->card->name, rtnl_route_format(route, way, sizeof(way)));
}

/** Do answers to all of check->prefix leave by the card? 1: and without a gateway; 0; -errno. */
static int check_way(struct rtnl *rtnl, struct check *check, struct peer_error *error)
{
    const struct rtnl_lookup lookup = {.dst = check->prefix->addr};
    struct rtnl_route route;
    char text[PEER_ADDR_TEXT];

    if (rtnl_route_lookup(rtnl, &lookup, &route, NULL) < 0) {
        (void)peer_addr_format(&check->prefix->addr, text);
        return error_set(error, PEER_ERROR_MACHINE, ENETUNREACH,
                         "this machine has no route to %s, so it could not answer; ip route add "
                         "%s/%d dev %s, or choose other addresses with `from`",
                         text, text, check->prefix->length, check->card->name);
    }
    if (route.oif != check->card->ifindex || route.several_devices || route.type != RTN_UNICAST)
        return refuse_way(check, &route, error);
    int status = rtnl_route_each(rtnl, check->peers->family, find_detour, check, error);
    if (status > 0)
        return refuse_way(check, &check->route, error);
    return status < 0 ? status : !route.gateway.family;
}

int wire_check_peers(struct rtnl *rtnl, const struct wire_card *card, const struct addr_set *peers,
                     bool *ret_on_link, struct peer_error *error)
{
    struct check check = {.card = card, .peers = peers};
    struct addr_prefix *prefixes;
    bool on_link = false;

    /* Whoever is just leaving that name has traces of its peers still, such as neighbour
       entries. */
    int status = reserve(card, peers, error);
    if (status < 0)
        return status;
    (void)close(status);
    status = check_gateways(rtnl, &check, error);
    if (status == 0)
        status = check_neighbours(rtnl, &check, error);
    if (status < 0)
        return status;
    const int count = exact_prefixes(peers, &prefixes, error);
    if (count < 0)
        return count;
    for (int i = 0; i < count && status >= 0; i++) {
        check.prefix = &prefixes[i];
        status = check_way(rtnl, &check, error);
        on_link = on_link || status > 0;
    }
    free(prefixes);
    if (status < 0)
        return status;
    *ret_on_link = on_link;
    return 0;
}

/* ---- joining ---- */

static int refuse_without_guard(const struct wire_job *job, int status, struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, -status,
                     "the process that tidies %s up afterwards is gone: %s", job->card->name,
                     error_text(-status));
}

static int attach_tc(struct rtnl *rtnl, const struct wire_job *job, struct wire_hold *wire,
                     struct peer_error *error)
{
    struct wire_tc tc;

    int status = wire_tc_plan(rtnl, job, &tc, error);
    if (status == 0)
        status = wire_tc_qdiscs(rtnl, job, &tc, error);
    if (status < 0)
        return status;
    /* From here on the guardian undoes what is done, even if we fail. */
    memcpy(wire->order, &tc, sizeof(tc));
    status = guard_tell(&wire->guard, &tc, sizeof(tc), NULL, 0);
    if (status < 0)
        return refuse_without_guard(job, status, error);
    return wire_tc_filters(rtnl, job, &tc, error);
}

static int attach_tc_locked(struct rtnl *rtnl, const struct wire_job *job, struct wire_hold *wire,
                            struct peer_error *error)
{
    const int lock = wire_tc_lock(job->card->ifindex, error);

    if (lock < 0)
        return lock;
    int status = attach_tc(rtnl, job, wire, error);
    (void)close(lock);
    return status;
}

static int join_card(struct rtnl *rtnl, const struct wire_job *job, struct wire_hold *wire,
                     struct peer_error *error)
{
    const struct wire_tc none = {0};
    int *links = wire->fds + wire->fd_count;

    if (wire_bpf_attach(job, links) < 0) {
        wire->variant = WIRE_TC;
        return attach_tc_locked(rtnl, job, wire, error);
    }
    wire->fd_count += WIRE_LINKS;
    wire->variant = WIRE_TCX;
    int status = guard_tell(&wire->guard, &none, sizeof(none), links, WIRE_LINKS);
    return status < 0 ? refuse_without_guard(job, status, error) : 0;
}

/* What the guardian has to know of the wire. */
struct wire_guard {
    struct guard_job job; /* first */
    struct peer_mac first_mac;
};

struct removal {
    struct rtnl *rtnl;
    int ifindex;
    const struct addr_set *peers;
    struct peer_mac first_mac; /* peer i has mac_add(first_mac, i) */
};

/** Entries that name a peer, and questions for one that nobody answered; anybody else's stay. */
static int remove_if_ours(void *user, const struct rtnl_neighbour *neighbour)
{
    const struct removal *removal = user;
    const int64_t peer = addr_set_find(removal->peers, &neighbour->addr);

    if (peer < 0)
        return 0;
    const struct peer_mac mac = mac_add(removal->first_mac, (uint64_t)peer);
    if (neighbour->state & (NUD_INCOMPLETE | NUD_FAILED) ||
        memcmp(mac.bytes, neighbour->mac.bytes, sizeof(mac.bytes)) == 0)
        (void)rtnl_neigh_del(removal->rtnl, removal->ifindex, &neighbour->addr);
    return 0;
}

static void undo_first(const struct guard_job *job, struct rtnl *rtnl)
{
    const struct wire_guard *guard = job->user;
    struct removal removal = {.rtnl = rtnl,
                              .ifindex = job->ifindex,
                              .peers = job->peers,
                              .first_mac = guard->first_mac};

    (void)rtnl_neigh_each(rtnl, job->ifindex, job->peers->family, remove_if_ours, &removal);
}

static void undo_last(const struct guard_job *job, struct rtnl *rtnl, const void *order)
{
    const struct wire_tc *tc = order;

    if (tc->priority && tc->ifindex == job->ifindex) /* who sent it has fewer rights than we */
        wire_tc_remove(rtnl, tc);
}

/* `name` is of the first peer; the guardian has a copy. */
static int start_guard(const struct wire_join *join, int name, struct guard *ret_guard,
                       struct peer_error *error)
{
    struct wire_guard guard = {.job = {.what = join->card->name,
                                       .process_name = "peer-wire",
                                       .peers = join->peers,
                                       .ifindex = join->card->ifindex,
                                       .vrf = join->card->vrf,
                                       .name = name,
                                       .undo_first = undo_first,
                                       .undo_last = undo_last,
                                       .user = &guard},
                               .first_mac = join->first_mac};

    _Static_assert(sizeof(struct wire_tc) <= GUARD_ORDER_MAX, "an order is one message");
    return guard_start(&guard.job, ret_guard, error);
}

/* Takes the first peer's name before. */
static int reserve_and_guard(const struct wire_join *join, struct wire_hold *wire,
                             struct peer_error *error)
{
    int name = reserve(join->card, join->peers, error);

    if (name < 0)
        return name;
    wire->fds[wire->fd_count++] = name;
    return start_guard(join, name, &wire->guard, error);
}

int wire_guard_again(const struct wire_hold *wire, const struct wire_join *join,
                     struct guard *ret_guard, struct peer_error *error)
{
    struct guard guard;
    int status = start_guard(join, wire->fds[0], &guard, error);

    if (status < 0)
        return status;
    status = guard_tell(&guard, wire->order, sizeof(wire->order), wire->fds + 1, wire->fd_count - 1);
    if (status < 0) {
        guard_end(&guard);
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot tell the new process: %s",
                         error_text(-status));
    }
    *ret_guard = guard;
    return 0;
}

int wire_attach(struct rtnl *rtnl, const struct wire_join *join, struct wire_hold *ret_wire,
                struct peer_error *error)
{
    struct wire_job job = {
        .card = join->card, .tap_ifindex = join->tap_ifindex, .family = join->peers->family};
    struct wire_hold wire = {.guard = {.fd = -1}};
    struct addr_prefix *prefixes;

    job.prefix_count = exact_prefixes(join->peers, &prefixes, error);
    if (job.prefix_count < 0)
        return job.prefix_count;
    job.prefixes = prefixes;
    int status = reserve_and_guard(join, &wire, error);
    if (status == 0)
        status = join_card(rtnl, &job, &wire, error);
    free(prefixes);
    if (status < 0) {
        wire_detach(&wire);
        return status;
    }
    *ret_wire = wire;
    return 0;
}

/** In a child: the exit status is an errno. */
static _Noreturn void try_tc(void)
{
    struct rtnl *rtnl;
    int status = 0;

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        status = -errno;
    if (status == 0)
        status = rtnl_open(&rtnl, NULL);
    if (status == 0)
        status = wire_tc_try(rtnl, 1); /* lo */
    _exit(-status);
}

int wire_try(struct peer_error *error)
{
    if (wire_bpf_try() == 0)
        return WIRE_TCX;
    const pid_t child = child_fork();
    if (child == 0)
        try_tc();
    const int ended = child < 0 ? -1 : child_reap(child);
    const int code = child < 0 ? -child : WIFEXITED(ended) ? WEXITSTATUS(ended) : EIO;
    if (code == 0)
        return WIRE_TC;
    if (code == ENOENT || code == EOPNOTSUPP)
        return error_set(error, PEER_ERROR_MACHINE, code,
                         "this kernel neither lets eBPF programs be attached (tcx, Linux 6.6 and "
                         "root) nor has it u32 and mirred; modprobe cls_u32; modprobe act_mirred");
    return error_set(error, PEER_ERROR_MACHINE, code,
                     "eBPF programs (tcx) are refused, and filters of tc could not be tried: %s",
                     error_text(code));
}

void wire_detach(struct wire_hold *wire)
{
    for (int i = wire->fd_count - 1; i >= 0; i--)
        (void)close(wire->fds[i]);
    if (wire->fd_count > 0)
        guard_end(&wire->guard);
    *wire = (struct wire_hold){0};
}

void wire_abandon(struct wire_hold *wire)
{
    for (int i = 0; i < wire->fd_count; i++)
        (void)close(wire->fds[i]);
    if (wire->fd_count > 0)
        guard_abandon(&wire->guard);
    *wire = (struct wire_hold){0};
}
