/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the kernel's choice of a queue is right nearly always where a program makes it,
 * and a guess where it learns; so each frame is looked at. The look is a few loads for the usual one.
 *
 * Frames for others go by a socket that each has, with its offload header before it, as from the
 * device. To read it costs a system call, so a counter in shared memory says when there is something.
 *
 * When somebody's inbox is full the frame is kept, nothing more is read from the queue (where the kernel
 * keeps what comes), and it is tried again; the own inbox is read all the same, so that no two can wait
 * for each other.
 */
#include "device/device.h"

#include "base/macro.h"
#include "base/shard.h"
#include "device/passing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASSED_AT_ONCE = 64 }; /* then others have a turn */

struct device_crew {
    struct device device;
    struct device_crew_config config;
    struct passing passing;
    uint64_t passed;
};

static struct device_crew *crew_of(struct device *device)
{
    return (struct device_crew *)(void *)device;
}

/* ---- whose? ---- */

enum {
    ETHERNET = 14,
    TYPE_ARP = 0x0806,
    TYPE_V4 = 0x0800,
    TYPE_V6 = 0x86dd,
    ARP_TARGET_AT = 24,
    V4_TARGET_AT = 16,
    V6_TARGET_AT = 24,
    V6_NEXT_AT = 6,
    ND_TYPE_AT = 40,
    ND_TARGET_AT = 48,
    ND_SOLICITATION = 135,
    NEXT_ICMP6 = 58,
};

static bool take_addr(uint8_t family, const uint8_t *data, size_t len, size_t at,
                      struct peer_addr *ret_addr)
{
    const size_t bytes = family == 6 ? 16 : 4;

    if (len < at + bytes)
        return false;
    *ret_addr = (struct peer_addr){.family = family};
    memcpy(ret_addr->bytes, data + at, bytes);
    return true;
}

static bool find_target(enum frame_layer layer, const uint8_t *data, size_t len,
                        struct peer_addr *ret_addr)
{
    unsigned type = 0;

    if (layer == FRAME_ETHERNET) {
        if (len < ETHERNET + 1)
            return false;
        type = (unsigned)data[12] << 8 | data[13];
        data += ETHERNET;
        len -= ETHERNET;
    } else if (len > 0) {
        type = data[0] >> 4 == 4 ? TYPE_V4 : data[0] >> 4 == 6 ? TYPE_V6 : 0;
    }
    if (type == TYPE_V4)
        return take_addr(4, data, len, V4_TARGET_AT, ret_addr);
    if (type == TYPE_ARP)
        return take_addr(4, data, len, ARP_TARGET_AT, ret_addr);
    if (type != TYPE_V6)
        return false;
    if (layer == FRAME_ETHERNET && len > ND_TARGET_AT && data[V6_NEXT_AT] == NEXT_ICMP6 &&
        data[ND_TYPE_AT] == ND_SOLICITATION)
        return take_addr(6, data, len, ND_TARGET_AT, ret_addr);
    return take_addr(6, data, len, V6_TARGET_AT, ret_addr);
}

/* By its MAC, or its address. Who asks by ARP asks one of them, and who tells of himself tells all. */
static bool is_for_all(enum frame_layer layer, const uint8_t *data, const struct peer_addr *addr)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};

    if (layer == FRAME_ETHERNET)
        return data[0] & 1;
    return addr->family == 6 ? addr->bytes[0] == 0xff
                             : addr->bytes[0] >> 4 == 14 || memcmp(addr->bytes, broadcast, 4) == 0;
}

unsigned device_crew_owner(const struct addr_set *peers, unsigned members, unsigned self,
                           enum frame_layer layer, const uint8_t *data, size_t len)
{
    struct peer_addr addr;

    if (!find_target(layer, data, len, &addr))
        return layer == FRAME_ETHERNET && len > 0 && data[0] & 1 ? members : self;
    const int64_t index = addr_set_find(peers, &addr);
    if (index >= 0)
        return (unsigned)shard_of(peers->count, (uint64_t)index, members);
    /* The broadcast address of the local side's network is no peer's, and nobody knows it here. */
    return is_for_all(layer, data, &addr) || addr.family == 4 ? members : self;
}

/* ---- to others ---- */

/* One whose inbox is closed is gone, and with it the run. Without memory it is as on a wire. */
static void pass(struct device_crew *crew, unsigned member, struct frame *frame)
{
    const struct passing_inbox inbox = {crew->config.others[member],
                                        &crew->config.shared->waiting[member]};
    const struct iovec parts[] = {{&frame->offload, sizeof(frame->offload)},
                                  {frame->data, frame->len}};

    if (passing_send(&crew->passing, &inbox, parts, ARRAY_SIZE(parts)) < 0)
        crew->device.send_drops++;
}

static void pass_to_all(struct device_crew *crew, struct frame *frame)
{
    for (unsigned i = 0; i < crew->config.members; i++) {
        if (i != crew->config.member)
            pass(crew, i, frame);
    }
}

/* ---- as a device ---- */

static int take_passed(struct device_crew *crew, struct frame *frame)
{
    const size_t header = sizeof(frame->offload);
    _Atomic uint32_t *waiting = &crew->config.shared->waiting[crew->config.member];
    ssize_t done;

    do
        done = recv(crew->config.inbox, (uint8_t *)frame + offsetof(struct frame, offload),
                    header + frame->room, MSG_DONTWAIT);
    while (done < 0 && errno == EINTR);
    if (done < (ssize_t)header)
        return 0;
    atomic_fetch_sub_explicit(waiting, 1, memory_order_acquire);
    frame->len = (uint32_t)((size_t)done - header);
    return 1;
}

static int crew_recv(struct device *device, struct frame *frame)
{
    struct device_crew *crew = crew_of(device);
    const struct device_crew_config *config = &crew->config;
    int status = 0;

    if (atomic_load_explicit(&config->shared->waiting[config->member], memory_order_acquire) &&
        take_passed(crew, frame) > 0)
        return 1;
    device->again = passing_waits(&crew->passing) && !passing_again(&crew->passing);
    for (int i = 0; i < PASSED_AT_ONCE && !device->again; i++) {
        status = device_recv(config->queue, frame);
        if (status <= 0)
            return status;
        unsigned owner = device_crew_owner(config->peers, config->members, config->member,
                                           device->layer, frame->data, frame->len);
        if (owner == config->member)
            return 1;
        crew->passed++;
        if (owner == config->members) {
            pass_to_all(crew, frame);
            device->again = passing_waits(&crew->passing);
            return 1;
        }
        pass(crew, owner, frame);
        device->again = passing_waits(&crew->passing);
    }
    return 0;
}

static int crew_send(struct device *device, const struct iovec *iov, int count,
                     const struct frame_offload *offload)
{
    struct device *queue = crew_of(device)->config.queue;
    const int status = device_send(queue, iov, count, offload);

    device->send_drops += status < 0;
    device->sent += status == 0;
    return status;
}

static int crew_fd(const struct device *device)
{
    return device_fd(((const struct device_crew *)(const void *)device)->config.queue);
}

static void crew_free(struct device *device)
{
    struct device_crew *crew = crew_of(device);

    passing_done(&crew->passing);
    device_free(crew->config.queue);
    free(crew);
}

uint64_t device_crew_passed(const struct device *device)
{
    return ((const struct device_crew *)(const void *)device)->passed;
}

int device_crew_new(const struct device_crew_config *config, struct device **ret_device)
{
    static const struct device_ops ops = {
        .send = crew_send, .recv = crew_recv, .fd = crew_fd, .free = crew_free};
    struct device_crew *crew = calloc(1, sizeof(*crew));

    assert(config->members <= DEVICE_CREW_MOST && config->member < config->members);
    if (!crew) {
        device_free(config->queue);
        return -ENOMEM;
    }
    crew->device = *config->queue; /* what it says of itself */
    crew->device.ops = &ops;
    crew->config = *config;
    passing_init(&crew->passing);
    *ret_device = &crew->device;
    return 0;
}
