/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Links as callers of the library change them while the net lives.
 */
#include "lib/crew.h"

#include <stdio.h>

int links_read(const char *uplink, const char *downlink, struct link_spec ret_specs[2],
               struct peer_error *error)
{
    const char *const texts[2] = {[LINK_UPLINK] = uplink, [LINK_DOWNLINK] = downlink};

    for (int i = 0; i < 2; i++) {
        link_spec_clear(&ret_specs[i]);
        int status =
            texts[i] ? link_spec_parse(texts[i], (enum link_direction)i, &ret_specs[i], error) : 0;
        if (status < 0)
            return status;
    }
    return 0;
}

/* For those that run, and for those to come. */
static void set_for_workers(struct peer_net *net, const char *const texts[2],
                            const struct link_spec specs[2])
{
    struct crew_message message = {.word = CREW_LINK,
                                   .link = {.has_uplink = texts[LINK_UPLINK],
                                            .has_downlink = texts[LINK_DOWNLINK]}};

    for (int i = 0; i < 2; i++) {
        if (texts[i])
            net->engine_config.links[i] = specs[i];
    }
    if (texts[LINK_UPLINK])
        (void)snprintf(message.link.uplink, sizeof(message.link.uplink), "%s", texts[LINK_UPLINK]);
    if (texts[LINK_DOWNLINK])
        (void)snprintf(message.link.downlink, sizeof(message.link.downlink), "%s",
                       texts[LINK_DOWNLINK]);
    crew_tell(net, &message);
}

int peer_net_set_link(struct peer_net *net, const char *uplink, const char *downlink,
                      struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    const char *const texts[2] = {[LINK_UPLINK] = uplink, [LINK_DOWNLINK] = downlink};
    struct link_spec specs[2];

    int status = links_read(uplink, downlink, specs, error);
    if (status < 0)
        return status;
    if (net->workers && !net->worker) {
        set_for_workers(net, texts, specs);
        return 0;
    }
    struct wires *wires = engine_wires(net->engine);
    if (!wires)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    for (int i = 0; i < 2; i++) {
        if (texts[i])
            wires_set_spec(wires, (enum link_direction)i, &specs[i]);
    }
    return 0;
}

int peer_net_unplug(struct peer_net *net, const struct peer_addr *peer, bool unplugged)
{
    if (!net_is_ours(net))
        return -ECHILD;
    int64_t index = addr_set_find(&net->attachment.peers, peer);
    if (index < 0)
        return -EADDRNOTAVAIL;
    crew_tell(net, &(struct crew_message){.word = CREW_PLUG, .addr = *peer, .on = unplugged});
    struct wires *wires = engine_wires(net->engine);
    return wires ? wires_unplug(wires, (uint64_t)index, unplugged) : -ENOMEM;
}

bool peer_net_is_unplugged(struct peer_net *net, const struct peer_addr *peer)
{
    if (!net_is_ours(net))
        return false;
    int64_t index = addr_set_find(&net->attachment.peers, peer);
    struct wires *wires = engine_wires(net->engine);

    return index >= 0 && wires && wires_is_unplugged(wires, (uint64_t)index);
}

int peer_link_profile_sized(size_t index, struct peer_link_profile *ret_profile, size_t size)
{
    size_t count;
    const struct link_profile *profiles = link_profiles(&count);

    if (index >= count)
        return 0;
    const struct peer_link_profile profile = {.name = profiles[index].name,
                                              .uplink = profiles[index].uplink,
                                              .downlink = profiles[index].downlink,
                                              .about = profiles[index].about};
    border_give(ret_profile, size, &profile, sizeof(profile));
    return 1;
}
