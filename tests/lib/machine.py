# SPDX-License-Identifier: LGPL-2.1-or-later
"""machine.py: hosts that are virtual machines, with block devices that they share, a watchdog
and a network of their own: what the namespaces and clocks of one machine cannot show.

    requires_machines()
    made = build()
    with testlab.Lab("name") as lab:
        alpha = Machine(lab, made, "alpha", 1, disks)   # disks: [(path, WWN, bytes of a sector)]
        alpha.wait_ready()
        alpha.leasehold("list")                         # CompletedProcess
        alpha.power_cut()

See tests/machines/build for what they run. The disks of a test are a store and one with the
payload, which belongs to the guest of domain().
"""

import contextlib
import json
import os
import socket
import subprocess
import sys

import lab as testlab
import qmp

HERE = os.path.join(testlab.TOP_SRC, "tests/machines")
MEMORY_MIB = 768
# From exec to the first answer: 5 to 8 s on a machine with nothing else to do.
BOOT_SEC = 60
# What the two disks call themselves, and whose the second one is.
STORE, DISK = "5000c50015ea71aa", "5000c50015ea71ab"
UUID = "11111111-2222-4333-8444-555555555555"


def by_id(wwn):
    """How a host names a disk."""
    return "/dev/disk/by-id/wwn-0x" + wwn


def domain(name="web", uuid=UUID, source=by_id(DISK)):
    return """<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<devices><disk type='block'><driver name='qemu' type='raw' cache='none'/>
<source dev='%s'/><target dev='vda' bus='virtio'/></disk></devices></domain>""" % (name, uuid, source)


def config(host_id, *more):
    """A leasehold.conf; @more are further lines of its last section, and further sections."""
    lines = ("[lock]", "plugin = sanlock", "", "[sanlock]", "store = " + by_id(STORE),
             "host_id = %d" % host_id, *more)
    return "".join(line + "\n" for line in lines)


def requires_machines():
    testlab.requires("payload", "sanlock", "wdmd", "qemu-system-x86_64")
    if os.getuid() != 0:
        testlab.skip_all("the files of this machine are root's, and a host has them as its own")


def build():
    """Kernel and initramfs; skips the script by name if they cannot be had."""
    folder = os.environ.get("LEASEHOLD_TEST_MACHINES", os.path.join(testlab.TOP_BUILD, "tests/machines/made"))
    done = subprocess.run([os.path.join(HERE, "build"), folder], timeout=600, capture_output=True,
                          text=True)
    if done.returncode == 77:
        testlab.skip_all("no virtual machines as hosts: " + done.stderr.strip())
    if done.returncode != 0:
        raise AssertionError("tests/machines/build: " + done.stdout + done.stderr)
    return folder


class Machine:
    """One host. Whatever it is told runs as root in it."""

    def __init__(self, lab, made, name, number, disks, systemd=False):
        self.lab, self.name, self.number = lab, name, number
        self.dir = lab.file(name)
        os.makedirs(self.dir, exist_ok=True)
        self.answers, self.asked, self.buffer = {}, 0, b""
        with open(os.path.join(self.dir, "qemu.log"), "w") as log:
            self.process = subprocess.Popen(self._argv(made, disks, systemd), env=lab.environment(),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        lab.hosts.append(self)
        self.line = self._connect("commands")
        self.monitor = qmp.Monitor(os.path.join(self.dir, "qmp"), out=open(os.devnull, "w"))

    def _argv(self, made, disks, systemd):
        d = self.dir
        other = self.lab.file("net%d" % (3 - self.number))
        ours = self.lab.file("net%d" % self.number)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ours)
        words = "quiet console=ttyS0 panic=-1 nokaslr mitigations=off first=%s/first host=%s number=%d systemd=%s" % (
            HERE, self.name, self.number, "yes" if systemd else "no")
        argv = ["qemu-system-x86_64", "-name", self.name, "-machine", "q35", "-accel", "tcg",
                "-cpu", "qemu64", "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none",
                "-kernel", made + "/vmlinuz", "-initrd", made + "/initrd", "-append", words,
                "-serial", "file:%s/console.log" % d, "-qmp", "unix:%s/qmp,server=on,wait=off" % d,
                "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
                "-device", "virtio-serial-pci",
                "-chardev", "socket,id=commands,path=%s/commands,server=on,wait=off" % d,
                "-device", "virtserialport,chardev=commands,name=commands",
                "-netdev", "dgram,id=net,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s"
                % (ours, other),
                "-device", "virtio-net-pci,romfile=,netdev=net,mac=52:54:00:77:00:0%d" % self.number,
                "-device", "i6300esb", "-action", "watchdog=poweroff",
                "-object", "throttle-group,id=storage", "-device", "virtio-scsi-pci,id=scsi"]
        for i, (path, wwn, sector) in enumerate(disks):
            argv += ["-blockdev", "driver=file,node-name=file%d,filename=%s,locking=off,"
                     "cache.direct=on" % (i, path),
                     "-blockdev", "driver=throttle,throttle-group=storage,node-name=disk%d,"
                     "file=file%d" % (i, i),
                     "-device", "scsi-hd,bus=scsi.0,scsi-id=%d,drive=disk%d,wwn=0x%s,share-rw=on,"
                     "logical_block_size=%d,physical_block_size=%d" % (i, i, wwn, sector, sector)]
        return argv

    def _connect(self, name):
        path = os.path.join(self.dir, name)

        def connected():
            if self.process.poll() is not None:
                with open(os.path.join(self.dir, "qemu.log")) as log:
                    raise AssertionError("the machine %s ended: %s" % (self.name, log.read()))
            line = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                line.connect(path)
                return line
            line.close()
            return None

        line = testlab.wait_until(20, connected)
        assert line, "QEMU of %s does not listen" % self.name
        return line

    # --- what it is told -----------------------------------------------------------------

    def _read(self, seconds):
        self.line.settimeout(seconds)
        while b"\n" not in self.buffer:
            data = self.line.recv(65536)
            if not data:
                raise AssertionError("host %s is gone" % self.name)
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(text)

    def wait_ready(self):
        try:
            assert "ready" in self._read(3 * BOOT_SEC)
        except socket.timeout:
            with open(os.path.join(self.dir, "console.log"), errors="replace") as log:
                raise AssertionError("host %s does not come up: %s" % (self.name, log.read()[-2000:])) from None
        self._write({"environment": self._environment()})

    def _write(self, message):
        self.line.sendall(json.dumps(message).encode() + b"\n")

    def start(self, *argv):
        """Returns what finish() wants."""
        self.asked += 1
        self._write({"id": self.asked, "argv": argv})
        return self.asked

    def finish(self, number, timeout=180):
        while number not in self.answers:
            answer = self._read(timeout)
            self.answers[answer["id"]] = answer
        answer = self.answers.pop(number)
        return subprocess.CompletedProcess(number, answer["status"], answer["out"], answer["err"])

    def run(self, *argv, timeout=180):
        return self.finish(self.start(*argv), timeout)

    def leasehold(self, *args, timeout=180):
        return self.run("leasehold", *args, timeout=timeout)

    def shell(self, text, timeout=180):
        done = self.run("bash", "-c", text, timeout=timeout)
        if done.returncode != 0:
            raise AssertionError("%s: %s: %s%s" % (self.name, text, done.stdout, done.stderr))
        return done.stdout

    def _environment(self):
        env = {"LEASEHOLD_CONFIG": "/run/leasehold.conf", "PATH": testlab.search_path()}
        if os.path.exists(os.path.join(testlab.TOP_BUILD, "helpers")):
            env["LEASEHOLD_PLUGIN_DIR"] = os.path.join(testlab.TOP_BUILD, "plugins/.libs")
            env["LEASEHOLD_HELPER_DIR"] = os.path.join(testlab.TOP_BUILD, "helpers")
        return env

    def write(self, path, text):
        self.run("python3", "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", path, text)

    def start_sanlock(self, *options):
        """Where systemd does not; returns when the daemon answers."""
        self.shell("(sanlock daemon -D -U root -G root -e %s %s >/run/sanlock.log 2>&1 &)"
                   "; for i in $(seq 100); do sanlock client status >/dev/null 2>&1 && break; sleep .1; done"
                   % (self.name, " ".join(options)))

    # --- what happens to it ----------------------------------------------------------------

    def hang_storage(self):
        """From here on no read and no write of its disks comes back."""
        self.monitor.command(json.dumps({"execute": "qom-set", "arguments": {
            "path": "/objects/storage", "property": "limits", "value": {"bps-total": 1}}}))

    def alive(self):
        return self.process.poll() is None

    def power_cut(self):
        if self.process:
            self.process.kill()
            self.process.wait(30)

    # what a Lab wants of its hosts
    crash = power_cut
