/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Made once when the device is made, and again after the kernel took it away; then what is there
 * already is left as it is.
 */
#include "attachment/standing.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

/* RFC 4291, appendix A. */
static struct addr_prefix link_local(const struct peer_mac *mac)
{
    const uint8_t *m = mac->bytes;

    return (struct addr_prefix){.addr = {6,
                                         {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff,
                                          0xfe, m[3], m[4], m[5]}},
                                .length = 64};
}

/* When it may be there already. */
static int add_addr(const struct standing *standing, const struct addr_prefix *prefix, bool again,
                    struct peer_error *error)
{
    int status = rtnl_addr_add(standing->rtnl, standing->ifindex, prefix, error);

    return again && status == -EEXIST ? 0 : status;
}

static int add_local(const struct standing *standing, bool again, struct peer_error *error)
{
    int status = 0;

    if (standing->by_wire)
        return 0;
    /* Without it the kernel sends no neighbour solicitation. */
    if (standing->peers->family == 6 && standing->kind == PEER_TAP) {
        struct addr_prefix prefix = link_local(&standing->mac);
        status = add_addr(standing, &prefix, again, error);
    }
    if (status == 0 && standing->local.addr.family)
        status = add_addr(standing, &standing->local, again, error);
    return status;
}

/* The subnet of the local address has its route by that address. */
static bool is_in_local_subnet(const struct standing *standing, const struct addr_prefix *prefix)
{
    const struct addr_prefix *local = &standing->local;

    return local->addr.family && local->length <= prefix->length &&
           addr_prefix_contains(local, &prefix->addr);
}

static int add_routes(const struct standing *standing, bool again, struct peer_error *error)
{
    struct peer_addr gateway = addr_set_at(standing->peers, 0);
    bool by_gateway = standing->neighbours == PEER_NEIGHBOURS_GATEWAY;
    struct addr_prefix *prefixes;
    int status = 0;

    if (standing->by_wire)
        return 0;
    int count = addr_set_prefixes(standing->peers, &prefixes);
    if (count < 0)
        return error_set(error, PEER_ERROR_MACHINE, -count, "cannot plan routes: %s",
                         error_text(-count));
    for (int i = 0; i < count && status == 0; i++) {
        if (is_in_local_subnet(standing, &prefixes[i]))
            continue;
        status = rtnl_route_add(standing->rtnl, standing->ifindex, &prefixes[i],
                                by_gateway ? &gateway : NULL,
                                standing->local_is_source ? &standing->local.addr : NULL, error);
        if (again && status == -EEXIST)
            status = 0;
    }
    free(prefixes);
    return status;
}

int standing_add_local(const struct standing *standing, struct peer_error *error)
{
    return add_local(standing, false, error);
}

int standing_add_routes(const struct standing *standing, struct peer_error *error)
{
    return add_routes(standing, false, error);
}

int standing_add_neighbours(const struct standing *standing, struct peer_error *error)
{
    if (standing->neighbours != PEER_NEIGHBOURS_PERMANENT)
        return 0;
    return rtnl_neigh_add_set(standing->rtnl, standing->neighbour_ifindex, standing->peers,
                              standing->peers->count, standing->first_mac, error);
}

int standing_restore(const struct standing *standing, struct peer_error *error)
{
    int status = add_local(standing, true, error);
    if (status == 0)
        status = add_routes(standing, true, error);
    return status < 0 ? status : standing_add_neighbours(standing, error);
}

bool standing_has_route(const struct standing *standing, const struct addr_prefix *prefix)
{
    const bool is_subnet =
        prefix->length == standing->local.length && is_in_local_subnet(standing, prefix);
    struct addr_prefix *prefixes;
    bool found = false;
    int count = standing->by_wire ? 0 : addr_set_prefixes(standing->peers, &prefixes);

    for (int i = 0; i < count && !found; i++)
        found = is_in_local_subnet(standing, &prefixes[i])
                    ? is_subnet
                    : prefixes[i].length == prefix->length &&
                          addr_prefix_contains(&prefixes[i], &prefix->addr);
    if (count > 0)
        free(prefixes);
    return found;
}
