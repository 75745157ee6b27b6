#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak h2c://: servers that others wrote, whose books agree to the unit."""
import collections
import json
import os
import re

import harness
import servers
from harness import OWN4, OWN6, peer

LOG = "$remote_addr $server_protocol $connection $status $request_method"


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


def man_example(page, word):
    """The words of the manual's example with that word in it, at this machine."""
    path = os.path.join(os.path.dirname(__file__), "../../src/cli/man", page)
    with open(path, encoding="utf-8") as file:
        line = re.search(rf"^peer soak (.*{re.escape(word)}.*)$", file.read(), re.M).group(1)
    return line.replace("192.0.2.80", OWN4).split()


def assert_books(nginx, report, wanted):
    """A line for each request that was answered, a connection for each that was made."""
    lines = [line.split() for line in nginx.until_lines(wanted)]
    assert len(lines) == wanted == report["requests"]["completed"], (len(lines), report)
    assert {line[1] for line in lines} == {"HTTP/2.0"}
    served = len({line[2] for line in lines})
    assert served <= report["connections"]["established"], (served, report["connections"])
    statuses = collections.Counter(line[3] for line in lines)
    assert statuses == {k: v for k, v in report["requests"]["status_codes"].items() if v}, (statuses, report)
    return lines


def test_nginx_counts_the_same():
    with servers.Nginx(log=LOG, listen="http2") as nginx:
        report = soak(f"h2c://{OWN4}/", "-c", 8, "-m", 10, "-n", 4000)
        lines = assert_books(nginx, report, 4000)
        assert report["errors"]["total"] == 0 and len({line[2] for line in lines}) == 8
        servers.assert_peers([line[0] for line in lines])
    with servers.Nginx(log=LOG, listen="http2") as nginx:
        report = soak(f"h2c://[{OWN6}]/", "-m", 7, "-R", 500, "-n", 500, "--method", "HEAD")
        assert_books(nginx, report, 500)


def test_what_goaway_leaves_out_is_asked_again():
    """nginx says GOAWAY after so many requests of a connection."""
    with servers.Nginx(log=LOG, listen="http2", keep=50) as nginx:
        report = soak(f"h2c://{OWN4}/", "-c", 4, "-m", 10, "-n", 2000)
        assert_books(nginx, report, 2000)
        assert report["errors"]["total"] == 0 and report["connections"]["opened"] >= 40, report
        assert report["requests"]["asked_again"] > 0


def test_bodies_and_statuses():
    server = "client_max_body_size 1m; location / { return 404; } location /big { root /; }"
    with servers.Nginx(server, log=LOG, listen="http2") as nginx:
        report = soak(f"h2c://{OWN4}/", "-m", 3, "-n", 30, "--expect", "404")
        assert_books(nginx, report, 30)
        body = os.path.join(harness.directory, "body")
        with open(body, "wb") as file:
            file.write(os.urandom(2 << 20))
        report = soak(f"h2c://{OWN4}/big", "-m", 3, "-n", 9, "--body", f"@{body}")
        assert report["requests"]["status_codes"] == {"413": 9}, report
    with servers.Nghttpd() as nghttpd:
        with open(nghttpd.path("www/file"), "wb") as file:
            file.write(os.urandom(3 << 20))
        report = soak(f"h2c://{OWN4}/file", "-c", 2, "-m", 5, "-n", 20)
        assert report["requests"]["status_codes"] == {"200": 20} and report["bytes"]["received"] > 60 << 20, report
        report = soak(f"h2c://{OWN4}/file", "-c", 2, "-m", 5, "-n", 20, "--body", f"@{body}")
        assert report["requests"]["status_codes"] == {"200": 20} and report["bytes"]["sent"] > 40 << 20, report


def test_limits_of_the_server():
    with servers.Nghttpd("-m", "3") as nghttpd:
        nghttpd.write("www/index.html", "hello")
        report = soak(f"h2c://{OWN4}/", "-m", 20, "-n", 500)
        assert report["errors"]["total"] == 0 and report["connections"]["opened"] == 1, report


class Balancer(servers.Haproxy):
    """HTTP/2 without TLS at `port`."""

    def __init__(self, port=82):
        super().__init__(port)
        self.write("haproxy.cfg", f"""defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend door
    bind :{port} proto h2
    http-request return status 200 content-type text/plain string "hello"
""")


def test_haproxy_takes_it():
    with Balancer() as haproxy:
        report = soak(f"h2c://{OWN4}:82/", "-c", 4, "-m", 10, "-n", 1000)
        assert report["requests"]["status_codes"] == {"200": 1000}, report
        assert report["errors"]["total"] == 0 and haproxy.process.poll() is None


def test_tls_agrees_on_a_version():
    identity = servers.Certificates().make("mine", f"DNS:a.example,IP:{OWN4}")
    log = "$remote_addr $server_protocol $connection $status $http2"
    with servers.NginxTLS(identity, log=log, listen="http2") as nginx:
        report = soak(f"https://{OWN4}/", "-c", 4, "-m", 10, "-n", 1000)
        assert_books(nginx, report, 1000)
        assert report["connections"]["http2"] == report["connections"]["established"] == 4, report
        assert "ALPN h2" in report["tls"]["agreed"], report["tls"]
        assert all(line.endswith(" h2") for line in nginx.books())
        report = soak(f"https://{OWN4}/", "-c", 4, "--http1", "-n", 100)
        lines = nginx.until_lines(1100)[1000:]
        assert all(" HTTP/1.1 " in line for line in lines) and report["connections"]["http2"] == 0, report
        report = soak(f"https://{OWN4}/", "-c", 2, "--follow", "-n", 10)
        assert report["connections"]["http2"] == 2, report
        report = soak(f"https://{OWN4}/", "-c", 4, "-m", 3, "--http2", "-n", 100, "--manner", "rapid-reset:25%")
        assert report["connections"]["http2"] == 3 and report["requests"]["completed"] == 100, report
    with servers.NginxTLS(identity, log=log) as nginx:
        report = soak(f"https://{OWN4}/", "-c", 4, "-m", 10, "-n", 100)
        assert report["connections"]["http2"] == 0 and report["requests"]["completed"] == 100, report
        assert all(" HTTP/1.1 " in line for line in nginx.until_lines(100))
        result = peer("soak", f"https://{OWN4}/", "-n", 2, "--http2")
        result.expect(1, out="TLS")


PLACES = """
location /old { return 302 /new?from=old; }
location /away { return 301 https://other.example/; }
location /round { return 307 /round; }
location /in { add_header Set-Cookie "user=$connection; Path=/; Secure"; add_header Set-Cookie "deep=1; Path=/in/deep"; return 303 https://$host/shop; }
location / { return 200 "hello"; }
"""


def test_redirects_are_followed_and_cookies_kept():
    identity = servers.Certificates().make("mine", f"IP:{OWN4}")
    log = "$server_protocol $request_uri $status $http_cookie"
    tls = f"ssl_certificate {identity[0]}; ssl_certificate_key {identity[1]};"
    for options, listen in ((("--http1",), "ssl"), (("-m", 5), "ssl http2")):
        with servers.Nginx(server=tls + PLACES, listen=listen, log=log, port=443) as nginx:
            version = "HTTP/2.0" if "http2" in listen else "HTTP/1.1"
            report = soak(f"https://{OWN4}/old", "-c", 3, "-n", 300, "--follow", *options)
            assert report["requests"]["status_codes"] == {"200": 300} and report["requests"]["redirects"] == 300, report
            lines = [line.split() for line in nginx.until_lines(600)]
            assert sum(line[:3] == [version, "/old", "302"] for line in lines) == 300, lines[:4]
            assert sum(line[:3] == [version, "/new?from=old", "200"] for line in lines) == 300, lines[:4]
            report = soak(f"https://{OWN4}/away", "-n", 5, "--follow", *options)
            assert report["requests"]["status_codes"] == {"301": 5} and not report["requests"]["redirects"], report
            report = soak(f"https://{OWN4}/round", "-n", 2, "--follow", *options)
            assert report["requests"]["status_codes"] == {"307": 2} and report["requests"]["redirects"] == 20, report
            books = len(nginx.until_lines(600 + 5 + 22))
            report = soak(f"https://{OWN4}/in", "-c", 2, "-n", 40, "--follow", "--cookies", *options)
            assert report["requests"]["status_codes"] == {"200": 40} and report["errors"]["total"] == 0, report
            lines = [line.split() for line in nginx.until_lines(books + 80)[books:]]
            shop = [line for line in lines if line[1] == "/shop"]
            assert len(shop) == 40 and all(line[3].startswith("user=") for line in shop), lines[:5]
            assert len({line[3] for line in shop}) == 2 and not any("deep" in line[3] for line in shop), shop[:5]


MANNERS = ("rapid-reset", "continuation-flood", "ping-flood", "settings-flood", "window-zero")


def test_manners_leave_the_others_alone():
    """Each server lives through them, and the healthy ones have their answers."""
    for server in (servers.Nginx(listen="http2"), servers.Nghttpd(), Balancer(80)):
        with server:
            if isinstance(server, servers.Nghttpd):
                server.write("www/index.html", "hello")
            words = [word for name in MANNERS for word in ("--manner", f"{name}:10%")]
            report = soak(f"h2c://{OWN4}/", "-c", 10, "-m", 3, "-R", 100, "-d", "1s", *words)
            requests = report["requests"]
            assert requests["completed"] == requests["sent"] > 0 and report["errors"]["total"] == 0, report
            by_name = {share["name"]: share for share in report["manners"]}
            assert list(by_name) == list(MANNERS), by_name
            assert all(share["begun"] for share in by_name.values()), by_name
            assert by_name["window-zero"]["requests"]["completed"] == 0, by_name
            assert server.process.poll() is None


def test_who_does_not_speak_it():
    with servers.Nginx():
        result = peer("soak", f"h2c://{OWN4}/", "-n", 2)
        result.expect(1, out="answer is no HTTP/2: ")
    for args, words in ((("http://%s/" % OWN4, "-m", "2"), "-m goes with h2c:// and https:// targets"),
                        (("tcp://%s:7" % OWN4, "-m", "2"), "-m goes with h2c://"),
                        (("h2c://%s/" % OWN4, "--http1"), "go with https://"),
                        (("https://%s/" % OWN4, "--http1", "--http2"), "given both")):
        peer("soak", *args).expect(2, words)


def test_the_example_of_the_manual():
    with servers.Nginx(log=LOG, listen="http2") as nginx:
        words = man_example("peer-soak.1", "h2c://192.0.2.80/ -c")
        report = soak(*words, "-n", 2000)
        assert_books(nginx, report, 2000)


if __name__ == "__main__":
    harness.main()
