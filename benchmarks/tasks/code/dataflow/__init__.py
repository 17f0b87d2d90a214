"""Data flow of Python functions: which edges a graph has with `graph="dataflow"`, built on `ast` alone.

The construction follows the data-flow-centric graphs of Geisler et al. (2023), "Transformers Meet Directed Graphs";
where it decides otherwise, the text says so.

**Nodes** are those of `graph="ast"`: a `Module`, the function's definition, and every syntax node below it, with type,
attribute and depth. There is one edge for each syntax edge, and there are five more types of edges.

`FIELD`, parent -> child, is the syntax tree; the edge's category is the field (`body`, `test`, `left`, `args`, ...).
Positions in lists are not part of it: in a block, order is what CFG_NEXT says.

`LAST_WRITE`, writer -> reader: on some path through the function the reader sees what the writer wrote to a variable.
* Writers are the nodes that bind a name: `Name` in Store context, `arg`, the definition of a function or class,
  `alias` of an import, `ExceptHandler` and captures of `match`. Readers are `Name` in Load or Del context and the
  target of an augmented assignment, which is a writer too (in a loop it may so be its own last writer). `del` and the
  end of an `except ... as name` unbind: what follows sees no write.
* A name has a second variable, the object it stands for. `x.a = ...`, `x[i] = ...`, `x.a.b[0] += ...` and `del x[i]`
  write the object of `x`, and that `Attribute` or `Subscript` node is the writer: it may change what a read of `x`
  gives, so the binding stays in sight, and both are linked. The last of several such writes is the one that is linked;
  binding `x` ends them. Other names of the same object are not followed, nor are changes made by calls.
* Paths: both sides of every condition, including `while x:` (but a loop over a true constant ends by `break` only);
  zero or more rounds of a loop; its `else` unless by `break`. The part of a statement behind a jump is not reached. In
  `try`, an exception may come before or after every write of the body; handlers see all of them. `finally` runs once
  for the normal end, and once for exceptions and jumps, which share what they see. `with` lets exceptions pass. Cases
  of `match` are tried in order; a capture is bound if its pattern fits, even if the guard then fails. Operands of
  `and`, `or` and `if`-`else` expressions that need not be evaluated matter where they hold `:=`.
* Scopes are those of Python: functions, lambdas and comprehensions have their own names, classes too, and theirs are
  not seen from their methods; `global` and `nonlocal` redirect. A function, a lambda and a generator expression are
  taken to run once, or never, where they stand: what they read from outside is what is bound there, and what they
  write outside (`nonlocal`, `x.a = ...`) may or may not have been written afterwards. Inside a function its own name
  is bound to it, unless it is a method. Annotations of parameters are evaluated with the definition, those of local
  variables are not.
* `async` and `await` change nothing here.

`COMPUTED_FROM`, read name -> target: every `Name` in the value of an assignment to each of its targets (names,
attributes, subscripts). `a, b = x, y` pairs the elements, as far as both sides are written out without stars. The same
holds for `:=`, augmented assignments, the iterable and the target of `for` and of comprehensions, `with ... as` and
the subject and the captures of `match`.

`CALLS`, call -> definition, and `RETURNS_TO`, `return` or `yield` of that definition -> call: for calls by a name that
a definition inside the graph is the last write of. Methods and names given to a lambda are not followed; decorators
are not seen.

`CFG_NEXT`, what comes next, as far as the order matters. In a block two statements are ordered if they *conflict*, and
the edges are the transitive reduction of that order: no path leads from one independent statement to the other, but for
a loop around. They conflict
* if one writes a name (or its object) that the other reads or writes. For this purpose a call writes the objects of
  the names that stand in it: `x.append(1)` and `f(x)` are ordered with what reads `x`; other names of these objects
  are not followed;
* if one acts on what names do not show and the other acts on it or reads it. Acts: calls, `await`, writes of
  attributes and subscripts, imports, `with`, class definitions, decorators, writes of names that an inner function
  reads or that are not local. Reads: attributes, subscripts, names that are not local or that an inner function
  writes;
* if one has an effect on control, anywhere inside it: `return`, `raise`, `assert`, `yield`, a loop over a true
  constant, and `break` or `continue` of a loop around. Such a statement is ordered with everything.

Operators and iteration are taken to have no effects, and it does not count which of two errors comes first. A compound
statement conflicts as the sum of what is in it. So swapping two neighbours that do not conflict gives an isomorphic
graph, the same edges between the same nodes.

Between blocks: from a compound statement (or definition, handler, case) to the first statements of each of its blocks,
those that come after none of the same block; from the last ones of a loop's body, and from its `break` and `continue`,
to the loop; from `try` to its first handler and from each handler, and each case, to the next one, in the order they
are tried; from `raise` in the body of a `try` to its first handler. (Geisler et al. order calls by names alone, and
order `assert`, `return` and the like with everything, too.)

A node has at most 64 incoming edges each of `LAST_WRITE`, `COMPUTED_FROM` and `RETURNS_TO`, those of the last sources
in the order of the source: the size of a graph is linear in that of the function. The graph of a nested function is
the part of the outer function's graph with its nodes.
"""
