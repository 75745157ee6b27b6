#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak ws://: websocketd, with a program behind each connection, alone and behind nginx."""
import json
import os
import shlex

import harness
from harness import OWN4, OWN6, peer
from servers import Certificates, Nginx, Server


class Websocketd(Server):
    """Whatever `program` says to what it reads: a message is a line, or, `binary`, what one read brings."""

    programs = ("websocketd",)

    def __init__(self, *options, port=8080, program=("cat",)):
        super().__init__()
        self.ports, self.options, self.program = (port,), (*options, f"--port={port}"), program

    def command(self):
        return ["websocketd", f"--address={OWN4}", "--loglevel=access", *self.options, *self.program]

    def books(self):
        """Connections that were upgraded, and those that ended."""
        lines = self.read("output").splitlines()
        return sum("| CONNECT" in line for line in lines), sum("| DISCONNECT" in line for line in lines)


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


def assert_done(report, count):
    assert report["requests"]["completed"] == count and report["errors"]["total"] == 0, report


def until_books(server, *books):
    harness.until(f"websocketd has {books}", lambda: server.books() == books)


def test_messages_of_text_come_back():
    with Websocketd() as server:
        url = f"ws://{OWN4}:8080/echo?x=1"
        report = soak(url, "--text", "-c", 5, "-n", 500)
        assert_done(report, 500)
        assert report["logins"]["completed"] == 5, report  # the upgrades
        until_books(server, 5, 5)
        # Longer than a segment, a frame of each length, and a new connection for each.
        for size in 1, 125, 126, 70000, 3000000:
            assert_done(soak(url, "--text", "--size", size, "-n", 4), 4)
        until_books(server, 10, 10)
        assert_done(soak(url, "--text", "--no-keep-alive", "-n", 20, "-c", 3), 20)
        until_books(server, 30, 30)
        assert_done(soak(url, "--text", "-R", 200, "-n", 200, "-c", 3), 200)


def test_messages_of_bytes_come_back():
    with Websocketd("--binary=true") as server:
        assert_done(soak(f"ws://{OWN4}:8080/", "-c", 3, "-n", 300), 300)
        assert_done(soak(f"ws://{OWN4}:8080", "--size", 4000, "-n", 20), 20)
        until_books(server, 4, 4)


def test_what_differs_is_found():
    for script, words in (("s/^./!/", "byte 0 of the message that came back differs"),
                          ("s/$/!/", "more came back than was sent")):
        with Websocketd(program=("sed", "-u", script)):
            report = soak(f"ws://{OWN4}:8080/", "--text", "-n", 3, status=1)
            assert report["errors"]["bad_answer"] == 3 == report["errors"]["total"], report["errors"]
            assert words in report["first_error"], report["first_error"]
    with Websocketd(program=("sed", "-u", "-n", "1,2p; 3q")):  # the third has no answer, ever
        report = soak(f"ws://{OWN4}:8080/", "--text", "-n", 8, status=1)
        assert report["requests"]["completed"] == 6, report["errors"]
        assert report["errors"]["closed_early"] == 2 == report["errors"]["total"], report["errors"]


def test_connections_are_held():
    with Websocketd() as server:
        report = soak(f"ws://{OWN4}:8080/", "--idle", "-c", 40, "-d", "1s", "--touch", 10)
        assert report["errors"]["total"] == 0, report
        assert report["connections"]["established"] == 40 == report["open_most"], report
        until_books(server, 40, 40)


def test_a_proxy_upgrades():
    location = ("location /ws { proxy_pass http://%s:8080; proxy_http_version 1.1; proxy_set_header Upgrade "
                "$http_upgrade; proxy_set_header Connection $connection_upgrade; } location /gone { return 403; } "
                "location /moved { return 301 /ws; } location /page { return 200 hello; }" % OWN4)
    map_ = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
    with Websocketd() as server, Nginx(location, log="$status $remote_addr $http_host $http_x_one", more=map_) as nginx:
        report = soak(f"ws://{OWN4}/ws", "--text", "-c", 4, "-n", 100, "-H", "X-One: 1", "-H", "Host: chat.example")
        assert_done(report, 100)
        until_books(server, 4, 4)
        books = nginx.until_lines(4)
        assert len(books) == 4 and all(line.startswith("101 198.18.") for line in books), books
        assert all(line.endswith(" chat.example 1") for line in books), books
        for path, words in (("gone", "403 Forbidden"), ("moved", "301 Moved Permanently, to \"http://"),
                            ("page", "200 OK")):
            report = soak(f"ws://{OWN4}/{path}", "-n", 2, status=1)
            assert report["errors"]["status"] == 2 == report["errors"]["total"], report
            assert f"the upgrade is refused, {words}" in report["first_error"], report
        # The same over IPv6.
        assert_done(soak(f"ws://[{OWN6}]/ws", "--text", "-n", 3), 3)


def test_the_same_over_tls():
    certificates = Certificates()
    cert, key = certificates.make("mine", f"IP:{OWN4}")
    location = (f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; "
                f"location / {{ proxy_pass http://{OWN4}:8080; "
                "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }")
    with Websocketd() as server, Nginx(location, log="$ssl_protocol $status", listen="ssl", port=443) as nginx:
        for size in 64, 300000:
            report = soak(f"wss://{OWN4}/", "--text", "--size", size, "-c", 3, "-n", 60)
            assert_done(report, 60)
            assert report["tls"]["handshakes"] == 3, report["tls"]
        report = soak(f"wss://{OWN4}/", "--idle", "-c", 20, "-d", "1s", "--touch", 5)
        assert report["errors"]["total"] == 0 and report["tls"]["handshakes"] == 20, report["errors"]
        until_books(server, 26, 26)
        given = ("--workers", 3, "--from", "198.18.0.0/24")
        for scheme in "ws", "wss":
            url = f"wss://{OWN4}/" if scheme == "wss" else f"ws://{OWN4}:8080/"
            report = soak(url, "--text", "-c", 9, "-n", 200, *given)
            assert_done(report, 200)
            assert report["logins"]["completed"] == 9 == report["connections"]["established"], report
        until_books(server, 44, 44)
        assert nginx.until_lines(35) == ["TLSv1.3 101"] * 35, nginx.books()


def test_what_does_not_go_together_is_refused():
    for args, words in (((f"http://{OWN4}/", "--text"), "--text goes with ws:// "),
                        ((f"ws://{OWN4}/", "--body", "x"), "--body goes"),
                        ((f"ws://{OWN4}/", "--method", "POST"), "an upgrade is a GET"),
                        ((f"ws://{OWN4}/", "-H", "Upgrade: x"), "the upgrade's own"),
                        ((f"ws://a:b@{OWN4}/",), "Authorization")):
        result = peer("soak", *args, limit=60)
        result.expect(2)
        assert words in result.err, (args, result.err)


def test_the_manuals_examples():
    page = os.path.join(os.path.dirname(__file__), "../../src/cli/man/peer-soak.1")
    with open(page, encoding="utf-8") as file:
        lines = [line for line in file if line.startswith("peer soak ws://192.0.2.80/")]
    assert len(lines) == 2, lines
    with Websocketd():
        for line in lines:
            words = shlex.split(line.replace("192.0.2.80", f"{OWN4}:8080").replace("20k", "20").replace("100 ", "3 "))
            report = soak(*words[2:], "-d", "1s")
            assert report["errors"]["total"] == 0 < report["connections"]["established"], report["errors"]


if __name__ == "__main__":
    harness.main()
