# SPDX-License-Identifier: BSD-3-Clause
"""peer trace: what netfilter decides, by nftables, iptables, and what nftables does not show."""
import os

import tracing
from harness import OWN4, OWN6, PEER4, PEER6, changes_machine, listening, need, need_root, run
from tracing import answered, decisions, lost, mended, nft, trace


# ---- the firewall ----

@changes_machine
def test_rules_with_sets_and_jumps():
    sock, port = listening(OWN4)
    nft(f"""table inet f {{
set bad {{
type ipv4_addr
flags interval
elements = {{ 198.18.7.0/24 }}
}}
chain web {{
ip saddr @bad counter drop comment "bad people"
}}
chain in {{
type filter hook input priority 0
tcp dport {{ 9, {port} }} jump web
}}
}}
""")
    document = trace(OWN4, port)
    ports = ", ".join(map(str, sorted((9, port))))
    assert decisions(document) == [
        ("input inet/f/in 0", f"rule 4: tcp dport {{ {ports} }} jump web"),
        ("input inet/f/web", 'rule 3: ip saddr @bad counter drop comment "bad people"')] or \
        [text.split(": ", 1)[1] for _, text in decisions(document)] == [
            f"tcp dport {{ {ports} }} jump web", 'ip saddr @bad counter drop comment "bad people"'], document
    document = mended("firewall-rule", "netfilter", OWN4, port, kernel="NETFILTER_DROP",
                      mend=f"^nft insert rule inet f web ip saddr {PEER4} tcp dport {port} accept$")
    assert len(decisions(document)) == 2, document
    sock.close()


@changes_machine
def test_every_hook_that_drops_is_named():
    sock, port = listening(OWN4)
    for hook, match in (("prerouting", f'iifname "peer*" tcp dport {port}'), ("input", f"tcp dport {port}"),
                        ("output", f"tcp sport {port}"), ("postrouting", f'oifname "peer*" tcp sport {port}')):
        back = hook in ("output", "postrouting")
        for priority in (-300, 200):
            nft(f"table ip f {{\nchain c {{\ntype filter hook {hook} priority {priority}\n{match} drop\n}}\n}}\n")
            document = mended("firewall-rule", "netfilter", OWN4, port, kernel="NETFILTER_DROP",
                              outcome="no answer" if back else "lost")
            where = decisions(document, "back" if back else "there")[0][0]
            assert where == f"{hook} ip/f/c {priority}", document
            run("nft", "delete", "table", "ip", "f")
    sock.close()


@changes_machine
def test_rejecting_rules_are_told_from_silence():
    sock, port = listening(OWN4)
    nft("table inet f {\nchain in {\ntype filter hook input priority 0\n"
        "meta l4proto tcp reject with tcp reset\n}\n}\n")
    document = trace(OWN4, port)
    assert "rejects it" in document["verdict"]["text"], document
    mended("firewall-rule", "netfilter", OWN4, port, outcome="refused")
    sock.close()


@changes_machine
def test_ipv6_and_policies():
    sock, port = listening(OWN6)
    nft("table ip6 f {\nchain in {\ntype filter hook input priority 0\npolicy drop\n}\n}\n")
    mended("firewall-policy", "netfilter", OWN6, port, addr=PEER6, kernel="NETFILTER_DROP",
           mend=f"^nft insert rule ip6 f in ip6 saddr {PEER6} tcp dport {port} accept$")
    sock.close()


@changes_machine
def test_rules_of_iptables():
    need("iptables-nft")
    sock, port = listening(OWN4)
    rule = ("-p", "tcp", "--dport", str(port), "-m", "comment", "--comment", "why not", "-j", "DROP")
    run("iptables-nft", "-N", "WEB")
    run("iptables-nft", "-A", "WEB", *rule)
    run("iptables-nft", "-A", "INPUT", "-i", "peer+", "-j", "WEB")
    document = trace(OWN4, port)
    texts = [text.split(": ", 1)[1] for _, text in decisions(document)]
    assert texts == ['iifname "peer*" counter jump WEB',
                     f'tcp dport {port} comment "why not" counter drop'], document
    command = lost("firewall-rule", "netfilter", OWN4, port, kernel="NETFILTER_DROP",
                   mend=f"^iptables -t filter -I WEB -s {PEER4} -p tcp --dport {port} -j ACCEPT$")
    run("sh", "-c", command.replace("iptables", "iptables-nft", 1))
    answered(OWN4, port)
    sock.close()


@changes_machine
def test_translations_are_followed_to_the_socket():
    sock, port = listening("0.0.0.0")
    for rule, arrives in ((f"redirect to :{port}", f"10.66.0.1:{port}"), (f"dnat to {OWN4}:{port}", f"{OWN4}:{port}")):
        nft("table ip n {\nchain pre {\ntype nat hook prerouting priority -100\n"
            f"tcp dport 8080 {rule}\n}}\n}}\n")
        document = answered("--local", "10.66.0.1/32", OWN4, 8080)
        assert decisions(document)[0][1].endswith(f": tcp dport 8080 {rule}"), document
        assert document["verdict"]["text"].startswith(f"arrived at {arrives}:"), document
        where = [entry["where"] for entry in document["stations"] if entry["station"] == "socket"]
        assert where == [f"0.0.0.0:{port}"], document
        run("nft", "delete", "table", "ip", "n")
    sock.close()


@changes_machine
def test_a_redirection_needs_an_address_to_lead_to():
    sock, port = listening("0.0.0.0")
    nft("table ip n {\nchain pre {\ntype nat hook prerouting priority -100\n"
        f"tcp dport 8080 redirect to :{port}\n}}\n}}\n")
    lost("redirect-without-address", "netfilter", OWN4, 8080, kernel="NETFILTER_DROP", mend="--local")
    answered("--local", "10.66.0.1/32", OWN4, 8080)
    sock.close()


@changes_machine
def test_counters_and_conntrack_of_others_stay():
    need("nft")
    sock, port = listening(OWN4)
    nft("table inet f {\nchain in {\ntype filter hook input priority 0\n"
        'iifname "lo" counter\n}\n}\n')
    before = run("nft", "list", "ruleset")
    answered(OWN4, port)
    assert run("nft", "list", "ruleset") == before
    assert not os.path.exists("/proc/net/nf_conntrack") or not open("/proc/net/nf_conntrack").read()
    sock.close()


# ---- rules that nftables does not show ----

@changes_machine
def test_rules_of_iptables_legacy():
    need("iptables-legacy", "ip6tables-legacy")
    need_root()
    for own, addr, tables in ((OWN4, PEER4, "iptables-legacy"), (OWN6, PEER6, "ip6tables-legacy")):
        sock, port = listening(own)
        for chain, which, way, outcome in (("INPUT", "dport", "s", "lost"), ("OUTPUT", "sport", "d", "no answer")):
            run(tables, "-A", chain, "-p", "tcp", f"--{which}", str(port), "-j", "DROP")
            mended("other-hook", "netfilter", own, port, addr=addr, kernel="NETFILTER_DROP", outcome=outcome,
                   mend=f"^{tables} -I {chain} -{way} {addr} -p tcp --{which} {port} -j ACCEPT$")
            run(tables, "-F", chain)
        sock.close()


if __name__ == "__main__":
    tracing.main()
