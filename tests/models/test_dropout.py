"""Dropout is off when set to 0 and has effect everywhere when not, in the backbones in use."""

import pytest
import torch
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    ModernBertConfig,
    T5Config,
    T5EncoderModel,
    XLMRobertaConfig,
)

from optical_ir.models.dropout import set_dropout

SHAPE = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 0,
}
BERT = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
MODERN = {"embedding_dropout": 0.3, "mlp_dropout": 0.3, "attention_dropout": 0.3}
CONFIGS = {
    "bert": BertConfig(**SHAPE, **BERT),
    "xlm-r": XLMRobertaConfig(**SHAPE, **BERT),
    "modernbert": ModernBertConfig(
        **SHAPE, **MODERN, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2
    ),
}
IDS = torch.arange(1, 15).view(2, 7)


@pytest.fixture(params=[*CONFIGS, "t5"])
def model(request):
    """Give a random model in training mode, with dropout."""
    torch.manual_seed(0)
    if request.param == "t5":
        config = T5Config(vocab_size=20, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        return T5EncoderModel(config).train()
    return AutoModel.from_config(CONFIGS[request.param]).train()


def states(model):
    return model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state


def test_without_dropout_training_computes_what_inference_does(model):
    assert not torch.equal(states(model), states(model))
    set_dropout(model, 0.0)
    trained = states(model)
    torch.testing.assert_close(trained, states(model.eval()))


def test_dropout_of_attention_alone_has_effect(model):
    set_dropout(model, 0.9)
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and not name.endswith("attention.self.dropout"):
            module.p = 0.0
    assert not torch.equal(states(model), states(model))
