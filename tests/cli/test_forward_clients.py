#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Programs that people have, through peer forward: the servers' books are the judge."""
import os
import re

import harness
import servers
from harness import OWN4, Peer, run
from servers import PEERS4, assert_peers


def forwarding(port=8080, to=80, *options):
    started = Peer("forward", "--from", PEERS4, *options, f"{port}:{OWN4}:{to}")
    harness.until("it listens", lambda: servers.listens(port) or started.process.poll() is not None)
    assert started.process.poll() is None, started.result()
    return started


def test_ab():
    harness.need("ab")
    with servers.Nginx() as nginx:
        door = forwarding()
        said = run("ab", "-q", "-n", "1000", "-c", "20", "http://127.0.0.1:8080/")
        assert re.search(r"Complete requests: +1000\nFailed requests: +0\n", said), said
        assert_peers(nginx.until_lines(1000), 1000)
        said = run("ab", "-q", "-k", "-n", "1000", "-c", "20", "http://127.0.0.1:8080/")
        assert re.search(r"Keep-Alive requests: +1000\n", said), said
        assert_peers(nginx.until_lines(2000)[1000:], 20)
        door.stop().expect(0)


def test_siege():
    harness.need("siege")
    with servers.Nginx() as nginx:
        door = forwarding()
        config = nginx.write("siegerc", "verbose = false\nconnection = close\nparser = false\nlogging = false\n"
                             "show-logfile = false\n")
        said = run("siege", "-R", config, "-b", "-c", "20", "-r", "20", "http://127.0.0.1:8080/",
                   env={**os.environ, "HOME": nginx.place})
        assert re.search(r'"failed_transactions":\s+0\b|Failed transactions:\s+0\b', said), said
        assert_peers(nginx.until_lines(400), 400)
        door.stop().expect(0)


def test_proxied_connections_keep_their_peers_name():
    """A server behind a second proxy learns the peer by the header."""
    log = "$proxy_protocol_addr $realip_remote_addr"
    with servers.Nginx(log=log, listen="proxy_protocol") as nginx:
        door = forwarding(8080, 80, "--proxy-protocol", "v2")
        run("ab", "-q", "-n", "200", "-c", "10", "http://127.0.0.1:8080/")
        rows = [line.split() for line in nginx.until_lines(200)]
        assert all(said == came for said, came in rows), rows[:5]
        assert_peers([said for said, _ in rows], 200)
        door.stop().expect(0)


if __name__ == "__main__":
    harness.main()
