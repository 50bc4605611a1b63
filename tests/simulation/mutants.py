#!/usr/bin/env python3
"""mutants.py NAME SOURCE OUT: plants a fault in a copy of a source of the core.

Each fault is one changed line. The simulation must catch every one of them within 1,000 seeds:
mutants_test.py. A fault whose line is no longer there fails the build: find it another place.
"""
import sys

# name: (what it breaks, the line's text, what is put in its place)
MUTANTS = {
    "forgets_settled_changes": (
        "a change that is sent again is applied again",
        "*ret_known = stored->found;",
        "*ret_known = false;"),
    "sees_no_others": (
        "updates and deletions overwrite what others changed, unseen",
        "return record->others_last > base_sequence;",
        "return false;"),
    "keeps_the_old_sum": (
        "the state checksum still counts what a record was",
        "head->checksum = checksum_subtract(head->checksum, old->record.element);",
        "(void)old;"),
    "drops_lone_edits": (
        "a field that only the client changed keeps the server's value",
        "kept = theirs;",
        "kept = ours;"),
    "puts_the_wrong_side_into_the_inbox": (
        "the inbox keeps the suggestion instead of what the client sent",
        ".client = draft->client,",
        ".client = draft->base->document,"),
    "logs_no_deletion_before": (
        "the log says that a record was there when it was not",
        ".previous_deleted = !record_state_lives(state),",
        ".previous_deleted = false,"),
    "leaves_conflicts_open": (
        "a resolved conflict is still counted as open",
        "head->conflicts_open -= head->conflicts_open > 0;",
        ""),
    "keeps_no_decision": (
        "what is decided without the user is nowhere to be seen",
        "result->decision_id = decided->id;",
        "(void)decided;"),
    "lets_what_is_blocked_go_on": (
        "changes behind a conflict are applied before it is decided",
        "return is_behind && !change_is_ahead(work, change);",
        "return false;"),
    "forgets_what_a_conflict_holds_back": (
        "changes sent after a conflict are applied before it is decided",
        "ids[hold->id_count++] = conflict_id;",
        ""),
    "forgets_what_waits": (
        "what waits for longer than its outcome is kept, sent again, is another change",
        "else if (!change_recall_open(record, change, result) &&",
        "else if ("),
    "takes_old_changes_for_new": (
        "a change from before what is remembered is merged as if it had never been sent",
        "change_time(work, change) < work->context->forgotten_us && view->found &&",
        "false && view->found &&"),
    "takes_old_changes_over_newer": (
        "a change from before what is remembered overwrites what others changed after it was made",
        "bool is_past = record->others_entry && made_us <= record->others_us;",
        "bool is_past = false;"),
    "trusts_what_the_log_has_lost": (
        "a change from before what is remembered overwrites what nobody knows the age of",
        "is_known = is_own || oldest->previous_version <= change->base_version;",
        "is_known = true;"),
    "keeps_nothing_of_what_is_old": (
        "what a change from before what is remembered overwrites is nowhere to be seen",
        "return lives && count == 0 ? stale_write(work, record, change, draft, word, result)",
        "return true ? stale_write(work, record, change, draft, word, result)"),
    "holds_back_for_ever": (
        "what waits behind a conflict still waits when it is resolved",
        "hold->id_count = kept;",
        ""),
    "loses_what_was_held": (
        "what waits is gone when a change before it comes to a conflict of its own",
        "conflict_hold_release(&record->hold, done);",
        "conflict_hold_release(&record->hold, batch->count);"),
    "forgets_the_operations_that_wait": (
        "an update by operations that waits does nothing when it goes on",
        "wire_write_bytes(scratch, HELD_OPERATIONS, change->operations);",
        ";"),
    "takes_the_lists_of_others_for_its_own": (
        "the device's base has what others put into a list beside its own earlier change",
        "redo_is_plain(work, history->type, redo)",
        "true"),
    "forgets_whose_side_was_taken": (
        "what was made on the side that the user took is in dispute with it",
        "if (is_on_client)",
        "if (false)"),
    "settles_over_what_is_newer": (
        "a deadline overwrites what others changed since the conflict was shown",
        "bool has_moved = state->record.version != conflict->server_version;",
        "bool has_moved = false;"),
    "takes_its_state_for_the_services": (
        "a stream gives a cursor with outcomes though others wrote in between",
        "answer->apply.before == session->position && ",
        ""),
    "pages_from_the_target": (
        "a stream's next lap begins at what was committed, not at what was sent",
        "want->lap.from = session->has_position ? session->position : 0;",
        "want->lap.from = session->has_position ? session->head : 0;"),
    "patches_from_too_late": (
        "a patch leaves out the oldest change of those that it stands for",
        "field_stamps_patch(&item->record, since, arena, &patch, &has_patch);",
        "field_stamps_patch(&item->record, since + 1, arena, &patch, &has_patch);"),
    "adds_elements_in_any_order": (
        "elements that are new to a device come in the order of their ids",
        "return (a->place > b->place) - (a->place < b->place);",
        "return 0;"),
    "orders_are_not_told": (
        "elements in another order count as unchanged",
        "if (!status && !order_is_kept(&old, &new)) {",
        "if (false) {"),
    "patches_what_was_left_out": (
        "a patch builds on what the lap before had left out",
        "if (!session->is_rough && !session->is_lap_resumed)",
        "if (true)"),
    "merges_lists_from_an_empty_base": (
        "an element that one side removed comes back with the merge",
        "const struct value *values[3] = {sides->base, sides->ours, sides->theirs};",
        "const struct value *values[3] = {NULL, sides->ours, sides->theirs};"),
    "decides_objects_as_one": (
        "both sides change parts of an object, and one of them is lost",
        "bool goes_in = policy == FIELD_POLICY_NONE || policy == FIELD_POLICY_KEYED;",
        "bool goes_in = policy == FIELD_POLICY_KEYED;"),
    "loses_bases_beside_a_lost_one": (
        "a change has no base because the log is trimmed behind another one's",
        "return !view->history_trimmed || before <= base_sequence;",
        "return !view->history_trimmed;"),
    "trusts_a_trimmed_log": (
        "what a trimmed log has lost counts as never done",
        "return !view->history_trimmed || before <= base_sequence;",
        "(void)before, (void)base_sequence; return true;"),
    "loses_removals_behind_the_log": (
        "a removal whose base the trimmed log has lost is dropped, unseen",
        "return document_removals(ours, theirs, false, work->arena, ret_base);",
        "*ret_base = SLICE_EMPTY; return SYNC_OK;"),
    "takes_an_update_for_the_whole": (
        "the client's side of a change without a base lacks all that it does not speak of",
        "change_patch_apply(work, change, ours, result, &theirs);",
        "change_patch_apply(work, change, SLICE_EMPTY, result, &theirs);"),
    "takes_a_merge_for_what_was_sent": (
        "what was merged for a device counts as known to it, and is overwritten unseen",
        ".as_sent = outcome == OUTCOME_APPLIED && !met,",
        ".as_sent = met || !met,"),
    "brings_back_what_was_deleted": (
        "a creation that is sent again after retention brings back what was deleted",
        "creation_is_late(work, record, change_base_sequence(work, record, change)))",
        "false)"),
    "audits_half_of_a_range": (
        "ranges that an audit joins lack what the second of them holds",
        "range.checksum = checksum_add(range.checksum, next->checksum);",
        ""),
    "audits_to_the_end": (
        "each range of an audit says that it goes to the end of them all",
        "range->to = i + 1 < audit->count ? audit->ranges[i + 1].first : audit->want.to;",
        "range->to = audit->want.to;"),
    "takes_damaged_chunks": (
        "a container that came damaged is used",
        "if (!slice_equal(chunk.sha256, slice_of(digest, sizeof digest)))",
        "if (false)"),
    "patches_behind_the_stamps": (
        "a patch is made though the record does not know any more what changed so long ago",
        "if (since < stamps.floor) {",
        "if (false) {"),
    "lets_words_run_together": (
        "the first word of a text, merged behind others, is one with the word before it",
        "if (merge->next > merge->out && !is_space(bytes.data[0]) && !is_space(merge->next[-1]))",
        "if (false)"),
    "finds_no_policy_inside": (
        "an operator's rule of an object is not followed for what is in it",
        "if (slice_equal(segment, SLICE(\"**\")) && rule[size] == '\\0')",
        "if (slice_equal(segment, SLICE(\"**\")) && rule[size] == '.')"),
    "undoes_to_the_other_side": (
        "a decision that is taken back leaves the client's side",
        ".document = conflict->server};",
        ".document = conflict->client};"),
    "undoes_what_came_after": (
        "a decision that is taken back takes later changes with it",
        "enum sync_status status = undo_go(undo, &undo->target.document);",
        "enum sync_status status = SYNC_OK;"),
    "undoes_what_was_changed_back": (
        "what was changed after a decision, and changed back, is taken back with it",
        "delta_items_mark(items, count, record->history[i].undo, marks);",
        "(void)marks;"),
    "undoes_a_wish": (
        "what the client wanted is gone from the inbox when somebody changed it since",
        "status = side_follow(undo, conflict_client_base(conflict), after, &conflict->client);",
        "status = side_follow(undo, undo->made.document, after, &conflict->client);"),
    "undoes_nothing": (
        "a decision that is taken back leaves the record as it was decided",
        "enum sync_status status = conflict_write(work, conflict, &undo->target);",
        "enum sync_status status = SYNC_OK;"),
    "undoes_to_nothing": (
        "what a change replaced is not in the log",
        "change->deleted ? SLICE_EMPTY : change->document, state->record.data,",
        "change->document, change->document,"),
}


def main():
    name, source, out = sys.argv[1:]
    _, old, new = MUTANTS[name]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) < 1:
        sys.exit("mutants.py: %s: its line is not in %s any more" % (name, source))
    # The last place: helpers come first in our files, and what they serve after them.
    head, tail = text.rsplit(old, 1)
    with open(out, "w", encoding="utf-8") as file:
        file.write(head + new + tail)


if __name__ == "__main__":
    main()
