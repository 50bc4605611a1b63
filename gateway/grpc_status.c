#include "gateway/grpc_status.h"

struct grpc_face {
    struct slice name;
    int http_status;
};

#define FACE(name_, status_)                                                                       \
    { {(const uint8_t *)#name_, sizeof(#name_) - 1}, status_ }

static const struct grpc_face grpc_faces[] = {
    [GRPC_OK] = FACE(OK, 200),
    [GRPC_CANCELLED] = FACE(CANCELLED, 499),
    [GRPC_UNKNOWN] = FACE(UNKNOWN, 500),
    [GRPC_INVALID_ARGUMENT] = FACE(INVALID_ARGUMENT, 400),
    [GRPC_DEADLINE_EXCEEDED] = FACE(DEADLINE_EXCEEDED, 504),
    [GRPC_NOT_FOUND] = FACE(NOT_FOUND, 404),
    [GRPC_ALREADY_EXISTS] = FACE(ALREADY_EXISTS, 409),
    [GRPC_PERMISSION_DENIED] = FACE(PERMISSION_DENIED, 403),
    [GRPC_RESOURCE_EXHAUSTED] = FACE(RESOURCE_EXHAUSTED, 429),
    [GRPC_FAILED_PRECONDITION] = FACE(FAILED_PRECONDITION, 400),
    [GRPC_ABORTED] = FACE(ABORTED, 409),
    [GRPC_OUT_OF_RANGE] = FACE(OUT_OF_RANGE, 400),
    [GRPC_UNIMPLEMENTED] = FACE(UNIMPLEMENTED, 501),
    [GRPC_INTERNAL] = FACE(INTERNAL, 500),
    [GRPC_UNAVAILABLE] = FACE(UNAVAILABLE, 503),
    [GRPC_DATA_LOSS] = FACE(DATA_LOSS, 500),
    [GRPC_UNAUTHENTICATED] = FACE(UNAUTHENTICATED, 401),
};

static const struct grpc_face *grpc_face_of(int code) {
    if (code < 0 || code > GRPC_UNAUTHENTICATED)
        code = GRPC_UNKNOWN;
    return &grpc_faces[code];
}

struct slice grpc_code_name(int code) {
    return grpc_face_of(code)->name;
}

int http_status_of_grpc(int code) {
    return grpc_face_of(code)->http_status;
}

int grpc_code_of_http(int http_status) {
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

const char *http_status_phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Status";
}
