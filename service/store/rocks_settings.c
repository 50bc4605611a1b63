#include <string.h>

#include "service/store/rocks_private.h"

enum {
    BLOCK_CACHE_BYTES = 64 << 20,
    WRITE_BUFFER_BYTES = 64 << 20,
    WAL_BYTES = 512 << 20, /* beyond it the families that hold old parts of the log are flushed */
    TABLE_BLOCK_BYTES = 8 << 10,
    BLOOM_BITS = 10,
    OPEN_FILES = 512,
    BACKGROUND_JOBS = 2,
    LEVEL0_FILES = 8, /* fewer compactions than RocksDB's 4, measured */
    INFO_LOG_BYTES = 1 << 20,
    INFO_LOG_WARN = 2,
};

const char *const rocks_family_names[ROCKS_FAMILIES] = {
    [ROCKS_DIGESTS] = "default", [ROCKS_HEAD] = "head",       [ROCKS_RECORDS] = "records",
    [ROCKS_LOG] = "log",         [ROCKS_SETTLED] = "settled", [ROCKS_ROWS] = "rows",
};

/* Index and filter blocks lie in the cache too, so that its size bounds them. */
static void settings_make_table(struct rocks_settings *settings, size_t cache_bytes) {
    settings->cache = rocksdb_cache_create_lru(cache_bytes);
    settings->table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(settings->table, settings->cache);
    rocksdb_block_based_options_set_block_size(settings->table, TABLE_BLOCK_BYTES);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(settings->table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
        settings->table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(settings->table, 1);
    rocksdb_block_based_options_set_filter_policy(
        settings->table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_whole_key_filtering(settings->table, 1);
    rocksdb_block_based_options_set_format_version(settings->table, 5);
}

static void settings_of_database(rocksdb_options_t *options, size_t write_buffer_bytes) {
    rocksdb_options_set_db_write_buffer_size(options, write_buffer_bytes);
    rocksdb_options_set_max_total_wal_size(options, WAL_BYTES);
    rocksdb_options_set_max_background_jobs(options, BACKGROUND_JOBS);
    rocksdb_options_set_max_open_files(options, OPEN_FILES);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_max_log_file_size(options, INFO_LOG_BYTES);
    rocksdb_options_set_info_log_level(options, INFO_LOG_WARN);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20);
    /* There is one writer at a time, so nothing is won by memory tables that take several. */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
}

/* Values of records, log and settled changes are compressed before they come here; what digests
 * repeat they leave out themselves. */
static bool family_is_packed(enum rocks_family family) {
    return family == ROCKS_RECORDS || family == ROCKS_LOG || family == ROCKS_SETTLED ||
           family == ROCKS_DIGESTS;
}

static void settings_of_family(rocksdb_options_t *options, enum rocks_family family,
                               rocksdb_block_based_table_options_t *table,
                               size_t write_buffer_bytes) {
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_options_set_compression(options, family_is_packed(family) ? rocksdb_no_compression
                                                                      : rocksdb_snappy_compression);
    rocksdb_options_set_write_buffer_size(
        options, family == ROCKS_RECORDS ? write_buffer_bytes / 2 : write_buffer_bytes / 4);
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, LEVEL0_FILES);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    if (family == ROCKS_RECORDS || family == ROCKS_HEAD) {
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.05);
        rocksdb_options_set_memtable_whole_key_filtering(options, 1);
    }
}

void rocks_settings_init(struct rocks_settings *settings, const struct rocks_store_options *wish) {
    size_t write_buffer = wish->write_buffer_bytes ? wish->write_buffer_bytes : WRITE_BUFFER_BYTES;
    size_t cache = wish->block_cache_bytes ? wish->block_cache_bytes : BLOCK_CACHE_BYTES;
    memset(settings, 0, sizeof *settings);
    settings_make_table(settings, cache);
    for (int i = 0; i < ROCKS_FAMILIES; i++) {
        settings->options[i] = rocksdb_options_create();
        settings_of_database(settings->options[i], write_buffer);
        settings_of_family(settings->options[i], (enum rocks_family)i, settings->table,
                           write_buffer);
    }
    settings->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(settings->write, 1);
}

void rocks_settings_done(struct rocks_settings *settings) {
    if (!settings->write)
        return;
    rocksdb_writeoptions_destroy(settings->write);
    for (int i = 0; i < ROCKS_FAMILIES; i++)
        rocksdb_options_destroy(settings->options[i]);
    rocksdb_block_based_options_destroy(settings->table);
    rocksdb_cache_destroy(settings->cache);
    settings->write = NULL;
}
