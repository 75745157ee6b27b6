#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_walls.py REPOSITORY BUILD: the walls between modules stand.

A wall that nobody runs into may have fallen long ago. So each is run into here: a file that breaks a
rule is compiled as its module is, and must be refused; a tree with a breach goes through `layers`,
which must name it.
"""
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

REPOSITORY, BUILD = sys.argv[1:3]

# A file of a module, and a header that it must not find.
UNSEEN = [
    ("soak", "stack/stack.h"),
    ("soak", "engine/engine.h"),
    ("soak", "kernel/netlink/rtnl.h"),
    ("lib", "stack/stack.h"),
    ("lib", "stack/internal.h"),
    ("flow", "lwip/tcp.h"),
    ("engine", "soak/soak.h"),
    ("stack", "flow/flow.h"),
    ("stack", "kernel/netlink/rtnl.h"),
    ("kernel/netlink", "stack/conn.h"),
    ("kernel/netlink", "kernel/netns/child.h"),
    ("kernel/netlink", "kernel/wire/wire.h"),
    ("kernel/netns", "kernel/netlink/rtnl.h"),
    ("kernel/observe", "kernel/netns/netns.h"),
    ("kernel/observe", "kernel/wire/guard.h"),
    ("kernel/wire", "kernel/observe/sysctl.h"),
    ("kernel/wire", "attachment/attachment.h"),
    ("attachment", "engine/engine.h"),
    ("attachment", "flow/flow.h"),
    ("attachment", "trace/trace.h"),
    ("attachment", "lib/internal.h"),
    ("trace", "engine/engine.h"),
    ("trace", "flow/flow.h"),
    ("trace", "lib/internal.h"),
    ("trace", "stack/conn.h"),
    ("link", "device/device.h"),
    ("http", "flow/flow.h"),
    ("base", "packet/frame.h"),
    ("relay", "lib/internal.h"),
    ("relay", "flow/flow.h"),
]
# A module, a line that may not stand in it, and what `layers` says of it.
BREACHES = [
    ("soak", '#include "stack/stack.h"', "may not include"),
    ("stack", "#include <libmnl/libmnl.h>", "may not include"),
    ("kernel/observe", "#include <libmnl/libmnl.h>", "may not include"),
    ("kernel/wire", "#include <seccomp.h>", "may not include"),
    ("kernel/netns", '#include "kernel/netlink/rtnl.h"', "may not include"),
    ("kernel/observe", '#include "kernel/wire/wire.h"', "may not include"),
    ("trace", '#include "engine/engine.h"', "may not include"),
    ("trace", '#include "kernel/wire/wire.h"', "may not include"),
    ("attachment", '#include "link/spec.h"', "may not include"),
    ("flow", "static void f(void) { printf(\"x\"); }", "prints"),
    ("stack", "static void f(void) { usleep(1); }", "sleeps"),
    ("soak", "static int f(void) { return rand(); }", "draws"),
    ("link", "static void f(void) { rng_derive(&rng, seed, 0x123); }", "purpose without a name"),
    ("link", "static void f(void) { clock_gettime(CLOCK_MONOTONIC, &now); }", "reads the clock"),
    ("lib", "static void f(void) { exit(1); }", "exits"),
    ("lib", "static size_t f(void) { return flow->flow.conn.rx_bytes; }", "takes hold of"),
    ("soak", "static void f(void) { stack_close(stack, conn); }", "takes hold of"),
    ("relay", '#include "flow/flow.h"', "may not include"),
    ("base", "static void f(void)\n{\n" + "    g();\n" * 80 + "}", "function of"),
    ("base", "/* */\n" * 900, "lines;"),
    ("link", "int f(int a, int (*b)(int, int), int c, int d,\n      int e, int g, int h);",
     "takes 7 parameters"),
]


def commands():
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        return json.load(file)


def compiler_of(module):
    """How some file of the module is compiled, without that file and what is written."""
    for entry in commands():
        target = "peer_%s.dir" % module.replace("/", "_")
        if "/src/%s/" % module in entry["file"] and target in entry["command"]:
            words = shlex.split(entry["command"])
            return words[:words.index("-o")], entry["directory"]
    raise AssertionError("nothing of %s is compiled" % module)


class CompilerTest(unittest.TestCase):
    def compiles(self, module, text):
        words, folder = compiler_of(module)
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write(text)
            file.flush()
            done = subprocess.run(words + ["-fsyntax-only", file.name],
                                  cwd=folder, capture_output=True, text=True, check=False)
        return done.returncode == 0, done.stderr

    def test_each_module_sees_itself(self):
        for module, header in ("soak", "soak/run.h"), ("stack", "stack/internal.h"), \
                              ("lib", "lib/internal.h"), ("soak", "stack/conn.h"), \
                              ("kernel/wire", "kernel/netns/child.h"):
            with self.subTest(module=module):
                done, words = self.compiles(module, '#include "%s"\n' % header)
                self.assertTrue(done, words)

    def test_no_module_sees_through_a_wall(self):
        for module, header in UNSEEN:
            with self.subTest(module=module, header=header):
                done, words = self.compiles(module, '#include "%s"\n' % header)
                self.assertFalse(done)
                self.assertRegex(words, "No such file|file not found")


class LayersTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        shutil.copytree(os.path.join(REPOSITORY, "src"), os.path.join(self.root, "src"))
        self.addCleanup(shutil.rmtree, self.root)

    def layers(self):
        return subprocess.run([sys.executable, os.path.join(REPOSITORY, "tests/lint/layers"),
                               self.root], capture_output=True, text=True, check=False)

    def test_each_breach_is_named(self):
        self.assertEqual(self.layers().returncode, 0)
        for number, (module, line, _) in enumerate(BREACHES):
            path = os.path.join(self.root, "src", module, "breach%d.c" % number)
            with open(path, "w", encoding="utf-8") as file:
                file.write(line + "\n")
        done = self.layers()
        self.assertEqual(done.returncode, 1)
        for number, (module, line, words) in enumerate(BREACHES):
            with self.subTest(module=module, line=line[:60]):
                self.assertRegex(done.stdout, r"src/%s/breach%d\.c:\d+: .*%s"
                                 % (module, number, words))

    def test_a_module_without_a_rule_is_named(self):
        for module in "novel", "kernel/novel":
            with self.subTest(module=module):
                folder = os.path.join(self.root, "src", module)
                os.mkdir(folder)
                with open(os.path.join(folder, "novel.c"), "w", encoding="utf-8"):
                    pass
                done = self.layers()
                self.assertEqual(done.returncode, 1)
                self.assertIn("src/%s:1: a module that tests/lint/layers has no rule" % module,
                              done.stdout)
                shutil.rmtree(folder)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
