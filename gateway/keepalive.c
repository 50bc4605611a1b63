#include "gateway/keepalive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum {
    KEEPALIVE_PROBES = 4,
    KEEPALIVE_SECONDS_MAX = 32767,   /* the system's bound */
    KEEPALIVE_UNTAKEN_US = 60000000, /* a reader may pause for so long */
};

static int seconds_of(uint64_t time_us) {
    uint64_t seconds = (time_us + 999999) / 1000000;
    return seconds < 1 ? 1 : seconds > KEEPALIVE_SECONDS_MAX ? KEEPALIVE_SECONDS_MAX : (int)seconds;
}

static void option_set(int fd, int level, int name, int value) {
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

void keepalive_start(int fd, const struct keepalive *keepalive) {
    if (keepalive->after_us == 0)
        return;
    int idle_s = seconds_of(keepalive->after_us);
    int interval_s = seconds_of(keepalive->timeout_us / KEEPALIVE_PROBES);
    option_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    option_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
    option_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
    option_set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    /* It bounds what is sent and not acknowledged, and the probes as well. */
    int all_s = idle_s + KEEPALIVE_PROBES * interval_s;
    int untaken_s = seconds_of(KEEPALIVE_UNTAKEN_US);
    option_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000 * (all_s > untaken_s ? all_s : untaken_s));
}
