#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-power-steps.py: somebody is killed or stopped at each numbered step of a reboot (1 before it
is written down, 2 before the guest is asked) and of a sleep with a duration (1 before it is written
down when the guest is to be woken, 2 before its agent is asked, 3 before it is woken): the
supervisor, QEMU, the command, the lock daemon. Whatever happens, the other host finds the disk held
for as long as QEMU lives, and free afterwards; and a guest that lives is awake in the end, without
anybody waking it, and can be rebooted, or sent to sleep, again.

Seen failing: when a new supervisor did not read askBy from state.json, the guest of (reboot:2,
supervisor) did not reboot; without the time of waking there, that of (power:3, supervisor) slept on.

test-power-steps-all.py runs every case; this one a subset.
"""

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import TOP_BUILD, Tap, alive, edit, requires, skip_all, wait_until  # noqa: E402
from stepped import SteppedGuest, SteppedLab  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
SUBSET = (("reboot:1", "supervisor", "KILL"), ("reboot:2", "supervisor", "KILL"),
          ("reboot:2", "qemu", "KILL"), ("power:3", "supervisor", "KILL"))
SLEEP_SEC = 4


def linux():
    """The folder of the Linux guest (tests/payload/linux); it is made once for all tests."""
    folder = os.environ.get("LEASEHOLD_TEST_LINUX",
                            os.path.join(TOP_BUILD, "tests/payload/linux-guest"))
    build = os.path.join(os.environ.get("top_srcdir", "."), "tests/payload/linux/build")
    made = subprocess.run([build, folder], capture_output=True, text=True)
    if made.returncode != 0:
        skip_all("this machine has no usable linux-guest (%s)" % made.stdout.strip())
    return folder


class Guest(SteppedGuest):
    def is_awake(self):
        return self.show()["state"] == "running"

    def count(self, event):
        done = self.alpha.leasehold("--json", "events", self.name)
        return sum(json.loads(line)["event"] == event for line in done.stdout.splitlines())


class Rebooted(Guest):
    def ask(self):
        return self.alpha.popen("reboot", self.name)

    def is_done(self):
        return self.count("REBOOTED") > 0 and self.is_awake()

    def is_left(self):
        """Nobody was asked for anything."""
        return self.count("REBOOT_REQUESTED") == 0 and self.is_awake()

    def again(self):
        # one that boots does not hear the button yet
        seq, before = self.lab.payload_seq(self.disk), self.count("REBOOTED")
        if not wait_until(20, lambda: self.lab.payload_seq(self.disk) > seq):
            return False
        done = self.alpha.leasehold("reboot", self.name)
        return done.returncode == 0 and wait_until(30, lambda: self.count("REBOOTED") > before)


class Sleeper(Guest):
    """A Linux with an agent."""

    def describe(self):
        folder = linux()
        self.disk = self.lab.file(self.name + ".img")
        with open(self.disk, "wb") as file:
            file.truncate(1 << 20)
        self.xml, self.uuid = self.lab.domain(self.name, self.disk)
        edit(self.xml, ("'MiB'>16<", "'MiB'>160<"), (
            "</os>", "<kernel>%s/vmlinuz</kernel><initrd>%s/initrd</initrd>"
            "<cmdline>console=ttyS0 quiet nokaslr mitigations=off tsc=reliable</cmdline></os>"
            % (folder, folder)), (
            "</devices>", "<channel type='unix'><target type='virtio' "
            "name='org.qemu.guest_agent.0'/></channel></devices>"))

    def can_sleep(self):
        done = self.alpha.leasehold("--json", "power", self.name)
        return done.returncode == 0 and json.loads(done.stdout)["why_not"]["suspend"] is None

    def is_up(self):
        return self.can_sleep()

    def ask(self):
        return self.alpha.popen("power", self.name, "suspend", "--duration", str(SLEEP_SEC))

    def is_done(self):
        return self.count("WAKEUP") > 0 and self.is_awake()

    def is_left(self):
        return self.count("PMSUSPENDED") == 0 and self.is_awake()

    def again(self):
        if not wait_until(30, self.can_sleep):
            return False
        before = self.count("WAKEUP")
        done = self.ask()
        done.communicate(timeout=90)
        return done.returncode == 0 and wait_until(30, lambda: self.count("WAKEUP") > before)


def strike(guest, command, name, who, sig):
    pid = guest.strike(who, command, sig)
    if who != "daemon":
        tap.ok(guest.holds_while_it_lives(), name + "what lives holds its lease", guest.held())
    if (who, sig) == ("qemu", "STOP"):
        guest.alpha.leasehold("destroy", guest.name)
    elif sig == "STOP" and who != "daemon":
        os.kill(pid, signal.SIGCONT)


def ends_off(guest, name, who, sig):
    off = wait_until(90, lambda: not alive(guest.qemu) and guest.is_off())
    tap.ok(off, name + "the guest has ended, and that is known", guest.show())
    if who == "daemon":
        guest.lab.revive(guest.alpha, sig)
    else:
        tap.ok(not guest.held(), name + "its disk is free", guest.held())


def goes_on(guest, name, step, who):
    # nobody was told of what the supervisor had not written down, or not asked the agent for
    left = who == "supervisor" and (step == "reboot:1" or step in ("power:1", "power:2"))
    guest.alpha.leasehold("attach", guest.name)
    done = wait_until(40, guest.is_left if left else guest.is_done)
    tap.ok(done, name + ("nothing was asked of it" if left else "it was done all the same"),
           guest.show(), guest.alpha.leasehold("events", guest.name).stdout)
    tap.ok(guest.again(), name + "and it can be asked again", guest.show())
    tap.ok(guest.held() and guest.show()["pid"] == guest.qemu,
           name + "in the same QEMU, under its leases", guest.held())
    guest.alpha.leasehold("destroy", guest.name)


def case(lab, number, step, who, sig):
    name = "%s, %s %s: " % (step, who, sig)
    guest = (Rebooted if step.startswith("reboot") else Sleeper)(lab, "g%d" % number)
    command = guest.ask()
    guest.steps.until(step)
    if step == "power:3":
        command.communicate(timeout=90)  # it has ended: the guest sleeps
    strike(guest, command, name, who, sig)
    command.communicate(timeout=90)
    if who in ("qemu", "daemon"):
        ends_off(guest, name, who, sig)
    else:
        # one that was stopped, and goes on, has lost nothing
        goes_on(guest, name, step, who if sig == "KILL" else None)


def cases():
    if os.environ.get("TEST_POWER_ALL") != "1":
        return SUBSET
    return [(step, who, sig)
            for step in ("reboot:1", "reboot:2", "power:1", "power:2", "power:3")
            for who in ("supervisor", "qemu", "command", "daemon") for sig in ("KILL", "STOP")
            # the command has ended
            if not (step == "power:3" and who == "command")]


def main():
    linux()
    with SteppedLab("power") as lab:
        lab.store("--max-leases", "200")
        alpha, beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(alpha, beta)
        for number, (step, who, sig) in enumerate(cases()):
            case(lab, number, step, who, sig)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
