from __future__ import annotations

import textwrap

import pytest

CASES = {
    "independent statements fan out": (
        "def f(x, y):\n a = x\n b = y\n c = a, b",
        ["def f:1 -> assign:2", "def f:1 -> assign:3", "assign:2 -> assign:4", "assign:3 -> assign:4"],
    ),
    "what follows from others is left out": (
        "def f(x):\n a = x\n b = a\n c = a, b",
        ["def f:1 -> assign:2", "assign:2 -> assign:3", "assign:3 -> assign:4"],
    ),
    "read before write": ("def f(x):\n a = x\n x = 1", ["def f:1 -> assign:2", "assign:2 -> assign:3"]),
    "write before write": ("def f(x):\n x = 1\n x = 2", ["def f:1 -> assign:2", "assign:2 -> assign:3"]),
    "reads are free": ("def f(x):\n a = x\n b = x", ["def f:1 -> assign:2", "def f:1 -> assign:3"]),
    "calls stay in order": ("def f(x, y):\n x()\n y()", ["def f:1 -> expr:2", "expr:2 -> expr:3"]),
    "a call and what it does not name": ("def f(x, y):\n x()\n a = y", ["def f:1 -> expr:2", "def f:1 -> assign:3"]),
    "a call may write what it names": ("def f(x, y):\n x(y)\n a = y", ["def f:1 -> expr:2", "expr:2 -> assign:3"]),
    "a call and an attribute": ("def f(x, y):\n x()\n a = y.b", ["def f:1 -> expr:2", "expr:2 -> assign:3"]),
    "attributes may be read in any order": (
        "def f(x, y):\n a = x.a\n b = y[0]",
        ["def f:1 -> assign:2", "def f:1 -> assign:3"],
    ),
    "a written attribute is in order": (
        "def f(x, y):\n a = x.a\n y.a = 1",
        ["def f:1 -> assign:2", "assign:2 -> assign:3"],
    ),
    "a written object is in order with its name": (
        "def f(x):\n a = x\n x[0] = 1",
        ["def f:1 -> assign:2", "assign:2 -> assign:3"],
    ),
    "globals and calls": ("def f(x):\n x()\n a = G", ["def f:1 -> expr:2", "expr:2 -> assign:3"]),
    "a call may read and write what functions capture": (
        """
        def f(g):
            x = y = z = 1
            def h():
                nonlocal x
                x = y
            g()
            y = 2
            a = x
            b = z
        """,
        [
            "def f:1 -> assign:2",
            "assign:2 -> def h:3",
            "def h:3 -> nonlocal:4",
            "nonlocal:4 -> assign:5",
            "def h:3 -> expr:6",
            "expr:6 -> assign:7",
            "assign:7 -> assign:8",
            "assign:2 -> assign:9",
        ],
    ),
    "effects on control are ordered with everything": (
        "def f(x):\n a = 1\n b = 2\n assert x\n c = 3\n d = 4\n return",
        [
            "def f:1 -> assign:2",
            "def f:1 -> assign:3",
            "assign:2 -> assert:4",
            "assign:3 -> assert:4",
            "assert:4 -> assign:5",
            "assert:4 -> assign:6",
            "assign:5 -> return:7",
            "assign:6 -> return:7",
        ],
    ),
    "also inside": (
        "def f(x):\n a = 1\n if x:\n  return\n b = 2",
        ["def f:1 -> assign:2", "assign:2 -> if:3", "if:3 -> return:4", "if:3 -> assign:5"],
    ),
    "yield": (
        "def f(x):\n a = 1\n yield x\n b = 2",
        ["def f:1 -> assign:2", "assign:2 -> expr:3", "expr:3 -> assign:4"],
    ),
    "await": ("async def f(x, y):\n await x\n await y", ["def f:1 -> expr:2", "expr:2 -> expr:3"]),
    "compound statements conflict as a whole": (
        """
        def f(x, y):
            if x:
                a = 1
            else:
                b = 1
            c = y
            d = a
            e = b
        """,
        [
            "def f:1 -> if:2",
            "if:2 -> assign:3",
            "if:2 -> assign:5",
            "def f:1 -> assign:6",
            "if:2 -> assign:7",
            "if:2 -> assign:8",
        ],
    ),
    "elif is a block of one": (
        "def f(x):\n if x: pass\n elif x: a = 1\n else: b = 1",
        ["def f:1 -> if:2", "if:2 -> pass:2", "if:2 -> if:3", "if:3 -> assign:3", "if:3 -> assign:4"],
    ),
    "loops return to their beginning": (
        "def f(x):\n for i in x:\n  a = i\n  b = i\n  c = b\n else:\n  d = 1",
        [
            "def f:1 -> for:2",
            "for:2 -> assign:3",
            "for:2 -> assign:4",
            "assign:4 -> assign:5",
            "assign:3 -> for:2",
            "assign:5 -> for:2",
            "for:2 -> assign:7",
        ],
    ),
    "break and continue go to their loop": (
        "def f(x):\n while x:\n  if x: break\n  if x: continue\n  a = 1\n b = 1",
        [
            "def f:1 -> while:2",
            "while:2 -> if:3",
            "if:3 -> break:3",
            "break:3 -> while:2",
            "if:3 -> if:4",
            "if:4 -> continue:4",
            "continue:4 -> while:2",
            "if:4 -> assign:5",
            "assign:5 -> while:2",
            "def f:1 -> assign:6",
        ],
    ),
    "break in an else is of the loop around": (
        "def f(x):\n while x:\n  for i in x: pass\n  else: break\n  a = 1",
        [
            "def f:1 -> while:2",
            "while:2 -> for:3",
            "for:3 -> pass:3",
            "pass:3 -> for:3",
            "for:3 -> break:4",
            "break:4 -> while:2",
            "for:3 -> assign:5",
            "assign:5 -> while:2",
        ],
    ),
    "try, handlers and raise": (
        """
        def f(x):
            try:
                raise x
            except A:
                a = 1
            except B:
                raise
            else:
                b = 1
            finally:
                c = 1
        """,
        [
            "def f:1 -> try:2",
            "try:2 -> raise:3",
            "raise:3 -> excepthandler:4",
            "try:2 -> excepthandler:4",
            "excepthandler:4 -> assign:5",
            "excepthandler:4 -> excepthandler:6",
            "excepthandler:6 -> raise:7",
            "try:2 -> assign:9",
            "try:2 -> assign:11",
        ],
    ),
    "cases are tried in order": (
        "def f(x):\n match x:\n  case 1: a = 1\n  case 2: b = 1",
        ["def f:1 -> match:2", "match:2 -> case:3", "case:3 -> assign:3", "case:3 -> case:4", "case:4 -> assign:4"],
    ),
    "with is ordered like calls": (
        "def f(x, y):\n with x:\n  a = 1\n y()",
        ["def f:1 -> with:2", "with:2 -> assign:3", "with:2 -> expr:4"],
    ),
    "blocks of nested functions and classes": (
        "def f():\n def g(): return 1\n class C:\n  a = 1\n  b = 2\n  c = a",
        [
            "def f:1 -> def g:2",
            "def g:2 -> return:2",
            "def f:1 -> def C:3",
            "def C:3 -> assign:4",
            "def C:3 -> assign:5",
            "assign:4 -> assign:6",
        ],
    ),
    "names of comprehensions and lambdas are their own": (
        "def f(x, y, i):\n a = [i for i in x]\n i = lambda y: y\n y = 1",
        ["def f:1 -> assign:2", "def f:1 -> assign:3", "def f:1 -> assign:4"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cfg_next(readable, name):
    source, expected = CASES[name]
    assert readable(textwrap.dedent(source).strip(), "CFG_NEXT") == set(expected)
