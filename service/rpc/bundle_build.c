#include <assert.h>

#include "service/codec/chunk_codec.h"
#include "service/core/bundle_container.h"
#include "service/core/cursor.h"
#include "service/rpc/bundle_source.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/messages.h"
#include "service/rpc/sync_metrics.h"

enum {
    CONTAINER_BYTES_MAX = 2 * BUNDLE_BYTES_MAX, /* what the writer may hold back at once */
    TOLD_EVERY = 256,                           /* records */
    DICTIONARY_RECORDS_MAX = 200,
};

/* A container on its way into the store. */
struct build {
    struct service *service;
    struct bundle *bundle;
    const struct bundle_progress *progress;
    struct bundle_source source;
    struct bundle_codec codec; /* all zeros: identity */
    struct bundle_writer writer;
    struct buffer out; /* final bytes that are not stored yet */
    struct sha256 sha;
    uint32_t part;
    uint64_t stored_bytes;
    struct arena scratch; /* for one piece */
};

static bool build_tell(struct build *build, const char *phase, size_t done) {
    const struct bundle_progress *progress = build->progress;
    return !progress || progress->told(progress->context, phase, done, build->source.count,
                                       build->stored_bytes + build->out.size);
}

/* Stores the first `size` bytes as the next part. The expiry goes with the first, before anything
 * that would have to be cleaned up; the bundle's row with the last. */
static enum sync_status build_store_part(struct build *build, size_t size, bool is_last) {
    struct row_write rows[3];
    size_t count = 1;
    struct slice bytes = slice_first(buffer_slice(&build->out), size);
    sha256_update(&build->sha, bytes);
    rows[0] = (struct row_write){.table = TABLE_BUNDLE_PART, .value = bytes};
    if (!key_of_bundle_part(&build->scratch, build->bundle->id, build->part, &rows[0].key))
        return SYNC_ERR_NO_MEMORY;
    build->part++;
    build->stored_bytes += size;
    if (is_last) {
        build->bundle->is_built = true;
        build->bundle->size = build->stored_bytes;
        build->bundle->part_count = build->part;
        build->bundle->record_count = (uint32_t)build->source.count;
        sha256_final(&build->sha, build->bundle->sha256);
    }
    if (build->part == 1 || is_last) {
        struct row_write own[2];
        if (!bundle_rows(build->bundle, &build->scratch, own))
            return SYNC_ERR_NO_MEMORY;
        if (is_last)
            rows[count++] = own[0];
        rows[count++] = own[1];
    }
    struct write_set set = {.rows = rows, .row_count = count};
    enum sync_status status = store_commit_wait(build->service->store, &set, NULL);
    buffer_consume(&build->out, size);
    return status;
}

/* Stores whole parts; keeps at least one byte back, which the last part then has. */
static enum sync_status build_store_full_parts(struct build *build) {
    enum sync_status status = buffer_status(&build->out);
    while (status == SYNC_OK && build->out.size > BUNDLE_PART_BYTES)
        status = build_store_part(build, BUNDLE_PART_BYTES, false);
    return status;
}

/* Takes the codec. A dictionary is for small bundles: what it tells, large ones soon have told. */
static enum sync_status build_take_codec(struct build *build) {
    struct bundle *bundle = build->bundle;
    if (bundle->codec <= BUNDLE_CODEC_IDENTITY)
        return SYNC_OK;
    if (build->source.count > DICTIONARY_RECORDS_MAX)
        bundle->dictionary_id = 0;
    enum sync_status status = chunk_codec_open(bundle->codec, bundle->dictionary_id, &build->codec);
    if (status == SYNC_OK)
        bundle_writer_init(&build->writer, &build->codec);
    return status;
}

/* The container's header, by what was found. */
static enum sync_status build_begin(struct build *build) {
    struct service *service = build->service;
    struct bundle *bundle = build->bundle;
    uint64_t epoch = store_epoch(service->store);
    char from[CURSOR_TEXT_MAX] = "", cursor[CURSOR_TEXT_MAX];
    bundle->sequence = build->source.head.sequence;
    cursor_format(
        &(struct cursor){.epoch = epoch, .sequence = bundle->sequence, .types = bundle->types},
        cursor);
    if (bundle->has_from)
        cursor_format(
            &(struct cursor){.epoch = epoch, .sequence = bundle->from, .types = bundle->types},
            from);
    struct bundle_info info = {
        .bundle_id = bundle->id,
        .user = bundle->user,
        .from_cursor = slice_text(from),
        .cursor = slice_text(cursor),
        .types = bundle->types,
        .sync_type = bundle->sync_type,
        .checksum = build->source.head.checksum,
        .created_us = bundle->created_us,
        .record_count = (uint32_t)build->source.count,
    };
    bundle_writer_begin(&build->writer, &info, &build->out);
    return buffer_status(&build->out);
}

static enum sync_status build_records(struct build *build) {
    uint64_t data_bytes = 0;
    for (size_t i = 0; i < build->source.count; i++) {
        struct pulled *item = &build->source.items[i];
        if (i % TOLD_EVERY == 0 && !build_tell(build, "packing", i))
            return SYNC_ERR_CANCELLED;
        arena_reset(&build->scratch);
        bool is_kept = item->record.data.data != NULL;
        enum sync_status status = bundle_source_fill(&build->source, item, &build->scratch);
        if (status != SYNC_OK)
            return status;
        data_bytes += pulled_bytes(item);
        bundle_writer_add(&build->writer, item, &build->out);
        if (!is_kept && item->record.data.size > 0)
            item->record.data.data = NULL; /* ends with the scratch arena */
        status = build_store_full_parts(build);
        if (status != SYNC_OK)
            return status;
    }
    const struct sync_metrics *metrics = build->service->sync_metrics;
    if (metrics) {
        metric_add(metrics->bundle_records, (double)build->source.count);
        metric_add(metrics->bundle_bytes, (double)data_bytes);
    }
    return SYNC_OK;
}

static enum sync_status build_write(struct build *build) {
    if (!build_tell(build, "reading", 0))
        return SYNC_ERR_CANCELLED;
    enum sync_status status = bundle_source_collect(&build->source, build->bundle->created_us);
    if (status == SYNC_OK)
        status = build_take_codec(build);
    if (status == SYNC_OK)
        status = build_begin(build);
    if (status == SYNC_OK)
        status = build_records(build);
    if (status != SYNC_OK)
        return status;
    status = bundle_writer_end(&build->writer, &build->out);
    if (status == SYNC_OK)
        status = build_store_full_parts(build);
    if (status == SYNC_OK && !build_tell(build, "storing", build->source.count))
        status = SYNC_ERR_CANCELLED;
    if (status == SYNC_OK)
        status = build_store_part(build, build->out.size, true);
    return status;
}

enum sync_status bundle_build(struct service *service, struct bundle *bundle,
                              const struct bundle_progress *progress, struct sync_error *error) {
    assert(bundle->id.size > 0 && !bundle->is_built);
    struct bundle_want want = {
        .user = bundle->user,
        .types = bundle->types,
        .has_from = bundle->has_from,
        .from = bundle->from,
        .patches = bundle->patches,
    };
    struct build build = {.service = service, .bundle = bundle, .progress = progress};
    enum sync_status status = bundle_source_init(&build.source, service->store, &want, error);
    if (status != SYNC_OK)
        return status;
    arena_init(&build.scratch, SOURCE_ARENA_MAX);
    buffer_init(&build.out, CONTAINER_BYTES_MAX);
    sha256_init(&build.sha);
    bundle_writer_init(&build.writer, NULL);
    status = build_write(&build);
    bundle_writer_done(&build.writer);
    chunk_codec_close(&build.codec);
    buffer_done(&build.out);
    arena_done(&build.scratch);
    bundle_source_done(&build.source);
    return status;
}
