/* Load: puts HTTP/1.1 requests on a gateway over kept connections and tells what it took, as one
 * JSON object.
 *
 * load upload HOST:PORT TOKENS BATCH SECONDS [PID…]   one connection and user a token; batches of
 *                                                     BATCH new records of about 500 bytes
 * load pull HOST:PORT TOKENS PATH SECONDS [PID…]      GET PATH again and again, one connection a
 *                                                     token
 * TOKENS is a file with a token a line. For each PID the CPU time it used is told, and its resident
 * memory before and after. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/http_client.h"

enum {
    CLIENTS_MAX = 1024,
    PIDS_MAX = 8,
    LATENCIES_MAX = 1 << 22,
    CHANGE_BYTES = 700, /* room for one change with its names */
    TEXT_BYTES = 330,   /* of a change, so that it takes about 500 in all */
    ID_DIGITS = 12,
    EVENTS_MAX = 64,
};

struct client {
    struct http_client http;
    char *request;
    size_t request_size;
    size_t *id_offsets; /* of the digits to overwrite, two places a change */
    uint64_t next_id;
    uint64_t sent_us;
};

struct process {
    int pid;
    double cpu_before_us;
    long rss_before_kib;
};

struct load {
    bool is_upload;
    size_t batch;
    double seconds;
    struct client *clients;
    size_t client_count;
    struct process processes[PIDS_MAX];
    size_t process_count;
    uint32_t *latencies_us;
    size_t latency_count;
    uint64_t requests, applied, bytes, failures;
    char first_failure[400];
};

static void *take(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) {
        fprintf(stderr, "load: no memory\n");
        exit(1);
    }
    return memory;
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static double cpu_us(int pid) {
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = 0;
    /* After the name in brackets come the state and ten numbers, then user and system time. */
    unsigned long user = 0, system = 0;
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system) != 2)
        return 0;
    return (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static long rss_kib(int pid) {
    char path[64];
    long total = 0, resident = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A text like people's: words, so that it compresses as theirs does. */
static void fill_text(char *text, size_t size, uint64_t seed) {
    static const char *const words[] = {"flight ", "hotel ",  "seat ",   "window ", "Lisbon ",
                                        "train ",  "ticket ", "check ",  "night ",  "museum ",
                                        "gate ",   "bag ",    "dinner ", "taxi ",   "8724 "};
    size_t used = 0;
    while (used < size) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const char *word = words[(seed >> 33) % (sizeof(words) / sizeof(words[0]))];
        size_t count = strlen(word) < size - used ? strlen(word) : size - used;
        memcpy(text + used, word, count);
        used += count;
    }
}

static size_t append_change(struct client *client, char *out, size_t room, size_t at,
                            size_t index) {
    char text[TEXT_BYTES + 1] = {0};
    fill_text(text, TEXT_BYTES, index * 31 + (uintptr_t)client);
    client->id_offsets[2 * index] = at + strlen("{\"id\":\"c");
    at += (size_t)snprintf(out + at, room - at, "{\"id\":\"c%0*d\",\"type\":\"create\",", ID_DIGITS,
                           0);
    client->id_offsets[2 * index + 1] = at + strlen("\"dataId\":\"r");
    at += (size_t)snprintf(out + at, room - at,
                           "\"dataId\":\"r%0*d\",\"dataType\":\"booking\","
                           "\"timestamp\":\"2026-05-01T10:00:00Z\",\"data\":{\"seat\":\"%zuC\","
                           "\"nights\":%zu,\"notes\":\"%s\"}},",
                           ID_DIGITS, 0, index % 40, index % 9, text);
    return at;
}

static void make_upload(struct client *client, size_t number, size_t batch, const char *token) {
    client->id_offsets = take(2 * batch * sizeof(*client->id_offsets));
    size_t room = batch * CHANGE_BYTES + 256;
    char *body = take(room);
    size_t size = (size_t)snprintf(body, room, "{\"deviceId\":\"load-%d-%zu\",\"changes\":[",
                                   getpid(), number);
    for (size_t i = 0; i < batch; i++)
        size = append_change(client, body, room, size, i);
    size--;
    size += (size_t)snprintf(body + size, room - size, "]}");

    room = size + strlen(token) + 512;
    client->request = take(room);
    size_t head = (size_t)snprintf(client->request, room,
                                   "POST /api/offline/changes HTTP/1.1\r\nHost: load\r\n"
                                   "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                                   "Content-Length: %zu\r\n\r\n",
                                   token, size);
    memcpy(client->request + head, body, size);
    free(body);
    client->request_size = head + size;
    for (size_t i = 0; i < 2 * batch; i++)
        client->id_offsets[i] += head;
    client->next_id = (uint64_t)time(NULL) % 100000 * 10000000;
}

static void make_pull(struct client *client, const char *path, const char *token) {
    size_t room = strlen(path) + strlen(token) + 256;
    client->request = take(room);
    client->request_size = (size_t)snprintf(
        client->request, room, "GET %s HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer %s\r\n\r\n",
        path, token);
}

static void number_changes(struct client *client, size_t batch) {
    for (size_t i = 0; i < batch; i++) {
        char digits[ID_DIGITS + 1];
        snprintf(digits, sizeof(digits), "%0*llu", ID_DIGITS,
                 (unsigned long long)client->next_id++);
        memcpy(client->request + client->id_offsets[2 * i], digits, ID_DIGITS);
        memcpy(client->request + client->id_offsets[2 * i + 1], digits, ID_DIGITS);
    }
}

static void send_next(struct load *load, struct client *client) {
    if (load->is_upload)
        number_changes(client, load->batch);
    client->sent_us = now_us();
    http_client_send(&client->http, client->request, client->request_size);
}

static void count_answer(struct load *load, struct client *client) {
    const struct http_client *http = &client->http;
    load->requests++;
    load->bytes += http->answer_size;
    if (load->latency_count < LATENCIES_MAX)
        load->latencies_us[load->latency_count++] = (uint32_t)(now_us() - client->sent_us);
    if (http->status != (load->is_upload ? 202 : 200)) {
        if (load->failures++ == 0)
            snprintf(load->first_failure, sizeof(load->first_failure), "%.*s",
                     (int)http->answer_size, http->answer);
        return;
    }
    const char *next = http->answer, *end = http->answer + http->answer_size;
    static const char applied[] = "\"outcome\":\"applied\"";
    while (load->is_upload &&
           (next = memmem(next, (size_t)(end - next), applied, sizeof(applied) - 1))) {
        load->applied++;
        next += sizeof(applied) - 1;
    }
}

static int by_size(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static uint32_t percentile(struct load *load, double part) {
    if (!load->latency_count)
        return 0;
    size_t at = (size_t)(part * (double)(load->latency_count - 1));
    return load->latencies_us[at];
}

static void print_json_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static void report(struct load *load, double elapsed) {
    qsort(load->latencies_us, load->latency_count, sizeof(uint32_t), by_size);
    printf("{\"seconds\":%.3f,\"requests\":%llu,\"applied\":%llu,\"bytes\":%llu,\"failures\":%llu,"
           "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"load_cpu_us\":%.0f,\"processes\":[",
           elapsed, (unsigned long long)load->requests, (unsigned long long)load->applied,
           (unsigned long long)load->bytes, (unsigned long long)load->failures,
           percentile(load, 0.5), percentile(load, 0.99), percentile(load, 1), cpu_us(getpid()));
    for (size_t i = 0; i < load->process_count; i++) {
        const struct process *process = &load->processes[i];
        printf("%s{\"pid\":%d,\"cpu_us\":%.0f,\"rss_before_kib\":%ld,\"rss_after_kib\":%ld}",
               i ? "," : "", process->pid, cpu_us(process->pid) - process->cpu_before_us,
               process->rss_before_kib, rss_kib(process->pid));
    }
    printf("],\"first_failure\":");
    print_json_text(load->first_failure);
    printf("}\n");
}

static void run(struct load *load) {
    int poll = epoll_create1(0);
    for (size_t i = 0; i < load->client_count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data.ptr = &load->clients[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, load->clients[i].http.fd, &event);
        send_next(load, &load->clients[i]);
    }
    uint64_t start = now_us(), end = start + (uint64_t)(load->seconds * 1e6);
    size_t waiting = load->client_count;
    while (waiting > 0) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(poll, events, EVENTS_MAX, 10000);
        if (count <= 0) {
            fprintf(stderr, "load: no answer within ten seconds\n");
            exit(1);
        }
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            enum http_progress progress = http_client_turn(&client->http);
            if (progress == HTTP_BROKEN) {
                fprintf(stderr, "load: the connection broke\n");
                exit(1);
            }
            if (progress != HTTP_ANSWERED)
                continue;
            count_answer(load, client);
            if (now_us() < end)
                send_next(load, client);
            else
                waiting--;
        }
    }
    close(poll);
    report(load, (double)(now_us() - start) / 1e6);
}

static void read_tokens(struct load *load, const char *path, const char *address,
                        const char *what) {
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "load: cannot read %s: %s\n", path, strerror(errno));
        exit(1);
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    while ((size = getline(&line, &room, file)) > 1 && load->client_count < CLIENTS_MAX) {
        line[size - 1] = 0;
        struct client *client = &load->clients[load->client_count];
        if (!http_client_open(&client->http, address)) {
            fprintf(stderr, "load: cannot connect to %s: %s\n", address, strerror(errno));
            exit(1);
        }
        if (load->is_upload)
            make_upload(client, load->client_count, load->batch, line);
        else
            make_pull(client, what, line);
        load->client_count++;
    }
    free(line);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 6 || (strcmp(argv[1], "upload") != 0 && strcmp(argv[1], "pull") != 0)) {
        fprintf(stderr, "usage: load upload|pull HOST:PORT TOKENS BATCH|PATH SECONDS [PID...]\n");
        return 2;
    }
    struct load *load = take(sizeof(*load));
    load->is_upload = strcmp(argv[1], "upload") == 0;
    load->batch = load->is_upload ? strtoul(argv[4], NULL, 10) : 0;
    load->seconds = strtod(argv[5], NULL);
    load->clients = take(CLIENTS_MAX * sizeof(*load->clients));
    load->latencies_us = take(LATENCIES_MAX * sizeof(uint32_t));
    read_tokens(load, argv[3], argv[2], argv[4]);
    for (int i = 6; i < argc && load->process_count < PIDS_MAX; i++) {
        int pid = (int)strtol(argv[i], NULL, 10);
        load->processes[load->process_count++] = (struct process){pid, cpu_us(pid), rss_kib(pid)};
    }
    run(load);
    for (size_t i = 0; i < load->client_count; i++) {
        http_client_close(&load->clients[i].http);
        free(load->clients[i].request);
        free(load->clients[i].id_offsets);
    }
    free(load->latencies_us);
    free(load->clients);
    free(load);
    return 0;
}
