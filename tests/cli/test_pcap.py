# SPDX-License-Identifier: BSD-3-Clause
"""--pcap: what crosses the device, as pcapng that nobody finds fault with."""
import os
import re
import shutil
import subprocess

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Capture, Peer, Server, peer, run

KINDS = (("tun4", OWN4, PEER4, ()), ("tun6", OWN6, PEER6, ()), ("tap4", OWN4, PEER4, ("--tap",)),
         ("tap6", OWN6, PEER6, ("--tap",)))
LINK_ETHERNET, LINK_RAW = 1, 101
INBOUND, OUTBOUND = 1, 2  # as the local machine sees it


def read(path):
    with open(path, "rb") as file:
        return Capture(file.read())


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def check_checksums(packet):
    """Of a whole IPv4 or IPv6 packet with TCP, UDP or ICMP. Returns the protocol, None when it is none of those."""
    if packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4
        length = int.from_bytes(packet[2:4], "big")
        assert checksum(packet[:header]) == 0, f"IP checksum: {packet[:header].hex()}"
        if int.from_bytes(packet[6:8], "big") & 0x3fff:
            return None  # a fragment
        protocol, pseudo = packet[9], packet[12:20]
    else:
        header, length = 40, int.from_bytes(packet[4:6], "big") + 40
        protocol, pseudo = packet[6], packet[8:40]
    assert length <= len(packet), (length, len(packet))
    payload = packet[header:length]
    if protocol not in (1, 6, 17, 58):
        return None
    if protocol != 1:
        pseudo += len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    else:
        pseudo = b""
    assert checksum(pseudo + payload) == 0, f"checksum of protocol {protocol}: {packet[:60].hex()}"
    return protocol


def check(capture, tap, name):
    """What holds for every capture. Returns the IP packets with their direction."""
    link, options = capture.interfaces[0]
    assert len(capture.interfaces) == 1 and link == (LINK_ETHERNET if tap else LINK_RAW)
    assert options[2] == name.encode(), options
    times = [packet[0] for packet in capture.packets]
    assert times == sorted(times) and times, "times go backwards"
    packets = []
    for _, direction, data, original in capture.packets:
        assert direction in (INBOUND, OUTBOUND) and len(data) == original
        if tap:
            kind = data[12:14]
            if kind not in (b"\x08\x00", b"\x86\xdd"):
                assert kind == b"\x08\x06", kind.hex()
                continue
            data = data[14:]
        assert data[0] >> 4 in (4, 6)
        check_checksums(data)
        packets.append((direction, data))
    return packets


def tcpdump_command():
    """Root's wants to become another user, whom our user namespace does not have; in one more it is not root."""
    return ["tcpdump"] if harness.options.outer_uid == 0 else ["unshare", "--user", "tcpdump"]


def check_with_other_programs(path):
    text = run(*tcpdump_command(), "-nn", "-v", "-r", path) if shutil.which("tcpdump") else ""
    # Not just "bad": it takes random bytes at random ports for protocols.
    found = re.search(r".*(incorrect|bad cksum|bad udp cksum|bad hdr|truncated-ip|wrong icmp cksum).*", text)
    assert not found, found.group(0)
    if not shutil.which("tshark"):
        print("note: no tshark, not checked with it")
        return
    faults = tshark_faults(path)
    assert not faults, faults[:3000]


def tshark_faults(path):
    # Bytes are bytes: at a random port they are not to be taken for a protocol.
    return run("tshark", "-d", "tcp.port==1-65535,data", "-d", "udp.port==1-65535,data", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
               "-o", "udp.check_checksum:TRUE", "-Y", "_ws.malformed || tcp.checksum.status==0 || ip.checksum.status==0 "
               "|| udp.checksum.status==0 || icmp.checksum.status==0 || icmpv6.checksum.status==0 "
               "|| _ws.expert.severity == 8388608", stderr_to_devnull=True)


def run(*command, stderr_to_devnull=False, **more):
    if not stderr_to_devnull:
        return harness.run(*command, **more)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=harness.LIMIT_S)
    assert done.returncode == 0, done
    return done.stdout


def addresses(packet):
    size = 4 if packet[0] >> 4 == 4 else 16
    start = 12 if size == 4 else 8
    family = harness.socket.AF_INET if size == 4 else harness.socket.AF_INET6
    return tuple(harness.socket.inet_ntop(family, packet[at:at + size]) for at in (start, start + size))


def test_a_connection_in_a_file():
    data = os.urandom(300_000)
    for kind, own, addr, more in KINDS:
        for offload in ((), ("--no-offload",)):
            server = Server(harness.echo_all, own)
            path = f"{harness.directory}/{kind}{len(offload)}.pcapng"
            result = peer("connect", *more, *offload, "--dev", "mine", "--from", addr, "--pcap", path, own, server.port,
                          data=data).expect(0, lines=0)
            assert result.out == data
            server.join()
            packets = check(read(path), bool(more), "mine")
            for direction, packet in packets:
                if packet[6 if own == OWN6 else 9] == 6:
                    assert addresses(packet) == ((addr, own) if direction == INBOUND else (own, addr))
            first = next((d, p) for d, p in packets if p[6 if own == OWN6 else 9] == 6)
            assert first[0] == INBOUND, "the SYN goes in"
            check_with_other_programs(path)
            if shutil.which("tshark"):
                text = run("tshark", "-r", path, "-q", "-z", "follow,tcp,raw,0", stderr_to_devnull=True)
                sent = b"".join(bytes.fromhex(line) for line in text.splitlines()
                                if re.fullmatch(r"[0-9a-f]+", line))
                got = b"".join(bytes.fromhex(line.strip()) for line in text.splitlines()
                               if re.fullmatch(r"\t[0-9a-f]+", line))
                assert sent == data and got == data, "the bytes of the stream are not those that were sent"


def test_the_checks_would_find_a_wrong_checksum():
    """An oracle that never says no is none."""
    harness.need("tshark")
    server = Server(harness.echo_all)
    path = f"{harness.directory}/wrong.pcapng"
    peer("connect", "--dev", "mine", "--pcap", path, OWN4, server.port, data=b"some text").expect(0)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(data.replace(b"some text", b"same text"))
    assert tshark_faults(path)
    try:
        check(read(path), False, "mine")
        raise SystemError("a wrong checksum was not found")
    except AssertionError:
        pass


def test_udp_ping_and_refusals():
    for kind, own, addr, more in KINDS:
        echo = harness.UdpEcho(own)
        path = f"{harness.directory}/{kind}.pcapng"
        peer("connect", "-u", *more, "--dev", "mine", "--pcap", path, own, echo.port, data=b"x" * 5000).expect(0)
        check(read(path), bool(more), "mine")
        check_with_other_programs(path)
        peer("ping", "-c", "2", "-i", "10ms", "--size", "4000", *more, "--dev", "mine", "--pcap", path, own).expect(0)
        check(read(path), bool(more), "mine")
        check_with_other_programs(path)
        sock, port = harness.listening(own)
        sock.close()
        peer("connect", *more, "--dev", "mine", "--pcap", path, own, port).expect(1)
        packets = check(read(path), bool(more), "mine")
        assert len([p for _, p in packets if p[6 if own == OWN6 else 9] == 6]) == 2, "SYN and RST"
        check_with_other_programs(path)


def test_a_pipe_into_a_reader():
    server = Server(harness.echo_all)
    result = peer("connect", "-z", "--dev", "mine", "--pcap", "-", OWN4, server.port).expect(0, lines=0)
    server.join()
    capture = Capture(result.out)
    assert len(check(capture, False, "mine")) >= 4

    started = Peer("listen", "--serve", "http", "--dev", "mine", "--from", PEER4, "--pcap", "-", 8080)
    started.wait_err("listening")
    with harness.socket.create_connection((PEER4, 8080), harness.LIMIT_S) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        harness.receive_all(connection)
    started.wait_out(rb"Hello from the peer")  # while it runs, not at the end
    started.stop().expect(0)
    check(Capture(started.out()), False, "mine")


def test_tcpdump_reads_the_pipe():
    harness.need("tcpdump")
    tcpdump = subprocess.Popen([*tcpdump_command(), "-nn", "-r", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    server = Server(harness.echo_all)
    peer("connect", "-z", "--from", PEER4, "--pcap", "-", OWN4, server.port, stdout=tcpdump.stdin).expect(0, lines=0)
    tcpdump.stdin.close()
    text = tcpdump.stdout.read()
    tcpdump.wait()
    tcpdump.stdout.close()
    server.join()
    assert re.search(rf"{PEER4}\.\d+ > {OWN4}\.\d+: Flags \[S\]", text), text


def test_a_reader_of_the_capture_who_leaves_does_not_stop_the_service():
    head = subprocess.Popen(["head", "-c", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    started = Peer("listen", "--serve", "echo", "--from", PEER4, "--pcap", "-", 7, stdout=head.stdin)
    head.stdin.close()
    started.wait_err("listening")
    head.wait()
    for _ in range(5):
        with harness.socket.create_connection((PEER4, 7), harness.LIMIT_S) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
    started.stop().expect(0)


def test_a_reader_of_the_capture_who_stops_reading_stops_nothing_else():
    fifo = f"{harness.directory}/fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    started = Peer("listen", "--serve", "echo", "--from", PEER4, "--dev", "mine", "--pcap", fifo, 7)
    started.wait_err("listening")
    data = bytes(4096) * 1024  # and back: more than a pipe and a capture keep
    sent = harness.threading.Thread(target=lambda: connection.sendall(data))
    with harness.socket.create_connection((PEER4, 7), harness.LIMIT_S) as connection:
        sent.start()
        assert harness.receive_count(connection, len(data)) == data
        sent.join()
    result = started.stop().expect(0)
    said = re.search(r'the capture ".*" is incomplete: (\d+) of (\d+) frames were dropped, as its reader did not keep up',
                     result.err)
    assert said and 0 < int(said.group(1)) < int(said.group(2)), result.err
    assert os.read(reader, 4) == b"\x0a\x0d\x0d\x0a"
    os.close(reader)


def test_a_capture_of_a_killed_peer_can_be_read():
    server = Server(harness.echo_all)
    path = f"{harness.directory}/killed.pcapng"
    started = Peer("connect", "--dev", "mine", "--pcap", path, OWN4, server.port)
    started.send(b"some text", close=False)
    started.wait_out(b"some text")
    harness.until("the capture", lambda: b"some text" in open(path, "rb").read())
    started.signal(9)
    started.wait()
    started.close_stdin()
    check(read(path), False, "mine")
    check_with_other_programs(path)


if __name__ == "__main__":
    harness.main()
