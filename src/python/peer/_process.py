# SPDX-License-Identifier: BSD-3-Clause
"""Programs in the net's namespace."""

import errno
import signal
from typing import TYPE_CHECKING, Any, Optional

from ._errors import Error, Timeout
from ._library import check, ffi, lib, nanoseconds

if TYPE_CHECKING:
    from ._net import Net


class Process:
    """A program under test. Made by Net.spawn; it ends with the net at the latest."""

    def __init__(self, net: "Net", process: Any) -> None:
        self._net = net
        self._process: Any = process
        self.pid: int = lib.peer_process_pid(process)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *unused: object) -> None:
        self.end()

    def _forget(self) -> None:
        self._process = None

    @property
    def _pointer(self) -> Any:
        self._net._pointer
        if self._process is None:
            raise Error(errno.ESRCH, f"process {self.pid} was ended")
        return self._process

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Sends it a signal."""
        check(lib.peer_process_signal(self._pointer, number), f"process {self.pid}")

    def poll(self) -> Optional[int]:
        """None while it runs, else as wait returns it."""
        status = ffi.new("int *")
        if check(lib.peer_process_wait(self._pointer, 0, status), f"process {self.pid}") == 0:
            return None
        return _code(status[0])

    def wait(self, timeout: Optional[float] = None) -> int:
        """Waits for its end: the exit status, or minus the signal that ended it."""
        deadline = self._net._deadline(timeout)
        status = ffi.new("int *")
        while True:
            left = self._net._left(deadline)
            ended = lib.peer_process_wait(self._pointer, nanoseconds(left), status)
            if ended == 1:
                return _code(status[0])
            if ended != -errno.EINTR:
                check(ended, f"process {self.pid}")
            if left <= 0:
                raise Timeout(f"process {self.pid} runs on")

    def end(self) -> None:
        """Ends it, and what it left behind: SIGTERM, then SIGKILL after two seconds."""
        if self._process is not None and self._net._is_mine():
            self._net._processes.discard(self)
            lib.peer_process_free(self._process)
        self._process = None


def _code(status: int) -> int:
    return -(status & 0x7F) if status & 0x7F else status >> 8
