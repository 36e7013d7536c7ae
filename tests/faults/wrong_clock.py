"""A wall clock that is wrong, for one process and its children, by as much as the test says at that moment.

It stands before the C library's clocks (LD_PRELOAD), so Python, its workers and OpenSSL all believe it; clocks that
only count are left alone, as they are when somebody sets the time. Needs a C compiler. The system's clock stays.
"""

import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *wrong_by_s;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WRONG_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, sizeof *wrong_by_s, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) wrong_by_s = map;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    int is_wall_clock = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (!failed && is_wall_clock && wrong_by_s) now->tv_sec += *wrong_by_s;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""
COMPILER = shutil.which("cc")


class WrongClock:
    """Right until it is set. `environment` is what a process needs to go by it."""

    def __init__(self, folder: Path) -> None:
        self._offset, library = folder / "wrong-by", folder / "wrong_clock.so"
        self.set_s(0)
        assert COMPILER is not None
        command = [COMPILER, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=_SOURCE, text=True, check=True)
        self.environment = {"LD_PRELOAD": str(library), "WRONG_CLOCK": str(self._offset)}

    def set_s(self, wrong_by_s: int) -> None:
        with open(self._offset, "r+b" if self._offset.exists() else "wb") as file:
            file.write(struct.pack("q", wrong_by_s))
