# SPDX-License-Identifier: BSD-3-Clause
"""peer listen: the emulated machine is the server, programs here are the clients."""
import os
import re
import resource
import signal
import socket
import subprocess

import harness
from harness import PEER4, PEER6, Peer, peer, run

KINDS = (("tun4", PEER4, ()), ("tun6", PEER6, ()), ("tap4", PEER4, ("--tap",)), ("tap6", PEER6, ("--tap",)))


def listen(*args, **more):
    """A listening peer and the (address, port) it says."""
    started = Peer("listen", *args, **more)
    found = started.wait_err(r"listening at (?:\[([0-9a-f:]+)\]|([\d.]+)):(\d+)")
    return started, (found.group(1) or found.group(2), int(found.group(3)))


def connect(where):
    return socket.create_connection(where, harness.LIMIT_S)


def no_sockets_left():
    harness.until("no open socket is left", lambda: not harness.open_sockets(), 20)


def test_a_caller_talks_to_stdin_and_stdout():
    for _, addr, more in KINDS:
        started, where = listen(*more, "--from", addr, 8080)
        assert where == (addr, 8080)
        with connect(where) as connection:
            connection.sendall(b"from the caller")
            started.wait_out(b"from the caller")
            started.send(b"from the peer")
            assert harness.receive_all(connection) == b"from the peer"
        started.wait().expect(0)
        no_sockets_left()


def test_congestion_notification_is_granted():
    with open("/proc/sys/net/ipv4/tcp_ecn") as file:
        before = file.read()
    for asks, said in (("1", True), ("0", False)):
        with open("/proc/sys/net/ipv4/tcp_ecn", "w") as file:
            file.write(asks)
        started, where = listen("-v", 8080, stdin=subprocess.DEVNULL)
        with connect(where) as connection:
            connection.sendall(b"hello")
            started.wait_out(b"hello")
        started.wait().expect(0)
        assert (", ECN" in started.err()) == said, started.err()
    with open("/proc/sys/net/ipv4/tcp_ecn", "w") as file:
        file.write(before)


def test_netcat_is_a_client():
    harness.need("nc")
    started, where = listen(8080)
    nc = subprocess.Popen(["nc", "-N", where[0], str(where[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.send(b"hello from the peer\n")
    out, _ = nc.communicate(b"hello from nc\n", timeout=harness.LIMIT_S)
    assert out == b"hello from the peer\n"
    assert started.wait().expect(0).out == b"hello from nc\n"


def test_urgent_data_stays_in_the_stream():
    started = Peer("listen", "--from", PEER4, 9)
    started.wait_err("listening")
    with socket.create_connection((PEER4, 9), harness.LIMIT_S) as caller:
        caller.sendall(b"ab")
        caller.send(b"!", socket.MSG_OOB)
        caller.sendall(b"cd")
        caller.shutdown(socket.SHUT_WR)
        started.close_stdin()
        assert started.wait().expect(0).out == b"ab!cd"


def test_keep_listens_again():
    started, where = listen("-k", 8080, stdin=subprocess.DEVNULL)
    for i in range(3):
        with connect(where) as connection:
            connection.sendall(b"caller %d\n" % i)
            connection.shutdown(socket.SHUT_WR)
            assert harness.receive_all(connection) == b""
        started.wait_out(b"caller %d\n" % i)
    started.stop().expect(0)
    no_sockets_left()


def test_keep_survives_a_caller_who_resets():
    started, where = listen("-k", 8080, stdin=subprocess.DEVNULL)
    connection = connect(where)
    connection.sendall(b"x")
    started.wait_out(b"x")
    reset(connection)
    with connect(where) as connection:
        connection.sendall(b"still there")
        connection.shutdown(socket.SHUT_WR)
        harness.receive_all(connection)
    started.wait_out(b"still there")
    started.stop().expect(0)


def test_keep_lets_callers_wait():
    started, where = listen("-k", 8080, stdin=subprocess.DEVNULL)
    callers = [connect(where) for _ in range(10)]
    for i, connection in enumerate(callers):
        connection.sendall(b"caller %d\n" % i)
    for connection in callers[1::2]:  # who does not wait for his turn
        connection.close()
    for connection in callers[::2]:
        connection.shutdown(socket.SHUT_WR)
        assert harness.receive_all(connection) == b""
    said = [b"caller %d\n" % i for i in range(10)]
    for line in said:  # those that are there at the same time have no order
        started.wait_out(line)
    result = started.stop().expect(0)
    assert sorted(result.out.splitlines(True)) == said, result


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, harness.struct.pack("ii", 1, 0))
    connection.close()


def name_of(connection):
    addr, port = connection.getsockname()[:2]
    return re.escape(f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}")


def test_keep_talks_to_several_at_once():
    """stdin goes to all who are there, what comes from them goes to stdout."""
    for _, addr, more in KINDS:
        started, where = listen("-k", *more, "--from", addr, 8080)
        callers = [connect(where) for _ in range(3)]
        for i, connection in enumerate(callers):
            connection.sendall(b"I am %d\n" % i)
            started.wait_out(b"I am %d\n" % i)
        started.send(b"to all\n", close=False)
        for connection in callers:
            assert harness.receive_count(connection, 7) == b"to all\n"
        callers[0].close()
        callers[1].sendall(b"still here\n")
        started.wait_out(b"still here\n")
        late = connect(where)
        late.sendall(b"hello\n")
        started.wait_out(b"hello\n")
        started.send(b"bye\n", close=False)
        for connection in (callers[1], callers[2], late):
            assert harness.receive_count(connection, 4) == b"bye\n"
        started.close_stdin()
        for connection in (callers[1], callers[2], late):
            assert harness.receive_all(connection) == b""
            connection.close()
        started.stop().expect(0)
        no_sockets_left()


def test_keep_half_closes_each_way():
    started, where = listen("-k", 8080)
    with connect(where) as done_sending, connect(where) as other:
        done_sending.sendall(b"that is all")
        done_sending.shutdown(socket.SHUT_WR)
        started.wait_out(b"that is all")
        other.sendall(b"I come later")
        started.wait_out(b"I come later")
        started.send(b"for both")  # and the end
        assert harness.receive_all(done_sending) == b"for both"
        assert harness.receive_all(other) == b"for both"
        other.sendall(b" and go on")
        started.wait_out(b"I come later and go on")
        other.shutdown(socket.SHUT_WR)
    with connect(where) as after_the_end:
        assert harness.receive_all(after_the_end) == b""
        after_the_end.sendall(b"!")
        started.wait_out(b"go on!")
    started.stop().expect(0, lines=1)
    no_sockets_left()


def test_keep_gives_up_one_who_does_not_read_when_others_wait():
    started, where = listen("-k", 8080)
    total = 32 << 20
    stuck, reader = connect(where), connect(where)
    for connection in (stuck, reader):
        connection.sendall(b".")
    started.wait_out(rb"\.\.")
    digest = []
    writer = harness.threading.Thread(target=lambda: digest.append(
        harness.send_stream(started.stdin.write, total, "keep")) or started.close_stdin())
    writer.start()
    assert harness.hash_of(lambda: reader.recv(1 << 20))[0] == total
    writer.join()
    started.wait_err(name_of(stuck) + r": it has taken nothing for 2.00 s, and others wait: connection reset by this peer")
    try:
        while stuck.recv(1 << 20):
            pass
        raise AssertionError("it ended as if that had been all")
    except ConnectionResetError:
        pass
    stuck.close()
    reader.close()
    started.stop().expect(0)


def test_keep_waits_for_one_who_is_alone():
    """He keeps nobody waiting, and gets every byte."""
    started, where = listen("-k", 8080)
    total, sent = 32 << 20, []
    connection = connect(where)
    writer = harness.threading.Thread(target=lambda: sent.append(
        harness.send_stream(started.stdin.write, total, "alone")) or started.close_stdin())
    writer.start()
    harness.until("a full buffer", lambda: (before := unread(where)) > 0 and unread(where) == before)
    count, digest = harness.hash_of(lambda: connection.recv(1 << 20))
    writer.join()
    assert (count, digest) == (total, sent[0])
    connection.close()
    started.stop().expect(0, lines=1)


def unread(where):
    """Bytes that wait in the sockets of the callers."""
    lines = run("ss", "-Htn", "state", "established", "dst", f"{where[0]}:{where[1]}").splitlines()
    return max((int(line.split()[0]) for line in lines), default=0)


def test_keep_names_who_resets():
    started, where = listen("-k", "-v", 8080, stdin=subprocess.DEVNULL)
    first, second = connect(where), connect(where)
    for connection in (first, second):
        connection.sendall(b".")
    started.wait_out(rb"\.\.")
    name = name_of(first)
    reset(first)
    started.wait_err(name + ": connection reset by the application's side")
    second.sendall(b"and I stay")
    started.wait_out(b"and I stay")
    second.shutdown(socket.SHUT_WR)
    harness.receive_all(second)
    started.wait_err(name_of(second) + r": 0 B sent, 11 B received, 0 retransmits")
    second.close()
    started.stop().expect(0)


def test_keep_with_a_hundred_at_once():
    count, size = 100, 20_000
    started, where = listen("-k", 8080)
    callers = [connect(where) for _ in range(count)]
    for i, connection in enumerate(callers):
        connection.sendall(bytes([i]) * size)
    harness.until("all bytes", lambda: len(started.out()) == count * size)
    out = started.out()
    assert all(out.count(i) == size for i in range(count))
    started.send(b"x" * 300_000)
    for connection in callers:
        assert harness.receive_all(connection) == b"x" * 300_000
        connection.close()
    started.stop().expect(0, lines=1)
    no_sockets_left()


def test_keep_with_programs_that_call():
    harness.need("nc", "curl")
    started, where = listen("-k", 8080)
    ncs = [subprocess.Popen(["nc", "-N", where[0], str(where[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
           for _ in range(2)]
    curl = subprocess.Popen(["curl", "-sS", "--max-time", "60", f"http://{where[0]}:{where[1]}/"],
                            stdout=subprocess.PIPE)
    started.wait_out(rb"GET / HTTP/1.1\r\n(.*\r\n)+\r\n")
    for i, nc in enumerate(ncs):
        nc.stdin.write(b"nc %d\n" % i)
        nc.stdin.flush()
        started.wait_out(b"nc %d\n" % i)
    answer = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes"
    started.send(answer)
    assert curl.communicate(timeout=harness.LIMIT_S)[0] == b"yes"
    for nc in ncs:
        assert nc.communicate(timeout=harness.LIMIT_S)[0] == answer
    started.stop().expect(0)


def test_keep_and_a_reader_of_stdout_who_stops():
    """All callers wait, and none loses a byte."""
    read_end, write_end = os.pipe()
    started, where = listen("-k", 8080, stdout=write_end, stdin=subprocess.DEVNULL)
    os.close(write_end)
    callers = [connect(where) for _ in range(3)]
    total = 8 << 20

    def send(connection, letter):
        connection.sendall(letter * total)
        connection.shutdown(socket.SHUT_WR)

    senders = [harness.threading.Thread(target=send, args=(connection, bytes([65 + i])))
               for i, connection in enumerate(callers)]
    for sender in senders:
        sender.start()
    harness.until("three windows that are shut", lambda: run("ss", "-Htno").count("timer:(persist") == 3)
    counts = [0, 0, 0]
    with open(read_end, "rb", buffering=0) as reader:
        while sum(counts) < 3 * total:
            part = reader.read(1 << 20)
            for i in range(3):
                counts[i] += part.count(65 + i)
    assert counts == [total] * 3, counts
    for sender, connection in zip(senders, callers):
        sender.join()
        connection.close()
    started.stop().expect(0, lines=1)


def test_keep_and_a_stdout_that_fails():
    read_end, write_end = os.pipe()
    started, where = listen("-k", 8080, stdout=write_end)
    os.close(write_end)
    callers = [connect(where) for _ in range(3)]
    os.close(read_end)
    callers[1].sendall(b"x")
    started.wait().expect(3, "cannot write to standard output")
    for connection in callers:
        try:
            connection.recv(1)
        except ConnectionResetError:
            pass
        connection.close()
    started.close_stdin()


def test_keep_and_ctrl_c_ends_all_in_order():
    for number in (signal.SIGINT, signal.SIGTERM):
        started, where = listen("-k", 8080)
        callers = [connect(where) for _ in range(5)]
        for connection in callers:
            connection.sendall(b"x")
        harness.until("all of them", lambda: len(started.out()) == 5)
        started.signal(number)
        for connection in callers:
            assert harness.receive_all(connection) == b""
            connection.close()
        started.wait().expect(0, lines=1)
        started.close_stdin()
        no_sockets_left()


def test_keep_and_a_second_ctrl_c_with_callers_who_stay():
    started, where = listen("-k", 8080)
    callers = [connect(where) for _ in range(3)]
    for connection in callers:
        connection.sendall(b"x")
    harness.until("all of them", lambda: len(started.out()) == 3)
    started.signal(signal.SIGINT)
    for connection in callers:
        assert harness.receive_all(connection) == b""  # and he does not close
    started.signal(signal.SIGINT)
    started.wait().expect(0)
    started.close_stdin()
    for connection in callers:
        connection.close()
    no_sockets_left()


def test_keep_and_idle_callers():
    """-w is each caller's, and that of waiting for one."""
    started, where = listen("-k", "-w", "0.5", 8080)
    with connect(where) as idle:
        idle.sendall(b"x")
        name = name_of(idle)
        try:
            assert harness.receive_all(idle) == b""
        except ConnectionResetError:
            pass
    started.wait_err(name + ": timed out: nothing came for 500 ms")
    started.wait().expect(1, "timed out: nobody called")
    started.close_stdin()


def test_keep_udp():
    for _, addr, more in KINDS:
        started, where = listen("-k", "-u", *more, "--from", addr, 8080)
        socks = []
        for i in range(3):
            sock = socket.socket(harness.family_of(addr), socket.SOCK_DGRAM)
            sock.settimeout(harness.LIMIT_S)
            sock.connect(where)
            sock.send(b"caller %d\n" % i)
            started.wait_out(b"caller %d\n" % i)
            socks.append(sock)
        started.send(b"to all", close=False)
        for sock in socks:
            assert sock.recv(100) == b"to all"
            sock.close()
        started.stop().expect(0)
        started.close_stdin()


def test_keep_udp_forgets_who_was_silent_for_longest():
    most = 4096
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < most + 100:
        raise harness.Skip(f"needs {most + 100} descriptors, and may have {limit}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    started, where = listen("-k", "-u", 8080)
    socks = []
    for _ in range(most + 1):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(harness.LIMIT_S)
        sock.connect(where)
        sock.send(b".")
        socks.append(sock)
    harness.until("all of them", lambda: len(started.out()) == most + 1)
    started.send(b"hello", close=False)
    assert socks[-1].recv(10) == b"hello"  # who is sent to last
    assert socks[1].recv(10) == b"hello"
    socks[0].setblocking(False)
    try:
        raise AssertionError(socks[0].recv(10))
    except BlockingIOError:
        pass
    for sock in socks:
        sock.close()
    started.stop().expect(0)
    started.close_stdin()


def test_one_caller_only_without_keep():
    started, where = listen(8080)
    with connect(where) as first:
        first.sendall(b"first")
        started.wait_out(b"first")
        try:
            with connect(where) as second:
                second.recv(1)
            raise AssertionError("a second caller was served")
        except ConnectionError:
            pass
        started.close_stdin()
        harness.receive_all(first)
    started.wait().expect(0)


def test_udp():
    for _, addr, more in KINDS:
        started, where = listen("-u", *more, "--from", addr, 8080)
        with socket.socket(harness.family_of(addr), socket.SOCK_DGRAM) as sock:
            sock.settimeout(harness.LIMIT_S)
            sock.connect(where)
            sock.send(b"question")
            started.wait_out(b"question")
            started.send(b"answer", close=False)
            assert sock.recv(100) == b"answer"
            started.close_stdin()
            started.wait().expect(0)


def test_no_queue_stands_before_the_device():
    started, _ = listen(8080)
    queues = harness.run("tc", "qdisc", "show", "dev", harness.peer_links()[0])
    started.signal(signal.SIGINT)
    started.wait().expect(0)
    assert "noqueue" in queues, queues


def test_nobody_calls():
    peer("listen", "-w", "0.2", 8080).expect(1, "timed out: nobody called", lines=2)


def test_ctrl_c_while_waiting_and_while_talking():
    for number in (signal.SIGINT, signal.SIGTERM):
        started, where = listen(8080)
        started.signal(number)
        started.wait().expect(0, lines=1)
        started, where = listen(8080)
        with connect(where) as connection:
            connection.sendall(b"x")
            started.wait_out(b"x")
            started.signal(number)
            assert harness.receive_all(connection) == b""
        started.wait().expect(0)
        no_sockets_left()


def test_serve_echo_and_discard():
    data = os.urandom(300_000)
    started, where = listen("--serve", "echo", 7)
    others = [connect(where) for _ in range(20)]
    for i, connection in enumerate(others):
        connection.sendall(b"%d" % i)
    for i, connection in enumerate(others):
        assert harness.receive_count(connection, len(str(i))) == b"%d" % i
        connection.close()
    with connect(where) as connection:
        sender = harness.threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert harness.receive_all(connection) == data
        sender.join()
    started.stop().expect(0, "21 callers, 0 requests, 293.*KiB received, 293.*KiB sent")
    started, where = listen("--serve", "discard", 9)
    with connect(where) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert harness.receive_all(connection) == b""
    started.stop().expect(0, "1 caller, 0 requests, 29[23].*KiB received, 0 B sent")
    no_sockets_left()


def test_serve_echo_udp():
    started, where = listen("-u", "--serve", "echo", 7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(harness.LIMIT_S)
        sock.connect(where)
        for size in (0, 1, 1472, 9000, 60000):
            data = os.urandom(size)
            sock.send(data)
            assert sock.recv(65536) == data, size
    started.stop().expect(0)


def test_serve_http_to_curl():
    harness.need("curl")
    for _, addr, more in KINDS:
        started, where = listen("--serve", "http", *more, "--from", addr, 8080)
        url = f"http://[{addr}]:8080/" if ":" in addr else f"http://{addr}:8080/"
        text = run("curl", "-sS", "-i", "--max-time", "30", url, url + "other?x=y")
        assert text.count("HTTP/1.1 200") == 2, text
        text = run("curl", "-sS", "-I", "--max-time", "30", url)
        assert text.startswith("HTTP/1.1 200") and "Content-Length: 0" not in text, text
        code = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}", "--max-time", "30",
                   "--data-binary", "@/usr/bin/env", url)
        assert code.startswith("200"), code
        run("curl", "-sS", "--http1.0", "--max-time", "30", url)
        started.stop().expect(0, "requests")


def read_answer(stream, head=False):
    status = stream.readline()
    headers = {}
    while (line := stream.readline().strip()):
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return status, headers, b"" if head else stream.read(int(headers[b"content-length"]))


def test_http_pipelining_and_head():
    started, where = listen("--serve", "http", 8080)
    with connect(where) as connection:
        count = 100
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count +
                           b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
                           b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                           b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                           b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        stream = connection.makefile("rb")
        bodies = set()
        for _ in range(count):
            status, _, body = read_answer(stream)
            assert status.startswith(b"HTTP/1.1 200"), status
            bodies.add(body)
        assert len(bodies) == count, bodies  # each has its number
        status, headers, _ = read_answer(stream, head=True)
        assert status.startswith(b"HTTP/1.1 200") and int(headers[b"content-length"]) > 0
        for _ in range(3):
            status, _, _ = read_answer(stream)
            assert status.startswith(b"HTTP/1.1 200"), status
        assert stream.read() == b""
    started.stop().expect(0, "1 caller, 104 requests")


def test_http_in_single_bytes():
    started, where = listen("--serve", "http", 8080)
    with connect(where) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert read_answer(connection.makefile("rb"))[0].startswith(b"HTTP/1.1 200")
    started.stop().expect(0)


def test_http_garbage_is_a_bad_request():
    started, where = listen("--serve", "http", 8080)
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET\r\n\r\n",
                    b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET / FTP/1.0\r\n\r\n", bytes(1000),
                    b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000):
        with connect(where) as connection:
            try:
                connection.sendall(garbage)
                data = harness.receive_all(connection)
            except ConnectionError as error:
                raise AssertionError(f"{garbage[:40]}: {error}")
            assert data.startswith(b"HTTP/1.1 4"), (garbage[:40], data)
    with connect(where) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert harness.receive_all(connection).startswith(b"HTTP/1.1 200")
    started.stop().expect(0)


def test_closed_ports_of_a_peer_refuse():
    for _, addr, more in KINDS:
        started, where = listen(*more, "--from", addr, 8080)
        try:
            connect((addr, 8081))
            raise AssertionError("a closed port accepted")
        except ConnectionRefusedError:
            pass
        with socket.socket(harness.family_of(addr), socket.SOCK_DGRAM) as sock:
            sock.settimeout(harness.LIMIT_S)
            sock.connect((addr, 8081))
            sock.send(b"x")
            try:
                sock.recv(10)
                raise AssertionError("a closed port answered")
            except ConnectionRefusedError:
                pass
        started.stop().expect(0)


def test_a_peer_answers_ping_and_arping():
    harness.need("ping", "arping")
    for _, addr, more in KINDS:
        mac = ("--mac", "02:12:34:56:78:9a") if more else ()
        started, _ = listen(*more, *mac, "--from", addr, "--dev", "mine", 8080)
        text = run("ping", "-c", "2", "-i", "0.2", "-W", "20", addr)
        assert "2 received" in text, text
        assert "received" in run("ping", "-c", "1", "-s", "8000", "-W", "20", addr)
        if more:
            text = run("ip", "neigh", "show", "dev", "mine")
            assert re.search(rf"{addr} lladdr 02:12:34:56:78:9a", text), text
        if more and addr == PEER4:
            text = run("arping", "-c", "2", "-w", "20", "-I", "mine", addr)
            assert "02:12:34:56:78:9A" in text.upper(), text
        started.stop().expect(0)


def test_an_address_between_the_peers_does_not_exist():
    """TUN: nobody answers for what is no peer. Several peers are all there."""
    started, where = listen("--from", "198.18.7.1-198.18.7.3", "--serve", "echo", 8080)
    for last in (1, 2, 3):
        with connect((f"198.18.7.{last}", 8080)) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
    text = run("ping", "-c", "1", "-W", "0.2", "198.18.7.4", check=False)
    assert ", 0 received" in text, text
    started.stop().expect(0)


if __name__ == "__main__":
    harness.main()
