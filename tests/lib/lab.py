# SPDX-License-Identifier: LGPL-2.1-or-later
"""lab.py: several "hosts" on one machine for tests that have to act between two steps of a
sequence: the Python twin of functions.sh and hosts.sh, with the step protocol on top.

    with Lab("crash") as lab:
        lab.store()
        alpha, beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(alpha, beta)
        steps = Steps()
        run = alpha.popen("run", *guest, steps=steps)
        steps.until("start:7")          # everything before was let go on
        ...kill somebody...
        steps.go()                      # and let it go on from there

Nothing waits for ever; every process is ended by pid when the lab is left; nothing outside
the lab's folder is touched.
"""

import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

TOP_SRC = os.environ.get("top_srcdir", os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))
TOP_BUILD = os.environ.get("top_builddir", TOP_SRC)
STRICT = os.environ.get("LEASEHOLD_TEST_STRICT") == "1"
# Installed with leasehold-harness, the payload and its checker lie beside this file.
PAYLOAD_DIR = os.environ.get("LEASEHOLD_PAYLOAD_DIR", os.path.join(TOP_BUILD, "tests/payload"))
PAYLOAD = os.path.join(PAYLOAD_DIR, "payload.img")
# What a folder must have left: the memory of a container may have next to nothing.
ROOM = 1 << 30
# The exit status of "try again later".
TRY_AGAIN = 4
# Of the next step of a sequence, on a busy machine too (wait_until).
STEP_SEC = 90
PAYLOAD_CHECK = os.path.join(PAYLOAD_DIR, "payload-check")


class Tap:
    """Numbered facts on standard output."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, what, *diagnostics):
        self.count += 1
        if not good:
            self.failed += 1
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, what), flush=True)
        if not good:
            for text in diagnostics:
                for line in str(text).splitlines():
                    print("# " + line, flush=True)
        return good

    def skip(self, what, reason):
        if STRICT:
            return self.ok(False, what + ": skipped although LEASEHOLD_TEST_STRICT=1: " + reason)
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, what, reason), flush=True)
        return True

    @contextlib.contextmanager
    def case(self, what, clean=lambda: None):
        """One of several: what goes wrong in it is its own failure, and the next one comes.
        @clean is called between the two."""
        try:
            yield
        except (AssertionError, OSError, ValueError, LookupError, TypeError,
                subprocess.SubprocessError) as error:
            self.ok(False, what + ": the case ran", repr(error))
            clean()

    def done(self):
        print("1..%d" % self.count, flush=True)
        return 1 if self.failed else 0


def skip_all(reason):
    if STRICT:
        print("1..1\nnot ok 1 - skipped although LEASEHOLD_TEST_STRICT=1: " + reason)
        sys.exit(1)
    print("1..0 # SKIP " + reason)
    sys.exit(0)


def requires(*things):
    """Skips the whole script by name if a program (or the payload) is missing."""
    for thing in things:
        if thing == "payload":
            found = os.path.exists(PAYLOAD)
        else:
            found = shutil.which(thing, path=search_path())
        if not found:
            skip_all("this machine has no usable " + thing)


def said(done):
    """What there is to say of a command."""
    return "exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr)


def qemu_img(*args):
    return subprocess.run(["qemu-img", *args], check=True, timeout=60, capture_output=True,
                          text=True).stdout


def edit(path, *pairs):
    """Replaces in a file the first of each pair by the second."""
    with open(path) as file:
        text = file.read()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    with open(path, "w") as file:
        file.write(text)


def faketime():
    """The library that changes a program's clock, or None."""
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


def search_path():
    return ":".join([TOP_BUILD, os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def wait_until(seconds, condition):
    """Polls; returns what @condition returned last, true or not. @seconds are for a machine with
    nothing else to do: a busy one has three times as long."""
    end = time.monotonic() + 3 * seconds
    pause = 0.01
    while True:
        result = condition()
        if result or time.monotonic() >= end:
            return result
        time.sleep(pause)
        pause = 0.05


def process_state(pid):
    """'R', 'S', 'T', 'Z'... or None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    """A process that was killed is alive until its last thread is dead: one that waits for a busy
    disk keeps all that the process has open."""
    state = process_state(pid)
    if state != "Z":
        return state is not None
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/%d/task" % pid)) > 1
    return False


def may_write(pid):
    """The files of a process that ends, the connection to its lock daemon among them, are closed
    when its last thread is dead, which is a moment before it is gone."""
    try:
        return alive(pid) and len(os.listdir("/proc/%d/fd" % pid)) > 0
    except (FileNotFoundError, ProcessLookupError):
        return False


def strike(pid, sig):
    """Kills or stops (@sig: "KILL", "STOP") a process of ours; returns when it is dead, or when
    each of its threads stands still, which is some time after the signal."""
    os.kill(pid, getattr(signal, "SIG" + sig))
    if sig == "KILL":
        return wait_until(60, lambda: not alive(pid))
    return wait_until(60, lambda: is_stopped(pid))


def is_stopped(pid):
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
        states = []
        for task in tasks:
            with open("/proc/%d/task/%s/stat" % (pid, task)) as file:
                states.append(file.read().rsplit(")", 1)[1].split()[0])
    except OSError:
        return False
    return all(state in "TtZX" for state in states)


def children(pid):
    """Processes whose parent is @pid, with their command names."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % entry) as stat:
                text = stat.read()
            if int(text.rpartition(")")[2].split()[1]) == pid:
                found[int(entry)] = text[text.index("(") + 1:text.rindex(")")]
    return found


def has_open(pid, path):
    """TRUE if the process has this file open, by whatever name."""
    want = os.stat(path)
    with contextlib.suppress(OSError):
        for fd in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                got = os.stat("/proc/%d/fd/%s" % (pid, fd))
                if (got.st_dev, got.st_ino) == (want.st_dev, want.st_ino):
                    return True
    return False


def accepts(path):
    """TRUE if somebody listens on this socket."""
    with socket.socket(socket.AF_UNIX) as client:
        with contextlib.suppress(OSError):
            client.connect(path)
            return True
    return False


class Steps:
    """The other end of LEASEHOLD_STEP_FD: a sequence writes "start:4" and waits for a byte."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.ours.settimeout(STEP_SEC)
        self.buffer = b""
        self.seen = []

    def fd(self):
        return self.theirs.fileno()

    def started(self):
        """After the program was started: only it may keep the other end open."""
        self.theirs.close()

    def read(self):
        """The next step that is waited at, or None when the other end is closed."""
        while b"\n" not in self.buffer:
            try:
                data = self.ours.recv(4096)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        self.seen.append(line.decode())
        return self.seen[-1]

    def go(self):
        with contextlib.suppress(OSError):
            self.ours.send(b".")

    def until(self, name):
        """Lets everything pass that comes before @name; stands at @name when it returns."""
        while True:
            step = self.read()
            if step is None:
                raise AssertionError("the sequence ended before %s; seen: %s" % (name, self.seen))
            if step == name:
                return
            self.go()

    def close(self):
        """Lets everything pass from here on: the end of the file is a "go" for ever. A thread that
        waits in read keeps the socket: closed only, it would not end for the program at its step."""
        with contextlib.suppress(OSError):
            self.ours.shutdown(socket.SHUT_RDWR)
        self.ours.close()


class Lab:
    """A folder, a store and some hosts; leaving it ends and removes everything."""

    def __init__(self, name):
        self.name = name
        self.hosts = []
        self.path = None

    def __enter__(self):
        # memory first: at io_timeout 1 a disk that is busy for a second is a dead one
        for base in (os.environ.get("TEST_DIRECT_DIR", "/dev/shm"), "/tmp", TOP_BUILD, "/var/tmp"):
            if base and self._direct(base):
                return self
        skip_all("no folder on a file system with O_DIRECT")
        return self

    def _direct(self, base):
        try:
            if shutil.disk_usage(base).free < ROOM:
                return False
            self.path = tempfile.mkdtemp(prefix="lhd.", dir=base)
        except OSError:
            return False
        probe = os.path.join(self.path, "probe")
        try:
            os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600))
            os.unlink(probe)
            return True
        except OSError:
            shutil.rmtree(self.path)
            return False

    def __exit__(self, *_):
        for host in self.hosts:
            host.crash()
        if os.environ.get("LEASEHOLD_TEST_KEEP") == "1":
            print("# kept: " + self.path)
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name):
        return os.path.join(self.path, name)

    def store(self, *options):
        config = self.file("store.conf")
        with open(config, "w") as out:
            out.write("[lock]\nplugin = sanlock\n\n[sanlock]\nwatchdog = unsafe-none\n")
        self.leasehold("--config", config, "store", "create", self.file("store"), "--lockspace", "test",
                       "--io-timeout", "1", "--max-leases", "100", *options)

    def leasehold(self, *args):
        done = subprocess.run(["leasehold", *args], env=self.environment(), timeout=180,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError("leasehold %s: %s" % (" ".join(args), done.stderr))

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        env.update(PATH=search_path(), LC_ALL="C", HOME=self.path)
        if os.path.exists(os.path.join(TOP_BUILD, "helpers")):
            env.setdefault("LEASEHOLD_PLUGIN_DIR", os.path.join(TOP_BUILD, "plugins/.libs"))
            env.setdefault("LEASEHOLD_HELPER_DIR", os.path.join(TOP_BUILD, "helpers"))
        env.pop("LEASEHOLD_CONFIG", None)
        return env

    def host(self, name, host_id, scale=1):
        """@scale: how much faster the clock of its lock daemon runs (libfaketime)."""
        host = Host(self, name, host_id, scale)
        self.hosts.append(host)
        return host

    def join(self, *hosts):
        joins = [host.popen("host", "join", "-q") for host in hosts]
        for host, join in zip(hosts, joins):
            _, errors = join.communicate(timeout=120)
            if join.returncode == TRY_AGAIN:  # the machine is busy, and io_timeout is 1
                print("# %s joins again: %s" % (host.name, errors.strip()), flush=True)
                again = host.leasehold("host", "join", "-q")
                join.returncode, errors = again.returncode, again.stderr
            if join.returncode != 0:
                raise AssertionError("host join: " + errors)

    def end_guests(self):
        """Whatever runs on the hosts, after a case that stopped in the middle."""
        for host in self.hosts:
            for pid in host.qemu_pids() + host.pids("leasehold-supervisor"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def payload(self, name="disk.img"):
        """A fresh disk with the stamping payload on it."""
        path = self.file(name)
        shutil.copyfile(PAYLOAD, path)
        return path

    def check_payload(self, path):
        """payload-check's verdict: (good, its report)."""
        done = subprocess.run([PAYLOAD_CHECK, path], timeout=180, capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr

    def payload_seq(self, path):
        """The newest sequence number on the disk; 0 before anything was written."""
        done = subprocess.run([PAYLOAD_CHECK, "--seq", path], timeout=180, capture_output=True,
                              text=True)
        return int(done.stdout.strip() or 0)

    def domain(self, name, *disks, extra=""):
        """A domain of ours in a file. Returns (path of the XML, uuid)."""
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, self.path + name))
        xml = ["<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
               "<name>%s</name><uuid>%s</uuid><memory unit='MiB'>16</memory>" % (name, identity),
               "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>",
               "<devices>"]
        for i, disk in enumerate(disks):
            xml.append("<disk type='file'><driver name='qemu' type='raw' cache='none'/>"
                       "<source file='%s'/><target dev='vd%s' bus='virtio'/></disk>"
                       % (disk, "abcdefghijklmnopqrstuvwxyz"[i]))
        xml.append("</devices>" + extra + "</domain>")
        path = self.file(name + ".xml")
        with open(path, "w") as out:
            out.write("\n".join(xml))
        return path, identity

    def guest(self, name, *disks):
        """Arguments of "run" for a guest of ours. A command line of its own, because no domain
        XML can say locking=off, and QEMU's own image locks would hide a missing lease."""
        args = ["--name", name]
        qemu = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "16", "-nodefaults",
                "-display", "none"]
        for disk in disks:
            args += ["--disk", disk]
            qemu += ["-drive", "file=%s,format=raw,if=virtio,cache=none,file.locking=off" % disk]
        return [*args, "--", *qemu]


class Host:
    """One host: a configuration and a private sanlock daemon without watchdog."""

    def __init__(self, lab, name, host_id, scale=1):
        self.lab, self.name, self.host_id, self.scale = lab, name, host_id, scale
        self.dir = lab.file(name)
        self.run_dir = os.path.join(self.dir, "run")
        self.config = os.path.join(self.dir, "leasehold.conf")
        self.daemon = None
        for sub in ("run", "state", "sl"):
            os.makedirs(os.path.join(self.dir, sub), mode=0o700, exist_ok=True)
        self.write_config()
        self.start_daemon()

    def write_config(self):
        with open(self.config, "w") as out:
            out.write("[host]\nname = %s\nrun_dir = %s\nstate_dir = %s/state\nidentity = local\n\n"
                      "[lock]\nplugin = sanlock\n\n[sanlock]\nstore = %s\nlockspace = test\n"
                      "host_id = %d\nio_timeout = 1\nrun_dir = %s/sl\nwatchdog = unsafe-none\n"
                      % (self.name, self.run_dir, self.dir, self.lab.file("store"), self.host_id,
                         self.dir))

    def environment(self):
        env = self.lab.environment()
        env.update(LEASEHOLD_CONFIG=self.config, LEASEHOLD_TEST_HOST=self.dir,
                   SANLOCK_RUN_DIR=self.dir + "/sl", SANLOCK_PRIVILEGED="0")
        return env

    def daemon_environment(self):
        if self.scale == 1:
            return self.environment()
        return dict(self.environment(), LD_PRELOAD=faketime(), FAKETIME="+0 x%d" % self.scale,
                    FAKETIME_DONT_RESET="1", FAKETIME_DISABLE_SHM="1")

    def start_daemon(self):
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        group = subprocess.run(["id", "-gn"], capture_output=True, text=True).stdout.strip()
        sock = self.dir + "/sl/sanlock.sock"  # it has this name before it accepts
        with contextlib.suppress(FileNotFoundError):
            os.unlink(sock)
        with open(self.dir + "/daemon.log", "a") as log:
            self.daemon = subprocess.Popen(
                ["sanlock", "daemon", "-D", "-w", "0", "-l", "0", "-h", "0", "-U", user,
                 "-G", group, "-e", self.name], env=self.daemon_environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        if not wait_until(10, lambda: accepts(sock)):
            raise AssertionError("the sanlock daemon of %s does not answer" % self.name)

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait(10)

    def popen(self, *args, steps=None, env=None):
        environment = self.environment()
        environment.update(env or {})
        fds = ()
        if steps:
            fds = (steps.fd(),)
            environment["LEASEHOLD_STEP_FD"] = str(steps.fd())
        process = subprocess.Popen(["leasehold", *args], env=environment, pass_fds=fds,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        if steps:
            steps.started()
        return process

    def leasehold(self, *args, timeout=180, env=None):
        """Runs a command to its end. Returns its CompletedProcess."""
        environment = self.environment()
        environment.update(env or {})
        return subprocess.run(["leasehold", *args], env=environment, timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def run_stepped(self, *guest, env=None):
        """Starts a guest whose sequences stand at their steps from then on: returns its Steps."""
        steps = Steps()
        run = self.popen("run", *guest, steps=steps, env=env)
        steps.until("start:10")
        steps.go()
        _, errors = run.communicate(timeout=60)
        if run.returncode != 0:
            raise AssertionError("the guest does not start: " + errors)
        return steps

    def state(self, identity):
        """state.json of a guest that has a runtime folder, else None."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(os.path.join(self.run_dir, "guests", identity, "state.json")) as file:
                return json.load(file)
        return None

    def pids(self, program=None):
        """Every process of this host: it inherited our mark, or (QEMU, whose environment is
        another) writes its messages below the host's folder."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                if not self._owns(entry):
                    continue
                with open("/proc/%s/cmdline" % entry, "rb") as file:
                    name = os.path.basename(file.read().split(b"\0")[0].decode())
                if program is None or name.startswith(program):
                    found.append(int(entry))
        return found

    def supervisor(self):
        """The only one, when that of an earlier guest has gone. Its parked child has the same
        name until it is QEMU."""
        def only():
            found = self.pids("leasehold-supervisor")
            born = [pid for pid in found if not any(pid in children(other) for other in found)]
            return born[0] if len(born) == 1 else None

        pid = wait_until(20, only)
        assert pid, "no supervisor, or several: %s" % self.pids("leasehold-supervisor")
        return pid

    def _owns(self, entry):
        mark = ("LEASEHOLD_TEST_HOST=" + self.dir).encode()
        with open("/proc/%s/environ" % entry, "rb") as file:
            if mark in file.read().split(b"\0"):
                return True
        return os.readlink("/proc/%s/fd/2" % entry).startswith(self.dir + "/")

    def qemu_pids(self):
        return self.pids("qemu-system")

    def crash(self):
        """Everything of this host at once."""
        for _ in range(5):
            pids = [pid for pid in self.pids() if alive(pid)]
            if not pids:
                break
            for sig in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, sig)
            wait_until(5, lambda: not any(alive(pid) for pid in pids))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.daemon.wait(5)
