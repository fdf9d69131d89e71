#!/bin/busybox sh
# The first process of the virtual machine: gives it the host's files, read-only, as its root, and runs the command there.
# The serial ports are the console, what the command says, its errors, and its exit status.
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /root /workspace
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do
    insmod "$module"
done
. /settings
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /root || poweroff -f

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t securityfs securityfs /root/sys/kernel/security
mount -t cgroup2 cgroup /root/sys/fs/cgroup
mount -t bpf bpf /root/sys/fs/bpf
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
ln -s /proc/self/fd /root/dev/fd
ln -s fd/0 /root/dev/stdin
ln -s fd/1 /root/dev/stdout
ln -s fd/2 /root/dev/stderr
# What is written is gone with the machine. The workspace may lie in one of these folders.
mount --bind "/root$WORKSPACE" /workspace
for folder in /dev/shm /run /tmp /var/tmp; do
    mount -t tmpfs tmpfs "/root$folder"
done
mkdir -p "/root$WORKSPACE"
mount --move /workspace "/root$WORKSPACE"

ip link set lo up
cp /command /root/run/command
for port in 1 2 3; do
    stty -F "/dev/ttyS$port" raw
done
# A command that is not done in time is shown with what it waits for: the machine is ended a little later.
late() {
    sleep "$SECONDS_TO_DO"
    echo "not done in time; processes, what their threads wait for, and what the processors do:"
    ps -o pid,ppid,stat,args | grep -v '\[.*\]$'
    for thread in /proc/[0-9]*/task/[0-9]*; do
        # Kernel threads have no executable.
        if readlink "$thread/exe" >/dev/null; then
            echo "$thread: $(cat "$thread/comm"): $(cut -d ' ' -f 3,14,15 "$thread/stat")"
            cat "$thread/syscall" "$thread/stack"
        fi
    done
    dmesg -n 8
    # Twice: does anything move, and does each processor's timer?
    for _ in 1 2; do
        grep -E 'timer|hpet|CPU0' /proc/interrupts
        echo l >/proc/sysrq-trigger
        sleep 2
    done
}
late >/dev/ttyS0 2>&1 &
chroot /root /bin/sh /run/command </dev/null >/dev/ttyS1 2>/dev/ttyS2
echo "$?" >/dev/ttyS3
poweroff -f
