# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# guests.sh: the boot payload (tests/payload/) as the guest of a shell test.
#
#     disk=$(direct_dir)/web.img; must payload_image "$disk"
#     guest_xml web "$UUID" "$disk" >"$TEST_TMP/web.xml"
#     ok "the guest writes" payload_writes "$disk"

# payload_image IMG [PAUSE_MS] [deaf]: a fresh bootable raw image with no records. The pause
# comes after each record (0: as fast as it can); deaf, it ignores the power button.
payload_image() {
    local pause=${2:-0} flags=0
    [ "${3:-}" = deaf ] && flags=1
    cp --sparse=always "$top_builddir/tests/payload/payload.img" "$1" &&
        printf "$(printf '\\x%02x\\x%02x\\x%02x' \
            $((pause & 255)) $((pause >> 8)) "$flags")" |
        dd of="$1" bs=1 seek=$((0x1f0)) conv=notrunc status=none
}

# payload_seq IMG: the sequence number of the newest record, 0 on a fresh image.
payload_seq() { "$top_builddir/tests/payload/payload-check" --seq "$1"; }

# payload_writes IMG [SEC]: a guest writes to it now, that is, the sequence moves on.
payload_writes() {
    local before
    before=$(payload_seq "$1") || return 1
    wait_until "${2:-10}" _payload_beyond "$1" "$before"
}

_payload_beyond() { [ "$(payload_seq "$1")" -gt "$2" ]; }

# payload_check IMG: no two writers ever interleaved. To be judged when no guest runs: the
# head moves on while the ring is read.
payload_check() { "$top_builddir/tests/payload/payload-check" "$1"; }

# payload_qemu_args MACHINE DEVICE IMG UUID QMP_SOCKET: fills $qemu_args with a bare QEMU on
# that image, without leases and (locking=off) without QEMU's own image locks, for tests of the
# payload and comparisons. DEVICE: virtio-blk, virtio-scsi, ide or sata.
payload_qemu_args() {
    local machine=$1 device=$2 image=$3 uuid=$4 qmp=$5
    qemu_args=(-accel tcg -M "$machine" -m 16 -nodefaults -no-user-config -display none
        -uuid "$uuid" -qmp "unix:$qmp,server=on,wait=off"
        -blockdev "driver=file,filename=$image,node-name=f0,cache.direct=on,locking=off"
        -blockdev driver=raw,file=f0,node-name=d0)
    case $device in
    virtio-blk) qemu_args+=(-device virtio-blk-pci,drive=d0,bootindex=1) ;;
    virtio-scsi) qemu_args+=(-device virtio-scsi-pci -device scsi-hd,drive=d0,bootindex=1) ;;
    ide) qemu_args+=(-device ide-hd,drive=d0,bootindex=1) ;;
    sata) qemu_args+=(-device ahci,id=ahci0
        -device ide-hd,bus=ahci0.0,drive=d0,bootindex=1) ;;
    esac
}

# guest_xml NAME UUID IMG [FORMAT]: a description for leasehold run, with the payload's disk.
guest_xml() {
    cat <<XML
<domain type='qemu'>
  <name>$1</name>
  <uuid>$2</uuid>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='${4:-raw}' cache='none'/>
      <source file='$3'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
XML
}

# lockfile_config: a configuration of the test's own with the lockfile plugin, exported.
lockfile_config() {
    mkdir -p "$TEST_TMP/locks"
    export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
    printf '[host]\nname = alpha\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lockfile]\ndir = %s/locks\n' \
        "$TEST_TMP" "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"
}

# destroy_all: for cleanup_fn
destroy_all() {
    local name
    for name in $(leasehold list --name); do leasehold destroy -q "$name"; done
}

# json_value KEY: one member of the JSON object on standard input; null is None.
json_value() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# linux_xml NAME UUID IMG [WORDS]: a description of the Linux guest (requires linux-guest), with
# WORDS added to its command line. It says what it does in $TEST_TMP/NAME.said and takes
# commands from $TEST_TMP/NAME.tell. $linux_domain and $linux_devices are more elements of
# <domain> and <devices>, $linux_memory is its MiB.
linux_domain= linux_devices= linux_memory=160
linux_xml() {
    cat <<XML
<domain type='qemu'>
  <name>$1</name>
  <uuid>$2</uuid>
  <memory unit='MiB'>$linux_memory</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$linux_dir/vmlinuz</kernel>
    <initrd>$linux_dir/initrd</initrd>
    <cmdline>console=ttyS0 quiet nokaslr mitigations=off tsc=reliable ${4:-}</cmdline>
  </os>
  <features><acpi/></features>
  $linux_domain
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source file='$3'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='$TEST_TMP/$1.said'/><target port='0'/></serial>
    <serial type='unix'>
      <source mode='bind' path='$TEST_TMP/$1.tell'/><target port='1'/>
    </serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    $linux_devices
  </devices>
</domain>
XML
}

# linux_says NAME SEC TEXT [N]: waits until it has said so (the N-th time).
linux_says() { wait_until "$2" _linux_said "$1" "$3" "${4:-1}"; }
_linux_said() { [ "$(grep -aoF -- "$2" "$TEST_TMP/$1.said" | wc -l)" -ge "$3" ]; }
linux_ready() { linux_says "$1" 60 "guest: ready" "${2:-1}"; }

# linux_tell NAME COMMAND: a line for its shell.
linux_tell() {
    python3 - "$TEST_TMP/$1.tell" "$2" <<'PY'
import socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1])
    s.sendall(sys.argv[2].encode() + b"\n")
    s.shutdown(socket.SHUT_WR)
    s.settimeout(1)
    try:
        s.recv(1)  # the last byte may still be in QEMU's FIFO
    except TimeoutError:
        pass
PY
}

# qmp SOCKET STEP...
qmp() { python3 "$top_srcdir/tests/lib/qmp.py" "$@"; }
