# SPDX-License-Identifier: LGPL-2.1-or-later
"""matrix.py: faults at numbered steps. One cell is: a command runs until it stands before a
step, a process of the host is killed or stopped, the command goes on, and then another host
tries to run the same guest. What has to hold in every cell:

  one writer   the other host gets the guest only if nobody else has a disk of it open
  told truly   a command that lost a process does not say that all went well, unless it did:
               the guest's processes are there
  no surgery   after a destroy the guest can be started by any host
"""

import contextlib
import os
import shlex
import signal
import subprocess
import time

from lab import Steps, alive, children, has_open, strike, wait_until
from standing import HarnessError

VICTIMS = ("supervisor", "child", "daemon", "command", "host")
SIGNALS = ("KILL", "STOP")
REFUSED = (3, 4)  # exit statuses of "run": busy, unavailable
COMMAND_SEC = 120
QUIET_SEC = 1
STEP_SEC = 30


class Plan:
    """What the user asked for: the guest, how to get there, and who judges."""

    def __init__(self, lab, host, judge, guest, disks, before, command):
        self.lab, self.host, self.judge = lab, host, judge
        self.guest, self.disks = guest, disks
        self.before = [self.words(shlex.split(line)) for line in before]
        self.command = self.words(command)

    def words(self, line):
        """{guest} stands for the arguments of run, {name} for the name, {disk} for the disk."""
        words = []
        for word in line:
            if word == "{guest}":
                words += self.lab.guest(self.guest, *self.disks)
            else:
                words.append(word.replace("{name}", self.guest).replace("{disk}", self.disks[0]))
        return words

    def writers(self, hosts):
        """Processes of @hosts that have a disk of the guest open, and are not commands."""
        found = []
        for host in hosts:
            commands = host.pids("leasehold")
            supervisors = host.pids("leasehold-supervisor")
            for pid in host.pids():
                if pid in commands and pid not in supervisors:
                    continue
                if alive(pid) and any(has_open(pid, disk) for disk in self.disks):
                    found.append((host.name, pid))
        return found

    def others(self):
        return [host for host in self.lab.hosts if host is not self.judge]

    def prepare(self, steps):
        """The guest's supervisor is started here: it is told of @steps now or never."""
        for line in self.before:
            command = self.host.popen(*line, steps=Lent(steps))
            for _ in _let_pass(steps, command):
                pass
            _, errors = command.communicate(timeout=COMMAND_SEC)
            if command.returncode != 0:
                raise HarnessError("leasehold %s: %s" % (shlex.join(line), errors.strip()))

    def clean(self):
        for host in self.lab.hosts:
            host.revive()
            host.leasehold("destroy", self.guest, timeout=COMMAND_SEC)
        if not wait_until(15, lambda: not self.writers(self.lab.hosts)):
            raise HarnessError("still open after a destroy on every host: %s"
                               % self.writers(self.lab.hosts))

    def run_on(self, host, *options):
        return host.leasehold("run", *options, *self.lab.guest(self.guest, *self.disks),
                              timeout=COMMAND_SEC)


class Lent:
    """Steps for a command after which others come."""

    def __init__(self, steps):
        self.fd = steps.fd

    def started(self):
        """The other end stays open for those."""


def steps_of(plan):
    """The steps that the command passes when nothing happens to it."""
    plan.clean()
    steps = Steps()
    try:
        plan.prepare(steps)
        command = plan.host.popen(*plan.command, steps=steps)
        seen = list(_let_pass(steps, command))
        _, errors = command.communicate(timeout=COMMAND_SEC)
    finally:
        steps.close()
        plan.clean()
    if command.returncode != 0:
        raise HarnessError("leasehold %s, with no fault: exit status %d: %s"
                           % (shlex.join(plan.command), command.returncode, errors.strip()))
    return seen


def _let_pass(steps, command):
    """A guest that runs keeps its end open, so the command's end and some quiet are the end."""
    end = time.monotonic() + COMMAND_SEC
    steps.ours.settimeout(QUIET_SEC)
    while time.monotonic() < end:
        try:
            step = steps.read()
        except TimeoutError:
            if command.poll() is not None:
                return
            continue
        if step is None:
            return
        yield step
        steps.go()


class Cell:
    """One fault. @verdicts: (what has to hold, TRUE or FALSE, what was seen instead)."""

    def __init__(self, plan, step, victim, sig):
        self.plan, self.step, self.victim, self.sig = plan, step, victim, sig
        self.kind, _, where = victim.partition("@")
        self.where = plan.lab.find(where) if where else plan.host
        self.verdicts = []
        self.status, self.said = None, ""
        self.steps = None
        self.skipped = False # nobody to strike: the victim is not there at this step

    def word(self):
        return "none" if self.skipped else "pass" if self.good() else "FAIL"

    def good(self):
        return all(good for _, good, _ in self.verdicts)

    def note(self, what, good, seen=""):
        self.verdicts.append((what, bool(good), "" if good else seen))

    def run(self):
        self.steps = Steps()
        try:
            self.plan.clean()
            self.plan.prepare(self.steps)
            self._strike()
            if self.skipped:
                self.command.communicate(timeout=COMMAND_SEC)
                return
            self._judge("one writer")
            self._ended()
            self._judge("one writer, at the end")
            self._surgery()
        except (HarnessError, AssertionError, OSError, subprocess.TimeoutExpired) as failure:
            self.note("the cell came to its end", False, str(failure))
        finally:
            self._leave()

    def _leave(self):
        self.steps.close()
        with contextlib.suppress(HarnessError, AssertionError, subprocess.TimeoutExpired):
            self.plan.clean()

    def _strike(self):
        self.command = self.plan.host.popen(*self.plan.command, steps=self.steps)
        self.steps.ours.settimeout(STEP_SEC)
        self.steps.until(self.step)
        self.pids = self._victims()
        self.skipped = not self.pids
        if self.kind == "host":
            self.where.crash()
        else:
            for pid in self.pids:
                strike(pid, self.sig)
        self.steps.close()

    def _victims(self):
        if self.kind == "command":
            return [self.command.pid]
        if self.kind == "host":
            return self.where.pids()
        if self.kind == "daemon":
            return [self.where.daemon.pid] if self.where.daemon.pid else []
        supervisors = self.where.pids("leasehold-supervisor")
        born = [pid for pid in supervisors if not any(pid in children(s) for s in supervisors)]
        if self.kind == "supervisor":
            return born
        return [pid for supervisor in born for pid in children(supervisor)]

    def _judge(self, what):
        done = self.plan.run_on(self.plan.judge)
        writers = self.plan.writers(self.plan.others())
        self.note(what, not (done.returncode == 0 and writers),
                  "%s runs the guest, while these have its disk open: %s"
                  % (self.plan.judge.name, writers))
        self.note("%s runs it or is refused by name" % self.plan.judge.name,
                  done.returncode in (0, *REFUSED),
                  "exit status %d: %s" % (done.returncode, done.stderr.strip()))
        if done.returncode == 0:
            self.plan.judge.leasehold("destroy", self.plan.guest)

    def _ended(self):
        if self.sig == "STOP" and self.kind != "host":
            for pid in self.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        try:
            _, self.said = self.command.communicate(timeout=COMMAND_SEC)
        except subprocess.TimeoutExpired:
            self.command.kill()
            self.note("the command ends", False, "it runs after %d s" % COMMAND_SEC)
            return
        self.status = self.command.returncode
        if self.victim in ("supervisor", "host") and self.sig == "KILL": # of the command's host
            self.note("told truly", self.status != 0, "exit status 0")

    def _surgery(self):
        self.plan.clean()
        for host in (self.plan.judge, self.plan.host):
            done = self.plan.run_on(host, "--timeout", "30")
            self.note("afterwards %s can start it" % host.name, done.returncode == 0,
                      "exit status %d: %s" % (done.returncode, done.stderr.strip()))
            host.leasehold("destroy", self.plan.guest)

    def report(self):
        return {"step": self.step, "victim": self.victim, "signal": self.sig,
                "result": self.word().lower(), "exit_status": self.status,
                "message": self.said.strip(),
                "facts": [{"fact": what, "holds": good, "seen": seen}
                          for what, good, seen in self.verdicts]}
