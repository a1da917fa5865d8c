# SPDX-License-Identifier: LGPL-2.1-or-later
"""stepped.py: a guest whose sequences stand at numbered steps, where somebody is killed or stopped.

    with SteppedLab("power") as lab:
        ...
        guest = SteppedGuest(lab, "g1")
        command = guest.alpha.popen("reboot", "g1")
        guest.steps.until("reboot:2")
        pid = guest.strike("supervisor", command, "KILL")
        tap.ok(guest.holds_while_it_lives(), ...)
"""

import json
import os
import signal

from lab import Lab, may_write, strike, wait_until


class SteppedGuest:
    """It runs on alpha; beta is asked who holds its disk."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.describe()
        self.steps = self.alpha.run_stepped(self.xml)
        self.qemu = self.alpha.state(self.uuid)["pid"]
        assert wait_until(60, self.is_up), "the guest does not come up"

    def describe(self):
        """The boot payload: it hears the power button."""
        self.disk = self.lab.payload(self.name + ".img")
        self.xml, self.uuid = self.lab.domain(self.name, self.disk)

    def is_up(self):
        return self.lab.payload_seq(self.disk) > 0

    def show(self):
        return json.loads(self.alpha.leasehold("--json", "show", self.name).stdout)

    def is_off(self):
        return self.show()["state"] == "shut-off"

    def held(self):
        """As the other host sees it."""
        owners = self.beta.leasehold("--json", "who", self.disk)
        return json.loads(owners.stdout)["owners"]

    def holds_while_it_lives(self):
        """In this order: QEMU may end in between, and its leases with it."""
        owners = self.held()
        return bool(owners) or not may_write(self.qemu)

    def strike(self, who, command, sig):
        """At the step where it stands; then everything goes on. Returns who was struck."""
        pid = {"supervisor": self.alpha.supervisor, "qemu": lambda: self.qemu,
               "command": lambda: command.pid, "daemon": lambda: self.alpha.daemon.pid}[who]()
        strike(pid, sig)
        self.steps.close()
        return pid


class SteppedLab(Lab):
    def revive(self, host, sig):
        """A daemon that was stopped goes on, or ends; then there is a new one."""
        if sig == "STOP":
            os.kill(host.daemon.pid, signal.SIGKILL)
        host.daemon.wait(10)
        host.start_daemon()
        self.join(host)
