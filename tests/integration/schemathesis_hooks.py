"""What a schema cannot say of the requests that Schemathesis makes up."""
import schemathesis

# Only an earlier answer, or the token, says what these may be.
OPAQUE = ("cursor", "offset", "pageToken", "since", "updateMask", "userId")


def mend_times(fields, name):
    """A date-time may lie in any year, a change may not."""
    if isinstance(fields.get(name), str) and fields[name] < "1970-01-03":
        fields[name] = "1970-01-03T00:00:00Z"


def mend_changes(changes):
    """Gives each change an id of its own, and what its type asks for."""
    ids = set()
    for number, change in enumerate(changes):
        if not isinstance(change, dict):
            continue
        changes[number] = change = dict(change)  # one may stand there twice
        if isinstance(change.get("id"), str):
            change["id"] = "made-up-%d" % number if change["id"] in ids else change["id"]
            ids.add(change["id"])
        mend_times(change, "timestamp")
        change.pop("operations", None)  # only an update has them, in place of data
        data = change.get("data")
        change["data"] = {} if data is None else data
        change["dataId"] = change.get("dataId") or "made-up"
        if isinstance(data, dict):
            change["data"] = {name: value for name, value in data.items() if name != "id"}


def mend_range(query):
    """Leaves out ends of a range that need a type, or are in the wrong order."""
    first, behind = (query.get(name) or "" for name in ("fromDataId", "toDataId"))
    has_type = query.get("dataType") not in (None, "", 0, "0", "unspecified")
    if not has_type:
        query.pop("fromDataId", None)
    if not has_type or str(first).encode() >= str(behind).encode():
        query.pop("toDataId", None)


@schemathesis.hook
def before_call(_, case, __):
    """Leaves out what cannot be made up, and mends what fields ask of each other."""
    if isinstance(case.query, dict) and not case.query.get("updateMask"):
        case.query.pop("updateMask", None)
    if case.meta and case.meta.generation.mode.is_negative:
        return
    if isinstance(case.query, dict):
        for name in OPAQUE:
            case.query.pop(name, None)
        mend_range(case.query)
    case.headers.pop("range", None)  # whether it lies in the bundle, only the bundle says
    if not isinstance(case.body, dict):
        return
    case.body.pop("acknowledgedCursor", None)
    if case.body.get("resolution") not in ("merge", 3):
        case.body.pop("mergedData", None)
    elif case.body.get("mergedData") is None:
        case.body["mergedData"] = {}
    mend_times(case.body, "sentAt")
    if isinstance(case.body.get("changes"), list):
        mend_changes(case.body["changes"])
