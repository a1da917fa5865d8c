#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""After the switch the guest runs behind bridge leases: its source has let go, or is cut off and
cannot. Meanwhile a third host gets none of its disks, to write or to read, and not the guest;
`show` and `who` say how it stands; and the destination goes on asking for the leases themselves
until it has them (I5).

Seen failing: with the look at the bridges taken out of the sanlock plugin
(virSanlockTakeLookAtBridges), the third host gets the disks, and the guest. With a supervisor that
goes by what QEMU says of its last migration, whatever that was (virSettleCheckMemory), a guest that
waits for its leases is ended when its snapshot fails.

In test-migrate-bridges-all.py the source is cut off for good, and its leases are taken when it is surely
dead: that takes more than a minute.
"""

import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import TOP_BUILD, Lab, Steps, Tap, requires, strike, wait_until  # noqa: E402
from moving import Rsh, Thread  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "qemu-img", "payload")
tap = Tap()
FAULTY = os.path.join(TOP_BUILD, "tests/guest/.libs/faulty_storage.so")


def info(host, name):
    return json.loads(host.leasehold("--json", "show", name).stdout or "{}")


def holds(host, name):
    return sorted({lease["hold"] for lease in info(host, name).get("leases", [])})


def goes_on(lab, disk, records=10):
    before = lab.payload_seq(disk)
    return wait_until(40, lambda: lab.payload_seq(disk) >= before + records)


def strangers_are_refused(lab, what, name, disks, holder):
    gamma = lab.hosts[2]
    for disk in disks:
        for mode in ("", ",readonly"):
            done = gamma.leasehold("exec", "--disk", disk + mode, "--", "true")
            tap.ok(done.returncode == 123 and "host '%s'" % holder in done.stderr,
                   "%s: a third host does not get %s%s" % (what, os.path.basename(disk), mode),
                   "status %d: %s" % (done.returncode, done.stderr))
    done = gamma.leasehold("run", *lab.guest(name, *disks))
    tap.ok(done.returncode == 3, what + ": nor may it run the guest", done.stderr)
    gamma.leasehold("destroy", name)


def who(host, disk):
    return host.leasehold("who", disk).stdout


def source_has_let_go(lab, rsh):
    alpha, beta, gamma = lab.hosts
    disks = [lab.payload("first.img"), lab.payload("second.img")]
    # given a guest that has just arrived, and has nothing but its bridges
    alpha.leasehold("run", *lab.guest("web", *disks))
    goes_on(lab, disks[0])
    steps = rsh.steps_of(beta)
    move = alpha.popen("migrate", "web", "beta", "--rsh", rsh.command)
    steps.until("settle:1")
    _, errors = move.communicate(timeout=60)
    tap.ok(move.returncode == 0 and goes_on(lab, disks[0]), "it moved, and runs", errors)
    # then it says so, and nobody gets in between
    tap.ok(holds(beta, "web") == ["bridge"], "show tells bridges from leases",
           beta.leasehold("show", "web").stdout)
    tap.ok("reserved by host 'beta'" in who(gamma, disks[0]),
           "who says for whom they are reserved", who(gamma, disks[0]))
    strangers_are_refused(lab, "bridges", "web", disks, "beta")
    done = beta.leasehold("migrate", "web", "alpha", "--rsh", rsh.command, timeout=90)
    tap.ok(done.returncode == 3, "it does not move on before it has its leases", done.stderr)
    # and when it may, it takes the leases themselves
    steps.close()
    tap.ok(wait_until(20, lambda: holds(beta, "web") == ["lease"]), "then it has its leases",
           beta.leasehold("show", "web").stdout)
    tap.ok("held by host 'beta'" in who(gamma, disks[0]),
           "and who says that", who(gamma, disks[0]))
    beta.leasehold("destroy", "web")
    tap.ok(lab.check_payload(disks[0])[0], "the disk shows no two writers")


def cut_off(lab, rsh, for_good):
    alpha, beta, _ = lab.hosts
    what = "dead" if for_good else "cut"
    disk = lab.payload(what + ".img")
    # given a source that hears nothing more when its word is given
    source = Steps()
    run = alpha.popen("run", *lab.guest(what, disk), steps=source)
    passes = Thread(lambda: source.until("migrate:5"))
    run.communicate(timeout=60)
    goes_on(lab, disk)
    move = alpha.popen("migrate", what, "beta", "--rsh", rsh.command)
    passes.wait()
    pids = alpha.pids("leasehold-supervisor") + alpha.qemu_pids()
    if for_good:
        pids += alpha.pids("sanlock")
    for pid in pids:
        assert strike(pid, "STOP")
    # then the guest runs at the destination, behind its bridges, and says for whom it waits
    tap.ok(goes_on(lab, disk), what + ": the guest runs at the destination")
    tap.ok(wait_until(20, lambda: "alpha" in (info(beta, what).get("message") or "")),
           what + ": show says whom it waits for", beta.leasehold("show", what).stdout)
    tap.ok(holds(beta, what) == ["bridge"], what + ": and that it has bridges")
    strangers_are_refused(lab, what, what, [disk], "alpha")
    # when it comes back, or is surely dead, the leases are taken
    if not for_good:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        source.close()
    tap.ok(wait_until(150, lambda: holds(beta, what) == ["lease"]),
           what + ": in the end it has its leases", beta.leasehold("show", what).stdout)
    tap.ok(goes_on(lab, disk), what + ": and went on all the time")
    if not for_good:
        move.communicate(timeout=60)
        tap.ok(wait_until(20, lambda: info(alpha, what).get("reason") == "migrated"),
               what + ": the source says where it went", alpha.leasehold("show", what).stdout)
    beta.leasehold("destroy", what)
    good, report = lab.check_payload(disk)
    tap.ok(good, what + ": the disk shows no two writers", report)


def snapshot_fails(lab, rsh):
    alpha, beta, _ = lab.hosts
    # given a guest that waits for its leases, whose source keeps them
    disk, storage = lab.file("snap.img"), lab.file("storage")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", lab.payload("raw.img"), disk], check=True)
    xml, _ = lab.domain("snap", disk)
    subprocess.run(["sed", "-i", "s/type='raw'/type='qcow2'/", xml], check=True)
    with open(storage, "w"):
        rsh.add(beta, LD_PRELOAD=FAULTY, LEASEHOLD_TEST_STORAGE=storage,
                LEASEHOLD_TEST_STORAGE_OF=disk,
                ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    source, target = Steps(), rsh.steps_of(beta)
    run = alpha.popen("run", xml, steps=source)
    stands = Thread(lambda: source.until("migrate:6"))
    run.communicate(timeout=60)
    move = alpha.popen("migrate", "snap", "beta", "--rsh", rsh.command)
    target.until("settle:1")
    stands.wait()
    # when its snapshot cannot be written
    target.go()
    snapshot = beta.popen("snapshot", "create", "snap", "one")
    target.until("snapshot-create:3")
    with open(storage, "w") as out:
        out.write("write")
    target.close()
    _, errors = snapshot.communicate(timeout=60)
    with open(storage, "w"):
        rsh.add(beta)
    # then it goes on, and gets its leases
    tap.ok(snapshot.returncode == 4 and "snapshot" in errors, "a snapshot fails meanwhile", errors)
    source.close()
    move.communicate(timeout=60)
    tap.ok(wait_until(40, lambda: holds(beta, "snap") == ["lease"]) and
           info(beta, "snap")["state"] == "running", "and the guest goes on, and has its leases",
           beta.leasehold("show", "snap").stdout)
    beta.leasehold("destroy", "snap")


with Lab("bridges") as the_lab:
    the_lab.store()
    the_lab.join(*[the_lab.host(name, i + 1) for i, name in enumerate(("alpha", "beta", "gamma"))])
    shell = Rsh(the_lab)
    source_has_let_go(the_lab, shell)
    cut_off(the_lab, shell, False)
    snapshot_fails(the_lab, shell)
    if os.environ.get("TEST_MIGRATE_ALL"):
        cut_off(the_lab, shell, True)

sys.exit(tap.done())
