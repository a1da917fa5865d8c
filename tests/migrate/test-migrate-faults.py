#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is between two hosts, and beneath them, breaks at each numbered step of a migration, and
half-way through the guest's memory (I5, I6, I7, I9); or the operator changes his mind there.

    cancel             "migrate --cancel" on the source, while the memory stands still
    cancel-late        the same, and the memory goes on at that moment
    cancel-there       "job --cancel" on the destination, which has no such job: it is refused
    destroy-there      "destroy" on the destination
    channel-cut        the remote shell is killed
    channel-stall      it stands still for a moment; channel-hang: for longer than anybody waits
    stream-cut         the connection between the QEMUs breaks
    stream-stall       nothing passes there for a moment; stream-hang: until it is cancelled, and
                       the guest goes on meanwhile; stream-hang-parallel: QEMU makes several
                       connections itself, and nobody cancels
    storage-fails      each access to the image ends with EIO; storage-hangs: none ends; on the host
                       that stands at the step, from there on and until the command has ended
    storage-fails-writes  each write does, and reading works
    storage-stalls     none ends for a moment
    daemon-stall       its lock daemon stands still for a moment
    ...-away           the same on the other host

For every cell, given a guest that runs on alpha and a migration to beta that stands there, when
that happens and everybody goes on, then
  - the command ends; where it fails it names the guest, the other host and what broke;
  - the guest runs on one host, the one that the storage chose, or is paused there for a reason that
    is said, and goes on when it is resumed;
  - the other host has no QEMU, and all leases that are held are those of the one where it runs;
  - the guest goes on writing, the next migration works, and the disk shows no two writers.

The guest is a command line with locking=off, so that nothing but leases keeps anybody out, and
with werror=stop, so that it is paused where its storage fails.

test-migrate-faults-all.py runs every cell; this one a subset. With arguments it runs those cells
only: test-migrate-faults.py channel-cut@migrate:4 ...

Seen failing: with a source that takes its guest back without asking for the bridge and the epoch
(virLockManagerTakeBack), both write after channel-cut@incoming:11. With a destination that gives up
when QEMU refuses to let the guest run (virIncomingCont), its memory is lost after
storage-fails@incoming:11. With the words of QEMU as the only reason for a stream that broke
(virOutExplain), the command does not name the channel after channel-cut@migrate:3. With a
connection that blocks (virMigrateOutConnect) QEMU hangs in stream-hang@migrate:3; with one that is
not cut (virMigrateOutCut) the guest stands still after that and stream-hang-parallel@migrate:3.
With a destination that does not look at its storage once more when it has the word
(virMigrateStorageAsk), the guest's memory is lost after storage-hangs-away@migrate:4. With a
QEMU that is not asked again when it did not answer for two minutes (virDomainLockMigrateGoOn), the
guest stays paused for ever after storage-hangs@half.
"""

import contextlib
import json
import os
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from dbus_wire import Client  # noqa: E402
from lab import TOP_BUILD, Lab, Tap, alive, requires, strike, wait_until  # noqa: E402
from moving import Rsh, Thread, shrink, small_buffers  # noqa: E402

ALL = os.environ.get("TEST_FAULTS_ALL") == "1"
FAULTY = os.path.join(TOP_BUILD, "tests/guest/.libs/faulty_storage.so")
OUT = ["migrate:%d" % n for n in range(1, 7)]
IN = ["incoming:%d" % n for n in range(1, 12)] + ["settle:1", "settle:2"]
HALF = "half"  # of the memory has gone
HALF_BYTES = 100000
# What is on its way between the QEMUs: less than the other half (730 kB in all), and enough for
# TCP, which stands still for seconds at a time with the smallest ones.
BUFFER = 65536
PARALLEL = ("--connections", "2")
MOMENT_SEC = 2 if ALL else 1
# Where the destination has taken the guest over, or will, unless its memory is incomplete.
LATE = ("migrate:5", "migrate:6", "incoming:10", "incoming:11", "settle:1", "settle:2")
# All that a command waits for, one after the other.
COMMAND_SEC = 240

SUBSET = [
    "cancel@half", "cancel@migrate:4",
    "channel-cut@migrate:3", "channel-cut@incoming:11", "stream-cut@half", "stream-stall@half",
    "stream-hang@migrate:3",
    "storage-fails@half", "storage-fails@incoming:6", "storage-fails@incoming:11",
    "storage-hangs-away@migrate:4",
    "daemon-stall@migrate:4",
]

# What a command that fails says of its cause.
CAUSES = {
    "cancel": "cancelled",
    "destroy-there": "destroy|ended|killed|closed its monitor|cancelled",
    "channel": "channel|killed|said nothing|broken",
    "stream": "stream|memory|connection|cancelled",
    "storage": "I/O|Input/output|io-error|QEMU|answer|storage|image",
    "daemon": "daemon|sanlock|lockspace|renew",
}

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()

LINE = """#!/usr/bin/env python3
# A remote shell with both directions in its hand, that leads the memory through a relay.
import json, os, subprocess, sys, threading

def up(there):
    try:
        while data := os.read(0, 65536):
            there.stdin.write(data)
    except OSError:
        pass
    there.stdin.close()

def put(name, text):
    with open(name + ".new", "w") as out:
        out.write(text)
    os.rename(name + ".new", name)

put({folder!r} + "/line.pid", str(os.getpid()))
there = subprocess.Popen([{rsh!r}] + sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         bufsize=0)
threading.Thread(target=up, args=(there,), daemon=True).start()
for line in there.stdout:
    message = json.loads(line)
    if message.get("type") == "reserved":
        put({folder!r} + "/line.target", message["uri"].rpartition(":")[2])
        with open({folder!r} + "/line.relay") as relay:
            message["uri"] = "tcp:127.0.0.1:" + relay.read()
    try:
        os.write(1, json.dumps(message).encode() + b"\\n")
    except OSError:
        break
os.close(1)
os._exit(there.wait())
"""


class Stream(threading.Thread):
    """Between the two QEMUs. @held: it stands still after so many bytes, until it is told what to
    do; None: it does not."""

    def __init__(self, lab, source_pids, held):
        super().__init__(daemon=True)
        self.lab, self.source_pids, self.held = lab, source_pids, held
        self.mode, self.total = "pass", 0
        self.stands = threading.Event()
        self.listener = socket.socket()
        small_buffers(self.listener, BUFFER)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.listener.settimeout(0.02)
        with open(lab.file("line.relay"), "w") as out:
            out.write(str(self.listener.getsockname()[1]))
        self.start()

    def run(self):
        source = None
        while source is None and self.mode not in ("cut", "end"):
            with contextlib.suppress(socket.timeout):
                source, peer = self.listener.accept()
                shrink(self.source_pids, peer[1], BUFFER)
        self.listener.close()
        if source is None:
            return
        with source:
            with open(self.lab.file("line.target")) as file:
                port = int(file.read())
            with contextlib.suppress(OSError), \
                    socket.create_connection(("127.0.0.1", port)) as target:
                self._pass(source, target)
                if self.mode == "cut":
                    for sock in (source, target):  # both hear a reset
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))

    def _pass(self, source, target):
        other = {source: target, target: source}
        while self.mode not in ("cut", "end") and other:
            if self.mode == "hang":
                time.sleep(0.01)  # one who hangs does not look either
                continue
            for sock in select.select(list(other), [], [], 0.02)[0]:
                data = sock.recv(16384)
                if not data:
                    other[sock].shutdown(socket.SHUT_WR)
                    del other[sock]
                    continue
                other[sock].sendall(data)
                self.total += len(data) if sock is source else 0
            if self.held and self.total >= self.held:
                self.held, self.mode = None, "hang"
                self.stands.set()

    def go(self):
        self.held = None
        if self.mode == "hang":
            self.mode = "pass"


class Cell:
    """One fault in one migration. @where: "channel-cut@migrate:4"."""

    def __init__(self, lab, rsh, where, number):
        self.lab, self.rsh, self.where = lab, rsh, where
        self.fault, _, self.place = where.partition("@")
        self.alpha, self.beta, self.gamma = lab.hosts
        self.here = self.beta if self.place in IN else self.alpha
        if self.fault.endswith("-away"):
            self.here = self.alpha if self.here is self.beta else self.beta
        self.kind = self.fault.replace("-away", "")
        self.name = "web%d" % number
        self.disk = lab.payload(self.name + ".img")
        self.guest = [word.replace("locking=off", "locking=off,werror=stop,rerror=stop")
                      for word in lab.guest(self.name, self.disk)]
        self.source, self.target, self.move, self.stream = None, None, None, None
        self.said, self.aside = "", None

    def ok(self, good, what, *diagnostics):
        return tap.ok(good, "%s: %s" % (self.where, what), *diagnostics)

    # --- given: a guest that runs, and a migration that stands somewhere

    def start(self):
        for host in (self.alpha, self.beta):
            set_storage(self.lab, host, "")
        self.source = self.alpha.run_stepped(*self.guest,
                                             env=storage_environment(self.lab, self.alpha))
        assert self.goes_on(), "the guest does not write on alpha"

    def reach(self):
        for name in ("line.pid", "line.target"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.lab.file(name))
        self.stream = Stream(self.lab, self.alpha.qemu_pids(),
                             HALF_BYTES if self.place == HALF else None)
        if self.place in IN:
            self.target = self.rsh.steps_of(self.beta)
        self.move = self.alpha.popen("migrate", self.name, "beta", "--rsh", self.lab.file("line"),
                                     *(PARALLEL if "parallel" in self.kind else ()))
        if self.place in OUT:
            self.source.until(self.place)
            return
        Thread(self._source_passes)
        if self.target:
            self.target.until(self.place)
        elif not self.stream.stands.wait(60):
            raise AssertionError("the memory does not begin to move")

    def _source_passes(self):
        while self.source.read():
            self.source.go()

    def steps_pass(self):
        for steps in (self.target, self.source):
            if steps:
                steps.close()

    def let_go(self):
        self.steps_pass()
        if not self.kind.startswith("stream"):
            self.stream.go()

    # --- when: something breaks

    def break_it(self):
        getattr(self, "do_" + self.kind.replace("-", "_"))()

    def do_cancel(self):
        """The memory goes on, where it stands, when the cancel is answered."""
        self.cancel()
        self.let_go()

    def do_cancel_late(self):
        self.cancel(self.let_go)

    def cancel(self, heard=lambda: None):
        """By hand, so that it is known when it was heard."""
        if self.place in ("migrate:1", "incoming:9") + LATE:
            self.cancel_by_command()
            return
        client = Client(os.path.join(self.alpha.run_dir, "guests", self.uuid(), "control"))
        client.authenticate()
        asked = client.cancel_job()
        self.steps_pass()
        heard()
        self.aside = client.answer(asked)

    def cancel_by_command(self):
        """Too early, or too late; or (incoming:9) perhaps."""
        command = self.alpha.popen("migrate", self.name, "--cancel")
        if self.place == "incoming:9":
            self.let_go()
        _, errors = command.communicate(timeout=60)
        self.aside = "status %d: %s" % (command.returncode, errors)
        if self.place != "incoming:9":
            self.ok(command.returncode == 1 and self.name in errors,
                    "it is too early or too late to cancel, and that is said", self.aside)
        self.let_go()

    def uuid(self):
        return os.listdir(os.path.join(self.alpha.run_dir, "guests"))[0]

    def do_cancel_there(self):
        cancel = self.beta.popen("job", self.name, "--cancel")
        self.let_go()
        self.aside = cancel.communicate(timeout=60)

    def do_destroy_there(self):
        destroy = self.beta.popen("destroy", self.name)
        wait_until(20, lambda: not self.beta.qemu_pids())
        self.let_go()
        _, errors = destroy.communicate(timeout=60)
        self.aside = "status %d: %s" % (destroy.returncode, errors)

    def line(self):
        def read():
            with contextlib.suppress(FileNotFoundError):
                with open(self.lab.file("line.pid")) as file:
                    return int(file.read())
            return None

        return wait_until(20, read)

    def do_channel_cut(self):
        if alive(self.line()):
            strike(self.line(), "KILL")
        self.let_go()

    def do_channel_stall(self):
        self.stall(self.line(), MOMENT_SEC)

    def do_channel_hang(self):
        """For longer than a side is patient (15 s)."""
        self.stall(self.line(), 20)

    def stall(self, pid, seconds):
        if alive(pid):
            strike(pid, "STOP")
        self.let_go()
        time.sleep(seconds)  # the fault itself, and not a wait for something
        if alive(pid):
            os.kill(pid, signal.SIGCONT)

    def do_stream_cut(self):
        self.stream.mode = "cut"
        self.let_go()

    def do_stream_stall(self):
        self.stream.mode = "hang"
        self.let_go()
        time.sleep(MOMENT_SEC)
        self.stream.go()

    def do_stream_hang(self):
        self.stream.mode = "hang"
        self.let_go()
        self.ok(self.goes_on() and self.move.poll() is None, "it goes on meanwhile", *self.words())
        done = self.alpha.leasehold("migrate", self.name, "--cancel")
        self.aside = "status %d: %s" % (done.returncode, done.stderr)

    def do_stream_hang_parallel(self):
        self.stream.mode = "hang"
        self.let_go()

    def do_storage_fails(self):
        set_storage(self.lab, self.here, "fail")
        self.let_go()

    def do_storage_fails_writes(self):
        set_storage(self.lab, self.here, "write")
        self.let_go()

    def do_storage_hangs(self):
        set_storage(self.lab, self.here, "hang")
        self.let_go()

    def do_storage_stalls(self):
        set_storage(self.lab, self.here, "hang")
        self.let_go()
        time.sleep(MOMENT_SEC)
        set_storage(self.lab, self.here, "")

    def do_daemon_stall(self):
        self.stall(self.here.daemon.pid, MOMENT_SEC)

    # --- then

    def show(self, host):
        """(state, reason) as it says itself."""
        done = host.leasehold("show", self.name, "--json")
        if done.returncode != 0:
            return ("none", "")
        said = json.loads(done.stdout)
        return (said["state"], said.get("reason") or "")

    def words(self):
        return [host.leasehold("show", self.name).stdout for host in (self.alpha, self.beta)] + \
            ["aside: %s" % (self.aside,), "command: " + self.said]

    def has(self):
        """The host that has the guest, when the other one has nothing of it."""
        states = [self.show(host)[0] for host in (self.alpha, self.beta)]
        over = [state in ("shut-off", "none") for state in states]
        if over.count(True) != 1:
            return None
        here, there = (self.alpha, self.beta) if over[1] else (self.beta, self.alpha)
        state = states[0] if here is self.alpha else states[1]
        if state not in ("running", "paused") or there.qemu_pids() or len(here.qemu_pids()) != 1:
            return None
        return here if self.holders() == {here.name} else None

    def holders(self):
        """Who holds leases of anything, by the store; "?" for a bridge, which is no end."""
        done = self.gamma.leasehold("--json", "store", "list", "--held")
        held = json.loads(done.stdout)["leases"] if done.returncode == 0 else []
        return {"?" if lease.get("mode") == "reserved" else lease.get("host") for lease in held}

    def goes_on(self, host=None):
        """@host: where it may have to be resumed, now that the storage works again."""
        before = self.lab.payload_seq(self.disk)
        return wait_until(30, lambda: self.lab.payload_seq(self.disk) > before + 3 or
                          (host and self.resume(host)))

    def resume(self, host):
        if self.show(host) == ("paused", "io-error"):
            host.leasehold("resume", self.name)

    def ended(self):
        try:
            _, errors = self.move.communicate(timeout=COMMAND_SEC)
        except subprocess.TimeoutExpired:
            self.move.kill()
            return self.ok(False, "the command ends", "it runs after %d s" % COMMAND_SEC,
                           *self.words())
        self.said = "status %d: %s" % (self.move.returncode, errors.strip())
        return True

    def explains(self):
        """A command that failed."""
        cause = CAUSES.get(self.kind) or CAUSES[self.kind.partition("-")[0]]
        return self.name in self.said and "beta" in self.said and re.search(cause, self.said)

    def judge(self):
        if not self.ended():
            return
        for host in (self.alpha, self.beta):
            set_storage(self.lab, host, "")
        if self.move.returncode == 6 or self.is_destroyed():
            self.starts_anew()
            return
        host = wait_until(30, self.has)
        if not self.ok(host, "one host has it, and nothing is left of it on the other",
                       self.holders(), *self.words()):
            return
        print("# %s -> %s %s; %s" % (self.where, host.name, self.show(host), self.said), flush=True)
        status = self.move.returncode
        self.ok(status == 0 or self.explains(), "a command that fails says why", *self.words())
        self.ok(self.is_expected(host, status), "it is where it has to be", host.name,
                *self.words())
        self.ok(self.goes_on(host), "it goes on", *self.words())
        self.moves_again(host)

    def is_destroyed(self):
        """Where it ran."""
        return self.kind == "destroy-there" and self.place in LATE[3:]

    def starts_anew(self):
        """It was handed over, and there its storage gave no answer after that, for as long as is
        waited."""
        self.ok(self.is_destroyed() or
                self.kind == "storage-hangs" and self.here is self.beta and
                self.place in LATE and self.explains(),
                "its memory is lost for a good reason", *self.words())
        print("# %s -> lost; %s" % (self.where, self.said), flush=True)
        self.ok(wait_until(30, lambda: not self.alpha.qemu_pids() and not self.beta.qemu_pids() and
                           not self.holders()), "it is over on both hosts", *self.words())
        done = self.alpha.leasehold("run", *self.guest)
        self.ok(done.returncode == 0 and self.goes_on(), "it can be started anew", done.stderr,
                *self.words())

    def is_expected(self, host, status):
        """Where it is, and what was said of it, agree; and it is where no accident decides."""
        told = [self.alpha]
        if status == 0 or "handed over" in self.said:
            told = [self.beta]
        elif status == 5:  # "which has not said that it runs"
            told = [self.alpha, self.beta]
        return host in told and (self.must() or host.name) == host.name

    def must(self):
        if "stall" in self.kind or self.kind == "cancel-there" or \
                self.place in LATE and self.kind == "cancel" or \
                self.place in LATE[1:] and self.kind == "channel-cut":
            return "beta"
        if self.kind == "storage-hangs" and self.here is self.beta and self.place not in LATE:
            return "alpha"
        if self.place in LATE + ("incoming:9", "migrate:4") and self.kind != "cancel" or \
                self.place in ("migrate:1", "incoming:9"):
            return None
        return "alpha" if self.kind in ("cancel", "channel-cut", "stream-cut") or \
            self.kind.startswith("stream-hang") else None

    def moves_again(self, host):
        there = self.alpha if host is self.beta else self.beta
        done = host.leasehold("migrate", self.name, there.name, "--rsh", self.rsh.command)
        self.ok(done.returncode == 0 and self.show(there)[0] == "running" and self.goes_on(),
                "the next migration works", "status %d: %s" % (done.returncode, done.stderr),
                *self.words())

    def end(self):
        self.steps_pass()
        if self.stream:
            self.stream.mode = "end"
        for host in (self.alpha, self.beta):
            set_storage(self.lab, host, "")
            host.leasehold("destroy", self.name)
        if self.move and self.move.poll() is None:
            self.move.kill()
        good, report = self.lab.check_payload(self.disk)
        self.ok(good, "the disk shows no two writers", report)
        os.unlink(self.disk)

    def run(self):
        try:
            self.start()
            self.reach()
            self.break_it()
            self.judge()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as failure:
            self.ok(False, "the cell comes to its end", repr(failure), *self.words())
        finally:
            self.end()


def storage_environment(lab, host):
    return {"LD_PRELOAD": FAULTY, "LEASEHOLD_TEST_STORAGE": lab.file("storage-" + host.name),
            "LEASEHOLD_TEST_STORAGE_OF": ".img",
            # a program with sanitizers wants to come before what is preloaded
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def set_storage(lab, host, word):
    path = lab.file("storage-" + host.name)
    with open(path + ".new", "w") as out:
        out.write(word)
    os.rename(path + ".new", path)
    if not word:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + ".hit")


def all_cells():
    everywhere = OUT + [HALF] + IN
    there = [HALF] + IN[3:]  # where the destination has a supervisor that listens
    streams = ["migrate:3", HALF, "incoming:8", "incoming:9"]
    writes = ["migrate:3", "migrate:4", HALF] + IN[8:]
    found = [("cancel", everywhere), ("cancel-late", [HALF]), ("cancel-there", there),
             ("destroy-there", there), ("channel-cut", everywhere),
             ("channel-stall", everywhere), ("channel-hang", OUT[1:5] + [HALF] + IN[7:11]),
             ("stream-cut", everywhere), ("stream-stall", streams), ("stream-hang", ["migrate:3", HALF, "incoming:8"]),
             ("stream-hang-parallel", ["migrate:3", "incoming:8"])]
    for away in ("", "-away"):
        found += [("storage-fails" + away, everywhere), ("storage-fails-writes" + away, writes),
                  ("storage-hangs" + away, everywhere), ("storage-stalls" + away, everywhere),
                  ("daemon-stall" + away, everywhere)]
    return ["%s@%s" % (fault, place) for fault, places in found for place in places]


def main():
    cells = sys.argv[1:] or (all_cells() if ALL else SUBSET)
    with Lab("migrate-faults") as lab:
        lab.store("--max-leases", "2000")
        lab.join(*[lab.host(name, i) for i, name in enumerate(("alpha", "beta", "gamma"), 1)])
        rsh = Rsh(lab)
        for host in lab.hosts[:2]:
            rsh.add(host, **storage_environment(lab, host))
        with open(lab.file("line"), "w") as out:
            out.write(LINE.format(rsh=rsh.command, folder=lab.path))
        os.chmod(lab.file("line"), stat.S_IRWXU)
        for number, where in enumerate(cells):
            began = time.monotonic()
            Cell(lab, rsh, where, number).run()
            print("# %s took %.1f s" % (where, time.monotonic() - began), flush=True)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
