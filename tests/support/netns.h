/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SUPPORT_NETNS_H
#define TESTS_SUPPORT_NETNS_H

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/** A namespace of the test's own. All of it is gone when the process ends. */

/** Exit status of a test that cannot run here. */
enum { TEST_SKIPPED = 77 };

static inline bool netns_write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    (void)close(fd);
    return done;
}

/** Maps the caller to root of the user namespace it has just made. */
static inline bool netns_map_root(uid_t uid, gid_t gid)
{
    char uid_map[32], gid_map[32];

    (void)snprintf(uid_map, sizeof(uid_map), "0 %u 1", (unsigned)uid);
    (void)snprintf(gid_map, sizeof(gid_map), "0 %u 1", (unsigned)gid);
    return netns_write_file("/proc/self/setgroups", "deny") &&
           netns_write_file("/proc/self/uid_map", uid_map) &&
           netns_write_file("/proc/self/gid_map", gid_map);
}

static inline bool netns_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    bool done = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags |= IFF_UP;
    done = done && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return done;
}

/**
 * Moves this (single-threaded) process into a fresh network namespace with lo up, and into a fresh
 * user namespace as its root when `with_user` is set or when there is no other way. As root, where
 * user namespaces are refused, a network namespace alone has to do. 0 or -errno.
 */
static inline int netns_enter_private(bool with_user)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();

    if ((with_user || uid != 0) && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        if (!netns_map_root(uid, gid))
            return -EPERM;
    } else if (unshare(CLONE_NEWNET) < 0) {
        return -errno;
    }
    return netns_loopback_up() ? 0 : -EPERM;
}

/** For main(): `if (status < 0) return netns_skip("a network namespace", -status);` */
static inline int netns_skip(const char *needed, int code)
{
    (void)fprintf(stderr, "skipped: needs %s: %s\n", needed, strerror(code));
    return TEST_SKIPPED;
}

/** For main() of what needs a device: goes to the namespace, as its root; 0, or the exit status where
 *  that cannot be. */
static inline int netns_enter_with_tun(void)
{
    int status = netns_enter_private(true);

    if (status < 0)
        return netns_skip("a network namespace", -status);
    return access("/dev/net/tun", R_OK | W_OK) < 0 ? netns_skip("/dev/net/tun", errno) : 0;
}

#endif
