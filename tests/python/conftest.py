# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the Python package share."""

import os
import pathlib
import shutil
import stat
import tempfile

import pytest

pytest_plugins = ["pytester"]


def pytest_runtest_logreport(report):
    """Skips, as tests/support/run_ctest.py reads them."""
    if report.skipped and isinstance(report.longrepr, tuple):
        print(f"\nskipped: {report.longrepr[2].removeprefix('Skipped: ')}\n"
              f"skipped  {report.nodeid.rpartition('::')[2]} (0 s)")


@pytest.fixture
def node():
    """A device node that anybody may open; the system's own stays as it is."""
    with tempfile.TemporaryDirectory(prefix="peer-python-") as place:
        os.chmod(place, 0o755)
        path = pathlib.Path(place) / "tun"
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(10, 200))
        except PermissionError:
            pytest.skip("only root makes device nodes")
        os.chmod(path, 0o666)
        yield str(path)


@pytest.fixture
def public():
    """A folder for another user, with package and library as he can read them: its path, and the
    environment."""
    with tempfile.TemporaryDirectory(prefix="peer-python-") as place:
        os.chmod(place, 0o777)
        root = pathlib.Path(place)
        shutil.copytree(os.environ["PYTHONPATH"], root / "python")
        library = shutil.copy(os.environ["PEER_LIBRARY"], root / "libpeer.so")
        yield root, {**os.environ, "PYTHONPATH": str(root / "python"), "PEER_LIBRARY": library, "HOME": place}
