# SPDX-License-Identifier: BSD-3-Clause
"""Much data through peer connect and back, by pipe and by file: the same SHA-256.

1 GiB; under sanitizers 64 MiB, unless PEER_TEST_FULL=1.
"""
import os
import subprocess
import threading

import harness
from harness import OWN4, OWN6, Peer, Server, hash_of, send_stream


def upload(own, *args):
    total, got = harness.size_of_transfer(), []
    server = Server(lambda connection, _: got.append(hash_of(lambda: connection.recv(1 << 20))), own)
    started = Peer("connect", *args, own, server.port)
    digest = send_stream(started.stdin.write, total, args)
    started.close_stdin()
    server.join()
    started.wait(300).expect(0, out="^$", lines=0)
    assert got == [(total, digest)], got


def download(own, *args):
    total, sent = harness.size_of_transfer(), []
    server = Server(lambda connection, _: sent.append(send_stream(connection.sendall, total, args)), own)
    started = Peer("connect", *args, own, server.port, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    got = hash_of(lambda: os.read(started.process.stdout.fileno(), 1 << 20))
    started.process.stdout.close()
    server.join()
    started.wait(300).expect(0, lines=0)
    assert got == (total, sent[0]), got


def both(own, *args):
    upload(own, *args)
    download(own, *args)
    harness.until("no socket is left", lambda: not harness.open_sockets(), 20)


def test_tun_ipv4():
    both(OWN4)


def test_tun_ipv6():
    both(OWN6)


def test_tap_ipv4():
    both(OWN4, "--tap")


def test_tap_ipv6():
    both(OWN6, "--tap")


def test_frames_of_real_size_small_and_large():
    harness.options.sanitized = True  # 64 MiB do
    for args in (("--no-offload",), ("--tap", "--no-offload", "--mtu", "9000"), ("--mtu", "576"), ("--mtu", "65535")):
        both(OWN4, *args)
    both(OWN6, "--mtu", "1280")


def test_both_ways_at_once():
    total = harness.size_of_transfer() // 4
    sent, got = [], []

    def handle(connection, _address):
        def send():
            sent.append(send_stream(connection.sendall, total, "down"))
            connection.shutdown(harness.socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got.append(hash_of(lambda: connection.recv(1 << 20)))
        sender.join()

    server = Server(handle)
    started = Peer("connect", OWN4, server.port, stdout=subprocess.PIPE)
    up = []

    def write():
        up.append(send_stream(started.stdin.write, total, "up"))
        started.close_stdin()

    writer = threading.Thread(target=write)
    writer.start()
    down = hash_of(lambda: os.read(started.process.stdout.fileno(), 1 << 20))
    writer.join()
    started.process.stdout.close()
    server.join()
    started.wait().expect(0, lines=0)
    assert got == [(total, up[0])] and down == (total, sent[0])


def test_files_in_and_out():
    """stdin and stdout are regular files; the application echoes after it has all."""
    total = 48 << 20
    path, out_path = os.path.join(harness.directory, "in"), os.path.join(harness.directory, "out")
    with open(path, "wb") as file:
        digest = send_stream(file.write, total, "file")
    server = Server(harness.echo_all)
    with open(path, "rb") as source, open(out_path, "wb") as sink:
        Peer("connect", OWN4, server.port, stdin=source, stdout=sink).wait().expect(0, lines=0)
    server.join()
    with open(out_path, "rb") as file:
        assert hash_of(lambda: file.read(1 << 20)) == (total, digest)


def test_output_appended_to_a_file():
    out_path = os.path.join(harness.directory, "out")
    with open(out_path, "ab") as sink:
        sink.write(b"before\n")
        sink.flush()
        server = Server(harness.answer_after_eof)
        started = Peer("connect", OWN4, server.port, stdout=sink)
        started.send(b"dcba")
        started.wait().expect(0)
    with open(out_path, "rb") as file:
        assert file.read() == b"before\nabcd"


def test_a_listening_peer():
    total, sent = harness.size_of_transfer() // 4, []
    started = Peer("listen", "9000", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    where = started.wait_err(r"listening at ([\d.]+):9000").group(1)

    def call():
        with harness.socket.create_connection((where, 9000), harness.LIMIT_S) as connection:
            sent.append(send_stream(connection.sendall, total, "listen"))

    caller = threading.Thread(target=call)
    caller.start()
    got = hash_of(lambda: os.read(started.process.stdout.fileno(), 1 << 20))
    caller.join()
    started.process.stdout.close()
    started.wait().expect(0)
    assert got == (total, sent[0]), got


if __name__ == "__main__":
    harness.main()
