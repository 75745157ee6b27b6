#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak dns://: a real name server counts the same, and nobody finds fault with what goes over the wire."""
import json
import os
import re
import subprocess

import harness
import servers
from harness import OWN4, OWN6, peer, run

QUERIES = """www.example.test A
; a comment
mail.example.test\tMX ; and another
none.example.test AAAA

www.example.test AAAA
"""


class Unbound(servers.Server):
    """Knows example.test alone; its statistics are its books. Leaves a key for TCP Fast Open behind in the
    namespace."""

    programs = ("unbound", "unbound-control")
    ports = ((53, "u"), 53)

    def __init__(self, identity=None):
        super().__init__()
        self.tls = ""
        if identity:
            self.ports = (*self.ports, 853)
            self.tls = f"""  interface: {OWN4}@853
  tls-service-pem: {identity[0]}
  tls-service-key: {identity[1]}
"""

    def command(self):
        zone = ["www.example.test. A 192.0.2.1", "www.example.test. AAAA 2001:db8::1",
                "mail.example.test. MX 10 www.example.test."]
        zone += [f"big.example.test. TXT {letter * 200}" for letter in "abcdefgh"]
        data = "\n".join(f'  local-data: "{record}"' for record in zone)
        self.write("unbound.conf", f"""server:
  directory: "{self.place}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  max-udp-size: 4096
  edns-buffer-size: 4096
  module-config: "iterator"
  interface: {OWN4}
  interface: {OWN6}
{self.tls}  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  so-rcvbuf: 0
  incoming-num-tcp: 100
  extended-statistics: yes
  local-zone: "example.test." static
{data}
remote-control:
  control-enable: yes
  control-use-cert: no
  control-interface: "{self.path('control')}"
""")
        return ["unbound", "-c", self.path("unbound.conf")]

    def is_ready(self):
        return super().is_ready() and os.path.exists(self.path("control"))

    def books(self):
        """What was counted since the last time."""
        text = run("unbound-control", "-c", self.path("unbound.conf"), "stats")
        return {name: int(value) for name, value in re.findall(r"^(\S+)=(\d+)$", text, re.M)}


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=60)
    result.expect(status)
    return json.loads(result.out)


def dissect(capture):
    """[(id, worst severity of tshark's remarks)] of the DNS messages; that of a malformed one is the worst of all."""
    done = subprocess.run(["tshark", "-r", capture, "-Y", "dns or _ws.malformed", "-T", "fields", "-E", "aggregator=|",
                           "-e", "dns.id", "-e", "_ws.expert.severity"], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=harness.LIMIT_S)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [(number, max(remarks.split("|"), default="", key=lambda word: int(word or 0)))
            for numbers, remarks in rows for number in numbers.split("|")]


def queries(server):
    return server.write("queries", QUERIES)


@harness.changes_machine
def test_a_name_server_counts_the_same():
    with Unbound() as server:
        for extra in (), ("--tcp",), ("-e",), ("--dnssec", "--tcp"), ("--edns-size", 4000), ("-R", 2000):
            for addr in OWN4, f"[{OWN6}]":
                server.books()
                report = soak(f"dns://{addr}", "--queries", queries(server), "-n", 400, "-c", 4, "-P", 8, *extra)
                books, requests = server.books(), report["requests"]
                assert requests["completed"] == 400 and report["errors"]["total"] == 0, report
                assert requests["rcodes"] == {"NOERROR": 300, "NXDOMAIN": 100}, requests
                assert "datagrams" not in report, report["datagrams"]
                assert books["total.num.queries"] == 400, (extra, books)
                assert books["num.query.tcp"] == (400 if "--tcp" in extra else 0), (extra, books)
                assert books["num.query.type.A"] == books["num.query.type.MX"] == 100, books
                assert books["num.query.type.AAAA"] == 200, books
                assert books["num.answer.rcode.NOERROR"] == 300 and books["num.answer.rcode.NXDOMAIN"] == 100, books
                edns = extra[:1] in (("-e",), ("--dnssec",), ("--edns-size",))
                assert books["num.query.edns.present"] == (400 if edns else 0), (extra, books)
                assert books["num.query.edns.DO"] == (400 if "--dnssec" in extra else 0), (extra, books)


@harness.changes_machine
def test_what_was_cut_is_asked_for_over_tcp():
    with Unbound() as server:
        target = f"dns://{OWN4}/big.example.test?type=TXT"
        report = soak(target, "-n", 60, "-c", 3, "-P", 4)
        books = server.books()
        assert report["requests"]["completed"] == 60 and report["errors"]["total"] == 0, report
        assert report["datagrams"]["truncated"] == 60 and report["connections"]["established"] == 3, report
        assert books["total.num.queries"] == 120 and books["num.query.tcp"] == 60, books
        report = soak(target, "-n", 60, "--edns-size", 4096)
        books = server.books()
        assert "datagrams" not in report and books["num.query.tcp"] == 0, (report, books)
        text = peer("soak", target, "-n", 3)
        text.expect(0, out="(?m)^  answers: 3 NOERROR\n  3 answers were truncated, and asked for again over TCP$")


@harness.changes_machine
def test_queries_go_over_tls():
    certificates = servers.Certificates()
    with Unbound(certificates.make("dns", f"IP:{OWN4}")) as server:
        server.books()
        report = soak(f"dot://{OWN4}", "--queries", queries(server), "-n", 400, "-c", 4, "-P", 8, "--verify",
                      certificates.authority[0])
        books, requests = server.books(), report["requests"]
        assert requests["rcodes"] == {"NOERROR": 300, "NXDOMAIN": 100} and report["errors"]["total"] == 0, report
        assert report["connections"]["established"] == 4 and report["latency_us"]["tls"], report
        assert books["num.query.tls"] == books["total.num.queries"] == 400, books
        report = soak(f"dot://{OWN4}/big.example.test?type=TXT", "-n", 5, "--no-keep-alive")
        assert report["requests"]["completed"] == 5 and report["connections"]["established"] == 5, report


@harness.changes_machine
def test_what_was_expected_decides():
    with Unbound():
        report = soak(f"dns://{OWN4}/none.example.test", "-n", 5, "--expect", "NOERROR", status=1)
        assert report["errors"]["status"] == 5 and report["first_error"] == "NXDOMAIN", report
        assert report["requests"]["rcodes"] == {"NXDOMAIN": 5}, report
        soak(f"dns://{OWN4}/none.example.test", "-n", 5, "--expect", "NOERROR,NXDOMAIN")
        report = soak(f"dns://{OWN4}/www.example.test?class=CH", "-n", 5)  # refused: without access, or by its class
        assert report["requests"]["completed"] == 5, report


@harness.changes_machine
def test_what_goes_over_the_wire_is_well_formed():
    harness.need("tshark")
    with Unbound() as server:
        asked = ("--queries", queries(server), "-n", 40, "-c", 2, "-P", 5)
        for name, count, args in (("udp", 80, (f"dns://{OWN4}", "--dnssec", *asked)),
                                  ("tcp", 80, (f"dns://{OWN4}", "--tcp", *asked)),
                                  ("cut", 8, (f"dns://{OWN4}/big.example.test?type=TXT", "-n", 2))):
            soak(*args, "--pcap", server.path(name))
            messages = dissect(server.path(name))
            assert len(messages) == count, (name, messages)
            assert {severity for ids, severity in messages if severity} <= {"1048576", "2097152"}, messages  # comments


@harness.changes_machine
def test_the_manual_is_right():
    page = os.path.join(os.path.dirname(__file__), "..", "..", "src", "cli", "man", "peer-soak.1")
    with open(page, encoding="utf-8") as file:
        example = re.search(r"^\.Sh DNS.*?^\.Bd.*?\n(.*?)^\.Ed", file.read(), re.S | re.M)[1]
    example = example.replace(r"\en", r"\n").replace("192.0.2.53", OWN4).replace("peer soak", '"$PEER" soak -n 200 --json --from 198.18.0.0/24')
    with Unbound() as server:
        made = json.loads(run("sh", "-ec", example, cwd=server.place, env={**os.environ, "PEER": harness.PEER}))
        assert made["requests"]["completed"] == 200 and made["requests"]["rcodes"] == {"NOERROR": 200}, made
        assert made["connections"]["established"] == 10, made


def test_what_does_not_go_is_refused():
    rows = (
        ((f"http://{OWN4}", "--queries", "f"), "--queries goes with dns:// targets"),
        ((f"http://{OWN4}", "--tcp"), "--tcp goes with dns:// targets"),
        ((f"tcp://{OWN4}:1", "-P", "2"), "-P goes with .*dns://.* targets"),
        ((f"redis://{OWN4}", "--dnssec"), "-e, --edns-size and --dnssec go with dns:// targets"),
        ((f"dns://{OWN4}/a", "--queries", "/dev/null"), "it is no regular file"),
        ((f"dns://{OWN4}",), "give dns://HOST/NAME, or --queries"),
        ((f"dns://{OWN4}/a?type=b",), '"type=b" is no type=AAAA'),
        ((f"dns://{OWN4}/a", "--expect", "200,204"), '"200" is no RCODE'),
    )
    for args, words in rows:
        peer("soak", *args).refused(2, words)
    path = os.path.join(harness.directory, "queries")
    for text, words in ("a A\n\nb\n", 'line 3 of the queries: "b" has no type'), ("a\0 A\n", "a byte of 0"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        peer("soak", f"dns://{OWN4}", "--queries", path).refused(2, words)


if __name__ == "__main__":
    harness.main()
