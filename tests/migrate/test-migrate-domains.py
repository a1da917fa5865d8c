#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests described in XML move: with a qcow2 chain, a shared backing file and a disk that was
plugged in meanwhile, under sanlock and under lockfile. What they had they have there, and the
leases are those that the description asks for.
"""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, wait_until  # noqa: E402
from moving import FileHost, Rsh  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "qemu-img", "qemu-io", "payload")
tap = Tap()

XML = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>
<memory unit='MiB'>16</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>
<devices>
<disk type='file'><driver name='qemu' type='raw' cache='none'/><source file='{payload}'/>
<target dev='vda' bus='virtio'/></disk>
<disk type='file'><driver name='qemu' type='qcow2' cache='none'/><source file='{overlay}'/>
<target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{iso}'/>
<target dev='sda' bus='sata'/><readonly/></disk>
</devices></domain>"""


def image(lab, name, *args):
    path = lab.file(name)
    subprocess.run(["qemu-img", "create", "-q", *args[:-1], path, args[-1]], check=True)
    return path


def guest(lab, name, uuid, machine):
    base = image(lab, name + "-base.img", "-f", "raw", "1M")
    overlay = image(lab, name + "-top.qcow2", "-f", "qcow2", "-F", "raw", "-b", base, "1M")
    iso = image(lab, name + ".iso", "-f", "raw", "1M")
    payload = lab.payload(name + ".img")
    path = lab.file(name + ".xml")
    with open(path, "w") as out:
        out.write(XML.format(name=name, uuid=uuid, machine=machine, payload=payload,
                             overlay=overlay, iso=iso))
    return path, payload


def info(host, name):
    return json.loads(host.leasehold("--json", "show", name).stdout or "{}")


def leases(host, name):
    return sorted((lease["lease"], lease["mode"]) for lease in info(host, name).get("leases", [])
                  if lease.get("hold") == "lease")


def unversioned(xml):
    """The machine type has QEMU's version once it has travelled."""
    return re.sub(r' machine="[^"]*"', "", xml)


def goes_on(lab, disk, records=10):
    before = lab.payload_seq(disk)
    return wait_until(40, lambda: lab.payload_seq(disk) >= before + records)


def settles(host, name, expected):
    return wait_until(15, lambda: leases(host, name) == expected)


def moves(lab, rsh, machine, uuid):
    alpha, beta = lab.hosts
    name = "web-" + machine
    xml, disk = guest(lab, name, uuid, machine)
    extra = image(lab, name + "-extra.qcow2", "-f", "qcow2", "64M")
    subprocess.run(["qemu-io", "-c", "write 0 32M", extra], check=True, stdout=subprocess.DEVNULL)
    done = alpha.leasehold("run", xml)
    tap.ok(done.returncode == 0 and goes_on(lab, disk), machine + ": a guest runs", done.stderr)
    done = alpha.leasehold("attach-disk", name, "--source", extra, "--format", "qcow2",
                           "--target", "vdc")
    tap.ok(done.returncode == 0, machine + ": a disk comes", done.stderr)
    before, text = leases(alpha, name), alpha.leasehold("show", "--xml", name).stdout

    done = alpha.leasehold("migrate", name, "beta", "--rsh", rsh.command)
    tap.ok(done.returncode == 0, machine + ": it moves", done.stderr)
    tap.ok(goes_on(lab, disk), machine + ": it writes there")
    tap.ok(settles(beta, name, before), machine + ": its leases are the same there",
           before, beta.leasehold("show", name).stdout)
    here = beta.leasehold("show", "--xml", name).stdout
    tap.ok(unversioned(here) == unversioned(text), machine + ": it is described as it was", text,
           here)

    # a block job keeps it, and a disk that the guest was asked to let go (this one never answers)
    copy = beta.popen("blockcopy", name, "vdc", lab.file(name + "-copy.qcow2"), "--bandwidth", "1",
                      "--finish")
    wait_until(20, lambda: info(beta, name).get("job"))
    done = beta.leasehold("migrate", name, "alpha", "--rsh", rsh.command)
    tap.ok(done.returncode == 3 and "copying a disk (vdc" in done.stderr and len(done.stderr.splitlines()) == 1,
           machine + ": a block job keeps it, by name", done.stderr)
    beta.leasehold("job", name, "--cancel")
    copy.communicate(timeout=60)
    done = beta.leasehold("detach-disk", name, "vdc", "--timeout", "1")
    done = beta.leasehold("migrate", name, "alpha", "--rsh", rsh.command)
    tap.ok(done.returncode == 1 and "asked to let go of disk 'vdc'" in done.stderr and
           len(done.stderr.splitlines()) == 1,
           machine + ": a disk that is being unplugged keeps it, by name", done.stderr)
    tap.ok(info(beta, name)["state"] == "running" and goes_on(lab, disk),
           machine + ": and it goes on there")
    for host in lab.hosts:
        host.leasehold("destroy", name)
    tap.ok(lab.check_payload(disk)[0], machine + ": no two writers")


def main(plugin, machine, uuid):
    print("# with " + plugin)
    with Lab("domains") as lab:
        if plugin == "sanlock":
            lab.store()
            lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        else:
            lab.hosts += [FileHost(lab, "alpha", 1), FileHost(lab, "beta", 2)]
        moves(lab, Rsh(lab), machine, uuid)


main("sanlock", "q35", "0d0e0000-0000-4000-8000-000000000001")
main("lockfile", "q35", "0d0e0000-0000-4000-8000-000000000002")
sys.exit(tap.done())
