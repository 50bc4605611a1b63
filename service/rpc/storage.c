#include "service/rpc/storage.h"

#include <assert.h>

#include "base/wire.h"

enum { VALUE_MAX = 16 << 10 };

/* Field numbers of the stored values; a number is never used for something else. */
enum {
    DEVICE_NAME = 1,
    DEVICE_PLATFORM = 2,
    DEVICE_REGISTERED = 3,
    DEVICE_LAST_SEEN = 4,
    DEVICE_ACKNOWLEDGED = 5,
    DEVICE_REVOKED = 6,
};
enum {
    BUNDLE_USER = 1,
    BUNDLE_DEVICE = 2,
    BUNDLE_TYPES = 3,
    BUNDLE_SYNC_TYPE = 4,
    BUNDLE_FROM = 5,
    BUNDLE_SEQUENCE = 6,
    BUNDLE_COMPRESSES = 7, /* of rows of earlier versions: with snappy */
    BUNDLE_CREATED = 8,
    BUNDLE_EXPIRES = 9,
    BUNDLE_DOWNLOADS = 10,
    BUNDLE_SIZE = 11,
    BUNDLE_PARTS = 12,
    BUNDLE_RECORDS = 13,
    BUNDLE_SHA256 = 14,
    BUNDLE_CODEC = 15,
    BUNDLE_DICTIONARY_ID = 16,
    BUNDLE_PATCHES = 17,
};

/* Moves what was written into the arena and releases the buffer. */
static bool buffer_to_arena(struct buffer *buffer, struct arena *arena, struct slice *ret_value) {
    bool done =
        buffer_status(buffer) == SYNC_OK && arena_copy(arena, buffer_slice(buffer), ret_value);
    buffer_done(buffer);
    return done;
}

bool device_pack(const struct device *device, struct arena *arena, struct slice *ret_value) {
    struct buffer out;
    buffer_init(&out, VALUE_MAX);
    if (device->name.size > 0)
        wire_write_bytes(&out, DEVICE_NAME, device->name);
    if (device->platform.size > 0)
        wire_write_bytes(&out, DEVICE_PLATFORM, device->platform);
    wire_write_uint(&out, DEVICE_REGISTERED, (uint64_t)device->registered_us);
    wire_write_uint(&out, DEVICE_LAST_SEEN, (uint64_t)device->last_seen_us);
    if (device->has_acknowledged)
        wire_write_uint(&out, DEVICE_ACKNOWLEDGED, device->acknowledged);
    if (device->revoked)
        wire_write_uint(&out, DEVICE_REVOKED, 1);
    return buffer_to_arena(&out, arena, ret_value);
}

enum sync_status device_unpack(struct slice value, struct device *ret_device) {
    struct device device = {0};
    struct wire_reader reader = wire_reader_of(value);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return SYNC_ERR_CORRUPT;
        switch (field.number) {
        case DEVICE_NAME:
            device.name = field.bytes;
            break;
        case DEVICE_PLATFORM:
            device.platform = field.bytes;
            break;
        case DEVICE_REGISTERED:
            device.registered_us = (int64_t)field.bits;
            break;
        case DEVICE_LAST_SEEN:
            device.last_seen_us = (int64_t)field.bits;
            break;
        case DEVICE_ACKNOWLEDGED:
            device.acknowledged = field.bits;
            device.has_acknowledged = true;
            break;
        case DEVICE_REVOKED:
            device.revoked = field.bits != 0;
            break;
        }
    }
    *ret_device = device;
    return SYNC_OK;
}

bool bundle_pack(const struct bundle *bundle, struct arena *arena, struct slice *ret_value) {
    assert(bundle->user.size > 0);
    struct buffer out;
    buffer_init(&out, VALUE_MAX);
    wire_write_bytes(&out, BUNDLE_USER, bundle->user);
    wire_write_bytes(&out, BUNDLE_DEVICE, bundle->device);
    wire_write_uint(&out, BUNDLE_TYPES, bundle->types);
    wire_write_uint(&out, BUNDLE_SYNC_TYPE, (uint64_t)bundle->sync_type);
    if (bundle->has_from)
        wire_write_uint(&out, BUNDLE_FROM, bundle->from);
    wire_write_uint(&out, BUNDLE_SEQUENCE, bundle->sequence);
    wire_write_uint(&out, BUNDLE_CODEC, bundle->codec);
    if (bundle->patches != PATCH_FORM_NONE)
        wire_write_uint(&out, BUNDLE_PATCHES, bundle->patches);
    if (bundle->dictionary_id != 0)
        wire_write_uint(&out, BUNDLE_DICTIONARY_ID, bundle->dictionary_id);
    wire_write_uint(&out, BUNDLE_CREATED, (uint64_t)bundle->created_us);
    wire_write_uint(&out, BUNDLE_EXPIRES, (uint64_t)bundle->expires_us);
    wire_write_uint(&out, BUNDLE_DOWNLOADS, bundle->downloads);
    if (bundle->is_built) {
        wire_write_uint(&out, BUNDLE_SIZE, bundle->size);
        wire_write_uint(&out, BUNDLE_PARTS, bundle->part_count);
        wire_write_uint(&out, BUNDLE_RECORDS, bundle->record_count);
        wire_write_bytes(&out, BUNDLE_SHA256, slice_of(bundle->sha256, SHA256_SIZE));
    }
    return buffer_to_arena(&out, arena, ret_value);
}

/* Takes one field that says what the container is; false when the field is none of these. */
static bool bundle_take_built(struct bundle *bundle, const struct wire_field *field) {
    switch (field->number) {
    case BUNDLE_SIZE:
        bundle->size = field->bits;
        return true;
    case BUNDLE_PARTS:
        bundle->part_count = (uint32_t)field->bits;
        return true;
    case BUNDLE_RECORDS:
        bundle->record_count = (uint32_t)field->bits;
        return true;
    case BUNDLE_SHA256:
        if (field->bytes.size == SHA256_SIZE) {
            memcpy(bundle->sha256, field->bytes.data, SHA256_SIZE);
            bundle->is_built = true;
        }
        return true;
    }
    return false;
}

static void bundle_take_asked(struct bundle *bundle, const struct wire_field *field) {
    switch (field->number) {
    case BUNDLE_USER:
        bundle->user = field->bytes;
        break;
    case BUNDLE_DEVICE:
        bundle->device = field->bytes;
        break;
    case BUNDLE_TYPES:
        bundle->types = (data_type_set)field->bits;
        break;
    case BUNDLE_SYNC_TYPE:
        bundle->sync_type = (int)field->bits;
        break;
    case BUNDLE_FROM:
        bundle->from = field->bits;
        bundle->has_from = true;
        break;
    case BUNDLE_SEQUENCE:
        bundle->sequence = field->bits;
        break;
    case BUNDLE_COMPRESSES:
        bundle->codec = field->bits != 0 ? BUNDLE_CODEC_SNAPPY : BUNDLE_CODEC_IDENTITY;
        break;
    case BUNDLE_CODEC:
        bundle->codec = (enum bundle_codec_number)field->bits;
        break;
    case BUNDLE_PATCHES:
        bundle->patches = (enum patch_form)field->bits;
        break;
    case BUNDLE_DICTIONARY_ID:
        bundle->dictionary_id = (uint32_t)field->bits;
        break;
    case BUNDLE_CREATED:
        bundle->created_us = (int64_t)field->bits;
        break;
    case BUNDLE_EXPIRES:
        bundle->expires_us = (int64_t)field->bits;
        break;
    case BUNDLE_DOWNLOADS:
        bundle->downloads = field->bits;
        break;
    }
}

enum sync_status bundle_unpack(struct slice value, struct bundle *ret_bundle) {
    struct bundle bundle = {0};
    struct wire_reader reader = wire_reader_of(value);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return SYNC_ERR_CORRUPT;
        if (!bundle_take_built(&bundle, &field))
            bundle_take_asked(&bundle, &field);
    }
    if (bundle.user.size == 0)
        return SYNC_ERR_CORRUPT;
    *ret_bundle = bundle;
    return SYNC_OK;
}
