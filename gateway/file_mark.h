/* File mark: what a file was like at a moment, to see that it is another since. */
#ifndef GATEWAY_FILE_MARK_H
#define GATEWAY_FILE_MARK_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* One moment's look; compared, not read. */
struct file_mark {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

/* What the file is like now; one that is absent, or whose path is NULL, does not exist. */
struct file_mark file_mark_of(const char *path);

/* Tells whether nothing has changed between the two. */
bool file_mark_equal(const struct file_mark *a, const struct file_mark *b);

#endif
