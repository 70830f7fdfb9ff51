#!/bin/busybox sh
# Init of the sandbox's guest, the whole of its user space. On every virtio disk it keeps a ledger of
# 512-byte records from byte 1 MiB on, record N at 1 MiB + (N - 1) * 512, each on the disk (fsync)
# before it is printed on the console:
#
#   ONEDR1 <number> <epoch ms> <tick> <crc32 of all before, hex>, padded with blanks and a newline
#
# <number> counts on per disk, over boots; <tick> is one count for all disks of the guest: the records
# of one turn share it. sandbox/guest/ledger.py reads both ledger and console.
#
#   LEDGER <disk> <last number found>       a disk was found (at boot, or attached later)
#   REC <disk> <number> <epoch ms> <tick>   the record is on the disk
#   ERR <disk> <number>                     it could not be written; tried again next turn
#   FULL <disk> <number>                    no room for this one
#   OFF                                     orderly power-off
#
# <disk> is the disk's serial (the VMM sets it to the target name of the VM's definition, vda ...).
set -f
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec >/dev/console 2>&1 </dev/null
for module in $(cat /modules/order); do
  insmod "/modules/$module" || echo "INIT cannot load $module"
done

FIRST=2048 # sector of record 1
lo=0 hi=0 tick=0 known=

wait_button() {
  set +f
  for event in /sys/class/input/event*; do
    read -r name <"$event/device/name"
    if [ "$name" = "Power Button" ]; then
      dd if="/dev/input/${event##*/}" of=/dev/null bs=24 count=1 2>/dev/null
      : >/stop
      return
    fi
  done
  echo "INIT no power button"
}

# now: milliseconds since the epoch. The clock chip shows whole seconds only, so the moment of boot is
# known to be in [lo, hi); each reading narrows that. A reading that contradicts it (the machine was
# suspended, the host's clock was set) starts over. The chip is late by rtc_lag, which the VMM knows.
clock() {
  read -r up rest </proc/uptime
  read -r second </sys/class/rtc/rtc0/since_epoch
  up=$((${up%.*} * 1000 + 1${up#*.}0 - 1000)) # 12.05: no octal 05
  least=$((second * 1000 + ${rtc_lag:-0} - up))
  most=$((least + 1000))
  if [ $least -ge $hi ] || [ $most -le $lo ]; then
    lo=$least hi=$most
  else
    [ $least -gt $lo ] && lo=$least
    [ $most -lt $hi ] && hi=$most
  fi
  now=$((up + (lo + hi) / 2))
}

valid() { # DEVICE NUMBER: is that record there; sets found_tick
  set -- "$2" $(dd if="/dev/$1" bs=512 skip=$((FIRST + $2 - 1)) count=1 2>/dev/null)
  [ "$2" = ONEDR1 ] && [ "$3" = "$1" ] || return 1
  [ "$(printf '%s' "$2 $3 $4 $5" | crc32)" = "$6" ] || return 1
  found_tick=$5
}

find_last() { # DEVICE ROOM: sets last, the number of the last record; 0: none
  last=0
  step=1
  while [ $((last + step)) -le "$2" ] && valid "$1" $((last + step)); do
    last=$((last + step))
    [ "$found_tick" -gt $tick ] && tick=$found_tick
    step=$((step * 2))
  done
  while [ $step -gt 1 ]; do
    step=$((step / 2))
    if [ $((last + step)) -le "$2" ] && valid "$1" $((last + step)); then
      last=$((last + step))
      [ "$found_tick" -gt $tick ] && tick=$found_tick
    fi
  done
}

open_disk() { # DEVICE
  read -r sectors <"/sys/block/$1/size"
  name=
  read -r name <"/sys/block/$1/serial"
  find_last "$1" $((sectors - FIRST))
  eval "room_$1=$((sectors - FIRST)) last_$1=$last name_$1=${name:-$1}"
  known="$known $1 "
  echo "LEDGER ${name:-$1} $last"
}

record() { # DEVICE: write its next record
  eval "number=\$((last_$1 + 1)) room=\$room_$1 name=\$name_$1"
  if [ $number -gt "$room" ]; then
    [ "$room" -ge 0 ] && echo "FULL $name $number"
    eval "room_$1=-1"
    return
  fi
  clock
  body="ONEDR1 $number $now $tick"
  line="$body $(printf '%s' "$body" | crc32)"
  if printf '%-511s\n' "$line" |
    dd of="/dev/$1" bs=512 seek=$((FIRST + number - 1)) conv=notrunc,fsync 2>/dev/null; then
    echo "REC $name $number $now $tick"
    eval "last_$1=$number"
  else
    echo "ERR $name $number"
  fi
}

disks() { # sets present: the devices there are now
  present=
  set +f
  for path in /sys/block/vd*; do
    [ -e "$path" ] && present="$present ${path##*/}"
  done
  set -f
}

wait_button &
while :; do
  disks
  for device in $known; do
    case " $present " in *" $device "*) ;; *) known=${known/ $device /} ;; esac
  done
  for device in $present; do
    case "$known" in *" $device "*) ;; *) open_disk "$device" ;; esac
  done
  tick=$((tick + 1))
  for device in $present; do
    record "$device"
  done
  if [ -e /stop ]; then
    sync
    echo OFF
    poweroff -f
  fi
  sleep 0.3
done
