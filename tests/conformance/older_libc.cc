/* Older libc: what Debian 12's C and C++ libraries lack of what the packaged runner was linked
 * with. Loaded before it by LD_PRELOAD; see older_libc.py. */
#include <cstdlib>
#include <iostream> // its static initializer does what the runner expects of libstdc++ 13

extern "C" {
long __isoc23_strtol(const char *text, char **end, int base) {
    return strtol(text, end, base);
}
long long __isoc23_strtoll(const char *text, char **end, int base) {
    return strtoll(text, end, base);
}
unsigned long __isoc23_strtoul(const char *text, char **end, int base) {
    return strtoul(text, end, base);
}
unsigned long long __isoc23_strtoull(const char *text, char **end, int base) {
    return strtoull(text, end, base);
}
void _ZSt21ios_base_library_initv() {}
}
