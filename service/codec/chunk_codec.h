/* Chunk codecs: snappy and zstd for the chunks of bundles, and the dictionary of zstd: the names,
 * types and fixed values of travel records, without which a bundle of a few records packs half as
 * well. docs/protocol.md has the figures behind the choice. */
#ifndef SERVICE_CODEC_CHUNK_CODEC_H
#define SERVICE_CODEC_CHUNK_CODEC_H

#include "service/core/bundle_codec.h"

/* The newest dictionary. */
enum { CHUNK_DICTIONARY_ID = 32769 };

/* The dictionary with that id (RFC 8878 section 5), for ever; an empty slice when there is none. */
struct slice chunk_dictionary(uint32_t id);

/* Takes a codec: of snappy (`dictionary_id` 0), or of zstd with a dictionary or (0) without. Give
 * it back with chunk_codec_close. SYNC_ERR_NOT_FOUND when there is no such codec or dictionary,
 * SYNC_ERR_NO_MEMORY. */
enum sync_status chunk_codec_open(enum bundle_codec_number number, uint32_t dictionary_id,
                                  struct bundle_codec *ret_codec);

/* Gives it back, unless it is all zeros. */
void chunk_codec_close(struct bundle_codec *codec);

#endif
