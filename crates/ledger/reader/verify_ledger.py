#!/usr/bin/env python3
"""Verifies an exported ledger, written from docs/ledger.md alone.

    verify_ledger.py [--after NUMBER] EXPORT [CHECKPOINT...]

EXPORT is what `byokctl audit export` wrote, each CHECKPOINT what `byokctl audit checkpoint -o` did. An export has to be of the whole
chain, unless --after says that only what comes after that event was asked for. Needs Python 3.9 or newer with `cryptography`. Prints
each finding and exits with 1, or says that all is well.
"""
import argparse
import datetime
import hashlib
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

START = "00" * 32
EPOCH = datetime.datetime(1970, 1, 1)
CHECKPOINTED = ["number", "head", "at_micros", "public_key", "signature"]
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error)


def once(members):
    """L-30: no member comes twice."""
    one = dict(members)
    if len(one) != len(members):
        raise ValueError("a member comes twice")
    return one


def time_text(micros):
    """L-32."""
    return (EPOCH + datetime.timedelta(microseconds=micros)).isoformat(timespec="milliseconds") + "Z"


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
    try:
        data = lp("byokd/checkpoint/v1") + lp(bytes.fromhex(point["cluster"])) + lp(point["chain"])
        data += u64(point["number"]) + lp(bytes.fromhex(point["head"])) + i64(point["time_micros"])
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(point["public_key"]))
        key.verify(bytes.fromhex(point["signature"]), data)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def verify(lines, kept=(), after=0):
    """The findings of L-40 to L-42. Lines are bytes without their line feed; `kept` are checkpoints; `after` is the event that the
    export may begin after."""
    findings = []
    head, points, last, previous, hashes, end = None, [], 0, START, {0: START}, None
    for place, line in enumerate(lines, 1):
        try:
            one = json.loads(line.decode(), object_pairs_hook=once)
            if end is not None:
                findings.append(f"line {place}: something follows the end")
            elif place == 1:
                if one["byokd_ledger"] != 1:
                    return [f"line 1: format {one['byokd_ledger']} is not known here"]
                if type(one["after"]) is not int or one["after"] < 0:
                    raise TypeError("after is no number")
                last, previous = one["after"], None if one["after"] else START
                head = {name: one[name] for name in ("cluster", "chain", "public_key", "after")}
                if head["after"] > after:
                    findings.append(f"events {after + 1} to {head['after']} are missing")
            elif "number" in one:
                if one["number"] != last + 1:
                    findings.append(f"line {place}: event {one['number']} where {last + 1} belongs")
                if event_hash(head["chain"], one) != one["hash"] or time_text(one["time_micros"]) != one["time"]:
                    findings.append(f"event {one['number']} was altered")
                elif previous not in (None, one["previous"]):
                    findings.append(f"event {one['number']} does not follow the one before")
                if previous is None:
                    hashes[one["number"] - 1] = one["previous"]
                last, previous = one["number"], one["hash"]
                hashes[last] = previous
                if one["event"] == "ledger.checkpointed":
                    said = once(one["details"])
                    if list(said) != CHECKPOINTED:
                        raise ValueError("this is no checkpoint")
                    point = {"cluster": head["cluster"], "chain": head["chain"], "number": int(said["number"])}
                    if point["number"] >= last:
                        findings.append(f"the checkpoint in event {last} is about event {said['number']}, not before it")
                    point |= {"time_micros": int(said["at_micros"]), "head": said["head"]}
                    point |= {"public_key": said["public_key"], "signature": said["signature"]}
                    points.append((f"the checkpoint in event {last}", point))
            else:
                end = one
                points.append(("the closing checkpoint", end["checkpoint"]))
                if time_text(end["checkpoint"]["time_micros"]) != end["checkpoint"]["time"]:
                    findings.append("the closing checkpoint names another time than it is signed for")
                if end["checkpoint"]["public_key"] != head["public_key"]:
                    findings.append("the head names another key than the closing checkpoint")
                if end["events"] != last - head["after"] or end["checkpoint"]["number"] != last:
                    findings.append("the end counts other events than there are")
        except UNREADABLE as why:
            findings.append(f"line {place}: unreadable: {why!r}")
            if head is None:
                return findings
    if end is None:
        findings.append(f"cut off after event {last}: there is no end")
    if head is None:
        return findings
    if last < after:
        findings.append(f"cut off after event {last}: event {after} is known to be there")
    for point in kept:
        points.append(("the checkpoint that was kept", point))
        if point["number"] > last:
            findings.append(f"cut off after event {last}: the checkpoint that was kept has seen {point['number']}")
        if point["number"] < head["after"]:
            findings.append("nothing ties this part to the checkpoint that was kept, which is from before it")
    keys = {point["public_key"] for point in kept} or {head["public_key"]}
    for name, point in points:
        if not signature_holds(point):
            findings.append(f"the signature of {name} does not hold")
        elif point["public_key"] not in keys:
            findings.append(f"{name} is signed by another key than the one that was kept or that the head names")
        elif (point["cluster"], point["chain"]) != (head["cluster"], head["chain"]):
            findings.append(f"{name} is of another chain")
        elif hashes.setdefault(point["number"], point["head"]) != point["head"]:
            findings.append(f"{name} says something else of event {point['number']}")
    return findings


def number(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("this is no event's number")
    return int(text)


def main(args):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--after", type=number, default=0, metavar="NUMBER", help="expect only events with a number above this one")
    parser.add_argument("export")
    parser.add_argument("checkpoint", nargs="*")
    args = parser.parse_args(args)
    with open(args.export, "rb") as file:
        lines = file.read().split(b"\n")
    if not lines[-1]:
        lines.pop()
    kept = []
    for name in args.checkpoint:
        with open(name, encoding="utf-8") as file:
            kept.append(json.load(file, object_pairs_hook=once))
    findings = verify(lines, kept, args.after)
    if findings:
        print("\n".join(findings))
        return 1
    print(f"{max(len(lines) - 2, 0)} events are as they were written")
    begins = json.loads(lines[0])["after"]
    if begins:
        print(f"it begins at event {begins + 1}: what stands before was not looked at")
    if json.loads(lines[-1]).get("behind"):
        print("the service could not write its latest events before this export: they will be in a later one")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
