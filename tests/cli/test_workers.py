# SPDX-License-Identifier: BSD-3-Clause
"""--workers: one run in several processes is the run of one: counts, addresses, rates, ends."""
import collections
import json
import os
import signal

import harness
from harness import OWN4, OWN6, Capture, Peer, peer, run, until
from servers import Nginx
from test_privileges import check_confined, descriptors

URL = f"http://{OWN4}/"


def soak(*args, status=0, **more):
    result = peer("soak", "--json", *args, limit=120, **more)
    result.expect(status)
    return json.loads(result.out)


def workers():
    """Those below this test."""
    found = []
    for pid in harness.descendants():
        try:
            with open(f"/proc/{pid}/comm") as file:
                if file.read() == "peer-worker\n":
                    found.append(pid)
        except OSError:
            pass
    return found


def started(count, *args):
    """A soak that goes on until it is ended, and its workers."""
    soaking = Peer("soak", "--json", "-d", "1h", "-c", 4 * count, "--workers", count, *args)
    found = until(f"{count} workers", lambda: soaking.process.poll() is not None or
                  len(workers()) == count and workers())
    assert found is not True, soaking.result()
    return soaking, found


def test_each_address_is_one_workers():
    with Nginx() as nginx:
        done = 0
        for count, options in ((2, ()), (4, ()), (8, ()), (3, ("--tap",)), (8, ("--tap",))):
            report = soak(URL, "--workers", count, "-c", 16, "-n", 403, "--no-keep-alive", "--from", "198.18.0.0/23",
                          *options)
            assert report["requests"]["completed"] == report["requests"]["sent"] == 403, report["requests"]
            assert report["connections"]["established"] == 403 and report["errors"]["total"] == 0, report
            assert report["workers"]["count"] == count and not report["local"]["device_drops"], report
            books = nginx.until_lines(done + 403)[done:]
            assert len(books) == 403 == len(set(books)), (count, options, len(books), len(set(books)))
            done += 403


def test_a_processor_is_left_to_the_application():
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise harness.Skip("one processor: there is none to leave")
    options = ("--workers", len(cpus), "-c", 4 * len(cpus), "-d", "0.5", "--from", "198.18.0.0/24")
    with Nginx():
        report = soak(URL, *options)
        assert report["workers"]["cpu_left_s"] > 0, report["workers"]
        report = soak(URL, *options, "--cpus", cpus[0])
        assert report["workers"]["pinned"] and report["workers"]["cpu_left_s"] == 0, report["workers"]


def test_addresses_in_parts_and_ipv6():
    with Nginx() as nginx:
        parts = "198.18.0.7,198.18.3.0/29,198.18.1.1-198.18.1.40,198.18.0.1,198.18.9.9"
        soak(URL, "--workers", 5, "-c", 10, "-n", 45, "--no-keep-alive", "--from", parts)
        assert len(set(nginx.until_lines(45))) == 45
        for options in ((), ("--tap",)):
            before = len(nginx.books())
            report = soak(f"http://[{OWN6}]/", "--workers", 4, "-c", 8, "-n", 200, "--no-keep-alive", "--from",
                          "2001:2::/119", *options)
            assert report["errors"]["total"] == 0, report
            assert len(set(nginx.until_lines(before + 200)[before:])) == 200, options


def test_frames_that_come_to_another_worker_are_passed_on():
    harness.own_node()  # nobody may load no program: the kernel guesses, and learns
    for options in ((), ("--tap",), ("-6",), ("-6", "--tap")):
        from_ = "2001:2::/120" if "-6" in options else "198.18.0.0/24"
        report = soak("-c", 32, "-n", 2000, "--no-keep-alive", "--workers", 4, "--from", from_, *options, nobody=True)
        assert not report["workers"]["steered"] and report["workers"]["frames_passed"] > 0, report["workers"]
        assert report["requests"]["completed"] == 2000 and report["errors"]["total"] == 0, report
        assert report["tcp"]["retransmits"] == 0, report["tcp"]


def test_rates_and_numbers_are_exact():
    """So many flows that none is awaited where a busy machine stops us, or nginx, for 300 ms."""
    with Nginx():
        for count in (2, 3, 7):
            report = soak(URL, "--workers", count, "-c", 241, "-R", 700, "-d", 1, "--from", "198.18.0.0/24")
            assert report["requests"]["sent"] == report["requests"]["completed"] == 700, (count, report["requests"])
            assert report["connections"]["established"] <= 241 and report["rate"]["asked"] == 700, report["rate"]
        for warmup in ("0", "210ms"):
            report = soak(URL, "--workers", 3, "-c", 7, "-R", 500, "-n", 100, "--from", "198.18.0.0/24", "--interval", "50ms",
                          "--warmup", warmup)
            assert report["requests"]["completed"] == 100, report["requests"]
            assert sum(entry["requests"]["completed"] for entry in report["intervals"]) == 100, report["intervals"]
            starts = [entry["start_s"] for entry in report["intervals"]]
            assert starts == sorted(set(starts)), starts


def test_every_flow_is_opened():
    report = soak("--idle", "-c", 101, "-d", 1, "--workers", 4, "--touch", 101, f"tcp://{OWN4}:7", "--from",
                  "198.18.0.0/24", "--isolate", "--", harness.PEER, "application", "echo:7")
    assert report["connections"]["established"] == report["open_most"] == 101, report
    report = soak("udp://192.0.2.80:7", "-c", 10, "-n", 300, "--workers", 3, "--from", "198.18.0.0/24", "--isolate",
                  "--", harness.PEER, "application", "echo:7")
    assert report["requests"]["completed"] == 300, report


def test_shares_of_manners_are_those_of_all():
    report = soak("-c", 40, "-d", "300ms", "--workers", 3, "--from", "198.18.0.0/24", "--manner", "vanish:10%",
                  "--manner", "stall:5%", "--manner", "reset:5%@request")
    assert [manner["flows"] for manner in report["manners"]] == [4, 2, 2], report["manners"]
    assert report["connections"]["established"] >= 32, report["connections"]


def test_objectives_searches_and_streams():
    with Nginx():
        given = ("--workers", 2, "-c", 8, "--from", "198.18.0.0/24")
        result = peer("soak", URL, *given, "-n", 200, "--slo", "p99<1us", "--slo", "errors<1%")
        result.expect(1, err="p99<1us")
        soak(URL, *given, "-n", 200, "--slo", "errors<1%@each")
        report = soak(URL, *given, "--rate-search", "50..100", "--slo", "errors<1%", "-d", "300ms", "--warmup", "100ms")
        assert report["rate_search"]["highest"] and len(report["rate_search"]["steps"]) >= 2, report["rate_search"]
        lines = peer("soak", URL, *given, "--json-stream", "--interval", "100ms", "-R", 200, "-d", 1).expect(0).out
        entries = [json.loads(line) for line in lines.splitlines()]
        assert [entry["type"] for entry in entries].count("report") == 1 and entries[-1]["type"] == "report"
        total = sum(entry["requests"]["completed"] for entry in entries[:-1])
        assert total == 200 == entries[-1]["requests"]["completed"], (total, entries[-1]["requests"])
        peer("soak", URL, *given, "-n", 100).expect(0, out=r"2 workers on CPUs [\d,-]+, each frame to its own by")


def test_shards_of_workers_are_merged():
    with Nginx() as nginx:
        paths = []
        for shard in range(2):
            paths.append(f"{harness.directory}/result{shard}")
            report = soak(URL, "--shard", f"{shard}/2", "--workers", 2, "-c", 9, "-n", 101, "--no-keep-alive", "--from",
                          "198.18.0.0/24", "--seed", 5, "--result", paths[-1])
            assert report["shard"] == {"rank": shard, "size": 2}, report["shard"]
        books = nginx.until_lines(101)
        assert len(books) == 101 == len(set(books))
        merged = json.loads(peer("merge", "--json", *paths).expect(0).out)
        assert merged["requests"]["completed"] == 101 and merged["connections"]["established"] == 101, merged


def test_an_ordinary_user_has_workers_for_all_of_it():
    harness.own_node()
    place = f"{harness.directory}/nobody"
    os.mkdir(place)
    os.chown(place, harness.NOBODY, harness.NOBODY)
    given = ("--workers", 2, "-c", 8, "--from", "198.18.0.0/24")
    report = soak("http://192.0.2.80/", *given, "-n", 300, "--isolate", "--", harness.PEER, "application", "http:80",
                  nobody=True)
    assert report["requests"]["completed"] == 300 and report["errors"]["total"] == 0, report
    report = soak(*given, "-n", 300, "--report", f"{place}/page", "--result", f"{place}/result", "--journal",
                  f"{place}/journal", "--metrics", "127.0.0.1:0", "--control", f"{place}/socket", "--pcap", f"{place}/ring",
                  "--pcap-rotate", "1M:3", "--watch", "--shard", "1/2", "--slo", "errors < 1 %", nobody=True)
    assert report["requests"]["completed"] == 150 and report["slo"][0]["kept"], report
    assert report["application"]["processes"], report["application"]
    report = soak(*given, "--rate-search", "50..100", "--slo", "errors<1%", "-d", "300ms", "--warmup", "100ms", nobody=True)
    assert report["rate_search"]["highest"] == 100, report["rate_search"]
    for name in ("result", "journal"):
        merged = json.loads(peer("merge", "--json", f"{place}/{name}").expect(1, err="shard 0 of 2 is missing").out)
        assert merged["requests"]["completed"] == 150, merged


def test_a_seed_gives_the_same_run():
    books = []
    for _ in range(2):
        with Nginx(log="$remote_addr $remote_port") as nginx:
            soak(URL, "--workers", 3, "-c", 6, "-n", 60, "--no-keep-alive", "--from", "198.18.0.0/24", "--seed", 9)
            books.append(sorted(nginx.until_lines(60)))
    assert books[0] == books[1], books


def test_one_capture_has_all_frames():
    path = f"{harness.directory}/all.pcapng"
    with Nginx():
        report = soak(URL, "--workers", 4, "-c", 8, "-n", 200, "--no-keep-alive", "--from", "198.18.0.0/24", "--pcap", path)
    with open(path, "rb") as file:
        capture = Capture(file.read())
    peers, sequences = collections.Counter(), {}
    for _, direction, data, _ in capture.packets:
        if data[9] != 6:
            continue
        address = data[12:16] if direction == 1 else data[16:20]
        if direction == 1 and data[33] & 2:
            peers[address] += 1
        sequences.setdefault((address, direction), []).append(data[33])
    assert len(peers) == 200 and set(peers.values()) == {1}, (len(peers), peers.most_common(3))
    assert len(sequences) == 400 and all(flags[0] & 2 for flags in sequences.values()), "a SYN is not its flow's first"
    assert report["requests"]["completed"] == 200
    peer("soak", URL, "-c", 4, "--workers", 2, "--from", "198.18.0.0/24", "--pcap", "/dev/null") \
        .refused(2, "--workers share a capture when it is a file")


def under_way(count, *args):
    """As started, and what they do is being measured."""
    soaking, found = started(count, "--json-stream", "--interval", "50ms", *args)
    until("intervals", lambda: soaking.out().count(b'"type":"interval"') > 1)
    return soaking, found


def killed(number, *args):
    """What a soak says of which one worker was killed when all had been answered."""
    soaking, found = under_way(3, *args)
    os.kill(found[number], signal.SIGKILL)
    result = soaking.wait()
    result.expect(3, err=rf"worker \d of 3 \(process {found[number]}\) was killed by signal 9 \(Killed\), "
                         "and its part of the run is lost: the run ends")
    assert not workers()
    return result


def test_one_that_is_killed_ends_the_run_and_the_others_report():
    path, page, journal = (f"{harness.directory}/{name}" for name in ("result", "page.html", "journal"))
    result = killed(1, "-R", 300, "--result", path, "--report", page,
                    "--journal", journal, "--slo", "errors<1%")
    lines = [json.loads(line) for line in result.out.splitlines()]
    report = lines[-1]
    assert report["type"] == "report" and report["partial"] == {"workers": 3, "lost": 1}, report
    requests, connections = report["requests"], report["connections"]
    assert requests["completed"] == requests["sent"] and report["errors"]["total"] == 0, report
    assert connections["established"] == 8 and report["latency_us"]["request"]["min"] > 0, report
    assert report["rate"]["asked"] == 200, report["rate"]  # of those who are left
    told = sum(line["requests"]["completed"] for line in lines[:-1])
    assert told > requests["completed"], (told, requests)  # intervals are of all, up to then
    text = peer("merge", path).expect(1, err=rf'"{path}" is partial: 1 of its 3 workers was lost').out.decode()
    assert "PARTIAL: 1 of 3 workers was lost" in text and ", without 1 of 3 workers" in text, text
    merged = json.loads(peer("merge", "--json", path).expect(1).out)
    assert merged["partial"] == {"workers": 3, "lost": 1}, merged
    assert merged["parts"][0]["workers"] == {"count": 3, "lost": 1}, merged["parts"]
    assert merged["requests"]["completed"] == requests["completed"]
    again = f"{harness.directory}/again.html"
    peer("report", journal, "-o", again).expect(0, err=rf'"{journal}" is partial: 1 of its 3 workers was lost')
    for file in (page, again):
        assert "This is a partial result: 1 of the 3 workers on " in open(file).read()


def test_a_shard_without_some_workers_is_named():
    paths = [f"{harness.directory}/shard{shard}" for shard in range(2)]
    given = ("--from", "198.18.0.0/24", "--result")
    killed(0, "--shard", "0/2", *given, paths[0])
    soak("-d", "200ms", "-c", 6, "--workers", 2, "--interval", "50ms", "--shard", "1/2", *given, paths[1])
    result = peer("merge", "--json", *paths)
    result.expect(1, err=rf'"{paths[0]}", shard 0 of 2, is partial: 1 of its 3 workers was lost, and what it found')
    assert "shard 1 of 2" not in result.err and json.loads(result.out)["partial"] == {"workers": 5, "lost": 1}


def test_a_search_ends_with_a_worker():
    soaking, found = started(2, "--rate-search", "10..20", "--slo", "errors<1%")
    os.kill(found[0], signal.SIGKILL)
    result = soaking.wait()
    result.expect(3, err=r"worker 1 of 2 \(process \d+\) was killed by signal 9")
    assert not workers()


def test_when_all_are_killed_there_is_nothing_to_report():
    soaking, found = under_way(2)
    soaking.signal(signal.SIGSTOP)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    soaking.signal(signal.SIGCONT)
    result = soaking.wait()
    result.expect(3, err=r"worker (1|2) of 2 .*: the run ends\n.*worker (?!\1)[12] of 2 .*its part of the run is lost$")
    assert b'"report"' not in result.out and not workers()


def killed_while_others_are_made(count):
    """The end of a soak of which a worker was killed before all were there; None: they were too quick."""
    soaking = Peer("soak", "--json", "-d", "1h", "-c", 128, "--workers", count)
    first = until("a worker", workers)
    soaking.signal(signal.SIGSTOP)
    until("the stop", lambda: open(f"/proc/{soaking.pid}/stat").read().rpartition(")")[2].split()[0] == "T")
    early = len(workers()) < count
    if early:
        os.kill(first[0], signal.SIGKILL)
    soaking.signal(signal.SIGCONT)
    result = soaking.wait() if early else soaking.stop()
    return early and (result, first[0])


def test_one_that_is_killed_before_the_run_is_named():
    result, pid = until("a worker that is early enough", lambda: killed_while_others_are_made(128))
    result.expect(3, err=rf"worker \d+ of 128 \(process {pid}\) was killed by signal 9 \(Killed\) before the run began")
    assert not result.out and not workers()


def test_ctrl_c_reports():
    with Nginx(log="$remote_addr") as nginx:
        for number, to_all in ((signal.SIGINT, False), (signal.SIGTERM, True)):
            before = len(nginx.books())
            soaking, found = started(2, URL, "--from", "198.18.0.0/24")
            until("a request of each flow", lambda: len(set(nginx.books()[before:])) == 8)
            for pid in [soaking.pid] + (found if to_all else []):
                os.kill(pid, number)
            report = json.loads(soaking.wait().expect(0).out)
            assert report["workers"]["count"] == 2 and report["errors"]["total"] == 0, report
            assert report["connections"]["closed"] == report["connections"]["established"] == 8, report["connections"]


def test_nobody_outlives_a_coordinator_that_is_killed():
    with Nginx():
        soaking, found = started(3, URL, "--from", "198.18.0.0/24")
        soaking.signal(signal.SIGKILL)
        soaking.wait()
        until("the end of the workers", lambda: not set(found) & set(workers()))
        harness.await_guardians()
        assert not harness.peer_links()


def test_workers_have_no_privileges():
    with Nginx():
        soaking, found = started(2, URL, "--from", "198.18.0.0/24")
        until("the filters", lambda: all("Seccomp:\t2" in open(f"/proc/{pid}/status").read() for pid in found))
        for pid in found:
            check_confined(pid)
            kinds = collections.Counter(descriptors(pid))
            # Its queue; to the coordinator, its inbox and that of the other; what tells of itself.
            assert kinds["/dev/net/tun"] == 1 and kinds["socket:[]"] == 3, kinds
            assert not [kind for kind in kinds if kind.startswith(("anon_inode", "pipe", "/proc//task"))], kinds
        soaking.stop().expect(0)


def test_they_run_where_they_are_told_to():
    allowed = sorted(os.sched_getaffinity(0))
    soaking, found = started(3, "--cpus", ",".join(map(str, allowed[:2])))
    places = collections.Counter(tuple(os.sched_getaffinity(pid)) for pid in found)
    assert set(places) == {(cpu,) for cpu in allowed[:2]} and sum(places.values()) == 3, places
    report = json.loads(soaking.stop().expect(0).out)
    assert report["workers"]["cpus"] == ",".join(map(str, allowed[:2])) and report["workers"]["pinned"]


def test_news_of_the_kernel_reach_them():
    path = f"{harness.directory}/mtu.pcapng"
    with Nginx():
        soaking, _ = started(2, URL, "--from", "198.18.0.0/24", "--no-keep-alive", "--pcap", path)
        name = until("the device", harness.peer_links)[0]
        run("ip", "link", "set", name, "mtu", "1300")
        until("the MTU", lambda: b"\x02\x04\x04\xec" in open(path, "rb").read())  # MSS 1260 in a SYN
        soaking.stop().expect(0, err="the MTU of .* is 1300 now")
        run("ip", "addr", "add", "10.9.0.77/32", "dev", "eth0")
        soaking, _ = started(2, "http://10.9.0.77/", "--from", "198.18.0.0/24")
        run("ip", "addr", "del", "10.9.0.77/32", "dev", "eth0")
        soaking.wait().expect(3, err="10.9.0.77 is no address of this machine any more")
        soaking, _ = started(2, URL, "--from", "198.18.0.0/24")
        run("ip", "link", "del", until("the device", harness.peer_links)[0])
        soaking.wait().expect(3, err="the device is gone")


def test_they_are_steered():
    path = f"{harness.directory}/control"
    with Nginx():
        soaking, _ = started(3, URL, "--from", "198.18.0.0/24", "-R", 50, "--control", path)
        until("the socket", lambda: os.path.exists(path))
        for order in ("link delay 5ms", "rate 1000", "manner vanish:10%", "pause", "resume"):
            peer("control", path, order).expect(0, out="ok")
        peer("control", path, "manner nonsense").expect(1)
        report = json.loads(soaking.stop().expect(0).out)
    assert [change["words"] for change in report["changes"]] == \
        ["link delay 5ms", "rate 1000", "manner vanish:10%", "pause", "resume"], report["changes"]
    assert 50 < report["rate"]["asked"] <= 1000 and report["manners"], report["rate"]


def test_what_cannot_be():
    rows = (
        (("-c", 2, "--workers", 4), r"2 flows \(-c\) cannot be shared by 4 workers"),
        (("--workers", 4), r"1 flow \(-c\) cannot be shared by 4 workers"),
        (("-c", 9, "-n", 3, "--workers", 4), r"3 requests \(-n\) cannot be shared by 4 workers"),
        (("-c", 9, "--workers", 4, "--from", "198.18.0.1-198.18.0.3"), "3 addresses of peers cannot be shared by 4 workers"),
        (("--workers", "some"), "neither auto nor a number"),
        (("--workers", 0), "neither auto nor a number from 1 to 128"),
        (("--cpus", 0), "--cpus goes with --workers"),
        (("-c", 4, "--workers", 2, "--cpus", "1-"), "is no list of CPUs"),
        (("-c", 4, "--workers", 2, "--cpus", 1023), r"worker 1 cannot run on CPU 1023 \(--cpus\)"),
    )
    for args, text in rows:
        peer("soak", *args).refused(2, text)
    peer("soak", URL, "-c", 4, "--workers", 2).refused(2, "--workers share the peers' addresses.*--from")
    report = soak("--workers", "auto", "-c", 1, "-n", 5)
    assert "workers" not in report, report["workers"]


if __name__ == "__main__":
    harness.main()
