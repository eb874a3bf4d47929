#!/usr/bin/env python3
"""Verifies an exported ledger, written from docs/ledger.md alone.

    verify_ledger.py EXPORT [CHECKPOINT]

EXPORT is what `byokctl audit export` wrote, CHECKPOINT what `byokctl audit checkpoint -o` did. Needs Python 3.9 or newer with
`cryptography`. Prints each finding and exits with 1, or says that all is well.
"""
import hashlib
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

START = "00" * 32


def lp(data):
    """L-1."""
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def u64(number):
    return lp(struct.pack(">Q", number))


def i64(number):
    return lp(struct.pack(">q", number))


def event_hash(chain, event):
    """L-11."""
    owner = lp(b"\x00") if chain == "platform" else lp(b"\x01") + lp(chain.removeprefix("workspaces/"))
    data = lp("byokd/row/v1") + lp("audit event") + owner
    data += u64(event["number"]) + i64(event["time_micros"]) + lp(event["actor"]) + lp(event["event"])
    data += u64(len(event["details"])) + b"".join(lp(name) + lp(value) for name, value in event["details"])
    return hashlib.sha256(data + lp(bytes.fromhex(event["previous"]))).hexdigest()


def signature_holds(point):
    """L-20."""
    data = lp("byokd/checkpoint/v1") + lp(bytes.fromhex(point["cluster"])) + lp(point["chain"])
    data += u64(point["number"]) + lp(bytes.fromhex(point["head"])) + i64(point["time_micros"])
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(point["public_key"]))
        key.verify(bytes.fromhex(point["signature"]), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify(lines, kept=None):
    """The findings of L-40 to L-42."""
    findings = []
    head, points, last, previous, hashes, end = None, [], 0, START, {0: START}, None
    for place, line in enumerate(lines, 1):
        try:
            one = json.loads(line)
            if end is not None:
                findings.append(f"line {place}: something follows the end")
            elif place == 1:
                head = one
                last, previous = head["after"], None if head["after"] else START
                if head["byokd_ledger"] != 1:
                    return [f"line 1: format {head['byokd_ledger']} is not known here"]
            elif "number" in one:
                if one["number"] != last + 1:
                    findings.append(f"line {place}: event {one['number']} where {last + 1} belongs")
                if event_hash(head["chain"], one) != one["hash"]:
                    findings.append(f"event {one['number']} was altered")
                elif previous not in (None, one["previous"]):
                    findings.append(f"event {one['number']} does not follow the one before")
                if previous is None:
                    hashes[one["number"] - 1] = one["previous"]
                last, previous = one["number"], one["hash"]
                hashes[last] = previous
                if one["event"] == "ledger.checkpointed":
                    said = dict(one["details"])
                    point = {"cluster": head["cluster"], "chain": head["chain"], "number": int(said["number"])}
                    point |= {"time_micros": int(said["at_micros"]), "head": said["head"]}
                    point |= {"public_key": said["public_key"], "signature": said["signature"]}
                    points.append((f"the checkpoint in event {last}", point))
            else:
                end = one
                points.append(("the closing checkpoint", end["checkpoint"]))
                if end["events"] != last - head["after"] or end["checkpoint"]["number"] != last:
                    findings.append("the end counts other events than there are")
        except (ValueError, KeyError, TypeError, AttributeError) as why:
            findings.append(f"line {place}: unreadable: {why!r}")
            if head is None:
                return findings
    if end is None:
        findings.append(f"cut off after event {last}: there is no end")
    if kept is not None:
        points.append(("the checkpoint that was kept", kept))
        if kept["number"] > last:
            findings.append(f"cut off after event {last}: the checkpoint that was kept has seen {kept['number']}")
    for name, point in points:
        if not signature_holds(point):
            findings.append(f"the signature of {name} does not hold")
        elif kept is not None and point["public_key"] != kept["public_key"]:
            findings.append(f"{name} is signed by another key than the one that was kept")
        elif (point["cluster"], point["chain"]) != (head["cluster"], head["chain"]):
            findings.append(f"{name} is of another chain")
        elif hashes.get(point["number"], point["head"]) != point["head"]:
            findings.append(f"{name} says something else of event {point['number']}")
    return findings


def main(args):
    with open(args[0], encoding="utf-8") as file:
        lines = file.read().splitlines()
    kept = None
    if len(args) > 1:
        with open(args[1], encoding="utf-8") as file:
            kept = json.load(file)
    findings = verify(lines, kept)
    print("\n".join(findings) if findings else f"{max(len(lines) - 2, 0)} events are as they were written")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
