#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Programs that people have, through peer proxy: the servers' books are the judge."""
import subprocess

import harness
import servers
from harness import OWN4, Peer, run
from servers import PEERS4, assert_peers

PORT = 1080
DOOR = f"127.0.0.1:{PORT}"


def proxying(*options):
    started = Peer("proxy", "--from", PEERS4, "--listen", DOOR, *options)
    harness.until("it listens", lambda: servers.listens(PORT) or started.process.poll() is not None)
    assert started.process.poll() is None, started.result()
    return started


def test_curl_by_each_way():
    ways = (["--socks5", DOOR], ["--socks5-hostname", DOOR], ["--proxy", f"http://{DOOR}"],
            ["--proxytunnel", "--proxy", f"http://{DOOR}"])
    with servers.Nginx() as nginx:
        door = proxying()
        for way in ways:
            assert run("curl", "-sS", *way, f"http://{OWN4}/") == "hello", way
        assert_peers(nginx.until_lines(len(ways)), len(ways))
        door.stop().expect(0)


def test_the_user_name_chooses_the_peer():
    with servers.Nginx() as nginx:
        door = proxying()
        for scheme in "socks5", "socks5h", "http":
            assert run("curl", "-sS", "--proxy", f"{scheme}://198.18.7.9:any@{DOOR}", f"http://{OWN4}/") == "hello"
            for _ in range(2):
                assert run("curl", "-sS", "--proxy", f"{scheme}://alice:any@{DOOR}", f"http://{OWN4}/") == "hello"
        books = nginx.until_lines(9)
        assert books[::3] == ["198.18.7.9"] * 3, books
        assert_peers(books[1::3] + books[2::3], 1)
        door.stop().expect(0)


def test_curl_with_many_at_once():
    with servers.Nginx() as nginx:
        door = proxying()
        said = run("curl", "-sS", "-Z", "--parallel-max", "20", "--socks5", DOOR, "-H", "Connection: close",
                   f"http://{OWN4}/?[1-200]")
        assert said.count("hello") == 200, said[:200]
        assert_peers(nginx.until_lines(200), 200)
        door.stop().expect(0)


def test_proxied_connections_keep_their_peers_name():
    """A server behind a second proxy learns the peer by the header, whichever way curl came."""
    log = "$proxy_protocol_addr $realip_remote_addr"
    with servers.Nginx(log=log, listen="proxy_protocol") as nginx:
        door = proxying("--proxy-protocol", "v2")
        for way in ["--socks5", DOOR], ["--proxy", f"http://{DOOR}"], ["--proxytunnel", "--proxy", f"http://{DOOR}"]:
            assert run("curl", "-sS", *way, f"http://{OWN4}/") == "hello", way
        rows = [line.split() for line in nginx.until_lines(3)]
        assert all(said == came for said, came in rows), rows
        assert_peers([said for said, _ in rows], 3)
        door.stop().expect(0)


def test_proxychains():
    harness.need("proxychains4")
    with servers.Nginx() as nginx:
        door = proxying()
        for kind in "socks5", "http":
            config = nginx.write(f"{kind}.conf", f"strict_chain\nquiet_mode\n[ProxyList]\n{kind} 127.0.0.1 {PORT}\n")
            said = run("proxychains4", "-q", "-f", config, "curl", "-sS", f"http://{OWN4}/")
            assert said == "hello", said
        assert_peers(nginx.until_lines(2), 2)
        door.stop().expect(0)


def test_torsocks():
    harness.need("torsocks")
    with servers.Nginx() as nginx:
        door = proxying()
        said = run("torsocks", "-a", "127.0.0.1", "-P", str(PORT), "curl", "-sS", f"http://{OWN4}/")
        assert said.splitlines()[-1] == "hello", said  # it warns of other architectures first
        assert_peers(nginx.until_lines(1), 1)
        door.stop().expect(0)


def test_ssh_by_a_proxy_command_of_nc():
    harness.need("nc")
    with servers.Sshd() as sshd:
        door = proxying()
        said = run("ssh", *sshd.options(), "-o", f"ProxyCommand=nc -X 5 -x {DOOR} %h %p", f"root@{OWN4}",
                   'echo "$SSH_CONNECTION"', stdin=subprocess.DEVNULL)
        assert_peers([said.split()[0]], 1)
        door.stop().expect(0)


if __name__ == "__main__":
    harness.main()
