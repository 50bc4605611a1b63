/* protoc-gen-grpc-c: a plugin of protoc that writes C clients, and skeletons of servers, for gRPC.
 * docs/stubs.md says how to use it. */
#include <stdio.h>
#include <unistd.h>

#include "tools/protoc-gen-grpc-c/plugin.h"

enum { READ_BYTES = 64 << 10 };

/* Reads standard input to its end; false with a word on standard error. */
static bool request_read(struct buffer *request) {
    for (;;) {
        uint8_t *room = buffer_reserve(request, READ_BYTES);
        if (!room) {
            fputs("protoc-gen-grpc-c: the request is too large\n", stderr);
            return false;
        }
        ssize_t size = read(STDIN_FILENO, room, READ_BYTES);
        if (size < 0)
            perror("protoc-gen-grpc-c: reading");
        if (size <= 0)
            return size == 0;
        buffer_advance(request, (size_t)size);
    }
}

static bool response_write(struct slice response) {
    if (fwrite(response.data, 1, response.size, stdout) == response.size && fflush(stdout) == 0)
        return true;
    perror("protoc-gen-grpc-c: writing");
    return false;
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        fputs("protoc-gen-grpc-c is started by protoc:\n"
              "  protoc --plugin=protoc-gen-grpc-c=PATH --grpc-c_out=[server,prefix=NAME_:]DIR …\n",
              stderr);
        return 2;
    }
    struct buffer request, response;
    struct sync_error error = {0};
    buffer_init(&request, PLUGIN_BYTES_MAX);
    buffer_init(&response, PLUGIN_BYTES_MAX);
    bool is_well = request_read(&request);
    if (is_well && plugin_answer(buffer_slice(&request), &response, &error)) {
        fprintf(stderr, "protoc-gen-grpc-c: %s\n", error.message);
        is_well = false;
    }
    is_well = is_well && response_write(buffer_slice(&response));
    buffer_done(&response);
    buffer_done(&request);
    return is_well ? 0 : 1;
}
