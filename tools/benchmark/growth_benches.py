"""What a pull since a cursor costs as a user's records and their changes grow."""
import math
import os

from benchmark.report import Report, spread
from benchmark.stack import Stack
from benchmark.upload_benches import timed

RECORDS = (10, 100, 1000, 10000, 100000)
CHANGED = (1, 10, 100)
TIMES = (1, 10, 1000)
BATCH = 1000  # changes of an upload
PATCH = "&syncType=delta"
# Against the same pull by a user with the fewest records, whose changed ones changed once.
GROWTH_AT_MOST = 3


def change(stack, user, records, times, name):
    """Changes a field of each record so many times, each building on what was before its upload;
    the cursor behind the last one."""
    versions = {record["dataId"]: record["version"] for record in records}
    changes = [(record, "%d%s" % (time, name)) for time in range(times) for record in records]
    for begin in range(0, len(changes), BATCH):
        answer = stack.upload(user, [
            {"id": "%s-%d" % (name, begin + number), "type": "update",
             "dataType": record["dataType"], "dataId": record["dataId"],
             "baseVersion": versions[record["dataId"]], "data": {"airplaneSeat": seat},
             "timestamp": "2026-11-01T08:00:00Z"}
            for number, (record, seat) in enumerate(changes[begin:begin + BATCH])])
        for result in answer["results"]:
            versions[result["dataId"]] = result["version"]
    return answer["writeCheckpoint"]


def pull(stack, options, user, target, count):
    """CPU of the service and milliseconds of a pull, as medians, and its bytes."""
    found = [stack.load("pull", [user], {"expect": count, "count": '"dataId":',
                                           **timed(options, 0.1)}, [target])
             for _ in range(options.rounds)]
    return (spread([run["service_us"] * count for run in found])[0],
            spread([run["p50_ms"] for run in found])[0],
            round(found[0]["received_bytes"] / max(found[0]["requests"], 1)))


def points(options):
    """(records, changed, times) -> what a pull of whole records and one of patches took."""
    found = {}
    with Stack(options.binaries, options.data) as stack:
        for records in RECORDS:
            user = stack.users(1)[0]
            stack.fill([user], records)
            for changed in (number for number in CHANGED if number <= records):
                stock = stack.bundle(user, "?pageSize=%d" % changed)["records"]
                for times in TIMES:
                    name = "g%d-%d" % (changed, times)
                    target = "/api/offline/bundle?cursor=" + change(stack, user, stock[:1], 1,
                                                                    "before-" + name)
                    change(stack, user, stock, times, name)
                    found[records, changed, times] = (
                        pull(stack, options, user, target, changed),
                        pull(stack, options, user, target + PATCH, changed))
    return found


def growth(options):
    report = Report("growth", "Pulls since a cursor, by records, changed ones and changes of each")
    found = points(options)
    columns = ["records, changed × times"] + [
        "%s: %s" % (form, name) for form in ("whole", "patches")
        for name in ("service µs", "p50 ms", "bytes", "of the least")]
    rows = report.table("medians of %d rounds, 1 client" % options.rounds, columns)
    worst = [0.0, 0.0]
    for (records, changed, times), forms in found.items():
        row = ["%s, %d × %s" % (format(records, ","), changed, format(times, ","))]
        least = found[max(RECORDS[0], changed), changed, TIMES[0]]
        for form, figures in enumerate(forms):
            ratio = figures[0] / max(least[form][0], 1.0)
            worst[form] = max(worst[form], ratio)
            row += list(figures) + [ratio]
        rows.append(row)
    for form, name in enumerate(("whole records", "patches")):
        report.check("dearest pull of %s against the least of as many" % name, worst[form],
                     "times", at_most=GROWTH_AT_MOST)
    path = os.path.join(options.root, ".cache", "bench", "growth.svg")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(picture({key: forms[1][0] for key, forms in found.items()}))
    report.text("picture", path)
    return report


LEFT, TOP, WIDTH, HEIGHT, RIGHT = 70, 30, 460, 300, 190
COLORS = ("#1b6ca8", "#c8553d", "#3d8b4f")
DASHES = ("", "6 4", "2 3")


def picture(figures):
    """An SVG of µs over records, both by decades; a colour a number changed, a dash the times."""
    high = math.ceil(math.log10(max(2.0, *figures.values())))
    low = math.floor(math.log10(max(1.0, min(figures.values()))))

    def across(records):
        return LEFT + WIDTH * (math.log10(records) - 1) / (math.log10(RECORDS[-1]) - 1)

    def down(value):
        return TOP + HEIGHT * (high - math.log10(max(value, 1.0))) / (high - low)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
             'font-family="sans-serif" font-size="12">' % (LEFT + WIDTH + RIGHT, TOP + HEIGHT + 50),
             '<rect width="100%" height="100%" fill="white"/>',
             '<text x="%d" y="18">CPU of the service for a delta pull, µs</text>' % LEFT,
             '<text x="%d" y="%d">records of the user</text>' % (
                 LEFT + WIDTH / 2 - 50, TOP + HEIGHT + 42)]
    for decade in range(low, high + 1):
        parts.append('<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" '
                     'text-anchor="end">%s</text>' % (
                         LEFT, down(10 ** decade), WIDTH, LEFT - 8, down(10 ** decade) + 4,
                         format(10 ** decade, ",")))
    for records in RECORDS:
        parts.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (
            across(records), TOP + HEIGHT + 20, format(records, ",")))
    for row, (changed, color) in enumerate(zip(CHANGED, COLORS)):
        for place, (times, dash) in enumerate(zip(TIMES, DASHES)):
            line = ["%.1f,%.1f" % (across(records), down(figures[records, changed, times]))
                    for records in RECORDS if (records, changed, times) in figures]
            style = 'fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"' % (color, dash)
            height = TOP + 10 + 20 * (row * len(TIMES) + place)
            parts.append('<polyline points="%s" %s/>' % (" ".join(line), style))
            parts.append('<path d="M%d %dh30" %s/><text x="%d" y="%d">%d changed × %s</text>' % (
                LEFT + WIDTH + 12, height, style, LEFT + WIDTH + 48, height + 4, changed,
                format(times, ",")))
    return "\n".join(parts + ["</svg>"]) + "\n"
