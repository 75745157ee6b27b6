#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_ctest.py [--strict] BUILD CTEST ARGUMENTS...: runs ctest in BUILD and names what was skipped.

A program of tests counts for ctest as skipped only when all of it was. Here each function counts: the
log of the run is read, and every skipped function is named with its reason, before ctest's summary,
which stays the end of the output. --strict: a skip is a failure, but for what EXPECTED lists.

What a test prints when it skips, whichever language it is in:
    skipped: REASON                        the reason of what follows
    skipped  NAME (0.01 s)                 a function of tests/cli
    [  SKIPPED ] NAME                      a function of cmocka
    skipped in TEST: REASON                of a test that ran others (tests/judge)
A reason that nothing follows is that of the whole program.
"""
import fnmatch
import os
import re
import signal
import subprocess
import sys

# What a kernel or a machine may lack though every program is installed: test, reason.
EXPECTED = (
    ("netns.nftrace.iptables_*", "needs iptables-nft and nft_compat*"),  # CONFIG_NFT_COMPAT
    ("install.strangers.test_clang_*", "clang is not installed"),  # large; tools/test, too, uses it where it is
    ("unit.confine", "no filter of system calls*"),  # qemu-user, which runs programs of other processors, has none
)

TEST = re.compile(r"^\d+/\d+ Testing: (\S+)")
REASON = re.compile(r"^skipped: (.*)")
FUNCTION = re.compile(r"^skipped +(\w+) \(|^\[  SKIPPED \] (\w+)$")
INNER = re.compile(r"^skipped in (.*?): (.*?)(?: \(expected\))*$")
SUMMARY = re.compile(r"^\d+% tests passed")


def find_skips(lines):
    """[(name, reason)] of ctest's log, each once and in order."""
    found, test, reason = {}, "?", None

    def note(name, why):
        found.setdefault(name, why or "no reason given")

    for line in lines:
        if match := TEST.match(line):
            if reason:
                note(test, reason)
            test, reason = match[1], None
        elif match := REASON.match(line):
            reason = match[1]
        elif match := FUNCTION.match(line):
            note(f"{test}.{match[1] or match[2]}", reason)
            reason = None
        elif match := INNER.match(line):
            note(f"{test}.{match[1]}", match[2])
    if reason:
        note(test, reason)
    return list(found.items())


def hear_signals():
    """nohup, and a shell's background, have them ignored, and programs that start so stay so: tests of ends that
    wait for such a signal would wait for ever."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def expected(name, why):
    return any(fnmatch.fnmatch(name, f"*{one}") and fnmatch.fnmatch(why, reason) for one, reason in EXPECTED)


def run(build, command):
    """Status and the held back summary; all else is shown as it comes."""
    held, holding = [], False
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            holding = holding or bool(SUMMARY.match(line))
            if holding:
                held.append(line)
            else:
                print(line, end="", flush=True)
    return process.returncode, "".join(held)


def main():
    arguments = sys.argv[1:]
    strict = arguments[:1] == ["--strict"]
    build, *command = arguments[strict:]
    hear_signals()
    log = os.path.join(build, "Testing", "Temporary", "LastTest.log")
    if os.path.exists(log):
        os.remove(log)
    status, summary = run(build, command)
    skips = []
    if os.path.exists(log):
        with open(log, errors="replace") as file:
            skips = find_skips(file.read().splitlines())
    for name, why in skips:
        print(f"skipped in {name}: {why}" + (" (expected)" if expected(name, why) else ""))
    print(f"{len(skips)} tests were skipped\n" if skips else "no test was skipped\n")
    bad = [name for name, why in skips if not expected(name, why)]
    if strict and bad:
        print(f"skipped tests fail where CI=true: {', '.join(bad)}\n")
        status = status or 1
    print(summary, end="", flush=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
