#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hotplug.py: disks that come to a running guest and go, with real QEMU, a guest that
ejects what it is asked to, and sanlock on two hosts. What is held is asked of the store, from
the other host.

Seen failing: with the leases given up right after device_del, "and its lease" finds the image
of a paused guest free on the other host; with the undo of the leases left out, "and is undone"
finds the image of a failed attach held.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, edit, has_open, requires, said, wait_until  # noqa: E402

IMAGE_SIZE = 1 << 20
tap = Tap()


class Case:
    def __init__(self, lab):
        self.lab = lab
        self.alpha, self.beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(self.alpha, self.beta)
        self.web, self.web_id = lab.domain("web", lab.payload("web.img"))
        self.other, _ = lab.domain("other", lab.payload("other.img"))
        self.add_controllers(self.other)
        for host, xml in ((self.alpha, self.web), (self.beta, self.other)):
            done = host.leasehold("run", xml)
            assert done.returncode == 0, said(done)
        self.qemu = self.alpha.state(self.web_id)["pid"]

    @staticmethod
    def add_controllers(xml):
        edit(xml, ("</devices>", "<controller type='scsi' model='virtio-scsi'/>"
                   "<controller type='usb' model='qemu-xhci'/></devices>"))

    def image(self, name):
        path = self.lab.file(name)
        with open(path, "wb") as file:
            file.truncate(IMAGE_SIZE)
        return path

    def attach(self, image, target="vdb", guest="web", host=None, options=()):
        return (host or self.alpha).leasehold("attach-disk", guest, "--source", image,
                                              "--target", target, *options)

    def detach(self, target="vdb", seconds=20):
        return self.alpha.leasehold("detach-disk", "web", target, "--timeout", str(seconds))

    def owners(self, image):
        """Guests that hold the image, as the store tells the other host."""
        done = self.beta.leasehold("--json", "who", image)
        assert done.returncode == 0, said(done)
        return [owner["guest"] for owner in json.loads(done.stdout)["owners"]]

    def leases(self):
        done = self.alpha.leasehold("--json", "show", "web")
        return [lease["path"] for lease in json.loads(done.stdout)["leases"]]

    def events(self):
        done = self.alpha.leasehold("--json", "events", "web")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def untouched(self, image):
        return not self.owners(image) and not has_open(self.qemu, image) and \
            image not in self.leases()

    def refused(self, what, done, status, *words):
        tap.ok(done.returncode == status and all(word in done.stderr for word in words), what,
               said(done))


def comes_and_goes(case):
    data = case.image("data.img")
    done = case.attach(data, options=("--serial", "S-1"))
    tap.ok(done.returncode == 0 and has_open(case.qemu, data), "a disk comes", said(done))
    tap.ok(case.owners(data) == ["web"], "the store says that the guest holds it")
    state = case.alpha.state(case.web_id)
    tap.ok(data in case.leases() and
           any(lease.get("path") == data for lease in state["leases"]) and not state.get("step"),
           "show and state.json list its lease", state)
    case.refused("the other host's guest is refused, and told by whom",
                 case.attach(data, guest="other", host=case.beta), 3, "web", "alpha")
    case.refused("a target in use is named", case.attach(case.image("b.img")), 1, "vdb", "in use",
                 data)
    case.refused("the same image twice is refused", case.attach(data, "vdc"), 1, "twice", data)
    done = case.detach()
    tap.ok(done.returncode == 0 and case.untouched(data), "it goes: closed, and free", said(done))
    done = case.attach(data, guest="other", host=case.beta)
    tap.ok(done.returncode == 0 and case.owners(data) == ["other"], "the other host can have it",
           said(done))
    names = [(event["event"], event["detail"]) for event in case.events()]
    tap.ok(("DISK_ATTACHED", "vdb") in names and ("DISK_DETACHED", "vdb") in names,
           "both are events", names)


def chain(case):
    base, top = case.image("base.img"), case.lab.file("top.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, top],
                   check=True, timeout=60)
    xml = case.lab.file("disk.xml")
    with open(xml, "w") as file:
        file.write("<disk type='file'><driver name='qemu' type='qcow2' cache='none'/>"
                   "<source file='%s'/><target dev='vdd' bus='virtio'/></disk>" % top)
    done = case.alpha.leasehold("attach-disk", "web", xml)
    tap.ok(done.returncode == 0 and len(case.owners(base)) == 1 and case.owners(top) == ["web"],
           "a chain comes with a lease for each image", said(done))
    done = case.attach(base, guest="other", host=case.beta, target="vdc", options=("--readonly",))
    tap.ok(done.returncode == 0, "its base can be read elsewhere", said(done))
    done = case.beta.leasehold("detach-disk", "other", "vdc")
    tap.ok(done.returncode == 0, "and let go there", said(done))
    case.refused("its base cannot be written elsewhere",
                 case.attach(base, guest="other", host=case.beta, target="vdc"), 3, base,
                 "shared", "alpha")
    done = case.detach("vdd")
    tap.ok(done.returncode == 0 and case.untouched(base) and case.untouched(top),
           "a chain goes as a whole", said(done))


def paused(case):
    data = case.image("paused.img")
    case.alpha.leasehold("suspend", "web")
    done = case.attach(data)
    tap.ok(done.returncode == 0, "a disk comes to a paused guest", said(done))
    done = case.detach(seconds=1)
    case.refused("a paused guest keeps its disk, and the command says so", done, 4, "vdb",
                 "paused", "stay held")
    tap.ok(case.owners(data) == ["web"] and has_open(case.qemu, data), "and its lease")
    done = case.detach(seconds=1)
    tap.ok(done.returncode == 4, "asking again changes nothing", said(done))
    case.alpha.leasehold("resume", "web")
    tap.ok(wait_until(20, lambda: case.untouched(data)),
           "when it runs again it lets go, and the lease is free without another command",
           case.leases())
    done = case.attach(data)
    tap.ok(done.returncode == 0 and case.detach().returncode == 0,
           "the target can be used again", said(done))


def wrong(case):
    data = case.image("wrong.img")
    case.refused("an unknown target is named", case.detach("vdz"), 1, "vdz", "vda")
    case.refused("an image that another guest has is refused with its owner",
                 case.attach(case.lab.file("other.img")), 3, "other", "beta")
    case.refused("a missing image is named", case.attach(case.lab.file("none.img")), 1, "none.img")
    case.refused("a name that XML cannot hold is refused",
                 case.attach(case.image("odd\001.img")), 1, "no text")
    case.refused("a bus without plugging is UNSUPPORTED", case.attach(data, "hdb"), 1, "ide")
    case.refused("a bus without controller is named", case.attach(data, "sdb"), 1, "scsi",
                 "controller")
    case.refused("another element is refused", case.alpha.leasehold("attach-disk", "web", case.web),
                 1, "<disk>")
    case.refused("options without a target are a usage error",
                 case.alpha.leasehold("attach-disk", "web", "--source", data), 2, "--target")
    tap.ok(case.untouched(data), "none of them left a lease")


def undone(case):
    """QEMU refuses the device, after it has opened the image: its place is taken by a device
    that the description does not know of."""
    data = case.image("undone.img")
    xml = case.lab.file("taken.xml")
    with open(xml, "w") as file:
        file.write("<disk type='file'><driver name='qemu' type='raw' cache='none'/>"
                   "<source file='%s'/><target dev='vdb' bus='virtio'/>"
                   "<address type='pci' domain='0' bus='0' slot='0x1e' function='0'/></disk>" % data)
    done = case.alpha.leasehold("attach-disk", "web", xml)
    case.refused("what QEMU refuses at the last step fails", done, 1, "cannot attach", "slot 30")
    tap.ok(case.untouched(data), "and is undone: closed, and free", case.leases())
    done = case.attach(data)
    tap.ok(done.returncode == 0 and case.detach().returncode == 0,
           "and can be attached at another place", said(done))


def buses(case):
    """SCSI and USB disks go at once: their buses do not ask the guest."""
    for target in ("sda", "sdc", "uba"):
        data = case.image(target + ".img")
        done = case.attach(data, target, guest="other", host=case.beta, options=("--serial", "S-2"))
        tap.ok(done.returncode == 0 and case.owners(data) == ["other"], target + " comes",
               said(done))
        done = case.beta.leasehold("detach-disk", "other", target)
        tap.ok(done.returncode == 0 and not case.owners(data), target + " goes", said(done))


def many(case):
    """More leases than sanlock gives a process unasked: 8."""
    images = [case.image("many-%d.img" % i) for i in range(12)]
    targets = ["vd" + chr(ord("e") + i) for i in range(12)]
    done = [case.attach(image, target) for image, target in zip(images, targets)]
    tap.ok(all(one.returncode == 0 for one in done) and set(images) <= set(case.leases()),
           "twelve disks come", *map(said, done))
    done = [case.detach(target) for target in targets]
    tap.ok(all(one.returncode == 0 for one in done) and not any(map(case.owners, images)),
           "twelve disks go", *map(said, done))


def foreign(case):
    data = case.image("foreign.img")
    disk = case.lab.payload("foreign-boot.img")
    done = case.alpha.leasehold(
        "run", "--name", "own", "--disk", disk, "--", "qemu-system-x86_64", "-accel", "tcg", "-m",
        "16", "-display", "none", "-drive", "file=%s,format=raw,if=virtio,cache=none" % disk)
    assert done.returncode == 0, said(done)
    case.refused("a guest with its own command line is refused", case.attach(data, guest="own"), 1,
                 "command line")
    case.alpha.leasehold("destroy", "own")


def main():
    requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
    with Lab("hotplug") as lab:
        lab.store()
        hidden = ("<qemu:commandline><qemu:arg value='-device'/>"
                  "<qemu:arg value='virtio-rng-pci,addr=0x1e'/></qemu:commandline>")
        domain = lab.domain
        lab.domain = lambda name, *disks: domain(name, *disks, extra=hidden)
        case = Case(lab)
        for part in (comes_and_goes, chain, paused, wrong, undone, buses, many, foreign):
            with tap.case(part.__name__):
                part(case)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
