#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Services that many run, against their own books: Apache and caddy by HTTP/1.1 and HTTP/2 over TLS, nghttpd by
HTTP/2, bind by UDP, TCP and TLS, and openssl s_server, which counts its sessions."""
import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))

# pylint: disable=wrong-import-position
import harness
from harness import OWN4, peer
from servers import Certificates, Server, assert_peers

PEERS = ("--from", "198.18.0.0/24")


def soak(*args, status=0):
    result = peer("soak", "--json", *PEERS, *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


def mine():
    return Certificates().make("mine", f"DNS:a.example,IP:{OWN4}")


def assert_done(report, count, connections=None):
    assert report["requests"]["completed"] == count == report["requests"]["sent"], report
    assert report["errors"]["total"] == 0, report
    if connections is not None:
        assert report["connections"]["established"] == connections == report["tls"]["handshakes"], report


class Apache(Server):
    """https at 443, HTTP/2 where ALPN agrees on it. A line a request: address, protocol, TLS, status."""

    programs = ("apache2",)
    ports = (443,)

    def __init__(self, identity):
        super().__init__()
        os.mkdir(self.path("www"))
        self.write("www/index.html", "hello")
        modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in
                          ("mpm_event", "authz_core", "dir", "socache_shmcb", "ssl", "http2"))
        user = "User nobody\nGroup nogroup\n" if os.geteuid() == 0 else ""
        os.chmod(self.path("www/index.html"), 0o644)
        self.write("apache.conf", f"""ServerRoot {self.place}
PidFile {self.place}/pid
ServerName a.example
Listen {OWN4}:443
{modules}{user}ErrorLog {self.place}/errors
LogFormat "%a %H %{{SSL_PROTOCOL}}x %{{SSL_SESSION_RESUMED}}x %>s" books
CustomLog {self.place}/books books
ServerLimit 2
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 128
MaxKeepAliveRequests 0
SSLSessionCache shmcb:{self.place}/sessions(512000)
Protocols h2 http/1.1
DocumentRoot {self.place}/www
SSLEngine on
SSLCertificateFile {identity[0]}
SSLCertificateKeyFile {identity[1]}
""")

    def command(self):
        return ["apache2", "-DFOREGROUND", "-f", self.path("apache.conf")]

    def until_books(self, count):
        harness.until(f"{count} lines in Apache's books", lambda: len(self.read("books").splitlines()) >= count)
        return [line.split() for line in self.read("books").splitlines()]


def test_apache():
    with Apache(mine()) as server:
        assert_done(soak(f"https://{OWN4}/", "-c", 8, "-n", 400, "--http1"), 400, 8)
        lines = server.until_books(400)
        assert collections.Counter((line[1], line[2], line[4]) for line in lines) == {
            ("HTTP/1.1", "TLSv1.3", "200"): 400}, lines[:3]
        assert_peers([line[0] for line in lines], 8)
        report = soak(f"https://{OWN4}/", "-c", 4, "-m", 10, "-n", 2000)
        assert_done(report, 2000)
        assert report["connections"]["http2"] == report["connections"]["established"], report
        lines = server.until_books(2400)[400:]
        assert {(line[1], line[4]) for line in lines} == {("HTTP/2.0", "200")} and len(lines) == 2000, lines[:3]
        report = soak(f"https://{OWN4}/", "-c", 4, "-n", 60, "--no-keep-alive", "--http1", "--tls-version", "1.2",
                      "--tls-resume", "all", "--from", "198.18.0.1-198.18.0.4")
        assert_done(report, 60, 60)
        lines = server.until_books(2460)[2400:]
        resumed = sum(line[3] == "Resumed" for line in lines)
        assert {line[2] for line in lines} == {"TLSv1.2"} and resumed == report["tls"]["resumed"] >= 52, report


class Caddy(Server):
    """https at 443; a line of JSON a request."""

    programs = ("caddy",)
    ports = (443,)

    def __init__(self, identity):
        super().__init__()
        self.identity = identity

    def command(self):
        os.environ.update(XDG_DATA_HOME=self.path("home"), XDG_CONFIG_HOME=self.path("home"))
        self.write("Caddyfile", f"""{{
    admin off
    auto_https off
    skip_install_trust
}}
https://a.example, https://{OWN4} {{
    tls {self.identity[0]} {self.identity[1]}
    respond "hello"
    log {{
        output file {self.place}/books
    }}
}}
""")
        return ["caddy", "run", "--adapter", "caddyfile", "--config", self.path("Caddyfile")]

    def until_books(self, count):
        harness.until(f"{count} lines in caddy's books", lambda: len(self.read("books").splitlines()) >= count)
        return [json.loads(line) for line in self.read("books").splitlines()]


def test_caddy():
    with Caddy(mine()) as server:
        assert_done(soak(f"https://{OWN4}/", "--sni", "a.example", "-c", 8, "-n", 400, "--http1"), 400, 8)
        books = server.until_books(400)
        assert collections.Counter((line["request"]["proto"], line["status"]) for line in books) == {
            ("HTTP/1.1", 200): 400}, books[0]
        assert_peers([line["request"].get("remote_ip") or line["request"]["remote_addr"] for line in books], 8)
        report = soak(f"https://{OWN4}/", "--sni", "a.example", "-c", 4, "-m", 10, "-n", 2000)
        assert_done(report, 2000, 4)
        books = server.until_books(2400)[400:]
        assert {(line["request"]["proto"], line["request"]["tls"]["proto"]) for line in books} == {
            ("HTTP/2.0", "h2")}, books[0]
        report = soak(f"https://{OWN4}/", "--sni", "a.example", "-c", 2, "-n", 50, "--http1", "--no-keep-alive",
                      "--tls-resume", "all", "--from", "198.18.0.1-198.18.0.2")
        resumed = sum(line["request"]["tls"]["resumed"] for line in server.until_books(2450)[2400:])
        assert_done(report, 50, 50)
        assert resumed == report["tls"]["resumed"] >= 46, (resumed, report["tls"])


class Nghttpd(Server):
    """HTTP/2 over TLS at 443; each frame in its words."""

    programs = ("nghttpd",)
    ports = (443,)

    def __init__(self, identity):
        super().__init__()
        self.identity = identity
        os.mkdir(self.path("www"))
        self.write("www/index.html", "hello")

    def command(self):
        return ["nghttpd", "-v", "-d", self.path("www"), "443", *reversed(self.identity)]

    def frames(self):
        """How many of these came."""
        return collections.Counter(re.findall(r"recv (HEADERS|RST_STREAM|GOAWAY) frame", self.read("output")))


def test_nghttpd():
    with Nghttpd(mine()) as server:
        assert_done(soak(f"https://{OWN4}/", "-c", 4, "-m", 10, "-n", 500, "--http2"), 500, 4)
        harness.until("the last GOAWAY", lambda: server.frames()["GOAWAY"] == 4)
        assert server.frames() == {"HEADERS": 500, "GOAWAY": 4}, server.frames()


class Bind(Server):
    """Knows example.; by UDP and TCP at 53, by TLS at 853. Its queries are its books."""

    programs = ("named",)
    ports = (53, (53, "u"), 853)

    def __init__(self, identity):
        super().__init__()
        os.chmod(self.place, 0o777)
        self.write("example", """$TTL 60
@ SOA ns a 1 1 1 1 1
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::2
big TXT """ + " ".join('"' + "x" * 250 + '"' for _ in range(10)) + "\n")
        self.write("named.conf", f"""options {{
    directory "{self.place}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;
    listen-on port 53 {{ {OWN4}; }}; listen-on-v6 {{ none; }};
    listen-on port 853 tls mine {{ {OWN4}; }};
    minimal-responses yes;
}};
tls mine {{ cert-file "{identity[0]}"; key-file "{identity[1]}"; }};
controls {{ }};
logging {{
    channel books {{ file "{self.place}/books"; severity info; }};
    category queries {{ books; }};
}};
zone "example" {{ type primary; file "{self.place}/example"; }};
""")
        os.chmod(identity[1], 0o644)

    def command(self):
        return ["named", "-f", "-c", self.path("named.conf"), "-n", "1"]

    def queries(self):
        """(name, type, flags) of each: T among the flags is TCP."""
        found = re.findall(r" query: (\S+) IN (\S+) (\S+) ", self.read("books"))
        return collections.Counter((name, kind, "T" in flags) for name, kind, flags in found)

    def until_queries(self, wanted):
        harness.until(f"{wanted} in bind's books", lambda: self.queries() == wanted)


def test_bind():
    with Bind(mine()) as server:
        books = collections.Counter()
        for more, by_tcp in (((), False), (("--tcp",), True)):
            report = soak(f"dns://{OWN4}/www.example?type=AAAA", "-c", 4, "-P", 5, "-n", 500, *more)
            assert_done(report, 500)
            assert report["requests"]["rcodes"] == {"NOERROR": 500}, report
            books["www.example", "AAAA", by_tcp] += 500
            server.until_queries(books)
        report = soak(f"dot://{OWN4}/nobody.example", "-c", 4, "-P", 5, "-n", 300)
        assert_done(report, 300, 4)
        assert report["requests"]["rcodes"] == {"NXDOMAIN": 300}, report
        books["nobody.example", "A", True] += 300
        server.until_queries(books)
        # What does not fit is asked for again by TCP.
        report = soak(f"dns://{OWN4}/big.example?type=TXT", "-c", 2, "-n", 20)
        assert_done(report, 20)
        assert report["datagrams"]["truncated"] == 20, report
        books["big.example", "TXT", False] += 20
        books["big.example", "TXT", True] += 20
        server.until_queries(books)


class OpensslServer(Server):
    """openssl s_server, which answers a GET with its own counters."""

    programs = ("openssl",)
    ports = (4433,)

    def __init__(self, identity, *more):
        super().__init__()
        self.identity, self.more = identity, more

    def command(self):
        return ["openssl", "s_server", "-accept", "4433", "-www", "-cert", self.identity[0], "-key", self.identity[1],
                *self.more]


def test_openssl_counts_the_same():
    with OpensslServer(mine()) as server:
        assert server.process.poll() is None
        for versions, resumed in (("1.2", True), ("1.3", False)):
            report = soak(f"https://{OWN4}:4433/", "-n", 30, "--no-keep-alive", "--tls-version", versions, "--http1",
                          *(("--tls-resume", "all", "--from", "198.18.0.1") if resumed else ()))
            assert_done(report, 30, 30)
            assert report["tls"]["resumed"] == (29 if resumed else 0), report["tls"]
        said = harness.run("curl", "-sk", f"https://{OWN4}:4433/")
        counted = {name: int(count) for count, name in re.findall(r"^\s*(\d+) (server accepts \(SSL_accept\(\)\)|"
                                                                  r"server accepts that finished|session cache hits)",
                                                                  said, re.M)}
        assert counted == {"server accepts (SSL_accept())": 61, "server accepts that finished": 61,
                           "session cache hits": 29}, said


if __name__ == "__main__":
    harness.main()
