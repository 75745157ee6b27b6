# SPDX-License-Identifier: BSD-3-Clause
"""peer connect against kernel sockets: bytes both ways, ends told apart, nothing left."""
import os
import re
import select
import signal
import socket
import subprocess
import time

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Peer, Server, peer, run

KINDS = (("tun4", OWN4, PEER4, ()), ("tun6", OWN6, PEER6, ()), ("tap4", OWN4, PEER4, ("--tap",)),
         ("tap6", OWN6, PEER6, ("--tap",)))


def no_sockets_left():
    harness.until("no open socket is left", lambda: not harness.open_sockets(), 20)


def test_the_application_sees_the_peer():
    for _, own, addr, more in KINDS:
        server = Server(harness.answer_after_eof, own)
        result = peer("connect", *more, "--from", addr, "-p", "4321", own, server.port, data=b"hello")
        result.expect(0, lines=0)
        assert result.out == b"olleh", result
        server.join()
        assert server.callers[0][:2] == (addr, 4321), server.callers
        no_sockets_left()


def test_every_way_to_write_a_target():
    server = Server(harness.answer_after_eof, OWN4, callers=3)
    server6 = Server(harness.answer_after_eof, OWN6, callers=3)
    for args in ((OWN4, server.port), (f"{OWN4}:{server.port}",), ("machine.test", server.port)):
        if args[0] == "machine.test":
            hosts = os.path.join(harness.directory, "hosts")
            with open(hosts, "w") as file:
                file.write(f"{OWN4} machine.test\n")
            harness.mount(hosts, "/etc/hosts", "none", harness.MS_BIND)
        assert peer("connect", *args, data=b"ab").expect(0, lines=0).out == b"ba"
    for args in ((OWN6, server6.port), (f"[{OWN6}]:{server6.port}",), (f"[{OWN6}]", server6.port)):
        assert peer("connect", *args, data=b"ab").expect(0, lines=0).out == b"ba"
    server.join()
    server6.join()


def test_verbose_tells_the_facts():
    server = Server(harness.answer_after_eof)
    result = peer("connect", "-v", "--from", PEER4, OWN4, server.port, data=b"hello")
    result.expect(0, rf"{PEER4}:\d+ -> {OWN4}:{server.port} connected in [\d.]+ [mu]s, MSS 1448, window scale "
                     r"\d+ sent \d+ received, timestamps")
    result.expect(0, r"5 B sent, 5 B received")
    server.join()


def test_half_close_by_the_server_first():
    done = []

    def handle(connection, _address):
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        done.append(harness.receive_all(connection))

    server = Server(handle)
    started = Peer("connect", OWN4, server.port)
    started.wait_out(b"bye")
    for i in range(5):
        started.send(b"late %d\n" % i, close=False)
        assert started.process.poll() is None
    started.close_stdin()
    started.wait().expect(0, lines=0)
    server.join()
    assert done == [b"".join(b"late %d\n" % i for i in range(5))], done
    no_sockets_left()


def test_answer_after_eof_of_much():
    data = os.urandom(3_000_000)
    server = Server(harness.answer_after_eof)
    assert peer("connect", OWN4, server.port, data=data).expect(0, lines=0).out == data[::-1]
    server.join()


def test_refused():
    sock, port = harness.listening(OWN4)
    sock.close()
    for more in ((), ("--tap",), ("-z",), ("-w", "9")):
        peer("connect", *more, OWN4, port).refused(1, "connection refused")
    sock, port = harness.listening(OWN6)
    sock.close()
    peer("connect", OWN6, port).refused(1, "connection refused")


@harness.changes_machine
def test_timed_out_and_rejected_and_unreachable():
    harness.need("nft")
    run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; "
        "add rule inet t in tcp dport 1000 drop; "
        "add rule inet t in tcp dport 1001 reject with icmpx admin-prohibited; "
        "add rule inet t in tcp dport 1002 reject with tcp reset")
    start = time.monotonic()
    peer("connect", "-w", "0.5", OWN4, 1000).refused(1, "timed out")
    assert time.monotonic() - start >= 0.5
    peer("connect", "-w", "0.5", "-z", OWN6, 1000).refused(1, "timed out")
    peer("connect", "-w", "9", OWN4, 1001).refused(1, "prohibited")
    peer("connect", "-w", "9", OWN6, 1001).refused(1, "prohibited")
    peer("connect", "-w", "9", OWN4, 1002).refused(1, "connection refused")


def test_reset():
    def reset(connection, _address):
        connection.recv(100)
        harness.socket.socket.setsockopt(connection, socket.SOL_SOCKET, socket.SO_LINGER,
                                         harness.struct.pack("ii", 1, 0))

    server = Server(reset)
    started = Peer("connect", OWN4, server.port)
    started.send(b"x", close=False)
    started.wait().refused(1, "reset by the application")
    server.join()
    started.close_stdin()


def test_bytes_before_a_reset_arrive():
    def handle(connection, _address):
        connection.sendall(b"last words")
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, harness.struct.pack("ii", 1, 0))

    server = Server(handle)
    started = Peer("connect", OWN4, server.port)
    started.wait_out(b"last words")
    started.send(b"x", close=False)
    result = started.wait().expect(1, "reset by the application", lines=1)
    assert result.out == b"last words"
    started.close_stdin()
    server.join()


def test_zero_just_connects():
    server = Server(harness.echo_all, callers=2)
    peer("connect", "-z", OWN4, server.port).expect(0, out="^$", lines=0)
    peer("connect", "-z", "-v", OWN4, server.port, stdin=subprocess.DEVNULL).expect(0, "connected in")
    server.join()
    no_sockets_left()


def test_zero_with_an_application_that_greets_or_stays():
    release = harness.threading.Event()

    def greet(connection, _address):
        connection.sendall(b"220 hello\r\n")
        while connection.recv(100):
            pass

    def stay(connection, _address):
        connection.sendall(bytes(100000))
        release.wait(harness.LIMIT_S)

    for handle in (greet, stay):
        server = Server(handle)
        peer("connect", "-z", OWN4, server.port).expect(0, out="^$", lines=0)
        release.set()
        server.join()
        no_sockets_left()


def test_idle_time_ends_a_connection():
    server = Server(lambda connection, _: connection.recv(100))
    started = Peer("connect", "-w", "0.3", OWN4, server.port)
    started.wait().refused(1, "timed out: nothing came for 300 ms")
    started.close_stdin()
    server.join()
    no_sockets_left()


def test_quit_after_the_end_of_input():
    def handle(connection, _address):
        harness.receive_all(connection)
        with harness.contextlib.suppress(ConnectionResetError):
            while connection.recv(1):
                pass
        until_end.wait(harness.LIMIT_S)

    until_end = harness.threading.Event()
    server = Server(handle)
    start = time.monotonic()
    peer("connect", "-q", "0.2", OWN4, server.port, data=b"x", limit=30).expect(0, lines=0)
    assert 0.2 <= time.monotonic() - start
    until_end.set()
    server.join()
    no_sockets_left()


def test_source_port_one():
    server = Server(harness.echo_all, callers=1)
    peer("connect", "-p", "1", OWN4, server.port, data=b"a").expect(0, lines=0)
    server.join()
    assert server.callers[0][1] == 1


def test_udp():
    for _, own, addr, more in KINDS:
        echo = harness.UdpEcho(own)
        started = Peer("connect", "-u", *more, "--from", addr, own, echo.port)
        started.send(b"one", close=False)
        started.wait_out(b"one")
        started.send(b"two", close=False)
        started.wait_out(b"onetwo")
        started.close_stdin()
        started.wait().expect(0, lines=0)
        assert echo.callers[0][0] == addr, echo.callers
        echo.sock.close()


def test_udp_without_anybody_there():
    for own in (OWN4, OWN6):
        sock, port = harness.listening(own, socket.SOCK_DGRAM)
        sock.close()
        peer("connect", "-u", own, port, data=b"x").refused(1, "port unreachable")


def test_udp_with_timeout():
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    started = Peer("connect", "-u", "-w", "0.3", OWN4, port)
    started.send(b"x", close=False)
    started.wait().expect(1, "timed out: nothing came for 300 ms", lines=1)
    started.close_stdin()
    assert sock.recv(10) == b"x"


def test_udp_with_timeout_after_the_end_of_input():
    """Without an answer it has failed, with one it has not."""
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    peer("connect", "-u", "-w", "0.3", OWN4, port, data=b"x").expect(1, "nothing came", lines=1)
    sock.close()
    echo = harness.UdpEcho()
    peer("connect", "-u", "-w", "0.3", OWN4, echo.port, data=b"x").expect(0)
    echo.sock.close()


def test_udp_datagrams_of_all_sizes():
    sock, port = harness.listening(OWN4, socket.SOCK_DGRAM)
    started = Peer("connect", "-u", OWN4, port)
    for size in (1, 1472, 1473, 9000, 16384):
        data = os.urandom(size)
        started.send(data, close=False)
        got, address = sock.recvfrom(65536)
        assert got == data, (size, len(got))
        sock.sendto(data, address)
        harness.until("the echo", lambda: started.out().endswith(data))
    started.close_stdin()
    started.wait().expect(0, lines=0)


def test_ctrl_c_closes_in_order():
    ends = []

    def handle(connection, _address):
        connection.sendall(b"hello")
        ends.append(connection.recv(10))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        server = Server(handle)
        started = Peer("connect", OWN4, server.port)
        started.wait_out(b"hello")
        started.signal(number)
        started.wait().expect(0, lines=0)
        started.close_stdin()
        server.join()
        no_sockets_left()
    assert ends == [b"", b"", b""], ends


@harness.changes_machine
def test_ctrl_c_during_the_handshake():
    harness.need("nft")
    run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; "
        "add rule inet t in tcp dport 1000 counter drop")
    started = Peer("connect", OWN4, 1000)
    harness.until("a SYN", lambda: not re.search("packets 0", run("nft", "list", "ruleset")))
    started.signal(signal.SIGINT)
    result = started.wait()
    assert result.status == 1 and len(result.err.splitlines()) <= 1, result
    started.close_stdin()


def test_a_second_ctrl_c_with_an_application_that_stays():
    release, closed = harness.threading.Event(), harness.threading.Event()

    def handle(connection, _address):
        connection.sendall(b"hello")
        if connection.recv(1) == b"":
            closed.set()
        release.wait(harness.LIMIT_S)

    server = Server(handle)
    started = Peer("connect", OWN4, server.port)
    started.wait_out(b"hello")
    started.signal(signal.SIGINT)
    assert closed.wait(harness.LIMIT_S)
    started.signal(signal.SIGINT)
    started.wait().expect(0)
    started.close_stdin()
    release.set()
    server.join()
    no_sockets_left()


def test_a_slow_reader_loses_nothing():
    total = 8 << 20
    sent = []

    def handle(connection, _address):
        sent.append(harness.send_stream(connection.sendall, total, "slow"))

    server = Server(handle)
    read_end, write_end = os.pipe()
    started = Peer("connect", OWN4, server.port, stdout=write_end, stdin=subprocess.DEVNULL)
    os.close(write_end)
    # Nobody reads, until the window is shut: then the application's kernel probes it now and then.
    harness.until("a closed window", lambda: "timer:(persist" in run("ss", "-Htno"))
    with open(read_end, "rb", buffering=0) as reader:
        count, digest = harness.hash_of(lambda: reader.read(1000))
    started.wait().expect(0, lines=0)
    server.join()
    assert (count, digest) == (total, sent[0])


def test_two_peers_at_once():
    server = Server(harness.echo_all, callers=1)
    server2 = Server(harness.echo_all, callers=1)
    first, second = Peer("connect", "-v", OWN4, server.port), Peer("connect", "-v", OWN4, server2.port)
    first.wait_err("connected")
    second.wait_err("connected")
    assert sorted(harness.peer_links()) == ["peer0", "peer1"], harness.peer_links()
    harness.until("both calls", lambda: server.callers and server2.callers)
    assert server.callers[0][0] != server2.callers[0][0], (server.callers, server2.callers)
    for started in (first, second):
        started.send(b"text")
        assert started.wait().expect(0).out == b"text"


def test_many_peers_at_once():
    count = 8
    server = Server(harness.echo_all, callers=count)
    started = [Peer("connect", OWN4, server.port) for _ in range(count)]
    for one in started:
        one.send(b"text")
    for one in started:
        assert one.wait().expect(0, lines=0).out == b"text"
    server.join()


@harness.changes_machine
def test_a_device_that_goes_away():
    server = Server(harness.echo_all)
    started = Peer("connect", OWN4, server.port, "--dev", "mine")
    harness.until("the connection", lambda: server.callers)
    run("ip", "link", "del", "mine")
    started.wait().refused(3, "device is gone")
    started.close_stdin()


if __name__ == "__main__":
    harness.main()
