/* SPDX-License-Identifier: BSD-3-Clause */
/* The text side of sysctl.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel/observe/sysctl.h"
#include "kernel/observe/sysctl_internal.h"

static const char snmp[] = "Ip: Forwarding DefaultTTL InReceives\n"
                           "Ip: 1 64 700\n"
                           "Tcp: RtoAlgorithm MaxConn RetransSegs InErrs\n"
                           "Tcp: 1 -1 42 18446744073709551615\n"
                           "TcpExt: SyncookiesSent ListenOverflows\n"
                           "TcpExt: 3 9\n";

static const char snmp6[] = "Ip6InReceives                   \t12\n"
                            "Ip6InHdrErrors                  \t0\n"
                            "Icmp6OutMsgs                    \t7\n"
                            "Icmp6OutMsgsEx\n";

static void a_number_is_read_with_or_without_newline(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_int_equal(sysctl_parse("1\n", &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(sysctl_parse("-17", &value), 0);
    assert_int_equal(value, -17);
}

static void the_first_number_of_a_list_counts(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_int_equal(sysctl_parse("4096\t131072\t6291456\n", &value), 0);
    assert_int_equal(value, 4096);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    int64_t value = 5;
    assert_int_equal(sysctl_parse("", &value), -EINVAL);
    assert_int_equal(sysctl_parse("cubic\n", &value), -EINVAL);
    assert_int_equal(sysctl_parse("12ab\n", &value), -EINVAL);
    assert_int_equal(sysctl_parse("99999999999999999999\n", &value), -ERANGE);
    assert_int_equal(value, 5);
}

static void a_counter_is_found_by_group_and_name(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(snmp_parse_table(snmp, "Tcp", "RetransSegs", &value), 0);
    assert_int_equal(value, 42);
    assert_int_equal(snmp_parse_table(snmp, "TcpExt", "ListenOverflows", &value), 0);
    assert_int_equal(value, 9);
    assert_int_equal(snmp_parse_table(snmp, "Ip", "Forwarding", &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(snmp_parse_table(snmp, "Tcp", "InErrs", &value), 0);
    assert_true(value == UINT64_MAX);
}

static void a_signed_counter_is_twos_complement(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(snmp_parse_table(snmp, "Tcp", "MaxConn", &value), 0);
    assert_true(value == UINT64_MAX);
}

static void a_missing_counter_is_not_found(void **state)
{
    (void)state;
    uint64_t value = 5;
    assert_int_equal(snmp_parse_table(snmp, "Tcp", "ListenOverflows", &value), -ENOENT);
    assert_int_equal(snmp_parse_table(snmp, "Udp", "InErrs", &value), -ENOENT);
    assert_int_equal(snmp_parse_table(snmp, "Tc", "InErrs", &value), -ENOENT);
    assert_int_equal(snmp_parse_table("", "Tcp", "InErrs", &value), -ENOENT);
    assert_int_equal(value, 5);
}

static void a_torn_table_yields_an_error(void **state)
{
    (void)state;
    uint64_t value = 5;
    assert_int_equal(snmp_parse_table("Tcp: A B\n", "Tcp", "A", &value), -ENOENT);
    assert_int_equal(snmp_parse_table("Tcp: A B\nTcp: 1\n", "Tcp", "B", &value), -ENOENT);
    assert_int_equal(snmp_parse_table("Tcp: A B\nTcp: 1 x2", "Tcp", "B", &value), -EINVAL);
    assert_int_equal(snmp_parse_table("Tcp: A\nUdp: 1\n", "Tcp", "A", &value), -ENOENT);
    assert_int_equal(value, 5);
}

static void a_list_is_searched_by_whole_names(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(snmp_parse_list(snmp6, "Ip6", "InReceives", &value), 0);
    assert_int_equal(value, 12);
    assert_int_equal(snmp_parse_list(snmp6, "Icmp6", "OutMsgs", &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(snmp_parse_list(snmp6, "Icmp6", "Out", &value), -ENOENT);
    assert_int_equal(snmp_parse_list(snmp6, "Icmp6", "OutMsgsEx", &value), -ENOENT);
}

static void counters_of_this_machine_are_readable(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(snmp_read(0, "Tcp", "RetransSegs", &value), 0);
    assert_int_equal(snmp_read(0, "TcpExt", "ListenOverflows", &value), 0);
    assert_int_equal(snmp_read(0, "IpExt", "InOctets", &value), 0);
    assert_int_equal(snmp_read(0, "Tcp", "NoSuchCounter", &value), -ENOENT);
}

static void sysctls_of_this_machine_are_readable(void **state)
{
    (void)state;
    int64_t value;
    assert_int_equal(sysctl_read("net/ipv4/ip_forward", &value), 0);
    assert_in_range(value, 0, 1);
    assert_int_equal(sysctl_read("net/ipv4/no_such_key", &value), -ENOENT);
    assert_in_range(sysctl_rp_filter("lo"), 0, 2);
    assert_int_equal(sysctl_rp_filter("nosuchdevice"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_read_with_or_without_newline),
        cmocka_unit_test(the_first_number_of_a_list_counts),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(a_counter_is_found_by_group_and_name),
        cmocka_unit_test(a_signed_counter_is_twos_complement),
        cmocka_unit_test(a_missing_counter_is_not_found),
        cmocka_unit_test(a_torn_table_yields_an_error),
        cmocka_unit_test(a_list_is_searched_by_whole_names),
        cmocka_unit_test(counters_of_this_machine_are_readable),
        cmocka_unit_test(sysctls_of_this_machine_are_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
