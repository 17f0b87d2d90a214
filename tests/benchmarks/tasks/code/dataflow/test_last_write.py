from __future__ import annotations

import textwrap

import pytest

from graphpe.benchmarks.tasks.code.dataflow.edge_types import MOST_SOURCES

# Line 1 is `def f(...)`. In a line, `x:3` is its first `x` in the order of the syntax tree, `x:3'` its second: in an
# assignment the target comes first. Functions and classes are `def name`.
CASES = {
    "parameters and assignments": (
        """
        def f(x, *y, k=1, **z):
            a = x
            return a, y, k, z
        """,
        ["x:1 -> x:2", "a:2 -> a:3", "y:1 -> y:3", "k:1 -> k:3", "z:1 -> z:3"],
    ),
    "a write hides the one before": ("def f(x):\n x = 1\n x", ["x:2 -> x:3"]),
    "the value is read before the target is written": ("def f(x):\n x = x\n x", ["x:1 -> x:2'", "x:2 -> x:3"]),
    "defaults and decorators are read outside": ("@x\ndef f(x=x):\n x", ["x:2 -> x:3"]),
    "if and else": (
        """
        def f(x):
            if x:
                a = 1
            else:
                a = 2
            a
        """,
        ["x:1 -> x:2", "a:3 -> a:6", "a:5 -> a:6"],
    ),
    "if alone": ("def f(a):\n if a:\n  a = 2\n a", ["a:1 -> a:2", "a:1 -> a:4", "a:3 -> a:4"]),
    "elif": (
        """
        def f(x):
            if x: a = 1
            elif x: a = 2
            elif x: return
            a
        """,
        ["x:1 -> x:2", "x:1 -> x:3", "x:1 -> x:4", "a:2 -> a:5", "a:3 -> a:5"],
    ),
    "while": (
        """
        def f(x):
            while x:
                x = x + 1
            return x
        """,
        ["x:1 -> x:2", "x:1 -> x:3'", "x:1 -> x:4", "x:3 -> x:2", "x:3 -> x:3'", "x:3 -> x:4"],
    ),
    "a read after return is not reached": ("def f(x):\n return x\n x", ["x:1 -> x:2"]),
    "for with else, continue and break": (
        """
        def f(x):
            for i in x:
                if i:
                    a = 1
                    continue
                if x:
                    a = 2
                    break
                a = 3
            else:
                a
            a
        """,
        [
            "x:1 -> x:2",
            "i:2 -> i:3",
            "x:1 -> x:6",
            "a:4 -> a:11",
            "a:9 -> a:11",
            "a:4 -> a:12",
            "a:7 -> a:12",
            "a:9 -> a:12",
        ],
    ),
    "a loop without end": (
        "def f(a):\n while True:\n  a = 1\n  if a: break\n  a = 2\n a",
        ["a:3 -> a:4", "a:3 -> a:6"],
    ),
    "the target of for, after it": ("def f(i, x):\n for i in x: pass\n i", ["x:1 -> x:2", "i:1 -> i:3", "i:2 -> i:3"]),
    "augmented": ("def f(x, y):\n x += y\n x", ["x:1 -> x:2", "y:1 -> y:2", "x:2 -> x:3"]),
    "augmented in a loop is its own last writer": (
        "def f(x, y):\n for _ in y: x += 1",
        ["y:1 -> y:2", "x:1 -> x:2", "x:2 -> x:2"],
    ),
    "tuples and stars": (
        "def f(x):\n a, (b, *c) = x\n a, b, c",
        ["x:1 -> x:2", "a:2 -> a:3", "b:2 -> b:3", "c:2 -> c:3"],
    ),
    "annotated": ("def f(x: x):\n y: x = x\n z: x\n return y, z", ["x:1 -> x:2'", "y:2 -> y:4"]),
    "walrus": ("def f(x):\n (y := x)\n y", ["x:1 -> x:2", "y:2 -> y:3"]),
    "walrus that may not be evaluated": (
        "def f(x, y):\n x and (y := 1)\n y",
        ["x:1 -> x:2", "y:1 -> y:3", "y:2 -> y:3"],
    ),
    "walrus on one side": (
        "def f(x, y):\n (y := 1) if x else y\n y",
        ["x:1 -> x:2", "y:1 -> y:2'", "y:1 -> y:3", "y:2 -> y:3"],
    ),
    "walrus in a comprehension belongs to the function": (
        "def f(x, y):\n [(y := y + i) for i in x]\n y",
        ["x:1 -> x:2", "i:2' -> i:2", "y:1 -> y:2'", "y:2 -> y:2'", "y:1 -> y:3", "y:2 -> y:3"],
    ),
    "attributes and subscripts write the object and leave the name": (
        """
        def f(x, i):
            x.a = i
            x
            x[i].b = 1
            x
            x = i
            x
        """,
        [
            "x:1 -> x:2",
            "i:1 -> i:2",
            "x:1 -> x:3",
            "x.a:2 -> x:3",
            "x:1 -> x:4",
            "x.a:2 -> x:4",
            "i:1 -> i:4",
            "x:1 -> x:5",
            "x[i].b:4 -> x:5",
            "i:1 -> i:6",
            "x:6 -> x:7",
        ],
    ),
    "an augmented attribute reads the object": (
        "def f(x):\n x.a += 1\n x[0] += 1\n x",
        ["x:1 -> x:2", "x:1 -> x:3", "x.a:2 -> x:3", "x:1 -> x:4", "x[0]:3 -> x:4"],
    ),
    "an object that may be written": (
        "def f(x):\n if x: del x[0]\n x",
        ["x:1 -> x:2", "x:1 -> x:2'", "x:1 -> x:3", "x[0]:2 -> x:3"],
    ),
    "del": ("def f(x):\n del x\n x", ["x:1 -> x:2"]),
    "del on one side": ("def f(x, y):\n if y: del x\n x", ["y:1 -> y:2", "x:1 -> x:2", "x:1 -> x:3"]),
    "try, every point": (
        """
        def f(a):
            try:
                a = 1
                a = 2
            except a as e:
                e
            else:
                a
            a
            e
        """,
        [
            "a:1 -> a:5",
            "a:3 -> a:5",
            "a:4 -> a:5",
            "e:5 -> e:6",
            "a:4 -> a:8",
            "a:1 -> a:9",
            "a:3 -> a:9",
            "a:4 -> a:9",
        ],
    ),
    "finally, normally and otherwise": (
        """
        def f(a):
            try:
                a = 1
            finally:
                a
            a
        """,
        ["a:1 -> a:5", "a:3 -> a:5", "a:3 -> a:6"],
    ),
    "finally after return": ("def f(a):\n try:\n  return a\n finally:\n  a\n a", ["a:1 -> a:3", "a:1 -> a:5"]),
    "finally on the way out of a loop": (
        """
        def f(a):
            while True:
                try:
                    break
                finally:
                    a = 1
            a
        """,
        ["a:6 -> a:7"],
    ),
    "a handler that leaves": (
        "def f(a):\n try:\n  a = 1\n except E:\n  raise\n a",
        ["a:3 -> a:6"],
    ),
    "with": ("def f(x):\n with x as y, y as z:\n  z", ["x:1 -> x:2", "y:2 -> y:2'", "z:2 -> z:3"]),
    "match": (
        """
        def f(x, a):
            match x:
                case [a, *b]: a, b
                case {"k": c, **d} if c: d
                case int() as e: e
            a
            c
        """,
        [
            "x:1 -> x:2",
            "a:3 -> a:3'",
            "b:3 -> b:3'",
            "c:4 -> c:4'",
            "d:4 -> d:4'",
            "e:5 -> e:5'",
            "a:1 -> a:6",
            "a:3 -> a:6",
            "c:4 -> c:7",
        ],
    ),
    "a case that always fits": (
        "def f(x, y):\n match x:\n  case 1: y = 1\n  case z: y = z\n y",
        ["x:1 -> x:2", "z:4 -> z:4'", "y:3 -> y:5", "y:4 -> y:5"],
    ),
    "comprehensions have names of their own": (
        "def f(x, i):\n [i for i in x if i for j in i]\n {i: j for i, j in x}\n i",
        [
            "x:1 -> x:2",
            "i:2' -> i:2",
            "i:2' -> i:2''",
            "i:2' -> i:2'''",
            "x:1 -> x:3",
            "i:3' -> i:3",
            "j:3' -> j:3",
            "i:1 -> i:4",
        ],
    ),
    "the first iterable is outside": ("def f(i):\n [i for i in i]", ["i:2' -> i:2", "i:1 -> i:2''"]),
    "lambda": (
        "def f(x, y):\n return lambda x, z=y: x + y + z",
        ["y:1 -> y:2", "x:2 -> x:2'", "y:1 -> y:2'", "z:2 -> z:2'"],
    ),
    "a lambda in a comprehension": ("def f(x):\n [lambda: i for i in x]", ["x:1 -> x:2", "i:2' -> i:2"]),
    "a nested function reads what is bound where it stands": (
        """
        def f(x):
            y = x
            def g(a):
                y = a
                return x, y
            y = 1
            return g
        """,
        ["x:1 -> x:2", "a:3 -> a:4", "x:1 -> x:5", "y:4 -> y:5", "def g:3 -> g:7"],
    ),
    "nonlocal": (
        """
        def f(x):
            def g():
                nonlocal x
                x = x + 1
            x
        """,
        ["x:1 -> x:4'", "x:1 -> x:5", "x:4 -> x:5"],
    ),
    "global": (
        """
        def f(y):
            global x
            x = y
            def g(x):
                x
            def h():
                global y
                y = x
            return y, x
        """,
        ["y:1 -> y:3", "x:4 -> x:5", "x:3 -> x:8", "y:1 -> y:9", "x:3 -> x:9"],
    ),
    "two names of one variable": (
        """
        def f():
            def g():
                global x
                x = 1
                def h():
                    nonlocal x
                    x = 2
                return x
        """,
        ["x:4 -> x:8", "x:7 -> x:8"],
    ),
    "a class has a scope that methods do not see": (
        """
        def f(x):
            class C(x):
                x = x
                y = x
                def m(self):
                    return x, self
            return C
        """,
        ["x:1 -> x:2", "x:3 -> x:4", "x:1 -> x:6", "self:5 -> self:6", "def C:2 -> C:7"],
    ),
    "imports": (
        "def f():\n import a.b, c as d\n from e import g\n a, c, d, g",
        ["a.b:2 -> a:4", "d:2 -> d:4", "g:3 -> g:4"],
    ),
    "its own name": ("def f():\n f()\n f = 1\n f", ["f:3 -> f:4"]),
    "recursion": ("def f():\n f()", ["def f:1 -> f:2"]),
    "async": (
        "async def f(x):\n async for i in x: await i\n async with x as y: yield y",
        ["x:1 -> x:2", "i:2 -> i:2'", "x:1 -> x:3", "y:3 -> y:3'"],
    ),
    "code that is not reached has functions": (
        "def f(x):\n return\n def g(y):\n  return x, y",
        ["y:3 -> y:4"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_last_write(readable, name):
    source, expected = CASES[name]
    assert readable(textwrap.dedent(source).strip(), "LAST_WRITE") == set(expected)


def test_a_method_does_not_see_its_name(readable):
    assert readable("def f(self):\n f()\n self.f()", "LAST_WRITE", is_method=True) == {"self:1 -> self:3"}


def test_the_last_sources_are_kept_where_there_are_many(readable):
    lines = [f" if y: x = {number}" for number in range(100)]
    found = readable("\n".join(["def f(x, y):", *lines, " x"]), "LAST_WRITE")
    writers = {edge.split(" -> ")[0] for edge in found if edge.endswith("-> x:102")}
    assert writers == {f"x:{line}" for line in range(102 - MOST_SOURCES, 102)}
