#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-reattach-life.py: a guest loses its supervisor before everything that is done to it. Each
command takes it up by itself and does its work, with a guest of a description and with one of a
command line; here, on the host to which it went, and on the one where it was restored. All the
time one QEMU after the other writes one disk, and nobody else.

Seen failing: when a guest that was taken up was told to the other host without its command line
("command: migrate to beta"); when calls that are jobs took no guest up (migrate, save).
"""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


class Guest:
    """One that is orphaned before each command."""

    def __init__(self, lab, name, described):
        self.lab, self.name = lab, name
        self.host, self.other = lab.hosts
        self.disk = lab.payload(name + ".img")
        self.more = lab.file(name + "-more.img")
        with open(self.more, "wb") as image:
            image.truncate(1 << 20)
        start = [lab.domain(name, self.disk)[0]] if described else lab.guest(name, self.disk)
        self.disks = 1
        done = self.host.leasehold("run", *start)
        assert done.returncode == 0, done.stderr

    def show(self, host=None):
        done = (host or self.host).leasehold("--json", "show", self.name)
        return json.loads(done.stdout)

    def orphan(self):
        pid = self.show()["supervisor_pid"]
        assert pid, self.show()
        os.kill(pid, signal.SIGKILL)
        assert wait_until(10, lambda: self.show()["state"] == "unsupervised"), self.show()

    def owners(self):
        return json.loads(self.other.leasehold("--json", "who", self.disk).stdout)["owners"]

    def writes(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(20, lambda: self.lab.payload_seq(self.disk) > before + 3)

    def do(self, what, *args, state="running"):
        """Orphaned, then told to do so: it works, and the guest is as it should be."""
        self.orphan()
        done = self.host.leasehold(args[0], self.name, *args[1:])
        good = done.returncode == 0
        if good and args[0] == "migrate":
            self.host, self.other = self.other, self.host
        shown = self.show()
        held = sorted(lease["path"] for lease in shown["leases"] if lease["type"] == "disk")
        good = good and shown["state"] == state and len(held) == self.disks
        tap.ok(good and (state != "running" or self.writes()), "%s: %s" % (self.name, what),
               done.returncode, done.stderr, shown["state"], shown["message"], held)

    def save_and_restore(self):
        file = self.lab.file(self.name + ".save")
        self.orphan()
        saved = self.host.leasehold("save", self.name, file)
        shown = self.show()
        tap.ok(saved.returncode == 0 and shown["reason"] == "saved" and not self.host.qemu_pids(),
               self.name + ": save", saved.stderr, shown["state"], shown["reason"])
        self.host, self.other = self.other, self.host
        restored = self.host.leasehold("restore", file)
        tap.ok(restored.returncode == 0 and self.writes(),
               "%s: restore on %s" % (self.name, self.host.name), restored.stderr)

    def destroy(self):
        self.orphan()
        done = self.host.leasehold("destroy", self.name)
        tap.ok(done.returncode == 0 and not self.host.qemu_pids() and not self.owners(),
               self.name + ": destroy, and its disk is free", done.stderr, self.owners())
        good, report = self.lab.check_payload(self.disk)
        tap.ok(good and "1 writers" in report, self.name + ": one boot wrote all", report)


def life(guest, rsh, described):
    there = ("--rsh", rsh.command)
    guest.do("suspend", "suspend", state="paused")
    guest.do("resume", "resume")
    if described:  # disks come and go by their target, which a command line has not
        guest.disks = 2
        guest.do("attach a disk", "attach-disk", "--source", guest.more, "--target", "vdb")
    guest.do("migrate to beta", "migrate", "beta", *there)
    guest.do("migrate back to alpha", "migrate", "alpha", *there)
    guest.save_and_restore()
    guest.do("suspend on beta", "suspend", state="paused")
    guest.do("migrate to alpha while it is paused", "migrate", "alpha", *there, state="paused")
    guest.do("resume there", "resume")
    guest.destroy()


with Lab("reattach-life") as lab:
    lab.store()
    lab.join(lab.host("alpha", 1), lab.host("beta", 2))
    remote = Rsh(lab)
    for kind in ("description", "command"):
        try:
            life(Guest(lab, kind, kind == "description"), remote, kind == "description")
        except (AssertionError, KeyError) as failure:
            tap.ok(False, kind + ": comes to its end", failure)

sys.exit(tap.done())
