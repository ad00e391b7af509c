from __future__ import annotations

import pytest

from mmkeras.runtime.differences.contents import explain_error, keras_layer


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mmkeras_1/text_branch_1/text_encoder_1/layer_0_1/key_1/MatMul", "text_branch/text_encoder/layer_0/key"),
        ("mmkeras_1/radar_branch_1/radar_1_attention_1/Tensordot/MatMul_quant", "radar_branch/radar_1_attention"),
        ("mmkeras/camera/conv/BiasAdd", "camera/conv"),
        ("mmkeras_1/fusion_norm_1/moments/mean", "fusion_norm"),
        ("mmkeras_1/camera_branch_1/stem_conv_1/convolution/merged_input:0", "camera_branch/stem_conv"),
        ("mmkeras_1/head_conv_1_1/separable_conv2d/depthwise", "head_conv_1"),
        ("mmkeras_1/Gelu/add", ""),
        ("mmkeras_1/SelectV2_1__219", ""),
        ("Reshape__1063", ""),
        ("", ""),
        ("/", ""),
        ("//x", ""),
    ],
)
def test_a_name_gives_its_layer(name: str, layer: str):
    assert keras_layer(name) == layer


def test_a_message_gets_the_layer_of_the_output_it_names():
    text = 'While parsing node number 60 [Foo -> "mmkeras_1/head_1/dense_1/Foo:0"]: unsupported'
    assert explain_error(text) == f"{text} (Keras layer head/dense)"
    for text in (
        "out of memory",
        "failed in /_src/optimizer/myelin/codeGenerator.cpp:12",
        "cannot read /tmp/a_1/b_1/c",
    ):
        assert explain_error(text) == text
