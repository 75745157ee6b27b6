#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""all.py CMAKE BUILD SOURCE: installs BUILD into two places and looks whether all that belongs there is there."""
import os
import re
import subprocess
import sys
import tempfile

ONCE = ("bin/peer", "LIBDIR/libpeer.so", "LIBDIR/libpeer.so.0", "LIBDIR/libpeer.a", "LIBDIR/pkgconfig/peer.pc",
        "LIBDIR/cmake/peer/peer-config.cmake", "share/doc/peer/LICENSE", "share/doc/peer/LICENSE.lwIP",
        "share/doc/peer/LICENSE.HdrHistogram", "share/doc/peer/LICENSE.uPlot", "share/man/man1/peer.1", "share/man/man7/peer-manners.7",
        "share/man/man3/libpeer.3", "share/man/man3/peer_net.3", "share/man/man3/peer_connect.3",
        "share/bash-completion/completions/peer", "share/zsh/site-functions/_peer",
        "share/fish/vendor_completions.d/peer.fish")


def install(cmake, build, prefix, **more):
    done = subprocess.run([cmake, "--install", build, "--prefix", prefix], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, env={**os.environ, **more})
    assert done.returncode == 0, done.stdout


def files_of(place):
    walked = ((folder, name) for folder, _, names in os.walk(place) for name in names)
    return {os.path.relpath(os.path.join(folder, name), place) for folder, name in walked}


def cached(build, name):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(rf"^{name}:\w+=(.*)$", file.read(), re.M)[1]


def python_files(build):
    """The Python package, where it is installed at all."""
    if cached(build, "PEER_INSTALL_PYTHON") != "ON":
        return []
    files = files_of(f"{build}/python")
    assert {"peer/_cdef.py", "peer/py.typed", "peer/pytest_plugin.py"} <= files, files
    return [f"{cached(build, 'PEER_PYTHON_DIR')}/{name}" for name in files if "__pycache__" not in name]


def main():
    cmake, build, source = sys.argv[1:]
    libdir = cached(build, "CMAKE_INSTALL_LIBDIR")
    with tempfile.TemporaryDirectory(prefix="peer-install.") as place:
        install(cmake, build, f"{place}/usr")
        found = files_of(f"{place}/usr")
        headers = [f"include/peer/{name}" for name in os.listdir(f"{source}/include/peer") if name.endswith(".h")]
        pages = [f"share/man/man1/{name}" for name in os.listdir(f"{source}/src/cli/man") if name.endswith(".1")]
        missing = {name.replace("LIBDIR", libdir) for name in (*ONCE, *headers, *pages, *python_files(build))} - found
        assert not missing, f"not installed: {sorted(missing)}"

        # As packagers do: the prefix is where it will be, DESTDIR where it is now.
        install(cmake, build, "/usr", DESTDIR=f"{place}/staged")
        assert files_of(f"{place}/staged/usr") == found, files_of(f"{place}/staged") ^ found
        with open(f"{place}/staged/usr/{libdir}/pkgconfig/peer.pc", encoding="utf-8") as file:
            assert "prefix=/usr\n" in file.read()


main()
