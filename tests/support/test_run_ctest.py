#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The log that is read here is shaped as ctest, cmocka and tests/cli/harness.py write it."""
import run_ctest

LOG = """\
1/5 Testing: netns.nftrace
[ RUN      ] iptables_rules_are_followed
skipped: needs iptables-nft and nft_compat
[  SKIPPED ] iptables_rules_are_followed
[  PASSED  ] 12 test(s).
[  SKIPPED ] tests: 1 test(s), listed below:
[  SKIPPED ] iptables_rules_are_followed
2/5 Testing: cli.pcap
ok       test_one (0.01 s)
skipped: tshark is not installed
skipped  test_tshark_reads_it (0.20 s)
3/5 Testing: cli.wire
ok       test_two (0.01 s)
4/5 Testing: netns.tun
skipped: needs /dev/net/tun: No such file or directory
5/5 Testing: judge.native
skipped in netns.nftrace.iptables_rules_are_followed: needs iptables-nft and nft_compat (expected)
skipped in install.strangers.test_clang_and_the_archive: clang is not installed (expected)
skipped in cli.soak: no private namespaces here: 1
"""
SKIPS = [
    ("netns.nftrace.iptables_rules_are_followed", "needs iptables-nft and nft_compat", True),
    ("cli.pcap.test_tshark_reads_it", "tshark is not installed", False),
    ("netns.tun", "needs /dev/net/tun: No such file or directory", False),
    ("judge.native.netns.nftrace.iptables_rules_are_followed",
     "needs iptables-nft and nft_compat", True),
    ("judge.native.install.strangers.test_clang_and_the_archive", "clang is not installed", True),
    ("judge.native.cli.soak", "no private namespaces here: 1", False),
]

if __name__ == "__main__":
    found = [(*skip, run_ctest.expected(*skip)) for skip in run_ctest.find_skips(LOG.splitlines())]
    assert found == SKIPS, found
