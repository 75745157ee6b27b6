# SPDX-License-Identifier: BSD-3-Clause
"""peer report and --report: a page that has what --json has, and nothing that could be run."""
import json
import os
import signal
import stat

import harness
from harness import Peer, peer
from page import check_alone, check_figures, Page


def read_page(path):
    with open(path, encoding="utf-8") as file:
        page = Page(file.read())
    check_alone(page)
    return page


def soak(*args, status=0):
    result = peer("soak", "--json", *args)
    result.expect(status)
    return json.loads(result.out)


def test_a_soak_writes_its_page():
    os.chdir(harness.directory)
    found = soak("-c", "10", "-d", "800ms", "-R", "500", "--interval", "100ms", "--report", "soak.html", "--slo",
                 "p99<10s", "--slo", "errors<1", "--manner", "stall:20%@100ms", "--link", "delay 1ms")
    page = read_page("soak.html")
    check_figures(page, found)
    words = page.text()
    assert "2 of 2 objectives kept" in words and "stall:20%@100ms" in words, words
    assert not stat.S_IMODE(os.stat("soak.html").st_mode) & 0o077
    rate = page.plot("rate")
    starts, counts = rate["tables"][0][0], rate["tables"][0][1]
    whole = [entry for entry in found["intervals"] if not entry.get("after_end")]
    for start, count, entry in zip(starts, counts, whole):
        assert abs(start - entry["start_s"]) < 1e-4, (start, entry)
        assert abs(count - entry["requests"]["completed"] / entry["duration_s"]) < 1e-2 + count * 1e-4, (count, entry)
    medians = page.plot("latency")["tables"][0][4]
    for median, entry in zip(medians, whole):
        assert median is None or abs(median - entry["latency_us"]["request"]["p50"]) <= median * 1e-4, (median, entry)
    assert {"plot-rate", "plot-latency", "plot-connections", "plot-bytes", "plot-distribution"} <= set(page.ids)
    assert page.tags["svg"] == len(page.plots) and page.tags["caption"] == page.tags["table"]


def test_what_the_application_uses():
    os.chdir(harness.directory)
    found = soak("-c", "10", "-d", "1s", "-R", "200", "--interval", "100ms", "--watch", "--report", "watched.html")
    page = read_page("watched.html")
    looked = [entry for entry in found["intervals"] if entry.get("application")]
    memory = [value for value in page.plot("memory")["tables"][0][1] if value is not None]
    assert looked and memory, (found["intervals"][:2], memory)
    assert "too few samples to tell" in page.text(), page.text()


def test_what_a_journal_has_of_a_run_that_was_killed():
    os.chdir(harness.directory)
    run = harness.Peer("soak", "-c", "2", "-R", "100", "-d", "10m", "--interval", "20ms", "--journal", "run.journal")

    def has_intervals():
        result = peer("merge", "--json", "run.journal")
        return result.status == 0 and len(json.loads(result.out)["intervals"]) > 10
    harness.until("the journal has intervals", has_intervals)
    run.signal(signal.SIGKILL)
    run.wait()
    peer("report", "run.journal", "-o", "killed.html").expect(0, err="did not come to its end")
    page = read_page("killed.html")
    assert "did not come to its end" in page.text() and "plot-rate" in page.ids, page.text()


def test_results_side_by_side():
    os.chdir(harness.directory)
    one = soak("-c", "4", "-d", "500ms", "--interval", "50ms", "--result", "one.res")
    os.mkdir("sub")
    other = soak("-c", "2", "-d", "500ms", "--interval", "50ms", "--no-keep-alive", "--result", "sub/two.res")
    peer("report", "one.res", "-o", "one.html").expect(0)
    check_figures(read_page("one.html"), one)
    peer("report", "one.res", "sub/two.res", "-o", "both.html", "--title", "Before & after").expect(0)
    page = read_page("both.html")
    check_figures(page, one, other)
    assert [line["name"] for line in page.plot("rate")["lines"]] == ["one.res: requests answered",
                                                                     "two.res: requests answered"]
    words = page.text()
    assert "Before & after" in words and ("worse" in words or "better" in words), words
    result = peer("report", "one.res", "sub/two.res", "one.res", "-o", "-")
    result.expect(0)
    assert len(Page(result.out.decode()).plot("rate")["lines"]) == 3
    # The sum of parts is a result as others are, and its page is made at once, too.
    peer("merge", "one.res", "--result", "sum.res", "--report", "sum.html").expect(0)
    check_figures(read_page("sum.html"), one)
    peer("report", "sum.res", "-o", "again.html").expect(0)
    with open("sum.html", "rb") as first, open("again.html", "rb") as second:
        assert first.read() == second.read(), "the same result makes another page"


def test_a_search_is_in_the_result():
    os.chdir(harness.directory)
    found = soak("-c", "2", "-d", "100ms", "--warmup", "10ms", "--rate-search", "100..400", "--slo", "p99<30s",
                 "--result", "search.res", "--tolerate")
    peer("report", "search.res", "-o", "search.html").expect(0)
    page = read_page("search.html")
    steps = found["rate_search"]["steps"]
    table = page.plot("search-0")["tables"][0]
    assert sorted(step["rate"] for step in steps) == table[0], (steps, table)
    assert "p99<30s" in page.text() and f"{found['rate_search']['highest']:.10g}/s" in page.text(), page.text()


def test_without_intervals():
    os.chdir(harness.directory)
    found = soak("-n", "5", "--report", "short.html")
    page = read_page("short.html")
    check_figures(page, found)
    assert "no plots over time" in page.text() and "plot-rate" not in page.ids, page.text()


def test_words_of_others_are_text():
    os.chdir(harness.directory)
    evil = "/<script>alert(1)</script>'\"&"
    with open("targets", "w", encoding="utf-8") as file:
        file.write(f"GET {evil}\n\nGET /plain\n")
    soak("-n", "40", "--targets", "targets", "--result", "evil.res")
    name = "<img src=x onerror=alert(2)>.res"
    os.rename("evil.res", name)
    peer("report", name, name, "-o", "evil.html", "--title", "</title><script>").expect(0)
    soak("-n", "5", "--report", "plain.html")
    page = read_page("evil.html")
    assert page.tags["script"] == read_page("plain.html").tags["script"], page.tags
    assert "img" not in page.tags, page.tags
    words = page.text()
    assert "<script>alert(1)" in words and "onerror=alert(2)" in words, words


def test_files_that_cannot_be():
    os.chdir(harness.directory)
    peer("soak", "-n", "5", "--result", "good.res").expect(0)
    with open("good.res", "rb") as file:
        whole = file.read()
    with open("cut.res", "wb") as file:
        file.write(whole[:len(whole) // 2])
    with open("later.res", "wb") as file:
        file.write(whole.replace(b"peer result 1", b"peer result 7"))
    for args, status, words in (
            (["good.res"], 2, r"where does the page go\? -o FILE"),
            (["-o", "x.html"], 2, r"which results\?"),
            (["good.res"] * 9 + ["-o", "x.html"], 2, "9 results are too many to compare: 8 at the most"),
            (["nothing.res", "-o", "x.html"], 2, 'peer: cannot read "nothing.res": No such file'),
            (["/proc/self/status", "-o", "x.html"], 2, "it is no result of peer"),
            (["cut.res", "-o", "x.html"], 2, 'peer: cannot read "cut.res": it is cut off'),
            (["later.res", "-o", "x.html"], 2, 'peer: cannot read "later.res": it is no result of peer'),
            (["good.res", "-o", "./good.res"], 2, '"good.res" is a result, and would be overwritten'),
            (["good.res", "-o", "no/where.html"], 3, 'peer: cannot write "no/where.html": No such file'),
            (["good.res", "-o", "/dev/full"], 3, 'peer: cannot write "/dev/full": No space left'),
            (["good.res", "-o", "x.html", "--slo", "p99<1"], 2, "is no objective"),
            (["good.res", "-o", "x.html", "--slo", "p99<1us"], 1, "not kept: p99<1us"),
    ):
        peer("report", *args).expect(status, err=words)
    with open("good.res", "rb") as file:
        assert file.read() == whole, "a result was overwritten"
    assert "0 of 1 objective kept" in read_page("x.html").text()


def test_a_file_is_written_by_one_alone():
    os.chdir(harness.directory)
    peer("soak", "-n", "5", "--result", "kept.res").expect(0)
    os.link("kept.res", "linked.res")
    with open("kept.res", "rb") as file:
        whole = file.read()
    for args in (("--result", "kept.res", "--report", "linked.res"), ("--hdr", "kept.res", "--journal", "./kept.res"),
                 ("--result", "kept.res", "--pcap", "kept.res"), ("--report", "new", "--result", "new")):
        peer("soak", "-n", "5", *args).refused(2, "--.* and --.* are the same file")
    for option in ("--report", "--hdr"):
        peer("merge", "kept.res", option, "linked.res").expect(2, err='"kept.res" is a result, and would be overwritten')
    with open("kept.res", "rb") as file:
        assert file.read() == whole, "a result was overwritten"
    assert not os.path.exists("new")
    peer("soak", "-n", "5", "--result", "/dev/null", "--report", "/dev/null").expect(0)


def test_a_run_that_never_began_leaves_what_was_there():
    os.chdir(harness.directory)
    for name in ("a.res", "a.html"):
        with open(name, "w") as file:
            file.write("of yesterday, and longer than what comes now is not\n" * 10000)
    outputs = ("--result", "a.res", "--report", "a.html")
    peer("soak", "http://192.0.2.1/", "-n", "5", *outputs).expect(3, err="no address of this machine")
    for name in ("a.res", "a.html"):
        with open(name) as file:
            assert file.read().startswith("of yesterday"), name
    peer("soak", "-n", "5", *outputs).expect(0)
    assert b"of yesterday" not in open("a.res", "rb").read()
    read_page("a.html")
    peer("merge", "a.res").expect(0)
    for option in ("--result", "--report", "--hdr"):
        peer("soak", "-n", "5", option, "-").refused(2, "standard output has the report")
    assert not os.path.exists("-")


def test_two_runs_do_not_share_a_journal_or_a_ring():
    os.chdir(harness.directory)
    first = Peer("soak", "-d", "10m", "-R", "100", "--journal", "j", "--pcap", "c", "--pcap-rotate", "128k:3")
    harness.until("a journal and a ring that came round", lambda: os.path.exists("c.1") and os.path.getsize("j"))
    peer("soak", "-n", "1", "--journal", "j").refused(3, "cannot write the journal to j: another process writes it")
    peer("soak", "-n", "1", "--pcap", "c", "--pcap-rotate", "128k:3") \
        .refused(3, "cannot write the ring of captures to c: another process writes it")
    first.stop().expect(0)
    peer("merge", "j").expect(0)
    peer("soak", "-n", "7", "--journal", "j", "--pcap", "c", "--pcap-rotate", "128k:3").expect(0)
    assert json.loads(peer("merge", "--json", "j").expect(0).out)["requests"]["completed"] == 7


def test_a_journal_stays_until_the_next_run_begins():
    os.chdir(harness.directory)
    peer("soak", "-n", "5", "--journal", "kept", "--seed", 7).expect(0)
    before = open("kept", "rb").read()
    options = ("--journal", "kept", "--from", "198.18.0.0/24", "--seed", 8)
    never = (
        (("http://192.0.2.1/",), 3, "no address of this machine"),
        ((f"http://{harness.OWN4}/", "--dev", "lo"), 3, "lo"),
        (("--link", "delay nonsense"), 2, "delay"),
        (("--manner", "nonsense"), 2, "nonsense"),
        (("-c", "2", "--workers", "4"), 2, "cannot be shared by 4 workers"),
        ((f"http://{harness.OWN4}/", "--pcap", "no/where"), 2, "no/where"),
        ((f"http://{harness.OWN4}/", "--control", "no/where"), 3, "no/where"),
        (("http://192.0.2.80/", "--isolate", "--", "/no/such/program"), 2, "/no/such/program"),
    )
    for args, status, words in never:
        peer("soak", *options, *args).expect(status, err=words)
        assert open("kept", "rb").read() == before, args
    waiting = Peer("soak", "--start-at", "2100-01-01T00:00:00Z", *options, "--workers", "2", "-c", "4", "--metrics",
                   "127.0.0.1:0")
    waiting.wait_err("metrics")
    assert open("kept", "rb").read() == before
    waiting.signal(signal.SIGKILL)
    waiting.wait()
    assert open("kept", "rb").read() == before
    peer("merge", "--json", "kept").expect(0)
    peer("soak", "-n", "6", *options).expect(0)
    kept = json.loads(peer("merge", "--json", "kept").expect(0).out)
    assert kept["requests"]["completed"] == 6 and kept["parts"][0]["seed"] == 8, kept
    assert not os.path.exists("kept.new")
    peer("soak", "-n", "5", "--journal", "no/where").refused(2, "no/where")


def test_where_the_page_goes_is_known_before_the_run():
    os.chdir(harness.directory)
    os.mkfifo("fifo")
    peer("soak", "-d", "10m", "--report", "no/where.html").expect(3, err='cannot write "no/where.html"')
    peer("soak", "-d", "10m", "--report", "fifo").expect(3, err='cannot write "fifo": nobody reads it')
    read_end = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    run = harness.Peer("soak", "-n", "5", "--report", "fifo")
    got = b""
    os.set_blocking(read_end, True)
    harness.until("the page begins", lambda: harness.select.select([read_end], [], [], 0)[0])
    while chunk := os.read(read_end, 65536):
        got += chunk
    os.close(read_end)
    run.wait().expect(0)
    check_alone(Page(got.decode()))


if __name__ == "__main__":
    harness.main()
