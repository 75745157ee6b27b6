# SPDX-License-Identifier: BSD-3-Clause
"""Whether cffi was told what the compiler reads in the headers."""

import os
import pathlib
import re
import subprocess

import cffi

from peer._cdef import CDEF

INCLUDE = pathlib.Path(os.environ["PEER_ROOT"]) / "include"
# What is for the program, or declares nothing that is called.
LEFT_OUT = {"confine", "exec", "export", "work"}

ffi = cffi.FFI()
ffi.cdef(CDEF)


def headers():
    return [path for path in sorted((INCLUDE / "peer").glob("*.h")) if path.stem not in LEFT_OUT]


def compiled(tmp_path, lines):
    """What a C program prints that includes all headers: its lines, as lists of words."""
    source = tmp_path / "sizes.c"
    includes = "".join(f"#include <peer/{path.name}>\n" for path in headers())
    source.write_text("#define _GNU_SOURCE\n#include <poll.h>\n#include <stddef.h>\n#include <stdint.h>\n"
                      "#include <stdio.h>\n" + includes + "int main(void)\n{\n" + "\n".join(lines) + "\n}\n")
    program = tmp_path / "sizes"
    subprocess.run([os.environ.get("CC", "cc"), "-w", "-I", INCLUDE, "-o", program, source], check=True,
                   env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"})
    out = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True,
                         env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}).stdout
    return [line.split() for line in out.splitlines()]


def structs():
    """The names of all that are more than declared."""
    names = ffi.list_types()[1]
    return [name for name in names if ffi.typeof(f"struct {name}").fields is not None]


def test_structs_are_laid_out_as_the_compiler_does_it(tmp_path):
    lines, expected = [], []
    for name in structs():
        kind = ffi.typeof(f"struct {name}")
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        expected.append([name, str(ffi.sizeof(kind))])
        for field, about in kind.fields:
            lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof(struct {name}, {field}), '
                         f'sizeof(((struct {name} *)0)->{field}));')
            expected.append([f"{name}.{field}", str(about.offset), str(ffi.sizeof(about.type))])
    assert len(expected) > 300
    assert compiled(tmp_path, lines) == expected


def test_constants_are_those_of_the_headers(tmp_path):
    names = [name for name in re.findall(r"\bPEER_[A-Z0-9_]+\b", CDEF)]
    library = ffi.dlopen(os.environ["PEER_LIBRARY"])
    names = sorted(set(names))
    assert len(names) > 60
    found = compiled(tmp_path, [f'printf("{name} %lld\\n", (long long)({name}));' for name in names])
    assert found == [[name, str(getattr(library, name))] for name in names]


def test_all_functions_of_the_headers_are_declared():
    library = ffi.dlopen(os.environ["PEER_LIBRARY"])
    names = [name for path in headers()
             for name in re.findall(r"PEER_EXPORT[^;(]*?\b(peer_\w+)\(", path.read_text())]
    assert len(names) > 80
    for name in names:
        assert getattr(library, name), name
