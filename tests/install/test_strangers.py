#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_strangers.py --peer PROGRAM: programs of others, built with what is installed in PEER_PREFIX, by every way
in which others build. Each is tests/examples/hello.c, and has to do what hello does."""
import glob
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
# pylint: disable=wrong-import-position
import harness
from harness import need, run

PREFIX = os.environ["PEER_PREFIX"]
LIB = os.environ.get("PEER_LIBDIR", os.path.join(PREFIX, "lib"))
HELLO = os.path.join(HERE, "..", "examples", "hello.c")
STRANGER = os.path.join(HERE, "stranger")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def pkg_config(*words):
    need("pkg-config")
    return run("pkg-config", *words, "peer", env={**os.environ, "PKG_CONFIG_PATH": f"{LIB}/pkgconfig"}).split()


def statically():
    """Flags by which all comes from archives, but what Debian has none of (libmnl) and the C library."""
    dynamic = ("-lmnl", "-lm")
    flags = pkg_config("--static", "--cflags", "--libs")
    return [*(flag for flag in flags if flag not in dynamic and not flag.startswith("-l")), "-Wl,-Bstatic",
            *(flag for flag in flags if flag not in dynamic and flag.startswith("-l")), "-Wl,-Bdynamic", *dynamic]


def build(compiler, *words):
    """The program that the words make."""
    need(compiler)
    program = os.path.join(harness.directory, "stranger")
    run(compiler, "-o", program, *words)
    return program


def check(program):
    """Runs it as hello is run."""
    said = run(program, harness.PEER, "application", "http:80", env={**os.environ, "LD_LIBRARY_PATH": LIB})
    assert re.search(r"^Hello 198\.18\.0\.2:[0-9]+, this is the application", said, re.M), said
    return said


def needed(program):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program))


def is_shared(program):
    return "libpeer.so.0" in needed(program)


def test_cc_and_pkg_config():
    program = build("cc", "-std=c11", "-D_GNU_SOURCE", *WARNINGS, HELLO, *pkg_config("--cflags", "--libs"))
    assert is_shared(program)
    check(program)


def test_clang_and_the_shared_library():
    check(build("clang", HELLO, *pkg_config("--cflags", "--libs")))


def test_clang_and_the_archive():
    program = build("clang", HELLO, *statically())
    assert not is_shared(program)
    check(program)


def test_static():
    program = build("cc", HELLO, *statically())
    assert not is_shared(program) and "libseccomp.so.2" not in needed(program), needed(program)
    check(program)


def test_every_header_compiles_alone():
    headers = sorted(os.path.basename(path) for path in glob.glob(f"{PREFIX}/include/peer/*.h"))
    assert headers
    for words in (("cc", "-xc", "-std=c11"), ("g++", "-xc++", "-std=c++17")):
        need(words[0])
        for header in headers:
            source = os.path.join(harness.directory, "alone")
            with open(source, "w", encoding="ascii") as file:
                file.write(f"#include <peer/{header}>\n" * 2 + "extern int nothing_else;\n")
            run(*words, *WARNINGS, "-fsyntax-only", f"-I{PREFIX}/include", source)


def declared():
    """Every function of the headers."""
    names = set()
    for path in glob.glob(f"{PREFIX}/include/peer/*.h"):
        with open(path, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        names.update(re.findall(r"PEER_EXPORT\b[^;(]*?\b(peer_\w+)\(", text))
    return names


def test_every_function_is_found_from_cxx():
    """Links a table of all functions, so that none lacks extern "C", nor is declared without being there."""
    source = os.path.join(harness.directory, "all.cc")
    with open(source, "w", encoding="ascii") as file:
        for path in sorted(glob.glob(f"{PREFIX}/include/peer/*.h")):
            file.write(f"#include <peer/{os.path.basename(path)}>\n")
        table = ",\n".join(f"    reinterpret_cast<void *>({name})" for name in sorted(declared()))
        file.write(f"void *const table[] = {{\n{table},\n}};\nint main() {{ return table[0] ? 0 : 1; }}\n")
    for flags in (pkg_config("--cflags", "--libs"), statically()):
        run(build("g++", "-std=c++17", source, *flags), env={**os.environ, "LD_LIBRARY_PATH": LIB})


def test_both_libraries_show_what_the_headers_declare_and_nothing_else():
    shown = {
        "libpeer.so": run("nm", "--dynamic", "--defined-only", "--format=posix", f"{LIB}/libpeer.so"),
        "libpeer.a": run("nm", "--extern-only", "--defined-only", "--format=posix", f"{LIB}/libpeer.a"),
    }
    for library, text in shown.items():
        found = {re.sub("@.*", "", words[0]) for words in map(str.split, text.splitlines())
                 if len(words) > 1 and words[1] != "A"}
        assert found == declared(), f"{library}: {sorted(found ^ declared())}"


def test_the_archive_holds_no_bytecode():
    sections = run("readelf", "-SW", f"{LIB}/libpeer.a")
    assert ".text" in sections and ".gnu.lto" not in sections


def test_cmake_package():
    need("cmake")
    place = os.path.join(harness.directory, "build")
    run("cmake", "-S", STRANGER, "-B", place, f"-DCMAKE_PREFIX_PATH={PREFIX}", f"-DHELLO={HELLO}")
    run("cmake", "--build", place)
    for kind, shared in (("peer", True), ("peer_static", False)):
        program = os.path.join(place, f"hello_{kind}")
        assert is_shared(program) == shared
        check(program)


def test_cmake_package_of_another_minor_version_is_refused():
    """Until 1.0 each breaks the ABI."""
    need("cmake")
    place = os.path.join(harness.directory, "source")
    shutil.copytree(STRANGER, place)
    with open(f"{place}/CMakeLists.txt", encoding="utf-8") as file:
        text = file.read()
    for version in ("0.0", "0.2"):
        with open(f"{place}/CMakeLists.txt", "w", encoding="utf-8") as file:
            file.write(text.replace("find_package(peer 0.1", f"find_package(peer {version}"))
        said = run("cmake", "-S", place, "-B", f"{place}/{version}", f"-DCMAKE_PREFIX_PATH={PREFIX}",
                   f"-DHELLO={HELLO}", check=False)
        assert f'with requested version "{version}"' in said, said


def test_part_of_another_project():
    program = os.path.join(PREFIX, "bin", "hello")
    assert not is_shared(program)
    check(program)


def test_beside_a_program_with_names_of_its_own():
    names = os.path.join(STRANGER, "names.c")
    for flags in (pkg_config("--cflags", "--libs"), statically()):
        check(build("cc", "-rdynamic", HELLO, names, *flags))


def test_beside_a_program_with_lwip_of_its_own():
    if not os.path.exists("/usr/include/lwip/lwip/init.h"):
        raise harness.Skip("liblwip-dev is not installed")
    own = (os.path.join(STRANGER, "lwip.c"), "-I/usr/include/lwip", "-llwip")
    for flags in (pkg_config("--cflags", "--libs"), statically()):
        program = build("cc", HELLO, *own, *flags)
        assert any(name.startswith("liblwip.so") for name in needed(program))
        check(program)


if __name__ == "__main__":
    harness.main()
