/* SPDX-License-Identifier: BSD-3-Clause */
/* A thousand nets (fewer with sanitizers), one after the other, as a suite of tests makes them. */
#include "netlib.h"

#include "support/fds.h"

#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#ifdef __SANITIZE_ADDRESS__ /* each fork copies much more */
enum { NETS = 200 };
#else
enum { NETS = 1000 };
#endif
enum { FIRST = 50 /* what is made once is there by then */, SLACK_BYTES = 32 * 1024 };

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int count_devices(void)
{
    struct if_nameindex *all = if_nameindex();
    int count = 0;

    assert_non_null(all);
    while (all[count].if_index)
        count++;
    if_freenameindex(all);
    return count;
}

/* The kernel lets the last of them go when it is done with their devices. */
static void await_threads(void)
{
    int count = 0;

    do {
        DIR *dir = opendir("/proc/self/task");
        assert_non_null(dir);
        for (count = 0; readdir(dir);)
            count++;
        closedir(dir);
        sched_yield();
    } while (count > 3); /* ".", "..", ours */
}

struct count {
    int fds, devices;
    size_t bytes;
};

static struct count count_all(void)
{
    return (struct count){count_fds(), count_devices(), mallinfo2().uordblks};
}

/* Gone is the device when the call is back, and so is its name. */
static void make_and_free(bool isolate, double *ret_made_ms, double *ret_freed_ms)
{
    const double begin_ms = now_ms();
    struct peer_net *net =
        netlib_new(&(struct peer_net_config){.isolate = isolate, .dev = "many"});
    const double made_ms = now_ms();

    assert_int_equal(if_nametoindex("many") != 0, !isolate);
    const double free_ms = now_ms();
    peer_net_free(net);
    *ret_freed_ms += now_ms() - free_ms;
    *ret_made_ms += made_ms - begin_ms;
    assert_int_equal(if_nametoindex("many"), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_thousand_nets_leave_nothing(void **state)
{
    double made_ms[2] = {0}, freed_ms[2] = {0};
    struct count before = {0};

    (void)state;
    for (int i = 0; i < NETS; i++) {
        make_and_free(i % 2, &made_ms[i % 2], &freed_ms[i % 2]);
        if (i == FIRST)
            before = count_all();
    }
    const struct count after = count_all();
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.devices, before.devices);
    assert_true(after.bytes <= before.bytes + SLACK_BYTES); /* threads are kept ready by libc */
    await_threads();
    for (int isolate = 0; isolate < 2; isolate++)
        printf("%s: made in %.2f ms, freed in %.2f ms, on average\n",
               isolate ? "isolated" : "beside the host", made_ms[isolate] / (NETS / 2),
               freed_ms[isolate] / (NETS / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_nets_leave_nothing),
    };

    int status = netns_enter_with_tun();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
