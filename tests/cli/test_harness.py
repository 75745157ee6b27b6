# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself: on which machines its private machine can be made."""
import os

import harness


def with_resolver(link, target):
    """What /etc/resolv.conf says in a new private machine where it leads to `link`."""
    harness.mount("none", "/run", "tmpfs")
    harness.mount("none", "/etc", "tmpfs")
    if target:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as file:
            file.write("nameserver 192.0.2.53\n")
    if link:
        os.symlink(link, "/etc/resolv.conf")
    harness.enter_private_namespaces()
    with open("/etc/resolv.conf") as file:
        return file.read()


@harness.changes_machine
def test_the_resolver_may_be_a_link_into_run():
    text = with_resolver("../run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
    assert text == "nameserver 127.0.0.1\n", text


@harness.changes_machine
def test_the_resolver_may_be_a_link_to_what_is_not_there_yet():
    assert with_resolver("/run/NetworkManager/resolv.conf", None) == "nameserver 127.0.0.1\n"


@harness.changes_machine
def test_the_resolver_may_be_a_file():
    assert with_resolver(None, "/etc/resolv.conf") == "nameserver 127.0.0.1\n"


@harness.changes_machine
def test_the_resolver_may_be_missing():
    harness.mount("none", "/etc", "tmpfs")
    harness.enter_private_namespaces()
    assert not os.path.exists("/etc/resolv.conf")


if __name__ == "__main__":
    harness.main()
