# SPDX-License-Identifier: BSD-3-Clause
"""The fixture, as tests of others meet it: pytest runs in a process of its own."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

FAILING = """
    def test_greeting(peer_net):
        net = peer_net(from_="203.0.113.7", seed=11)
        server = net.listen_socket(80)
        flow = net.connect(None, 80)
        flow.send(b"hello")
        assert server.accept()[0].recv(100) == b"good evening"
"""


@pytest.fixture
def run(pytester):
    """Runs pytest on a file of this text."""

    def run_text(text, *options):
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    return run_text


def first_test_of_the_readme():
    """The newcomer's test, and the lines that it has."""
    readme = (pathlib.Path(os.environ["PEER_ROOT"]) / "README.md").read_text()
    section = readme[readme.index("\n## Tests in Python\n"):]
    block = re.search(r"^    def test_[^\n]*\n(?:    [^\n]*\n|\n)*", section, re.MULTILINE)[0].rstrip() + "\n"
    return re.sub(r"^    ", "", block, flags=re.MULTILINE)


def test_the_first_test_of_the_readme_passes(run):
    text = first_test_of_the_readme()
    assert len(text.splitlines()) <= 24
    run(text).assert_outcomes(passed=1)


def test_an_ordinary_user_runs_it_too(public, node):
    place, environment = public
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    text = first_test_of_the_readme().replace("def test_", f"@pytest.mark.peer(device_node={node!r})\ndef test_")
    (place / "test_first.py").write_text("import pytest\n" + text)
    result = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-rs", "-p", "no:cacheprovider", f"--basetemp={place}/tmp",
         "test_first.py"], cwd=place, env=environment, user=65534, group=65534, extra_groups=[], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if " 1 skipped" in result.stdout:
        pytest.skip(re.search(r"SKIPPED.*peer: (.*)", result.stdout)[1])
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout


def test_a_failing_test_leaves_a_capture(run, pytester):
    result = run(FAILING, "--peer-captures=captures")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- peer net -*", "seed: 11", "<peer.Flow 203.0.113.7:* TCP open>: 5 bytes sent*",
                                 "capture: */captures/*test_greeting.pcapng"])
    [capture] = (pytester.path / "captures").iterdir()
    if not shutil.which("tshark"):
        pytest.skip("needs tshark to open the capture")
    out = subprocess.run(["tshark", "-r", capture, "-Y", "tcp.len == 5", "-T", "fields", "-e", "ip.src"], text=True,
                         env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
                         stdout=subprocess.PIPE, check=True).stdout
    assert out == "203.0.113.7\n"


def test_a_passing_test_leaves_none(run, pytester):
    run(FAILING.replace("good evening", "hello"), "--peer-captures=captures").assert_outcomes(passed=1)
    assert list((pytester.path / "captures").iterdir()) == []


def test_captures_of_the_test_itself_stay(run, pytester):
    run("""
        def test_capture(peer_net, tmp_path):
            net = peer_net(pcap="mine.pcapng")
            net.ping()
            net.start_capture("second.pcapng")
            net.ping()
            net.end_capture()
            net.ping()
        """).assert_outcomes(passed=1)
    assert (pytester.path / "mine.pcapng").stat().st_size > 200
    assert (pytester.path / "second.pcapng").stat().st_size > 200


def test_a_machine_that_cannot_is_a_reason_to_skip(run):
    text = """
        import pytest
        @pytest.mark.peer(device_node="/no/such/tun")
        def test_skipped(peer_net):
            peer_net()
        """
    result = run(text, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * peer: */no/such/tun*"])
    run(text, "--peer-required").assert_outcomes(failed=1)


def test_without_user_namespaces_the_reason_has_the_mend(pytester, node):
    """No capabilities, in a namespace that allows no further one."""
    pytester.makepyfile(f"def test_skipped(peer_net):\n    peer_net(device_node={node!r})\n")
    setting = "echo 0 >/proc/sys/user/max_user_namespaces || exit 9; exec setpriv --bounding-set=-all --inh-caps=-all "
    result = pytester.run("unshare", "-U", "-r", "sh", "-c", setting + "--no-new-privs \"$@\"", "sh", sys.executable,
                          "-B", "-m", "pytest", "-rs", "-p", "no:cacheprovider")
    if result.ret in (1, 9) and "test session" not in result.stdout.str():
        pytest.skip("user namespaces are switched off, or their setting is not to be changed here")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * peer: *user namespaces are switched off; try *"])


def test_what_a_test_asked_wrongly_is_no_reason_to_skip(run):
    result = run("""
        def test_words(peer_net):
            peer_net(from_="300.0.0.1")
        """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*300.0.0.1*"])


def test_two_nets_in_a_test_are_an_error(run):
    result = run("""
        def test_two(peer_net):
            peer_net()
            peer_net()

        def test_the_next_has_its_own(peer_net):
            peer_net().close()
            peer_net()
        """)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*this test has a net already*"])


def test_the_marker_gives_defaults(run):
    run("""
        import pytest
        pytestmark = pytest.mark.peer(from_="203.0.113.1", seed=5)

        @pytest.mark.peer(seed=6)
        def test_marked(peer_net):
            info = peer_net(tap=True).info
            assert (info["first_peer"], info["seed"], info["kind"]) == ("203.0.113.1", 6, "tap")
        """, "--strict-markers").assert_outcomes(passed=1)


def test_a_pytest_without_nets_needs_no_library(pytester, monkeypatch):
    monkeypatch.setenv("PEER_LIBRARY", "/no/such/libpeer.so")
    pytester.makepyfile("def test_nothing(): pass")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
