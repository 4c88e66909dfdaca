"""What :mod:`healthgan.classifiers._pooled_kernel` does to ``LANES`` channels at once, as vector code.

Numba compiles anew when that module's file changes, not when this one does.
"""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba.core import cgutils as untyped_cgutils
from numba.core import types
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic

LANES = 16
"""Output channels go by this many; input channels too, or one at a time."""
SIDE = 3
"""Of the convolution's kernel."""
CUT_OFF = 4
"""In place of the number (row by row) of the largest of four: none, the ReLU gave zero."""

cgutils: Any = untyped_cgutils

_FLOAT, _BYTE, _WHOLE = ir.FloatType(), ir.IntType(8), ir.IntType(64)
_FLOATS, _BYTES = ir.VectorType(_FLOAT, LANES), ir.VectorType(_BYTE, LANES)


def _data(context: object, builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> ir.Value:
    return cast(Any, context).make_array(kind)(context, builder, value).data


def _place(builder: ir.IRBuilder, base: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
    return builder.bitcast(builder.gep(base, [index]), kind.as_pointer())


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The same number in all lanes."""
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), zeros)


def _product(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, add: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32"), [a, b, add]
    )


def _generate_window(
    context: object, builder: ir.IRBuilder, sign: Signature, values: list[ir.Value]
) -> ir.Value:
    x, weights, bias, out, largest = (_data(context, builder, sign.args[n], values[n]) for n in range(5))
    from_x, from_weights, from_out, line, channels, outputs = values[5:]
    starts = [from_x, builder.add(from_x, channels), builder.add(from_x, line)]
    starts.append(builder.add(starts[2], channels))
    first = builder.load(_place(builder, bias, from_weights, _FLOATS), align=4)
    sums = [cgutils.alloca_once_value(builder, first) for _ in starts]
    for row in range(SIDE):
        down = builder.mul(line, _WHOLE(row))
        across = builder.mul(channels, _WHOLE(row * SIDE))
        with cgutils.for_range(builder, channels) as loop:
            for step in range(
                SIDE
            ):  # the three values of a row are the neighbours' channels: any three will do
                here = builder.add(builder.mul(loop.index, _WHOLE(SIDE)), _WHOLE(step))
                weight = builder.add(from_weights, builder.mul(builder.add(across, here), outputs))
                lanes = builder.load(_place(builder, weights, weight, _FLOATS), align=4)
                for start, total in zip(starts, sums, strict=True):
                    value = builder.load(builder.gep(x, [builder.add(builder.add(start, down), here)]))
                    builder.store(
                        _product(builder, _spread(builder, value), lanes, builder.load(total)), total
                    )
    _store_largest(builder, [builder.load(total) for total in sums], out, largest, from_out)
    return context.get_dummy_value()  # type: ignore[attr-defined]  # Numba's


def _store_largest(
    builder: ir.IRBuilder, values: list[ir.Value], out: ir.Value, largest: ir.Value, at: ir.Value
) -> None:
    """Write the largest of four, or zero, and which it was; the first of equals, and a NaN before all."""
    best = values[0]
    which = ir.Constant(_BYTES, [0] * LANES)
    for number, value in enumerate(values[1:], start=1):
        more = builder.or_(
            builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value)
        )
        best = builder.select(more, value, best)
        which = builder.select(more, ir.Constant(_BYTES, [number] * LANES), which)
    zero = ir.Constant(_FLOATS, [0.0] * LANES)
    cut = builder.fcmp_ordered("<=", best, zero)
    builder.store(builder.select(cut, zero, best), _place(builder, out, at, _FLOATS), align=4)
    which = builder.select(cut, ir.Constant(_BYTES, [CUT_OFF] * LANES), which)
    builder.store(which, _place(builder, largest, at, _BYTES), align=1)


def _window(
    _context: object,
    x: types.Type,
    weights: types.Type,
    bias: types.Type,
    out: types.Type,
    largest: types.Type,
    from_x: types.Type,
    from_weights: types.Type,
    from_out: types.Type,
    line: types.Type,
    channels: types.Type,
    outputs: types.Type,
) -> tuple[Signature, Callable[..., ir.Value]]:
    """Convolve the four places of one pooling window for ``LANES`` outputs; write the largest and which it was.

    Args:
        x: float32, the images; the window's corner is the value ``from_x``.
        weights: float32 (3, 3, channels, outputs), from output ``from_weights``.
        bias: float32 (outputs,).
        out: float32, from ``from_out``.
        largest: uint8, as ``out``.
        from_x: int64.
        from_weights: int64.
        from_out: int64.
        line: int64, values of a line of an image: its width times its channels.
        channels: int64, of the images.
        outputs: int64.
    """
    where = (from_x, from_weights, from_out, line, channels, outputs)
    sign = signature(types.void, x, weights, bias, out, largest, *where)  # type: ignore[no-untyped-call]  # Numba's
    return sign, _generate_window


def _generate_sum(
    context: object, builder: ir.IRBuilder, sign: Signature, values: list[ir.Value]
) -> ir.Value:
    to, add, starts, factors = (_data(context, builder, sign.args[n], values[n]) for n in (0, 2, 4, 5))
    at, shift, count, span = values[1], values[3], values[6], values[7]
    with cgutils.for_range(builder, builder.udiv(span, _WHOLE(SIDE * LANES))) as loop:
        steps = [
            builder.add(builder.mul(loop.index, _WHOLE(SIDE * LANES)), _WHOLE(n * LANES)) for n in range(SIDE)
        ]
        places = [_place(builder, to, builder.add(at, step), _FLOATS) for step in steps]
        sums = [cgutils.alloca_once_value(builder, ir.Constant(_FLOATS, [0.0] * LANES)) for _ in steps]
        for total, place in zip(sums, places, strict=True):
            builder.store(builder.load(place, align=4), total)
        with cgutils.for_range(builder, count) as entry:
            factor = _spread(builder, builder.load(builder.gep(factors, [entry.index])))
            start = builder.add(builder.load(builder.gep(starts, [entry.index])), shift)
            for total, step in zip(sums, steps, strict=True):
                lanes = builder.load(_place(builder, add, builder.add(start, step), _FLOATS), align=4)
                builder.store(_product(builder, factor, lanes, builder.load(total)), total)
        for total, place in zip(sums, places, strict=True):
            builder.store(builder.load(total), place, align=4)
    return context.get_dummy_value()  # type: ignore[attr-defined]  # Numba's


def _sum(
    _context: object,
    to: types.Type,
    at: types.Type,
    add: types.Type,
    shift: types.Type,
    starts: types.Type,
    factors: types.Type,
    count: types.Type,
    span: types.Type,
) -> tuple[Signature, Callable[..., ir.Value]]:
    """``to[at:][:span] += Σ_i factors[i] * add[starts[i] + shift:][:span]`` over ``count`` i.

    Args:
        to: float32.
        at: int64.
        add: float32.
        shift: int64.
        starts: int64.
        factors: float32.
        count: int64.
        span: int64, a multiple of 3 ``LANES``.
    """
    arguments = (to, at, add, shift, starts, factors, count, span)
    return signature(types.void, *arguments), _generate_sum  # type: ignore[no-untyped-call]  # Numba's


def _generate_share(
    context: object, builder: ir.IRBuilder, sign: Signature, values: list[ir.Value]
) -> ir.Value:
    x, slope, largest, to_weights, to_bias = (
        _data(context, builder, sign.args[n], values[n]) for n in range(5)
    )
    from_x, from_slope, lane, line, channels, outputs = values[5:]
    slopes = builder.load(_place(builder, slope, from_slope, _FLOATS), align=4)
    which = builder.load(_place(builder, largest, from_slope, _BYTES), align=1)
    zero, shares = ir.Constant(_FLOATS, [0.0] * LANES), []
    for number in range(CUT_OFF):
        here = builder.icmp_unsigned("==", which, ir.Constant(_BYTES, [number] * LANES))
        shares.append(builder.select(here, slopes, zero))
    total = builder.fadd(builder.fadd(shares[0], shares[1]), builder.fadd(shares[2], shares[3]))
    place = _place(builder, to_bias, lane, _FLOATS)
    builder.store(builder.fadd(builder.load(place, align=4), total), place, align=4)
    corners = [from_x, builder.add(from_x, channels), builder.add(from_x, line)]
    corners.append(builder.add(corners[2], channels))
    for row in range(SIDE):
        down = builder.mul(line, _WHOLE(row))
        across = builder.mul(channels, _WHOLE(row * SIDE))
        with cgutils.for_range(builder, channels) as loop:
            for step in range(SIDE):
                here = builder.add(builder.mul(loop.index, _WHOLE(SIDE)), _WHOLE(step))
                weight = builder.add(lane, builder.mul(builder.add(across, here), outputs))
                place = _place(builder, to_weights, weight, _FLOATS)
                total = builder.load(place, align=4)
                for corner, share in zip(corners, shares, strict=True):
                    value = builder.load(builder.gep(x, [builder.add(builder.add(corner, down), here)]))
                    total = _product(builder, _spread(builder, value), share, total)
                builder.store(total, place, align=4)
    return context.get_dummy_value()  # type: ignore[attr-defined]  # Numba's


def _share(
    _context: object,
    x: types.Type,
    slope: types.Type,
    largest: types.Type,
    to_weights: types.Type,
    to_bias: types.Type,
    from_x: types.Type,
    from_slope: types.Type,
    lane: types.Type,
    line: types.Type,
    channels: types.Type,
    outputs: types.Type,
) -> tuple[Signature, Callable[..., ir.Value]]:
    """Add what one pooling window gives to the gradients of the weights and biases of ``LANES`` outputs.

    Args:
        x: float32, the images; the window's corner is the value ``from_x``.
        slope: float32, from ``from_slope``.
        largest: uint8, as slope.
        to_weights: float32 (3, 3, channels, outputs), from output ``lane``.
        to_bias: float32 (outputs,), from output ``lane``.
        from_x: int64.
        from_slope: int64.
        lane: int64.
        line: int64, values of a line of an image: its width times its channels.
        channels: int64, of the images.
        outputs: int64.
    """
    arguments = (x, slope, largest, to_weights, to_bias, from_x, from_slope, lane, line, channels, outputs)
    return signature(types.void, *arguments), _generate_share  # type: ignore[no-untyped-call]  # Numba's


largest_of_window: Any = intrinsic(_window)
add_sum: Any = intrinsic(_sum)
add_share: Any = intrinsic(_share)
