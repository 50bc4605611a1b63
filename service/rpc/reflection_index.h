/* Reflection index: which file of a descriptor set declares what. Made once at start, then only
 * read; thread-safe. */
#ifndef SERVICE_RPC_REFLECTION_INDEX_H
#define SERVICE_RPC_REFLECTION_INDEX_H

#include "base/bytes.h"

struct reflection_index;

/* An extension of a message: its number and the file that declares it. */
struct reflection_extension {
    struct slice extendee; /* full name without the leading dot */
    int32_t number;
    size_t file;
};

/* Opens an index over packed FileDescriptorSets, which outlive it. A file that is in several counts
 * once. SYNC_ERR_INVALID when a set does not parse. */
enum sync_status reflection_index_open(const struct slice *sets, size_t count,
                                       struct reflection_index **ret_index);

/* Closes; returns NULL. */
struct reflection_index *reflection_index_close(struct reflection_index *index);

/* The file of a name such as "google/protobuf/any.proto"; false without one. */
bool reflection_index_file(const struct reflection_index *index, struct slice name,
                           size_t *ret_file);

/* The file that declares a message, field, enum, value, extension, service or method. */
bool reflection_index_symbol(const struct reflection_index *index, struct slice symbol,
                             size_t *ret_file);

/* A file's packed FileDescriptorProto. Lives as long as the sets. */
struct slice reflection_index_bytes(const struct reflection_index *index, size_t file);

/* The names of all services, in order; lives as long as the index. */
const struct slice *reflection_index_services(const struct reflection_index *index,
                                              size_t *ret_count);

/* All extensions, in no order; live as long as the index. */
const struct reflection_extension *reflection_index_extensions(const struct reflection_index *index,
                                                               size_t *ret_count);

#endif
