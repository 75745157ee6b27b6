# SPDX-License-Identifier: BSD-3-Clause
"""Real servers for tests of the built program, each with its own books: what it read of whom.

A server is a context manager: it listens when the block begins, and is gone after it. What it logs is
complete then, or by until_lines().
"""
import collections
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

import harness

PEERS4, PEERS6 = "198.18.0.0/16", "2001:2::/112"


def assert_peers(addresses, count=None, peers=PEERS4):
    """All are peers, and `count` different ones."""
    network = ipaddress.ip_network(peers)
    strangers = [address for address in addresses if ipaddress.ip_address(address) not in network]
    assert not strangers, strangers[:5]
    if count is not None:
        assert len(set(addresses)) == count, (len(set(addresses)), len(addresses), sorted(addresses)[:5])


def listens(port, kind="t"):
    return f":{port} " in harness.run("ss", f"-Hln{kind}")


class Server:
    """command(place) gives the words; `place` is a directory of its own."""

    programs = ()
    stop_signal = signal.SIGTERM
    ports = ()  # "80", or ("53", "u")

    def __init__(self):
        harness.need(*self.programs)
        self.place = tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}.", dir=harness.directory)
        os.chmod(self.place, 0o755)
        self.process = None

    def path(self, name):
        return os.path.join(self.place, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        return all(listens(*port) if isinstance(port, tuple) else listens(port) for port in self.ports)

    def __enter__(self):
        words = self.command()
        with open(self.path("output"), "wb") as output:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True)

        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{words[0]} ended: {self.process.returncode}\n{self.read('output')}")
            return self.is_ready()

        harness.until(f"{words[0]} listens", look)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(harness.LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.programs[0]} does not end") from None


class Nginx(Server):
    """http at `port`: what stands in `server`. Its books have a line a request, of `log`."""

    programs = ("nginx",)
    stop_signal = signal.SIGQUIT

    def __init__(self, server='location / { return 200 "hello"; }', log="$remote_addr", listen="", port=80,
                 more="", keep=1000000):
        super().__init__()
        self.port, self.ports, self.log_path = port, (port,), self.path("books")
        user = "user root;" if os.geteuid() == 0 else ""
        parts = "".join(f"{name}_temp_path {self.place}/{name};\n"
                        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", f"""daemon off; worker_processes 1; pid {self.place}/pid; {user}
worker_rlimit_nofile 65536; error_log {self.place}/errors;
events {{ worker_connections 30000; }}
http {{ log_format books '{log}'; access_log {self.log_path} books; {parts} {more}
server {{ listen {port} backlog=4096 {listen}; listen [::]:{port} backlog=4096 ipv6only=on {listen};
keepalive_requests {keep}; {server} }} }}
""")

    def command(self):
        return ["nginx", "-e", self.path("errors"), "-c", self.path("nginx.conf")]

    def books(self):
        return self.read("books").splitlines()

    def until_lines(self, count):
        """A request is in the books a moment after its answer."""
        harness.until(f"{count} lines in nginx's books", lambda: len(self.books()) >= count)
        return self.books()


class Nghttpd(Server):
    """HTTP/2 without TLS: files of `place`/www, and an echo of nothing."""

    programs = ("nghttpd",)

    def __init__(self, *options, port=80):
        super().__init__()
        self.ports, self.port, self.options = (port,), port, options
        os.mkdir(self.path("www"))

    def command(self):
        return ["nghttpd", "--no-tls", *self.options, "-d", self.path("www"), str(self.port)]


class Haproxy(Server):
    """http at `port` that reads PROXY headers, and answers with whom they named."""

    programs = ("haproxy",)

    def __init__(self, port=81):
        super().__init__()
        self.ports = (port,)
        self.write("haproxy.cfg", f"""global
    maxconn 1000
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend door
    bind :{port} accept-proxy
    bind :::{port} v6only accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
""")

    def command(self):
        return ["haproxy", "-db", "-f", self.path("haproxy.cfg")]


class Redis(Server):
    programs = ("redis-server", "redis-cli")
    ports = (6379,)

    def command(self):
        return ["redis-server", "--bind", harness.OWN4, "127.0.0.1", "--save", "", "--dir", self.place,
                "--protected-mode", "no"]

    def watch(self):
        """A monitor: until it is stopped it writes each command down, and whose it was."""
        monitor = subprocess.Popen(["redis-cli", "monitor"], stdout=open(self.path("books"), "wb"))
        harness.until("the monitor is there", lambda: "OK" in self.read("books"))
        return monitor

    def callers(self, command):
        """Of the monitor: the address and port behind each such command."""
        found = []
        for line in self.read("books").splitlines():
            match = re.match(r'[\d.]+ \[\d+ (\S+)\] "(\w+)"', line)
            if match and match[2].lower() == command:
                found.append(match[1])
        return found

    @staticmethod
    def ask(*words):
        return harness.run("redis-cli", *words)


class Mosquitto(Server):
    """A broker of MQTT, for anybody or for (user, password) with `rules`. Its counters are those of $SYS, since its
    start; its books have a line a packet."""

    programs = ("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd")
    ports = (1883,)
    counted = ("messages/received", "messages/dropped", "bytes/received")

    def __init__(self, password=None, rules=None, identity=None):
        super().__init__()
        user = "user root\n" if os.geteuid() == 0 else ""
        closed = ""
        if password:
            harness.run("mosquitto_passwd", "-b", "-c", self.path("passwords"), *password)
            closed = f"password_file {self.path('passwords')}\nacl_file {self.write('rules', rules + chr(10))}\n"
        secured = ""
        if identity:
            self.ports = (1883, 8883)
            secured = f"listener 8883 {harness.OWN4}\ncertfile {identity[0]}\nkeyfile {identity[1]}\n"
        self.write("mosquitto.conf", f"""{user}listener 1883 {harness.OWN4}
{secured}allow_anonymous {"false" if password else "true"}
{closed}max_queued_messages 0
connection_messages true
sys_interval 1
log_dest file {self.path("books")}
log_type notice
log_type error
log_type subscribe
log_type debug
""")

    def command(self):
        return ["mosquitto", "-c", self.path("mosquitto.conf")]

    def books(self):
        return self.read("books")

    def callers(self):
        return re.findall(r"New client connected from (\S+?):\d+ as", self.books())

    def packets(self):
        """How many of each were sent to, and received from, clients of peer's: {"Sending PUBLISH": 7}."""
        return collections.Counter(re.findall(r"((?:Sending|Received) [A-Z]+) (?:to|from) peer[0-9a-f]{16}\b",
                                              self.books()))

    def counters(self):
        """Of PUBLISH packets."""
        words = [word for name in self.counted for word in ("-t", f"$SYS/broker/publish/{name}")]
        said = harness.run("mosquitto_sub", "-h", harness.OWN4, "-v", "-C", str(len(self.counted)), *words)
        return {line.split()[0].removeprefix("$SYS/broker/publish/"): int(line.split()[1])
                for line in said.splitlines()}

    def until(self, wanted):
        """It brings them up to date once a second."""
        harness.until(f"{wanted} of mosquitto", lambda: wanted.items() <= self.counters().items())
        return self.counters()


class Dnsmasq(Server):
    """Knows *.example; the text of big.example, 3000 bytes, takes fragments. Leaves a key for TCP Fast Open
    behind in the namespace."""

    programs = ("dnsmasq",)
    ports = ((53, "u"), 53)

    def command(self):
        # Not in the background, and as who we are.
        words = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                 "--address=/example/192.0.2.7", "--log-queries=extra", "--log-facility=-", "--edns-packet-max=4096",
                 f"--listen-address={harness.OWN4}", f"--listen-address={harness.OWN6}", "--bind-interfaces"]
        return [*words, "--txt-record=big.example," + ",".join(["t" * 250] * 12)]

    def callers(self):
        """[(name, address and port)] of what it was asked."""
        return re.findall(r"(\S+)/(\d+) query\[\w+\] (\S+) from", self.read("output"))


class Iperf(Server):
    """Serves one client; its report is JSON."""

    programs = ("iperf3",)

    def __init__(self, port=5201):
        super().__init__()
        self.port, self.ports = port, (port,)

    def command(self):
        return ["iperf3", "-s", "-1", "-J", "-p", str(self.port)]

    def report(self):
        self.process.wait(harness.LIMIT_S)
        return json.loads(self.read("output"))


class Sshd(Server):
    """With a key of the test's own for both sides; needs root."""

    programs = ("sshd", "ssh-keygen", "ssh")
    ports = (22,)

    def __init__(self):
        harness.need_root()
        super().__init__()
        os.makedirs("/run/sshd", exist_ok=True)
        for name in "host", "user":
            harness.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name))
        self.write("sshd_config", f"""HostKey {self.place}/host
AuthorizedKeysFile {self.place}/user.pub
PidFile none
StrictModes no
PermitRootLogin yes
UsePAM no
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
""")

    def command(self):
        return [shutil.which("sshd"), "-D", "-e", "-f", self.path("sshd_config")]

    def options(self):
        """For ssh and scp."""
        return ["-F", "none", "-i", self.path("user"), "-o", "StrictHostKeyChecking=no", "-o",
                "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]

    def callers(self):
        return re.findall(r"Accepted publickey for \S+ from (\S+) port", self.read("output"))


class Certificates:
    """PEM files of a test's own: an authority, and what it signs. Each is `(cert, key)`."""

    def __init__(self):
        harness.need("openssl")
        self.place = tempfile.mkdtemp(prefix="certificates.", dir=harness.directory)
        os.chmod(self.place, 0o755)
        self.authority = self.make("authority", sign=False, more=("-addext", "basicConstraints=critical,CA:TRUE"))

    def path(self, name):
        return os.path.join(self.place, name)

    def make(self, name, names="", sign=True, days=30, more=()):
        """`names`: "DNS:a.example,IP:192.0.2.1". `days` below 0: its time is over."""
        cert, key, request = (self.path(f"{name}.{kind}") for kind in ("cert", "key", "request"))
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
               "-subj", f"/CN={name}"]
        if names:
            new += ["-addext", f"subjectAltName={names}"]
        if not sign:
            harness.run(*new, "-x509", "-out", cert, "-days", str(days), *more)
            return cert, key
        harness.run(*new, "-out", request)
        serial = str(abs(hash(name)) % 10 ** 9)
        times = ("-days", str(days))
        if days < 0:  # x509 takes no days below 0 everywhere
            times = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
            return self._expired(name, request, times), key
        harness.run("openssl", "x509", "-req", "-in", request, "-CA", self.authority[0], "-CAkey", self.authority[1],
                    "-set_serial", serial, "-copy_extensions", "copy", "-out", cert, *times)
        return cert, key

    def _expired(self, name, request, times):
        """By `openssl ca`, which takes dates."""
        place = tempfile.mkdtemp(prefix="ca.", dir=self.place)
        for file, text in (("index", ""), ("serial", "01\n"), ("conf", f"""[ca]
default_ca = one
[one]
database = {place}/index
serial = {place}/serial
new_certs_dir = {place}
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
""")):
            with open(os.path.join(place, file), "w", encoding="utf-8") as out:
                out.write(text)
        cert = self.path(f"{name}.cert")
        harness.run("openssl", "ca", "-batch", "-notext", "-config", f"{place}/conf", "-cert", self.authority[0],
                    "-keyfile", self.authority[1], "-in", request, "-out", cert, *times)
        return cert


class NginxTLS(Nginx):
    """Nginx over TLS: https at `port`."""

    def __init__(self, identity, more="", versions="TLSv1.2 TLSv1.3", log="$ssl_protocol $ssl_session_reused", **rest):
        cert, key = identity
        server = (f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols {versions}; "
                  f"ssl_session_cache shared:tls:8m; {more}"
                  'location / { return 200 "hello"; }')
        listen = "ssl " + rest.pop("listen", "")
        super().__init__(server=server, log=log, listen=listen, port=rest.pop("port", 443), **rest)


class Stunnel(Server):
    """Echoes over TLS at `port`: what it decrypts comes back."""

    programs = ("stunnel",)

    def __init__(self, identity, echo, port=7, more=""):
        super().__init__()
        self.ports = (port,)
        self.write("stunnel.conf", f"""foreground = yes
pid =
[echo]
accept = :::{port}
connect = 127.0.0.1:{echo}
cert = {identity[0]}
key = {identity[1]}
{more}
""")

    def command(self):
        return ["stunnel", self.path("stunnel.conf")]


class HaproxyTLS(Server):
    """https at `port`, in front of nothing: it answers by itself."""

    programs = ("haproxy",)

    def __init__(self, identity, port=443, bind=""):
        super().__init__()
        self.ports = (port,)
        both = self.path("both.pem")
        with open(both, "w", encoding="utf-8") as out:
            for name in identity:
                with open(name, encoding="utf-8") as part:
                    out.write(part.read())
        self.write("haproxy.cfg", f"""global
    maxconn 1000
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
frontend door
    bind :{port} ssl crt {both} {bind}
    http-request return status 200 content-type text/plain lf-string "%sslv %[ssl_fc_is_resumed]"
""")

    def command(self):
        return ["haproxy", "-db", "-f", self.path("haproxy.cfg")]
