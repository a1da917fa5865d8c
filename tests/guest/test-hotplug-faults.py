#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hotplug-faults.py: what goes wrong beside a disk that comes or goes: storage that does
not answer, a chain of which one image is written elsewhere, a lock daemon that dies, an audit
that finds something; and many disks. What is held is asked of the store, from another host.

Seen failing: without the audit the disk beside an image that no lease covers is attached; with
the read of the chain not bounded the attach of the image that hangs does not end.
"""

import json
import os
import pty
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import (TOP_BUILD, Lab, Steps, Tap, alive, edit, has_open, requires,  # noqa: E402
                 wait_until)
from qmp import Monitor  # noqa: E402

FAULTY = os.path.join(TOP_BUILD, "tests/guest/.libs/faulty_storage.so")
MANY = 45
tap = Tap()


class Guest:
    def __init__(self, lab, name, env=None, steps=None, devices=""):
        self.lab, self.name, self.steps = lab, name, steps
        self.alpha, self.beta = lab.hosts
        self.disk = lab.payload(name + ".img")
        # a second monitor, to do what nobody should
        self.monitor = lab.file(name + ".qmp")
        extra = ("<qemu:commandline><qemu:arg value='-qmp'/><qemu:arg value='unix:%s,server=on,"
                 "wait=off'/></qemu:commandline>" % self.monitor)
        xml, self.uuid = lab.domain(name, self.disk, extra=extra)
        edit(xml, ("</devices>", devices + "</devices>"))
        run = self.alpha.popen("run", xml, env=env, steps=steps)
        if steps:
            steps.until("start:10")
            steps.go()
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
        self.qemu = self.alpha.state(self.uuid)["pid"]

    def image(self, name):
        path = self.lab.file(name)
        with open(path, "wb") as file:
            file.truncate(1 << 20)
        return path

    def chain(self, name):
        base, top = self.image(name + "-base.img"), self.lab.file(name + "-top.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, top],
                       check=True, timeout=60)
        return base, top

    def args(self, image, target="vdb"):
        kind = "qcow2" if image.endswith("qcow2") else "raw"
        return ("attach-disk", self.name, "--source", image, "--target", target, "--format", kind)

    def attach(self, image, target="vdb"):
        return self.alpha.leasehold(*self.args(image, target))

    def held(self):
        """How many leases of images the store says are held, by anybody."""
        done = self.beta.leasehold("--json", "store", "list", "--held")
        return sum(not one["lease"].startswith("guest-") for one in json.loads(done.stdout)["leases"])

    def free(self, *images):
        answers = [self.beta.leasehold("--json", "who", image).stdout for image in images]
        return not any(json.loads(answer)["owners"] for answer in answers) and \
            not any(has_open(self.qemu, image) for image in images)

    def end(self):
        self.alpha.leasehold("destroy", self.name)


def hung(lab):
    path = lab.file("hung.img")
    guest = Guest(lab, "patient", {
        "LD_PRELOAD": FAULTY, "LEASEHOLD_TEST_HANGS": path,
        # a program with sanitizers wants to come before what is preloaded
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
    guest.image("hung.img")
    attach = guest.alpha.popen(*guest.args(path))
    shown = wait_until(10, lambda: json.loads(
        guest.alpha.leasehold("--json", "show", "patient").stdout)["job"] == "attaching a disk")
    tap.ok(shown, "while an image does not answer, the guest does")
    _, errors = attach.communicate(timeout=90)
    tap.ok(attach.returncode == 4 and path in errors and "has not answered" in errors,
           "the attach is given up, and names the image", attach.returncode, errors)
    tap.ok(guest.free(path), "its lease is free")
    done = guest.attach(guest.image("good.img"))
    tap.ok(done.returncode == 0, "another disk can be attached", done.stderr)
    done = guest.alpha.leasehold("destroy", "patient")
    tap.ok(done.returncode == 0 and wait_until(20, lambda: not alive(guest.qemu)),
           "and the guest ended", done.stderr)


def elsewhere(lab):
    guest = Guest(lab, "chained")
    base, top = guest.chain("elsewhere")
    holder = guest.beta.popen("exec", "--disk", base, "--", "sleep", "60")
    assert wait_until(20, lambda: not guest.free(base))
    done = guest.attach(top)
    tap.ok(done.returncode == 3 and base in done.stderr and "beta" in done.stderr,
           "a chain of which one image is written elsewhere is refused, and that is named",
           done.returncode, done.stderr)
    tap.ok(guest.free(top), "and the others are given back")
    holder.terminate()
    holder.communicate(timeout=30)
    done = guest.attach(top)
    tap.ok(done.returncode == 0 and guest.attach(top, "vdc").returncode == 1,
           "afterwards it comes, once", done.stderr)
    guest.end()


def undone(lab):
    """QEMU opens the lower image and not the upper one; then it opens one that nobody leased."""
    steps = Steps()
    guest = Guest(lab, "undone", steps=steps)
    base, top = guest.chain("undone")
    attach = guest.alpha.popen(*guest.args(top))
    steps.until("attach:6")
    os.rename(top, top + ".away")
    steps.go()
    _, errors = attach.communicate(timeout=60)
    os.rename(top + ".away", top)
    tap.ok(attach.returncode == 1 and "blockdev-add" in errors and guest.free(base, top),
           "a blockdev-add that fails undoes the one before it", attach.returncode, errors)

    stray = guest.image("stray.img")
    attach = guest.alpha.popen(*guest.args(top))
    steps.until("attach:6")
    monitor = Monitor(guest.monitor)
    answer = monitor.command(json.dumps({"execute": "blockdev-add", "arguments": {
        "driver": "file", "node-name": "stray", "filename": stray}}))
    assert answer == {"return": {}}, answer
    steps.close()
    _, errors = attach.communicate(timeout=60)
    tap.ok(attach.returncode == 1 and "stray" in errors and guest.free(base, top),
           "an audit that finds an image without a lease undoes the attach, and names it",
           attach.returncode, errors)
    monitor.command(json.dumps({"execute": "blockdev-del", "arguments": {"node-name": "stray"}}))
    monitor.sock.close()
    done = guest.attach(top)
    tap.ok(done.returncode == 0 and not guest.free(top), "without it the disk comes", done.stderr)
    guest.end()


def waits(lab):
    steps = Steps()
    guest = Guest(lab, "queue", steps=steps)
    first = guest.alpha.popen(*guest.args(guest.image("first.img")))
    steps.until("attach:3")
    ours, theirs = pty.openpty()
    second = subprocess.Popen(["leasehold", *guest.args(guest.image("second.img"), "vdc")],
                              env=guest.alpha.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    tap.ok("busy: attaching a disk" in said and "waiting" in said,
           "a command that has to wait says so on a terminal", said)
    steps.close()
    tap.ok(first.wait(60) == 0 and second.wait(60) == 0, "and then both are done")
    first.communicate()
    os.close(ours)
    guest.end()


def many(lab):
    guest = Guest(lab, "many", devices="<controller type='scsi' model='virtio-scsi'/>")
    before = guest.held()
    letters = "abcdefghijklmnopqrstuvwxyz"
    targets = ["sd" + c for c in letters] + ["sda" + c for c in letters[:MANY - 26]]
    images = [guest.image("many-%s.img" % target) for target in targets]
    failed = [done.stderr for done in map(guest.attach, images, targets) if done.returncode]
    tap.ok(not failed and guest.held() == before + MANY, "%d disks come" % MANY, *failed)
    tap.ok(all(has_open(guest.qemu, image) for image in images), "QEMU has them all")
    done = guest.attach(images[-1], "sdzz")
    tap.ok(done.returncode == 1 and "twice" in done.stderr, "none of them twice", done.stderr)
    failed = [done.stderr for done in (guest.alpha.leasehold("detach-disk", "many", target)
                                       for target in targets) if done.returncode]
    tap.ok(not failed and guest.held() == before and
           not any(has_open(guest.qemu, image) for image in images), "%d disks go" % MANY, *failed)
    guest.end()


def daemon_dies(lab):
    """The last case: this host has no daemon afterwards."""
    steps = Steps()
    guest = Guest(lab, "orphan", steps=steps)
    image = guest.image("orphan-data.img")
    attach = guest.alpha.popen(*guest.args(image))
    steps.until("attach:5")
    guest.alpha.kill_daemon()
    steps.close()
    _, errors = attach.communicate(timeout=90)
    tap.ok(attach.returncode not in (0, 2), "a lock daemon that dies fails the attach",
           attach.returncode, errors)
    tap.ok(wait_until(30, lambda: not alive(guest.qemu)),
           "and QEMU is ended before anybody else can have its disks")


def main():
    requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
    with Lab("hotplug-faults") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        for case in (hung, elsewhere, undone, waits, many, daemon_dies):
            with tap.case(case.__name__):
                case(lab)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
