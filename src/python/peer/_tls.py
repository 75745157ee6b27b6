# SPDX-License-Identifier: BSD-3-Clause
"""Settings of TLS, for flows, listeners and soaks."""

import errno
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union

from ._errors import Error
from ._library import Struct, check, error_new, ffi, lib

if TYPE_CHECKING:
    from ._net import Net


class Tls:
    """Made by Net.tls. Sessions that are resumed are kept here, so one is for all connections that belong
    together. Lives as long as its net."""

    def __init__(self, net: "Net", config: Mapping[str, Any]) -> None:
        self._tls: Any = None
        struct = Struct("peer_tls_config", dict(config))
        place, error = ffi.new("struct peer_tls **"), error_new()
        check(lib.peer_tls_new_sized(net._pointer, struct.it, struct.size, place, error), "tls", error)
        self._tls = place[0]

    @property
    def _pointer(self) -> Any:
        if self._tls is None:
            raise Error(errno.EBADF, "the net of these settings of TLS is closed")
        return self._tls

    def _forget(self) -> None:
        if self._tls is not None:
            lib.peer_tls_free(self._tls)
        self._tls = None


#: As callers give it: True is with all defaults, and a dict what Net.tls takes.
TlsLike = Union[bool, Mapping[str, Any], Tls, None]


def tls_pointer(net: "Net", tls: TlsLike) -> Optional[Any]:
    if tls is None or tls is False:
        return None
    if isinstance(tls, Tls):
        return tls._pointer
    return net.tls(**(tls if isinstance(tls, Mapping) else {}))._pointer
