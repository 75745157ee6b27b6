#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_examples.py --peer PROGRAM: every program of tests/examples, built as its first comment says with what is
installed in PEER_PREFIX, does what that comment says: as it is, with sanitizers, and in valgrind. Each is three
tests: NAME, NAME_sanitized, NAME_in_valgrind."""
import glob
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "examples")
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
# pylint: disable=wrong-import-position
import harness
from harness import need

PREFIX = os.environ["PEER_PREFIX"]
LIB = os.environ.get("PEER_LIBDIR", os.path.join(PREFIX, "lib"))
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-overlength-strings")


def load_run():
    """tests/examples/run, as a module."""
    loader = importlib.machinery.SourceFileLoader("run_example", os.path.join(EXAMPLES, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_example", loader))
    loader.exec_module(module)
    return module


example = load_run()


def build(path, *flags):
    """The program, in the test's directory."""
    need("cc", "pkg-config")
    packages = example.transcript(path)[0]
    environment = {**os.environ, "PKG_CONFIG_PATH": f"{LIB}/pkgconfig"}
    for package in packages:
        if subprocess.run(["pkg-config", "--exists", package], env=environment, check=False).returncode:
            raise harness.Skip(f"{package} is not installed")
    program = os.path.join(harness.directory, "example")
    harness.run("cc", "-o", program, path, "-g", *flags,
                *harness.run("pkg-config", "--cflags", "--libs", *packages, env=environment).split())
    return program


def run(path, program, wrapper=(), **environment):
    os.environ.update(environment, PEER=harness.PEER, LD_LIBRARY_PATH=LIB)
    return example.run(path, program, wrapper)


# ---- what valgrind says ----

# Whoever's they are, errors of memory and what nobody points to any more are faults. What is still pointed to
# at the end is one when the library is in it: other libraries keep what they have made once.
# What the C library keeps for a thread as long as it lives, and for the next one when it has ended, is neither.
OF_A_THREAD = re.compile(r"(at|by) 0x\w+: (allocate_dtv|pthread_create)")
OURS = re.compile(r"libpeer\.so|\((?:\S*/)?src/[a-z_/]+\.c:|peer_\w+ \(")
VALGRIND = ("--leak-check=full", "--show-leak-kinds=all", "--errors-for-leak-kinds=definite,indirect",
            "--fullpath-after=", "--run-libc-freeres=no")


def records_of(log):
    """The paragraphs that valgrind wrote."""
    return re.split(r"^==\d+== *$\n", log, flags=re.M)


def made_by_others(record):
    """Whether the first caller of the C library's is another library than ours, which keeps it."""
    callers = [line for line in re.findall(r"^==\d+==    (?:at|by) 0x.*", record, re.M) if "sysdeps" not in line]
    return bool(callers) and " (in /" in callers[0] and not OURS.search(callers[0])


def complaints(log, whole):
    """What is wrong with a process, by its log. `whole`: it ended by itself, and should have left nothing."""
    found = []
    for record in records_of(log):
        lost = re.search(r" are (definitely|indirectly|possibly) lost | are still reachable ", record)
        if lost:
            wrong = whole and (lost[1] in ("definitely", "indirectly") or
                               (OURS.search(record) and not OF_A_THREAD.search(record)))
        elif re.search(r"^==\d+== Open ", record, re.M):
            wrong = whole and "inherited from parent" not in record and not made_by_others(record)
        else:
            wrong = re.search(r"^==\d+==    at 0x", record, re.M)
        if wrong:
            found.append(record)
    return found


def tracking():
    """The option for descriptors, where valgrind's words are those by which we tell whose they are."""
    version = run_and_read("valgrind", "--version").strip()
    return ("--track-fds=yes",) if version <= "valgrind-3.19.9" else ()


def run_and_read(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


def check_in_valgrind(path):
    need("valgrind")
    program = build(path)
    logs = os.path.join(harness.directory, "valgrind")
    os.mkdir(logs)
    run(path, program, ("valgrind", f"--log-file={logs}/%p", *VALGRIND, *tracking()))
    texts = {}
    for name in os.listdir(logs):
        with open(f"{logs}/{name}", encoding="utf-8", errors="replace") as file:
            texts[name] = file.read()
    itself = [name for name, log in texts.items() if f"Parent PID: {os.getpid()}\n" in log]
    assert len(itself) == 1 and "ERROR SUMMARY: " in texts[itself[0]], texts
    for name, log in texts.items():
        found = complaints(log, name in itself)
        who = "itself" if name in itself else "a child"
        assert not found, f"{os.path.basename(path)}, {who}:\n" + "\n".join(found)


# ---- the tests ----

def define_tests():
    for path in sorted(glob.glob(f"{EXAMPLES}/*.c")):
        name = "test_" + os.path.basename(path)[:-len(".c")]

        def plain(path=path):
            run(path, build(path, "-std=gnu11", *WARNINGS))

        def sanitized(path=path):
            run(path, build(path, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"))

        def in_valgrind(path=path):
            check_in_valgrind(path)

        globals()[name] = plain
        globals()[f"{name}_sanitized"] = sanitized
        globals()[f"{name}_in_valgrind"] = in_valgrind


define_tests()


def test_the_first_test_of_the_readme():
    with open(os.path.join(HERE, "..", "..", "README.md"), encoding="utf-8") as file:
        section = re.search(r"^## Tests in C\n(.*?)^## ", file.read(), re.M | re.S)[1]
    text = re.sub("^    ", "", re.search(r"^(?:    .*\n|\n)+", section[section.index("\n    #include") + 1:])[0], flags=re.M)
    assert text.startswith("#include") and len(text.rstrip().splitlines()) <= 30
    path = os.path.join(harness.directory, "first.c")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    run(path, build(path, *WARNINGS))
    run(path, build(path, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"))


def test_leaks_of_the_library_would_be_told():
    """What `complaints` makes of words of valgrind's."""
    stack = "==7==    at 0x4: malloc (vg_replace_malloc.c:1)\n==7==    by 0x5: {}\n"
    kept = "==7== 8 bytes in 1 blocks are still reachable in loss record 1 of 9\n" + stack
    lost = kept.replace("still reachable", "definitely lost")
    assert complaints(kept.format("x_new (/a/src/lib/net.c:9)"), True)
    assert complaints(kept.format("??? (in /usr/lib/libpeer.so.0.1.0)"), True)
    assert not complaints(kept.format("g_malloc (in /usr/lib/libglib-2.0.so.0)"), True)
    thread = "allocate_dtv (/a/nptl/x.c:1)\n==7==    by 0x6: run (/a/src/attachment/removal.c:9)"
    assert not complaints(kept.format(thread), True) and complaints(lost.format(thread), True)
    assert complaints(lost.format("g_malloc (in /usr/lib/libglib-2.0.so.0)"), True)
    assert complaints("==7== Invalid read of size 8\n" + stack.format("f (f.c:1)"), False)
    opened = "==7== Open file descriptor 9:\n==7==    at 0x4: open (open.c:1)\n"
    assert complaints(opened, True) and not complaints(opened, False)
    assert not complaints(opened.replace("open (open.c:1)", "??? (in /usr/lib/libglib-2.0.so.0)"), True)


if __name__ == "__main__":
    harness.main()
