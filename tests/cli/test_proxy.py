# SPDX-License-Identifier: BSD-3-Clause
"""peer proxy: clients that speak SOCKS5 and HTTP by hand, byte for byte."""
import base64
import contextlib
import ipaddress
import json
import os
import re
import signal
import socket
import struct
import threading
from random import Random

import harness
from harness import OWN4, OWN6, Peer, Server, peer, run, until

PEERS = "198.18.7.1-198.18.7.20"
FIRST = ["198.18.7.%d" % i for i in range(1, 21)]


# ---- a proxy, and those who speak to it ----

def proxying(*args, listen="0", peers=PEERS, **more):
    started = Peer("proxy", "--from", peers, "--listen", listen, *args, **more)
    started.wait_err("listening at .*\n")
    started.port = int(re.search(r"listening at \S+?:(\d+),", started.err()).group(1))
    return started


def dial(started, family=4):
    return socket.create_connection(("127.0.0.1" if family == 4 else "::1", started.port), harness.LIMIT_S)


def packed(host):
    """An address or a name as SOCKS5 has it, with its type."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return bytes([1 if address.version == 4 else 4]) + address.packed
    return bytes([3, len(host)]) + host.encode()


def request(host, port, command=1):
    return b"\5" + bytes([command]) + b"\0" + packed(host) + struct.pack(">H", port)


def login(user, password=""):
    return b"\1" + bytes([len(user)]) + user.encode() + bytes([len(password)]) + password.encode()


def greet(client, user=None, password=""):
    if user is None:
        client.sendall(b"\5\1\0")
        assert harness.receive_count(client, 2) == b"\5\0"
        return
    client.sendall(b"\5\1\2")
    assert harness.receive_count(client, 2) == b"\5\2"
    client.sendall(login(user, password))
    assert harness.receive_count(client, 2) == b"\1\0"


def reply(client):
    """The code, and the address and port that are told."""
    head = harness.receive_count(client, 4)
    assert head[0] == 5 and head[2] == 0, head
    address = ipaddress.ip_address(harness.receive_count(client, 4 if head[3] == 1 else 16))
    return head[1], (str(address), struct.unpack(">H", harness.receive_count(client, 2))[0])


def socks(started, host, port, user=None, command=1, family=4):
    """A client that has had the reply: itself, the code, and what was told."""
    client = dial(started, family)
    greet(client, user)
    client.sendall(request(host, port, command))
    return client, *reply(client)


def basic(user, password=""):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: Basic {text}\r\n"


def receive_head(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += harness.receive_count(client, 1)
    return head.decode()


def receive_answer(client):
    """An answer with a length."""
    head = receive_head(client)
    return head, harness.receive_count(client, int(re.search("(?i)content-length: *([0-9]+)", head).group(1)))


def http(started, text):
    client = dial(started)
    client.sendall(text.encode())
    return client


def connect(started, host, port, fields=""):
    """A tunnel by HTTP."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    client = http(started, f"CONNECT {where} HTTP/1.1\r\n{fields}\r\n")
    assert receive_head(client) == "HTTP/1.1 200 Connection established\r\n\r\n"
    return client


def report(started):
    return json.loads(started.stop().expect(0).out)


class Answers:
    """An HTTP server that answers each request with `name`, what it was asked for, and its body."""

    def __init__(self, name, callers=1, addr=OWN4):
        self.requests, self.peers = [], []
        self.server = Server(lambda connection, address: self.serve(connection, address, name), addr, callers)
        self.port = self.server.port

    def serve(self, connection, address, name):
        self.peers.append(address[0])
        while connection.recv(1, socket.MSG_PEEK):
            head = receive_head(connection)
            self.requests.append(head)
            length = re.search("(?i)content-length: *([0-9]+)", head)
            body = harness.receive_count(connection, int(length.group(1))) if length else b""
            text = f"{name} {head.split()[1]} ".encode() + body
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


# ---- tunnels ----

def test_socks_reaches_addresses_of_both_families():
    for addr, peers in ((OWN4, PEERS), (OWN6, "2001:2::7")):
        server = Server(harness.echo_all, addr)
        door = proxying("-v", "--json", peers=peers)
        client, code, told = socks(door, addr, server.port, family=6)
        assert code == 0
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert harness.receive_all(client) == b"hello"
        server.join()
        assert server.callers[0][:2] == told, (server.callers, told)
        said = report(door)
        assert said["command"] == "proxy" and said["tunnels"] == 1, said
        assert said["connections"]["closed"] == 1 and said["bytes"] == {"sent": 5, "received": 5}, said
        assert re.search(rf"\[::1\]:\d+, \S+ to \S+:{server.port}: closed after .*, 5 B sent, 5 B received", door.err())


def test_what_a_client_sends_ahead_comes_first():
    def whole(connection, _address):
        connection.sendall(harness.receive_all(connection))

    door = proxying()
    for head, answer in ((b"\5\1\0" + request(OWN4, 0)[:-2], b"\5\0\5\0\0\1"),
                         (f"CONNECT {OWN4}:%d HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Connection established\r\n\r\n")):
        server = Server(whole)
        head = head + struct.pack(">H", server.port) if isinstance(head, bytes) else (head % server.port).encode()
        ahead = bytes(range(256)) * 1000
        with dial(door) as client:
            client.sendall(head + ahead)
            client.shutdown(socket.SHUT_WR)
            said = harness.receive_all(client)
            assert said.startswith(answer) and said.endswith(ahead), said[:100]
            assert len(said) == len(ahead) + (12 if head[0] == 5 else len(answer)), len(said)
        server.join()
    door.stop().expect(0)


def test_a_reset_goes_through_and_so_does_a_half_close():
    def resets(connection, _address):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    door = proxying("--json")
    server = Server(resets)
    client, code, _ = socks(door, OWN4, server.port)
    assert code == 0
    try:
        assert client.recv(1) != b"", "an end in order"
    except ConnectionResetError:
        pass
    server.join()
    server = Server(harness.answer_after_eof)
    client, code, _ = socks(door, OWN4, server.port)
    client.sendall(b"abc")
    client.shutdown(socket.SHUT_WR)
    assert harness.receive_all(client) == b"cba"
    server.join()
    assert report(door)["connections"]["reset"] == 1


def test_bytes_of_a_large_transfer_are_the_same():
    total = harness.size_of_transfer() // 4

    def serve(connection, _address):
        count, digest = harness.hash_of(lambda: connection.recv(1 << 16))
        connection.sendall(f"{count} {digest}".encode())

    door = proxying()
    server = Server(serve)
    client, code, _ = socks(door, OWN4, server.port)
    assert code == 0
    digest = harness.send_stream(client.sendall, total, 7)
    client.shutdown(socket.SHUT_WR)
    assert harness.receive_all(client).decode() == f"{total} {digest}"
    server.join()
    door.stop().expect(0)


# ---- who it is ----

def peer_of(started, user, way):
    server = Server(harness.echo_all)
    if way == "socks":
        client, code, _ = socks(started, OWN4, server.port, user)
        assert code == 0, code
    else:
        client = connect(started, OWN4, server.port, basic(user) if user is not None else "")
    client.close()
    server.join()
    return server.callers[0][0]


def test_the_user_name_chooses_the_peer_and_the_seed_who_that_is():
    found = []
    for seed in 1, 1, 2:
        door = proxying("--seed", str(seed))
        peers = [peer_of(door, f"user{i}", way) for i in range(6) for way in ("socks", "http")]
        assert peers[::2] == peers[1::2], peers
        assert set(peers) <= set(FIRST) and len(set(peers)) > 1, peers
        found.append(peers)
        for way in "socks", "http":
            assert peer_of(door, "198.18.7.9", way) == "198.18.7.9"
        turns = [peer_of(door, user, way) for user in (None, "") for way in ("socks", "http")]
        assert len(set(turns)) == 4, turns
        door.stop().expect(0)
    assert found[0] == found[1] and found[0] != found[2], found


def test_an_ipv6_peer_is_chosen_by_its_address_too():
    door = proxying(peers="2001:2::1-2001:2::9")
    server = Server(harness.echo_all, OWN6, callers=2)
    socks(door, OWN6, server.port, "2001:2::7")[0].close()
    connect(door, OWN6, server.port, basic("2001:2::7", "x")).close()
    door.stop().expect(0)
    server.join()
    assert [caller[0] for caller in server.callers] == ["2001:2::7"] * 2


def test_a_user_that_is_none_is_refused():
    door = proxying("-v")
    for user, why in (("198.18.9.9", "none of the peers"), ("<x", "reserved"), ("2001:2::1", "none of the peers")):
        assert socks(door, OWN4, 9, user)[1] == 2, user
        head, body = receive_answer(http(door, f"GET http://{OWN4}:9/ HTTP/1.1\r\n{basic(user, 'x')}\r\n"))
        assert head.startswith("HTTP/1.1 403 ") and why in body.decode(), (head, body)
        assert why in door.err()
    door.stop().expect(0)


def test_a_password_keeps_others_out():
    secret = os.path.join(harness.directory, "secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write("open sesame\nsecond line\n")

    def with_environment():
        os.environ["PEER_PROXY_PASSWORD"] = "open sesame"

    for words, prepare in ((("--password", "open sesame"), None), (("--password-file", secret), None),
                           ((), with_environment)):
        door = proxying("-v", *words, prepare=prepare)
        server = Server(harness.echo_all, callers=2)
        client = dial(door)
        greet(client, "anybody", "open sesame")
        client.sendall(request(OWN4, server.port))
        assert reply(client)[0] == 0
        client.close()
        connect(door, OWN4, server.port, basic("any", "open sesame")).close()
        for user, password in (("any", ""), ("any", "open"), ("any", "open sesame "), ("", "second line")):
            with dial(door) as client:
                client.sendall(b"\5\1\2" + login(user, password))
                assert harness.receive_all(client) == b"\5\2\1\1"
            head, _ = receive_answer(http(door, f"CONNECT {OWN4}:9 HTTP/1.1\r\n{basic(user, password)}\r\n"))
            assert head.startswith("HTTP/1.1 407 ") and 'Proxy-Authenticate: Basic realm="peer"' in head, head
        with dial(door) as client:
            client.sendall(b"\5\1\0")
            assert harness.receive_all(client) == b"\5\xff"
        head, _ = receive_answer(http(door, f"GET http://{OWN4}:9/ HTTP/1.1\r\n\r\n"))
        assert head.startswith("HTTP/1.1 407 "), head
        with open(f"/proc/{door.pid}/cmdline", "rb") as file:
            assert b"sesame" not in file.read()
        assert "sesame" not in door.err()
        door.stop().expect(0)
        server.join()


# ---- refusals ----

def refusals(started, target, code, status, why, error):
    host, _, port = target.rpartition(":")
    with socks(started, host.strip("[]"), int(port))[0] as client:
        client.close()
    client, told, _ = socks(started, host.strip("[]"), int(port))
    assert told == code, (target, told)
    assert client.recv(1) == b"", "more after a refusal"
    for text in (f"CONNECT {target} HTTP/1.1\r\n\r\nahead", f"GET http://{target}/ HTTP/1.1\r\n\r\n"):
        client = http(started, text)
        head, body = receive_answer(client)
        assert head.startswith(f"HTTP/1.1 {status} "), (text, head)
        assert re.search(why, body.decode()) and body.count(b"\n") == 1 and body.endswith(b"\n"), body
        assert f"Proxy-Status: peer; error={error}\r\n" in head, head
        assert client.recv(1) == b""
    assert re.search(rf"{re.escape(target)}: .*{why}", started.err()), started.err()


def test_refusals_have_their_reasons():
    silent, port = harness.listening(OWN4)
    silent.close()
    door = proxying("-v", "--json")
    refusals(door, f"{OWN4}:{port}", 5, 502, "refused", "connection_refused")
    refusals(door, "10.9.0.77:80", 2, 403, "--allow-forward", "http_request_denied")
    refusals(door, "203.0.113.7:80", 2, 403, "--allow-forward", "http_request_denied")
    refusals(door, "127.0.0.1:80", 2, 403, "loopback", "http_request_denied")
    refusals(door, "localhost:80", 2, 403, "loopback", "http_request_denied")
    refusals(door, f"[{OWN6}]:80", 8, 503, "IPv6", "destination_ip_unroutable")
    refusals(door, "no-such-name.invalid:80", 4, 502, "no-such-name.invalid", "dns_error")
    said = report(door)["connections"]
    assert said["turned_away"] == said["accepted"] == 28 and said["established"] == 0, said


def test_no_answer_to_the_handshake_is_a_time_out():
    door = proxying("-v", "--link", "loss 100%", "-w", "200ms")
    refusals(door, f"{OWN4}:80", 6, 504, "timed out", "connection_timeout")
    door.stop().expect(0)


@harness.changes_machine
def test_errors_of_icmp_are_told_apart():
    harness.need("nft")
    run("nft", "-f", "-", input="table ip t {\nchain c {\ntype filter hook input priority 0;\n"
        "tcp dport 81 reject with icmp type host-unreachable\ntcp dport 82 reject with icmp type net-unreachable\n"
        "tcp dport 83 reject with icmp type admin-prohibited\ntcp dport 84 reject with tcp reset\n}\n}\n")
    door = proxying("-v", "-w", "300ms")
    refusals(door, f"{OWN4}:81", 4, 503, "host unreachable", "destination_ip_unroutable")
    refusals(door, f"{OWN4}:82", 3, 503, "network unreachable", "destination_ip_unroutable")
    refusals(door, f"{OWN4}:83", 2, 403, "prohibited", "http_request_denied")
    refusals(door, f"{OWN4}:84", 5, 502, "refused", "connection_refused")
    door.stop().expect(0)


def test_what_is_no_request_is_answered_and_ended():
    door = proxying("--json")
    for said, heard in ((b"\4\1\0\120\1\2\3\4u\0", b"\0\x5b\0\0\0\0\0\0"),
                        (b"\5\1\0" + request(OWN4, 80, 2), b"\5\0\5\7\0\1" + bytes(6)),
                        (b"\5\1\0" + request(OWN4, 80, 9), b"\5\0\5\7\0\1" + bytes(6)),
                        (b"\5\1\1", b"\5\xff")):
        with dial(door) as client:
            client.sendall(said)
            assert harness.receive_all(client) == heard, said
    for said, status in (("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET https://x/ HTTP/1.1\r\n\r\n", 501),
                         ("CONNECT x HTTP/1.1\r\n\r\n", 400), ("PRI * HTTP/2.0\r\n\r\n", 505), ("\x16\x03\x01\r\n", 400),
                         ("GET http://x/ HTTP/1.1\r\nX: " + "x" * 70000, 431)):
        head, _ = receive_answer(http(door, said))
        assert head.startswith(f"HTTP/1.1 {status} "), (said[:40], head)
    assert report(door)["connections"]["turned_away"] == 10


# ---- plain HTTP ----

def test_requests_of_one_connection_go_to_where_they_are_for():
    a, b = Answers("a", callers=2), Answers("b")
    door = proxying("--json")
    texts = [f"GET http://{OWN4}:{a.port}/1 HTTP/1.1\r\nHost: x\r\n\r\n",
             f"POST http://{OWN4}:{a.port}/2?q HTTP/1.1\r\nProxy-Connection: keep-alive\r\nContent-Length: 5\r\n\r\n12345",
             f"GET http://{OWN4}:{b.port} HTTP/1.1\r\n\r\n", f"GET http://{OWN4}:{a.port}/3 HTTP/1.1\r\n\r\n"]
    expected = [b"a /1 ", b"a /2?q 12345", b"b / ", b"a /3 "]
    for pipelined in False, True:
        client = dial(door)
        if pipelined:
            client.sendall("".join(texts).encode())
        for text, body in zip(texts, expected):
            if not pipelined:
                client.sendall(text.encode())
            said = receive_answer(client)[1]
            assert said == body, (said, body)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        for server in a, b:
            server.server.join()
        assert a.requests[0] == "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", a.requests
        assert a.requests[1] == (f"POST /2?q HTTP/1.1\r\nHost: {OWN4}:{a.port}\r\n"
                                 "Content-Length: 5\r\n\r\n"), a.requests
        # One connection for the first two, and a peer for each connection.
        assert len(a.requests) == 3 and len(set(a.peers + b.peers)) == 3, (a.peers, b.peers)
        if not pipelined:
            ports = [a.port, b.port]
            a, b = Answers("a", callers=2), Answers("b")
            for old, new in zip(ports, (a.port, b.port)):
                texts = [text.replace(f":{old}", f":{new}") for text in texts]
    assert report(door)["requests"]["completed"] == 8


def test_another_user_of_one_connection_is_another_peer():
    server = Answers("a", callers=3)
    door = proxying()
    client = dial(door)
    for user in "198.18.7.3", "198.18.7.3", "198.18.7.4", "198.18.7.3":
        client.sendall(f"GET http://{OWN4}:{server.port}/ HTTP/1.1\r\n{basic(user)}\r\n".encode())
        assert receive_answer(client)[1] == b"a / "
    client.close()
    server.server.join()
    assert server.peers == ["198.18.7.3", "198.18.7.4", "198.18.7.3"], server.peers
    assert not any("Proxy" in head for head in server.requests), server.requests
    door.stop().expect(0)


def exchange(door, text, answer, ends=True):
    """A server that answers with those bytes, and all that the client hears."""
    def serve(connection, _address):
        heard.append(receive_head(connection))
        connection.sendall(answer)
        with contextlib.suppress(ConnectionResetError):  # of what nobody took
            if not ends:
                connection.recv(1)

    heard = []
    server = Server(serve)
    with http(door, text.replace("TARGET", f"{OWN4}:{server.port}")) as client:
        if not ends:
            client.shutdown(socket.SHUT_WR)
        said = harness.receive_all(client)
    server.join()
    return heard[0], said


def test_answers_pass_as_they_are_to_their_end():
    door = proxying()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
    to_the_end = b"HTTP/1.1 200 OK\r\n\r\nall that comes"
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    get = "GET http://TARGET/ HTTP/1.1\r\n\r\n"
    for answer, ends in ((chunked, False), (to_the_end, True), (early, False), (cut, True),
                         (b"HTTP/1.0 200 OK\r\n\r\nold", True)):
        assert exchange(door, get, answer, ends)[1] == answer, answer
    # Nobody asked for what is behind an answer.
    assert exchange(door, get, chunked + b"HTTP/1.1 200 OK\r\n\r\nstray", False)[1] == chunked
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert exchange(door, get.replace("GET ", "HEAD ", 1), head, False)[1] == head
    door.stop().expect(0)


def test_an_answer_that_is_none_is_said_to_be_none():
    door = proxying()
    get = "GET http://TARGET/ HTTP/1.1\r\n\r\n"
    for answer, why in ((b"SSH-2.0-x\r\n", "none of HTTP"), (b"", "without an answer"),
                        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length"),
                        (b"HTTP/1.1 101 Now\r\n\r\n", "change of protocol")):
        said = exchange(door, get, answer)[1].decode()
        assert said.startswith("HTTP/1.1 502 ") and why in said, said
    door.stop().expect(0)


def test_an_upgrade_becomes_a_tunnel():
    def serve(connection, _address):
        heads.append(receive_head(connection))
        connection.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst")
        harness.echo_all(connection, _address)

    heads = []
    door = proxying("--json")
    server = Server(serve)
    client = http(door, f"GET http://{OWN4}:{server.port}/ HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                  "Upgrade: echo\r\n\r\nahead")
    assert receive_head(client).startswith("HTTP/1.1 101 ")
    assert harness.receive_count(client, 10) == b"firstahead"
    client.sendall(b"GET http://x/ HTTP/1.1\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    assert harness.receive_all(client) == b"GET http://x/ HTTP/1.1\r\n\r\n"
    server.join()
    assert "Upgrade: echo\r\n" in heads[0] and re.search("Connection: .*Upgrade", heads[0]), heads
    assert report(door)["tunnels"] == 1


def test_a_body_may_be_long_and_its_answer_early():
    total = 3 << 20

    def serve(connection, _address):
        receive_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        left = total
        while left:
            left -= len(connection.recv(min(left, 1 << 16)))
        connection.sendall(b"taken")
        assert receive_head(connection).startswith("GET /2 ")
        connection.sendall(b"HTTP/1.1 204 No\r\n\r\n")

    door = proxying()
    server = Server(serve)
    client = http(door, f"POST http://{OWN4}:{server.port}/ HTTP/1.1\r\nContent-Length: {total}\r\n\r\n")
    sender = threading.Thread(target=client.sendall, args=(
        bytes(total) + f"GET http://{OWN4}:{server.port}/2 HTTP/1.1\r\n\r\n".encode(),))
    sender.start()
    assert receive_answer(client)[1] == b"taken"
    assert receive_head(client).startswith("HTTP/1.1 204 ")
    sender.join()
    client.close()
    server.join()
    door.stop().expect(0)


def test_a_kept_connection_that_the_server_closes_is_made_anew():
    def serve(connection, _address):
        receive_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""

    door = proxying("--json")
    server = Server(serve, callers=3)
    client = dial(door)
    for count in range(1, 4):
        client.sendall(f"GET http://{OWN4}:{server.port}/ HTTP/1.1\r\n\r\n".encode())
        assert receive_answer(client)[1] == b"ok"
        until("the peer has closed too", lambda: len(server.callers) == count and not any(
            f":{server.port}" in line and "ESTAB" in line for line in harness.open_sockets()))
    client.close()
    server.join()
    assert len(set(server.callers)) == 3
    door.stop().expect(0)


def echo_bodies(connection, _address):
    """Each request's body is its answer's, by a length or by chunks, after an interim answer perhaps."""
    reader = connection.makefile("rb")
    while reader.peek(1):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += reader.read(1)
        length = re.search(rb"Content-Length: ([0-9]+)", head)
        body = reader.read(int(length.group(1))) if length else b""
        while b"chunked" in head:
            count = int(reader.readline(), 16)
            body += reader.read(count)
            reader.readline()
            if not count:
                break
        kind = len(body) % 3
        interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" if kind else b""
        if kind == 2:
            connection.sendall(interim + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                               % (max(len(body), 1), body or b"-"))
        else:
            connection.sendall(interim + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def random_request(random, ports):
    body = random.randbytes(random.choice((0, 1, 2, 3, 100, 5000, 70000)))
    head = f"POST http://{OWN4}:{random.choice(ports)}/ HTTP/1.1\r\nX: {'x' * random.randrange(300)}\r\n".encode()
    if random.random() < 0.5:
        text = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        text, left = head + b"Transfer-Encoding: chunked\r\n\r\n", body
        while left:
            count = 1 + random.randrange(30000)
            part, left = left[:count], left[count:]
            text += b"%x\r\n%s\r\n" % (len(part), part)
        text += b"0\r\n\r\n"
    return text


def read_answer(reader):
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += reader.read(1)
        if not head.startswith(b"HTTP/1.1 1"):
            break
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = re.search(rb"Content-Length: ([0-9]+)", head)
    if length:
        return reader.read(int(length.group(1)))
    count = int(reader.readline(), 16)
    body = reader.read(count)
    assert reader.read(7) == b"\r\n0\r\n\r\n"
    return body


def body_of(text):
    head, _, rest = text.partition(b"\r\n\r\n")
    body = rest
    if b"chunked" in head:
        body = b""
        while True:
            size, _, rest = rest.partition(b"\r\n")
            if size == b"0":
                break
            body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
    return body


def test_whatever_is_asked_one_after_the_other_is_answered_so():
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    random = Random(seed)
    servers = [Server(echo_bodies, callers=1 << 20) for _ in range(3)]
    door = proxying("--link", "delay 1ms")
    for _ in range(4):
        requests = [random_request(random, [server.port for server in servers]) for _ in range(40)]
        client = dial(door)

        def send(text=b"".join(requests), client=client):
            while text:
                count = random.choice((1, 10, 100, 3000, 100000))
                client.sendall(text[:count])
                text = text[count:]
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        reader = client.makefile("rb")
        for request_text in requests:
            assert read_answer(reader) == body_of(request_text)
        assert reader.read() == b""
        sender.join()
        client.close()
    door.stop().expect(0)


# ---- time ----

def test_who_says_nothing_is_closed_and_who_has_a_tunnel_is_not():
    door = proxying("-v", "--json", "-w", "300ms")
    server = Server(harness.echo_all)
    tunnel, code, _ = socks(door, OWN4, server.port)
    assert code == 0
    kept = Answers("a")
    idle = http(door, f"GET http://{OWN4}:{kept.port}/ HTTP/1.1\r\n\r\n")
    assert receive_answer(idle)[1] == b"a / "
    halves = [b"", b"\5", b"\5\1\2\1\3bo", b"GET http://x/ HTTP/1.1\r\nHost:", b"CONNECT", b"\r\n"]
    clients = [dial(door) for _ in halves]
    for client, half in zip(clients, halves):
        client.sendall(half)
    for client, half in zip(clients, halves):
        assert harness.receive_all(client) == (b"\5\2" if half.startswith(b"\5\1\2") else b""), half
    assert idle.recv(1) == b""
    kept.server.join()
    tunnel.sendall(b"still here")
    assert harness.receive_count(tunnel, 10) == b"still here"
    for client in (tunnel, idle, *clients):
        client.close()
    server.join()
    assert "silent for too long" in door.err()
    assert report(door)["connections"]["idle"] == len(halves) + 1


# ---- datagrams ----

class Association:
    def __init__(self, started, user=None, announce=True):
        self.sock = harness.listening("127.0.0.1", socket.SOCK_DGRAM)[0]
        port = self.sock.getsockname()[1] if announce else 0
        self.control, self.code, self.at = socks(started, "0.0.0.0", port, user, command=3)
        assert self.code == 0, self.code

    def send(self, data, host, port, fragment=0, sock=None):
        head = b"\0\0" + bytes([fragment]) + packed(host) + struct.pack(">H", port)
        (sock or self.sock).sendto(head + data, self.at)

    def receive(self):
        data, source = self.sock.recvfrom(65536)
        assert source == self.at and data[:4] == b"\0\0\0\1", (source, data)
        return data[10:], (str(ipaddress.ip_address(data[4:8])), struct.unpack(">H", data[8:10])[0])


def test_datagrams_reach_several_targets_from_one_peer():
    echoes = [harness.UdpEcho() for _ in range(3)]
    door = proxying("--json")
    for announce in True, False:
        association = Association(door, announce=announce)
        assert association.at[0] == "127.0.0.1"
        for size in 0, 1, 1400, 9000:
            for echo in echoes:
                association.send(b"x" * size, OWN4, echo.port)
                assert association.receive() == (b"x" * size, (OWN4, echo.port)), size
        callers = {caller for echo in echoes for caller in echo.callers[-4:]}
        assert len(callers) == 1 and callers.pop()[0] in FIRST, callers
        association.control.close()
        until("the socket is closed", lambda at=association.at: f":{at[1]} " not in run("ss", "-Hanu"))
    said = report(door)["datagrams"]
    assert said == {"associations": 2, "sent": 24, "received": 24, "dropped": 0}, said


def test_datagrams_of_a_user_come_from_that_peer():
    echo = harness.UdpEcho()
    door = proxying()
    association = Association(door, "198.18.7.5")
    association.send(b"x", OWN4, echo.port)
    association.receive()
    assert echo.callers[0][0] == "198.18.7.5"
    door.stop().expect(0)


def use_hosts(text):
    path = os.path.join(harness.directory, "hosts")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, 0o644)
    harness.mount(path, "/etc/hosts", "none", harness.MS_BIND)


def test_names_are_resolved_for_connections_and_datagrams():
    # Of several addresses that of this machine is taken, and of those the one where somebody listens.
    use_hosts(f"203.0.113.7 far.example near.example\n10.9.0.77 near.example\n{OWN4} near.example one.example\n"
              f"{OWN6} six.example\n")
    door = proxying("-v")
    server = Server(harness.echo_all, callers=2)
    for name in "near.example", "one.example":
        client, code, _ = socks(door, name, server.port)
        assert code == 0, name
        client.close()
    server.join()
    assert socks(door, "far.example", 80)[1] == 2
    assert socks(door, "six.example", 80)[1] == 4
    echo = harness.UdpEcho()
    association = Association(door)
    for _ in range(2):
        association.send(b"by name", "near.example", echo.port)
        assert association.receive() == (b"by name", (OWN4, echo.port))
    assert re.search("six.example:80: no address for", door.err()), door.err()
    door.stop().expect(0)


def test_datagrams_of_others_and_broken_ones_are_dropped():
    echo = harness.UdpEcho()
    door = proxying("--json")
    association = Association(door)
    stranger = harness.listening("127.0.0.1", socket.SOCK_DGRAM)[0]
    association.send(b"stranger", OWN4, echo.port, sock=stranger)
    association.send(b"fragment", OWN4, echo.port, fragment=1)
    association.send(b"far", "203.0.113.7", echo.port)
    association.send(b"no port", OWN4, 0)
    association.sock.sendto(b"\0\0", association.at)
    association.send(b"good", OWN4, echo.port)
    assert association.receive() == (b"good", (OWN4, echo.port))
    assert len(echo.callers) == 1
    said = report(door)["datagrams"]
    assert said["dropped"] == 5 and said["sent"] == 1, said


def test_an_association_has_many_targets():
    echoes = [harness.UdpEcho() for _ in range(300)]
    door = proxying("--json")
    association = Association(door)
    for echo in echoes + echoes[:1]:
        association.send(b"x", OWN4, echo.port)
        assert association.receive() == (b"x", (OWN4, echo.port))
    assert len({caller for echo in echoes for caller in echo.callers}) == 1
    assert report(door)["datagrams"]["dropped"] == 0


# ---- many, and the end ----

def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def comm(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read().strip()


def test_a_thousand_connections_leave_nothing():
    harness.need_root()  # to look into a process that gave up its privileges
    count = 1000
    door = proxying("--json")
    sock, port = harness.listening(OWN4)
    sock.listen(count)
    before = descriptors(door.pid)
    for user in None, "bob":
        clients = [dial(door) for _ in range(count)]
        for i, client in enumerate(clients):
            if i % 2:
                client.sendall(b"\5\1\2" + login("bob") + request(OWN4, port) if user
                               else b"\5\1\0" + request(OWN4, port))
            else:
                client.sendall(f"CONNECT {OWN4}:{port} HTTP/1.1\r\n{basic('bob') if user else ''}\r\n".encode())
        servers = [sock.accept()[0] for _ in range(count)]
        for i, client in enumerate(clients):
            assert harness.receive_count(client, (14 if user else 12) if i % 2 else 39)
        callers = [server.getpeername()[0] for server in servers]
        assert len(set(callers)) == (1 if user else len(FIRST))
        assert descriptors(door.pid) == before + count
        for client in clients:
            client.close()
        for server in servers:
            assert server.recv(1) == b""
            server.close()
        until("all are closed", lambda: descriptors(door.pid) == before)
    said = report(door)["connections"]
    assert said["closed"] == said["accepted"] == 2 * count and said["open_most"] == count, said


def test_kill_leaves_nothing():
    for moment in range(5):
        door = proxying()
        if moment:
            associated = Association(door)
            server = Server(harness.echo_all)
            client, code, _ = socks(door, OWN4, server.port)
            assert code == 0
        if moment > 1:  # a question that nobody answers is under way
            client.close()
            client = dial(door)
            greet(client)
            client.sendall(request("asked.example", 80))
        door.signal(signal.SIGKILL)
        door.wait()
        harness.await_guardians()
        until("the end of all processes", lambda: not harness.descendants())
        if moment:
            associated.control.close()


def test_the_end_is_in_order():
    door = proxying("--json")
    server = Server(lambda connection, _address: ended.append(connection.recv(1)))
    ended = []
    client, code, _ = socks(door, OWN4, server.port)
    assert code == 0
    said = report(door)
    server.join()
    assert ended == [b""] and client.recv(1) == b""
    assert said["connections"]["open"] == 1, said


# ---- where it listens ----

def test_an_isolated_application_is_reached_at_the_address_that_is_told():
    door = proxying("--isolate", "--", "python3", "-c",
                    "import socket; s = socket.create_server(('0.0.0.0', 80)); print('up', flush=True)\n"
                    "while True: c, a = s.accept(); c.sendall(a[0].encode()); c.close()")
    at = door.wait_err(r"applications in the namespace are at (\S+)\n").group(1)
    door.wait_err("^up$|\nup\n")
    client, code, told = socks(door, at, 80)
    assert code == 0
    assert harness.receive_all(client).decode() == told[0] and told[0] in FIRST
    door.stop().expect(0)


def test_without_resolvers_addresses_still_work():
    harness.need_root()
    door = proxying("--json")
    resolvers = [pid for pid in harness.descendants() if comm(pid) == "peer-names"]
    assert resolvers
    for pid in resolvers:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = file.read()
        assert "CapEff:\t0000000000000000\n" in status and "NoNewPrivs:\t1\n" in status, status
        os.kill(pid, signal.SIGKILL)
    door.wait_err("the processes that resolve names are gone")
    assert socks(door, "name.example", 80)[1] == 1
    server = Server(harness.echo_all)
    client, code, _ = socks(door, OWN4, server.port)
    assert code == 0
    client.close()
    server.join()
    door.stop().expect(0)


def test_it_listens_where_it_is_told_to():
    door = proxying(listen=f"{OWN4}:0")
    assert f"whoever reaches {OWN4}:" in door.err()
    port = int(re.search(rf"listening at {OWN4}:(\d+)", door.err()).group(1))
    with socket.create_connection((OWN4, port)) as client:
        client.sendall(b"\5\1\0")
        assert harness.receive_count(client, 2) == b"\5\0"
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
    peer("proxy", "--listen", f"{OWN4}:{port}").refused(3, "somebody else does; --listen")
    door.stop().expect(0)
    peer("proxy", "--listen", "10.9.0.77:1080").refused(3, "no address of this host")
    for text in "10.9.0.1:x", "name:80", "1.2.3.4:70000", "", "[::1:80", ":80":
        peer("proxy", "--listen", text).refused(2, "--listen")
    peer("proxy", "80").refused(2, "unexpected argument")
    peer("proxy", "--password", "").refused(2, "password")
    peer("proxy", "--password-file", "/nonexistent").refused(2, "cannot read")


def test_the_default_is_port_1080_of_both_loopback_addresses():
    door = Peer("proxy", "--from", PEERS)
    door.wait_err(r"listening at 127\.0\.0\.1:1080, \[::1\]:1080, for SOCKS5 and HTTP, on from 198\.18\.7\.1 and")
    for host in "127.0.0.1", "::1":
        with socket.create_connection((host, 1080)) as client:
            client.sendall(b"\5\1\0")
            assert harness.receive_count(client, 2) == b"\5\0"
    door.stop().expect(0)


def test_the_proxy_header_is_the_first_that_the_server_reads():
    for version, begin in (("v1", b"PROXY TCP4 198.18.7."), ("v2", b"\r\n\r\n\0\r\nQUIT\n")):
        server = Server(lambda connection, _address: read.append(harness.receive_all(connection)))
        read = []
        door = proxying("--proxy-protocol", version)
        client, code, _ = socks(door, OWN4, server.port)
        assert code == 0
        client.sendall(b"then this")
        client.close()
        server.join()
        assert read[0].startswith(begin) and read[0].endswith(b"then this"), read
        door.stop().expect(0)


if __name__ == "__main__":
    harness.main()
