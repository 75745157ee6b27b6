# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong, in the library's own words."""

import enum
import errno as numbers


class Kind(enum.Enum):
    """Who can mend it."""

    USAGE = "usage"  #: the caller: something that was asked for is wrong
    MACHINE = "machine"  #: this machine cannot do it, or not now
    REMOTE = "remote"  #: the application refused, reset, or did not answer


class End(enum.Enum):
    """How a flow ended. The values are the words of the program `peer`."""

    CLOSED = "closed"  #: both sides in order
    REFUSED = "refused"  #: a reset in answer to the call
    RESET = "reset"  #: a reset later
    TIMEOUT = "timeout"  #: nobody answered, or acknowledged
    UNREACHABLE = "unreachable"  #: an ICMP error said so
    LOCAL = "local"  #: by the peer itself
    DEVICE = "device"  #: the device is gone
    TARGET = "target"  #: the address it went to is this machine's no longer
    TLS = "tls"  #: TLS failed, see Flow.tls
    UNKNOWN = "unknown"  #: a newer library knows


class Error(OSError):
    """An error with one line for a person.

    `errno` is a number of the module errno, `kind` tells who can mend it.
    """

    def __init__(self, errno: int, text: str, kind: Kind = Kind.USAGE) -> None:
        super().__init__(errno, text)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.strerror, self.kind)


class Timeout(Error, TimeoutError):
    """What was waited for did not come in time."""

    def __init__(self, text: str, errno: int = numbers.ETIMEDOUT, kind: Kind = Kind.REMOTE) -> None:
        super().__init__(errno, text, kind)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.strerror, self.errno, self.kind)


class Ended(Error, ConnectionError):
    """The flow is over: `end` tells how."""

    _NUMBERS = {
        End.REFUSED: numbers.ECONNREFUSED,
        End.RESET: numbers.ECONNRESET,
        End.TIMEOUT: numbers.ETIMEDOUT,
        End.UNREACHABLE: numbers.EHOSTUNREACH,
        End.LOCAL: numbers.ECONNABORTED,
        End.DEVICE: numbers.EBADFD,
        End.TARGET: numbers.ENETUNREACH,
        End.TLS: numbers.EPROTO,
    }

    def __init__(self, text: str, end: End) -> None:
        kind = Kind.MACHINE if end is End.DEVICE else Kind.REMOTE
        super().__init__(self._NUMBERS.get(end, numbers.EPIPE), text, kind)
        self.end = end

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.strerror, self.end)
