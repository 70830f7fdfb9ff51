/* Init of the sandbox's guest, the whole of its user space; static, so that nothing else is in its file system.
 *
 * On every virtio disk it keeps a ledger of 512-byte records from byte 1 MiB on, record N at
 * 1 MiB + (N - 1) * 512, each on the disk (O_DIRECT, then fsync) before it is printed on the console:
 *
 *   ONEDR1 <number> <epoch ms> <tick> <crc32 of all before, hex>, padded with blanks and a newline
 *
 * <number> counts on per disk, over boots; <tick> is one count for all disks of the guest: the records
 * of one turn share it. sandbox/guest/ledger.py reads both ledger and console.
 *
 *   LEDGER <disk> <last number found>       a disk was found (at boot, or attached later)
 *   REC <disk> <number> <epoch ms> <tick>   the record is on the disk
 *   ERR <disk> <number>                     it could not be written; tried again next turn
 *   FULL <disk> <number>                    no room for this one
 *   IDLE                                    booted, and there is no disk yet
 *   OFF                                     orderly power-off
 *
 * <disk> is the disk's serial (the VMM sets it to the target name of the VM's definition, vda ...).
 * C and not a shell: without KVM each process that a shell starts costs 10 ms of the host's processor.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/input.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 512, START = 1 << 20, DISKS = 32, NAME = 64, PATH = 512, TURN_MS = 300, IDLE_MS = 20 };

struct disk {
    char device[NAME]; /* vda, as the kernel calls it; empty: this place is free */
    char name[NAME];
    long last, room;
    bool present;
};

static struct disk known[DISKS];
static int64_t lo, hi, rtc_lag;
static long tick;
static char block[RECORD] __attribute__((aligned(4096)));

/* The first line of a file without its newline; false: it cannot be read. */
static bool read_line(const char *path, char *line, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, line, size - 1);
    close(fd);
    if (got < 0)
        return false;
    line[got] = 0;
    line[strcspn(line, "\n")] = 0;
    return true;
}

static uint32_t crc32(const char *text, size_t size) {
    uint32_t crc = ~0u;
    for (size_t at = 0; at < size; at++) {
        crc ^= (unsigned char)text[at];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void load_modules(void) {
    char name[NAME], path[PATH];
    FILE *order = fopen("/modules/order", "re");
    while (order && fscanf(order, "%63s", name) == 1) {
        snprintf(path, sizeof path, "/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
            printf("INIT cannot load %s: %m\n", name);
        close(fd);
    }
    if (order)
        fclose(order);
}

/* The power button as an input device, opened so that reading it never waits; -1: there is none. */
static int open_button(void) {
    for (int number = 0; number < 16; number++) {
        char path[PATH], name[NAME];
        snprintf(path, sizeof path, "/sys/class/input/event%d/device/name", number);
        if (!read_line(path, name, sizeof name) || strcmp(name, "Power Button"))
            continue;
        snprintf(path, sizeof path, "/dev/input/event%d", number);
        return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    }
    return -1;
}

/* Milliseconds since the epoch. The clock chip shows whole seconds only, so the moment of boot is known to
 * be in [lo, hi); each reading narrows that. A reading that contradicts it (the machine was suspended, the
 * host's clock was set) starts over. The chip is late by rtc_lag, which the VMM knows. */
static int64_t now_ms(void) {
    struct timespec up;
    char second[NAME] = "0";
    clock_gettime(CLOCK_BOOTTIME, &up);
    read_line("/sys/class/rtc/rtc0/since_epoch", second, sizeof second);
    int64_t up_ms = up.tv_sec * 1000 + up.tv_nsec / 1000000;
    int64_t least = atoll(second) * 1000 + rtc_lag - up_ms, most = least + 1000;
    if (least >= hi || most <= lo) {
        lo = least;
        hi = most;
    } else {
        lo = least > lo ? least : lo;
        hi = most < hi ? most : hi;
    }
    return up_ms + (lo + hi) / 2;
}

static int open_device(const struct disk *disk, int flags) {
    char path[PATH];
    snprintf(path, sizeof path, "/dev/%.63s", disk->device);
    return open(path, flags | O_DIRECT | O_CLOEXEC);
}

static off_t place(long number) {
    return START + (off_t)(number - 1) * RECORD;
}

/* Is that record there? Ticks go on from the highest that was found. */
static bool is_valid(int fd, long number) {
    long found, found_tick;
    int64_t time_ms;
    uint32_t crc;
    int body;
    if (pread(fd, block, RECORD, place(number)) != RECORD)
        return false;
    block[RECORD - 1] = 0;
    if (sscanf(block, "ONEDR1 %ld %" SCNd64 " %ld%n %" SCNx32, &found, &time_ms, &found_tick, &body, &crc) != 4)
        return false;
    if (found != number || crc32(block, body) != crc)
        return false;
    if (found_tick > tick)
        tick = found_tick;
    return true;
}

/* The number of the last record, 0: none. Looks in growing steps, then halves them. */
static long find_last(int fd, long room) {
    long last = 0, step = 1;
    while (last + step <= room && is_valid(fd, last + step)) {
        last += step;
        step *= 2;
    }
    while ((step /= 2) >= 1)
        if (last + step <= room && is_valid(fd, last + step))
            last += step;
    return last;
}

static void open_disk(struct disk *disk) {
    char path[PATH], sectors[NAME] = "0";
    snprintf(path, sizeof path, "/sys/block/%s/size", disk->device);
    read_line(path, sectors, sizeof sectors);
    snprintf(path, sizeof path, "/sys/block/%s/serial", disk->device);
    if (!read_line(path, disk->name, sizeof disk->name) || !disk->name[0])
        memcpy(disk->name, disk->device, NAME);
    disk->room = atol(sectors) - START / RECORD;
    int fd = open_device(disk, O_RDONLY);
    disk->last = fd < 0 ? 0 : find_last(fd, disk->room);
    close(fd);
    printf("LEDGER %s %ld\n", disk->name, disk->last);
}

static bool write_block(const struct disk *disk, long number) {
    int fd = open_device(disk, O_WRONLY);
    if (fd < 0)
        return false;
    bool written = pwrite(fd, block, RECORD, place(number)) == RECORD && fsync(fd) == 0;
    close(fd);
    return written;
}

/* Write the disk's next record. */
static void record(struct disk *disk) {
    long number = disk->last + 1;
    if (number > disk->room) {
        if (disk->room >= 0)
            printf("FULL %s %ld\n", disk->name, number);
        disk->room = -1;
        return;
    }
    int64_t time_ms = now_ms();
    memset(block, ' ', RECORD);
    int size = snprintf(block, RECORD, "ONEDR1 %ld %" PRId64 " %ld", number, time_ms, tick);
    size += snprintf(block + size, RECORD - size, " %08" PRIx32, crc32(block, size));
    block[size] = ' ';
    block[RECORD - 1] = '\n';
    if (write_block(disk, number)) {
        disk->last = number;
        printf("REC %s %ld %" PRId64 " %ld\n", disk->name, number, time_ms, tick);
    } else {
        printf("ERR %s %ld\n", disk->name, number);
    }
}

static void meet(const char *device) {
    struct disk *room_for = NULL;
    for (struct disk *disk = known; disk < known + DISKS; disk++) {
        if (!strcmp(disk->device, device)) {
            disk->present = true;
            return;
        }
        if (!disk->device[0] && !room_for)
            room_for = disk;
    }
    if (!room_for)
        return;
    *room_for = (struct disk){.present = true};
    snprintf(room_for->device, NAME, "%.63s", device);
    open_disk(room_for);
}

/* Forget the disks that are gone, open those that are new; returns how many there are. */
static int look_for_disks(void) {
    int count = 0;
    for (struct disk *disk = known; disk < known + DISKS; disk++)
        disk->present = false;
    struct dirent **found;
    int entries = scandir("/sys/block", &found, NULL, alphasort);
    for (int at = 0; at < entries; at++) {
        if (!strncmp(found[at]->d_name, "vd", 2))
            meet(found[at]->d_name);
        free(found[at]);
    }
    if (entries >= 0)
        free(found);
    for (struct disk *disk = known; disk < known + DISKS; disk++) {
        if (!disk->present)
            disk->device[0] = 0;
        count += disk->present;
    }
    return count;
}

static void power_off(void) {
    sync();
    printf("OFF\n");
    reboot(RB_POWER_OFF);
}

static void start(void) {
    mount("dev", "/dev", "devtmpfs", 0, "");
    mount("proc", "/proc", "proc", 0, "");
    mount("sys", "/sys", "sysfs", 0, "");
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    load_modules();
    char options[1024] = "";
    read_line("/proc/cmdline", options, sizeof options);
    const char *lag = strstr(options, "rtc_lag=");
    rtc_lag = lag ? atol(lag + strlen("rtc_lag=")) : 0;
}

int main(void) {
    struct input_event event;
    start();
    int button = open_button();
    if (button < 0)
        printf("INIT no power button\n");
    for (bool idle = false;;) {
        int disks = look_for_disks();
        if (!disks && !idle) {
            idle = true;
            printf("IDLE\n");
        }
        tick++;
        for (struct disk *disk = known; disk < known + DISKS; disk++)
            if (disk->present)
                record(disk);
        if (button >= 0 && read(button, &event, sizeof event) > 0)
            power_off();
        usleep((disks ? TURN_MS : IDLE_MS) * 1000);
    }
}
