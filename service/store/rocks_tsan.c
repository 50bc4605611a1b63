/* What the thread sanitizer must not believe: RocksDB as packaged is not built with it, so the
 * atomics that order its memory tables are not seen, and each copy into one looks like a race. Our
 * own code is watched all the same. */
#ifdef __SANITIZE_THREAD__

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void) {
    return "called_from_lib:librocksdb.so\n"
           "called_from_lib:libstdc++.so\n";
}

#endif
