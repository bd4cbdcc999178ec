"""Answers questions with HTCondor's Python package: read.py TASK FILE, one JSON value a line in and out.

A hundred questions share a process: some texts crash the library, others keep it busy for ever. The ones behind such
a text are asked again in the next process.
"""

import json
import os
import signal
import sys
import warnings

warnings.simplefilter("ignore")
import classad
import htcondor

TIMEOUT_S = 5
BATCH = 100


def value(result):
    """A tagged value that JSON keeps as it is."""
    if result is classad.Value.Undefined:
        return ["undefined"]
    if result is classad.Value.Error:
        return ["error"]
    if isinstance(result, bool):
        return ["boolean", result]
    if isinstance(result, int):
        return ["integer", result]
    if isinstance(result, float):
        return ["real", result.hex()]
    if isinstance(result, str):
        return ["string", result]
    return ["other"]


def expression(question):
    try:
        expr = classad.ExprTree(question["expr"])
    except Exception:
        return {"refused": True}
    ad = classad.parseOne(question["ad"], classad.Parser.Old)
    ad["Answer__"] = expr
    try:
        result = value(ad.eval("Answer__"))
    except Exception as error:
        result = ["exception", repr(error)]
    ad["Text__"] = classad.ExprTree("string(Answer__)")
    return {"printed": str(expr).strip(), "value": result, "text": value(ad.eval("Text__"))}


def log(question):
    events = []
    for event in htcondor.JobEventLog(question["file"]).events(stop_after=0):
        events.append([int(event.type), event.cluster, event.proc, event.timestamp])
    return {"events": events}


def submit(question):
    items = question["items"]
    try:
        jobs = htcondor.Submit(question["text"]).jobs(
            count=question["count"],
            itemdata=None if items is None else iter(items),
            clusterid=1,
            qdate=question["qdate"],
            owner="alice",
        )
        return {"ads": [{name: text(ad.lookup(name)) for name in ad} for ad in jobs]}
    except Exception as error:
        return {"refused": str(error)}


def text(expr):
    """An expression as it stands in an ad in the old syntax."""
    return classad.ClassAd({"x": expr}).printOld().removeprefix("x =").strip()


def answers(task, questions):
    """What the task says to each, in order, up to the first that ended the process; how it ended, for that one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            for question in questions:
                signal.alarm(TIMEOUT_S)
                out.write(json.dumps(task(question)) + "\n")
                out.flush()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as given:
        found = [json.loads(line) for line in given if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    if len(found) < len(questions):
        found.append({"died": status})
    return found


def main():
    task = {"expression": expression, "log": log, "submit": submit}[sys.argv[1]]
    with open(sys.argv[2]) as questions:
        left = [json.loads(line) for line in questions]
    while left:
        found = answers(task, left[:BATCH])
        for answer in found:
            print(json.dumps(answer), flush=True)
        left = left[len(found):]


if __name__ == "__main__":
    main()
