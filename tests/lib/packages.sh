# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# packages.sh: what Leasehold needs of Debian 12, for ./check and ./quickstart.
# shellcheck disable=SC2034  # read by those that source it

BUILD_PACKAGES=(
    autoconf automake libtool make gcc libc6-dev binutils pkg-config perl
    libglib2.0-dev libjson-glib-dev libxml2-dev libblkid-dev libsanlock-dev
)
RUN_PACKAGES=(sanlock qemu-system-x86 qemu-utils)
TEST_PACKAGES=(g++ python3 procps ovmf swtpm systemd xz-utils)
