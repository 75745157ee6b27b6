# SPDX-License-Identifier: BSD-3-Clause
"""Soaks that go on: steered, watched, and kept in a journal."""

import collections
import os
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Optional, Sequence, Union

from ._errors import Error
from ._library import Struct, check, error_new, ffi, filled, lib, listed, nanoseconds, record
from ._report import Target, result_report, soak_config

if TYPE_CHECKING:
    from ._net import Net

Path = Union[str, "os.PathLike[str]"]
#: The processes by their numbers; True: whoever listens at the target.
Watched = Union[bool, int, Iterable[int]]

_HISTOGRAMS = ("request", "handshake", "first_byte", "login", "tls", "will", "ping")


def _histogram(name: str) -> int:
    if name not in _HISTOGRAMS:
        raise Error(22, f"'{name}' is none of {', '.join(_HISTOGRAMS)}")
    return int(getattr(lib, f"PEER_HISTOGRAM_{name.upper()}"))


def _new_journal(path: Path) -> Any:
    place, error = ffi.new("struct peer_journal **"), error_new()
    check(lib.peer_journal_new(os.fsencode(path), place, error), "journal", error)
    return place[0]


def _new_watch(net: "Net", watch: Watched, soak: Any) -> Any:
    values: dict[str, Any] = {"to_port": soak.to_port, "udp": soak.udp}
    if watch is not True:
        pids = [watch] if isinstance(watch, int) else list(watch)
        values.update(pids=pids, pid_count=len(pids))
    config = Struct("peer_watch_config", values)
    config.it.to = soak.to
    place, error = ffi.new("struct peer_watch **"), error_new()
    check(lib.peer_watch_new_sized(net._pointer, config.it, config.size, place, error), "watch", error)
    return place[0]


class Soak:
    """A soak that goes on while the net is dispatched: wait() does that, and so does all else that waits.
    Made by Net.start_soak(). A context manager: at its end what goes on is ended by resets.

        with net.start_soak("http://192.0.2.80/", flows=100, rate=500, duration=60) as soak:
            soak.wait(20)
            soak.set_rate(1000)
            report = soak.finish()
    """

    def __init__(self, net: "Net", target: Target, config: Mapping[str, Any], journal: Optional[Path],
                 watch: Watched) -> None:
        self._net = net
        self._soak = self._journal = self._watch = ffi.NULL
        self._ended = False
        self._intervals: collections.deque[dict[str, Any]] = collections.deque(maxlen=4096)
        self._config = soak_config(net, target, config)
        try:
            if watch is not False:
                self._watch = self._config.it.watch = _new_watch(net, watch, self._config.it)
            if journal is not None:
                self._journal = self._config.it.journal = _new_journal(journal)
            place, error = ffi.new("struct peer_soak **"), error_new()
            check(lib.peer_soak_start_sized(net._pointer, self._config.it, self._config.size, place, error), "soak",
                  error)
            self._soak = place[0]
        except BaseException:
            self.close()
            raise
        net._soaks.add(self)

    def __enter__(self) -> "Soak":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def _pointer(self) -> Any:
        if self._soak == ffi.NULL:
            raise Error(9, "the soak is closed")
        self._net._pointer  # whose thread it is
        return self._soak

    def close(self) -> None:
        """Ends it, without a report; the journal keeps what there was. Once more is fine."""
        if self._soak != ffi.NULL:
            lib.peer_soak_free(self._soak)
        lib.peer_journal_free(self._journal)
        lib.peer_watch_free(self._watch)
        self._soak = self._journal = self._watch = ffi.NULL

    # ---- time ----

    @property
    def is_over(self) -> bool:
        """Whether all that was asked for is done."""
        return bool(lib.peer_soak_is_over(self._pointer))

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Dispatches the net until the soak is over, or for so many seconds; whether it is over."""
        deadline = None if timeout is None else self._net._deadline(timeout)
        while not self.is_over and (deadline is None or self._net._left(deadline) > 0):
            left = 0.1 if deadline is None else min(0.1, self._net._left(deadline))
            self._net._step(left)
            self._take_intervals()
        return self.is_over

    def _take_intervals(self) -> None:
        """What is taken is in the report, if that keeps intervals, and in the journal."""
        interval = ffi.new("struct peer_soak_interval *")
        while lib.peer_soak_pop_interval_sized(self._pointer, interval, ffi.sizeof(interval[0])) == 1:
            self._intervals.append(record(interval[0]))

    def intervals(self) -> Iterator[dict[str, Any]]:
        """Those that have ended since they were asked for last, each once (the last 4096): fields of struct
        peer_soak_interval."""
        self._take_intervals()
        while self._intervals:
            yield self._intervals.popleft()

    def stop(self, grace: float = 1.0) -> None:
        """Nothing more begins; what is under way has so many seconds. wait() sees the end."""
        lib.peer_soak_stop(self._pointer, nanoseconds(grace))

    def report(self) -> dict[str, Any]:
        """All that was found so far, as of Net.soak()."""
        place = ffi.new("struct peer_result **")
        check(lib.peer_soak_get_result(self._pointer, place), "the result of the soak")
        try:
            report = result_report(place[0])
            if self.is_over and self._journal != ffi.NULL and not self._ended:
                self._ended = True
                check(lib.peer_journal_end(self._journal, place[0]), "journal")
            return report
        finally:
            lib.peer_result_free(place[0])

    def finish(self) -> dict[str, Any]:
        """Waits until it is over: the report. The journal has come to its end then."""
        self.wait()
        self._take_intervals()
        return self.report()

    # ---- steering: each is noted in the report, in `changes` ----

    def set_rate(self, rate: float) -> None:
        """Requests a second from now on, all flows together."""
        self._steer(lib.peer_soak_set_rate, float(rate))

    def pause(self) -> None:
        """Nothing more is wanted until resume(); what is under way goes on."""
        self._steer(lib.peer_soak_pause)

    def resume(self) -> None:
        """It goes on, with nothing to catch up with."""
        self._steer(lib.peer_soak_resume)

    def set_manners(self, manners: Optional[str]) -> None:
        """Who misbehaves from now on, "stall:5%"; None: nobody."""
        self._steer(lib.peer_soak_set_manners, ffi.NULL if manners is None else manners.encode())

    def note(self, words: str) -> None:
        """Keeps in the report that something else was changed now: "deployed 1.2"."""
        check(lib.peer_soak_note_change(self._pointer, words.encode()), f"note '{words}'")

    def _steer(self, function: Any, *args: Any) -> None:
        error = error_new()
        check(function(self._pointer, *args, error), "steering", error)

    # ---- how it stands ----

    @property
    def state(self) -> dict[str, Any]:
        """Fields of struct peer_soak_state: counts, open, rate, behind, paused, elapsed_ns, ... Cheap."""
        return filled("peer_soak_state", lib.peer_soak_get_state_sized, self._pointer)

    @property
    def local(self) -> dict[str, Any]:
        """What the local kernel did so far: fields of struct peer_soak_local."""
        return filled("peer_soak_local", lib.peer_soak_get_local_sized, self._pointer)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What was changed so far: `words`, `at_ns` and more of struct peer_soak_change."""
        return list(listed("peer_soak_change", lib.peer_soak_get_change_sized, self._pointer))

    @property
    def journal_error(self) -> int:
        """0, or the errno of the first record that was not written."""
        return -int(lib.peer_journal_error(self._journal)) if self._journal != ffi.NULL else 0

    def count_below(self, bounds_us: Sequence[float], which: str = "request") -> list[int]:
        """How many latencies so far are at most so many microseconds, which ascend; math.inf: all."""
        buckets = ffi.new("struct peer_soak_bucket[]", [(float(bound), 0) for bound in bounds_us])
        total = ffi.new("double *")
        check(lib.peer_soak_get_buckets(self._pointer, _histogram(which), buckets, len(bounds_us), total), "latencies")
        return [bucket.count for bucket in buckets]

    def status_count(self, status: int) -> int:
        """How many answers so far had this status."""
        return int(lib.peer_soak_get_status(self._pointer, status))


def read_result(path: Path) -> dict[str, Any]:
    """The report of a result or a journal in a file, as of Net.soak(). Of a journal `journal` says how far
    it goes: `complete`, `figures_ns`, `intervals_ns`, `damaged_at`."""
    place, error = ffi.new("struct peer_result **"), error_new()
    with open(path, "rb") as file:
        check(lib.peer_result_read(file.fileno(), place, error), os.fsdecode(path), error)
    try:
        return result_report(place[0])
    finally:
        lib.peer_result_free(place[0])
