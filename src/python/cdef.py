#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""cdef.py INCLUDE VERSION: writes peer/_cdef.py, what cffi is told of the library.

It is made from the headers whenever the package is built, so that the two cannot drift apart. The
headers are plain: what is left when comments, the preprocessor's lines and inline functions are gone
is what cffi can read.
"""

import pathlib
import re
import sys

# In the order in which they need each other.
HEADERS = ["addr", "error", "limits", "peer", "flow", "tls", "event", "process", "histogram", "soak", "steer", "slo",
           "journal", "report", "watch", "workload", "manner", "trace", "doctor"]

# What the headers have from the system's.
SYSTEM = """\
typedef int pid_t;
typedef unsigned int uid_t, gid_t;
struct iovec { void *iov_base; size_t iov_len; };
struct pollfd { int fd; short events, revents; };
"""


def without_functions(text: str) -> str:
    """Drops inline functions, whose bodies hold no braces of other kinds."""
    kept = []
    at = 0
    for start in re.finditer(r"^static inline ", text, re.MULTILINE):
        if start.start() < at:
            continue
        kept.append(text[at:start.start()])
        at = text.index("{", start.start()) + 1
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
    return "".join(kept) + text[at:]


def plain(header: str) -> str:
    """The declarations of a header, and nothing else."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.MULTILINE)
    text = without_functions(text).replace("PEER_EXPORT ", "")
    text = re.sub(r"\s*\bPEER_PRINTF\([^)]*\)", "", text)
    return re.sub(r"\n\s*\n+", "\n", text).strip() + "\n"


def make(include: pathlib.Path, version: str) -> str:
    """The text of _cdef.py."""
    cdef = SYSTEM + "".join(plain((include / "peer" / f"{name}.h").read_text()) for name in HEADERS)
    return ("# SPDX-License-Identifier: BSD-3-Clause\n"
            "# Made from the headers of libpeer.\n"
            f'VERSION = "{version}"\n'
            f'CDEF = """\\\n{cdef}"""\n')


if __name__ == "__main__":
    sys.stdout.write(make(pathlib.Path(sys.argv[1]), sys.argv[2]))
