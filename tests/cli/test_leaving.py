# SPDX-License-Identifier: BSD-3-Clause
"""The end of a run: what the peers have to say last crosses the link before the process ends."""
import json
import os
import signal

import harness
from harness import OWN4, OWN6, PEER4, PEER6, Capture, Peer, Server, peer, run, until

FIN, SYN, RST, ACK = 1, 2, 4, 16
FROM_PEER = 1  # the capture's direction


def segments(path):
    """(direction, port of the peer, flags) of each TCP segment that arrived."""
    found = []
    with open(path, "rb") as file:
        capture = Capture(file.read())
    for _, direction, data, _ in capture.packets:
        tcp = data[40:] if data[0] >> 4 == 6 else data[(data[0] & 15) * 4:]
        at = 0 if direction == FROM_PEER else 2
        found.append((direction, int.from_bytes(tcp[at:at + 2], "big"), tcp[13]))
    return found


def check_orderly(path):
    """Each connection ends with FINs of both sides, and the peer acknowledges the last one."""
    all_of = segments(path)
    ports = {port for _, port, _ in all_of}
    for port in ports:
        mine = [(direction, flags) for direction, at, flags in all_of if at == port]
        assert not any(flags & RST for _, flags in mine), mine
        assert {direction for direction, flags in mine if flags & FIN} == {1, 2}, mine
        last = max(i for i, (_, flags) in enumerate(mine) if flags & FIN)
        assert any(flags & ACK and direction != mine[last][0] for direction, flags in mine[last + 1:]), mine
    return len(ports)


def connections():
    return [line for line in run("ss", "-Htan").splitlines() if line.split()[0] not in ("LISTEN", "TIME-WAIT")]


class Application:
    def __enter__(self):
        self.peer = Peer("application", "discard:9", "source:19")
        until("the application", lambda: run("ss", "-Htln").count(":9 ") and run("ss", "-Htln").count(":19 "))

    def __exit__(self, *_):
        self.peer.stop()


def capture_name():
    return os.path.join(harness.directory, "leaving.pcapng")


def test_the_last_acknowledgement_crosses_the_link():
    for from_, own in ((PEER4, OWN4), (PEER6, OWN6)):
        server = Server(harness.echo_all, own)  # it closes last
        peer("connect", "--from", from_, "--link", "delay 100ms", "--pcap", capture_name(), own, server.port,
             data=b"text").expect(0, lines=0)
        server.join()
        assert check_orderly(capture_name()) == 1


def test_every_end_of_a_soak_crosses_the_link():
    for link in ("delay 100ms", "delay 30ms loss 5%"):
        server = Server(harness.echo_all, callers=1 << 20)
        result = peer("soak", "-c", 4, "-d", "1s", "--json", "--link", link, "--pcap", capture_name(),
                      f"tcp://{OWN4}:{server.port}", limit=60).expect(0)
        document = json.loads(result.out)
        assert document["connections"]["closed"] == document["connections"]["opened"] == 4, document
        assert not server.failure
        if "loss" not in link:
            assert check_orderly(capture_name()) == 4


def test_an_end_in_the_midst_of_bytes_leaves_no_connection():
    """There is more under way than the time of the end allows."""
    for workload in ("send", "receive"):
        with Application():
            peer("soak", "-c", 4, "-d", "300ms", "--link", "3g", "--workload", workload,
                 f"tcp://{OWN4}:{9 if workload == 'send' else 19}", limit=60)
            assert not connections()


def test_an_interrupt_is_orderly_and_a_second_one_at_once():
    server = Server(harness.echo_all)
    started = Peer("connect", "-v", "--link", "delay 100ms", "--pcap", capture_name(), OWN4, server.port)
    started.wait_err("connected in")
    started.stop().expect(0)
    server.join()
    assert check_orderly(capture_name()) == 1
    with harness.listening(OWN4)[0] as sock:  # nobody closes there
        started = Peer("connect", "-v", OWN4, sock.getsockname()[1])
        started.wait_err("connected in")
        accepted, _ = sock.accept()
        started.signal(signal.SIGINT)
        assert accepted.recv(1) == b""
        started.signal(signal.SIGINT)
        started.wait()
        accepted.close()


if __name__ == "__main__":
    harness.main()
