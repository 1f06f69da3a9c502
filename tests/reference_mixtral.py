#!/usr/bin/env python3
# Compare a decoder's numbers with Hugging Face transformers' MixtralForCausalLM.
#
#   python3 -m venv env && env/bin/pip install torch==2.13.0 transformers safetensors
#   make tests/write_mixtral && tests/write_mixtral DIR && env/bin/python tests/reference_mixtral.py DIR
#
# DIR holds config.json and model.safetensors, as every checkpoint does, and expected.safetensors: tokens [B,S+1] I32,
# logits [B*S,vocabulary] of the first S of each row, loss [1] (mean, nats, of the last S); and, if wanted,
# gradients.safetensors: the loss's gradients under the weights' names.  Exit status 0 if all agree.
#
# SPDX-License-Identifier: BSD-3-Clause
import os
import re
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, MixtralForCausalLM

LIMITS = {"logits": 2e-5, "loss": 1e-5, "gradient": 1e-4}


def difference(found, expected):
    return ((found - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def gradients_by_file_name(model, names):
    """Gradients under the names of the file; newer versions of transformers hold a layer's experts in one tensor."""
    parameters = dict(model.named_parameters())

    def find(name):
        if name in parameters:
            return parameters[name].grad
        expert = re.fullmatch(r"(model\.layers\.\d+)\.block_sparse_moe\.experts\.(\d+)\.w([123])\.weight", name)
        if expert is None:
            return parameters[name.replace("block_sparse_moe", "mlp")].grad
        layer, number, matrix = expert.group(1), int(expert.group(2)), expert.group(3)
        experts = layer + ".mlp.experts."
        if matrix == "2":
            return parameters[experts + "down_proj"].grad[number]
        both = parameters[experts + "gate_up_proj"].grad[number]
        return both.chunk(2, dim=0)[0 if matrix == "1" else 1]

    return {name: find(name) for name in names}


def main():
    directory = sys.argv[1]
    expected = load_file(os.path.join(directory, "expected.safetensors"))
    config = AutoConfig.from_pretrained(directory)
    config._experts_implementation = "eager"  # grouped products know no float64
    model, report = MixtralForCausalLM.from_pretrained(directory, config=config, dtype=torch.float64,
                                                       attn_implementation="eager", output_loading_info=True)
    if report["missing_keys"] or report["unexpected_keys"] or report["mismatched_keys"]:
        sys.exit(f"the checkpoint does not fit: {report}")
    tokens = expected["tokens"].long()
    logits = model(input_ids=tokens[:, :-1], use_cache=False, output_router_logits=False).logits.flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, tokens[:, 1:].flatten())
    loss.backward()

    failed = 0

    def judge(what, found, wanted, limit):
        nonlocal failed
        error = difference(found.double(), wanted.detach().double())
        good = error <= limit
        failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {what}: relative difference {error:.2e} (limit {limit:.0e})")

    judge("logits", expected["logits"], logits, LIMITS["logits"])
    judge("loss", expected["loss"], loss.reshape(1), LIMITS["loss"])
    path = os.path.join(directory, "gradients.safetensors")
    if os.path.exists(path):
        gradients = load_file(path)
        for name, wanted in gradients_by_file_name(model, gradients).items():
            judge("gradient of " + name, gradients[name], wanted, LIMITS["gradient"])
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
