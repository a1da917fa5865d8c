#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hotplug-random.py: after any sequence of attach, detach, suspend, resume, media changes
and explicit leases, what the store says to the other host is what the guest needs, no more and
no less; and its description has just that. LEASEHOLD_TEST_SEED and LEASEHOLD_TEST_STEPS make
another walk than the one of 60 steps; test-hotplug-random-all.py does 500, each time others.

Seen failing: with the leases of a medium that was taken out not given up, its disc is held and
not needed.
"""

import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, edit, has_open, requires, said, wait_until  # noqa: E402

STEPS = int(os.environ.get("LEASEHOLD_TEST_STEPS", "60"))
DEVICES = ("<controller type='scsi' model='virtio-scsi'/><controller type='usb' model='qemu-xhci'/>"
           "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>"
           "<target dev='hdc' bus='ide'/><readonly/></disk>"
           "<disk type='file' device='floppy'><driver name='qemu' type='raw' cache='none'/>"
           "<target dev='fda' bus='fdc'/></disk>")
TARGETS = ["vdb", "vdc", "vdd", "sda", "sdb", "sdc", "uba", "ubb"]
tap = Tap()


class Walk:
    """What should be: disks, media and leases that the guest has, and whether it runs."""

    def __init__(self, lab, seed):
        self.lab, self.random = lab, random.Random(seed)
        self.alpha, self.beta = lab.hosts
        self.boot = lab.payload("web.img")
        xml, self.uuid = lab.domain("web", self.boot)
        edit(xml, ("</devices>", DEVICES + "</devices>"))
        done = self.alpha.leasehold("run", xml)
        assert done.returncode == 0, said(done)
        self.qemu = self.alpha.state(self.uuid)["pid"]
        self.base = self.image("base.img")
        self.images = {}  # path: what it needs, {path: mode}
        for i in range(6):
            path = self.image("data-%d.img" % i)
            self.images[path] = {path: "exclusive"}
        for i in range(3):
            path = lab.file("top-%d.qcow2" % i)
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.base,
                            path], check=True, timeout=60)
            self.images[path] = {path: "exclusive", self.base: "shared"}
        self.discs = [self.image("disc-%d.iso" % i) for i in range(2)]
        self.floppies = [self.image("floppy-%d.img" % i) for i in range(2)]
        self.disks, self.asked = {}, set()  # target: image; asked to go while suspended
        self.media, self.keys, self.running = {}, set(), True
        self.log = []

    def image(self, name):
        path = self.lab.file(name)
        with open(path, "wb") as file:
            file.truncate(1440 * 1024)
        return path

    def command(self, *args, status=0):
        self.log.append(" ".join(args))
        done = self.alpha.leasehold(*args)
        assert done.returncode == status, said(done)
        return done

    # --- steps; each returns False when it has nothing to do -------------------------------

    def attach(self):
        target = self.random.choice(TARGETS)
        image = self.random.choice(sorted(self.images))
        used = target in self.disks or image in self.disks.values()
        kind = "qcow2" if image.endswith("qcow2") else "raw"
        self.command("attach-disk", "web", "--source", image, "--target", target, "--format", kind,
                     status=1 if used else 0)
        if not used:
            self.disks[target] = image

    def detach(self):
        free = sorted(set(self.disks) - self.asked)
        if not free:
            return self.command("detach-disk", "web", "vdz", status=1)
        target = self.random.choice(free)
        # a suspended guest answers for its PCI slots only when it runs again
        waits = not self.running and target.startswith("vd")
        self.command("detach-disk", "web", target, "--timeout", "1" if waits else "30",
                     status=4 if waits else 0)
        if waits:
            self.asked.add(target)
        else:
            del self.disks[target]
        return None

    def suspend(self):
        self.command("suspend", "web")
        self.running = False

    def resume(self):
        self.command("resume", "web")
        self.running = True
        for target in self.asked:
            del self.disks[target]
        self.asked = set()

    def change(self):
        target, media = self.random.choice((("hdc", self.discs), ("fda", self.floppies)))
        image = self.random.choice(media + [None])
        self.command("change-media", "web", target, *([image] if image else ["--eject"]))
        self.media[target] = image

    def lease(self):
        key = "key-%d" % self.random.randrange(3)
        if key in self.keys:
            self.command("detach-lease", "web", key)
            self.keys.remove(key)
        else:
            self.command("attach-lease", "web", "--key", key)
            self.keys.add(key)

    def step(self):
        self.random.choice((self.attach, self.attach, self.attach, self.detach, self.detach,
                            self.resume if not self.running else self.suspend, self.change,
                            self.lease))()

    # --- what is ---------------------------------------------------------------------------

    def needed(self):
        need = {self.boot: "exclusive"}
        for image in self.disks.values():
            need.update(self.images[image])
        for target, image in self.media.items():
            if image:
                need[image] = "shared" if target == "hdc" else "exclusive"
        need.update({key: "exclusive" for key in self.keys})
        return need

    def names(self):
        """Which image or key each lease of the store is for."""
        every = list(self.images) + self.discs + self.floppies + [self.base, self.boot]
        every += ["key-%d" % i for i in range(3)]
        answers = [self.beta.leasehold("--json", "who", what).stdout for what in every]
        return {json.loads(answer)["lease"]: what for answer, what in zip(answers, every)}

    def held(self):
        """Of all that there is in the store, what it says is owned; read by the other host."""
        done = self.beta.leasehold("--json", "store", "list", "--held")
        assert done.returncode == 0, said(done)
        return {self.known.get(lease["lease"], lease["lease"]): lease["mode"]
                for lease in json.loads(done.stdout)["leases"]
                if not lease["lease"].startswith("guest-")}

    def described(self):
        done = self.alpha.leasehold("show", "web", "--xml")
        return sorted(re.findall("<source file=\"([^\"]*)\"", done.stdout))

    def check(self):
        """A lease that is given up after an answer of the guest takes a moment."""
        need = self.needed()
        want = sorted([path for path in need if path.startswith("/") and path != self.base] +
                      [self.base] * sum(1 for image in self.disks.values()
                                        if self.base in self.images[image]))
        good = wait_until(10, lambda: self.held() == need and self.described() == want)
        closed = [path for path in list(self.images) + self.discs + self.floppies
                  if path not in need and has_open(self.qemu, path)]
        opened = [path for path in need if path.startswith("/") and not has_open(self.qemu, path)]
        assert good and not closed and not opened, \
            "after %s\nneeded %s\nheld   %s\ndescribed %s\nopen without need %s, not open %s" % (
                self.log[-4:], sorted(need.items()), sorted(self.held().items()),
                self.described(), closed, opened)

    def go(self):
        self.known = self.names()
        for number in range(STEPS):
            self.step()
            try:
                self.check()
            except AssertionError as error:
                raise AssertionError("step %d: %s" % (number + 1, error)) from None


def main():
    requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
    seed = int(os.environ.get("LEASEHOLD_TEST_SEED", "20"))
    print("# LEASEHOLD_TEST_SEED=%d LEASEHOLD_TEST_STEPS=%d" % (seed, STEPS), flush=True)
    with Lab("hotplug-random") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        try:
            walk = Walk(lab, seed)
            walk.go()
            tap.ok(True, "held is what is needed after each of %d steps" % STEPS)
        except (AssertionError, OSError, ValueError, KeyError,
                subprocess.SubprocessError) as error:
            tap.ok(False, "held is what is needed after each of %d steps" % STEPS, str(error))
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
