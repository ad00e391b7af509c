"""Reads operators and constants of a LiteRT file, which is a FlatBuffer. Source: schema.fbs of LiteRT."""

from __future__ import annotations

from mmkeras.runtime.differences.contents import Contents
from mmkeras.storage.litert_file import Tables

__all__ = ["OPERATORS", "TYPES", "read_tflite"]

# Positions of fields in their tables.
_CODES, _SUBGRAPHS, _BUFFERS = 1, 2, 4
_OLD_CODE, _CUSTOM, _CODE = 0, 1, 3
_TENSORS, _OPERATORS = 0, 3
_TYPE, _BUFFER, _NAME = 1, 2, 3
_OPERATOR_NAMES = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH
SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER
BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM
ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE
TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK
LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL
FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL
REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND
HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2
UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE
STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE
STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT
STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
_TYPE_NAMES = """
float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource variant
uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2
"""
OPERATORS = tuple(_OPERATOR_NAMES.split())
"""Names of the builtin operators by their code in the file."""
TYPES = tuple(_TYPE_NAMES.split())
"""Names of the tensor types by their code in the file."""


def read_tflite(data: bytes) -> Contents:
    """Return the contents of a LiteRT file.

    Raises:
        ValueError: not a LiteRT file.
        struct.error: it is truncated.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("it does not begin like a LiteRT file")
    file = Tables(data)
    model = file.follow(0)
    names = [_operator(file, table) for table in file.tables(model, _CODES)]
    sizes = [_buffer_size(file, table) for table in file.tables(model, _BUFFERS)]
    contents = Contents()
    counted: set[int] = set()
    for graph in file.tables(model, _SUBGRAPHS):
        for operator in file.tables(graph, _OPERATORS):
            contents.operators[names[file.number(operator, 0, "<I")]] += 1
        for tensor in file.tables(graph, _TENSORS):
            buffer = file.number(tensor, _BUFFER, "<I")
            if buffer in counted:  # several tensors may share one buffer
                continue
            counted.add(buffer)
            kind = file.number(tensor, _TYPE, "<b")
            name = TYPES[kind] if 0 <= kind < len(TYPES) else f"type {kind}"
            contents.add_weight(file.string(tensor, _NAME), name, sizes[buffer])
    return contents


def _operator(file: Tables, table: int) -> str:
    # Older files have the code in a field of one byte; newer ones put 127 there when the code is larger.
    code = max(file.number(table, _CODE, "<i"), file.number(table, _OLD_CODE, "<b"))
    name = OPERATORS[code] if 0 <= code < len(OPERATORS) else f"operator {code}"
    return file.string(table, _CUSTOM) or name if name == "CUSTOM" else name


def _buffer_size(file: Tables, table: int) -> int:
    place = file.field(table, 0)
    # Files above 2 GB hold the data after the FlatBuffer, and offset and size in the table.
    return file.vector(place)[1] if place else file.number(table, 2, "<Q")
