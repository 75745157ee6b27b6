# SPDX-License-Identifier: BSD-3-Clause
"""Bad manners: what they do to applications, and what they leave behind, which is nothing."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import OWN4, PEER4, Peer, Server, peer
from test_terminal import Terminal

PEERS = "198.18.7.0/24"


def soak(*args, status=0):
    result = peer("soak", "--json", *args)
    result.expect(status)
    report = json.loads(result.out)
    report["by_name"] = {manner["name"]: manner for manner in report.get("manners", [])}
    return report


class Nginx:
    """One worker on a port of its own; its error log tells what it did."""

    def __init__(self, *settings):
        harness.need("nginx")
        self.log = os.path.join(harness.directory, "nginx.log")
        places = "".join(f"{kind}_temp_path {harness.directory}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        sock, self.port = harness.listening(OWN4)
        sock.close()
        conf = os.path.join(harness.directory, "nginx.conf")
        with open(conf, "w") as file:
            file.write(f"""daemon off; pid {harness.directory}/nginx.pid; error_log {self.log} info;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; {places} {' '.join(settings)}
server {{ listen {OWN4}:{self.port}; return 200 "hello\\n"; }} }}
""")
        self.process = subprocess.Popen(["nginx", "-c", conf], stderr=subprocess.DEVNULL)
        harness.until("nginx listens", self.listens)

    def listens(self):
        with socket.socket() as sock:
            return sock.connect_ex((OWN4, self.port)) == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(harness.LIMIT_S)
        with open(self.log) as file:
            return file.read()

    @property
    def url(self):
        return f"http://{OWN4}:{self.port}/"


# ---- words ----

def test_help_lists_them_with_a_sentence_each():
    for command in ("connect", "listen", "soak"):
        result = peer(command, "--manner", "help").expect(0)
        lines = [line for line in result.out.decode().splitlines() if " @" in line]
        names = [re.match(r"[a-z-]+", line).group() for line in lines]
        for name in ("vanish", "reset", "half-open", "syn-flood", "stall", "slow-reader", "slow-writer",
                     "half-close", "no-close", "tiny-segments", "overlap", "duplicate-data",
                     "out-of-order", "bad-checksum", "stray", "roam", "pmtu", "rapid-reset",
                     "continuation-flood", "ping-flood", "settings-flood", "window-zero"):
            assert name in names, (name, names)


def test_bad_specifications_are_one_line_that_points_at_the_word():
    url = f"http://{OWN4}:80/"
    for word, says in (("stal", r'"stal" is no manner; did you mean "stall"\?'),
                       ("stall:120%", r'"120%" is over 100%'),
                       ("stall:5", r'"5" after "stall" has no unit'),
                       ("vanish@10", r'"@10" has no unit'),
                       ("stall@conected", r'did you mean "@connected"\?'),
                       ("stall:60%,vanish:60%", r'"vanish:60%" makes it 120%'),
                       ("half-open@3s", r'"@3s" after "half-open"'),
                       ("syn-flood:1000000/s", r"out of range: 1 to 200000")):
        peer("soak", "--manner", word, url).refused(2, says)
    peer("soak", "--manner", "stall", f"udp://{OWN4}:80").refused(2, r'"stall" is no manner of UDP')
    peer("soak", "-c", "10", "--manner", "roam:10%", url).refused(2, r'"roam" needs a second peer')
    peer("soak", "-c", "2", "-s", PEERS, "--manner", "stall:1% --manner", url).refused(2, "--manner")
    peer("soak", "-c", "1", "--manner", "stall:5%", url).refused(2, r"1 flows \(-c\) are too few")
    peer("connect", "--manner", "stall:5%", OWN4, "80").refused(2, r'"5%" after "stall"')
    peer("connect", "--manner", "syn-flood", OWN4, "80").refused(2, r'"syn-flood"')
    peer("listen", "--manner", "half-open", "80").refused(2, r'"half-open"')
    peer("connect", "--manner", "", OWN4, "80").refused(2, r"--manner: \"\" is empty")


def test_floods_go_to_this_machine_alone():
    for manner in ("half-open", "syn-flood:10/s", "ping-flood:10/s"):
        peer("soak", "--manner", manner, "http://203.0.113.9:80/").refused(3, "no address of this machine")
        peer("soak", "--allow-forward", "--manner", manner, "http://203.0.113.9:80/").refused(
            3, r'" goes to this machine\'s addresses only')
    peer("connect", "--allow-forward", "--manner", "half-open", "203.0.113.9", "80").refused(
        3, "own addresses only")


# ---- what the bad ones do to the good ones ----

def test_nginx_closes_the_slow_writers_and_serves_the_healthy_ones():
    nginx = Nginx("client_header_timeout 2s;", "keepalive_timeout 60s;")
    args = ("-s", PEERS, "-c", "40", "-n", "1000", "-R", "200", nginx.url)
    alone = soak(*args)
    among = soak("--manner", "slow-writer:20%", *args)
    log = nginx.stop()
    writers = among["by_name"]["slow-writer"]
    assert "manners" not in alone and alone["errors"]["total"] == 0
    assert among["errors"]["total"] == 0
    # The healthy share has its rate, to the request.
    assert alone["requests"]["completed"] == among["requests"]["completed"] == 1000, among["requests"]
    assert among["connections"]["opened"] == 32 and writers["flows"] == 8
    # Each of them lasted two seconds: two rounds were closed, and a third had begun.
    # (RST when a byte came that nginx had not read.)
    ended = writers["ended"]
    assert ended["closed"] + ended["reset"] == 16 and ended["given_up"] == 0, writers
    assert writers["requests"]["completed"] == 0 and writers["begun"] == 24
    assert len(re.findall(r"client timed out", log)) == 16, log


def test_many_manners_at_once():
    nginx = Nginx("client_header_timeout 60s;", "keepalive_timeout 60s;")
    names = ("vanish", "reset", "half-open", "stall", "slow-reader", "half-close", "no-close", "tiny-segments",
             "overlap", "duplicate-data", "out-of-order", "bad-checksum", "stray", "roam", "pmtu")
    manners = [word for name in names for word in ("--manner", f"{name}:4%")]
    report = soak(*manners, "--manner", "syn-flood:100/s", "-s", PEERS, "-c", "100", "-n", "1500", "-w",
                  "1s", "-R", "500", nginx.url)
    nginx.stop()
    assert report["errors"]["total"] == 0, report["first_error"]
    assert report["requests"]["completed"] == 1500
    assert report["connections"]["opened"] == 40
    by_name = report["by_name"]
    assert list(by_name) == [*names, "syn-flood"]
    for name in names:
        manner = by_name[name]
        assert manner["flows"] == 4 and manner["begun"] >= 4, manner
        assert manner["spec"] == f"{name}:4%"
    for name in ("tiny-segments", "overlap", "duplicate-data", "out-of-order", "bad-checksum", "stray", "pmtu"):
        manner = by_name[name]
        assert manner["requests"]["completed"] > 10 and manner["errors"]["total"] == 0, manner
        assert manner["latency_us"]["request"]["p50"] > 0
    assert by_name["half-open"]["connections"]["established"] == 0
    assert by_name["half-open"]["ended"]["given_up"] >= 4
    assert by_name["vanish"]["ended"]["given_up"] >= 4
    assert by_name["roam"]["ended"]["reset"] >= 4
    assert by_name["stall"]["requests"]["completed"] == 0
    assert by_name["no-close"]["requests"]["sent"] == 0
    flood = by_name["syn-flood"]
    assert flood["flows"] == 0 and flood["connections"]["opened"] > 200, flood
    assert flood["connections"]["opened"] <= 100 * report["duration_s"] + 1, flood


def test_the_text_report_has_a_line_for_each():
    nginx = Nginx()
    result = peer("soak", "-c", "10", "-d", "1s", "-R", "50", "-s", PEERS, "--manner", "stall:10%",
                  "--manner", "no-close:20%@request", nginx.url).expect(0)
    nginx.stop()
    text = result.out.decode()
    assert "of the healthy flows alone" in text
    assert re.search(r"^  stall:10% +1 +1 +1 +0 ", text, re.MULTILINE), text
    assert re.search(r"^  no-close:20%@request +2 +2 +2 +2 ", text, re.MULTILINE), text


def test_a_flood_of_one_peer_is_bounded_and_nothing_stays():
    nginx = Nginx()
    capture = os.path.join(harness.directory, "flood.pcapng")
    report = soak("--manner", "syn-flood:200/s", "--manner", "half-open:50%", "-c", "4", "-d", "2s", "-R", "10",
                  "--pcap", capture, nginx.url)
    assert report["errors"]["total"] == 0 and report["requests"]["completed"] == 20
    with open(capture, "rb") as file:
        packets = [packet[2] for packet in harness.Capture(file.read()).packets if packet[1] == 1]
    syns = [packet for packet in packets if packet[9] == 6 and packet[20 + 13] == 2]
    flood = [packet for packet in syns if struct.unpack_from(">H", packet, 20)[0] < 1024]
    most = 200 * report["duration_s"] + 1
    assert 0.8 * most <= len(flood) <= most, (len(flood), most)
    assert len({packet[20:22] for packet in flood}) == len(flood)  # ever new ports
    # Nobody answers what comes back for them, and the half-open ones are ended at last.
    resets = [packet for packet in packets if packet[9] == 6 and packet[20 + 13] & 4]
    assert all(struct.unpack_from(">H", packet, 20)[0] >= 1024 for packet in resets)
    # (What the kernel keeps for the flood it gives up by itself, after a minute.)
    text = harness.run("ss", "-Htan", "state", "syn-recv")
    assert not [line for line in text.splitlines() if not re.search(r":\d{1,3}\s*$", line)], text
    nginx.stop()


# ---- one connection ----

def test_a_vanished_caller_is_not_heard_and_is_reset_at_the_end():
    def handle(connection, _address):
        got.append(connection.recv(100))
        connection.sendall(b"are you there?")
        answered.set()
        try:
            connection.recv(100)
        except ConnectionResetError:
            got.append("reset")

    got, answered = [], threading.Event()
    server = Server(handle)
    running = Peer("connect", "--manner", "vanish", OWN4, server.port)
    running.send(b"hello\n", close=False)
    assert answered.wait(harness.LIMIT_S)
    harness.until("bytes that nobody acknowledges",
                  lambda: re.search(r"unacked:|rto:", harness.run("ss", "-Htin", "dst", "198.18.0.0/15")))
    result = running.stop()
    server.join()
    assert got == [b"hello\n", "reset"], got
    assert result.out == b""


def test_a_half_open_connect_is_never_established():
    sock, port = harness.listening(OWN4)
    running = Peer("connect", "--manner", "half-open", OWN4, port)
    harness.until("SYN-RECV", lambda: harness.run("ss", "-Htan", "state", "syn-recv"))
    running.stop().expect(1)
    assert not harness.run("ss", "-Htan", "state", "syn-recv")
    sock.setblocking(False)
    try:
        sock.accept()
        raise AssertionError("somebody connected")
    except BlockingIOError:
        pass


def test_mangled_segments_carry_the_bytes():
    for manner in ("tiny-segments:1B", "overlap", "duplicate-data", "out-of-order", "bad-checksum", "stray",
                   "overlap out-of-order bad-checksum duplicate-data tiny-segments:7B"):
        data = os.urandom(1000 if " " in manner else 20000)
        server = Server(harness.answer_after_eof)
        result = peer("connect", "--manner", manner, OWN4, server.port, data=data).expect(0)
        server.join()
        assert result.out == data[::-1], manner
    errors = harness.run("nstat", "-az", "TcpInCsumErrors") if harness.shutil.which("nstat") else "TcpInCsumErrors 9"
    assert int(re.search(r"TcpInCsumErrors\s+(\d+)", errors).group(1)) > 0


def test_fragmentation_needed_makes_the_segments_smaller():
    def handle(connection, _address):
        connection.recv(100)
        told.wait(harness.LIMIT_S)
        connection.sendall(bytes(50000))

    told = threading.Event()
    server = Server(handle)
    capture = os.path.join(harness.directory, "pmtu.pcapng")
    running = Peer("connect", "--no-offload", "--pcap", capture, "--manner", "pmtu:700B", OWN4, server.port)
    running.send(b"x", close=False)
    harness.until("the kernel's word", lambda: re.search(
        r"pmtu:700", harness.run("ss", "-Htin", "dst", "198.18.0.0/15")))
    told.set()
    running.close_stdin()
    result = running.wait().expect(0)
    server.join()
    assert len(result.out) == 50000
    with open(capture, "rb") as file:
        sizes = [len(packet[2]) for packet in harness.Capture(file.read()).packets if packet[1] == 2]
    assert max(sizes) == 700, max(sizes)


def test_callers_of_a_listener_meet_its_manners():
    running = Peer("listen", "--serve", "echo", "-s", PEER4, "--manner", "stall", "8080")
    running.wait_err(r"listening at")
    with socket.create_connection((PEER4, 8080), timeout=harness.LIMIT_S) as sock:
        sock.sendall(b"first")  # answered, and with the answer the window closes
        assert harness.receive_count(sock, 5) == b"first"
        sock.sendall(b"second")
        sock.settimeout(1)
        try:
            raise AssertionError(f"{sock.recv(100)!r} came back")
        except TimeoutError:
            pass
        assert re.match(r"ESTAB +0 +6 ", harness.run("ss", "-Htn", "dst", PEER4))  # queued
    running.stop().expect(0)


# ---- live ----

def test_the_cable_is_pulled_and_plugged_in():
    terminal = Terminal()
    terminal.type("before\n")
    terminal.arrives(b"before\n")
    terminal.type("~v")
    terminal.see(rb"the cable is pulled")
    terminal.connection.sendall(b"knock knock\n")
    terminal.type("lost?\n")
    harness.until("the kernel sends it again", lambda: re.search(r"timer:\(on,[^,]+,[1-9]", harness.run("ss", "-Htno")))
    terminal.read()
    assert b"knock" not in terminal.screen and not terminal.received.endswith(b"lost?\n")
    terminal.type("~v")
    terminal.see(rb"plugged in again")
    terminal.see(rb"knock knock")
    terminal.arrives(b"before\nlost?\n")
    terminal.type("\x04")
    terminal.end(0)


def test_a_manner_is_started_by_name():
    class Resetting(Terminal):
        def collect(self, connection, address):
            with harness.contextlib.suppress(ConnectionResetError):
                super().collect(connection, address)

    terminal = Resetting()
    terminal.type("~m")
    terminal.see(rb"~m ")
    terminal.type("stal\n")
    terminal.see(rb'"stal" is no manner; did you mean "stall"\?')
    terminal.type("~mstall\n")
    terminal.see(rb'it has the manner "stall" now')
    terminal.connection.sendall(b"unheard\n")
    terminal.type("still said\n")  # the line is for the application again
    terminal.arrives(b"still said\n")
    assert terminal.received == b"still said\n", terminal.received
    terminal.read()
    assert b"unheard" not in terminal.screen
    terminal.type("~m\n")  # nothing is no manner
    terminal.type("~.")
    terminal.end(0)


def test_it_roams_and_the_application_knows_it_no_more():
    def handle(connection, _address):
        try:
            connection.recv(100)
        except ConnectionResetError:  # nobody was at the old address until the end
            ends.append("reset")

    ends = []
    terminal = Terminal("-s", PEERS, handle=handle)
    terminal.type("~r192.0.2.77\n")
    terminal.see(rb"192.0.2.77 is none of the peers' addresses")
    terminal.type("~r198.18.7.9\n")
    terminal.see(rb"it goes on from 198.18.7.9")
    terminal.see(rb"reset by the application")
    terminal.end(1)
    assert ends == ["reset"]


def test_the_link_changes():
    terminal = Terminal()
    terminal.type("~ldelay 100\n")
    terminal.see(rb'"100" has no unit')
    terminal.type("~ldelay 100ms\n")
    terminal.see(rb'the link is "delay 100ms" both ways now')
    start = time.monotonic()
    terminal.type("late\n")
    terminal.arrives(b"late\n")
    assert time.monotonic() - start >= 0.1
    terminal.type("\x04")
    terminal.end(0)


if __name__ == "__main__":
    harness.main()
