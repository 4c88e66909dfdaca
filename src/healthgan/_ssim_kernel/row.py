"""One row of windows of :mod:`healthgan._ssim_kernel.blocks`, as vector code.

Sixteen references ("half a block") are one LLVM vector, which LLVM turns into whatever the processor has.
Loops over lanes in Numba were vectorised by LLVM at 32 lanes only, and there by luck: at 16 the same code took
almost three times as long.

Numba compiles anew when the file of :mod:`healthgan._ssim_kernel.blocks` changes, not when this one does.
"""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba.core import cgutils as untyped_cgutils
from numba.core import types
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic

LANES = 32
HALF = 16
WINDOW = 7
AREA = WINDOW * WINDOW

BOTH = 3

cgutils: Any = untyped_cgutils

_ARRAYS = 8  # of the arguments
_FLOAT, _DOUBLE, _WHOLE = ir.FloatType(), ir.DoubleType(), ir.IntType(64)
_FLOATS, _DOUBLES = ir.VectorType(_FLOAT, HALF), ir.VectorType(_DOUBLE, HALF)


class _Row:
    """Emits the code for one or two halves of a block, each a list entry; methods return LLVM values.

    The two halves go through the windows together, so that what depends on the query alone is loaded once: 15 to
    16 instead of 19 to 20 processor cycles a window and half.
    """

    def __init__(self, builder: ir.IRBuilder, arrays: list[ir.Value], shape: list[ir.Value]) -> None:
        self.builder = builder
        self.sums, self.x_new, self.x_old, self.state, self.windows, self.terms, self.scores, self.rest = (
            arrays
        )
        width, self.count = shape
        self.plane = builder.mul(
            width, _WHOLE(LANES)
        )  # from the entering row of the state to the leaving one
        self.term = builder.mul(self.count, _WHOLE(LANES))  # from one of the references' terms to the next
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        self.fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{HALF}f32")

    def spread(self, value: ir.Value) -> ir.Value:
        """The same number in all lanes."""
        kind = ir.VectorType(value.type, HALF)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), HALF), [0] * HALF)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def number(self, base: ir.Value, index: ir.Value) -> ir.Value:
        return self.spread(self.builder.load(self.builder.gep(base, [index])))

    def place(self, base: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(base, [index]), kind.as_pointer())

    def lanes(self, base: ir.Value, index: ir.Value) -> ir.Value:
        return self.builder.load(self.place(base, index, _FLOATS), align=4)

    def at(self, j: ir.Value, first: ir.Value) -> ir.Value:
        """Where the lanes from ``first`` of column j begin."""
        return self.builder.add(self.builder.mul(j, _WHOLE(LANES)), first)

    def product(self, a: ir.Value, b: ir.Value, add: ir.Value) -> ir.Value:
        return self.builder.call(self.fma, [a, b, add])

    def columns(self, j: ir.Value) -> list[ir.Value]:
        """Move the column sums of xy down a row."""
        build, totals = self.builder, []
        entering, leaving = self.number(self.x_new, j), build.fneg(self.number(self.x_old, j))
        for first in self.firsts:
            place = self.at(j, first)
            total = self.product(entering, self.lanes(self.state, place), self.lanes(self.sums, place))
            total = self.product(leaving, self.lanes(self.state, build.add(place, self.plane)), total)
            build.store(total, self.place(self.sums, place, _FLOATS), align=4)
            totals.append(total)
        return totals

    def fractions(self, xy: list[ir.Value], j: ir.Value) -> list[tuple[ir.Value, ir.Value]]:
        """Numerator and denominator of S in window j."""
        build, found = self.builder, []
        second, third = build.add(self.count, j), build.add(build.mul(self.count, _WHOLE(2)), j)
        a, mean, spread = (self.number(self.windows, index) for index in (j, second, third))
        twice = build.fadd(a, a)
        for first, total in zip(self.firsts, xy, strict=True):
            place = self.at(j, first)
            b, share, rest, variance = (
                self.lanes(self.terms, build.add(place, build.mul(self.term, _WHOLE(n)))) for n in range(4)
            )
            k = self.product(build.fneg(a), share, total)
            k = build.fmul(k, ir.Constant(_FLOATS, [2.0 * AREA] * HALF))
            k = self.product(build.fneg(twice), rest, k)
            above = build.fmul(self.product(twice, b, self.c1), build.fadd(k, self.c2))
            found.append((above, build.fmul(self.product(b, b, mean), build.fadd(variance, spread))))
        return found

    def some(self, xy: list[ir.Value], j: ir.Value, count: int) -> tuple[list[ir.Value], list[ir.Value]]:
        """Σxy past windows j … j + count − 1, and the sums of their S; two windows share a division."""
        build, fractions = self.builder, []
        for step in range(count):
            here = build.add(j, _WHOLE(step))
            entering = self.columns(build.add(here, _WHOLE(WINDOW - 1)))
            xy = [build.fadd(total, new) for total, new in zip(xy, entering, strict=True)]
            fractions.append(self.fractions(xy, here))
            places = [self.at(here, first) for first in self.firsts]
            xy = [build.fsub(t, self.lanes(self.sums, place)) for t, place in zip(xy, places, strict=True)]
        return xy, [self.added(list(each)) for each in zip(*fractions, strict=True)]

    def added(self, fractions: list[tuple[ir.Value, ir.Value]]) -> ir.Value:
        build = self.builder
        if len(fractions) == 1:
            return build.fdiv(*fractions[0])
        if len(fractions) == 2:
            (n0, d0), (n1, d1) = fractions
            return build.fdiv(self.product(n0, d1, build.fmul(n1, d0)), build.fmul(d0, d1))
        return build.fadd(self.added(fractions[:2]), self.added(fractions[2:]))

    def whole(self, firsts: list[ir.Value], c1: ir.Value, c2: ir.Value, needed: ir.Value) -> list[ir.Value]:
        """Add the row to the scores of the lanes from each of ``firsts``, and say whether any is enough."""
        build = self.builder
        self.firsts, self.c1, self.c2 = firsts, self.spread(c1), self.spread(c2)
        places = [self.place(self.scores, first, _DOUBLES) for first in firsts]
        sums = [cgutils.alloca_once(build, _FLOATS) for _ in firsts]
        totals = [cgutils.alloca_once_value(build, build.load(place, align=8)) for place in places]
        xy = [ir.Constant(_FLOATS, [0.0] * HALF) for _ in firsts]
        for j in range(WINDOW - 1):
            xy = [build.fadd(total, new) for total, new in zip(xy, self.columns(_WHOLE(j)), strict=True)]
        for place, value in zip(sums, xy, strict=True):
            build.store(value, place)
        fours = build.udiv(self.count, _WHOLE(4))
        done = build.mul(fours, _WHOLE(4))
        for step, start, times in ((4, _WHOLE(0), fours), (1, done, build.sub(self.count, done))):
            with cgutils.for_range(build, times) as loop:
                j = build.add(start, build.mul(loop.index, _WHOLE(step)))
                xy, parts = self.some([build.load(place) for place in sums], j, step)
                for place, value, total, part in zip(sums, xy, totals, parts, strict=True):
                    build.store(value, place)
                    build.store(build.fadd(build.load(total), build.fpext(part, _DOUBLES)), total)
        answers = []
        for place, total, first in zip(places, totals, firsts, strict=True):
            build.store(build.load(total), place, align=8)
            hope = build.fadd(build.load(total), build.load(self.place(self.rest, first, _DOUBLES), align=8))
            enough = build.bitcast(build.fcmp_ordered(">=", hope, self.spread(needed)), ir.IntType(HALF))
            answers.append(build.icmp_unsigned("!=", enough, ir.IntType(HALF)(0)))
        return answers


def _generate(context: object, builder: ir.IRBuilder, sign: Signature, values: list[ir.Value]) -> ir.Value:
    kinds = sign.args[:_ARRAYS]
    arrays = [
        cast(Any, context).make_array(kind)(context, builder, value)
        for kind, value in zip(kinds, values, strict=False)
    ]
    (width,) = cgutils.unpack_tuple(builder, arrays[1].shape, 1)
    _, count = cgutils.unpack_tuple(builder, arrays[4].shape, 2)
    halves, *numbers = values[_ARRAYS:]
    answer = cgutils.alloca_once_value(builder, _WHOLE(0))
    with builder.if_else(builder.icmp_unsigned("==", halves, _WHOLE(BOTH))) as (both, one):
        with both:
            row = _Row(builder, [array.data for array in arrays], [width, count])
            low, high = (builder.zext(bit, _WHOLE) for bit in row.whole([_WHOLE(0), _WHOLE(HALF)], *numbers))
            builder.store(builder.add(low, builder.mul(high, _WHOLE(2))), answer)
        with one:
            row = _Row(builder, [array.data for array in arrays], [width, count])
            (bit,) = row.whole([builder.mul(builder.sub(halves, _WHOLE(1)), _WHOLE(HALF))], *numbers)
            builder.store(builder.select(bit, halves, _WHOLE(0)), answer)
    return builder.load(answer)


def _add_row(
    _context: object,
    sums: types.Type,
    x_new: types.Type,
    x_old: types.Type,
    state: types.Type,
    windows: types.Type,
    terms: types.Type,
    scores: types.Type,
    rest: types.Type,
    halves: types.Type,
    c1: types.Type,
    c2: types.Type,
    needed: types.Type,
) -> tuple[Signature, Callable[..., ir.Value]]:
    """Move the sums of one query and a block down a row and add S of each of its windows.

    Args:
        sums: (W, LANES) float32, the column sums of xy, changed in place.
        x_new: (W,) float32, the row of the query that enters.
        x_old: (W,) float32, the row that leaves.
        state: (4, W, LANES) float32; the first two are the references' rows that enter and leave.
        windows: (3, w) float32, the query's terms.
        terms: (4, w, LANES) float32, the references' terms.
        scores: (LANES,) float64, changed in place.
        rest: (LANES,) float64, what the rows to come can add at most.
        halves: int64, the halves of the block to work on, as bits: 1, 2 or ``BOTH``.
        c1: float32.
        c2: float32.
        needed: float64.

    Returns:
        Those of ``halves`` with a lane that can still reach ``needed``.
    """
    arrays = (sums, x_new, x_old, state, windows, terms, scores, rest)
    sign = signature(types.int64, *arrays, halves, c1, c2, needed)  # type: ignore[no-untyped-call]  # Numba's
    return sign, _generate


add_row: Any = intrinsic(_add_row)
