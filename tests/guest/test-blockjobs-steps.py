#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-blockjobs-steps.py: block operations of a guest that writes all the time, and at each of
their steps: what the store says, asked from another host; the supervisor is killed and another
one takes the guest up; QEMU is killed. At every step whatever QEMU can write is held
exclusively and whatever it reads at least shared, and in the end the disk is judged.
"""

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, alive, edit, requires, wait_until  # noqa: E402

STEPS = {"snapshot": 8, "copy": 9, "commit": 9, "middle": 9, "pull": 5}
SEQUENCE = {"middle": "commit"}
tap = Tap()


def name_of(what, number):
    return "%s:%d" % (SEQUENCE.get(what, what), number)


class Guest:
    """base.img <- mid.qcow2 <- top.qcow2, and a supervisor that stops at each step."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.base = lab.payload(name + "-base.img")
        self.mid, self.top, self.new = (lab.file("%s-%s.qcow2" % (name, n))
                                        for n in ("mid", "top", "new"))
        self.overlay(self.base, "raw", self.mid)
        self.overlay(self.mid, "qcow2", self.top)
        xml, self.uuid = lab.domain(name, self.top)
        edit(xml, ("type='raw'", "type='qcow2'"))
        self.steps = self.alpha.run_stepped(xml)
        self.qemu = self.alpha.state(self.uuid)["pid"]

    @staticmethod
    def overlay(below, kind, path):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", below, path],
                       check=True, timeout=60)

    def begin(self, what):
        return self.alpha.popen(*{"snapshot": ("snapshot-disk", self.name, "vda", self.new),
                                  "copy": ("blockcopy", self.name, "vda", self.new, "--pivot"),
                                  "commit": ("blockcommit", self.name, "vda", "--base", self.mid),
                                  "middle": ("blockcommit", self.name, "vda", "--top", self.mid),
                                  "pull": ("blockpull", self.name, "vda", "--base", self.base)}[what])

    def owner(self, image):
        done = self.beta.leasehold("--json", "who", image)
        owners = json.loads(done.stdout)["owners"] if done.returncode == 0 else []
        return owners[0]["mode"] if owners else None

    def opened(self):
        """{image: can QEMU write it?}"""
        found = {}
        for image in filter(os.path.exists, (self.base, self.mid, self.top, self.new)):
            want = os.stat(image)
            for fd in os.listdir("/proc/%d/fd" % self.qemu):
                try:
                    got = os.stat("/proc/%d/fd/%s" % (self.qemu, fd))
                    with open("/proc/%d/fdinfo/%s" % (self.qemu, fd)) as info:
                        flags = int(info.read().split("flags:")[1].split()[0], 8)
                except OSError:
                    continue
                if (got.st_dev, got.st_ino) == (want.st_dev, want.st_ino):
                    found[image] = found.get(image, False) or bool(flags & 3)
        return found

    def covered(self):
        """What is wrong with the leases; empty: nothing."""
        wrong = []
        for image, writes in self.opened().items():
            held = self.owner(image)
            if held != "exclusive" and (writes or held != "shared"):
                wrong.append((os.path.basename(image), "writes" if writes else "reads", held))
        return wrong

    def exact(self):
        """Held is what is open, and no more than is needed."""
        opened = self.opened()
        return all(self.owner(image) == {True: "exclusive", False: "shared",
                                         None: None}[opened.get(image)]
                   for image in filter(os.path.exists, (self.base, self.mid, self.top, self.new)))

    def judge(self, image):
        raw = self.lab.file(self.name + "-judge.img")
        subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True, timeout=60)
        return self.lab.check_payload(raw)

    def described(self):
        done = self.alpha.leasehold("--json", "show", self.name)
        leases = json.loads(done.stdout)["leases"]
        return [lease["path"] for lease in leases
                if lease["type"] == "disk" and lease["mode"] == "exclusive"]

    def end(self):
        self.alpha.leasehold("destroy", self.name)


def observed(lab, what):
    """All steps, one after the other."""
    guest = Guest(lab, what)
    command = guest.begin(what)
    for number in range(1, STEPS[what] + 1):
        guest.steps.until(name_of(what, number))
        wrong = guest.covered()
        tap.ok(not wrong, "%s %d: what QEMU has open is held as it is open" % (what, number), wrong)
        guest.steps.go()
    _, errors = command.communicate(timeout=60)
    tap.ok(command.returncode == 0 and guest.exact(), "%s: afterwards held is what is needed" % what,
           errors, guest.opened())
    tops = guest.described()
    guest.steps.close()
    guest.end()
    good, report = guest.judge(tops[0])
    tap.ok(good, "%s: the guest has lost nothing" % what, report)


def supervisor_dies(lab, what, number):
    guest = Guest(lab, "%s%d-sup" % (what, number))
    step = "%s %d" % (what, number)
    command = guest.begin(what)
    guest.steps.until(name_of(what, number))
    os.kill(guest.alpha.state(guest.uuid)["supervisor_pid"], signal.SIGKILL)
    command.communicate(timeout=60)
    guest.steps.close()
    wrong = guest.covered()
    done = guest.alpha.leasehold("attach", guest.name)
    tap.ok(command.returncode != 0 and not wrong and done.returncode == 0,
           "%s: the supervisor dies: all stays held, and another one takes the guest up" % step,
           command.returncode, wrong, done.stderr)
    opened = guest.opened()
    tap.ok(guest.exact() and len(guest.described()) == 1,
           "%s: then held is what is needed" % step, opened,
           [(image, guest.owner(image)) for image in opened], done.stdout)
    again = lab.file(guest.name + "-again.qcow2")
    jobs = guest.alpha.leasehold("snapshot-disk", guest.name, "vda", again)
    tap.ok(jobs.returncode == 0 and guest.exact(), "%s: and the disk can be worked on" % step,
           jobs.stderr)
    tops = guest.described()
    guest.end()
    good, report = guest.judge(tops[0])
    tap.ok(good, "%s: the guest has lost nothing" % step, report)


def qemu_dies(lab, what, number):
    guest = Guest(lab, "%s%d-qemu" % (what, number))
    step = "%s %d" % (what, number)
    command = guest.begin(what)
    guest.steps.until(name_of(what, number))
    os.kill(guest.qemu, signal.SIGKILL)
    assert wait_until(60, lambda: not alive(guest.qemu))
    guest.steps.close()
    _, errors = command.communicate(timeout=90)
    gone = wait_until(30, lambda: not guest.alpha.state(guest.uuid))
    held = [image for image in (guest.base, guest.mid, guest.top, guest.new)
            if os.path.exists(image) and guest.owner(image)]
    # at the last step there is nothing left to do but what the death does as well
    tap.ok((command.returncode not in (0, 5) or number == STEPS[what]) and gone and not held,
           "%s: QEMU dies: the command does not claim more than it did, and all is free" % step,
           command.returncode, errors, held)


def main():
    requires("sanlock", "qemu-system-x86_64", "payload")
    every = "--all" in sys.argv[1:] or os.environ.get("LEASEHOLD_TEST_ALL") == "1"
    chosen = {"snapshot": (3, 4, 7, 8), "copy": (4, 6, 7, 8, 9), "commit": (3, 5, 7, 8, 9),
              "middle": (5, 7, 8, 9),
              "pull": (2, 4, 5)}
    with Lab("blockjobs-steps") as lab:
        lab.store("--max-leases", "900")
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        cases = [(observed, what) for what in STEPS]
        for what, last in STEPS.items():
            for number in range(1, last + 1) if every else chosen[what]:
                cases.append((supervisor_dies, what, number))
            for number in range(1, last + 1) if every else (last - 2, last):
                cases.append((qemu_dies, what, number))
        for case, *about in cases:
            with tap.case(" ".join(map(str, (case.__name__, *about)))):
                case(lab, *about)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
