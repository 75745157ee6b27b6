# SPDX-License-Identifier: BSD-3-Clause
"""The fixture `peer_net`: a net of remote machines for one test.

    def test_answer(peer_net):
        net = peer_net(from_="203.0.113.0/24")
        server = net.listen_socket(80)
        ...

It makes a peer.Net, isolated unless asked otherwise, and closes it when the test ends. The marker
`peer` gives defaults: @pytest.mark.peer(link="3g", seed=7). All frames are captured; the capture of
a test that fails is kept, and its report tells where; peer_net(pcap=None) makes none. On a machine that cannot have a net the test
is skipped, with the reason; with --peer-required it fails.
"""

# pytest 6, too: names of types that it does not have are not looked at.
from __future__ import annotations

import errno
import pathlib
import re
from typing import Any, Callable, Generator, Optional

import pytest

from ._errors import Error, Kind
from ._net import Net

# Of the kind MACHINE, but the test's own: what it asked for is taken.
_NOT_A_REASON = {errno.EBUSY, errno.EADDRINUSE, errno.ENETUNREACH}


class _Made:
    """The net of a test, and its capture."""

    def __init__(self, item: pytest.Item, path: pathlib.Path) -> None:
        self.item = item
        self.path = path
        self.net: Optional[Net] = None
        self.captures = False
        self.failed = False
        self.told = False

    def make(self, *args: Any, **values: Any) -> Net:
        if self.net is not None and self.net._net is not None:
            raise Error(errno.EBUSY, "this test has a net already: one at a time, with as many peers as you like; "
                        "close() it first")
        marked: dict[str, Any] = {"isolate": True}
        for marker in self.item.iter_markers("peer"):
            for name, value in marker.kwargs.items():
                marked.setdefault(name, value) if name != "isolate" else marked.update(isolate=value)
        if args:
            marked.pop("from_", None)
        values = {**marked, **values}
        self.captures = "pcap" not in values
        values.setdefault("pcap", self.path)
        try:
            self.net = Net(*args, **values)
        except Error as error:
            self._refused(error)
        return self.net  # type: ignore[return-value]

    def _refused(self, error: Error) -> None:
        required = self.item.config.getoption("peer_required")
        if error.kind is not Kind.MACHINE or error.errno in _NOT_A_REASON or required:
            raise error
        pytest.skip(f"peer: {error}")

    def tell(self, report: pytest.TestReport) -> None:
        """Puts what helps with a failure into its report; the capture is complete then."""
        if self.net is None or self.told:
            return
        self.told = True
        lines = []
        if self.net._net is not None:
            lines.append(f"seed: {self.net.info['seed']}")
            lines += [f"{flow}: {flow.info['bytes_sent']} bytes sent, {flow.info['bytes_received']} received"
                      for flow in sorted(self.net._all_flows, key=lambda flow: flow.peer)][:50]
            if self.captures:
                self.net.end_capture()
        if self.captures:
            lines.append(f"capture: {self.path}")
        report.sections.append(("peer net", "\n".join(lines)))

    def finish(self) -> None:
        if self.net is not None:
            self.net.close()
        if self.captures and not self.failed:
            self.path.unlink(missing_ok=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("peer", "remote machines")
    group.addoption("--peer-captures", metavar="DIR", dest="peer_captures",
                    help="where captures of failed tests are kept (default: the test's tmp_path)")
    group.addoption("--peer-required", action="store_true", dest="peer_required",
                    help="fail instead of skip on a machine that cannot have a net")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "peer(**options): defaults for peer_net, as peer.Net has them")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, None]:
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    made = getattr(item, "_peer_made", None)
    if made is not None and report.failed:
        made.failed = True
        made.tell(report)


def _capture_path(request: pytest.FixtureRequest) -> pathlib.Path:
    place = request.config.getoption("peer_captures")
    name = re.sub(r"[^\w.-]+", "_", request.node.nodeid if place else request.node.name)[-200:] + ".pcapng"
    if not place:
        return pathlib.Path(request.getfixturevalue("tmp_path")) / name
    folder = pathlib.Path(place).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


@pytest.fixture
def peer_net(request: pytest.FixtureRequest) -> Generator[Callable[..., Net], None, None]:
    """A function that makes the net of this test: peer_net(from_="203.0.113.0/24", ...), as peer.Net."""
    made = _Made(request.node, _capture_path(request))
    request.node._peer_made = made
    yield made.make
    made.finish()
