/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_INGRESS_H
#define KERNEL_OBSERVE_INGRESS_H

#include <peer/error.h>
#include <stdbool.h>
#include <stdint.h>

/** What stands on a device before netfilter sees a packet: XDP, tc, tcx. */
struct ingress {
    uint8_t xdp;     /* XDP_ATTACHED_*: 0 none, 1 native, 2 generic, 3 offloaded, 4 several */
    uint32_t xdp_id; /* of the program, 0 when not known */
    bool clsact;     /* a clsact or ingress qdisc */
    int filters;     /* tc filters on its ingress */
    int tcx;         /* programs on the tcx ingress; -1: may not be asked */
};
struct rtnl;
/**
 * `ifindex` in the namespace of `rtnl`. `same_namespace`: it is the calling thread's too, the only
 * one that bpf(2) can be asked about.
 */
int ingress_survey(struct rtnl *rtnl, int ifindex, bool same_namespace, struct ingress *ret_ingress,
                   struct peer_error *error);

#endif
