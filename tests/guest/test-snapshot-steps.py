#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-snapshot-steps.py: at each step of making a snapshot of a running guest, of going back to
it and of deleting it the supervisor is killed and another one takes the guest up, or QEMU is
killed, or the command. Whatever dies, afterwards the list is true, every snapshot in it is whole
or gone or says what it lacks, the images are sound and hold nothing that is not in the list, and
the guest has lost nothing that it should not have.

Seen failing: "the guest goes on" after a revert, when a new supervisor does not finish it; "the
guest can be started again" (revert 4, QEMU), when a revert that QEMU was not told of counts as begun.
"""

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, alive, edit, qemu_img, requires, wait_until  # noqa: E402

STEPS = {"create": 4, "revert": 6, "delete": 3}
tap = Tap()


class Guest:
    """Two qcow2 disks, and a supervisor that stops at each step."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.images = [lab.file("%s-%d.qcow2" % (name, n)) for n in (1, 2)]
        qemu_img("convert", "-O", "qcow2", lab.payload(name + ".img"), self.images[0])
        qemu_img("create", "-q", "-f", "qcow2", self.images[1], "1M")
        xml, self.uuid = lab.domain(name, *self.images)
        edit(xml, ("type='raw'", "type='qcow2'"))
        self.xml = xml
        self.steps = self.alpha.run_stepped(xml)
        self.qemu = self.alpha.state(self.uuid)["pid"]
        assert self.grows()

    def prepare(self, what):
        """Something to revert to and to delete."""
        if what == "create":
            return
        command = self.popen("create", "snap")
        self.pass_all("create")
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 0, errors

    def popen(self, what, name):
        return self.alpha.popen("snapshot", what, self.name, name)

    def pass_all(self, what):
        self.steps.until("snapshot-%s:%d" % (what, STEPS[what]))
        self.steps.go()

    def list(self):
        done = self.alpha.leasehold("--json", "snapshot", "list", self.name)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["snapshots"]

    def in_images(self):
        return [[one["name"] for one in
                 json.loads(qemu_img("info", "-U", "--output=json", image)).get("snapshots", [])]
                for image in self.images]

    def held(self):
        owners = []
        for image in self.images:
            done = self.beta.leasehold("--json", "who", image)
            owners += [owner["mode"] for owner in json.loads(done.stdout)["owners"]]
        return owners

    def seq(self):
        raw = self.lab.file(self.name + "-seq.raw")
        qemu_img("convert", "-U", "-O", "raw", self.images[0], raw)
        return self.lab.payload_seq(raw)

    def grows(self):
        start = self.seq()
        return wait_until(20, lambda: self.seq() > start)

    def sound(self):
        """Of a guest that has ended: (good, why not)."""
        for image in self.images:
            done = subprocess.run(["qemu-img", "check", image], capture_output=True, text=True,
                                  timeout=60)
            # 3: clusters that nobody uses, which is what dying in the middle costs
            if done.returncode not in (0, 3):
                return False, done.stdout + done.stderr
        raw = self.lab.file(self.name + "-judge.raw")
        qemu_img("convert", "-O", "raw", self.images[0], raw)
        return self.lab.check_payload(raw)

    def honest(self):
        """The list has what the images have, and says of a snapshot that lacks something so."""
        there = self.in_images()
        names = sorted(set(there[0] + there[1]))
        listed = self.list()
        return (names == sorted(one["name"] for one in listed) and
                all(bool(one["problem"]) == any(one["name"] not in image for image in there)
                    for one in listed), there, listed)

    def usable(self):
        """A snapshot can be made, reverted to and deleted."""
        said = []
        for what in ("create", "revert", "delete"):
            done = self.alpha.leasehold("snapshot", what, self.name, "after")
            said.append(done.stderr)
            if done.returncode != 0:
                return False, said
        return self.grows(), said


def supervisor_dies(lab, what, number):
    guest = Guest(lab, "%s%d-sup" % (what, number))
    step = "%s %d" % (what, number)
    guest.prepare(what)
    command = guest.popen(what, "snap")
    guest.steps.until("snapshot-%s:%d" % (what, number))
    os.kill(guest.alpha.state(guest.uuid)["supervisor_pid"], signal.SIGKILL)
    command.communicate(timeout=60)
    guest.steps.close()
    held = guest.held()
    done = guest.alpha.leasehold("attach", guest.name)
    state = guest.alpha.state(guest.uuid) or {}
    tap.ok(command.returncode != 0 and held == ["exclusive"] * 2 and done.returncode == 0 and
           guest.held() == held and state.get("pid") == guest.qemu,
           "%s: the supervisor dies: all stays held, and another one takes the guest up" % step,
           command.returncode, held, done.stderr, state.get("message"))
    good, there, listed = guest.honest()
    wanted = {"create": [[], []] if number < 4 else [["snap"]] * 2,
              "delete": [["snap"]] * 2 if number < 2 else [[], []],
              "revert": [["snap"]] * 2}[what]
    tap.ok(good and there == wanted and not any(one["problem"] for one in listed),
           "%s: it is done or undone, in all images" % step, there, listed, state.get("message"))
    tap.ok(state.get("state") == "running" and guest.grows(), "%s: the guest goes on" % step,
           state)
    good, said = guest.usable()
    tap.ok(good, "%s: and snapshots can be made, reverted to and deleted" % step, said)
    guest.alpha.leasehold("destroy", guest.name)
    good, report = guest.sound()
    tap.ok(good, "%s: the images are sound" % step, report)


def qemu_dies(lab, what, number):
    guest = Guest(lab, "%s%d-qemu" % (what, number))
    step = "%s %d" % (what, number)
    guest.prepare(what)
    command = guest.popen(what, "snap")
    guest.steps.until("snapshot-%s:%d" % (what, number))
    os.kill(guest.qemu, signal.SIGKILL)
    wait_until(10, lambda: not alive(guest.qemu))
    guest.steps.close()
    _, errors = command.communicate(timeout=90)
    gone = wait_until(30, lambda: not guest.alpha.state(guest.uuid))
    tap.ok((command.returncode != 0 or number == STEPS[what]) and gone and not guest.held(),
           "%s: QEMU dies: the command does not claim more than it did, and all is free" % step,
           command.returncode, errors)
    good, there, listed = guest.honest()
    tap.ok(good, "%s: the list is true" % step, there, listed)
    good, report = guest.sound()
    tap.ok(good, "%s: the images are sound" % step, report)
    done = guest.alpha.leasehold("run", guest.xml)
    tap.ok(done.returncode == 0 and guest.usable()[0],
           "%s: the guest can be started again, and has snapshots" % step, done.stderr)
    guest.alpha.leasehold("destroy", guest.name)


def command_dies(lab, what):
    guest = Guest(lab, "%s-cmd" % what)
    guest.prepare(what)
    command = guest.popen(what, "snap")
    guest.steps.until("snapshot-%s:2" % what)
    command.kill()
    command.communicate(timeout=60)
    guest.steps.close()
    ended = wait_until(30, lambda: not (guest.alpha.state(guest.uuid) or {}).get("step"))
    good, there, listed = guest.honest()
    wanted = [[], []] if what == "delete" else [["snap"], ["snap"]]
    tap.ok(ended and good and there == wanted and guest.grows(),
           "%s: the command dies: the supervisor goes on with it" % what, there, listed)
    guest.alpha.leasehold("destroy", guest.name)


def main():
    requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
    every = "--all" in sys.argv[1:] or os.environ.get("LEASEHOLD_TEST_ALL") == "1"
    chosen = {"create": (3, 4), "revert": (4, 5), "delete": (2,)}
    with Lab("snapshot-steps") as lab:
        lab.store("--max-leases", "900")
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        cases = []
        for what, last in STEPS.items():
            for number in range(1, last + 1) if every else chosen[what]:
                cases.append((supervisor_dies, what, number))
            for number in range(1, last + 1) if every else {"create": (4,), "revert": (4, 5),
                                                            "delete": ()}[what]:
                cases.append((qemu_dies, what, number))
            if every or what == "revert":
                cases.append((command_dies, what))
        for case, *about in cases:
            with tap.case(" ".join(map(str, (case.__name__, *about)))):
                case(lab, *about)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
