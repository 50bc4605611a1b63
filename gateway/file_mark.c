#include "gateway/file_mark.h"

#include <sys/stat.h>

struct file_mark file_mark_of(const char *path) {
    struct stat found;
    if (!path || stat(path, &found) != 0)
        return (struct file_mark){.exists = false};
    return (struct file_mark){true, found.st_dev, found.st_ino, found.st_size, found.st_mtim};
}

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b) {
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}
