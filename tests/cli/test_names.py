# SPDX-License-Identifier: BSD-3-Clause
"""Names that have several addresses, some of which will not do."""
import json
import os

import harness
from harness import OWN4, OWN6, Server


def name(host, *addresses):
    """A name with several addresses; in which order they are tried the resolver says (RFC 6724)."""
    path = os.path.join(harness.directory, "hosts")
    with open(path, "w") as file:
        file.write("multi on\n" + "".join(f"{address} {host}\n" for address in addresses))
    harness.mount(path, "/etc/hosts", "none", harness.MS_BIND)


@harness.changes_machine
def test_a_name_with_several_addresses():
    """The first that is ours and answers is taken, whatever its place and family."""
    harness.run("ip", "addr", "add", "10.9.0.77/32", "dev", "lo")
    server = Server(harness.answer_after_eof, OWN4, callers=5)
    for addresses in ((OWN4, "10.9.0.77"), ("10.9.0.77", OWN4), ("192.0.2.9", OWN4), (OWN6, OWN4),
                      ("2001:db8:77::1", "192.0.2.9", "127.0.0.1", OWN6, "10.9.0.77", OWN4)):
        name("several.test", *addresses)
        assert harness.peer("connect", "several.test", server.port, data=b"ab").expect(0, lines=0).out == b"ba"
    server.join()
    server = Server(harness.answer_after_eof, OWN6)
    result = harness.peer("connect", "-v", "several.test", server.port, data=b"ab")
    result.expect(0, "connected in").expect(0, rf"-> \[{OWN6}\]")
    server.join()


def test_none_of_several_addresses_answers():
    name("several.test", "192.0.2.9", OWN4, OWN6)
    sock, port = harness.listening(OWN4)
    sock.close()
    result = harness.peer("connect", "several.test", port)
    result.expect(1, r"10\.9\.0\.1:\d+: connection refused", lines=3)
    result.expect(1, r"192\.0\.2\.9 is no address of this machine")
    result.expect(1, r"\[2001:db8:9::1\]:\d+: connection refused")
    verbose = harness.peer("connect", "-v", "several.test", port).expect(1, lines=3)
    assert verbose.err.count("trying the next address") == 2, verbose
    name("foreign.test", "192.0.2.9", "192.0.2.10")
    harness.peer("connect", "foreign.test", port).expect(3, "192.0.2.9 is no address of this machine", lines=2)


def test_the_peers_own_family_chooses_the_address():
    server = Server(harness.answer_after_eof, OWN4, callers=2)
    name("several.test", OWN6, OWN4)
    for args in (("-4",), ("--from", "198.18.7.1")):
        harness.peer("connect", *args, "several.test", server.port, data=b"ab").expect(0, lines=0)
    server.join()


def answer_http(connection, _address):
    data = b""
    while True:
        part = connection.recv(4096)
        if not part:
            return
        data += part
        while b"\r\n\r\n" in data:
            _, _, data = data.partition(b"\r\n\r\n")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_soak_takes_the_first_that_answers():
    server = Server(answer_http, OWN4, callers=1)
    name("several.test", "192.0.2.9", OWN6, OWN4)
    result = harness.peer("soak", f"http://several.test:{server.port}/", "-c", "1", "-n", "5", "--json")
    server.join()
    result.expect(0, r"nobody listens at \[2001:db8:9::1\]:\d+; trying the next address")
    result.expect(0, rf"the target is {OWN4}:{server.port}\n")
    report = json.loads(result.out)
    assert report["target"] == f"{OWN4}:{server.port}", report
    assert report["requests"]["completed"] == 5, report


def test_soak_of_a_name_where_nobody_listens():
    """The last address stands, and what happens there is the result."""
    name("several.test", OWN6, OWN4)
    sock, port = harness.listening(OWN4)
    sock.close()
    result = harness.peer("soak", f"http://several.test:{port}/", "-c", "1", "-n", "1", "-d", "0.2")
    result.expect(1, r"nobody listens at \[2001:db8:9::1\]").expect(1, rf"the target is {OWN4}:{port}")


if __name__ == "__main__":
    harness.main()
