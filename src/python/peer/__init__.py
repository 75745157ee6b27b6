# SPDX-License-Identifier: BSD-3-Clause
"""Remote machines for tests: peers at addresses that exist nowhere call the server under test.

    with peer.Net(from_="203.0.113.0/24", isolate=True) as net:
        server = net.listen_socket(80)
        flow = net.connect(net.address, 80)
        flow.send(b"GET / HTTP/1.0\\r\\n\\r\\n")
        connection, who = server.accept()

Tests have the fixture `peer_net`, see peer.pytest_plugin. The library is libpeer; its headers tell
what the fields of dicts mean.
"""

from ._errors import End, Ended, Error, Kind, Timeout
from ._flow import Flow, Listener
from ._library import version
from ._net import Net, profiles
from ._process import Process
from ._soak import Soak, read_result
from ._socket import Socket
from ._tls import Tls

net = Net

__all__ = ["End", "Ended", "Error", "Flow", "Kind", "Listener", "Net", "Process", "Soak", "Socket", "Timeout",
           "Tls", "net", "profiles", "read_result", "version"]
