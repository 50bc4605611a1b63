/* Load: a closed-loop HTTP/1.1 load generator for the gateway. Each client is a user of its own on
 * a kept connection; upload bodies are built beforehand. Prints one JSON object; ends with status 1
 * and one line on stderr at the first answer that is not the expected one. */
#include <stdio.h>

#include "base/memory.h"
#include "tests/bench/load_client.h"

/* The latency that `share` of the requests did not exceed. */
static double latency_ms(const struct load_result *result, double share) {
    if (result->latency_count == 0)
        return 0;
    return result->latencies_us[(uint64_t)(share * (double)(result->latency_count - 1))] / 1e3;
}

static void print_processes(const struct load_options *options, const struct load_result *result) {
    printf(",\n \"processes\": [");
    for (unsigned i = 0; i < options->pid_count; i++)
        printf("%s\n  {\"pid\": %d, \"cpu_seconds\": %.2f, \"rss_before_bytes\": %llu, "
               "\"rss_after_bytes\": %llu}",
               i > 0 ? "," : "", options->pids[i],
               result->after[i].cpu_seconds - result->before[i].cpu_seconds,
               (unsigned long long)result->before[i].resident_bytes,
               (unsigned long long)result->after[i].resident_bytes);
    printf("]}\n");
}

static void print_result(const struct load_options *options, const struct load_result *result) {
    static const char *const modes[] = {
        [LOAD_UPLOAD] = "upload", [LOAD_PULL] = "pull", [LOAD_POST] = "post"};
    bool upload = options->mode == LOAD_UPLOAD;
    double seconds = result->seconds;
    printf("{\"mode\": \"%s\", \"clients\": %u, \"items_per_request\": %u,\n", modes[options->mode],
           options->clients, upload ? options->changes : options->expect);
    printf(" \"seconds\": %.3f, \"requests\": %llu, \"items\": %llu,\n", seconds,
           (unsigned long long)result->requests, (unsigned long long)result->items);
    printf(" \"requests_per_second\": %.1f, \"items_per_second\": %.1f,\n",
           (double)result->requests / seconds, (double)result->items / seconds);
    printf(" \"request_bytes_per_item\": %.1f, \"sent_bytes\": %llu, \"received_bytes\": %llu,\n",
           result->request_item_bytes, (unsigned long long)result->sent_bytes,
           (unsigned long long)result->received_bytes);
    printf(" \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"load_cpu_seconds\": %.3f",
           latency_ms(result, 0.5), latency_ms(result, 0.99), latency_ms(result, 1),
           result->load_cpu_seconds);
    print_processes(options, result);
}

int main(int argc, char **argv) {
    struct load_options options;
    if (!load_options_read(argc, argv, &options))
        return 2;
    struct load_result result;
    struct sync_error error = {0};
    if (load_run(&options, &error, &result) != SYNC_OK) {
        fprintf(stderr, "load: %s\n", error.message);
        return 1;
    }
    print_result(&options, &result);
    load_result_done(&result);
    return 0;
}
