#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream of a guest's memory is cut within its last 64 KiB: QEMU then fails when it has
stopped the guest and written most of what there is, and restarts it by itself, while the other
side may have all that it needs (I6, I7). A relay between the two QEMUs counts the bytes (TLS, as
they are on the wire) and cuts in two ways:

  at the source        the connection breaks for both sides after so many bytes. The source's send
                       buffer is made small, so that it has not sent much more than was read.
  at the destination   the source sends everything and says "completed"; so many of the last bytes
                       never arrive.

Whatever happens the guest runs on one host afterwards, goes on writing, and the disk shows no two
writers. The guests differ in what the end of the stream is: with and without the description of
the devices (vmdesc, which comes after the end of the guest's state), and with a qcow2 image that
has a persistent bitmap, which QEMU writes when it gives the image away and reads when it takes it.

Not every one of the 65536 offsets is tried; test-late-offsets.py does that with QEMU alone.
test-migrate-late-all.py takes 93: each second one of the last 64 bytes, then ever greater steps (an
eighth of the distance) up to 64 KiB, in both ways and for the three guests; this one takes 3 for the
first guest and one for the others. What QEMU writes differs by some bytes from one migration to the
next, so that "at the source" is near the offset and not exactly there. Each guest is cut twice more
while its source's supervisor hangs, which dies then; here the first one only.

Not seen failing: with the word given at "device", before "completed", the moment between the two is
too short for the relay to hit.
"""

import json
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, search_path, strike, wait_until  # noqa: E402
from moving import Rsh, shrink, small_buffers  # noqa: E402

ALL = os.environ.get("TEST_LATE_ALL") == "1"
LAST = 64 * 1024
# What can be on its way between the two QEMUs although the source's send buffer is small.
BUFFERS = 20000

requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
tap = Tap()


def offsets(few):
    """How far before the end, in bytes."""
    if not ALL:
        return few
    found, step, at = [], 2, 1
    while at < LAST:
        found.append(at)
        if at >= 64:
            step = max(step, at // 8)
        at += step
    return found + [LAST]


class Relay(threading.Thread):
    """Between the source's QEMU and the destination's, for one migration.

    @missing: at the destination: how many of the last bytes do not arrive, or None
    @after: of how many bytes none is held back: the handshake is not kept waiting
    @cut: at the source: after how many bytes everything breaks, or None
    """

    def __init__(self, port, source_pids, cut=None, missing=None, after=0):
        super().__init__(daemon=True)
        self.port, self.source_pids, self.cut, self.missing = port, source_pids, cut, missing
        self.after = after
        self.total, self.was_cut = 0, False
        self.listener = socket.socket()
        small_buffers(self.listener)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.settimeout(60)
        self.start()

    def address(self):
        return "tcp:127.0.0.1:%d" % self.listener.getsockname()[1]

    def run(self):
        try:
            source, peer = self.listener.accept()
        except OSError:
            return
        shrink(self.source_pids, peer[1])
        with source, socket.create_connection(("127.0.0.1", self.port)) as target:
            self._pass(source, target)

    def _pass(self, source, target):
        held = b""
        while True:
            ready, _, _ = select.select([source, target], [], [], 60)
            if target in ready:
                try:
                    answer = target.recv(65536)
                except ConnectionResetError:
                    answer = b""
                if not answer:
                    return
                source.sendall(answer)
            if source in ready:
                data = source.recv(65536 if self.cut is None else
                                   max(1, min(65536, self.cut - self.total)))
                if not data:
                    self._end(target, held)
                    return
                self.total += len(data)
                held = self._forward(target, held + data)
                if self.cut is not None and self.total >= self.cut:
                    self._break(source)
                    return
            if not ready:
                return

    def _forward(self, target, data):
        """All but what will perhaps be missing."""
        keep = (self.missing or 0) if self.total > self.after else 0
        if len(data) > keep:
            target.sendall(data[:len(data) - keep])
        return data[len(data) - keep:] if keep else b""

    def _end(self, target, held):
        self.was_cut = len(held) > 0
        target.shutdown(socket.SHUT_WR)

    def _break(self, source):
        """The source hears a reset, the destination an end."""
        self.was_cut = True
        source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


FILTER = """#!/usr/bin/env python3
# A remote shell that tells the source another address for the memory.
import json, subprocess, sys
with subprocess.Popen([{rsh!r}] + sys.argv[1:], stdout=subprocess.PIPE, text=True, bufsize=1) as there:
    for line in there.stdout:
        message = json.loads(line)
        if message.get("type") == "reserved":
            with open({ask!r}, "w") as ask:
                ask.write(message["uri"] + "\\n")
            with open({answer!r}) as answer:
                message["uri"] = answer.read().strip()
        sys.stdout.write(json.dumps(message) + "\\n")
        sys.stdout.flush()
sys.exit(there.returncode)
"""


class Shell:
    """A remote shell whose streams go through a relay."""

    def __init__(self, lab, rsh):
        self.command = lab.file("relaying")
        self.ask, self.answer = lab.file("ask"), lab.file("answer")
        for path in (self.ask, self.answer):
            os.mkfifo(path)
        with open(self.command, "w") as out:
            out.write(FILTER.format(rsh=rsh.command, ask=self.ask, answer=self.answer))
        os.chmod(self.command, stat.S_IRWXU)

    def relay(self, source, **how):
        relay = Relay(int(self._asked().rpartition(":")[2]), source.qemu_pids(), **how)
        with open(self.answer, "w") as answer:
            answer.write(relay.address() + "\n")
        return relay

    def _asked(self):
        """The destination's address; opened for both, so that a command that failed is noticed."""
        ask = os.open(self.ask, os.O_RDWR)
        try:
            if not select.select([ask], [], [], 60)[0]:
                raise AssertionError("nobody asks where the memory goes")
            return os.read(ask, 4096).decode().strip()
        finally:
            os.close(ask)


class Guest:
    """One guest that moves, and what is known of it."""

    def __init__(self, lab, shell, rsh, name, machine="pc", qcow2=False):
        self.lab, self.shell, self.rsh, self.name = lab, shell, rsh, name
        self.alpha, self.beta = lab.hosts
        self.here, self.there = self.alpha, self.beta
        self.total = 1 << 62
        self.disk, self.qcow2 = lab.payload(name + ".img"), qcow2
        args = lab.guest(name, self.disk)
        args[args.index("pc")] = machine
        if qcow2:
            args = self._to_qcow2(args)
        done = self.alpha.leasehold("run", *args)
        if done.returncode != 0 or not self.goes_on():
            raise AssertionError("the guest does not run: " + done.stderr)

    def _to_qcow2(self, args):
        image = self.disk + ".qcow2"
        for command in (["convert", "-f", "raw", "-O", "qcow2", self.disk, image],
                        ["bitmap", "--add", image, "changed"]):
            subprocess.run(["qemu-img", *command], check=True, capture_output=True, timeout=60,
                           env=dict(os.environ, PATH=search_path()))
        args = [word.replace(self.disk, image).replace("format=raw", "format=qcow2")
                for word in args]
        self.raw, self.disk = self.disk, image
        return args

    def goes_on(self):
        before = self.written()
        return wait_until(40, lambda: self.written() > before + 3)

    def written(self):
        """What grows while the guest writes: a raw disk has its own count, of an image of another
        format the kernel says when it was last written, here in twentieths of a second."""
        if not self.qcow2:
            return self.lab.payload_seq(self.disk)
        return os.stat(self.disk).st_mtime_ns // 50000000

    def state(self, host):
        done = host.leasehold("show", self.name, "--json")
        return json.loads(done.stdout)["state"] if done.returncode == 0 else "none"

    def runs_on(self):
        """Which hosts say that they run it; None while that is open."""
        states = [self.state(host) for host in (self.alpha, self.beta)]
        if any(state not in ("running", "shut-off", "none") for state in states):
            return None
        return [host for host, state in zip((self.alpha, self.beta), states)
                if state == "running"]

    def move(self, **how):
        """Through a relay; (the relay, the command's status, what it said)."""
        move = self.here.popen("migrate", self.name, self.there.name, "--rsh",
                               self.shell.command)
        relay = self.shell.relay(self.here, **how)
        _, errors = move.communicate(timeout=120)
        return relay, move.returncode, errors

    def come_back(self):
        if self.here is self.alpha:
            return
        done = self.here.leasehold("migrate", self.name, "alpha", "--rsh", self.rsh.command,
                                   timeout=120)
        if done.returncode != 0:
            raise AssertionError("it does not come back: " + done.stderr)
        self.here, self.there = self.alpha, self.beta

    def settle(self):
        """TRUE when one host runs it and the other has nothing of it."""
        found = []
        wait_until(60, lambda: found.append(self.runs_on()) or
                   (found[-1] and len(found[-1]) == 1))
        if not found[-1] or len(found[-1]) != 1:
            return False
        self.here = found[-1][0]
        self.there = self.beta if self.here is self.alpha else self.alpha
        return bool(wait_until(20, lambda: not self.there.qemu_pids()))

    def shown(self):
        return [host.leasehold("show", self.name).stdout for host in (self.alpha, self.beta)]

    def end(self):
        self.here.leasehold("destroy", self.name)
        path = self.disk
        if self.qcow2:
            path = self.raw
            for command in (["check", self.disk],
                            ["convert", "-O", "raw", self.disk, path]):
                done = subprocess.run(["qemu-img", *command], capture_output=True, timeout=60,
                                      text=True, env=dict(os.environ, PATH=search_path()))
                tap.ok(done.returncode == 0, "%s: qemu-img %s" % (self.name, command[0]),
                       done.stdout, done.stderr)
        good, report = self.lab.check_payload(path)
        tap.ok(good, self.name + ": the disk shows no two writers", report)


def cut(guest, what, **how):
    """One cut, and what became of the guest."""
    relay, status, errors = guest.move(**how)
    good = guest.settle() and guest.goes_on()
    where = guest.here.name
    # a guest that writes while its memory is sent makes it longer, and is not cut then
    if not relay.was_cut and where == "beta":
        guest.total = min(guest.total, relay.total)
    tap.ok(good and (status != 0 or where == "beta"),
           "%s, %s: it runs on one host and goes on" % (guest.name, what),
           "status %d: %s" % (status, errors), *guest.shown())
    print("# %s, %s: %d bytes, %s, runs on %s, status %d %s"
          % (guest.name, what, relay.total, "cut" if relay.was_cut else "not cut", where, status,
             " ".join(errors.splitlines()[-1:])), flush=True)
    if not good:
        raise AssertionError("the rest of this guest means nothing")
    guest.come_back()
    return relay, where


def surely_cut(guest, what, how):
    """Whether a cut kept it here. A stream may be shorter than the last, and on a machine with
    other work a migration may fail before it is cut: then it is tried again."""
    for _ in range(5):
        relay, where = cut(guest, what, **how())
        if relay.was_cut:
            return where == "alpha"
    return False


def cuts(guest, few):
    # given the length of a stream that nobody cuts
    relay, where = cut(guest, "not cut")
    tap.ok(where == "beta" and not relay.was_cut, guest.name + ": through the relay it moves")
    # when it is cut before its end, for both or for the destination only
    broken = 0
    for before in offsets(few):
        broken += surely_cut(guest, "cut at the source, about %d before the end" % before,
                             lambda before=before: {"cut": guest.total - before})
        broken += surely_cut(guest, "the last %d bytes do not arrive" % before,
                             lambda before=before: {"missing": before, "after": guest.total // 2})
    tap.ok(broken > 0, guest.name + ": some of the cuts kept the guest on alpha")


def supervisor_dead(guest, before):
    # given a stream that breaks late, when the source's supervisor hangs and then dies
    cut(guest, "not cut, to measure")
    move = guest.here.popen("migrate", guest.name, "beta", "--rsh", guest.shell.command,
                            "--bandwidth", "1")
    relay = guest.shell.relay(guest.here, cut=guest.total - before)
    wait_until(30, lambda: relay.total > 20000)
    supervisors = guest.here.pids("leasehold-supervisor")
    for pid in supervisors:
        assert strike(pid, "STOP")
    relay.join(60)
    what = "%s, cut %d before the end without its supervisor" % (guest.name, before)
    tap.ok(relay.was_cut, what + ": the stream breaks while nobody looks")
    for pid in supervisors:
        os.kill(pid, signal.SIGKILL)
    move.communicate(timeout=120)
    # then QEMU goes on by itself, and a new supervisor finds it so; the last few thousand bytes
    # fit into the buffers of the connection, so that QEMU may have finished, and stand still
    if before > BUFFERS:
        tap.ok(guest.goes_on(), what + ": QEMU goes on, and nobody told it to")
    done = guest.alpha.leasehold("attach", guest.name)
    tap.ok(done.returncode == 0, what + ": a new supervisor takes it up", done.stderr)
    tap.ok(guest.settle() and guest.here is guest.alpha and guest.goes_on(),
           what + ": it runs here and goes on", *guest.shown())


with Lab("migrate-late") as lab:
    lab.store()
    lab.join(lab.host("alpha", 1), lab.host("beta", 2))
    rsh = Rsh(lab)
    shell = Shell(lab, rsh)
    for name, options in (("plain", {}), ("nodesc", {"machine": "pc,suppress-vmdesc=on"}),
                          ("bitmap", {"qcow2": True})):
        guest = Guest(lab, shell, rsh, name, **options)
        with tap.case(name):
            cuts(guest, [2, 2000, 40000] if name == "plain" else [2000])
            for before in (40000, 3000) if ALL or name == "plain" else ():
                supervisor_dead(guest, before)
        guest.end()

sys.exit(tap.done())
