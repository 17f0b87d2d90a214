from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from graphpe.benchmarks.console import signals

CODE = """
import hashlib, importlib.util, signal, sys
spec = importlib.util.spec_from_file_location("signals", sys.argv[1])  # without the seconds that graphpe takes
signals = importlib.util.module_from_spec(spec)
spec.loader.exec_module(signals)
signal.signal(signal.SIGINT, signal.default_int_handler)
with signals.heard_at_once("graphpe train"):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10**9)  # one call, some minutes
"""


def test_ctrl_c_during_one_long_call_is_heard_and_a_second_one_ends_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, signals.__file__], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)  # until it is in that call
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == (
        "graphpe train: stopping as soon as what is being computed is done; Ctrl-C again ends it at once\n"
    )
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert process.stderr.read() == ""


def test_what_ends_by_itself_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), signals.heard_at_once("graphpe train"):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    with signals.heard_at_once("graphpe train"):
        pass
    assert capsys.readouterr() == ("", "")
