# SPDX-License-Identifier: BSD-3-Clause
"""Makes peer/_cdef.py from the headers of the tree when the package is built."""

import pathlib
import re
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

here = pathlib.Path(__file__).resolve().parent
tree = here.parent.parent
version = re.search(r"project\(peer VERSION ([\d.]+)", (tree / "CMakeLists.txt").read_text())[1]

sys.path.insert(0, str(here))
import cdef  # noqa: E402


class BuildWithHeaders(build_py):
    def run(self):
        super().run()
        (pathlib.Path(self.build_lib) / "peer" / "_cdef.py").write_text(cdef.make(tree / "include", version))


setup(version=version, cmdclass={"build_py": BuildWithHeaders})
