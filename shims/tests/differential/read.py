"""Answers questions with HTCondor's Python package: read.py TASK FILE, one JSON value a line in and out.

Each question is answered in a process of its own: some texts crash the library, others keep it busy for ever.
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


def answer(task, question):
    """What the task says, or how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(TIMEOUT_S)
        with os.fdopen(writer, "w") as out:
            json.dump(task(question), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as given:
        text = given.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if status == 0 else {"died": status}


def main():
    task = {"expression": expression, "log": log, "submit": submit}[sys.argv[1]]
    with open(sys.argv[2]) as questions:
        for line in questions:
            print(json.dumps(answer(task, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
