/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: open the node (which binds the descriptor to the namespace of this thread),
 * TUNSETIFF (which makes the device, or joins a persistent one), then what is learnt or set on the
 * descriptor. Each step has its own ways to fail, and each of those its own mend; that is most of
 * this file.
 *
 * The virtio header is always there, so that the reader of frames knows one layout only.
 */
#include "kernel/netlink/tun.h"

#include "base/error.h"
#include "base/macro.h"
#include "kernel/netlink/steer.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_tun.h>

/* Newer than the headers of the oldest system that this is built on. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_NODE "/dev/net/tun"
enum { VNET_HEADER_BYTES = 10 };

/** What the kernel takes as a name: no blanks, '/' or ':', not "." or "..", and one "%d" at
 *  most. */
static bool name_is_sound(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len >= IF_NAMESIZE || !strcmp(name, ".") || !strcmp(name, ".."))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)name[i]) || name[i] == '/' || name[i] == ':')
            return false;
    const char *percent = strchr(name, '%');
    return !percent || (percent[1] == 'd' && !strchr(percent + 1, '%'));
}

static int node_fail(const char *node, int code, struct peer_error *error)
{
    const enum peer_error_kind kind = PEER_ERROR_MACHINE;

    switch (code) {
    case ENOENT:
        if (strcmp(node, TUN_NODE) != 0)
            return error_set(error, kind, code, "%s does not exist; the usual node is " TUN_NODE,
                             node);
        return error_set(error, kind, code,
                         "%s does not exist; load the module with \"modprobe tun\", or make the "
                         "node with \"mkdir -p /dev/net && mknod %s c 10 200\"",
                         node, node);
    case EACCES:
        return error_set(error, kind, code,
                         "%s may not be opened by this user; run it with sudo, or give everybody "
                         "access as most systems do: \"sudo chmod 0666 %s\"",
                         node, node);
    case EPERM:
        return error_set(error, kind, code,
                         "%s is forbidden here; a container needs it among its devices: "
                         "\"docker run --device %s\"",
                         node, node);
    case ENXIO:
    case ENODEV:
        return error_set(error, kind, code,
                         "%s exists but the kernel has no TUN/TAP driver; load it with "
                         "\"modprobe tun\"",
                         node);
    default:
        return error_set(error, kind, code, "cannot open %s: %s", node, error_text(code));
    }
}

static int node_open(const char *node, struct peer_error *error)
{
    int fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? node_fail(node, errno, error) : fd;
}

/** Index of the device called `name` in the namespace of this thread, or -errno. */
static int name_to_index(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 && errno == EAFNOSUPPORT)
        fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    int r = ioctl(fd, SIOCGIFINDEX, &request) < 0 ? -errno : request.ifr_ifindex;
    (void)close(fd);
    return r;
}

static int create_fail(const struct tun_config *config, const char *node, const char *name,
                       int code, struct peer_error *error)
{
    const enum peer_error_kind kind = PEER_ERROR_MACHINE;
    const char *type = config->tap ? "TAP" : "TUN";

    switch (code) {
    case EPERM:
        return error_set(error, kind, code,
                         "no right to make a %s device here (CAP_NET_ADMIN); run it with sudo, or "
                         "use `isolate`",
                         type);
    case EBUSY:
        return error_set(error, kind, code,
                         "device %s is in use by another program; choose another name with `dev`",
                         name);
    case EINVAL:
        if (name_to_index(name) > 0)
            return error_set(error, kind, code,
                             "there is a device %s already, and it is no single-queue %s device; "
                             "choose another name with `dev`",
                             name, type);
        return error_set(error, kind, code, "the kernel refuses to make a %s device called %s",
                         type, name);
    case ENOTTY:
        return error_set(error, kind, code, "%s is no TUN/TAP node; the usual one is " TUN_NODE,
                         node);
    case ENFILE:
        return error_set(error, kind, code,
                         "no name of the form %s is left; choose another one with `dev`", name);
    default:
        return error_set(error, kind, code, "cannot make %s device %s: %s", type, name,
                         error_text(code));
    }
}

static int create(int fd, const struct tun_config *config, const char *node, const char *name,
                  struct tun *tun, struct peer_error *error)
{
    struct ifreq request = {0};
    const int flags = (config->tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR |
                      (config->queues > 1 ? IFF_MULTI_QUEUE : 0);

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    request.ifr_flags = (short)flags;
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return create_fail(config, node, name, errno, error);
    request.ifr_name[IF_NAMESIZE - 1] = '\0';
    memcpy(tun->name, request.ifr_name, sizeof(tun->name));
    return 0;
}

/** The most that the kernel grants, step by step; a persistent device may come with old
 *  settings. */
static void set_offload(int fd, bool wanted, struct tun *tun)
{
    static const unsigned steps[] = {
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
        0,
    };

    for (size_t i = wanted ? 0 : ARRAY_SIZE(steps) - 1; i < ARRAY_SIZE(steps); i++)
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)steps[i]) == 0) {
            tun->offload_tcp = steps[i] & TUN_F_TSO4;
            tun->offload_udp = steps[i] & TUN_F_USO4;
            return;
        }
}

/* With one queue: while receive packet steering is in use anywhere on the machine, the driver hashes
   each packet's headers on its way to us, for a choice between queues of which there is one. A program
   that makes the choice saves that (3 % of a busy server's time). With several it finds the right one;
   where programs may not be loaded the kernel sends a flow's packets to the queue from which its last
   one came, as far as it remembers. */
static bool steer(int fd, const struct tun_config *config)
{
    struct steer steer = {.code = NULL};
    int status = 0;

    if (config->queues > 1)
        status = steer_build(config->peers, config->tap, config->queues, &steer);
    if (status == 0)
        status = steer_install(&steer, fd);
    steer_done(&steer);
    return status == 0;
}

static int learn(int fd, const struct tun_config *config, struct tun *tun, struct peer_error *error)
{
    const int header_bytes = VNET_HEADER_BYTES;
    struct ifreq request = {0};

    if (ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) < 0)
        return error_set(error, PEER_ERROR_MACHINE, errno, "cannot set up device %s: %s", tun->name,
                         error_text(errno));
    set_offload(fd, config->offload, tun);
    tun->steered = steer(fd, config);
    if (config->tap) {
        if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
            return error_set(error, PEER_ERROR_MACHINE, errno, "cannot read the MAC of %s: %s",
                             tun->name, error_text(errno));
        memcpy(tun->mac.bytes, request.ifr_hwaddr.sa_data, sizeof(tun->mac.bytes));
    }
    int index = name_to_index(tun->name);
    if (index < 0)
        return error_set(error, PEER_ERROR_MACHINE, -index, "cannot find device %s: %s", tun->name,
                         error_text(-index));
    tun->ifindex = index;
    return 0;
}

int tun_open(const struct tun_config *config, struct tun *ret_tun, struct peer_error *error)
{
    const char *node = config->node ? config->node : TUN_NODE;
    const char *name = config->name ? config->name : "peer%d";
    struct tun tun = {.fd = -1};

    if (!name_is_sound(name))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%.64s\" is no name for a device; 1 to %d characters without blanks, "
                         "'/' and ':', with one \"%%d\" at most",
                         name, IF_NAMESIZE - 1);
    int fd = node_open(node, error);
    if (fd < 0)
        return fd;
    int r = create(fd, config, node, name, &tun, error);
    if (r == 0)
        r = learn(fd, config, &tun, error);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    tun.fd = fd;
    *ret_tun = tun;
    return 0;
}

int tun_add_queue(const struct tun_config *config, const char *name, struct peer_error *error)
{
    const char *node = config->node ? config->node : TUN_NODE;
    struct tun tun = {.fd = -1};

    int fd = node_open(node, error);
    if (fd < 0)
        return fd;
    int status = create(fd, config, node, name, &tun, error);
    if (status == 0)
        return fd;
    (void)close(fd);
    return status;
}
