/* SPDX-License-Identifier: BSD-3-Clause */
/* Making of TUN and TAP devices, and the words when that fails. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/capability.h>
#include <linux/if_tun.h>

#include "base/macro.h"
#include "kernel/netlink/tun.h"
#include "support/netns.h"

static struct tun open_device(const struct tun_config *config)
{
    struct peer_error error = {0};
    struct tun tun;

    if (tun_open(config, &tun, &error) < 0)
        fail_msg("%s", error.text);
    return tun;
}

static void refuse(const struct tun_config *config, int code, enum peer_error_kind kind,
                   const char *part)
{
    struct peer_error error = {0};
    struct tun tun = {.fd = -7};

    assert_int_equal(tun_open(config, &tun, &error), -code);
    assert_int_equal(tun.fd, -7); /* untouched */
    assert_int_equal(error.code, code);
    assert_int_equal(error.kind, kind);
    if (!strstr(error.text, part))
        fail_msg("\"%s\" does not contain \"%s\"", error.text, part);
}

static void the_default_is_a_tun_device_called_peer(void **state)
{
    (void)state;
    struct tun tun = open_device(&(struct tun_config){0});
    struct ifreq request = {0};
    int header = 0;

    assert_string_equal(tun.name, "peer0");
    assert_int_equal(tun.ifindex, if_nametoindex("peer0"));
    assert_false(tun.offload_tcp);
    assert_false(tun.offload_udp);
    assert_true(fcntl(tun.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(tun.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(ioctl(tun.fd, TUNGETIFF, &request), 0);
    assert_int_equal(request.ifr_flags & (IFF_TUN | IFF_TAP), IFF_TUN);
    assert_true(request.ifr_flags & IFF_NO_PI);
    assert_true(request.ifr_flags & IFF_VNET_HDR);
    assert_int_equal(ioctl(tun.fd, TUNGETVNETHDRSZ, &header), 0);
    assert_int_equal(header, 10);
    (void)close(tun.fd);
}

static void a_tap_device_tells_its_mac(void **state)
{
    (void)state;
    const struct peer_mac none = {0};
    struct tun tun = open_device(&(struct tun_config){.tap = true, .name = "lan7"});

    assert_string_equal(tun.name, "lan7");
    assert_memory_not_equal(tun.mac.bytes, none.bytes, sizeof(none.bytes));
    (void)close(tun.fd);
}

static void names_are_counted_up(void **state)
{
    (void)state;
    struct tun first = open_device(&(struct tun_config){.name = "x%dy"});
    struct tun second = open_device(&(struct tun_config){.name = "x%dy"});

    assert_string_equal(first.name, "x0y");
    assert_string_equal(second.name, "x1y");
    (void)close(first.fd);
    (void)close(second.fd);
}

static void offload_is_granted_for_tcp_when_wanted(void **state)
{
    (void)state;
    struct tun tun = open_device(&(struct tun_config){.offload = true});

    assert_true(tun.offload_tcp); /* every kernel that we support has it; UDP is newer */
    (void)close(tun.fd);
}

static void the_device_goes_with_the_descriptor(void **state)
{
    (void)state;
    struct tun tun = open_device(&(struct tun_config){.name = "gone0"});

    assert_true(if_nametoindex("gone0") > 0);
    (void)close(tun.fd);
    assert_int_equal(if_nametoindex("gone0"), 0);
}

static void an_impossible_name_is_wrong_usage(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", ".", "..", "a/b", "a b", "a:b", "a\tb", "sixteen-letters-", "a%", "a%s", "a%d%d", "%%d",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        refuse(&(struct tun_config){.name = names[i]}, EINVAL, PEER_ERROR_USAGE, "is no name");
    struct tun tun = open_device(&(struct tun_config){.name = "fifteen-letters"});
    (void)close(tun.fd);
}

static void a_taken_name_is_busy(void **state)
{
    (void)state;
    struct tun tun = open_device(&(struct tun_config){.name = "busy0"});

    refuse(&(struct tun_config){.name = "busy0"}, EBUSY, PEER_ERROR_MACHINE, "`dev`");
    (void)close(tun.fd);
}

static void a_name_of_another_kind_of_device_is_refused(void **state)
{
    (void)state;
    struct tun tun = open_device(&(struct tun_config){.name = "kind0"});

    refuse(&(struct tun_config){.name = "lo"}, EINVAL, PEER_ERROR_MACHINE, "device lo already");
    refuse(&(struct tun_config){.name = "kind0", .tap = true}, EINVAL, PEER_ERROR_MACHINE, "TAP");
    (void)close(tun.fd);
}

static void a_missing_node_is_explained(void **state)
{
    (void)state;
    refuse(&(struct tun_config){.node = "/nonexistent/tun"}, ENOENT, PEER_ERROR_MACHINE,
           "/nonexistent/tun does not exist");
}

static void a_node_that_is_something_else_is_explained(void **state)
{
    (void)state;
    refuse(&(struct tun_config){.node = "/dev/null"}, ENOTTY, PEER_ERROR_MACHINE,
           "/dev/null is no TUN/TAP node");
}

/** Runs in a child without capabilities; 0 when the error is `code` and says `part`. */
static int refused_in_child(const struct tun_config *config, int code, const char *part)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    struct peer_error error = {0};
    struct tun tun;
    int status = -1;

    pid_t pid = fork();
    if (pid == 0) {
        if (syscall(SYS_capset, &header, data) < 0)
            _exit(2);
        _exit(tun_open(config, &tun, &error) == -code && strstr(error.text, part) ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void lack_of_rights_comes_with_advice(void **state)
{
    (void)state;
    assert_int_equal(refused_in_child(&(struct tun_config){0}, EPERM, "use `isolate`"), 0);
}

static void a_closed_node_comes_with_advice(void **state)
{
    (void)state;
    char path[] = "/tmp/peer-node-XXXXXX";

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0), 0);
    const struct tun_config config = {.node = path};
    int r = refused_in_child(&config, EACCES, "chmod 0666");
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_a_tun_device_called_peer),
        cmocka_unit_test(a_tap_device_tells_its_mac),
        cmocka_unit_test(names_are_counted_up),
        cmocka_unit_test(offload_is_granted_for_tcp_when_wanted),
        cmocka_unit_test(the_device_goes_with_the_descriptor),
        cmocka_unit_test(an_impossible_name_is_wrong_usage),
        cmocka_unit_test(a_taken_name_is_busy),
        cmocka_unit_test(a_name_of_another_kind_of_device_is_refused),
        cmocka_unit_test(a_missing_node_is_explained),
        cmocka_unit_test(a_node_that_is_something_else_is_explained),
        cmocka_unit_test(lack_of_rights_comes_with_advice),
        cmocka_unit_test(a_closed_node_comes_with_advice),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
