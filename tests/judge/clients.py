#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""clients.py --peer PROGRAM: larger programs under peer exec, as tests/cli/test_exec_clients.py: databases, a
broker of messages, a program in Go, QUIC with a client that moves on. What is not installed is skipped."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
# pylint: disable=wrong-import-position
import harness
import servers
from harness import OWN4
from servers import assert_peers
from postgres import Postgres
from test_exec_clients import out_of, run_as_peers


def test_psql_and_pgbench():
    clients, turns = 20, 50
    at = ("-h", OWN4, "-U", "postgres", "-d", "postgres")
    with Postgres() as postgres:
        said = out_of("psql", "-X", "-At", *at, "-c", "select inet_client_addr()").strip()
        assert_peers([said], 1)
        run_as_peers("pgbench", "-i", "-q", *at)
        before = len(postgres.callers())
        said = out_of("pgbench", "-c", str(clients), "-j", "2", "-t", str(turns), "-C", "-n", *at)
        assert f"processed: {clients * turns}/{clients * turns}" in said and "failed transactions: 0 " in said, said
        callers = [caller for caller in postgres.callers()[before:] if caller]
        # A connection a transaction, and one that looks what is there.
        assert len(callers) == clients * turns + 1, len(callers)
        assert_peers(callers, len(callers))
        said = out_of("psql", "-X", "-At", *at, "-c", "select count(*) from pgbench_history").strip()
        assert said == str(clients * turns), said


def test_mosquitto_pub_and_sub():
    lines = [f"message {number}" for number in range(500)]
    with servers.Mosquitto() as broker:
        subscriber = harness.Peer("exec", "--from", "198.18.0.0/17", "--", "mosquitto_sub", "-h", OWN4, "-t", "news",
                                  "-q", "1", "-C", len(lines))
        harness.until("somebody has subscribed", lambda: "news" in broker.books())
        run_as_peers("mosquitto_pub", "-h", OWN4, "-t", "news", "-q", "1", "-l", peers="198.18.128.0/17",
                     data="".join(f"{line}\n" for line in lines).encode())
        result = subscriber.wait().expect(0)
        assert result.out.decode().splitlines() == lines, result
        assert_peers(broker.callers(), 2)


GO = """package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

func main() {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	turns := make(chan int)
	var all sync.WaitGroup
	for i := 0; i < 20; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for range turns {
				answer, err := client.Get(os.Args[1])
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				if string(body) != "hello" {
					os.Exit(2)
				}
			}
		}()
	}
	for i := 0; i < 500; i++ {
		turns <- i
	}
	close(turns)
	all.Wait()
}
"""


def test_a_program_in_go_which_is_static():
    harness.need("go")
    with servers.Nginx() as nginx:
        nginx.write("main.go", GO)
        os.environ.update(GOCACHE=nginx.path("cache"), GOPATH=nginx.path("path"), CGO_ENABLED="0", GOFLAGS="",
                          GO111MODULE="off")
        harness.run("go", "build", "-o", nginx.path("calls"), nginx.path("main.go"))
        run_as_peers(nginx.path("calls"), f"http://{OWN4}/")
        assert_peers(nginx.until_lines(500), 500)


def certificate(server):
    harness.need("openssl")
    harness.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", server.path("key.pem"), "-out", server.path("cert.pem"), "-days", "2", "-subj",
                "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{OWN4}")


class Gtlsserver(servers.Server):
    """ngtcp2's: /N is N bytes. It writes down each datagram, and each path that it has proved."""

    programs = ("gtlsserver", "gtlsclient")
    ports = ((4433, "u"),)

    def command(self):
        certificate(self)
        return ["gtlsserver", "--no-quic-dump", "--no-http-dump", "--htdocs", self.place, OWN4, "4433",
                self.path("key.pem"), self.path("cert.pem")]

    def callers(self):
        """In the order in which they first came."""
        return list(dict.fromkeys(re.findall(r"Received packet: .* remote=\[(.*?)\]:\d+", self.read("output"))))

    def proved(self):
        return re.findall(r"Path validation against path \{.*remote:\[(.*?)\]:\d+\} succeeded", self.read("output"))


LARGE = 5000000
QUIC_CLIENT = ("gtlsclient", "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close")


def test_quic_connections_have_a_peer_each():
    with Gtlsserver() as server:
        for turn in range(1, 4):
            result = run_as_peers(*QUIC_CLIENT, OWN4, "4433", f"https://{OWN4}/100000", peers=f"198.18.{turn}.0/24")
            assert "QUIC handshake has completed" in result.err, result
        assert_peers(server.callers(), 3)


ROAMING = ("--roam", "500ms", "--link", "delay 10ms rate 20mbit")


def assert_moved(server):
    """Packets came from three addresses and more, and the server has proved one that it took up."""
    callers = server.callers()
    assert len(callers) >= 3, callers
    assert_peers(callers, len(callers))
    assert set(server.proved()) & set(callers[1:]), (callers, server.proved())


def test_an_upload_by_quic_lives_on_when_its_peer_moves():
    with Gtlsserver() as server:
        with open(server.path("body"), "wb") as file:
            file.truncate(LARGE)
        result = run_as_peers(*QUIC_CLIENT, "--timeout=10s", "-m", "POST", "-d", server.path("body"), OWN4, "4433",
                              f"https://{OWN4}/100", options=ROAMING)
        assert "[:status: 200]" in result.err, result
        assert_moved(server)


def test_a_download_by_quic_lives_on_when_its_peer_moves():
    with Gtlsserver() as server:
        place = server.path("got")
        os.mkdir(place)
        run_as_peers(*QUIC_CLIENT, "-q", "--timeout=10s", "--download", place, OWN4, "4433",
                     f"https://{OWN4}/{LARGE}", options=ROAMING)
        assert os.path.getsize(os.path.join(place, str(LARGE))) == LARGE
        assert_moved(server)


class Caddy(servers.Server):
    """HTTP/3, besides others; a line of JSON a request. gtlsclient calls whom it knows by number localhost."""

    programs = ("caddy", "gtlsclient")
    ports = ((443, "u"),)

    def command(self):
        certificate(self)
        os.environ.update(XDG_DATA_HOME=self.path("home"), XDG_CONFIG_HOME=self.path("home"))
        with open(self.path("large"), "wb") as file:
            file.truncate(LARGE)
        self.write("Caddyfile", f"""{{
    admin off
    auto_https off
    skip_install_trust
}}
https://localhost {{
    tls {self.place}/cert.pem {self.place}/key.pem
    root * {self.place}
    file_server
    log {{
        output file {self.place}/books
    }}
}}
""")
        return ["caddy", "run", "--adapter", "caddyfile", "--config", self.path("Caddyfile")]

    def books(self):
        return [json.loads(line) for line in self.read("books").splitlines()]


def get_from_caddy(server, *options):
    """By HTTP/3. Returns how many bytes came."""
    place = tempfile.mkdtemp(dir=server.place)
    run_as_peers(*QUIC_CLIENT, "-q", "--timeout=3s", "--download", place, OWN4, "443", "https://localhost/large",
                 options=options)
    return sum(os.path.getsize(os.path.join(place, name)) for name in os.listdir(place))


def test_caddy_by_http3():
    with Caddy() as server:
        assert get_from_caddy(server) == LARGE
        books = harness.until("a line in caddy's books", server.books)
        request = books[0]["request"]
        assert request["proto"] == "HTTP/3.0" and books[0]["size"] == LARGE, books
        assert_peers([request.get("remote_ip") or request["remote_addr"]], 1)


def test_caddy_when_a_peer_moves():
    """Caddy 2.6 knows no migration: its answers go to where the client was, although packets came from where it
    is. A later one that does keeps the connection."""
    with Caddy() as server:
        capture = server.path("capture")
        got = get_from_caddy(server, *ROAMING, "--pcap", capture)
        with open(capture, "rb") as file:
            ways = [(data[12:16], data[16:20]) for _, _, data, _ in harness.Capture(file.read()).packets]
        sources = list(dict.fromkeys(source for source, _ in ways if source[:2] == bytes([198, 18])))
        assert len(sources) >= 2, sources
        moved = next(at for at, way in enumerate(ways) if way[0] == sources[1])
        stayed = sum(way[1] == sources[0] for way in ways[moved:])
        followed = sum(way[1] == sources[1] for way in ways[moved:])
        assert got == LARGE if followed else stayed > 0, (got, followed, stayed)


def test_promtool_has_nothing_to_say_of_metrics():
    """Prometheus' own reader and its advice on names, of the text format; of OpenMetrics a strict parser is in
    cli.steering."""
    harness.need("promtool", "curl")
    started = harness.Peer("soak", "-c", "4", "-R", "200", "-d", "10m", "--metrics", "0", "--manner", "stall:25%")
    url = started.wait_err(r"(http://127\.0\.0\.1:\d+/metrics)").group(1)

    def page():
        return harness.run("curl", "-s", "-H", "Accept: text/plain", url)
    harness.until("figures", lambda: 'peer_soak_responses_total{code="200"}' in page())
    checked = subprocess.run(["promtool", "check", "metrics"], input=page(), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=harness.LIMIT_S)
    assert checked.returncode == 0 and not checked.stdout, checked.stdout
    started.stop().expect(0)


if __name__ == "__main__":
    harness.main()
