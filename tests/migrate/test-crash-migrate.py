#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The crash matrix of a migration (I5, I6, I7): at each numbered step of the source and of the
destination, each process of that side is killed, or stopped and later continued; or the
supervisors of both sides are killed together, or that of the destination and its command.

For every cell: given a guest that runs on alpha, when it migrates to beta and {supervisor, QEMU,
lock daemon, command} of one side gets {KILL, STOP} right before a step, or several of them, then
  - a third host gets the disk only while nobody writes there, whatever else happens;
  - it is decided by itself where the guest runs: nobody does more than what a service manager
    does, which is to start a supervisor again that died (leasehold attach);
  - exactly one host says that the guest runs, and the other one does not hold anything of it and
    does not claim that it will run; or none runs it, and then it can be started;
  - who has lost neither its QEMU nor its lock daemon has not lost the guest's memory either;
  - the command ends, and what it says of the guest is so: that it went to beta, that it stays on
    alpha, that it ended;
  - the disk shows no two writers.

The commands lines of the guests say locking=off, so that nothing but leases keeps anybody out.
Cells that wait for a dead host run on a scaled clock: whose lock daemon is struck has the clock of
everybody, and the lock daemons of the others, who wait, one that is four times as fast. io_timeout
is 1 s, so the struck host has ended its guest after 8 s at most, and is dead for the others after
17 s instead of 68 s.

test-crash-migrate-all.py runs every cell, and stops processes for longer than the other side is
patient; this one a subset, and stops them for a moment. With arguments it runs those cells only:
test-crash-migrate.py source:supervisor:KILL:migrate:4 ...

Seen failing: with a source that takes its guest back without asking for the bridge and the epoch
(virLockManagerTakeBack), it runs on both after destination:supervisor:STOP:incoming:11. With a
migrate-in that does not wait for the death of the supervisor, take the guest up and look at it
(virMigrateInRescue), the command says that a guest has ended that runs, after
destination:supervisor:KILL:incoming:11.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import (PAYLOAD_CHECK, Lab, Tap, alive, children, faketime, requires, strike,  # noqa: E402
                 wait_until)
from moving import Rsh, Thread  # noqa: E402

ALL = os.environ.get("TEST_CRASH_ALL") == "1"
OUT = ["migrate:%d" % n for n in range(1, 7)]
ARRIVES = ["incoming:%d" % n for n in range(1, 12)]
IN = ARRIVES + ["settle:1", "settle:2"]
# Cells stand and wait most of the time: so many at once, of each kind.
LANES = 2 if ALL else 1
PATIENCE_SEC = 3 * 3600
# Longer than the other side waits for a sign of life (15 s), or a moment.
STOP_SEC = int(os.environ.get("TEST_STOP_SEC", 20 if ALL else 2))
SCALE = 4 if faketime() else 1
DECIDED_SEC = 90 if faketime() else 160
RUN_SEC = 30 if faketime() else 100
COMMAND_SEC = 150
BRIDGE = "reserved"  # the mode of a lease that is held by its bridge only
REFUSED = (123, 124)  # exit statuses of exec: busy, unavailable

SUBSET = [
    "source:supervisor:KILL:migrate:5", "source:supervisor:STOP:migrate:4",
    "source:qemu:KILL:migrate:4", "source:command:KILL:migrate:3",
    "destination:supervisor:KILL:incoming:11", "destination:supervisor:STOP:incoming:10",
    "destination:qemu:KILL:incoming:10", "destination:command:KILL:incoming:4",
    "source:daemon:KILL:migrate:5", "destination:daemon:KILL:incoming:9",
]


class SharedTap(Tap):
    """Of several threads: what belongs to a fact follows it."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def ok(self, good, what, *diagnostics):
        with self.lock:
            return super().ok(good, what, *diagnostics)


requires("sanlock", "qemu-system-x86_64", "payload")
tap = SharedTap()


def cells_of(side, steps):
    """Every cell of a side, but those whose victim is not there: QEMU is executed at incoming:6
    (before, from incoming:4 on, its process is there, parked), and the destination's command
    ends when the guest runs there."""
    found = []
    for step in steps:
        for victim in ("supervisor", "qemu", "daemon", "command"):
            if step in ("incoming:1", "incoming:2", "incoming:3") and victim == "qemu":
                continue
            if step.startswith("settle") and victim == "command":
                continue
            found += [":".join((side, victim, sig, step)) for sig in ("KILL", "STOP")]
    return found


def all_cells():
    """"both": the supervisors of both sides; "orphan": what would take up the arrival, too."""
    return cells_of("source", OUT) + cells_of("destination", IN) + \
        ["both:supervisor:KILL:" + step for step in OUT[2:] + ARRIVES] + \
        ["destination:orphan:KILL:" + step for step in ARRIVES]


class Cell:
    """One fault in one migration. @where: "source:supervisor:KILL:migrate:4"."""

    def __init__(self, lab, rsh, where, number):
        self.lab, self.rsh, self.where = lab, rsh, where
        self.side, self.victim, self.sig, self.step = where.split(":", 3)
        self.alpha, self.beta, self.gamma = lab.hosts
        self.host = self.alpha if self.step in OUT else self.beta
        self.name = "web%d" % number
        self.disk = lab.payload(self.name + ".img")
        self.guest = lab.guest(self.name, self.disk)
        self.source, self.target, self.move = None, None, None
        self.pids = []

    def ok(self, good, what, *diagnostics):
        return tap.ok(good, "%s: %s" % (self.where, what), *diagnostics)

    # --- given: a guest that runs, and a migration that stands before the step

    def start(self):
        self.source = self.alpha.run_stepped(*self.guest)
        assert self.goes_on(), "the guest does not write on alpha"

    def reach(self):
        if self.host is self.beta:
            self.target = self.rsh.steps_of(self.beta)
        self.move = self.alpha.popen("migrate", self.name, "beta", "--rsh", self.rsh.command)
        if self.target:
            Thread(self._source_passes)
            self.target.until(self.step)
        else:
            self.source.until(self.step)

    def _source_passes(self):
        while self.source.read():
            self.source.go()

    # --- when: somebody is struck

    def victims(self):
        """One list for each process that is to be struck: it has one member."""
        if self.side == "both":
            return [self.supervisors(self.alpha), self.supervisors(self.beta)]
        if self.victim == "orphan":
            return [self.commands(), self.supervisors(self.beta)]
        if self.victim == "daemon":
            return [[self.host.daemon.pid]]
        if self.victim == "supervisor":
            return [self.supervisors(self.host)]
        if self.victim == "command":
            return [[self.move.pid] if self.host is self.alpha else self.commands()]
        return [self.host.qemu_pids() or [pid for supervisor in self.supervisors(self.host)
                                          for pid in children(supervisor)]]

    @staticmethod
    def supervisors(host):
        """Not their parked children, which have the same name until they are QEMU."""
        found = host.pids("leasehold-supervisor")
        return [pid for pid in found if not any(pid in children(other) for other in found)]

    def commands(self):
        """migrate-in."""
        others = self.beta.pids("leasehold-supervisor")
        return [pid for pid in self.beta.pids("leasehold") if pid not in others]

    def strike(self):
        found = wait_until(20, self.standing) or self.victims()
        if any(len(pids) != 1 for pids in found):
            raise AssertionError("not one process each is the %s: %s" % (self.victim, found))
        self.pids = [pids[0] for pids in found]
        for pid in self.pids:
            strike(pid, self.sig)
        for steps in (self.target, self.source):
            if steps:
                steps.close()
        if self.sig == "STOP":
            time.sleep(STOP_SEC)  # the fault itself, and not a wait for something
            self.stranger("while it is stopped")
            if alive(self.pids[0]):
                os.kill(self.pids[0], signal.SIGCONT)
        else:
            self.stranger("right afterwards")

    def standing(self):
        """The other side of "both" may not have a supervisor yet."""
        found = self.victims()
        return found if all(len(pids) == 1 for pids in found) else None

    # --- then

    def stranger(self, when):
        """A third host that gets the disk must be alone with it, for as long as it has it."""
        done = self.gamma.leasehold("exec", "--disk", self.disk, "--", sys.executable,
                                    os.path.abspath(__file__), "--writes", self.disk)
        self.ok(done.returncode in (0, *REFUSED), "a third host is refused, or alone, " + when,
                "exit status %d: %s %s" % (done.returncode, done.stdout, done.stderr))

    def show(self, host):
        """(state, reason, leases) as it says itself."""
        done = host.leasehold("show", self.name, "--json")
        if done.returncode != 0:
            return ("none", "", [])
        said = json.loads(done.stdout)
        return (said["state"], said.get("reason") or "", said.get("leases") or [])

    def decided(self):
        """Who runs it: [], ["alpha"], ["beta"]; or None while that is open."""
        running, is_open = [], False
        for host in (self.alpha, self.beta):
            state, reason, leases = self.show(host)
            if state == "unsupervised":
                host.leasehold("attach", self.name)
                is_open = True
            elif state == "running" and not any(BRIDGE in lease.values() for lease in leases):
                running.append(host.name)
                is_open = is_open or self.has_to_go(host)
            elif state not in ("shut-off", "none") and reason != "lease-lost":
                is_open = True
        return None if is_open else running

    def has_to_go(self, host):
        """It says "running" because it has not heard yet of what ends its guest."""
        return not host.qemu_pids() or \
            (self.victim == "daemon" and self.sig == "KILL" and host is self.host)

    def goes_on(self, host=None):
        before = self.lab.payload_seq(self.disk)
        return wait_until(30, lambda: self.lab.payload_seq(self.disk) > before + 3)

    def words(self):
        return [host.leasehold("show", self.name).stdout for host in (self.alpha, self.beta)]

    def ended(self):
        try:
            _, errors = self.move.communicate(timeout=COMMAND_SEC)
        except subprocess.TimeoutExpired:
            self.move.kill()
            self.ok(False, "the command ends", "it runs after %d s" % COMMAND_SEC)
            return "?"
        return "command: status %d: %s" % (self.move.returncode, errors.strip())

    def judge(self):
        said = self.ended()
        found = []
        wait_until(DECIDED_SEC, lambda: found.append(self.decided()) or found[-1] is not None)
        where = found[-1]
        if not self.ok(where is not None and len(where) < 2, "it is decided where it runs",
                       said, *self.words()):
            return
        print("# %s -> %s; %s" % (self.where, where or "nowhere", said), flush=True)
        self.ok(self.is_true(said, where), "the command does not claim what is not so", said,
                where)
        if not where:
            self.ok(self.loses_memory(), "the guest is not lost", said, *self.words())
            where = [self.can_run()]
        self.ok(self.goes_on(), "it writes on " + where[0], *self.words())

    def is_true(self, said, where):
        """What the command says, and what came of it. Whose guest was struck may have said before
        that it runs."""
        if self.move.returncode == 0:
            return where == ["beta"] or self.loses_beta()
        if "start it anew" in said:
            return not where
        if "stays here" in said or "cannot migrate" in said:
            return where == ["alpha"] or self.loses_memory()
        return True

    def loses_memory(self):
        """A cell in which the guest's memory may have been on the side that was struck only."""
        sequence, _, number = self.step.partition(":")
        if self.victim not in ("qemu", "daemon"):
            return False
        if sequence == "migrate":
            return int(number) <= 4
        return sequence == "settle" or int(number) >= (10 if self.victim == "qemu" else 11)

    def loses_beta(self):
        return self.host is self.beta and self.loses_memory()

    def can_run(self):
        """Nothing needs hand surgery: it can be started, by the other side too."""
        host = self.beta if self.host is self.alpha else self.alpha
        done = host.leasehold("run", "--timeout", str(RUN_SEC), *self.guest,
                              timeout=RUN_SEC + 60)
        self.ok(done.returncode == 0, "ended, it can be started", done.stderr, *self.words())
        return host.name

    def revive(self):
        """The host gets its lock daemon and its membership again."""
        if self.victim != "daemon":
            return
        if self.host.daemon.poll() is not None:
            self.host.start_daemon()
        self.lab.join(self.host)

    def end(self):
        for steps in (self.target, self.source):
            if steps:
                steps.close()
        if self.sig == "STOP":
            for pid in self.pids:
                if alive(pid):
                    os.kill(pid, signal.SIGCONT)
        self.revive()
        for host in (self.alpha, self.beta):
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
            self.strike()
            self.judge()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as failure:
            self.ok(False, "the cell comes to its end", failure, *self.words())
        finally:
            self.end()


def writes(disk):
    """Runs under the stranger's lease: who writes there meanwhile? Not who has it open: a guest
    that is paused because its leases are lost has."""
    seen = []
    for _ in range(3):
        seen.append(subprocess.run([PAYLOAD_CHECK, "--seq", disk], timeout=60,
                                   capture_output=True, text=True).stdout.strip())
        time.sleep(0.1)
    print("newest records:", *seen)
    return 0 if len(set(seen)) == 1 else 1


def run_cells(cells, scaled):
    """@scaled: the hosts whose lock daemon has the faster clock."""
    if not cells:
        return
    with Lab("crash-migrate") as lab:
        lab.store("--max-leases", "1000")
        lab.join(*[lab.host(name, i, SCALE if name in scaled else 1)
                   for i, name in enumerate(("alpha", "beta", "gamma"), 1)])
        rsh = Rsh(lab)
        for number, where in enumerate(cells):
            Cell(lab, rsh, where, number).run()


def main():
    if sys.argv[1:2] == ["--writes"]:
        return writes(sys.argv[2])
    cells = sys.argv[1:] or (all_cells() if ALL else SUBSET)
    daemons = [cell for cell in cells if ":daemon:" in cell]
    lanes = [([cell for cell in cells if cell not in daemons], ()),
             ([cell for cell in daemons if cell.startswith("source")], ("beta", "gamma")),
             ([cell for cell in daemons if cell.startswith("dest")], ("alpha", "gamma"))]
    threads = []
    for lane, scaled in lanes:
        for i in range(LANES):
            threads.append(Thread(lambda these=lane[i::LANES], s=scaled: run_cells(these, s)))
        if not ALL:
            threads[-1].wait(PATIENCE_SEC)
    for thread in threads:
        thread.wait(PATIENCE_SEC)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
