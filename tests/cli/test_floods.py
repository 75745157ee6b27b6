# SPDX-License-Identifier: BSD-3-Clause
"""Floods from the local side: what a peer keeps of them is bounded, and callers are served."""
import os
import random
import re
import socket
import struct

import harness
from harness import Peer

PEER4, PEER6 = "198.18.0.2", "2001:2::2"
FRAMES, BURST = 6000, 250
GROWTH_MOST_KB = 64 * 1024
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack(">H", ~total & 0xffff)


class Flood:
    """Frames that are written to the device as a program of this machine could."""

    def __init__(self, device, seed):
        self.random = random.Random(seed)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind((device, 0))
        self.mac = self.sock.getsockname()[4]
        self.peer = socket.inet_aton(PEER4)

    def bits(self, count):
        return self.random.getrandbits(count)

    def ip4(self, protocol, payload, fragment=0):
        source = struct.pack(">I", 0x0b000000 | self.bits(24))
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), self.bits(16), fragment, 64, protocol, 0,
                             source, self.peer)
        return b"\xff" * 6 + self.mac + b"\x08\x00" + header[:10] + checksum(header) + header[12:] + payload

    def arp(self):
        return (b"\xff" * 6 + self.mac + b"\x08\x06" +
                struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1 + self.bits(1), self.mac,
                            struct.pack(">I", 0x0b000000 | self.bits(24)), bytes(6), self.peer))

    def neighbour(self):
        target = socket.inet_pton(socket.AF_INET6, "2001:2::2")
        source = b"\xfe\x80" + self.random.randbytes(14)
        body = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + target + b"\1\1" + self.random.randbytes(6)
        to = b"\xff\x02" + bytes(9) + b"\1\xff" + target[13:]
        pseudo = source + to + struct.pack(">II", len(body), 58)
        body = body[:2] + checksum(pseudo + body) + body[4:]
        return (b"\x33\x33" + to[12:] + self.mac + b"\x86\xdd" +
                struct.pack(">IHBB", 0x60000000, len(body), 58, 255) + source + to + body)

    def noise(self):
        kind = (b"\x08\x00", b"\x86\xdd", b"\x08\x06")[self.bits(8) % 3]
        return b"\xff" * 6 + self.mac + kind + self.random.randbytes(20 + self.bits(10))

    def fragment(self):
        return self.ip4(17, self.random.randbytes(1400), 0x2000 | 175 * self.bits(1))

    def call(self):
        """A SYN with options that mean nothing, or everything."""
        source, ports = struct.pack(">I", 0x0b000000 | self.bits(24)), self.bits(16)
        options = self.random.randbytes(4 * (self.bits(4) % 11))
        tcp = struct.pack(">HHIIBBHHH", ports, 8080, self.bits(32), 0, (5 + len(options) // 4) << 4, 2, 1000, 0,
                          0) + options
        pseudo = source + self.peer + struct.pack(">HH", 6, len(tcp))
        tcp = tcp[:16] + checksum(pseudo + tcp) + tcp[18:]
        frame = self.ip4(6, tcp)
        header = frame[14:24] + bytes(2) + source + self.peer
        return frame[:24] + checksum(header) + source + self.peer + tcp

    def echo(self):
        icmp = struct.pack(">BBHHH", 8, 0, 0, self.bits(16), 1) + self.random.randbytes(1200)
        return self.ip4(1, icmp[:2] + checksum(icmp) + icmp[4:])

    def datagram(self):
        return self.ip4(17, struct.pack(">HHHH", self.bits(16), 9, 208, 0) + self.random.randbytes(200))

    def send(self, make, count):
        for _ in range(count):
            try:
                self.sock.send(make())
            except OSError:  # the device's queue is full
                pass


def resident_kb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def is_served(addr):
    with socket.create_connection((addr, 8080), harness.LIMIT_S) as sock:
        sock.sendall(REQUEST)
        return b"200 OK" in sock.recv(4096)


def withstands(addr, kinds, words):
    """A listener at `addr` takes floods of these kinds, and says at the end what it cost."""
    started = Peer("listen", "--serve", "http", "--tap", "--dev", "flood0", "-s", addr, 8080)
    started.wait_err("listening at")
    assert is_served(addr)
    before = resident_kb(started.process)
    flood = Flood("flood0", 1)
    for kind in kinds:
        for _ in range(FRAMES // BURST):
            flood.send(getattr(flood, kind), BURST)
            assert is_served(addr), kind
        after = resident_kb(started.process)
        assert after < before + GROWTH_MOST_KB, (kind, before, after)
    result = started.stop()
    result.expect(0)
    for said in words:
        assert said in result.err, result.err


def test_floods_take_little_memory_and_callers_are_served():
    # The sanitizer would keep what was freed.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    withstands(PEER4, ("arp", "noise", "fragment", "call", "echo", "datagram"),
               ("fragments were not all there", "ARP entries were not made", "SYN cookie"))
    withstands(PEER6, ("neighbour", "noise"), ())


if __name__ == "__main__":
    harness.main()
