"""What a device computes of the records it holds: canonical JSON and the state checksum."""
import hashlib
import json
import math

DATA_TYPES = {1: "trip", 2: "profile", 3: "preference", 4: "booking"}


def canonical_number(number):
    """A number as ECMAScript writes it (RFC 8785 section 3.2.2.3)."""
    if isinstance(number, int) and abs(number) < 10 ** 21:
        return str(number)
    number = float(number)
    if number == 0:
        return "0"
    if math.isinf(number) or math.isnan(number):
        raise ValueError("not a JSON number")
    mantissa, exponent = ("%r" % abs(number)).partition("e")[::2]
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    point = len(whole) + int(exponent or 0)
    digits = whole + part
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    sign = "-" if number < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = "e%s%d" % ("+" if point > 0 else "-", abs(point - 1))
    return sign + digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + power


def canonical(value):
    """RFC 8785 text of a JSON value."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{%s}" % ",".join(
            json.dumps(name, ensure_ascii=False) + ":" + canonical(value[name]) for name in names)
    if isinstance(value, list):
        return "[%s]" % ",".join(canonical(item) for item in value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        # Python leaves DEL and others as they are, which is what RFC 8785 wants.
        return json.dumps(value, ensure_ascii=False)
    return canonical_number(value)


def checksum(records):
    """The state checksum of {(dataType, dataId): data}, 32 hexadecimal digits."""
    numbers = {name: number for number, name in DATA_TYPES.items()}
    total = 0
    for (data_type, data_id), data in records.items():
        inner = hashlib.sha256(canonical(data).encode()).digest()
        element = hashlib.sha256(bytes([numbers[data_type]]) + data_id.encode() + b"\0" + inner)
        total += int.from_bytes(element.digest()[:16], "big")
    return "%032x" % (total % (1 << 128))


def merge_patch(target, patch):
    """RFC 7396: the value that a patch makes of another."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result
