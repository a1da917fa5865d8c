#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that has only just come is sent on, before it has the leases behind its bridges: that
migration takes them first (virOutSettle). At each step of that somebody is killed, or the stream
of its memory breaks afterwards; whatever it was (I5, I6),
  - a third host gets nothing of it meanwhile;
  - it runs on one host afterwards, under leases, and goes on from there; or none has it, because
    its QEMU was killed, and then it can be started;
  - nothing says any more that its leases are behind bridges;
  - the disk shows no two writers.

The source stands at migrate:6, with the leases that are waited for, until it is told to go on. The
guests are command lines with locking=off, so that nothing but leases keeps anybody out.

Seen failing: with a supervisor that takes over what the migration has taken over already
(virMigrationSettleRun), it takes the stream that broke for that of the guest's own arrival, and
ends the guest. With a new one that keeps the words of the old one (virRecoverSettle), show goes on
saying that its source has not freed its leases.
"""

import contextlib
import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Steps, Tap, requires, strike, wait_until  # noqa: E402
from moving import Rsh, Thread  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
# (who is killed, at which step of taking the leases over); "stream": that breaks
CELLS = (("stream", "settle:1"), ("supervisor", "settle:1"), ("supervisor", "settle:2"),
         ("qemu", "settle:1"), ("command", "settle:1"))
# A destination that takes a connection for the guest's memory, and cuts it when the supervisor has
# tried again meanwhile to take the leases over (MIGRATION_AGAIN_SEC).
CUTS = """#!/usr/bin/env python3
import json, socket, sys, time
sys.stdin.readline()
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"type": "reserved", "host": "gamma", "key": "00" * 32,
                  "uri": "tcp:127.0.0.1:%d" % listener.getsockname()[1]}), flush=True)
line = listener.accept()[0]
time.sleep(4)
line.close()
sys.stdin.read()
"""


def pipes(pid):
    found = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                name = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                found |= {name} if name.startswith("pipe:") else set()
    return found


class Cell:
    """A guest that came from alpha to beta, and is to go on to gamma."""

    def __init__(self, lab, rsh, number, victim, step):
        self.lab, self.rsh, self.victim, self.step = lab, rsh, victim, step
        self.alpha, self.beta, self.gamma = lab.hosts
        self.name = "web%d" % number
        self.what = "%s killed at %s" % (victim, step)
        if victim == "stream":
            self.what = "the stream breaks"
        self.disk = lab.payload(self.name + ".img")
        self.guest = lab.guest(self.name, self.disk)
        self.source, self.target = Steps(), None
        self.move, self.onward, self.said = None, None, ""

    def ok(self, good, what, *diagnostics):
        return tap.ok(good, "%s: %s" % (self.what, what), self.said, *diagnostics,
                      *[host.leasehold("show", self.name).stdout for host in self.lab.hosts])

    def show(self, host):
        done = host.leasehold("--json", "show", self.name)
        return json.loads(done.stdout) if done.returncode == 0 else {"state": "none", "leases": []}

    def goes_on(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(30, lambda: self.lab.payload_seq(self.disk) > before + 3)

    # --- given: it has come, its source still holds its leases, and it is sent on

    def come(self):
        run = self.alpha.popen("run", *self.guest, steps=self.source)
        self.source.until("start:10")
        self.source.go()
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0 and self.goes_on(), errors
        self.target = self.rsh.steps_of(self.beta)
        self.move = self.alpha.popen("migrate", self.name, "beta", "--rsh", self.rsh.command)
        stands = Thread(lambda: self.source.until("migrate:6"))
        self.target.until("settle:1")
        stands.wait()

    def send_on(self):
        """At the first step of taking its leases over, and it is the migration that takes them:
        the supervisor's own attempt was under way before it, and found them held."""
        rsh = self.lab.file("cuts") if self.victim == "stream" else self.rsh.command
        self.onward = self.beta.popen("migrate", self.name, "gamma", "--rsh", rsh)
        supervisor = self.beta.supervisor()
        assert wait_until(20, lambda: pipes(self.onward.pid) & pipes(supervisor)), \
            "the supervisor does not hear of the migration"
        self.target.go()
        self.target.until("settle:1")

    def source_ends(self):
        self.source.close()
        _, errors = self.move.communicate(timeout=60)
        assert self.move.returncode == 0, errors

    # --- when

    def strike(self):
        if self.step == "settle:2" or self.victim == "stream":
            self.source_ends()
        if self.step == "settle:2":
            self.target.go()
            self.target.until("settle:2")
        pid = {"supervisor": self.beta.supervisor, "command": lambda: self.onward.pid,
               "qemu": lambda: self.beta.qemu_pids()[0], "stream": lambda: None}[self.victim]()
        if pid:
            strike(pid, "KILL")
        self.stranger()
        if self.step == "settle:1" and self.victim != "stream":
            self.source_ends()
        self.target.close()
        _, errors = self.onward.communicate(timeout=120)
        self.said = "status %d: %s" % (self.onward.returncode, errors)

    def stranger(self):
        """Not while the guest may write: a QEMU that was killed has left its leases."""
        if self.victim == "qemu":
            return
        done = self.gamma.leasehold("exec", "--disk", self.disk, "--", "true")
        self.ok(done.returncode == 123, "a third host does not get its disk", done.returncode,
                done.stderr)

    # --- then

    def is_decided(self):
        """The hosts that have it, under leases; None while that is open."""
        found = []
        for host in self.lab.hosts:
            shown = self.show(host)
            if shown["state"] == "unsupervised":
                host.leasehold("attach", self.name)
                return None
            if shown["state"] in ("none", "shut-off"):
                continue
            if shown["state"] != "running" or shown["message"] or not host.qemu_pids() or \
                    {lease["hold"] for lease in shown["leases"]} != {"lease"}:
                return None
            found.append(host)
        return found

    def judge(self):
        self.ok(self.victim == "command" or self.onward.returncode != 0,
                "a migration that failed says so")
        found = []
        decided = wait_until(40, lambda: found.append(self.is_decided()) or found[-1] is not None)
        expected = {"qemu": [], "command": [self.gamma]}.get(self.victim, [self.beta])
        if not self.ok(decided and found[-1] == expected,
                       "it runs on %s" % (expected[0].name if expected else "none")):
            return
        if not expected:
            done = self.gamma.leasehold("run", "--timeout", "30", *self.guest)
            self.ok(done.returncode == 0 and self.goes_on(), "it can be started", done.stderr)
            return
        self.ok(self.goes_on(), "it writes on")
        if self.victim == "stream":
            self.ok(not wait_until(2, lambda: self.show(expected[0])["message"]),
                    "and nothing says that its leases are another one's")
        there = self.alpha
        done = expected[0].leasehold("migrate", self.name, there.name, "--rsh", self.rsh.command)
        self.ok(done.returncode == 0 and self.goes_on() and
                wait_until(30, lambda: self.is_decided() == [there]), "and moves on", done.stderr)

    def end(self):
        self.source.close()
        if self.target:
            self.target.close()
        for host in self.lab.hosts:
            host.leasehold("destroy", self.name)
        for process in (self.move, self.onward):
            if process and process.poll() is None:
                process.kill()
        good, report = self.lab.check_payload(self.disk)
        self.ok(good, "the disk shows no two writers", report)

    def run(self):
        try:
            self.come()
            self.send_on()
            self.strike()
            self.judge()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as failure:
            self.ok(False, "the cell comes to its end", repr(failure))
        finally:
            self.end()


def main():
    with Lab("migrate-onward") as lab:
        lab.store()
        lab.join(*[lab.host(name, i) for i, name in enumerate(("alpha", "beta", "gamma"), 1)])
        rsh = Rsh(lab)
        with open(lab.file("cuts"), "w") as out:
            out.write(CUTS)
        os.chmod(lab.file("cuts"), stat.S_IRWXU)
        for number, (victim, step) in enumerate(CELLS):
            if sys.argv[1:] in ([], ["%s:%s" % (victim, step)]):
                Cell(lab, rsh, number, victim, step).run()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
