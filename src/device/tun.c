/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TUN or TAP device of the kernel, opened with IFF_NO_PI and IFF_VNET_HDR: each read and each
 * write is one frame behind a struct frame_offload, in one system call.
 *
 * Short frames are put together here and written from one piece: copying them costs less than the
 * kernel takes to import a vector. Long ones go out from where they lie.
 *
 * A write runs the kernel's receive path before it returns, so there is no queue to fill and
 * hardly a way to be told "not now": only memory can be short, or the interface be down. Those
 * count as drops, as on any wire; the stack above retransmits.
 *
 * What the kernel says about a frame it gives us is checked against the frame before anybody relies
 * on it: an offload request that does not fit is taken back, and the frame stands for itself.
 */
#include "device/device.h"

#include "base/iov.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COPY_MAX = 2048 };

struct device_tun {
    struct device device;
    int fd;
};

static struct device_tun *tun_of(struct device *device)
{
    return (struct device_tun *)(void *)device;
}

/* What a failed write means to the caller. */
static int send_error(int code)
{
    switch (code) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
    case EIO: /* the interface is down */
        return -EAGAIN;
    case EBADFD: /* the interface was deleted, or its namespace is gone */
    case EBADF:
    case ENODEV:
    case EPIPE:
        return -EBADFD;
    default:
        return -EINVAL;
    }
}

static ssize_t write_vector(int fd, const struct iovec *iov, int count,
                            const struct frame_offload *offload)
{
    struct iovec all[DEVICE_IOV_MAX + 1];

    all[0] = (struct iovec){(void *)(uintptr_t)offload, sizeof(*offload)};
    memcpy(all + 1, iov, (size_t)count * sizeof(*iov));
    return writev(fd, all, count + 1);
}

static ssize_t write_piece(int fd, const struct iovec *iov, int count,
                           const struct frame_offload *offload)
{
    uint8_t piece[sizeof(*offload) + COPY_MAX];

    memcpy(piece, offload, sizeof(*offload));
    return write(fd, piece, sizeof(*offload) + iov_gather(iov, count, piece + sizeof(*offload)));
}

static int tun_send(struct device *device, const struct iovec *iov, int count,
                    const struct frame_offload *offload)
{
    int fd = tun_of(device)->fd;
    ssize_t done;

    assert(count >= 0 && count <= DEVICE_IOV_MAX);
    bool is_short = iov_total(iov, count) <= COPY_MAX;
    do {
        done =
            is_short ? write_piece(fd, iov, count, offload) : write_vector(fd, iov, count, offload);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        device->send_drops++;
        return send_error(errno);
    }
    device->sent++;
    return 0;
}

/* Takes back what does not fit the frame. */
static void check_offload(struct frame *frame)
{
    struct frame_offload *offload = &frame->offload;
    uint32_t field = (uint32_t)offload->csum_start + offload->csum_offset;

    if (offload->flags & FRAME_NEEDS_CSUM && field + 2 > frame->len)
        offload->flags &= (uint8_t) ~(FRAME_NEEDS_CSUM | FRAME_DATA_VALID);
    if (offload->gso_type != FRAME_GSO_NONE && offload->gso_size == 0)
        offload->gso_type = FRAME_GSO_NONE;
}

static int tun_recv(struct device *device, struct frame *frame)
{
    const size_t header = sizeof(frame->offload);
    ssize_t done;

    assert(frame->room == FRAME_LARGE_BYTES && frame->data == frame->bytes);
    do {
        done = read(tun_of(device)->fd, (uint8_t *)frame + offsetof(struct frame, offload),
                    header + frame->room);
        /* Less than the header is no frame; nothing at all is the end of the other side. */
    } while ((done < 0 && errno == EINTR) || (done > 0 && (size_t)done < header));
    if (done == 0)
        return -EBADFD;
    if (done < 0)
        return errno == EAGAIN ? 0 : -errno;
    frame->len = (uint32_t)((size_t)done - header);
    check_offload(frame);
    device->received++;
    return 1;
}

static int tun_fd(const struct device *device)
{
    return ((const struct device_tun *)(const void *)device)->fd;
}

static void tun_free(struct device *device)
{
    free(device);
}

static int drop(struct device *device, const struct iovec *iov, int count,
                const struct frame_offload *offload)
{
    (void)device;
    (void)iov;
    (void)count;
    (void)offload;
    return 0;
}

static int receive_nothing(struct device *device, struct frame *frame)
{
    (void)device;
    (void)frame;
    return 0;
}

void device_tun_silence(struct device *device)
{
    static const struct device_ops ops = {
        .send = drop, .recv = receive_nothing, .fd = tun_fd, .free = tun_free};

    device->ops = &ops;
}

int device_tun_new(const struct device_tun_config *config, struct device **ret_device)
{
    static const struct device_ops ops = {
        .send = tun_send, .recv = tun_recv, .fd = tun_fd, .free = tun_free};
    struct device_tun *tun = calloc(1, sizeof(*tun));

    if (!tun)
        return -ENOMEM;
    assert(strlen(config->name) < sizeof(tun->device.name));
    tun->fd = config->fd;
    tun->device.ops = &ops;
    tun->device.layer = config->layer;
    strcpy(tun->device.name, config->name);
    tun->device.mtu = config->mtu;
    tun->device.local_mac = config->local_mac;
    tun->device.offload_tcp = config->offload_tcp;
    tun->device.offload_udp = config->offload_udp;
    *ret_device = &tun->device;
    return 0;
}
