"""Patch operations as a device applies them: docs/protocol.md, "Bundles"."""
import copy


def segments(pointer):
    return [segment.replace("~1", "/").replace("~0", "~") for segment in pointer.split("/")[1:]]


def place(holder, segment):
    """The key of a member, or the number of the element with this id; None when it is not there."""
    if isinstance(holder, dict):
        return segment if segment in holder else None
    found = [number for number, element in enumerate(holder) if str(element["id"]) == segment]
    assert len(found) <= 1, "an id twice"
    return found[0] if found else None


def holder_of(value, path):
    """What holds the end of a path, and the last segment."""
    *outer, last = segments(path)
    for segment in outer:
        value = value[place(value, segment)]
    return value, last


def put(root, path, value):
    holder, last = holder_of(root, path)
    at = place(holder, last)
    if isinstance(holder, list) and at is None:
        holder.append(value)
    else:
        holder[last if at is None else at] = value


def order(elements, ids):
    names = [str(name) for name in ids]
    ranks = {name: number for number, name in enumerate(names)}
    elements.sort(key=lambda element: ranks.get(str(element["id"]), len(names)))


def apply(value, operations):
    """The record that the operations make of another."""
    root = copy.deepcopy(value)
    for step in operations:
        holder, last = holder_of(root, step["path"])
        at = place(holder, last)
        if "moveFrom" in step:
            source, name = holder_of(root, step["moveFrom"])
            put(root, step["path"], source.pop(place(source, name)))
        elif step.get("remove"):
            if at is not None:
                del holder[at]
        elif "order" in step:
            order(holder[at], step["order"])
        else:
            put(root, step["path"], step["set"])
    return root
