/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cable in memory. Both ends share one structure with a queue for each direction; it is freed
 * with the second of them. A frame is copied when it is sent and again when it is received, since
 * the two sides have pools of their own.
 *
 * It refuses what the kernel refuses (frames too short for their layer) and what would mean that
 * the sender forgot what the device can do: a super-segment on a device without offload. Without
 * offload the receiver also gets complete checksums, as from the kernel.
 */
#include "device/device.h"

#include "base/iov.h"
#include "packet/checksum.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parcel {
    struct parcel *next;
    uint32_t len;
    struct frame_offload offload;
    uint8_t bytes[];
};

struct queue {
    struct parcel *first, **last;
    size_t count;
};

struct mem_end {
    struct device device;
    struct mem_cable *cable;
    struct mem_end *other; /* NULL once that is freed */
    struct queue inbox;
};

struct mem_cable {
    size_t limit;
    int ends;
    struct mem_end end[2];
};

static struct mem_end *end_of(struct device *device)
{
    return (struct mem_end *)(void *)device;
}

static void queue_push(struct queue *queue, struct parcel *parcel)
{
    parcel->next = NULL;
    *queue->last = parcel;
    queue->last = &parcel->next;
    queue->count++;
}

static struct parcel *queue_pop(struct queue *queue)
{
    struct parcel *parcel = queue->first;

    if (!parcel)
        return NULL;
    queue->first = parcel->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    return parcel;
}

/* Whether a kernel device would take such a frame. */
static bool acceptable(const struct device *device, const struct parcel *parcel)
{
    const struct frame_offload *offload = &parcel->offload;
    size_t field = (size_t)offload->csum_start + offload->csum_offset;

    if (offload->gso_type != FRAME_GSO_NONE && (!device->offload_tcp || offload->gso_size == 0))
        return false;
    if (offload->flags & FRAME_NEEDS_CSUM && field + 2 > parcel->len)
        return false;
    if (device->layer == FRAME_ETHERNET)
        return parcel->len >= 14;
    return parcel->len > 0 && (parcel->bytes[0] >> 4 == 4 || parcel->bytes[0] >> 4 == 6);
}

static int pack(const struct device *device, const struct iovec *iov, int count,
                const struct frame_offload *offload, struct parcel **ret_parcel)
{
    size_t len = iov_total(iov, count);
    if (len > FRAME_LARGE_BYTES)
        return -EINVAL;
    struct parcel *parcel = malloc(sizeof(*parcel) + len);
    if (!parcel)
        return -EAGAIN;
    parcel->len = (uint32_t)len;
    parcel->offload = *offload;
    iov_gather(iov, count, parcel->bytes);

    bool fits = acceptable(device, parcel);
    if (fits && !device->offload_tcp)
        fits = checksum_complete(parcel->bytes, len, &parcel->offload) == 0;
    if (!fits) {
        free(parcel);
        return -EINVAL;
    }
    *ret_parcel = parcel;
    return 0;
}

static int mem_send(struct device *device, const struct iovec *iov, int count,
                    const struct frame_offload *offload)
{
    struct mem_end *end = end_of(device);
    struct parcel *parcel;
    int status = 0;

    assert(count >= 0 && count <= DEVICE_IOV_MAX);
    if (!end->other)
        status = -EBADFD;
    else if (end->other->inbox.count >= end->cable->limit)
        status = -EAGAIN;
    else
        status = pack(device, iov, count, offload, &parcel);
    if (status < 0) {
        device->send_drops++;
        return status;
    }
    queue_push(&end->other->inbox, parcel);
    device->sent++;
    return 0;
}

static int mem_recv(struct device *device, struct frame *frame)
{
    struct mem_end *end = end_of(device);
    struct parcel *parcel = queue_pop(&end->inbox);

    assert(frame->room == FRAME_LARGE_BYTES && frame->data == frame->bytes);
    if (!parcel)
        return end->other ? 0 : -EBADFD;
    memcpy(frame->data, parcel->bytes, parcel->len);
    frame->len = parcel->len;
    frame->offload = parcel->offload;
    free(parcel);
    device->received++;
    return 1;
}

static int mem_fd(const struct device *device)
{
    (void)device;
    return -1;
}

static void mem_free(struct device *device)
{
    struct mem_end *end = end_of(device);
    struct parcel *parcel;

    while ((parcel = queue_pop(&end->inbox)))
        free(parcel);
    if (end->other)
        end->other->other = NULL;
    if (--end->cable->ends == 0)
        free(end->cable);
}

static const struct device_ops mem_ops = {
    .send = mem_send, .recv = mem_recv, .fd = mem_fd, .free = mem_free};

static void end_init(struct mem_cable *cable, int index, enum frame_layer layer, uint32_t mtu,
                     bool offload)
{
    struct mem_end *end = &cable->end[index];

    end->cable = cable;
    end->other = &cable->end[!index];
    end->inbox.last = &end->inbox.first;
    end->device.ops = &mem_ops;
    end->device.layer = layer;
    end->device.mtu = mtu;
    end->device.offload_tcp = end->device.offload_udp = offload;
    memcpy(end->device.name, index ? "mem1" : "mem0", 5);
    if (layer == FRAME_ETHERNET)
        end->device.local_mac = (struct peer_mac){{0x02, 0, 0, 0, 0, 0xfe}};
}

int device_mem_pair(enum frame_layer layer, uint32_t mtu, bool offload, size_t limit,
                    struct device **ret_a, struct device **ret_b)
{
    struct mem_cable *cable = calloc(1, sizeof(*cable));
    if (!cable)
        return -ENOMEM;
    cable->limit = limit;
    cable->ends = 2;
    end_init(cable, 0, layer, mtu, offload);
    end_init(cable, 1, layer, mtu, offload);
    *ret_a = &cable->end[0].device;
    *ret_b = &cable->end[1].device;
    return 0;
}
