#include "service/store/rocks_mark.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/memory.h"

/* The file is one number: RocksDB's sequence, of 56 bits, above a check byte. */
enum { MARK_BYTES = sizeof(uint64_t), CHECK_BITS = 8, CHECK_SEED = 0x5a };

struct rocks_mark {
    _Atomic uint64_t *value; /* mapped from the file */
};

static const char mark_name[] = "MARK";

static uint64_t mark_value(uint64_t sequence) {
    uint8_t check = CHECK_SEED;
    for (uint64_t rest = sequence; rest; rest >>= CHECK_BITS)
        check = (uint8_t)((check * 31) ^ (rest & 0xff));
    return sequence << CHECK_BITS | check;
}

static enum sync_status mark_error(struct sync_error *error, enum sync_status status,
                                   const char *folder, const char *text) {
    return sync_error_set(error, status, "STORE", NULL, "store %s: %s", folder, text);
}

/* Makes the file so that it is whole after a crash, or not there. */
static bool mark_make(int folder, uint64_t sequence) {
    static const char temporary[] = ".MARK.new";
    uint64_t value = mark_value(sequence);
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool well = write(fd, &value, MARK_BYTES) == MARK_BYTES && fsync(fd) == 0;
    well = close(fd) == 0 && well;
    return well && renameat(folder, temporary, folder, mark_name) == 0 && fsync(folder) == 0;
}

/* Opens the file, which is made when it is not there; negative with errno. */
static int mark_file(const char *path, uint64_t sequence, bool *ret_is_new) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    int fd = openat(folder, mark_name, O_RDWR | O_CLOEXEC);
    *ret_is_new = fd < 0 && errno == ENOENT;
    if (*ret_is_new && mark_make(folder, sequence))
        fd = openat(folder, mark_name, O_RDWR | O_CLOEXEC);
    int number = errno;
    close(folder);
    errno = number;
    return fd;
}

/* Compares what the file says with the database. */
static enum sync_status mark_check(const char *folder, int fd, uint64_t sequence,
                                   struct sync_error *error) {
    uint64_t value;
    if (pread(fd, &value, MARK_BYTES, 0) != MARK_BYTES || mark_value(value >> CHECK_BITS) != value)
        return mark_error(error, SYNC_ERR_CORRUPT, folder,
                          "damaged: its file MARK is not whole; without that file the store opens, "
                          "and all devices get everything anew");
    if (sequence >= value >> CHECK_BITS)
        return SYNC_OK;
    return sync_error_set(error, SYNC_ERR_CORRUPT, "STORE", NULL,
                          "store %s: damaged: the last %llu writes are lost; restore a backup, or "
                          "remove its file MARK to go on without them",
                          folder, (unsigned long long)((value >> CHECK_BITS) - sequence));
}

enum sync_status rocks_mark_open(const char *folder, uint64_t sequence, struct sync_error *error,
                                 struct rocks_mark **ret_mark, bool *ret_is_new) {
    assert(folder);
    assert(sequence >> (64 - CHECK_BITS) == 0);
    bool is_new;
    int fd = mark_file(folder, sequence, &is_new);
    if (fd < 0)
        return mark_error(error, SYNC_ERR_IO, folder, strerror(errno));
    enum sync_status status = mark_check(folder, fd, sequence, error);
    void *mapped = MAP_FAILED;
    struct rocks_mark *mark = NULL;
    if (status == SYNC_OK) {
        mark = memory_zalloc(1, sizeof *mark);
        mapped = mmap(NULL, MARK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (!mark || mapped == MAP_FAILED)
            status = mark_error(error, SYNC_ERR_NO_MEMORY, folder, "no memory");
    }
    close(fd);
    if (!mark || mapped == MAP_FAILED) {
        if (mapped != MAP_FAILED)
            munmap(mapped, MARK_BYTES);
        memory_free(mark);
        return status;
    }
    mark->value = mapped;
    *ret_mark = mark;
    *ret_is_new = is_new;
    return SYNC_OK;
}

struct rocks_mark *rocks_mark_close(struct rocks_mark *mark) {
    if (mark) {
        munmap((void *)mark->value, MARK_BYTES);
        memory_free(mark);
    }
    return NULL;
}

void rocks_mark_set(struct rocks_mark *mark, uint64_t sequence) {
    atomic_store_explicit(mark->value, mark_value(sequence), memory_order_relaxed);
}
