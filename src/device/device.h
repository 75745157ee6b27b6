/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "base/addr_set.h"
#include "packet/frame.h"

#include <peer/addr.h>
#include <peer/error.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdbool.h>

/**
 * What joins the peers and the local machine: something that takes and gives frames. Directions are
 * the device's own: `send` brings a frame to the local machine, `recv` fetches one from it.
 * Two kinds: a TUN/TAP device of the kernel (tun.c), and a pair in memory for tests (mem.c).
 */
struct device {
    const struct device_ops *ops;
    enum frame_layer layer;
    char name[IF_NAMESIZE];
    uint32_t mtu;
    struct peer_mac local_mac; /* of the local side, TAP only */
    bool offload_tcp;          /* super-segments both ways (TSO4, TSO6, checksum) */
    bool offload_udp;          /* USO both ways */
    uint64_t sent, received;   /* frames */
    uint64_t send_drops;       /* frames the kernel did not take */
    bool again; /* ask it again soon, whether its descriptor is readable or not */
};

struct device_ops {
    int (*send)(struct device *device, const struct iovec *iov, int count,
                const struct frame_offload *offload);
    int (*recv)(struct device *device, struct frame *frame);
    int (*fd)(const struct device *device);
    void (*free)(struct device *device);
};

/**
 * Sends one frame, `iov` without offload header (count <= DEVICE_IOV_MAX). Returns 0, -EAGAIN (not
 * taken now: no memory, interface down), -EINVAL (the kernel refuses this frame), -EBADFD (device
 * is gone). Every failure counts in `send_drops`.
 */
static inline int device_send(struct device *device, const struct iovec *iov, int count,
                              const struct frame_offload *offload)
{
    return device->ops->send(device, iov, count, offload);
}
/**
 * Fetches one frame into `frame`, fresh from the pool (its room must be FRAME_LARGE_BYTES). Sets
 * len and offload, which fits the frame. Returns 1, 0 when there is none now, -EBADFD when the
 * device is gone, another -errno.
 */
static inline int device_recv(struct device *device, struct frame *frame)
{
    return device->ops->recv(device, frame);
}
/** To poll for reading; -1 for memory devices. */
static inline int device_fd(const struct device *device)
{
    return device->ops->fd(device);
}
/** NULL is taken; returns NULL. */
struct device *device_free(struct device *device);

enum { DEVICE_IOV_MAX = 64 };

/** TUN or TAP: wraps a descriptor that kernel/netlink/tun.h opened. */
struct device_tun_config {
    int fd; /* the caller's, who closes it when the device is freed */
    enum frame_layer layer;
    const char *name;
    uint32_t mtu;
    struct peer_mac local_mac;
    bool offload_tcp, offload_udp; /* as the kernel granted them */
};
int device_tun_new(const struct device_tun_config *config, struct device **ret_device);
/** It takes all that is sent from now on, and sends none of it; nothing comes. */
void device_tun_silence(struct device *device);

/**
 * One queue of a device that several processes share, each with its part of the peers
 * (base/shard.h): what its queue brings for another's peer is passed on to that one, and what is for
 * all (broadcast, multicast) to each. Nothing is lost on that way: when another takes nothing more, no
 * more is read from the queue.
 */
enum { DEVICE_CREW_MOST = 128 };
/** Of all of them, in memory that they share, zeroed. */
struct device_crew_shared {
    _Atomic uint32_t waiting[DEVICE_CREW_MOST]; /* frames in the inbox of each, or about to be */
};
struct device_crew_config {
    struct device *queue;         /* owned from now on, also on error */
    const struct addr_set *peers; /* of all; outlives it */
    unsigned member, members;     /* this one, of so many */
    /** The inbox of each: SOCK_SEQPACKET, non-blocking. To read, that of this member; to write, those
     *  of the others. The caller's. */
    int inbox;
    const int *others; /* by member, outlives it */
    struct device_crew_shared *shared; /* likewise */
};
int device_crew_new(const struct device_crew_config *config, struct device **ret_device);
/** Frames that were passed on so far; those for all count once. */
uint64_t device_crew_passed(const struct device *device);
/** Whose is that frame: a member, `members` for all of them, or `self` when it is of no peer. */
unsigned device_crew_owner(const struct addr_set *peers, unsigned members, unsigned self,
                           enum frame_layer layer, const uint8_t *data, size_t len);

/**
 * Two ends in memory, for tests: what is sent at one end is received at the other, in order; each
 * direction queues at most `limit` frames, above that send is -EAGAIN. Without `offload` a
 * super-segment is -EINVAL and checksums arrive complete. On FRAME_ETHERNET `local_mac` is
 * 02:00:00:00:00:fe at both ends. The ends are freed in any order; at the one that is left, send is
 * -EBADFD, and recv too once its queue is empty.
 */
int device_mem_pair(enum frame_layer layer, uint32_t mtu, bool offload, size_t limit,
                    struct device **ret_a, struct device **ret_b);

#endif
