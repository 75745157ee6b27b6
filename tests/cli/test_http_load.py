#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak http:// as people load sites: lists of targets, compared with the books of nginx."""
import collections
import json

import harness
import servers
from harness import OWN4, peer

SITE = """location /a { return 200 "hello"; } location /b { return 404; }
location /c { return 204; } location = /old { return 302 /a; }
location = /far { return 302 http://example.com/a; }"""
LOG = "$request_method $request_uri $status $http_x_who"


def soak(*args, status=0, **more):
    result = peer("soak", "--json", *args, limit=60, **more)
    result.expect(status)
    return json.loads(result.out)


def file(name, text):
    path = f"{harness.directory}/{name}"
    with open(path, "w") as out:
        out.write(text)
    return path


def test_nginx_has_as_many_of_each_target():
    body = file("body", "x" * 1000)
    targets = file("targets", f"# three of them\nGET http://{OWN4}/a?q=1\nX-Who: one\n\n"
                              f"GET /b\n\nPUT /c\n@{body}\n")
    with servers.Nginx(server=SITE, log=LOG) as nginx:
        report = soak(f"http://{OWN4}", "-c", 7, "-n", 301, "--targets", targets, "-H", "X-Who: all")
        books = collections.Counter(nginx.until_lines(301))
    assert books == {"GET /a?q=1 200 one": 101, "GET /b 404 all": 100, "PUT /c 204 all": 100}, books
    assert report["targets"] == [
        {"name": "GET /a?q=1", "completed": 101, "errors": 0, "status_codes": {"200": 101}},
        {"name": "GET /b", "completed": 100, "errors": 0, "status_codes": {"404": 100}},
        {"name": "PUT /c", "completed": 100, "errors": 0, "status_codes": {"204": 100}}], report["targets"]
    assert report["requests"]["status_codes"] == {"200": 101, "204": 100, "404": 100}
    assert report["bytes"]["sent"] > 100 * 1000


def test_targets_at_random_and_from_standard_input():
    with servers.Nginx(server=SITE, log=LOG) as nginx:
        result = peer("soak", f"http://{OWN4}", "-c", 3, "-n", 400, "--targets", "-",
                      "--targets-order", "random", "--json", data=b"GET /a\nGET /b\n", limit=60)
        result.expect(0)
        report = json.loads(result.out)
        books = collections.Counter(line.split()[1] for line in nginx.until_lines(400))
    found = {target["name"].split()[1]: target["completed"] for target in report["targets"]}
    assert found == dict(books) and sum(found.values()) == 400, (found, books)
    assert found["/a"] != found["/b"] or found["/a"] == 200


def test_statuses_are_told_by_code():
    with servers.Nginx(server=SITE):
        result = peer("soak", f"http://{OWN4}", "-n", 20, "--targets", "-",
                      data=b"GET /a\nGET /c\n", limit=60)
        result.expect(0)
        for line in b"answers with status 200: 10", b"answers with status 204: 10", b"10 of GET /a   200: 10":
            assert line in result.out, result.out
        result = peer("soak", f"http://{OWN4}/a", "-n", 20, limit=60)
        assert b"status" not in result.out, result.out


def test_gzip_answers_are_counted_as_they_are():
    page = f"{harness.directory}/page"
    with open(page, "w") as out:
        out.write("all the same " * 10000)
    with servers.Nginx(server=f"root {harness.directory}; gzip on; gzip_types *;",
                       log="$body_bytes_sent $sent_http_content_encoding") as nginx:
        plain = soak(f"http://{OWN4}/page", "-n", 5)
        packed = soak(f"http://{OWN4}/page", "-n", 5, "-H", "Accept-Encoding: gzip")
        books = [line.split() for line in nginx.until_lines(10)]
    assert [row[1] for row in books] == ["-"] * 5 + ["gzip"] * 5, books
    for report, rows in (plain, books[:5]), (packed, books[5:]):
        bodies = sum(int(row[0]) for row in rows)
        assert 0 < report["bytes"]["received"] - bodies < 5 * 400, (report["bytes"], bodies)
    assert plain["bytes"]["received"] > 5 * 130000 > 50 * packed["bytes"]["received"]


def test_redirects_are_followed_as_nginx_has_them():
    with servers.Nginx(server=SITE, log=LOG) as nginx:
        report = soak(f"http://{OWN4}/old", "-c", 3, "-n", 60, "--follow")
        books = collections.Counter(nginx.until_lines(120))
        assert books == {"GET /old 302 -": 60, "GET /a 200 -": 60}, books
        assert report["requests"]["completed"] == report["requests"]["sent"] == 60
        assert report["requests"]["redirects"] == 60 and report["requests"]["status_codes"] == {"200": 60}
        report = soak(f"http://{OWN4}/old", "-n", 20, "--follow", "--no-keep-alive")
        assert report["connections"]["established"] == 40 and report["requests"]["completed"] == 20, report
        report = soak(f"http://{OWN4}/far", "-n", 5, "--follow")
        assert report["requests"]["redirects"] == 0 and report["requests"]["status_codes"] == {"302": 5}
        result = peer("soak", f"http://{OWN4}/old", "-n", 5, "--follow")
        assert b"5 redirects followed" in result.out, result.out


def test_cookies_come_back_to_nginx():
    site = """location /in { add_header Set-Cookie "id=$connection; Path=/"; return 200 "in"; }
location / { return 200 "hello"; }"""
    with servers.Nginx(server=site, log="$uri $http_cookie") as nginx:
        targets = file("targets", "GET /in\nGET /page\n")
        soak(f"http://{OWN4}", "-n", 40, "--targets", targets, "--cookies", "--no-keep-alive")
        books = [line.split() for line in nginx.until_lines(40)]
    pages = [row[1] for row in books if row[0] == "/page"]
    assert len(pages) == 20 and all(text.startswith("id=") for text in pages), books
    assert len(set(pages)) == 20, pages  # each /in was another connection, and gave another
    result = peer("soak", f"http://{OWN4}", "-n", 1, "--cookies", "-H", "Cookie: a=b")
    result.expect(2)
    assert "no header Cookie" in result.err, result.err


def test_pauses_and_arrivals_at_random():
    with servers.Nginx(server=SITE, log=LOG) as nginx:
        report = soak(f"http://{OWN4}/a", "-c", 5, "-n", 60, "--think", "exponential 20ms", "--seed", 1)
        assert report["requests"]["completed"] == 60 and not report["corrected"]
        report = soak(f"http://{OWN4}/a", "-c", 50, "-R", 500, "-n", 200, "--poisson", "--seed", 2)
        assert report["requests"]["completed"] == 200 and report["corrected"]
        assert len(nginx.until_lines(260)) == 260
    for args, word in ((("--think", "often"), "\"often\" is no pause"), (("--poisson",), "need a rate"),
                       (("--think", "uniform 2s 1s"), "shorter"), (("--think", "5parsec"), "no time")):
        result = peer("soak", f"http://{OWN4}", "-n", 1, *args)
        result.expect(2)
        assert word in result.err, (args, result.err)


def test_what_does_not_go_is_told_with_its_line():
    for text, word in (("GET /a\nGET http://192.0.2.99/b\n", "line 2: "), ("nonsense\n", "line 1: "),
                       ("POST /a\n@/nowhere\n", "/nowhere"), ("", "METHOD URL"),
                       ("POST /a\n@/dev/zero\n", "regular")):
        result = peer("soak", f"http://{OWN4}", "-n", 1, "--targets", file("targets", text))
        result.expect(2)
        assert word in result.err, (text, result.err)
    for args, word in ((("--targets-order", "random"), "--targets"),
                       (("--targets", "-", "--method", "PUT"), "--method"),
                       (("--targets", "/nowhere"), "cannot read the targets"),
                       (("--targets", file("t", "GET /\n"), "--targets-order", "no"), "turn, random")):
        result = peer("soak", f"http://{OWN4}", "-n", 1, *args)
        result.expect(2)
        assert word in result.err, (args, result.err)
    result = peer("soak", f"tcp://{OWN4}:7", "-n", 1, "--targets", file("t", "GET /\n"))
    result.expect(2)
    assert "--targets goes with http://" in result.err, result.err


if __name__ == "__main__":
    harness.main()
