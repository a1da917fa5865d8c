# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# unpack.sh: Debian packages for machines that tests make. They are only unpacked, in the
# current folder; nothing is installed. They stay there, so that a second call costs nothing.
# What cannot be had is said in one line, exit status 77.

# The next ones that ask are told, at once, for ten minutes.
cannot() { echo "$*" | tee why-not >&2; exit 77; }

# begin_unpack SOURCES: one at a time; ends here when it is all there, and newer than SOURCES.
begin_unpack() {
    local tool
    exec 9>lock
    flock 9
    [ -s vmlinuz ] && [ -s initrd ] && [ -z "$(find "$1" -newer initrd)" ] && exit 0
    [ -n "$(find why-not -mmin -10 2>/dev/null)" ] && { cat why-not >&2; exit 77; }
    [ "$(uname -m)" = x86_64 ] || cannot "its kernel is for x86_64"
    for tool in apt-get apt-cache dpkg-deb ldd; do
        command -v "$tool" >/dev/null || cannot "this machine has no $tool"
    done
}

# package NAME: its newest version, unpacked in NAME.
package() {
    [ -d "$1" ] && return
    if ! apt-cache show "$1" >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] && apt-get -qq update >apt.log 2>&1
        apt-cache show "$1" >/dev/null 2>&1 || cannot "apt knows no package $1"
    fi
    rm -rf unpack && mkdir unpack || exit 1
    (cd unpack && timeout 300 apt-get -q download "$1" >../apt.log 2>&1) ||
        cannot "package $1: $(grep -m 1 '^E:' apt.log)"
    dpkg-deb -x unpack/*.deb unpack/root && mv unpack/root "$1" && rm -rf unpack || exit 1
}

# kernel_package META: unpacks the kernel that META depends on; its name goes to $kernel.
kernel_package() {
    kernel=$(apt-cache depends --important "$1" 2>/dev/null |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$kernel" ] || cannot "apt knows no package $1"
    package "$kernel"
}

# copy_modules NAME...: modules of $kernel go to root/modules, numbered in this order, which is
# that of what they need of each other.
copy_modules() {
    local module number=10
    mkdir -p root/modules || exit 1
    for module; do
        cp "$kernel"/lib/modules/*/kernel/"$module.ko" \
            "root/modules/$number-$(basename "$module").ko" || cannot "$kernel has no $module"
        number=$((number + 1))
    done
}

# end_unpack: root becomes the initramfs.
end_unpack() {
    (cd root && find . | ./bin/busybox cpio -o -H newc 2>/dev/null | gzip -6) >initrd.new &&
        cp "$kernel"/boot/vmlinuz-* vmlinuz.new && mv vmlinuz.new vmlinuz &&
        mv initrd.new initrd && rm -rf root why-not || exit 1
}
