"""The code word of an invisible mark: 48 bits and their checksum, made redundant so that many may be lost.

CRC-16, then a convolutional code (constraint length 7, rate 1/3, zero tail), decoded softly by Viterbi's
algorithm. See Lin & Costello, "Error Control Coding", chapter 12.
"""

from __future__ import annotations

import binascii
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bits = NDArray[np.int64]

NUMBER_BYTES = 6  # of the number that a word carries
PAYLOAD = 8 * (NUMBER_BYTES + 2)  # bits, with the checksum
WINDOW = 7  # bits that each output depends on
TAIL = WINDOW - 1  # zeros at the end bring the encoder back to its first state
STATES = 1 << TAIL
POLYNOMIALS = (0o133, 0o171, 0o165)
LENGTH = len(POLYNOMIALS) * (PAYLOAD + TAIL)
"""Coded bits of a word."""
CRC_START = 0x5EA1


def encode(number: int) -> Floats:
    """Return the code word of a number as −1 and 1, of shape (LENGTH,)."""
    return _encode_bits(_payload(number))


def decode(soft: Floats) -> list[tuple[int | None, float]]:
    """Return for each row of (n, LENGTH) the likeliest number, and how well its word fits (0 … 1).

    The number is None where the checksum does not hold.
    """
    found = []
    for row, bits in zip(soft, _viterbi(soft), strict=True):
        fit = float(np.mean(np.clip(row, -2.5, 2.5) * _encode_bits(bits)))
        found.append((_number(bits), fit))
    return found


def _payload(number: int) -> Bits:
    raw = number.to_bytes(NUMBER_BYTES, "big")
    raw += binascii.crc_hqx(raw, CRC_START).to_bytes(2, "big")
    return np.unpackbits(np.frombuffer(raw, np.uint8)).astype(np.int64)


def _number(bits: Bits) -> int | None:
    raw = np.packbits(bits.astype(np.uint8)).tobytes()
    number, checksum = raw[:NUMBER_BYTES], int.from_bytes(raw[NUMBER_BYTES:], "big")
    return int.from_bytes(number, "big") if binascii.crc_hqx(number, CRC_START) == checksum else None


@cache
def _outputs() -> Floats:
    """Return the outputs for each window of bits, the newest on top: (2 ** WINDOW, 3) of −1 and 1."""
    windows = range(1 << WINDOW)
    ones = [[(window & polynomial).bit_count() & 1 for polynomial in POLYNOMIALS] for window in windows]
    return (1 - 2 * np.array(ones)).astype(np.float32)


def _encode_bits(bits: Bits) -> Floats:
    state, words = 0, []
    for bit in (*bits.tolist(), *[0] * TAIL):
        window = bit << TAIL | state
        words.append(_outputs()[window])
        state = window >> 1
    return np.concatenate(words)


def _viterbi(soft: Floats) -> Bits:
    """Return the likeliest bits of each row: (n, LENGTH) → (n, PAYLOAD)."""
    rows, steps = len(soft), PAYLOAD + TAIL
    gain = soft.reshape(rows, steps, len(POLYNOMIALS)) @ _outputs().T
    metric = np.full((rows, STATES), -1e9, np.float32)
    metric[:, 0] = 0
    came_from_odd = np.zeros((steps, rows, STATES), bool)
    # A window is (new bit, old state), and the next state is window >> 1: two states lead to each.
    states = np.arange(STATES)
    even = (2 * states) & (STATES - 1)
    window = (states >> (TAIL - 1)) << TAIL | even
    for step in range(steps):
        by_even = metric[:, even] + gain[:, step, window]
        by_odd = metric[:, even + 1] + gain[:, step, window + 1]
        came_from_odd[step] = by_odd > by_even
        metric = np.maximum(by_even, by_odd)
    bits, every, state = np.zeros((rows, steps), np.int64), np.arange(rows), np.zeros(rows, np.int64)
    for step in reversed(range(steps)):
        bits[:, step] = state >> (TAIL - 1)
        state = ((2 * state) & (STATES - 1)) + came_from_odd[step, every, state]
    return bits[:, :PAYLOAD]
