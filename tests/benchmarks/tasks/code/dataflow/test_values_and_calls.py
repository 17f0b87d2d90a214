from __future__ import annotations

import pytest

COMPUTED = {
    "every name is a source of every target": (
        "def f(x, y):\n a = b.c = d[0] = x + y(x)",
        [f"{source} -> {target}" for source in ("x:2", "y:2", "x:2'") for target in ("a:2", "b.c:2", "d[0]:2")],
    ),
    "elements go together": ("def f(x, y):\n a, [b, c] = x, [y, 1]", ["x:2 -> a:2", "y:2 -> b:2"]),
    "unless there is a star, or another number": (
        "def f(x, y):\n a, *b = x, y\n (c, d), e = x, y",
        ["x:2 -> a:2", "y:2 -> a:2", "x:2 -> b:2", "y:2 -> b:2", "x:3 -> c:3", "x:3 -> d:3", "y:3 -> e:3"],
    ),
    "a swap": ("def f(x, y):\n x, y = y, x", ["y:2' -> x:2", "x:2' -> y:2"]),
    "augmented and annotated": ("def f(x, y):\n x += y\n z: int = x", ["y:2 -> x:2", "x:3 -> z:3"]),
    "walrus": ("def f(x):\n return (y := x)", ["x:2 -> y:2"]),
    "for, with, match": (
        "def f(x):\n for i, j in x: pass\n with x as y: pass\n match x:\n  case [a, {**b}]: pass",
        ["x:2 -> i:2", "x:2 -> j:2", "x:3 -> y:3", "x:4 -> a:5", "x:4 -> b:5"],
    ),
    "comprehensions": (
        "def f(x):\n a = [i for j in x for i in j]",
        ["x:2 -> j:2", "j:2' -> i:2'", "i:2 -> a:2", "x:2 -> a:2", "j:2' -> a:2"],
    ),
    "the index of a target is no source": ("def f(x, i):\n x[i] = 1", []),
}

CALLS = {
    "a nested function": (
        "def f(x):\n def g(a):\n  if a: return 1\n  return a\n y = g(x)\n g = x\n g()",
        ["g(x):5 -> def g:2"],
        ["return:3 -> g(x):5", "return:4 -> g(x):5"],
    ),
    "recursion": ("def f(x):\n return f(x)", ["f(x):2 -> def f:1"], ["return:2 -> f(x):2"]),
    "one of two": (
        "def f(x):\n if x:\n  def g(): return 1\n else:\n  def g(): yield 2\n g()",
        ["g():6 -> def g:3", "g():6 -> def g:5"],
        ["return:3 -> g():6", "(yield 2):5 -> g():6"],
    ),
    "methods, lambdas and names that are not called are not followed": (
        "def f(x):\n def g(): return 1\n h = lambda: 1\n x.g()\n h()\n x(g)",
        [],
        [],
    ),
    "its own return, not that of an inner function": (
        "def f():\n def g():\n  def h(): return 1\n  return h\n g()",
        ["g():5 -> def g:2"],
        ["return:4 -> g():5"],
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_computed_from(readable, name):
    source, expected = COMPUTED[name]
    assert readable(source, "COMPUTED_FROM") == set(expected)


@pytest.mark.parametrize("name", CALLS)
def test_calls(readable, name):
    source, calls, returns = CALLS[name]
    assert readable(source, "CALLS") == set(calls)
    assert readable(source, "RETURNS_TO") == set(returns)


def test_a_method_does_not_call_itself_by_name(readable):
    assert readable("def f(x):\n return f(x)", "CALLS", is_method=True) == set()
