#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory of a guest on its way: under TLS with a key for this one migration, which is in no
file longer than it is needed; a port that closes when the stream's connections are there; and
strangers that come before: a port scan, who says something else or nothing, QEMUs that send a
guest of their own in the clear or with a wrong key. None of them does any harm.

Seen failing: without virIncomingShut the port stays open and the key's file there; without
virMigratePortGuard the stranger who says nothing stops beta's QEMU, and the guest stays.
"""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, search_path, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
KEY_FILES = ("keys.psk", "dh-params.pem")


def goes_on(lab, disk, records=5):
    before = lab.payload_seq(disk)
    return wait_until(40, lambda: lab.payload_seq(disk) >= before + records)


def sockets_of(pid):
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for fd in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                found.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    return found


def ports(pid):
    """TCP ports that the process listens on (state 0A)."""
    mine = sockets_of(pid)
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows
            if row[3] == "0A" and "socket:[%s]" % row[9] in mine]


def port_of(host):
    return next((port for pid in host.qemu_pids() for port in ports(pid)), None)


def key_files(host):
    """Files below the host's runtime folder that have to do with a key: (path, mode)."""
    found = []
    for folder, _, files in os.walk(host.run_dir):
        for name in set(files) & set(KEY_FILES):
            with contextlib.suppress(FileNotFoundError):
                path = os.path.join(folder, name)
                found.append((path, stat.S_IMODE(os.stat(path).st_mode),
                              stat.S_IMODE(os.stat(folder).st_mode)))
    return found


def left(host):
    """QEMUs of the host that should have ended, and what each thread of them does."""
    found = []
    for pid in host.qemu_pids():
        for task in os.listdir("/proc/%d/task" % pid):
            with contextlib.suppress(OSError):
                with open("/proc/%d/task/%s/stat" % (pid, task)) as text:
                    found.append(text.read()[:60])
    return found


class Rogue:
    """A QEMU of somebody else that sends its guest to a port."""

    def __init__(self, lab, name):
        self.path = lab.file(name)
        os.makedirs(self.path)
        listener = os.path.join(self.path, "qmp")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "16", "-nodefaults",
             "-display", "none", "-qmp", "unix:%s,server=on,wait=off" % listener],
            env=dict(os.environ, PATH=search_path()), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(10, lambda: os.path.exists(listener))
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(listener)
        self.lines = self.sock.makefile("r")
        self.lines.readline()
        self.qmp("qmp_capabilities")

    def qmp(self, command, **arguments):
        message = {"execute": command}
        if arguments:
            message["arguments"] = {key.replace("_", "-"): value
                                    for key, value in arguments.items()}
        self.sock.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                return answer["return"]

    def use_key(self, key):
        with open(os.path.join(self.path, "keys.psk"), "w") as out:
            out.write("leasehold:%s\n" % key)
        self.qmp("object-add", qom_type="tls-creds-psk", id="tls", endpoint="client",
                 dir=self.path, username="leasehold")
        self.qmp("migrate-set-parameters", tls_creds="tls")

    def send(self, port):
        """How its migration ends, or where it stands after a while."""
        self.qmp("migrate", uri="tcp:127.0.0.1:%d" % port)
        wait_until(3, lambda: self.status() in ("failed", "completed"))
        return self.status()

    def status(self):
        return self.qmp("query-migrate").get("status")

    def end(self):
        self.sock.close()
        self.process.kill()
        self.process.wait(10)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def scan(port):
    """Not for long: the source stands at its step meanwhile, and beta gives up who is silent for
    15 s. A connection that finds too many before it waits for a second."""
    end = time.monotonic() + 3
    for _ in range(30):
        connect(port).close()
        if time.monotonic() > end:
            break


def strangers(lab, rsh, alpha, beta, *options):
    # given a destination that listens
    name = "web%d" % len(options)
    disk = lab.payload(name + ".img")
    guest = lab.guest(name, disk)
    steps = alpha.run_stepped(*guest)
    tap.ok(goes_on(lab, disk), "the guest runs on alpha")
    plain, wrong = Rogue(lab, name + "-plain"), Rogue(lab, name + "-wrong")
    wrong.use_key("00" * 32)
    move = alpha.popen("migrate", name, "beta", "--rsh", rsh.command, *options)
    steps.until("migrate:3")
    port = port_of(beta)
    tap.ok(port, "beta listens", beta.qemu_pids())
    keys = key_files(beta)
    tap.ok(keys and all(mode == 0o600 and folder == 0o700 for _, mode, folder in keys),
           "the key is in a private file of a private folder", keys)

    # when strangers come first
    scan(port)
    silent = connect(port)
    noise = connect(port)
    noise.sendall(b"GET / HTTP/1.0\r\n\r\n")
    half = connect(port)
    half.sendall(b"\x16\x03\x01")  # a handshake that begins, and that is all
    plain.send(port)  # it believes in the end that all arrived
    said = wrong.send(port)
    tap.ok(said == "failed", "a stranger's QEMU with another key is refused", said)

    # then the guest arrives all the same
    steps.close()
    _, errors = move.communicate(timeout=60)
    tap.ok(move.returncode == 0, "the guest moves all the same", errors)
    tap.ok(goes_on(lab, disk), "and goes on", beta.leasehold("show", name).stdout)
    tap.ok(wrong.send(port) == "failed", "afterwards nobody is heard there either")
    plain.end()
    wrong.end()
    for sock in (silent, noise, half):
        sock.close()
    tap.ok(not key_files(alpha) + key_files(beta), "no file has a key",
           key_files(alpha) + key_files(beta))
    beta.leasehold("destroy", name)
    good, report = lab.check_payload(disk)
    tap.ok(good, "the disk shows no two writers", report)


def closes(lab, rsh, alpha, beta, *options):
    # given a stream that takes a while
    disk = lab.payload("slow.img")
    guest = lab.guest("slow", disk)
    guest[guest.index("16")] = "2048"  # empty as it is, 5 s at a MiB a second
    alpha.leasehold("run", *guest)
    goes_on(lab, disk)
    what = " ".join(options) or "one connection"
    move = alpha.popen("migrate", "slow", "beta", "--rsh", rsh.command, "--bandwidth", "1",
                       *options)
    opened = []
    wait_until(20, lambda: opened.append(port_of(beta)) or opened[-1])
    tap.ok(opened[-1], what + ": beta listens")

    # then its port closes, and the key's file is gone, while it arrives
    tap.ok(wait_until(10, lambda: port_of(beta) is None), what + ": the port closes")
    tap.ok(wait_until(10, lambda: not key_files(alpha) + key_files(beta)),
           what + ": the key is in no file any more", key_files(alpha) + key_files(beta))
    tap.ok("migrating" in alpha.leasehold("job", "slow").stdout, what + ": and it is on its way",
           alpha.leasehold("job", "slow").stdout)
    try:
        connect(opened[-1]).close()
        tap.ok(False, what + ": who comes late is refused")
    except ConnectionRefusedError:
        tap.ok(True, what + ": who comes late is refused")
    before = beta_cpu(beta)
    time.sleep(1)  # what it spends in that time
    tap.ok(beta_cpu(beta) - before < 50, what + ": QEMU does not turn in circles meanwhile",
           "%d hundredths of a second in one" % (beta_cpu(beta) - before))
    alpha.leasehold("migrate", "slow", "--cancel")
    _, errors = move.communicate(timeout=60)
    tap.ok(goes_on(lab, disk), what + ": cancelled, the guest goes on")
    tap.ok(wait_until(10, lambda: not beta.qemu_pids()), what + ": nothing is left on beta",
           *left(beta), beta.leasehold("show", "slow").stdout, errors)
    alpha.leasehold("destroy", "slow")


def beta_cpu(beta):
    """Of its QEMU, in ticks of a hundredth of a second."""
    with open("/proc/%d/stat" % beta.qemu_pids()[0]) as text:
        words = text.read().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def wrong_key(lab, rsh, alpha, beta):
    # given a channel on which somebody changes the key
    liar = lab.file("liar")
    with open(liar, "w") as out:
        out.write("#!/bin/sh\n%s \"$@\" | sed -u 's/\"key\" *: *\"[0-9a-f]*\"/\"key\":\"%s\"/'\n"
                  % (rsh.command, "ab" * 32))
    os.chmod(liar, stat.S_IRWXU)
    disk = lab.payload("key.img")
    alpha.leasehold("run", *lab.guest("key", disk))
    goes_on(lab, disk)
    done = alpha.leasehold("migrate", "key", "beta", "--rsh", liar)
    tap.ok(done.returncode == 4 and "stream of its memory broke off" in done.stderr,
           "a source with a wrong key is told so", "%d: %s" % (done.returncode, done.stderr))
    tap.ok(goes_on(lab, disk), "its guest goes on", alpha.leasehold("show", "key").stdout)
    tap.ok(wait_until(10, lambda: not beta.qemu_pids()), "nothing is left on beta")
    tap.ok(not key_files(alpha) + key_files(beta), "and no file with a key")
    done = alpha.leasehold("migrate", "key", "beta", "--rsh", rsh.command)
    tap.ok(done.returncode == 0 and goes_on(lab, disk), "with the right one it moves", done.stderr)
    beta.leasehold("destroy", "key")


with Lab("migrate-tls") as lab:
    lab.store()
    hosts = [lab.host("alpha", 1), lab.host("beta", 2)]
    lab.join(*hosts)
    shell = Rsh(lab)
    strangers(lab, shell, *hosts)
    strangers(lab, shell, *hosts, "--connections", "2")
    closes(lab, shell, *hosts)
    closes(lab, shell, *hosts, "--connections", "3")
    wrong_key(lab, shell, *hosts)

sys.exit(tap.done())
