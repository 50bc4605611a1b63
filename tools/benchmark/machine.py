"""What a figure was measured on: processor, memory, kernel, file system, disk."""
import os
import platform
import statistics
import subprocess
import time

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "devtmpfs")
SYNC_PROBES = 200


def file_system(path):
    """Type and source of the mount that holds the path."""
    best = ("", "unknown", "unknown")
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            source, point, kind = line.split()[:3]
            inside = os.path.realpath(path) + "/"
            if inside.startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                best = (point, kind, source)
    if not best[0]:  # under a changed root the mount itself is out of sight
        kind = subprocess.run(["stat", "--file-system", "--format=%T", path],
                              capture_output=True, text=True, check=True)
        return kind.stdout.strip(), "unknown"
    return best[1], best[2]


def fdatasync_us(folder):
    """Median microseconds of writing 4 KiB and fdatasync, one after the other."""
    path = os.path.join(folder, "fdatasync-probe")
    taken = []
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.pwrite(file, bytes(4096 * SYNC_PROBES), 0)
        os.fsync(file)
        for number in range(SYNC_PROBES):
            begun = time.perf_counter()
            os.pwrite(file, os.urandom(4096), 4096 * number)
            os.fdatasync(file)
            taken.append((time.perf_counter() - begun) * 1e6)
    finally:
        os.close(file)
        os.unlink(path)
    return round(statistics.median(taken))


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_gib():
    with open("/proc/meminfo", encoding="utf-8") as lines:
        return round(int(lines.readline().split()[1]) / (1 << 20), 1)


def commit(root):
    """The short commit of the tree, with "+" when it has changes; None outside of git."""
    try:
        run = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty=+"],
                             capture_output=True, text=True, check=True)
        return run.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def describe(folder, root):
    """The machine, the file system of `folder`, and what ran beside."""
    kind, source = file_system(folder)
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "kernel": platform.release(),
        "file_system": "%s on %s" % (kind, source),
        "fdatasync_us": fdatasync_us(folder),
        "load_average_before": round(os.getloadavg()[0], 2),
        "commit": commit(root),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
