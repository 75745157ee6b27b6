# SPDX-License-Identifier: BSD-3-Clause
"""forward --workers: clients and callers in several processes are those of one."""
import collections
import json
import os
import signal
import socket
import threading

import harness
from harness import OWN4, OWN6, Capture, Server, peer, run, until
from servers import Nginx
from test_forward import connect, forward, report
from test_privileges import check_confined, descriptors
from test_wire import real_wire
from test_workers import workers

FROM = ("--from", "198.18.0.0/24")


def started(count, *args):
    """A forward by so many workers, its places, and they."""
    forwarding, found = forward("--json", "--workers", count, *args)
    return forwarding, found, until(f"{count} workers", lambda: len(workers()) == count and workers())


class Many:
    """A server that talks to all its callers at once: `answer(connection)` in a thread for each."""

    def __init__(self, answer):
        self.listener = socket.create_server((OWN4, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.callers, self.threads, self.answer = [], [], answer
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, address = self.listener.accept()
            except OSError:
                return
            self.callers.append(address[0])
            self.threads.append(threading.Thread(target=self.talk, args=(connection,)))
            self.threads[-1].start()

    def talk(self, connection):
        connection.settimeout(harness.LIMIT_S)
        with connection:
            self.answer(connection)

    def join(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for thread in self.threads:
            thread.join()


def ask(place, path="/"):
    with connect(place) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return harness.receive_all(client)


def everyone_asks(place, count, at_once=8):
    """So many requests, each on a connection of its own."""
    left, bad = list(range(count)), []

    def go():
        while left:
            try:
                left.pop()
            except IndexError:
                return
            try:
                answer = ask(place)
            except OSError as error:
                answer = repr(error).encode()
            if b" 200 " not in answer.split(b"\r\n")[0]:
                bad.append(answer)

    threads = [threading.Thread(target=go) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad, (len(bad), bad[:2])


def test_each_address_is_one_workers():
    with Nginx() as nginx:
        done = 0
        for count, options in ((2, ()), (4, ()), (8, ()), (4, ("--tap",))):
            forwarding, found, _ = started(count, "--from", "198.18.0.0/23", *options, f"0:{OWN4}:80")
            everyone_asks(found[0], 200)
            books = nginx.until_lines(done + 200)[done:]
            assert len(books) == 200 == len(set(books)), (count, options, len(books), len(set(books)))
            figures = report(forwarding)
            assert figures["connections"]["accepted"] == figures["connections"]["established"] == 200, figures
            assert figures["connections"]["closed"] == 200 and figures["connections"]["open"] == 0, figures
            assert figures["workers"]["count"] == count, figures
            done += 200
    assert not workers()


@harness.changes_machine
def test_workers_share_the_wire_of_a_card():
    with real_wire(), Nginx() as nginx:
        forwarding, found, _ = started(2, "--from", "198.18.0.0/23", "--wire", "eth0", f"0:{OWN4}:80")
        everyone_asks(found[0], 60)
        assert len(set(nginx.until_lines(60))) == 60
        assert report(forwarding)["connections"]["established"] == 60


def test_clients_are_shared_evenly():
    def hold(connection):
        connection.sendall(b"x")
        connection.recv(1)

    server = Many(hold)
    forwarding, found, them = started(4, *FROM, f"0:{OWN4}:{server.port}")
    before = {pid: len(descriptors(pid)) for pid in them}
    clients = [connect(found[0]) for _ in range(16)]
    assert [client.recv(1) for client in clients] == [b"x"] * 16
    assert {len(descriptors(pid)) - before[pid] for pid in them} == {4}
    for client in clients:
        client.close()
    server.join()
    figures = report(forwarding)["connections"]
    assert figures["open_most"] == figures["established"] == 16, figures


def test_unix_sockets_and_ipv6():
    path = f"{harness.directory}/way"
    with Nginx() as nginx:
        forwarding, found, _ = started(3, "--from", "2001:2::/120", f"unix:{path}:[{OWN6}]:80", f"0:[{OWN6}]:80")
        for place in found:
            everyone_asks(place, 20)
        assert len(set(nginx.until_lines(20 * len(found)))) == 20 * len(found)
        assert report(forwarding)["connections"]["established"] == 20 * len(found)
    assert not os.path.exists(path)


def test_so_many_at_once_and_no_more():
    now, most, lock = [0], [0], threading.Lock()

    def count(connection):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        connection.sendall(b"x")
        connection.recv(1)
        with lock:
            now[0] -= 1

    server = Many(count)
    forwarding, found, _ = started(3, *FROM, "-c", 3, f"0:{OWN4}:{server.port}")
    clients = [connect(found[0]) for _ in range(12)]
    for client in clients:  # those who wait come in as others go
        assert client.recv(1) == b"x"
        client.close()
    server.join()
    figures = report(forwarding)["connections"]
    assert figures["established"] == 12 and figures["open_most"] == most[0] == 3 and figures["waited"], (figures, most)


def test_datagrams_of_a_source_stay_together():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind((OWN4, 0))
        service.settimeout(harness.LIMIT_S)
        forwarding, found, _ = started(4, "-u", *FROM, f"0:{OWN4}:{service.getsockname()[1]}")
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(24)]
        seen = collections.defaultdict(set)
        for turn in range(3):
            for number, client in enumerate(clients):
                client.sendto(b"%d %d" % (number, turn), found[0])
                data, source = service.recvfrom(100)
                assert data == b"%d %d" % (number, turn)
                seen[number].add(source)
                service.sendto(data, source)
                client.settimeout(harness.LIMIT_S)
                assert client.recv(100) == data
        figures = report(forwarding)
        for client in clients:
            client.close()
    assert all(len(sources) == 1 for sources in seen.values()), seen
    assert len(set.union(*seen.values())) == 24 == len({source[0] for sources in seen.values() for source in sources})
    assert figures["sessions"]["accepted"] == figures["sessions"]["open_most"] == 24, figures
    assert figures["datagrams"] == {"sent": 72, "received": 72, "dropped": 0}, figures


def test_callers_of_peers_come_back():
    server = Server(harness.answer_after_eof, "127.0.0.1", callers=9)
    forwarding, _, _ = started(4, *FROM, "--local", "198.19.0.1/24", "-R", f"7000:127.0.0.1:{server.port}", "-R",
                               f"198.18.0.9:7001:127.0.0.1:{server.port}")
    callees = [f"198.18.0.{number}" for number in (1, 2, 60, 70, 130, 140, 200, 254)]
    for place in [(callee, 7000) for callee in callees] + [("198.18.0.9", 7001)]:
        with connect(place) as client:
            client.sendall(b"0123456789")
            client.shutdown(socket.SHUT_WR)
            assert harness.receive_all(client) == b"9876543210", place
    server.join()
    assert report(forwarding)["connections"]["established"] == 9


def test_one_that_is_killed_ends_the_run():
    with Nginx():
        forwarding, found, them = started(3, *FROM, f"0:{OWN4}:80")
        everyone_asks(found[0], 10)
        os.kill(them[1], signal.SIGKILL)
        forwarding.wait().expect(3, err=rf"worker \d of 3 \(process {them[1]}\) was killed by signal 9 \(Killed\)")
    assert not workers()


def test_nobody_outlives_a_coordinator_that_is_killed():
    forwarding, _, them = started(3, *FROM, f"0:{OWN4}:80")
    forwarding.signal(signal.SIGKILL)
    forwarding.wait()
    until("the end of the workers", lambda: not set(them) & set(workers()))
    harness.await_guardians()
    assert not harness.peer_links()


def test_workers_have_no_privileges():
    forwarding, _, them = started(2, *FROM, f"0:{OWN4}:80")
    until("the filters", lambda: all("Seccomp:\t2" in open(f"/proc/{pid}/status").read() for pid in them))
    for pid in them:
        check_confined(pid)
        kinds = collections.Counter(descriptors(pid))
        assert kinds["/dev/net/tun"] == 1, kinds
    forwarding.stop().expect(0)


def test_what_is_open_at_the_end_is_closed_in_order():
    ended = []
    server = Many(lambda connection: ended.append(connection.recv(1)))
    forwarding, found, _ = started(3, *FROM, f"0:{OWN4}:{server.port}")
    clients = [connect(found[0]) for _ in range(6)]
    until("all callers", lambda: len(server.callers) == 6)
    figures = report(forwarding)["connections"]
    server.join()
    assert ended == [b""] * 6, ended
    assert [client.recv(1) for client in clients] == [b""] * 6
    assert figures["open"] == figures["established"] == 6, figures


def test_links_manners_and_a_capture():
    path = f"{harness.directory}/all.pcapng"
    with Nginx():
        forwarding, found, _ = started(3, *FROM, "--link", "delay 1ms", "--manner", "vanish@1h", "--pcap", path,
                                       f"0:{OWN4}:80")
        everyone_asks(found[0], 30)
        figures = report(forwarding)
    with open(path, "rb") as file:
        capture = Capture(file.read())
    syns = [data[12:16] for _, direction, data, _ in capture.packets
            if direction == 1 and data[9] == 6 and data[33] & 2]
    assert len(syns) == 30 == len(set(syns)), len(syns)
    assert figures["connections"]["established"] == 30, figures


def test_news_of_the_kernel_reach_them():
    run("ip", "addr", "add", "10.9.0.77/32", "dev", "eth0")
    forwarding, _, _ = started(2, *FROM, "0:10.9.0.77:80")
    run("ip", "addr", "del", "10.9.0.77/32", "dev", "eth0")
    forwarding.wait().expect(3, err="10.9.0.77 is no address of this machine any more")


def test_auto_and_text():
    forwarding, _ = forward("--workers", "auto", "--from", "198.18.0.7", f"0:{OWN4}:80", "--json")
    assert "workers" not in report(forwarding)  # one address is one worker's
    forwarding, _ = forward("--workers", 2, *FROM, f"0:{OWN4}:80")
    forwarding.stop().expect(0, err=r"2 workers on CPUs? [\d,-]+, each frame to its own by")


def test_what_cannot_be():
    rows = (
        (("--workers", 4, "--from", "198.18.0.1-198.18.0.3", f"0:{OWN4}:80"),
         "3 addresses of peers cannot be shared by 4 workers"),
        (("--workers", 2, f"0:{OWN4}:80"), "--workers share the peers' addresses.*--from"),
        (("--workers", "some", f"0:{OWN4}:80"), "neither auto nor a number"),
        (("--cpus", 0, f"0:{OWN4}:80"), "--cpus goes with --workers"),
        (("--workers", 2, *FROM, "-u", "-c", 1, f"0:{OWN4}:80"), r"1 sessions \(-c\) cannot be shared by 2 workers"),
        (("--workers", 2, *FROM, "-R", f"10.1.1.1:80:{OWN4}:80"), "10.1.1.1 is none of the peers"),
    )
    for args, text in rows:
        peer("forward", *args).refused(2, text)


if __name__ == "__main__":
    harness.main()
