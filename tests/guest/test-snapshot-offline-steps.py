#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-snapshot-offline-steps.py: work on the snapshots of a guest that does not run, and at each
of its steps the supervisor is killed, or the process that holds the leases, or the command. What
held a lease is dead before the lease is free; the list is true and says what is not whole; a
guest whose disks may not belong together is not started; and the work can be done again.

Seen failing: "the command does not claim more than it did" without the look at the holder of the
leases before each step; "the supervisor dies while qemu-img runs" without its PDEATHSIG.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Steps, Tap, alive, edit, qemu_img, requires, wait_until  # noqa: E402

tap = Tap()
WORK = {"create": ("create", "new"), "delete": ("delete", "off"), "revert": ("revert", "off"),
        "start": ("revert", "off", "--running"), "load": ("revert", "live")}


class Case:
    """A guest that is off, with a snapshot "live" with memory and "off" without."""

    def __init__(self, lab):
        self.lab = lab
        self.alpha, self.beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(self.alpha, self.beta)
        self.images = [lab.file("web-%d.qcow2" % n) for n in (1, 2)]
        self.book = self.images[0] + ".snapshots"
        qemu_img("convert", "-O", "qcow2", lab.payload("payload.img"), self.images[0])
        qemu_img("create", "-q", "-f", "qcow2", self.images[1], "1M")
        self.xml, self.uuid = lab.domain("web", *self.images)
        edit(self.xml, ("type='raw'", "type='qcow2'"))
        for args in (("run", self.xml), ("snapshot", "create", "web", "live"), ("destroy", "web"),
                     ("snapshot", "create", "web", "off")):
            self.must(*args)
        for path in (*self.images, self.book):
            shutil.copyfile(path, path + ".kept")

    def reset(self):
        """All as it was, in the same files: they keep their leases."""
        self.alpha.leasehold("destroy", "web")
        assert wait_until(20, self.free)
        for path in (*self.images, self.book):
            shutil.copyfile(path + ".kept", path)

    def must(self, *args):
        done = self.alpha.leasehold(*args)
        assert done.returncode == 0, (args, done.stderr)
        return done

    def state(self):
        return self.alpha.state(self.uuid) or {}

    def free(self):
        owners = []
        for image in self.images:
            done = self.beta.leasehold("--json", "who", image)
            owners += json.loads(done.stdout)["owners"]
        return not owners

    def list(self):
        done = self.must("--json", "snapshot", "list", "web")
        return {one["name"]: one for one in json.loads(done.stdout)["snapshots"]}

    def in_images(self):
        return [[one["name"] for one in
                 json.loads(qemu_img("info", "-U", "--output=json", image)).get("snapshots", [])]
                for image in self.images]

    def honest(self):
        there, listed = self.in_images(), self.list()
        return (sorted(set(there[0] + there[1])) == sorted(listed) and
                all(bool(one["problem"]) or not any(name not in image for image in there)
                    for name, one in listed.items())), there, listed

    def seq(self):
        raw = self.lab.file("seq.raw")
        qemu_img("convert", "-U", "-O", "raw", self.images[0], raw)
        return self.lab.payload_seq(raw)


def begin(case, what):
    steps = Steps()
    op, *rest = WORK[what]
    return case.alpha.popen("snapshot", op, "web", *rest, steps=steps), steps


def again(case, what, step):
    """Whatever was left, the same can be done now; a half-made one is deleted first."""
    op, name, *rest = WORK[what]
    listed = case.list()
    if op == "create" and name in listed:
        case.alpha.leasehold("snapshot", "delete", "web", name)
    if op == "delete" and name not in listed:
        return
    if case.state():
        case.alpha.leasehold("destroy", "web")
    done = case.alpha.leasehold("snapshot", op, "web", name, *rest)
    good, there, now = case.honest()
    tap.ok(done.returncode == 0 and good and not any(one["problem"] or one["unfinished"]
                                                     for one in now.values()),
           "%s: it can be done again, and all is whole" % step, done.stderr, there, now)


def victim_dies(case, what, number, victim):
    case.reset()
    command, steps = begin(case, what)
    step = "%s %d, %s" % (what, number, victim)
    steps.until("offline:%d" % number)
    pid = case.state()[{"supervisor": "supervisor_pid", "child": "pid"}[victim]]
    child = case.state()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(10, lambda: not alive(pid))
    steps.close()
    command.communicate(timeout=60)
    ran = what in ("start", "load") and number > 10 and victim == "supervisor"
    # the last step of those that do not start the guest is to end the child
    over = victim == "child" and number == 14 and what in ("create", "delete", "revert")
    if ran:
        attached = case.alpha.leasehold("attach", "web")
        wait_until(20, lambda: case.state().get("state") in (None, "running"))
        runs = case.state().get("state") == "running"
        tap.ok(runs == (number > 12) and (attached.returncode == 0 or not runs) and
               (runs or wait_until(20, case.free)),
               "%s: a QEMU that had all of the guest goes on, another one ends" % step,
               attached.stderr, case.state())
    else:
        tap.ok((command.returncode == 0) == over and wait_until(20, case.free) and not alive(child),
               "%s: the command does not claim more than it did; all is dead, then free" % step,
               command.returncode, case.state())
    good, there, listed = case.honest()
    tap.ok(good, "%s: the list is true" % step, there, listed)
    if what in ("revert", "start", "load") and not ran:
        half = any(one["unfinished"] for one in listed.values())
        done = case.alpha.leasehold("run", case.xml)
        tap.ok(half == (done.returncode != 0), "%s: disks that may not belong together are not "
               "started, others are" % step, half, done.returncode, done.stderr)
        case.alpha.leasehold("destroy", "web")
    again(case, what, step)


def images_are_sound(case):
    case.alpha.leasehold("destroy", "web")
    for image in case.images:
        done = subprocess.run(["qemu-img", "check", "-q", image], capture_output=True, text=True)
        # 3: clusters that nobody uses, which is what dying in the middle costs
        tap.ok(done.returncode in (0, 3), "qemu-img finds nothing wrong with an image", done.stdout)


def program_outlives(case):
    """qemu-img is in the middle when the supervisor dies: it must not go on alone for long, nor
    write when the lease is somebody else's."""
    case.reset()
    folder, mark = case.lab.file("bin"), case.lab.file("pid")
    os.makedirs(folder)
    with open(os.path.join(folder, "qemu-img"), "w") as out:
        out.write("#!/bin/sh\necho $$ >%s.new; mv %s.new %s; exec sleep 300\n" % (mark, mark, mark))
    os.chmod(os.path.join(folder, "qemu-img"), 0o755)
    path = folder + ":" + case.alpha.environment()["PATH"]
    command = case.alpha.popen("snapshot", "create", "web", "new", env={"PATH": path})
    assert wait_until(30, lambda: os.path.exists(mark))
    with open(mark) as file:
        pid = int(file.read())
    held = not case.free()
    os.kill(case.state()["supervisor_pid"], signal.SIGKILL)
    dead = wait_until(20, lambda: not alive(pid))
    tap.ok(held and dead and wait_until(20, case.free), "the supervisor dies while qemu-img runs: "
           "that dies too, and only then the leases are free", held, dead)
    command.communicate(timeout=60)


def daemon_dies(case, what):
    """The lock daemon is gone: whoever could write is killed before another host may."""
    case.reset()
    command, steps = begin(case, what)
    steps.until("offline:9")
    child = case.state()["pid"]
    case.alpha.kill_daemon()
    dead = wait_until(30, lambda: not alive(child))
    steps.close()
    _, errors = command.communicate(timeout=60)
    tap.ok(dead and command.returncode not in (0, 2) and case.in_images() == [["live", "off"]] * 2,
           "%s: the lock daemon dies: no image is touched any more" % what, command.returncode,
           errors, case.in_images())
    case.alpha.start_daemon()
    case.lab.join(case.alpha)


def command_dies(case, what):
    case.reset()
    command, steps = begin(case, what)
    steps.until("offline:7")
    command.kill()
    command.communicate(timeout=60)
    steps.close()
    runs = what in ("start", "load")
    ended = wait_until(30, lambda: (case.state().get("state") == "running" and
                                    not case.state().get("step")) if runs
                       else not case.state() and case.free())
    good, there, listed = case.honest()
    op, name = WORK[what][:2]
    tap.ok(ended and good and (name in listed) == (op != "delete") and
           (op != "revert" or listed[name]["current"]),
           "%s: the command dies, and the supervisor goes on with it" % what, case.state(), there,
           listed)


def main():
    requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
    every = "--all" in sys.argv[1:] or os.environ.get("LEASEHOLD_TEST_ALL") == "1"
    with Lab("snapshot-offline-steps") as lab:
        lab.store("--max-leases", "300")
        case = Case(lab)
        cases = []
        for what in WORK:
            chosen = {"create": (9, 13), "delete": (9, 13), "revert": (9, 13), "start": (10, 13),
                      "load": (12, 13)}[what]
            for number in range(4, 15) if every else chosen:
                for victim in ("supervisor", "child"):
                    cases.append((victim_dies, case, what, number, victim))
            if every or what in ("create", "load"):
                cases.append((command_dies, case, what))
        cases += [(images_are_sound, case), (program_outlives, case), (daemon_dies, case, "create")]
        for one, *about in cases:
            with tap.case(" ".join(map(str, (one.__name__, *about[1:])))):
                one(*about)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
