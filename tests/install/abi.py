#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""abi.py PREFIX [--write]: what programs that are linked with libpeer.so rely on, beside the list in libpeer.abi.

One fact a line: the number of the library, the names it shows, the functions' types, where the members of public
structs lie, the values of enumerators. A fact that is gone breaks programs without a word from their linker. --write
writes the list anew. Types are asked of gcc, by the headers alone; layouts are those of a 64-bit machine."""
import glob
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libpeer.abi")
BROKEN = """{soname} is not what it was, and programs that use it would break:
{lost}
Now:
{new}
Take the change back; or raise the minor version of the project, with which the number of the library moves
(src/lib/install/CMakeLists.txt), and write the list anew: {write}
To write it is enough before the first release with this number, and where a struct that carries its size grew."""


def run(*command):
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def facts_of_library(library):
    yield re.search(r"\(SONAME\).*\[(.*)\]", run("readelf", "--dynamic", library))[1]
    for line in run("nm", "--dynamic", "--defined-only", "--format=posix", library).splitlines():
        name, kind = line.split()[:2]
        if kind != "A":  # the node of the version
            yield f"{kind} {name}"


class Die:
    """An entry of debug information."""

    def __init__(self, tag, depth):
        self.tag, self.depth, self.words, self.children = tag, depth, {}, []

    def number(self, word):
        return int(self.words.get(word, "0").split()[0], 0)


def read_dies(path):
    """{offset: Die} of readelf's text, and those at the top."""
    dies, open_ones = {}, [Die("", -1)]
    for line in run("readelf", "--debug-dump=info", path).splitlines():
        if match := re.match(r" *<(\w+)><(\w+)>: .*\((DW_TAG_\w+)\)", line):
            die = Die(match[3][len("DW_TAG_"):], int(match[1], 16))
            while open_ones[-1].depth >= die.depth:
                open_ones.pop()
            open_ones[-1].children.append(die)
            open_ones.append(die)
            dies[match[2]] = die
        elif match := re.match(r" +<\w+> +DW_AT_(\w+) *: (?:\(indirect.*?\): )?(.*)", line):
            open_ones[-1].words[match[1]] = match[2].strip()
    return dies


def type_of(dies, die):
    """The entry of its type; None is void."""
    return dies[die.words["type"].strip("<>").removeprefix("0x")] if "type" in die.words else None


def name_type(dies, die):
    below = type_of(dies, die)
    inner = name_type(dies, below) if below and die.tag != "enumeration_type" else "void"
    name = die.words.get("name", "without a name")
    if die.tag in ("pointer_type", "const_type"):
        return inner + {"pointer_type": " *", "const_type": " const"}[die.tag]
    if die.tag == "array_type":
        bounds = [child.number("upper_bound") + 1 for child in die.children]
        return inner + "".join(f"[{bound}]" for bound in bounds)
    if die.tag == "subroutine_type":
        names = [name_type(dies, type_of(dies, child)) for child in die.children if child.tag == "formal_parameter"]
        return f"{inner} ({', '.join(names)})"
    prefix = {"structure_type": "struct ", "union_type": "union ", "enumeration_type": "enum "}.get(die.tag, "")
    return prefix + name


def facts_of_members(dies, owner, die, base):
    for member in die.children:
        if member.tag != "member":
            continue
        below = type_of(dies, member)
        at = base + member.number("data_member_location")
        if "name" not in member.words or (below.children and "name" not in below.words and
                                          below.tag in ("structure_type", "union_type")):
            yield from facts_of_members(dies, owner, below, at)
        else:
            bits = f":{member.words['bit_size']}" if "bit_size" in member.words else ""
            yield f"{owner}: at {at} {name_type(dies, below)} {member.words['name']}{bits}"


def facts_of_types(dies):
    for die in dies.values():
        name = die.words.get("name", "")
        if die.tag == "structure_type" and name.startswith("peer_") and "byte_size" in die.words:
            yield f"struct {name}: {die.words['byte_size']} bytes"
            yield from facts_of_members(dies, f"struct {name}", die, 0)
        elif die.tag == "enumerator" and name.startswith("PEER_"):
            yield f"{name} = {die.words['const_value']}"


def facts_of_headers(include):
    with tempfile.TemporaryDirectory(prefix="peer-abi.") as place:
        source, types, prototypes = (os.path.join(place, name) for name in ("all.c", "all.o", "prototypes"))
        with open(source, "w", encoding="ascii") as file:
            for path in sorted(glob.glob(f"{include}/peer/*.h")):
                file.write(f"#include <peer/{os.path.basename(path)}>\n")
        run("gcc", "-std=gnu11", "-c", "-gdwarf-4", "-fno-eliminate-unused-debug-types", "-aux-info", prototypes,
            f"-I{include}", "-o", types, source)
        with open(prototypes, encoding="utf-8") as file:
            yield from re.findall(r"extern (.*\bpeer_\w+ \(.*\));", file.read())
        yield from facts_of_types(read_dies(types))


def main():
    prefix = sys.argv[1]
    if struct.calcsize("P") != 8:
        print("skipped: the list is that of 64-bit machines")
        sys.exit(77)
    if not shutil.which("gcc"):
        print("skipped: gcc is not installed")
        sys.exit(77)
    soname, *names = facts_of_library(f"{prefix}/lib/libpeer.so")
    now = [soname, *sorted({*names, *facts_of_headers(f"{prefix}/include")})]
    assert len(now) > 2 * len(names) > 0
    if "--write" in sys.argv:
        with open(LIST, "w", encoding="ascii") as file:
            file.write("\n".join(now) + "\n")
        return
    with open(LIST, encoding="ascii") as file:
        listed = file.read().splitlines()
    lost, new = (sorted(set(a) - set(b)) for a, b in ((listed, now), (now, listed)))
    write = f"{os.path.relpath(__file__)} {prefix} --write"
    if lost and listed[0] == soname:
        sys.exit(BROKEN.format(soname=soname, lost="\n".join(lost), new="\n".join(new), write=write))
    if lost or new:
        sys.exit("\n".join([f"the list (of {listed[0]}) lacks what {soname} has; write it anew: {write}", *new]))


main()
