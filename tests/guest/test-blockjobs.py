#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-blockjobs.py: snapshot-disk, blockcommit, blockpull and blockcopy of a guest that writes
all the time, with real QEMU and sanlock on two hosts. What is held is asked of the store, from
the other host; in the end the disk is judged.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, has_open, requires, said, wait_until  # noqa: E402

tap = Tap()


class Case:
    """A guest with one raw disk, and what the store says of its images."""

    def __init__(self, lab):
        self.lab = lab
        self.alpha, self.beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(self.alpha, self.beta)
        self.base = lab.payload("web.img")
        xml, self.uuid = lab.domain("web", self.base, lab.payload("second.img"))
        done = self.alpha.leasehold("run", xml)
        assert done.returncode == 0, said(done)
        self.qemu = self.alpha.state(self.uuid)["pid"]

    def do(self, *args, host=None):
        return (host or self.alpha).leasehold(*args)

    def mode(self, image):
        """How the image is held, as the store tells the other host."""
        done = self.beta.leasehold("--json", "who", image)
        assert done.returncode == 0, said(done)
        owners = json.loads(done.stdout)["owners"]
        return owners[0]["mode"] if len(owners) == 1 else owners and "several" or None

    def modes(self, *images):
        return [self.mode(image) for image in images]

    def chain(self, target="vda"):
        """Paths of the leases of the guest, but for the other disk's."""
        shown = json.loads(self.do("--json", "show", "web").stdout)
        return sorted(lease["path"] for lease in shown["leases"]
                      if lease["type"] == "disk" and "second" not in lease["path"])

    def done(self, what, done, held, closed=()):
        """It went well, these images are held so, and those are free and closed."""
        modes = {image: self.mode(image) for image in list(held) + list(closed)}
        wanted = dict(held, **{image: None for image in closed})
        tap.ok(done.returncode == 0 and modes == wanted and
               all(has_open(self.qemu, image) for image in held) and
               not any(has_open(self.qemu, image) for image in closed) and
               self.chain() == sorted(held), what, said(done), modes, self.chain())

    def refused(self, what, done, status, held, *words):
        modes = {image: self.mode(image) for image in held}
        tap.ok(done.returncode == status and all(word in done.stderr for word in words) and
               modes == held and not self.alpha.state(self.uuid).get("step"), what, said(done),
               modes)

    def writable(self, image):
        """Has QEMU the image open for writing?"""
        want = os.stat(image)
        for fd in os.listdir("/proc/%d/fd" % self.qemu):
            try:
                got = os.stat("/proc/%d/fd/%s" % (self.qemu, fd))
                with open("/proc/%d/fdinfo/%s" % (self.qemu, fd)) as info:
                    flags = int(info.read().split("flags:")[1].split()[0], 8)
            except OSError:
                continue
            if (got.st_dev, got.st_ino) == (want.st_dev, want.st_ino) and flags & 3:
                return True
        return False


def snapshots(case):
    one, two = case.lab.file("one.qcow2"), case.lab.file("two.qcow2")
    case.done("a snapshot: the overlay is exclusive, the old image shared",
              case.do("snapshot-disk", "web", "vda", one), {one: "exclusive", case.base: "shared"})
    tap.ok(not case.writable(case.base) and case.writable(one),
           "and QEMU has the old image open for reading only")
    case.refused("an overlay that exists is refused, and stays",
                 case.do("snapshot-disk", "web", "vda", one), 1,
                 {one: "exclusive", case.base: "shared"}, one, "exists")
    case.refused("an unknown target is named", case.do("snapshot-disk", "web", "vdz", two), 1,
                 {one: "exclusive"}, "vdz", "vda, vdb")
    tap.ok(not os.path.exists(two), "and nothing was made")
    other = case.lab.file("second.qcow2")
    case.refused("two disks, one of which cannot: none",
                 case.do("snapshot-disk", "web", "vda", two, "vdb", one), 1,
                 {one: "exclusive", case.base: "shared"}, "exists")
    tap.ok(not os.path.exists(two), "and the other's file is removed")
    case.done("two disks at one instant",
              case.do("snapshot-disk", "web", "vda", two, "vdb", other),
              {two: "exclusive", one: "shared", case.base: "shared"})
    tap.ok(case.mode(other) == "exclusive" and case.writable(other), "the second one, too")
    return one, two


def commits(case, one, two):
    missing = case.lab.file("missing.qcow2")
    before = {two: "exclusive", one: "shared", case.base: "shared"}
    case.refused("a base that is none of its images is refused, and those are named",
                 case.do("blockcommit", "web", "vda", "--base", missing), 1, before, missing, one)
    case.refused("a base above the top is refused",
                 case.do("blockcommit", "web", "vda", "--top", case.base, "--base", one), 1, before,
                 "not below")
    reader, _ = case.lab.domain("reader", case.lab.payload("reader.img"))
    done = case.do("run", reader, host=case.beta)
    assert done.returncode == 0, said(done)
    done = case.do("attach-disk", "reader", "--source", case.base, "--target", "vdb", "--readonly",
                   host=case.beta)
    tap.ok(done.returncode == 0, "another host's guest reads the base, too", said(done))
    case.refused("a base that another host's guest reads is not written, and the host is named",
                 case.do("blockcommit", "web", "vda", "--top", one), 3,
                 {two: "exclusive", one: "shared"}, case.base, "shared", "beta")
    tap.ok(not case.writable(case.base), "QEMU has not opened it for writing")
    done = case.do("detach-disk", "reader", "vdb", host=case.beta)
    assert done.returncode == 0, said(done)
    case.done("commit from the middle: the base is shared again, what went is free",
              case.do("blockcommit", "web", "vda", "--top", one),
              {two: "exclusive", case.base: "shared"}, (one,))
    tap.ok(not case.writable(case.base), "and the base is open for reading only")
    case.done("commit of the active image: the guest goes on with the base",
              case.do("blockcommit", "web", "vda"), {case.base: "exclusive"}, (two,))
    case.refused("without a backing file there is nothing to commit to",
                 case.do("blockcommit", "web", "vda"), 1, {case.base: "exclusive"},
                 "no backing file")


def pulls(case):
    names = [case.lab.file("pull%d.qcow2" % i) for i in range(3)]
    for name in names:
        done = case.do("snapshot-disk", "web", "vda", name)
        assert done.returncode == 0, said(done)
    case.done("pull down to a base",
              case.do("blockpull", "web", "vda", "--base", names[0]),
              {names[2]: "exclusive", names[0]: "shared", case.base: "shared"}, (names[1],))
    case.done("pull all of it", case.do("blockpull", "web", "vda"), {names[2]: "exclusive"},
              (names[0], case.base))
    return names[2]


def copies(case, now):
    shallow, copy, final = (case.lab.file(n) for n in ("over.qcow2", "copy.img", "final.qcow2"))
    over = case.lab.file("top.qcow2")
    assert case.do("snapshot-disk", "web", "vda", over).returncode == 0
    case.done("a shallow copy, and the guest goes on with it",
              case.do("blockcopy", "web", "vda", shallow, "--shallow", "--pivot"),
              {shallow: "exclusive", now: "shared"}, (over,))
    case.done("a whole copy in another format, and the guest goes on with the original",
              case.do("blockcopy", "web", "vda", copy, "--format", "raw", "--finish"),
              {shallow: "exclusive", now: "shared"}, (copy,))
    good, report = case.lab.check_payload(copy)
    tap.ok(good, "which is what the disk was at that instant", report)
    case.refused("a copy to a file that exists is refused", case.do(
        "blockcopy", "web", "vda", copy, "--pivot"), 1, {copy: None}, "exists")
    case.refused("a copy over an image of the other host's guest is refused, and it is named",
                 case.do("blockcopy", "web", "vda", case.lab.file("reader.img"), "--format", "raw",
                         "--reuse-external", "--pivot"), 3,
                 {case.lab.file("reader.img"): "exclusive", shallow: "exclusive"}, "reader", "beta")
    case.refused("a copy over another disk of the same guest is refused, and it keeps its lease",
                 case.do("blockcopy", "web", "vda", case.lab.file("second.qcow2"), "--format",
                         "qcow2", "--reuse-external", "--pivot"), 1,
                 {case.lab.file("second.qcow2"): "exclusive", shallow: "exclusive"})
    case.done("a whole copy, and the guest goes on with it",
              case.do("blockcopy", "web", "vda", final, "--pivot"), {final: "exclusive"},
              (shallow, now))
    return final


def long_jobs(case, now):
    """--bandwidth makes a job of it that takes long."""
    slow = case.lab.file("slow.img")
    copy = case.alpha.popen("blockcopy", "web", "vda", slow, "--format", "raw", "--pivot",
                            "--bandwidth", "1")
    begun = wait_until(10, lambda: json.loads(case.do("--json", "job", "web").stdout)["job_total"])
    shown = json.loads(case.do("--json", "job", "web").stdout)
    tap.ok(begun and shown["job"] == "copying a disk" and shown["job_detail"] == "vda" and
           shown["job_done"] < shown["job_total"], "a copy that takes long says how far it is",
           shown)
    tap.ok(case.mode(slow) == "exclusive", "its target is leased meanwhile")
    tap.ok(case.do("suspend", "web").returncode == 0 and case.do("resume", "web").returncode == 0,
           "the guest can be suspended and resumed beside it")
    done = case.do("detach-disk", "web", "vda", "--no-wait")
    tap.ok(done.returncode == 3 and "copying a disk (vda" in done.stderr,
           "to detach the disk is refused, and told why", said(done))
    done = case.do("job", "web", "--cancel")
    _, errors = copy.communicate(timeout=60)
    tap.ok(done.returncode == 0 and copy.returncode == 1 and "cancelled" in errors,
           "it is cancelled, and its command says so", said(done), errors)
    tap.ok(not os.path.exists(slow) and case.chain() == [now] and
           case.mode(now) == "exclusive", "and all is as it was")
    done = case.do("blockcopy", "web", "vda", slow, "--format", "raw", "--pivot", "--bandwidth",
                   "1", "--timeout", "1")
    tap.ok(done.returncode == 4 and case.mode(now) == "exclusive" and not os.path.exists(slow),
           "--timeout cancels it", said(done))


def main():
    requires("sanlock", "qemu-system-x86_64", "payload")
    with Lab("blockjobs") as lab:
        lab.store()
        case = Case(lab)
        with tap.case("the whole of it"):
            one, two = snapshots(case)
            commits(case, one, two)
            now = copies(case, pulls(case))
            long_jobs(case, now)
            done = case.do("destroy", "web")
            tap.ok(done.returncode == 0 and case.modes(now, case.base) == [None, None],
                   "in the end all is free", said(done))
            subprocess.run(["qemu-img", "convert", "-O", "raw", now, lab.file("judge.img")],
                           check=True, timeout=60)
            good, report = lab.check_payload(lab.file("judge.img"))
            tap.ok(good and "1 writers" in report, "and the guest has lost nothing", report)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
