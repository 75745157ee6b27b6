#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The examples of peer-soak(1), as they stand there, against real servers: each but for how long. Those of Redis,
MQTT and PostgreSQL are run where their servers are."""
import json
import os
import re
import shlex
import subprocess

import harness
import servers
from harness import OWN4, peer
from test_ws import Websocketd

# What else runs the example, by the scheme of its target.
ELSEWHERE = {"redis": "test_redis.py", "mqtt": "test_mqtt.py", "pg": "../judge/postgres.py"}
SHORT = ("-d", "1s")


def examples():
    """Lines of shell, each with the words of one."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "cli", "man", "peer-soak.1")
    with open(path, encoding="utf-8") as file:
        part = re.search(r"^\.Sh EXAMPLES$(.*?)^\.Sh", file.read(), re.M | re.S)[1]
    blocks = re.findall(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed", part.replace("\\e\n", " "), re.M | re.S)
    text = "".join(blocks).replace("|\n", "| ").replace("\\e", "\\").replace("192.0.2.80", OWN4)
    return [re.sub(" +", " ", line) for line in text.splitlines()]


def chosen(scheme):
    found = [line for line in examples() if re.search(rf"peer soak {scheme}://", line)]
    assert found, scheme
    return found


def run(line, *more):
    """The report of one, whose input may be made by a command before it."""
    before, _, words = line.rpartition("| ")
    words = shlex.split(words)
    assert words[:2] == ["peer", "soak"], line
    given = b""
    if before:
        given = subprocess.run(["sh", "-c", before.rstrip(" |")], stdout=subprocess.PIPE, check=True).stdout
    result = peer(*words[1:], *([] if "--json" in words else ["--json"]), *more, data=given, limit=60)
    return json.loads(result.expect(0).out)


def assert_fine(report):
    assert report["requests"]["completed"] > 0 == report["errors"]["total"], report


def test_each_is_run_somewhere():
    here = {"http", "h2c", "https", "tcp", "ws", "dns", "dot"}
    for line in examples():
        scheme = re.search(r"(\w+)://", line)
        if not scheme:
            assert line == "peer soak -c 64", line
        elif scheme[1] in ELSEWHERE:
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), ELSEWHERE[scheme[1]])
            with open(path, encoding="utf-8") as file:
                assert "harness.example(" in file.read(), scheme[1]
        else:
            assert scheme[1] in here, line


def test_without_a_target():
    assert_fine(json.loads(peer("soak", "-c", 64, "--json", *SHORT, limit=60).expect(0).out))


def test_http():
    with servers.Nginx(log='$remote_addr "$request" "$http_accept_encoding"') as nginx:
        lines = chosen("http")
        assert any("--targets" in line for line in lines) and any("--rate-search" in line for line in lines)
        for line in lines:
            if "--rate-search" in line:
                line = line.replace("1k..200k", "100..200").replace("p99<20ms", "p99<20s")
            report = run(line.replace("p99<20ms@each", "p99<20s@each").replace("-R 2k", "-R 200"), *SHORT)
            assert_fine(report)
            if "--targets" in line:
                assert [target["name"] for target in report["targets"]] == ["GET /", "GET /news?page=2"], report
                books = nginx.until_lines(report["requests"]["completed"])
                assert any('"GET /news?page=2 HTTP/1.1" "gzip"' in entry for entry in books), books[-3:]


def test_http2():
    with servers.Nginx(listen="http2"):
        for line in chosen("h2c"):
            report = run(line, *SHORT)
            assert_fine(report)
            assert report["connections"]["http2"] == 64, report


def test_tls():
    identity = servers.Certificates().make("mine", f"DNS:a.example,IP:{OWN4}")
    with servers.NginxTLS(identity) as nginx:
        done = 0
        for line in chosen("https"):
            report = run(line, "-n", "200")
            assert_fine(report)
            assert report["tls"]["handshakes"] == report["requests"]["completed"] == 200, report
            done += 200
            resumed = sum(entry.endswith(" r") for entry in nginx.until_lines(done)[done - 200:])
            assert resumed == report["tls"]["resumed"] and (resumed > 0) == ("--tls-resume" in line), report


def test_echo():
    echo = subprocess.Popen([harness.PEER, "application", "echo:7"])
    harness.until("the echo listens", lambda: servers.listens(7))
    for line in chosen("tcp"):
        assert_fine(run(line, "-n", "300"))
    echo.terminate()
    echo.wait()


def test_websocket():
    with Websocketd(port=80):
        for line in chosen("ws"):
            line = line.replace("20k", "200").replace("-c 100 -R 500", "-c 10 -R 50")  # it has a process each
            report = run(line, *SHORT)
            assert report["errors"]["total"] == 0 < report["connections"]["established"], report


class Stunnel853(servers.Stunnel):
    """DNS over TLS, in front of the server at 53."""

    def __init__(self, identity):
        super().__init__(identity, echo=53, port=853)
        self.write("stunnel.conf", self.read("stunnel.conf").replace("127.0.0.1:53", f"{OWN4}:53"))


@harness.changes_machine
def test_dns():
    certificates = servers.Certificates()
    with servers.Dnsmasq(), Stunnel853(certificates.make("mine", f"IP:{OWN4}")):
        for line in chosen("dns") + chosen("dot"):
            report = run(line, "-n", "50")
            assert_fine(report)
            assert sum(report["requests"]["rcodes"].values()) == 50, report


if __name__ == "__main__":
    harness.main()
