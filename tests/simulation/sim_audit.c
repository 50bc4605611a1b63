/* A device whose disk lies: a record is lost, is older than it should be, or is there again. It
 * finds that by a checksum, asks for audits of ranges, each smaller than the last, and repairs what
 * differs and nothing else. */
#include <string.h>

#include "service/core/checksum.h"
#include "service/rpc/audit_read.h"
#include "tests/simulation/sim.h"

enum { PARTS_FIRST = 1 };

/* ---- Damage */

/* What the disk says of a record instead: nothing, or what it was at some time. */
static struct sim_copy damage_make(struct sim_world *world, const struct sim_device *device,
                                   uint32_t record) {
    const struct sim_copy *held = &device->held[record];
    struct sim_copy older =
        sim_ledger_image(&world->ledger, record, world_pick(world, (uint32_t)device->plain + 1));
    bool lives = held->found && !held->deleted;
    if (!older.found || older.deleted || (lives && world_pick(world, 2)))
        return (struct sim_copy){0};
    older.version = held->version > 0 ? held->version : older.version;
    return older;
}

void sim_device_damage(struct sim_world *world, struct sim_device *device) {
    uint32_t first = world_pick(world, world->nature.records);
    if (!device->has_plain || device->wants_audit)
        return;
    for (uint32_t i = 0; i < world->nature.records; i++) {
        uint32_t record = (first + i) % world->nature.records;
        const struct sim_copy *held = &device->held[record];
        struct sim_copy damaged = damage_make(world, device, record);
        bool lives = held->found && !held->deleted;
        bool is_so =
            damaged.found ? lives && slice_equal(damaged.document, held->document) : !lives;
        /* Versions are not part of a checksum: what is damaged once keeps the one it had. */
        if (is_so || device->damaged >> record & 1)
            continue;
        sim_tell(world, "the disk of %s %s r%u", device->id,
                 !damaged.found ? "loses"
                 : lives        ? "has an older"
                                : "has a deleted",
                 record);
        device->damaged |= 1u << record;
        sim_device_hold(world, device, record, damaged);
        return;
    }
}

/* ---- The device's side */

static bool is_inside(struct slice id, struct slice from, struct slice to) {
    return slice_compare(id, from) >= 0 && (to.size == 0 || slice_compare(id, to) < 0);
}

/* The records of a range: bits. */
static uint32_t range_records(const PB(AuditedRange) *range) {
    uint32_t records = 0;
    for (uint32_t i = 0; i < SIM_RECORDS; i++) {
        struct record_key key = sim_record_key(i);
        if (key.type == (enum data_type)range->data_type &&
            is_inside(key.id, slice_text(range->from_data_id), slice_text(range->to_data_id)))
            records |= 1u << i;
    }
    return records;
}

/* Whether the device holds the same in a range. */
static bool range_is_same(struct sim_world *world, const struct sim_device *device,
                          const PB(AuditedRange) *range) {
    struct sim_copy copies[SIM_RECORDS] = {{0}};
    uint32_t records = range_records(range);
    char checksum[2 * CHECKSUM_SIZE + 1];
    int32_t count = 0;
    for (uint32_t i = 0; i < SIM_RECORDS; i++) {
        const struct sim_copy *held = &device->held[i];
        if (!(records >> i & 1) || !held->found || held->deleted)
            continue;
        copies[i] = *held;
        count++;
    }
    checksum_format(sim_copies_sum(world, copies), checksum);
    return count == range->record_count && strcmp(checksum, range->checksum) == 0;
}

/* Takes a record out of its range, or sets it as the service has it. */
static void repair(struct sim_world *world, struct sim_device *device, uint32_t record,
                   struct sim_copy copy) {
    SIM_HOLDS(world, device->damaged >> record & 1, "an audit of %s repairs r%u, which was sound",
              device->id, record);
    sim_tell(world, "%s repairs r%u", device->id, record);
    sim_device_hold(world, device, record, copy);
    world->report->repairs++;
}

/* A range of one record, or of none: what the service does not have goes, what it has is set. */
static void range_repair(struct sim_world *world, struct sim_device *device,
                         const PB(AuditedRange) *range) {
    const PB(Record) *theirs = range->record;
    uint32_t records = range_records(range);
    for (uint32_t i = 0; i < SIM_RECORDS; i++) {
        const struct sim_copy *held = &device->held[i];
        bool lives = held->found && !held->deleted;
        bool is_theirs = theirs && slice_equal(sim_record_key(i).id, slice_text(theirs->data_id));
        if (!(records >> i & 1))
            continue;
        if (!is_theirs && lives)
            repair(world, device, i, (struct sim_copy){0});
        if (!is_theirs)
            continue;
        struct slice data = slice_of(theirs->data.data, theirs->data.len);
        if (!lives || !slice_equal(held->document, data))
            repair(world, device, i,
                   (struct sim_copy){true, false, (uint64_t)theirs->version, data});
    }
}

/* Takes an answered range: equal, small enough to be repaired, or to be asked for again. */
static void range_take(struct sim_world *world, struct sim_device *device,
                       const PB(AuditedRange) *range) {
    if (range_is_same(world, device, range))
        return;
    SIM_HOLDS(world, range_records(range) & device->damaged,
              "an audit finds a range of %s that is sound", device->id);
    if (range->record_count == 0 || range->record) {
        range_repair(world, device, range);
        return;
    }
    SIM_HOLDS(world, device->audit_count < SIM_RANGES_MAX, "an audit divides without end");
    struct sim_range *next = &device->audits[device->audit_count++];
    *next = (struct sim_range){.type = (enum data_type)range->data_type,
                               .from = slice_text(range->from_data_id),
                               .to = slice_text(range->to_data_id)};
}

void sim_call_audit(struct sim_world *world, struct sim_device *device) {
    struct sim_message message = sim_call_begin(world, device, CALL_AUDIT);
    message.pull.from = device->plain;
    if (device->audit_count > 0) {
        message.range = device->audits[device->audit_count - 1];
        message.range.parts = 2 + world_pick(world, 3);
    } else {
        message.range.parts = PARTS_FIRST;
    }
    sim_tell(world, "%s asks for an audit (call %llu)", device->id,
             (unsigned long long)message.request);
    sim_net_put(world, &message);
}

/* All that differs is repaired: the device holds just what there was. */
static void audits_end(struct sim_world *world, struct sim_device *device) {
    device->damaged = 0;
    device->wants_audit = false;
    sim_device_check_at(world, device, device->plain);
}

void sim_device_audited(struct sim_world *world, struct sim_device *device,
                        const struct sim_message *answer) {
    /* Something was committed meanwhile: pull first. */
    if (answer->status != SYNC_OK || answer->sequence != device->plain || !device->is_exact) {
        device->audit_count = 0;
        device->wants_audit = false;
        return;
    }
    world->report->audits++;
    device->audit_count -= device->audit_count > 0; /* the range that was asked for */
    for (size_t i = 0; i < answer->audit->n_ranges; i++)
        range_take(world, device, answer->audit->ranges[i]);
    if (device->audit_count == 0)
        audits_end(world, device);
}

/* ---- The service's side */

void sim_audit_arrived(struct sim_world *world, const struct sim_message *message) {
    struct service service = {.store = world->store};
    struct sim_message answer = *message;
    PB(AuditRangeResponse) *response = sim_alloc(world, sizeof *response);
    bool is_all = message->range.type == 0;
    struct audit_question question = {
        .user = SIM_USER,
        .first = is_all ? DATA_TYPE_FIRST : message->range.type,
        .last = is_all ? DATA_TYPE_LAST : message->range.type,
        .from = message->range.from,
        .to = message->range.to,
        .parts_max = message->range.parts,
        .include_records = true,
    };
    struct cursor cursor = {0};
    answer.is_answer = true;
    answer.status = audit_read(&service, &question, &world->arena, response);
    if (world->has_crashed)
        return;
    if (answer.status == SYNC_OK)
        SIM_HOLDS(world, cursor_parse(slice_text(response->cursor), &cursor) == SYNC_OK,
                  "an audit has a cursor that is none");
    answer.sequence = cursor.sequence;
    answer.audit = response;
    sim_net_put(world, &answer);
}
