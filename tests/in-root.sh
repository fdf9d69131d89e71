#!/bin/sh
# in-root.sh ROOT WORKSPACE COMMAND...
#
# Runs the command with another root folder, in a mount namespace of its own, where it sees this machine's processes,
# devices and /tmp, and the workspace (read-only) under the name it has outside. Every step is an exec: the PID of this
# script becomes that of the command.
set -eu
root=$1 workspace=$2
if [ "${IN_ROOT-}" != namespace ]; then
    exec env IN_ROOT=namespace unshare --mount --propagation private "$0" "$@"
fi
shift 2
unset IN_ROOT
for folder in /proc /sys /dev /tmp; do
    mkdir -p "$root$folder"
    mount --rbind "$folder" "$root$folder"
done
# Tools that trace want it, and not every machine has it mounted.
[ -e "$root/sys/kernel/tracing/events" ] || mount -t tracefs tracefs "$root/sys/kernel/tracing" || true
mkdir -p "$root$workspace"
mount --bind "$workspace" "$root$workspace"
mount -o remount,bind,ro "$root$workspace"
exec chroot "$root" "$@"
