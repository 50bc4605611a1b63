"""Benches of pulls: deltas, bundles, and the sizes of both."""
import json
import os
import shutil
import subprocess
import time
import zlib

from benchmark.report import Report, spread
from benchmark.stack import BenchError, Stack
from benchmark.upload_benches import timed

CONTAINER = "application/vnd.travelsense.bundle"
# Name, coding or media type, parameters.
FORMS = [("JSON", "identity", ""), ("JSON, gzip", "gzip", ""), ("JSON, zstd", "zstd", "")]
CONTAINER_FORMS = [
    ("container, snappy", CONTAINER, ""), ("container, zstd", CONTAINER, "codecs=zstd"),
    ("container, zstd, dictionary", CONTAINER, "codecs=zstd&dictionaryId=32769")]
PATH = "/api/offline/bundle"
MAKINGS = 4
DELTA_RECORDS, DELTA_USERS, DELTA_STOCK = 100, 16, 1000
BUNDLE_RECORDS, BUNDLE_CLIENTS = 10000, 4


def update(stack, users):
    """Each user changes one field of DELTA_RECORDS of his records."""
    for user in users:
        records = stack.bundle(user)["records"][:DELTA_RECORDS]
        stack.upload(user, [
            {"id": "u-%d" % number, "type": "update", "dataType": record["dataType"],
             "dataId": record["dataId"], "data": {"airplaneSeat": "99Z"},
             "timestamp": "2026-11-01T08:00:00Z", "baseVersion": record["version"]}
            for number, record in enumerate(records)])


def pull_row(stack, options, name, users, targets):
    found = [stack.load("pull", users, {"expect": DELTA_RECORDS, "count": '"dataId":',
                                        **timed(options, 0.5)}, targets)
             for _ in range(options.rounds)]
    middle = [spread([run[key] for run in found])[0]
              for key in ("requests_per_second", "p50_ms", "p99_ms")]
    highest = spread([run["p99_ms"] for run in found])[2]
    return [name] + middle + [highest] + [
        spread([run["service_us"] * DELTA_RECORDS for run in found])[0],
        spread([run["gateway_us"] * DELTA_RECORDS for run in found])[0],
        round(found[0]["received_bytes"] / max(found[0]["requests"], 1))]


def delta(options):
    """A second device of each user pulls what the first one did since the cursor."""
    report = Report("delta", "Delta pull of %d changes" % DELTA_RECORDS)
    rows = report.table("medians of %d rounds; each user has %d records" %
                        (options.rounds, DELTA_STOCK),
                        ["", "pulls/s", "p50 ms", "p99 ms", "highest p99 ms", "service µs a pull",
                         "gateway µs a pull", "bytes a pull"])
    with Stack(options.binaries, options.data) as stack:
        writers = stack.users(DELTA_USERS)
        readers = stack.second_devices(writers)
        stack.fill(writers, DELTA_STOCK - DELTA_RECORDS)
        before = [stack.bundle(user)["cursor"] for user in readers]
        stack.load("upload", writers, {"changes": DELTA_RECORDS, "each": 1})
        created = ["/api/offline/bundle?deviceId=%s&cursor=%s" % (user.device, cursor)
                   for user, cursor in zip(readers, before)]
        for clients in (1, DELTA_USERS):
            rows.append(pull_row(stack, options, "whole new records, clients: %d" % clients,
                                 readers[:clients], created))
        before = [stack.bundle(user)["cursor"] for user in readers]
        update(stack, writers)
        patched = ["/api/offline/bundle?syncType=delta&deviceId=%s&cursor=%s" %
                   (user.device, cursor) for user, cursor in zip(readers, before)]
        for clients in (1, DELTA_USERS):
            rows.append(pull_row(stack, options, "patches of one field, clients: %d" % clients,
                                 readers[:clients], patched))
    return report


def header_of(container):
    """The fields with numbers of a container's header (see bundle.proto)."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (container[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not container[at - 1] & 0x80:
                return value, at
    tag, at = varint(0)
    if tag != 0x0A:
        raise BenchError("the container does not begin with its header")
    size, at = varint(at)
    end, found = at + size, {}
    while at < end:
        tag, at = varint(at)
        value, at = varint(at)
        if tag & 7 == 2:
            at += value
        else:
            found[tag >> 3] = value
    return found


def records_in(body, coding):
    """How many records a JSON answer holds; None where no tool is at hand to tell."""
    if coding == "gzip":
        body = zlib.decompress(body, 31)
    elif coding == "zstd":
        if not shutil.which("zstd"):
            return None
        body = subprocess.run(["zstd", "-dc"], input=body, stdout=subprocess.PIPE,
                              check=True).stdout
    return len(json.loads(body)["records"])


def fetch(stack, user, form, expected, target=PATH):
    """The bytes of a bundle in one of FORMS, which must hold the expected number of records."""
    if form == CONTAINER:
        headers = {"Accept": CONTAINER, "Accept-Encoding": "identity"}
    else:
        headers = {"Accept-Encoding": form}
    body, coding = stack.call("GET", target, user, headers=headers)
    found = header_of(body).get(10, 0) if form == CONTAINER else records_in(body, coding)
    if found not in (expected, None):
        raise BenchError("a bundle (%s) holds %d records, not %d" % (form, found, expected))
    return body


def bundle(options):
    """Users with many records each pull all of them, again and again, in each form; containers are
    then the ones made by the first pull."""
    report = Report("bundle", "Pull of a bundle of %s records" % format(BUNDLE_RECORDS, ","))
    rows = report.table("medians of %d rounds, %d clients" % (options.rounds, BUNDLE_CLIENTS),
                        ["", "records/s", "lowest", "highest", "MB/s", "bytes", "p50 ms",
                         "service µs a record", "gateway µs a record"])
    with Stack(options.binaries, options.data) as stack:
        users = stack.users(BUNDLE_CLIENTS)
        stack.fill(users, BUNDLE_RECORDS)
        forms = FORMS + CONTAINER_FORMS
        for _, form, query in forms:
            fetch(stack, users[0], form, BUNDLE_RECORDS, PATH + "?" + query)
        found = {name: [] for name, _, _ in forms}
        for _ in range(options.rounds):
            for name, form, query in forms:
                found[name].append(bundle_load(stack, options, users, form, query))
        rows += [bundle_row(name, found[name]) for name, _, _ in forms]
        rows += [making_row(stack, users[0], options.rounds * MAKINGS, name, query)
                 for name, _, query in CONTAINER_FORMS]
    return report


def bundle_load(stack, options, users, form, query):
    flags = {"expect": BUNDLE_RECORDS, **timed(options, 0.5)}
    if form == CONTAINER:
        flags["accept"] = CONTAINER
    elif form == "identity":
        flags["count"] = '"dataId":'
    else:
        flags["encoding"] = form
    return stack.load("pull", users, flags, [PATH + "?" + query] * len(users))


def bundle_row(name, found):
    bytes_each = found[0]["received_bytes"] / max(found[0]["requests"], 1)
    speed = [run["received_bytes"] / run["seconds"] / 1e6 for run in found]
    return [name] + spread([run["items_per_second"] for run in found]) + [
        spread(speed)[0], round(bytes_each)] + [
            spread([run[key] for run in found])[0] for key in ("p50_ms", "service_us",
                                                               "gateway_us")]


def making_row(stack, user, count, name, query):
    """A container is made once and kept until the user's records change; here it always is new."""
    record = stack.bundle(user, "?pageSize=1")["records"][0]
    taken, cpu_us = [], {process: 0.0 for process in stack.processes()}
    for number in range(count):
        mark = "m-%s-%d" % (query, number)
        stack.upload(user, [{"id": mark, "type": "update", "data": {"gate": mark},
                             "dataType": record["dataType"], "dataId": record["dataId"],
                             "timestamp": "2026-11-01T08:00:00Z"}])
        before, begun = stack.cpu_us(), time.perf_counter()
        body = fetch(stack, user, CONTAINER, BUNDLE_RECORDS, PATH + "?" + query)
        taken.append(time.perf_counter() - begun)
        for process, value in stack.cpu_us().items():
            cpu_us[process] += value - before[process]
    rates = spread([BUNDLE_RECORDS / seconds for seconds in taken])
    middle = spread(taken)[0]
    return [name + ", made anew, 1 client"] + rates + [
        len(body) / middle / 1e6, len(body), middle * 1000] + [
            cpu_us[process] / count / BUNDLE_RECORDS for process in ("service", "gateway")]
