"""Training of classifiers: what is learned, kept, resumed, compared and exported."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from apps import classify_image, evaluate
from export import from_official, to_onnx
from seg import cli, open_predictor
from seg.data.class_folders import open_class_folders
from seg.models.backbones.registry import BACKBONES
from seg.models.checkpoint import load_net, read_checkpoint
from seg.spec import ModelSpec, classification_outputs
from seg.training.optim import parameter_groups
from seg.training.run import Run
from seg.training.tasks.class_loader import ClassLoader
from seg.training.tasks.classification import ClassificationTask
from seg.training.tasks.classification_config import ClassificationConfig
from seg.training.tasks.classification_report import compare_runs
from seg.training.trainer import Trainer
from seg.video.sources import VideoFile
from tests.video.conftest import write_clip
from train import main

COLORS = {"blue": (200, 60, 40), "green": (50, 190, 60), "red": (40, 50, 210)}  # BGR


@pytest.fixture(scope="module")
def colors(tmp_path_factory):
    """Noisy images of three colors, each class in a folder."""
    root, rng = tmp_path_factory.mktemp("colors"), np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 4)):
        for name, color in COLORS.items():
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                hw = (60 + 5 * index, 90)
                image = np.clip(rng.normal(color, 40, (*hw, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / part / name / f"{index}.png"), image)
    return root


@pytest.fixture
def arch(tiny):
    """The flags of a tiny backbone with random weights."""
    words = ["--arch", "tiny", "--backbone", "random", "--imgsz", "56", "56", "--batch", "6"]
    return [*words, "--precision", "float32", "--device", "cpu"]


def fit(colors, arch, output, *words):
    args = ["classify", "--data", str(colors), *arch, "--output", str(output), *words]
    return cli.run(main, args)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def state_of(path):
    return read_checkpoint(path)["state"]


def test_a_frozen_backbone_learns_a_head_and_nothing_else(colors, arch, tmp_path):
    assert fit(colors, arch, tmp_path, "--epochs", "12", "--views", "2", "--lr", "0.05") == 0
    rows = rows_of(tmp_path / "log.csv")
    assert float(rows[-1]["top1"]) == 1 and float(rows[-1]["val_ce"]) < float(rows[0]["val_ce"])
    state = state_of(tmp_path / "last.pt")
    fresh = BACKBONES["tiny"].build("tiny", (3,), "")
    torch.manual_seed(0)
    fresh = BACKBONES["tiny"].build("tiny", (3,), "")
    held = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    assert held.keys() == fresh.state_dict().keys()
    assert all(torch.equal(value, held[key]) for key, value in fresh.state_dict().items())
    assert state["head.linear.weight"].shape == (3, 96)  # class token and mean patch, 48 each


def test_fine_tuning_trains_the_backbone(colors, arch, tmp_path):
    assert fit(colors, arch, tmp_path, "--finetune", "--epochs", "1") == 0
    torch.manual_seed(0)
    fresh = BACKBONES["tiny"].build("tiny", (3,), "").state_dict()
    state = state_of(tmp_path / "last.pt")
    changed = {k for k, v in fresh.items() if not torch.equal(v, state[f"backbone.{k}"])}
    assert {"vit.blocks.0.attn.qkv.weight", "vit.patch_embed.proj.weight"} <= changed
    contents = read_checkpoint(tmp_path / "last.pt")
    assert contents["spec"]["weights_id"] == "" and contents["spec"]["fit"] == "center_crop"


@pytest.mark.parametrize("words", [["--views", "2"], ["--views", "0"], ["--finetune"]])
def test_a_stopped_training_continues_to_the_same_weights(
    colors, arch, tmp_path, monkeypatch, words
):
    words = [*words, "--epochs", "3"]
    assert fit(colors, arch, tmp_path / "whole", *words) == 0
    save = Run.save_epoch

    def stop(self, *epoch, **options):
        save(self, *epoch, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_epoch", stop)
        assert fit(colors, arch, tmp_path / "cut", *words) == 130
    assert fit(colors, arch, tmp_path / "cut", *words, "--resume") == 0
    one, two = (state_of(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_predictions_are_those_of_the_app_on_the_exported_file(colors, arch, tmp_path, capsys):
    assert fit(colors, arch, tmp_path / "run", "--epochs", "6", "--views", "1") == 0
    model, exported = tmp_path / "run" / "last.pt", tmp_path / "colors.onnx"
    assert cli.run(to_onnx.main, ["--model", str(model), "--output", str(exported)]) == 0
    results = tmp_path / "results.jsonl"
    capsys.readouterr()
    words = ["--model", str(exported), "--input", str(colors / "val"), "--recursive", "--verify"]
    words += ["--device", "cpu", "--save-results", str(results)]
    assert cli.run(classify_image.main, words) == 0
    printed = capsys.readouterr().out
    lines = map(json.loads, results.read_text().splitlines())
    told = {line["name"]: line["classification"] for line in lines}
    written = rows_of(tmp_path / "run" / "predictions.csv")
    assert len(written) == len(told) == 12
    for row in written:
        name = re.search(r"val/(.*)\.png", row["image"])[1]
        assert next(iter(told[name])) == row["predicted"]
        assert told[name][row["predicted"]] == pytest.approx(float(row["probability"]), abs=1e-3)
        assert f"{name}  {row['predicted']} " in printed


def test_the_report_counts_what_the_predictions_say(colors, arch, tmp_path):
    assert fit(colors, arch, tmp_path, "--epochs", "1", "--views", "1") == 0
    predictions, classes = (rows_of(tmp_path / f"{n}.csv") for n in ("predictions", "classes"))
    for row in classes:
        of_class = [one for one in predictions if one["class"] == row["class"]]
        hits = [one["predicted"] == row["class"] for one in of_class]
        assert (len(of_class), float(row["recall"])) == (int(row["images"]), np.mean(hits))
    top1 = np.mean([one["class"] == one["predicted"] for one in predictions])
    assert float(rows_of(tmp_path / "log.csv")[-1]["top1"]) == pytest.approx(top1, abs=1e-6)
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None
    assert cv2.imread(str(tmp_path / "worst.png")).shape == (720, 960, 3)


def test_variants_are_compared_on_the_same_images_and_seeds(colors, arch, tmp_path, capsys):
    words = ["--compare", "--seeds", "0", "1", "--epochs", "2"]
    assert fit(colors, arch, tmp_path, *words) == 0
    out = capsys.readouterr().out
    for name in ("frozen", "finetuned"):
        for seed in (0, 1):
            assert (tmp_path / name / f"seed{seed}" / "best_top1.pt").exists()
    assert "k-NN on the frozen backbone" in out and "gain over frozen" in out
    trials = rows_of(tmp_path / "trials.csv")
    assert [(row["overrides"], row["seed"]) for row in trials] == [
        *(("frozen", "0"), ("frozen", "1"), ("finetuned", "0"), ("finetuned", "1"))
    ]
    assert (tmp_path / "histories.png").stat().st_size > 1000
    frozen = [
        np.mean([row["class"] == row["predicted"] for row in rows_of(path)])
        for path in sorted(tmp_path.glob("frozen/*/predictions.csv"))
    ]
    line = next(
        line for line in out.splitlines() if line.startswith("| frozen | 2 |") and "[" in line
    )
    assert f"| {100 * np.mean(frozen):.1f} [" in line


def test_the_rate_falls_by_a_factor_from_block_to_block(tiny):
    net = BACKBONES["tiny"].build("tiny", (3,), "")
    holder = torch.nn.ModuleDict({"backbone": net, "head": torch.nn.Linear(2, 2)})
    scales = {}
    for group in parameter_groups(holder, 0.1, 0.5):
        scales |= {id(parameter): group["lr_scale"] for parameter in group["params"]}
    vit = net.vit
    assert scales[id(holder["head"].weight)] == 1 and scales[id(vit.norm.weight)] == 1
    for block, scale in enumerate((1 / 16, 1 / 8, 1 / 4, 1 / 2)):
        assert scales[id(vit.blocks[block].attn.qkv.weight)] == scale
    assert scales[id(vit.patch_embed.proj.weight)] == scales[id(vit.cls_token)] == 1 / 32


@pytest.mark.parametrize(("head", "width"), [("linear", 2 * 48), ("linear4", 5 * 48)])
def test_metas_imagenet_heads_read_what_theirs_read(tiny, tmp_path, head, width):
    """`linear` reads the class token and the mean patch; `linear4` four class tokens before it."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(10, width, generator=generator)
    bias = torch.randn(10, generator=generator)
    file = tmp_path / f"{head}.pth"
    torch.save({"weight": weight, "bias": bias}, file)
    words = ["--head", str(file), "--arch", "tiny", "--backbone", "random"]
    assert cli.run(from_official.main, [*words, "--output", str(tmp_path / "net.pt")]) == 0
    net, spec = load_net(tmp_path / "net.pt")
    assert spec.outputs[0].classes == tuple("0123456789") and spec.head == head
    images = torch.rand(2, 3, 42, 56, generator=generator)
    with torch.inference_mode():
        vit, normalized = net.backbone.vit, net.normalise(images)
        tokens = vit.intermediate_tokens(normalized, range(4))
        cls = [token.cls for token in tokens][-1 if head == "linear" else 0 :]
        mean = tokens[-1].as_map().flatten(2).mean(2)
        expected = torch.cat([*cls, mean], 1) @ weight.T + bias
        torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-4)
    with open_predictor(tmp_path / "net.pt", "cpu") as predictor:
        assert predictor(np.zeros((40, 50, 3), np.uint8)).probabilities.shape == (10,)


def test_a_head_of_another_width_or_names_get_one_line(tiny, tmp_path, capsys):
    torch.save({"weight": torch.zeros(10, 77), "bias": torch.zeros(10)}, tmp_path / "a.pth")
    torch.save({"weight": torch.zeros(10, 96), "bias": torch.zeros(10)}, tmp_path / "b.pth")
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    target = ["--arch", "tiny", "--backbone", "random", "--output", str(tmp_path / "net.pt")]
    cases = {
        "reads 77 numbers": ["--head", str(tmp_path / "a.pth")],
        "scores 10 classes; got 2 names": [
            *("--head", str(tmp_path / "b.pth"), "--class-names", str(tmp_path / "names.txt"))
        ],
        "omit it": ["--head", str(tmp_path / "b.pth"), "--classes", "cat"],
    }
    for text, words in cases.items():
        assert cli.run(from_official.main, [*words, *target]) == 1
        assert text in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "net.pt").exists()


def test_a_trained_classifier_starts_another_with_other_classes(colors, arch, tmp_path, capsys):
    assert fit(colors, arch, tmp_path / "one", "--finetune", "--epochs", "1") == 0
    two = tmp_path / "two"
    for part in ("train", "val"):
        for name in ("red", "green"):
            (two / part).mkdir(parents=True, exist_ok=True)
            (two / part / name).symlink_to(colors / part / name)
    words = ["--finetune", "--epochs", "1", "--lr", "1e-12", "--init"]
    assert fit(two, arch, tmp_path / "next", *words, str(tmp_path / "one" / "last.pt")) == 0
    before, after = (state_of(tmp_path / name / "last.pt") for name in ("one", "next"))
    assert after["head.linear.weight"].shape == (2, 96)
    key = "backbone.vit.blocks.0.attn.qkv.weight"
    torch.testing.assert_close(before[key], after[key])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--head", "linear9"], "invalid choice"),
        (["--finetune", "--views", "3"], "--views is 3; expected 0 with --finetune"),
        (["--scale", "0.9", "0.2"], "two shares, the lower first"),
        (["--layer-decay", "0"], "above 0, at most 1"),
    ],
)
def test_choices_that_make_no_sense_get_one_line(colors, arch, tmp_path, capsys, words, text):
    try:
        assert fit(colors, arch, tmp_path / "run", *words) == 1
    except SystemExit as usage:
        assert usage.code == 2
    assert text in capsys.readouterr().err.splitlines()[-1]


def test_linear4_needs_a_transformer(colors, tmp_path, capsys):
    words = ["--arch", "efficientnet_lite0", "--backbone", "random", "--device", "cpu"]
    assert fit(colors, words, tmp_path / "run", "--head", "linear4") == 1
    assert "expected one of linear, mlp" in capsys.readouterr().err.splitlines()[-1]


def test_a_convolutional_backbone_is_named_by_backbone_alone(colors, tmp_path):
    words = ["--backbone", "efficientnet_lite0", "--imgsz", "64", "64", "--views", "1"]
    words += ["--epochs", "2", "--device", "cpu"]
    assert fit(colors, words, tmp_path) == 0
    contents = read_checkpoint(tmp_path / "last.pt")
    assert contents["spec"]["arch"] == "efficientnet_lite0"
    assert set(contents["state"]) == {
        *("head.linear.weight", "head.linear.bias", "normalise.mean", "normalise.std")
    }


def test_intervals_and_gains_are_those_of_the_hits(tmp_path):
    """Three of four against two of four: 75 %, 50 %, and 25 points less."""
    hits = {"one": "yyyn", "two": "nyyn"}
    for name, row in hits.items():
        (tmp_path / name).mkdir()
        lines = [f"{i}.png,a,{'a' if hit == 'y' else 'b'},1,1" for i, hit in enumerate(row)]
        head = "image,class,predicted,probability,probability_of_class"
        (tmp_path / name / "predictions.csv").write_text("\n".join([head, *lines]) + "\n")
    text = compare_runs({name: [tmp_path / name] for name in hits}, tmp_path)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert rows[2][:2] == ["one", "1"] and rows[2][2].startswith("75.0 [") and rows[2][3] == ""
    assert rows[3][2].startswith("50.0 [") and rows[3][3].startswith("-25.0 [-75.0, +0.0]")
    assert (tmp_path / "comparison.md").read_text().startswith(text)


def test_views_are_others_with_another_seed_and_number(colors, tiny):
    data, config = open_class_folders(str(colors)), ClassificationConfig.for_arch("tiny")
    spec = ModelSpec(
        arch="tiny", outputs=classification_outputs(data.classes), input_hw=(56, 56), stride=14
    )

    def view(seed, number):
        loader = ClassLoader(data.train, spec, config.with_changes({"seed": seed}))
        return loader.view_at(3, number)

    assert np.array_equal(view(0, 1), view(0, 1))
    assert not np.array_equal(view(0, 1), view(1, 1))
    assert not np.array_equal(view(0, 1), view(0, 2))


def test_a_group_takes_its_share_of_the_rate(colors, tiny, tmp_path):
    config = ClassificationConfig.for_choices("tiny", {"finetune": True}).with_changes(
        {"backbone": "random", "layer_decay": 0.5, "lr": 1e-2, "warmup": 0, "epochs": 1}
    )
    task = ClassificationTask(config, [open_class_folders(str(colors))], torch.device("cpu"))
    trainer = Trainer(task, Run(tmp_path, task.monitor))
    assert trainer._set_rate(0, 10) == pytest.approx(1e-2)
    groups = trainer._optimizer.param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    vit = trainer.net.backbone.vit
    assert rates[id(trainer.net.head.linear.weight)] == pytest.approx(1e-2)
    assert rates[id(vit.blocks[3].attn.qkv.weight)] == pytest.approx(5e-3)
    assert rates[id(vit.blocks[0].attn.qkv.weight)] == pytest.approx(1e-2 / 16)


def test_the_evaluation_measures_what_the_training_logged(colors, arch, tmp_path, capsys):
    assert fit(colors, arch, tmp_path / "run", "--epochs", "2", "--views", "1") == 0
    scores = tmp_path / "scores.json"
    words = ["--data", str(colors), "--model", str(tmp_path / "run" / "last.pt")]
    words += ["--device", "cpu", "--json", str(scores), "--figures", str(tmp_path / "figures")]
    assert cli.run(evaluate.main, words) == 0
    report = json.loads(scores.read_text())
    logged = float(rows_of(tmp_path / "run" / "log.csv")[-1]["top1"])
    assert report["top1"] == pytest.approx(logged, abs=1e-6)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["confusion.png"]
    other = tmp_path / "other"
    for part in ("train", "val"):
        (other / part).mkdir(parents=True)
        for name in ("red", "pink"):
            (other / part / name).symlink_to(colors / part / "red")
    words = ["--data", str(other), "--model", str(tmp_path / "run" / "last.pt"), "--device", "cpu"]
    assert cli.run(evaluate.main, [*words, "--allow-duplicates"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "knows blue, green, red; the folders are pink, red" in line


def test_a_video_gets_its_classes_and_keeps_its_frames(colors, arch, tmp_path, monkeypatch):
    assert fit(colors, arch, tmp_path / "run", "--epochs", "6", "--views", "1") == 0
    write_clip(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    words = ["--model", str(tmp_path / "run" / "last.pt"), "--input", "clip.mp4", "--device", "cpu"]
    assert cli.run(classify_image.main, [*words, "--top", "1", "--no-show"]) == 0
    with VideoFile(Path("clip.mp4")) as before, VideoFile(Path("clip-classes.mp4")) as after:
        pairs = list(zip(before, after, strict=True))
    assert len(pairs) == 12
    for frame, drawn in pairs:
        changed = np.abs(frame.image.astype(int) - drawn.image).max(2) > 60
        rows, _ = np.nonzero(changed)
        assert changed.any() and rows.max() < 40  # the caption in the top left corner
    assert cli.run(classify_image.main, [*words, "--overwrite", "--output", "clip.mp4"]) == 1
