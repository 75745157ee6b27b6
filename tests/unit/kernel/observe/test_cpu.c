/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel tells of a process that could not run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "base/macro.h"
#include "kernel/observe/cpu.h"

static void schedstats(void **state)
{
    (void)state;
    assert_int_equal(cpu_parse_schedstat("123 45087 1\n"), 45087);
    assert_int_equal(cpu_parse_schedstat("0 0 0\n"), 0);
    assert_int_equal(cpu_parse_schedstat("123\n"), 0);
    assert_int_equal(cpu_parse_schedstat(""), 0);
}

static void throttled(void **state)
{
    (void)state;
    assert_int_equal(cpu_parse_throttled("usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 9\n"
                                         "nr_throttled 4\nthrottled_usec 2500\n"),
                     2500000);
    assert_int_equal(cpu_parse_throttled("nr_periods 9\nnr_throttled 4\nthrottled_time 777\n"),
                     777);
    assert_int_equal(cpu_parse_throttled("usage_usec 5\n"), 0);
    assert_int_equal(cpu_parse_throttled(""), 0);
}

static void loads(void **state)
{
    (void)state;
    static const char text[] = "cpu  100 0 100 100 0 0 0 0 0 0\n"
                               "cpu0 10 1 20 300 5 2 3 1000 0 0\n"
                               "cpu2 1 1 1 1 1\n"
                               "cpu10 7 0 0 50 0 0 0 0 0 0\n"
                               "intr 5 6 7\n";
    const uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    struct cpu_load load;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    CPU_SET(1, &set); /* which is off, and told nothing of */
    CPU_SET(10, &set);
    cpu_load_parse(text, &set, &load);
    assert_int_equal(load.cpus, 2);
    assert_int_equal(load.busy_ns, (10 + 1 + 20 + 2 + 3 + 7) * tick_ns);
    assert_int_equal(load.idle_ns, (300 + 5 + 50) * tick_ns);
    cpu_load_parse("", &set, &load);
    assert_int_equal(load.cpus, 0);
    cpu_load_parse("cpu0 10 1 20 300 5 2 3", &set, &load); /* there was no room for its end */
    assert_int_equal(load.cpus, 0);
}

static void groups(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
        int version; /* 0: none */
    } rows[] = {
        {"0::/user.slice/user-0.slice\n", "/user.slice/user-0.slice", 2},
        {"0::/\n", "/", 2},
        {"0::/a:b\n", "/a:b", 2},
        {"4:memory:/m\n3:cpu,cpuacct:/docker/x\n0::/y\n", "/docker/x", 1},
        {"3:cpuset:/s\n2:cpuacct:/t\n1:cpu:/\n0::/\n", "/", 1},
        {"0::/y\n1:cpu:/z", "/z", 1},
        {"3:cpuset:/s\n", "", 0},
        {"nonsense\n::\n", "", 2},
        {"", "", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char path[64] = "";
        int version;
        assert_int_equal(cpu_parse_cgroup(rows[i].text, path, sizeof(path), &version),
                         rows[i].version ? 0 : -ENOENT);
        assert_int_equal(version, rows[i].version);
        assert_string_equal(path, rows[i].path);
    }
    char small[4] = "";
    int version;
    assert_int_equal(cpu_parse_cgroup("0::/long\n", small, sizeof(small), &version), -ENOENT);
}

static void of_this_process(void **state)
{
    (void)state;
    struct cpu_wait before, after;
    struct cpu_files files;

    cpu_files_open(&files);
    cpu_wait_read(&files, &before);
    cpu_wait_read(&files, &after);
    cpu_files_close(&files);
    assert_true(after.waited_ns >= before.waited_ns);
    assert_true(after.throttled_ns >= before.throttled_ns);
}

static void quotas(void **state)
{
    (void)state;
    assert_true(cpu_parse_max("200000 100000\n") == 2);
    assert_true(cpu_parse_max("50000 100000\n") == 0.5);
    assert_true(cpu_parse_max("max 100000\n") == 0);
    assert_true(cpu_parse_max("1 0\n") == 0);
    assert_true(cpu_parse_max("") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotas),
        cmocka_unit_test(schedstats),
        cmocka_unit_test(throttled),
        cmocka_unit_test(loads),
        cmocka_unit_test(groups),
        cmocka_unit_test(of_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
