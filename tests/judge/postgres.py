#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""postgres.py --peer PROGRAM: pg:// against PostgreSQL, whose own books have to agree."""
import glob
import json
import os
import re
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
# pylint: disable=wrong-import-position
import harness
import servers
from harness import OWN4, peer

METHODS = {"by_scram": "scram-sha-256", "by_md5": "md5", "by_plain": "password"}


class Postgres(servers.Server):
    """Runs as nobody, since it refuses to be root; trusts everybody but the users named here, whose password is "secret"."""

    programs = ("psql", "pgbench")
    stop_signal = signal.SIGINT
    ports = (5432,)

    def __init__(self, most=200):
        self.most = most
        harness.need_root()
        super().__init__()
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise harness.Skip("postgresql is not installed")
        self.programs_at = found[-1]
        os.chown(self.place, harness.NOBODY, harness.NOBODY)
        harness.run(*self.as_user(), f"{self.programs_at}/initdb", "-A", "trust", "-U", "postgres", "-N", "-D",
                    self.path("data"))
        with open(self.path("data/pg_hba.conf"), "a", encoding="ascii") as file:
            for user, method in METHODS.items():
                file.write(f"host all {user} all {method}\n")
            file.write("host all all all trust\n")

    @staticmethod
    def as_user():
        nobody = str(harness.NOBODY)
        return ["setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups"]

    def command(self):
        settings = (f"listen_addresses={OWN4}", f"unix_socket_directories={self.place}", "log_connections=on",
                    "fsync=off", f"max_connections={self.most}")
        return [*self.as_user(), f"{self.programs_at}/postgres", "-D", self.path("data"),
                *[word for setting in settings for word in ("-c", setting)]]

    def is_ready(self):
        return "ready to accept connections" in self.read("output")

    def callers(self):
        return re.findall(r"connection authorized|connection received: host=(\S+)", self.read("output"))

    def ask(self, words, database="postgres"):
        return harness.run("psql", "-X", "-At", "-h", self.place, "-U", "postgres", "-d", database, "-c", words).strip()

    def make_users(self):
        for user, method in METHODS.items():
            kind = "md5" if method == "md5" else "scram-sha-256"
            self.ask(f"set password_encryption='{kind}'; create role {user} login password 'secret'")

    def books(self, database):
        """Of pg_stat_database, when all sessions have ended: (transactions, sessions, abandoned)."""
        harness.until("all sessions have ended", lambda: self.ask(
            f"select count(*) from pg_stat_activity where datname='{database}'") == "0")
        return tuple(map(int, self.ask("select xact_commit, sessions, sessions_abandoned + sessions_fatal from "
                                       f"pg_stat_database where datname='{database}'").split("|")))


def soak(*args, status=0):
    result = peer("soak", "--json", *args, limit=120)
    result.expect(status)
    assert "secret" not in result.err, result
    assert b"secret" not in result.out, result
    return json.loads(result.out)


def test_the_books_agree():
    users = {"trusted": "", **{user: ":secret" for user in METHODS}}
    with Postgres() as postgres:
        postgres.make_users()
        postgres.ask("create role trusted login")
        for user, password in users.items():
            postgres.ask(f"create database of_{user}")
            report = soak(f"pg://{user}{password}@{OWN4}/of_{user}", "-c", 8, "-n", 1000,
                          "--requests-per-connection", 7, "--from", servers.PEERS4)
            completed, logins = report["requests"]["completed"], report["logins"]["completed"]
            assert completed == 1000 and report["errors"]["total"] == 0, report
            transactions, sessions, abandoned = postgres.books(f"of_{user}")
            # Logins that were under way at the end are sessions too.
            assert logins <= sessions <= report["connections"]["established"], (logins, sessions, report)
            assert transactions - sessions == completed and abandoned == 0, (transactions, sessions, abandoned)


def test_thousands_of_logins():
    count = 3000
    with Postgres() as postgres:
        postgres.make_users()
        postgres.ask("create database books")
        for user in METHODS:
            report = soak(f"pg://{user}:secret@{OWN4}/books", "-c", 1, "-n", 100, "--no-keep-alive")
            assert report["logins"]["completed"] == 100 and report["errors"]["total"] == 0, report
        assert postgres.books("books") == (600, 300, 0)
        report = soak(f"pg://by_scram:secret@{OWN4}/books", "-c", 20, "-n", count, "--no-keep-alive",
                      "--from", servers.PEERS4)
        assert report["requests"]["completed"] == count <= report["logins"]["completed"], report
        assert report["errors"]["total"] == 0 and report["latency_us"]["login"]["p99"] > 0, report
        transactions, sessions, abandoned = postgres.books("books")
        assert transactions - sessions == 300 + count and abandoned == 0, (transactions, sessions, abandoned)


def test_the_example_of_the_manual():
    words = harness.example("peer-soak.1", "pg://app@192.0.2.80/shop")
    with Postgres() as postgres:
        postgres.ask("create role app login password 'secret'")
        postgres.ask("create database shop")
        report = json.loads(peer(*words, "--json", "-d", "2s", limit=120).expect(0).out)
        assert report["rate"]["asked"] == 200 and report["errors"]["total"] == 0, report
        transactions, sessions, abandoned = postgres.books("shop")
        assert transactions - sessions == report["requests"]["completed"] and abandoned == 0, (sessions, report)


def test_who_is_refused_is_told_why():
    with Postgres(most=20) as postgres:
        postgres.make_users()
        for login, words in (("by_scram:no@", "28P01"), ("by_md5:no@", "28P01"), ("by_plain:no@", "28P01"),
                             ("by_scram@", "there is none"), ("nobody@", "28000")):
            report = soak(f"pg://{login}{OWN4}/postgres", "-n", 5, status=1)
            assert report["errors"]["login"] == 5 == report["errors"]["total"], report
            assert words in report["first_errors"]["login"], report
        report = soak(f"pg://{OWN4}/none", "-n", 5, status=1)
        assert "3D000" in report["first_errors"]["login"], report
        report = soak(f"pg://{OWN4}", "-c", 40, "-d", "1s", status=1)
        assert report["errors"]["full"] == report["errors"]["total"] > 0, report
        assert "53300" in report["first_errors"]["full"] and report["requests"]["completed"] > 0, report


def test_tls_begins_on_the_open_connection():
    with Postgres() as postgres:
        postgres.make_users()
        report = soak(f"pgs://by_scram:secret@{OWN4}/postgres", "-n", 3, status=1)
        assert "does not speak TLS" in report["first_errors"]["login"] and report["errors"]["login"] == 3, report
        certificates = servers.Certificates()
        for file, name in zip(certificates.make("postgres", names=f"IP:{OWN4}"), ("server.crt", "server.key")):
            shutil.copy(file, postgres.path(f"data/{name}"))
            os.chown(postgres.path(f"data/{name}"), harness.NOBODY, harness.NOBODY)
            os.chmod(postgres.path(f"data/{name}"), 0o600)
        postgres.ask("alter system set ssl=on")
        postgres.ask("select pg_reload_conf()")
        harness.until("it has read its settings", lambda: postgres.ask("show ssl") == "on")
        postgres.ask("create database books")
        seen = "select 1 / count(*) from pg_stat_ssl where ssl and pid = pg_backend_pid()"
        report = soak(f"pgs://by_scram:secret@{OWN4}/books", "-c", 4, "-n", 200, "--requests-per-connection", 5,
                      "--body", seen, "--verify", certificates.authority[0])
        assert report["requests"]["completed"] == 200 and report["errors"]["total"] == 0, report
        logins = report["logins"]["completed"]
        assert logins <= report["tls"]["handshakes"] and report["latency_us"]["tls"]["p50"] > 0, report
        transactions, sessions, abandoned = postgres.books("books")
        assert transactions - sessions == 200 and sessions >= logins and abandoned == 0, (transactions, sessions)
        report = soak(f"pgs://by_scram:secret@{OWN4}/books", "-n", 3, "--verify", status=1)
        assert report["errors"]["total"] == 3 == report["errors"]["tls_certificate"], report


def test_the_example_of_the_manual():
    words = harness.example("peer-soak.1", "pg://app@192.0.2.80/shop")
    with Postgres() as postgres:
        postgres.make_users()
        postgres.ask("create role app login password 'secret'")
        postgres.ask("create database shop")
        report = json.loads(peer(*words, "--json", "-d", "2s", limit=60).expect(0).out)
        assert report["requests"]["completed"] == report["logins"]["completed"] > 0 == report["errors"]["total"], report
        transactions, sessions, _ = postgres.books("shop")
        assert sessions == transactions - sessions == report["requests"]["completed"], (transactions, sessions, report)


def test_answers():
    with Postgres() as postgres:
        for body, words in (("SELECT 1; SELECT 2", None), ("", None), ("SELECT repeat('x', 3000000)", None),
                            ("DO $$ begin raise notice 'hey'; end $$", None),
                            ("SELECT generate_series(1, 20000)", None), ("SELECT nothing", "ERROR 42703"),
                            ("SELECT 1/0", "ERROR 22012"), ("COPY pg_class TO STDOUT", "COPY"),
                            ("SELECT pg_terminate_backend(pg_backend_pid())", "FATAL 57P01")):
            report = soak(f"pg://{OWN4}/", "-n", 6, "-P", 3, "--body", body, status=1 if words else 0)
            assert report["requests"]["completed"] == (0 if words else 6), (body, report)
            assert not words or words in report["first_error"], (body, report)
            if words and " " in words:
                assert report["requests"]["sqlstates"][words.split()[1]] >= 1, (body, report)
        assert postgres.ask("select 1") == "1"


if __name__ == "__main__":
    harness.main()
