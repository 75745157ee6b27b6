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

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASSED_AT_ONCE = 64 }; /* then others have a turn */

/* A frame that waits, and for whom. */
struct kept {
    struct kept *next;
    unsigned member;
    size_t len;
    uint8_t bytes[]; /* offload header and frame */
};

struct device_crew {
    struct device device;
    struct device_crew_config config;
    struct kept *kept, **kept_end;
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

static int hand_over(struct device_crew *crew, unsigned member, const struct iovec *parts, int count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                                   .msg_iovlen = (size_t)count};
    _Atomic uint32_t *waiting = &crew->config.shared->waiting[member];
    ssize_t done;

    atomic_fetch_add_explicit(waiting, 1, memory_order_release);
    do
        done = sendmsg(crew->config.others[member], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    if (done >= 0)
        return 0;
    const int status = -errno;
    atomic_fetch_sub_explicit(waiting, 1, memory_order_release);
    return status;
}

/* Without memory it is as on a wire. */
static void keep(struct device_crew *crew, unsigned member, const struct frame *frame)
{
    const size_t header = sizeof(frame->offload);
    struct kept *kept = malloc(sizeof(*kept) + header + frame->len);

    if (!kept) {
        crew->device.send_drops++;
        return;
    }
    kept->next = NULL;
    kept->member = member;
    kept->len = header + frame->len;
    memcpy(kept->bytes, &frame->offload, header);
    memcpy(kept->bytes + header, frame->data, frame->len);
    *crew->kept_end = kept;
    crew->kept_end = &kept->next;
}

/* One whose inbox is closed is gone, and with it the run. */
static void pass(struct device_crew *crew, unsigned member, struct frame *frame)
{
    const struct iovec parts[] = {{&frame->offload, sizeof(frame->offload)},
                                  {frame->data, frame->len}};

    if (crew->kept || hand_over(crew, member, parts, 2) == -EAGAIN)
        keep(crew, member, frame);
}

static void pass_to_all(struct device_crew *crew, struct frame *frame)
{
    for (unsigned i = 0; i < crew->config.members; i++) {
        if (i != crew->config.member)
            pass(crew, i, frame);
    }
}

/* True: nothing waits any more. */
static bool pass_kept(struct device_crew *crew)
{
    for (struct kept *kept; (kept = crew->kept);) {
        const struct iovec part = {kept->bytes, kept->len};
        if (hand_over(crew, kept->member, &part, 1) == -EAGAIN)
            return false;
        crew->kept = kept->next;
        free(kept);
    }
    crew->kept_end = &crew->kept;
    return true;
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
    device->again = crew->kept && !pass_kept(crew);
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
            device->again = crew->kept;
            return 1;
        }
        pass(crew, owner, frame);
        device->again = crew->kept;
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

    for (struct kept *kept; (kept = crew->kept);) {
        crew->kept = kept->next;
        free(kept);
    }
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
    crew->kept_end = &crew->kept;
    *ret_device = &crew->device;
    return 0;
}
