# SPDX-License-Identifier: BSD-3-Clause
"""--pcap-rotate: a ring of captures, each of which opens by itself."""
import glob
import os
import re
import subprocess
import sys

import harness
from harness import OWN4, PEER4, Capture, Peer, Server, peer
from servers import Certificates, NginxTLS

SIZE = 256 << 10


def files(path):
    """In the order in which they were written: the one without a number is the last."""
    def age(name):
        number = name[len(path) + 1:]
        return -int(number) if number else 0

    return sorted(glob.glob(path + "*"), key=age)


def check_ring(path, most):
    """Every file is a capture of at most SIZE bytes; times go on from file to file. Returns the frames."""
    names, frames, last = files(path), 0, 0
    assert names[-1] == path and len(names) <= most, names
    for name in names:
        with open(name, "rb") as file:
            data = file.read()
        assert len(data) <= SIZE, (name, len(data))
        capture = Capture(data)
        assert len(capture.interfaces) == 1 and capture.packets, name
        assert capture.packets[0][0] >= last
        last = capture.packets[-1][0]
        frames += len(capture.packets)
    return frames


def soak(path, *args, count=4, **more):
    return peer("soak", "-c", 8, "--pcap", path, "--pcap-rotate", f"256KiB:{count}", *args, **more)


def test_a_ring_has_so_many_files_of_such_a_size():
    path = f"{harness.directory}/ring.pcapng"
    soak(path, "-n", 20000).expect(0)
    assert len(files(path)) == 4
    check_ring(path, 4)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_nothing_is_missing_in_a_ring_that_did_not_come_round():
    path = f"{harness.directory}/ring.pcapng"
    document = soak(path, "-n", 1000, "--json", count=100).expect(0)
    frames = check_ring(path, 100)
    assert len(files(path)) > 1
    requests = sum(b"GET / " in packet[2] for name in files(path) for packet in Capture(open(name, "rb").read()).packets)
    assert requests >= 1000 and frames > 2000, (requests, frames, document.err)


def test_each_file_has_the_secrets_that_it_needs():
    harness.need("tshark")
    path = f"{harness.directory}/tls.pcapng"
    with NginxTLS(Certificates().make("mine", f"DNS:a.example,IP:{OWN4}")):
        soak(path, f"https://{OWN4}/", "-n", 400, "--no-keep-alive", "--http1", count=50).expect(0)
    names = files(path)
    assert len(names) > 2, names
    for name in names:
        found = subprocess.run(["tshark", "-r", name, "-Y", "http.request"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, timeout=harness.LIMIT_S)
        assert found.returncode == 0, found
        assert "GET / " in found.stdout, name


def test_a_ring_goes_on_after_privileges_are_gone_in_every_command():
    path = f"{harness.directory}/ring.pcapng"
    data = os.urandom(3_000_000)
    server = Server(harness.echo_all)
    result = peer("connect", "--from", PEER4, "--pcap", path, "--pcap-rotate", "256k:3", OWN4, server.port, data=data)
    assert result.expect(0).out == data
    server.join()
    assert len(files(path)) == 3
    check_ring(path, 3)
    with harness.contextlib.suppress(FileNotFoundError):
        for name in files(path):
            os.unlink(name)
    started = Peer("listen", "--serve", "echo", "--from", PEER4, "--pcap", path, "--pcap-rotate", "256k:3", 7)
    started.wait_err("listening")
    with harness.socket.create_connection((PEER4, 7), harness.LIMIT_S) as connection:
        sent = harness.threading.Thread(target=lambda: connection.sendall(data))
        sent.start()
        assert harness.receive_count(connection, len(data)) == data
        sent.join()
    started.stop().expect(0)
    check_ring(path, 3)


CLIENT = """
import socket, sys
data, got = bytes(range(256)) * 8000, b""
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as connection:
    for at in range(0, len(data), 65536):
        part = data[at:at + 65536]
        connection.sendall(part)
        while len(part) > 0:
            read = connection.recv(len(part))
            assert read and part.startswith(read)
            part = part[len(read):]
"""


def test_programs_and_doors_have_rings_too():
    path = f"{harness.directory}/ring.pcapng"
    ring = ("--pcap", path, "--pcap-rotate", "256k:3")
    server = Server(harness.echo_all)
    peer("exec", "--from", PEER4, *ring, "--", sys.executable, "-c", CLIENT, OWN4, server.port, limit=60).expect(0)
    server.join()
    check_ring(path, 3)
    assert len(files(path)) == 3
    for name in files(path):
        os.unlink(name)
    server = Server(harness.echo_all)
    started = Peer("forward", "--from", PEER4, *ring, f"127.0.0.1:7777:{OWN4}:{server.port}")
    started.wait_err("listening")
    harness.run(sys.executable, "-c", CLIENT, "127.0.0.1", "7777")
    server.join()
    started.stop().expect(0)
    started.close_stdin()
    check_ring(path, 3)
    assert len(files(path)) == 3


def test_a_full_disk_is_told_in_a_line_and_ends_nothing():
    folder = f"{harness.directory}/small"
    os.mkdir(folder)
    harness.mount("none", folder, "tmpfs", 0, "size=600k")
    path = f"{folder}/ring.pcapng"
    result = soak(path, "-n", 20000)
    assert b"20000 requests" in result.out, result
    told = re.findall(r'the capture ".*" misses frames from now on: No space left on device', result.err)
    assert len(told) <= 1 and result.status == 3, result
    assert re.search(r'the capture ".*" is incomplete: No space left', result.err), result
    lost = re.search(r"(\d+) of (\d+) frames are in none of its files", result.err)
    assert lost and 0 < int(lost.group(1)) < int(lost.group(2)), result
    for name in files(path):
        Capture(open(name, "rb").read())  # whole blocks


def test_a_ring_of_a_killed_peer_can_be_read():
    path = f"{harness.directory}/ring.pcapng"
    started = Peer("soak", "-c", 8, "-d", 60, "--pcap", path, "--pcap-rotate", "256KiB:4")
    harness.until("the ring to come round", lambda: os.path.exists(f"{path}.3"))
    started.signal(9)
    started.wait()
    started.close_stdin()
    harness.until("the writer's end", lambda: not [p for p in harness.descendants() if "capture" in name_of(p)])
    check_ring(path, 4)


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read()
    except OSError:
        return ""


def test_a_writer_that_somebody_killed_does_not_end_the_run():
    path = f"{harness.directory}/ring.pcapng"
    started = Peer("soak", "-c", 8, "-n", 50000, "--pcap", path, "--pcap-rotate", "256KiB:4")
    harness.until("a file", lambda: os.path.exists(f"{path}.1"))
    for pid in harness.descendants():
        if name_of(pid).startswith("peer-capture"):
            os.kill(pid, 9)
    result = started.wait()
    started.close_stdin()
    assert b"50000 requests" in result.out and result.status == 3, result
    assert "is incomplete: " in result.err, result


def packets(path):
    return [packet for name in files(path) for packet in Capture(open(name, "rb").read()).packets]


def test_workers_write_to_one_ring():
    path = f"{harness.directory}/ring.pcapng"
    result = soak(path, "--workers", 3, "--from", "198.18.0.0/23", "-n", 500, "--no-keep-alive", count=100)
    assert b"500 requests, 500 connections" in result.expect(0).out
    names = files(path)
    assert len(names) > 1 and all(os.stat(name).st_size <= SIZE for name in names), names
    firsts, requests = {}, 0
    for _, direction, data, _ in packets(path):
        if data[9] == 6:
            firsts.setdefault((data[12:20], data[20:24]), data[33])
            requests += b"GET / " in data
    assert requests == 500 and len(firsts) == 1000, (requests, len(firsts))
    assert all(flags & 2 for flags in firsts.values()), "something is before its flow's SYN"


def test_a_ring_of_workers_comes_round_and_is_told_of_a_killed_writer():
    path = f"{harness.directory}/ring.pcapng"
    given = ("--workers", 2, "--from", "198.18.0.0/24")
    soak(path, "-n", 20000, *given).expect(0)
    assert len(files(path)) == 4 and packets(path)
    started = Peer("soak", "-c", 8, "-n", 50000, "--pcap", path, "--pcap-rotate", "256KiB:4", *given)
    harness.until("the writer", lambda: [pid for pid in harness.descendants() if name_of(pid) == "peer-capture\n"])
    harness.until("workers", lambda: [pid for pid in harness.descendants() if name_of(pid) == "peer-worker\n"])
    for pid in harness.descendants():
        if name_of(pid).startswith("peer-capture"):
            os.kill(pid, 9)
    result = started.wait()
    started.close_stdin()
    assert b"50000 requests" in result.out and result.status == 3, result
    assert re.search("is incomplete: .*killed", result.err), result


def test_workers_leave_secrets_in_a_ring():
    path = f"{harness.directory}/tls.pcapng"
    with NginxTLS(Certificates().make("mine", f"DNS:a.example,IP:{OWN4}")):
        soak(path, f"https://{OWN4}/", "-n", 60, "--no-keep-alive", "--http1", "--workers", 2, "--from", "198.18.0.0/24",
             count=50).expect(0)
    secrets = set()
    for name in files(path):
        Capture(open(name, "rb").read())  # whole blocks
        secrets |= set(re.findall(rb"CLIENT_TRAFFIC_SECRET_0 ([0-9a-f]{64})", open(name, "rb").read()))
    assert len(secrets) == 60, len(secrets)


def test_workers_write_secrets_before_what_needs_them():
    harness.need("tshark")
    path = f"{harness.directory}/tls.pcapng"
    with NginxTLS(Certificates().make("mine", f"DNS:a.example,IP:{OWN4}")):
        peer("soak", f"https://{OWN4}/", "-n", 300, "-c", 8, "--no-keep-alive", "--http1", "--workers", 2, "--from",
             "198.18.0.0/24", "--pcap", path).expect(0)
    found = subprocess.run(["tshark", "-r", path, "-Y", "http.request"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=harness.LIMIT_S)
    assert found.returncode == 0 and found.stdout.count("GET / ") == 300, found


def test_rings_that_cannot_be():
    path = f"{harness.directory}/ring.pcapng"
    cases = ((("--pcap-rotate", "1M"), "goes with --pcap"),
             (("--pcap", path, "--pcap-rotate", "1k:4"), "at least 128 KiB"),
             (("--pcap", path, "--pcap-rotate", "1M:1"), "2 to 1000 files"),
             (("--pcap", path, "--pcap-rotate", "1M:"), "2 to 1000 files"),
             (("--pcap", path, "--pcap-rotate", "1M:1001"), "2 to 1000 files"),
             (("--pcap", path, "--pcap-rotate", "much"), "100MB:10"),
             (("--pcap", f"{harness.directory}/none/x", "--pcap-rotate", "1M"), "not found"),
             (("--pcap", harness.directory, "--pcap-rotate", "1M"), "directory"),
             (("--pcap", f"{harness.directory}/{'x' * 255}", "--pcap-rotate", "1M"), "too long"))
    for args, words in cases:
        result = peer("soak", "-d", 1, *args)
        assert result.status == 2 and words in result.err and result.err.count("\n") == 1, result
    result = peer("soak", "-d", 1, "--pcap", "/dev/null", "--pcap-rotate", "1M")
    assert result.status == 2 and "needs a file, and /dev/null is none" in result.err, result


if __name__ == "__main__":
    harness.main()
