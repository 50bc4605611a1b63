"""Bytes of bundles and deltas, over HTTP and over gRPC."""
import json
import os
import random
import re
import sys

from benchmark.pull_benches import CONTAINER_FORMS, FORMS, fetch
from benchmark.report import Report
from benchmark.stack import Stack

TRAVELLER_RECORDS = 200
SNAPPY_SHARE_AT_MOST, ZSTD_SHARE_AT_MOST = 35, 20
DELTA_BYTES_AT_MOST, GRPC_DELTA_BYTES_AT_MOST = 400, 150
SEGMENT_BYTES_AT_MOST = 500
SMALL_PULL = 3
SEGMENTS = 40
PATH = "/api/offline/bundle"
DATE = re.compile(r"\d{4}-\d\d-\d\d")
# What is a traveller's own in a real record, and random in one made of it.
OWN = ("ticketToken", "reservationNumber", "ticketNumber", "membershipNumber", "familyName",
       "givenName", "passengerSequenceNumber", "airplaneSeat", "seatNumber", "flightNumber",
       "trainNumber", "serialNumber", "telephone", "streetAddress")


def sample_records(root):
    with open(os.path.join(root, "tools", "sample", "records.json"), encoding="utf-8") as file:
        return json.load(file)


def real_records(root):
    """The reservations of real mails where they are at hand, or None."""
    path = os.path.join(root, "..", "shared", "data", "reservations.jsonl")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["data"] for line in lines]


def other_text(text, chance):
    """A text of the same form: letters and digits are others, all else as it is."""
    kinds = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")
    return "".join(next((chance.choice(kind) for kind in kinds if letter in kind), letter)
                   for letter in text)


def varied(value, chance, name=""):
    """A record of the same shape: dates, numbers and what is somebody's own are others."""
    if isinstance(value, dict):
        return {key: varied(inner, chance, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [varied(inner, chance, name) for inner in value]
    if isinstance(value, float):
        return round(value * chance.uniform(0.5, 1.5), 6)
    if isinstance(value, int) and not isinstance(value, bool):
        return value + chance.randint(1, 9)
    if not isinstance(value, str):
        return value
    if DATE.match(value):
        day = "%d-%02d-%02d" % (chance.randint(2015, 2026), chance.randint(1, 12),
                                chance.randint(1, 28))
        return DATE.sub(day, value, count=1)
    if name in OWN:
        prefix, colon, rest = value.rpartition(":") if name == "ticketToken" else ("", "", value)
        return prefix + colon + other_text(rest, chance)
    return value


def traveller(records, count):
    """So many records: the real ones, and the rest made of some of them."""
    chance = random.Random(1)
    return records + [varied(chance.choice(records), chance)
                      for _ in range(count - len(records))]


def is_trip(record):
    return record.get("@type") in ("Trip", "Event", "EventReservation")


def upload_records(stack, user, records):
    stack.upload(user, [
        {"id": "c-%03d" % number, "type": "create",
         "dataType": "trip" if is_trip(record) else "booking",
         "dataId": record.get("id", "r-%03d" % number), "data": record,
         "timestamp": "2026-11-01T08:00:00Z"} for number, record in enumerate(records)])


def size_rows(stack, user, records):
    """Bytes of all records in each form, and of their data alone as compact JSON."""
    sizes = {"data as compact JSON": sum(
        len(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
        for record in records)}
    for name, form, query in FORMS + CONTAINER_FORMS:
        sizes[name] = len(fetch(stack, user, form, len(records), PATH + "?" + query))
    return sizes


def update(stack, user, record, mark, data):
    stack.upload(user, [{"id": mark, "type": "update", "dataType": record["dataType"],
                         "dataId": record["dataId"], "data": data,
                         "timestamp": "2026-11-01T09:00:00Z"}])


def grpc_bytes(root):
    """The module that weighs gRPC answers; it stands beside the tests that hold the bounds."""
    folder = os.path.join(root, "tests", "integration")
    if folder not in sys.path:
        sys.path.append(folder)
    import grpc_bytes as module  # pylint: disable=import-outside-toplevel,import-error
    return module


def grpc_rows(options, stack, user, record, cursor):
    """Name and weight: of the pull of one edit by gRPC, and of a live record."""
    module = grpc_bytes(options.root)
    reader, rows = stack.second_devices([user])[0], []
    for name, where in (("gateway", stack.port), ("service", stack.unix)):
        scale = module.Scale(where, reader.token)
        pull = module.pull_of(cursor)
        cold, _, warm = [scale.unary("GetBundle", pull) for _ in range(3)]
        rows += [("gRPC, %s, warm" % name, warm), ("gRPC, %s, first call" % name, cold)]
        now = stack.bundle(user)["cursor"]
        live = scale.live(reader.device, now, lambda mark=name: update(
            stack, user, record, "c-" + mark, {"airplaneSeat": mark[:2] + "Z"}))
        rows.append(("Sync stream, %s, live record" % name, live))
        scale.close()
    return rows


def delta_tables(options, report, stack, user, source):
    """One field of one record changes: its bytes in each form."""
    whole = stack.bundle(user)
    record = whole["records"][0]
    update(stack, user, record, "c-delta", {"airplaneSeat": "99Z"})
    target = PATH + "?syncType=delta&cursor=%s&" % whole["cursor"]
    rows = report.table("delta after one changed field, %s" % source, ["", "bytes"])
    for name, form, query in FORMS + CONTAINER_FORMS:
        count = len(fetch(stack, user, form, 1, target + query))
        rows.append([name, count])
        report.check("delta after one changed field, %s, %s" % (source, name), count, "bytes",
                     at_most=DELTA_BYTES_AT_MOST)
    rows.append(["JSON, basic view",
                 len(fetch(stack, user, "identity", 1, target + "view=basic"))])
    rows = report.table("the same over gRPC: bytes from the server, %s" % source,
                        ["", "bytes", "headers", "message and its frames", "flow control and such"])
    for name, weight in grpc_rows(options, stack, user, record, whole["cursor"]):
        rows.append([name, weight.total, weight.headers, weight.data, weight.upkeep])
        if "first call" not in name:
            report.check("%s, %s" % (name, source), weight.total, "bytes",
                         at_most=GRPC_DELTA_BYTES_AT_MOST)


def small_table(report, stack, user, records):
    """A few whole records that are new since a cursor, as most incremental pulls bring them."""
    cursor = stack.bundle(user)["cursor"]
    stack.upload(user, [
        {"id": "n-%d" % number, "type": "create", "dataType": "booking", "dataId": "n-%d" % number,
         "data": record, "timestamp": "2026-11-01T10:00:00Z"}
        for number, record in enumerate(records[:SMALL_PULL])])
    rows = report.table("%d new real records since a cursor" % SMALL_PULL, ["", "bytes"])
    for name, form, query in FORMS + CONTAINER_FORMS:
        rows.append([name, len(fetch(stack, user, form, SMALL_PULL,
                                     PATH + "?cursor=%s&%s" % (cursor, query)))])


def upload_size(stack, user, mark, **what):
    """Bytes of the body of an upload that changes the long trip, and does it."""
    changes = [dict(id=mark, type="update", dataType="trip", dataId="t",
                    timestamp="2026-11-01T10:00:00Z", **what)]
    stack.upload(user, changes)
    return len(json.dumps({"changes": changes, "deviceId": user.device}, separators=(",", ":")))


def array_table(report, stack, user):
    """One field of one segment of a long trip changes; the segments are of different places."""
    chance = random.Random(2)
    trip = {"name": "Round the world", "itinerary": [
        varied({"id": "segment-%02d" % number, "type": "train", "startTime": "2027-05-14T12:05:00Z",
                "from": other_text("Salzburg Hbf", chance), "to": other_text("Venezia", chance),
                "trainNumber": "NJ 466", "airplaneSeat": "21A"}, chance)
        for number in range(SEGMENTS)]}
    stack.upload(user, [{"id": "t", "type": "create", "dataType": "trip", "dataId": "t",
                         "data": trip, "timestamp": "2026-11-01T10:00:00Z"}])
    cursor = stack.bundle(user)["cursor"]
    trip["itinerary"][17]["airplaneSeat"] = "99Z"
    update(stack, user, {"dataType": "trip", "dataId": "t"}, "t-edit",
           {"itinerary": trip["itinerary"]})
    rows = report.table("delta after one field of one of %d segments" % SEGMENTS, ["", "bytes"])
    target = PATH + "?syncType=delta&cursor=%s&" % cursor
    for name, form, query in FORMS + CONTAINER_FORMS:
        rows.append([name, len(fetch(stack, user, form, 1, target + query))])
        count = len(fetch(stack, user, form, 1, target + "patchFormat=operations&" + query))
        rows.append([name + ", operations", count])
        report.check("one of %d segments as operations, %s" % (SEGMENTS, name), count, "bytes",
                     at_most=SEGMENT_BYTES_AT_MOST)
    rows.append(["upload of it, JSON", upload_size(stack, user, "t-merge",
                                                   data={"itinerary": trip["itinerary"]})])
    count = upload_size(stack, user, "t-operations", operations=[
        {"path": "/itinerary/segment-17/airplaneSeat", "set": "98Z"}])
    rows.append(["upload of it, JSON, operations", count])
    report.check("upload of one of %d segments as operations" % SEGMENTS, count, "bytes",
                 at_most=SEGMENT_BYTES_AT_MOST)


def size(options):
    report = Report("size", "Bytes of bundles and deltas")
    real = real_records(options.root)
    sources = [("sample records", sample_records(options.root)), ("real records", real),
               ("records of a traveller", real and traveller(real, TRAVELLER_RECORDS))]
    with Stack(options.binaries, options.data) as stack:
        for source, records in sources:
            if records is None:
                continue
            user = stack.users(1)[0]
            upload_records(stack, user, records)
            sizes = size_rows(stack, user, records)
            rows = report.table("%d %s" % (len(records), source),
                                ["", "bytes", "% of the JSON", "% of the data alone"])
            for name, count in sizes.items():
                rows.append([name, count, 100.0 * count / sizes["JSON"],
                             100.0 * count / sizes["data as compact JSON"]])
            delta_tables(options, report, stack, user, source)
            if source == "real records":
                report.check("container of the %s, snappy" % source,
                             100.0 * sizes["container, snappy"] / sizes["data as compact JSON"],
                             "% of the data alone", at_most=SNAPPY_SHARE_AT_MOST)
            if source == "records of a traveller":
                report.check("container of the %s, zstd" % source,
                             100.0 * sizes["container, zstd"] / sizes["JSON"], "% of the JSON",
                             at_most=ZSTD_SHARE_AT_MOST)
                small_table(report, stack, user, records)
                array_table(report, stack, user)
    return report
