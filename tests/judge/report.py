# SPDX-License-Identifier: BSD-3-Clause
"""report.py --peer PROGRAM: pages of peer report in Chromium: nothing is complained of, nothing asked for, and what is
seen is what was found."""
import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
# pylint: disable=wrong-import-position
import harness
from harness import peer
from page import check_figures, Page

BROWSERS = ("chromium-headless-shell", "chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
         "--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=5000")
# Of the page, not of the browser: what scripts say, and what the policy forbids.
COMPLAINT = re.compile(r":CONSOLE[:(]|Uncaught|Refused to|SyntaxError|net::ERR")


def browse(page, *flags):
    """What the browser printed, and what it said of the page."""
    found = [browser for browser in BROWSERS if shutil.which(browser)]
    if not found:
        raise harness.Skip("no Chromium is installed")
    profile = f"{harness.directory}/profile"
    done = subprocess.run([found[0], *FLAGS, f"--user-data-dir={profile}", *flags, f"file://{os.path.abspath(page)}"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120,
                          env={**os.environ, "HOME": harness.directory})
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said
    complaints = [line for line in said.splitlines() if COMPLAINT.search(line)]
    assert not complaints, complaints
    return done.stdout.decode()


def soak(*args):
    result = peer("soak", "--json", *args)
    result.expect(0)
    return json.loads(result.out)


def processor_time():
    """Of the browsers that have ended, and all of their processes: those that they leave become ours."""
    with contextlib.suppress(ChildProcessError):
        while os.wait():
            pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size_of(png):
    with open(png, "rb") as file:
        head = file.read(24)
    assert head[:8] == b"\x89PNG\r\n\x1a\n", head
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_the_judge_hears_complaints():
    os.chdir(harness.directory)
    for script in ("undefined_name()", "console.log('x')", "console.error('x')"):
        with open("bad.html", "w", encoding="utf-8") as file:
            file.write(f"<!DOCTYPE html><script>{script}</script>")
        try:
            browse("bad.html", "--dump-dom")
        except AssertionError:
            continue
        raise AssertionError(f"{script} was not heard")


def test_pages_of_all_kinds():
    os.chdir(harness.directory)
    with open("targets", "w", encoding="utf-8") as file:
        file.write("GET /<script>alert(1)</script>\n\nGET /</script><img/src=x/onerror=alert(2)>\n")
    one = soak("-c", "10", "-d", "1s", "-R", "800", "--interval", "50ms", "--result", "one.res", "--report", "one.html",
               "--slo", "p99<10s", "--manner", "stall:20%@100ms", "--link", "delay 1ms")
    two = soak("-c", "5", "-d", "1s", "--interval", "50ms", "--result", "two.res", "--targets", "targets", "--report",
               "two.html")
    soak("-c", "2", "-d", "100ms", "--warmup", "10ms", "--rate-search", "100..400", "--slo", "p99<30s", "--report",
         "search.html", "--tolerate")
    soak("-n", "3", "--report", "short.html")
    peer("report", "one.res", "two.res", "-o", "both.html").expect(0)
    for name, found in (("one", [one]), ("two", [two]), ("both", [one, two]), ("search", []), ("short", [])):
        dom = Page(browse(f"{name}.html", "--dump-dom"))
        assert dom.tags.get("canvas", 0) == len(dom.plots), (name, dom.tags, len(dom.plots))
        assert dom.tags.get("svg", 0) == len(dom.plots), (name, dom.tags)
        assert "img" not in dom.tags, name
        if found:
            check_figures(dom, *found)
            assert len(dom.plots) >= 5, name


def test_light_dark_narrow_and_paper():
    os.chdir(harness.directory)
    soak("-c", "10", "-d", "1s", "--interval", "50ms", "--report", "page.html")
    looks = {}
    for name, size, flags in (("light", "1200,2400", ["--blink-settings=preferredColorScheme=1"]),
                              ("dark", "1200,2400", ["--blink-settings=preferredColorScheme=0"]),
                              ("narrow", "420,2400", [])):
        browse("page.html", f"--window-size={size}", f"--screenshot={harness.directory}/{name}.png", *flags)
        assert size_of(f"{name}.png") == tuple(int(word) for word in size.split(",")), name
        with open(f"{name}.png", "rb") as file:
            looks[name] = file.read()
    assert looks["light"] != looks["dark"], "dark is light"
    browse("page.html", "--no-pdf-header-footer", f"--print-to-pdf={harness.directory}/page.pdf")
    assert os.path.getsize("page.pdf") > 10000


def test_a_million_requests_open_at_once():
    """The page is small, and a second of processor time shows it: what the browser takes by itself is taken off."""
    os.chdir(harness.directory)
    harness.libc.prctl(harness.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    count = 50000 if harness.options.sanitized else 1000000
    found = soak("-n", str(count), "-c", "50", "--interval", "5ms", "--report", "page.html")
    assert found["requests"]["completed"] == count, found["requests"]
    assert os.path.getsize("page.html") < 1000000, os.path.getsize("page.html")
    with open("empty.html", "w", encoding="utf-8") as file:
        file.write("<!DOCTYPE html><title>empty</title>")
    took = {}
    for name in ("empty", "page"):
        times = []
        for _ in range(3):
            begin = processor_time()
            browse(f"{name}.html", "--dump-dom")
            times.append(processor_time() - begin)
        took[name] = min(times)
    print(f"opened in {took['page'] - took['empty']:.2f} s beyond an empty page's {took['empty']:.2f} s")
    assert took["page"] - took["empty"] < 1, took


if __name__ == "__main__":
    harness.main()
