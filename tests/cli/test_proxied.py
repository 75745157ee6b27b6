#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""--proxy-protocol: real servers that read the header, and what their books then say of who called."""
import json

import harness
import servers
from harness import OWN4, OWN6, peer

LOG = "$proxy_protocol_addr $proxy_protocol_port $realip_remote_addr $realip_remote_port $status"


def soak(*args, status=0):
    result = peer("soak", "--json", *args)
    result.expect(status)
    return json.loads(result.out)


def proxied_nginx():
    return servers.Nginx(log=LOG, listen="proxy_protocol", server='return 200 "hello";')


def assert_books(books, count):
    """Each named another, whom the connection itself came from."""
    rows = [line.split() for line in books]
    assert len({row[0] for row in rows}) == len(rows) == count, (len(rows), rows[:3])
    for said, said_port, came, came_port, status in rows:
        assert (said, said_port) == (came, came_port) and status == "200", (said, came, status)


def test_nginx_is_told_each_of_a_thousand_addresses():
    for version in "v1", "v2":
        with proxied_nginx() as nginx:
            report = soak(f"http://{OWN4}/", "--proxy-protocol", version, "--from", "198.18.0.0/16", "-c", 50,
                          "-n", 1000, "--no-keep-alive")
            assert report["requests"]["completed"] == 1000 and report["errors"]["total"] == 0, report
            assert report["proxy_protocol"] == version
            assert_books(nginx.until_lines(1000), 1000)


def test_nginx_is_told_addresses_of_ipv6():
    for version in "v1", "v2":
        with proxied_nginx() as nginx:
            report = soak(f"http://[{OWN6}]/", "--proxy-protocol", version, "--frugal", "--from", "2001:2::/112",
                          "-c", 20, "-n", 200, "--no-keep-alive")
            assert report["requests"]["completed"] == 200 and report["errors"]["total"] == 0, report
            assert_books(nginx.until_lines(200), 200)


def test_a_connection_that_is_kept_is_told_once():
    with proxied_nginx() as nginx:
        report = soak(f"http://{OWN4}/", "--proxy-protocol", "v2", "-c", 5, "-n", 500, "--tap", "--from",
                      "198.18.7.1-198.18.7.5")
        assert report["requests"]["completed"] == 500 and report["errors"]["total"] == 0, report
        books = nginx.until_lines(500)
        assert len({line.split()[0] for line in books}) == 5, books[:5]


def test_a_server_that_wants_none_refuses_it():
    """The header is no request: what is refused is what was sent."""
    with servers.Nginx(log=LOG) as nginx:
        report = soak(f"http://{OWN4}/", "--proxy-protocol", "v1", "-n", 5, "--expect", "200",
                      status=1)
        assert report["errors"]["status"] == 5, report
        assert [line.split()[-1] for line in nginx.until_lines(5)] == ["400"] * 5


def test_misbehaving_ones_are_told_too():
    with proxied_nginx() as nginx:
        report = soak(f"http://{OWN4}/", "--proxy-protocol", "v2", "-c", 20, "-n", 400, "--no-keep-alive",
                      "--manner", "tiny-segments:20%", "--manner", "out-of-order:20%", "--manner",
                      "half-close:20%", "--manner", "syn-flood:500/s", "--manner", "half-open:10%")
        assert report["requests"]["completed"] == 400 and report["errors"]["total"] == 0, report
        for line in nginx.until_lines(400):
            said, said_port, came, came_port, _ = line.split()
            assert (said, said_port) == (came, came_port), line


def test_connect_sends_it_before_standard_input():
    with servers.Haproxy():
        for target, version in (OWN4, "v1"), (OWN4, "v2"), (OWN6, "v1"), (OWN6, "v2"):
            source = "198.18.7.9" if target == OWN4 else "2001:2::709"
            result = peer("connect", "--proxy-protocol", version, "--from", source, "-p", 4000, target, 81,
                          data=b"GET / HTTP/1.0\r\n\r\n").expect(0)
            assert result.out.endswith(f"\r\n\r\n{source} 4000 {target} 81".encode()), result


def test_connect_sends_it_though_nothing_follows():
    def keep(connection, _address):
        said.append(harness.receive_all(connection))

    said = []
    server = harness.Server(keep)
    peer("connect", "-z", "--proxy-protocol", "v1", "--from", "198.18.7.9", "-p", 4000, OWN4,
         server.port).expect(0)
    server.join()
    assert said == [f"PROXY TCP4 198.18.7.9 {OWN4} 4000 {server.port}\r\n".encode()], said


def test_what_it_is_not_for_is_refused():
    peer("connect", "-u", "--proxy-protocol", "v1", OWN4, 9).refused(2, "--proxy-protocol needs TCP")
    peer("soak", "--proxy-protocol", "v2", f"udp://{OWN4}:9").refused(2, "--proxy-protocol needs TCP")
    peer("soak", "--proxy-protocol", "3", f"http://{OWN4}/").refused(2, '"3" is none of v1, v2')


if __name__ == "__main__":
    harness.main()
