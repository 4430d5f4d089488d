# SPDX-License-Identifier: MIT
"""What is checked of every model, of language or not. A subject has

    name, source, data    a directory of transformers' and what it is pruned on
    load(directory)       by the class that transformers has for it, in fp32
    outputs(model)        logits of a fixed batch
    loss(directory)       what transformers makes of the data, or None
    dtype, tolerance      of its files, and of merged weights in them
    task, has_head        what peft calls its task, and which modules it saves; whether these learn
    heads_leave           there is more than one group of them
    peft_names(names)     what the tool's names of maps are in peft
"""
import json
import shutil

from cross_bench import TOLERANCE, Failure, adapted, difference, differs, peft_adapter, read_by_peft, survived
from cross_parts import blocks, expect_cut, maps, mask_like
import numpy as np
import torch

DENSE = "the pruned model computes what the dense one does"


def agrees(subject, out, masked, dense):
    """A pruned directory computes what its masked source does, and nothing that the dense one did."""
    now = subject.outputs(subject.load(out))
    differs(now, dense, DENSE)
    return difference(now, subject.outputs(masked)), TOLERANCE


def measured(bench, subject, directory, **more):
    """How far the tool's loss is from that of transformers: a difference of means, relative."""
    answer = json.loads(bench.run("eval-adapter" if more else "eval", model=directory, data=subject.data, **more))
    loss = np.log(answer["perplexity"]) if "perplexity" in answer else answer["loss"]
    expected = subject.loss(directory, **more)
    return abs(loss - expected) / expected, TOLERANCE


def check_files(bench, subject, uniform=True):
    """Reading, pruning and writing. uniform: heads may leave a file of one shape."""
    source, out = subject.source, subject.source.parent / "out"
    full = maps(blocks(subject.load(source))[0])[2].shape[0]
    heads = subject.load(source).config.num_attention_heads

    def export():
        bench.run("export", model=source, out=out)
        survived(source, out)
        return difference(subject.outputs(subject.load(out)), subject.outputs(subject.load(source))), TOLERANCE

    def prune(layout):
        bench.run("prune", model=source, data=subject.data, out=out, layout=layout)
        survived(source, out)
        masked = subject.load(source)
        dense = subject.outputs(masked)
        kept = mask_like(masked, subject.load(out))
        expect_cut(kept, full)
        if subject.heads_leave and all(k[1] == heads for k in kept):
            raise Failure("no attention head was removed")
        if layout == "uniform" and len(set(kept)) != 1:
            raise Failure(f"layers differ in a uniform export: {kept}")
        return agrees(subject, out, masked, dense)

    def channels():
        """All heads stay, so that a stock class has a word for the rest: a smaller feed-forward width."""
        bench.run("prune-channels", model=source, data=subject.data, out=out, layout="uniform", heads=heads)
        survived(source, out)
        pruned, masked = subject.load(out), subject.load(source)
        dense = subject.outputs(masked)
        kept = mask_like(masked, pruned)
        expect_cut(kept, full, 0.6, heads=heads)
        if maps(blocks(pruned)[0])[2].shape[0] != kept[0][0]:
            raise Failure("the file is as wide as its source")
        return agrees(subject, out, masked, dense)

    def trained():
        bench.run("prune-trained", model=source, data=subject.data, out=out, layout="padded")
        survived(source, out)
        differs(subject.outputs(subject.load(out)), subject.outputs(subject.load(source)), DENSE)
        return measured(bench, subject, out)

    bench.check(f"{subject.name}: export, reload", export)
    if uniform:
        bench.check(f"{subject.name}: prune to uniform = masked source", lambda: prune("uniform"))
    else:
        bench.check(f"{subject.name}: channels, uniform = masked source", channels)
    bench.check(f"{subject.name}: prune to padded = masked source", lambda: prune("padded"))
    if subject.loss(source) is not None:
        bench.check(f"{subject.name}: eval", lambda: measured(bench, subject, source))
        bench.check(f"{subject.name}: prune and fine-tune, eval", trained)


def head_of(model):
    """Where peft put modules that are learnt in full: numbers by name."""
    return {key: p.detach() for key, p in model.named_parameters() if "modules_to_save" in key}


def check_adapters(bench, subject, kinds, targets):
    """Adapters in both directions. kinds: what peft is asked for; targets: lists of names for the tool."""
    source, data = subject.source, subject.data
    merged, adapter, trained = (source.parent / name for name in ("merged", "adapter", "trained"))

    def compare(model, directory):
        """The tool's merge of a directory against peft's model of it, and its evaluation without a merge."""
        dense = subject.outputs(subject.load(source))
        found = []
        if subject.loss(source) is not None:
            found.append(measured(bench, subject, source, adapter=directory))
        bench.run("merge", model=source, adapter=directory, out=merged)
        differs(subject.outputs(model), dense, "the adapter does nothing", 1e-4)
        if subject.dtype != torch.float32:
            model = model.merge_and_unload().to(subject.dtype).float()  # rounded once, as the file is
        theirs = subject.outputs(model)
        return found + [(difference(subject.outputs(subject.load(merged)), theirs), subject.tolerance)]

    def merge(settings):
        model = peft_adapter(subject.load(source), {**subject.task, **settings}, adapter, subject.seed)
        return compare(model, adapter)

    def written(names):
        bench.run("train", model=source, data=data, out=trained, targets=names)
        base = subject.load(source)
        model = read_by_peft(base, trained)
        # A name of the tool's may be one of the checkpoint, of which peft has another: how many maps it is, it must be.
        want = sum(any(path == n or path.endswith("." + n) for n in subject.peft_names(names))
                   for path, _ in base.named_modules() if ".base_layer" not in path)
        if len(adapted(model)) != want or want == 0:
            raise Failure(f"peft finds adapters on {sorted(adapted(model))}")
        untouched = dict(subject.load(source).named_parameters())
        for key, p in head_of(model).items():
            plain = key.removeprefix("base_model.model.").replace("modules_to_save.default.", "")
            if torch.equal(p, untouched[plain]):
                raise Failure(f"{plain} has learnt nothing")
        if bool(head_of(model)) != subject.has_head:
            raise Failure(f"modules_to_save are {sorted(head_of(model))}")
        return compare(model, trained)

    def went_on(settings):
        """The tool trains an adapter with ranks and scales of single maps: what it writes has them still."""
        before = adapted(peft_adapter(subject.load(source), {**subject.task, **settings}, adapter, subject.seed))
        bench.run("go-on", model=source, data=data, adapter=adapter, out=trained)
        config = json.loads((trained / "adapter_config.json").read_text())
        if not config["rank_pattern"] or not config["alpha_pattern"]:
            raise Failure("a pattern is gone")
        model = read_by_peft(subject.load(source), trained)
        if adapted(model) != before:
            raise Failure(f"ranks and scales were {before} and are {adapted(model)}")
        return compare(model, trained)

    for kind, settings in kinds.items():
        bench.check(f"{subject.name}: merge of peft's adapter, {kind}", lambda s=settings: merge(s))
        if "rank_pattern" in settings:
            bench.check(f"{subject.name}: peft's {kind} trained on, in peft", lambda s=settings: went_on(s))
    for names in targets:
        what = "all linear" if names == targets[0] else names.replace(",", " and ")
        bench.check(f"{subject.name}: our adapter in peft, {what}", lambda n=names: written(n))
    shutil.rmtree(merged, ignore_errors=True)
