/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "packet/frame.h"

#include <peer/addr.h>
#include <peer/error.h>
#include <net/if.h>
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
 * Two ends in memory, for tests: what is sent at one end is received at the other, in order; each
 * direction queues at most `limit` frames, above that send is -EAGAIN. Without `offload` a
 * super-segment is -EINVAL and checksums arrive complete. On FRAME_ETHERNET `local_mac` is
 * 02:00:00:00:00:fe at both ends. The ends are freed in any order; at the one that is left, send is
 * -EBADFD, and recv too once its queue is empty.
 */
int device_mem_pair(enum frame_layer layer, uint32_t mtu, bool offload, size_t limit,
                    struct device **ret_a, struct device **ret_b);

#endif
