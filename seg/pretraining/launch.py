"""Launching a pre-training: data, network, folder, and the loop with its log."""

import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist

from seg.data.class_folders import open_class_folders
from seg.data.multicrop_args import TransformArgs
from seg.errors import SpecMismatch
from seg.evaluation.knn import evaluate_knn
from seg.features.knn import K
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.registry import BACKBONES, DINOV2, backbone_info
from seg.models.base import made_with
from seg.models.embedding import FeatureNet
from seg.models.official_weights import RANDOM, load_backbone, weights_id
from seg.predictors.embedder import Embedder
from seg.pretraining.collapse import collapse
from seg.pretraining.config import PretrainConfig
from seg.pretraining.feature_images import draw_features, fixed_images
from seg.pretraining.images import ViewLoader, open_images
from seg.pretraining.method_args import MethodArgs
from seg.pretraining.pretrainer import Pretrainer, Row
from seg.pretraining.ranks import rank, world_size
from seg.pretraining.run_folder import RunFolder
from seg.pretraining.transform_args import read_transform_args
from seg.runtimes.pytorch import TorchRuntime, pick_device
from seg.spec import ModelSpec, embedding_outputs
from seg.training.tensorboard_logger import TensorBoardLogger

OFFICIAL = "official"
log = logging.getLogger("dinoseg")


def launch(config: PretrainConfig) -> Path:
    """Pre-trains a backbone.

    Returns:
        The backbone's file, in the official format.

    Raises:
        SegError: A choice, the data or the disk makes it impossible.
    """
    name = model_name(config.model)
    given = MethodArgs.read(config.method_args)
    args = given.for_run(config.steps, config.method_args.keys())
    transform = read_transform_args(config.transform_args, backbone_info(name).patch_size)
    with processes(config.device) as device:
        images = open_images(config.data)
        loader = ViewLoader(
            images, transform, config.batch, config.accumulate, config.seed, config.workers
        )
        check_memory(config, args, transform, device)
        backbone = build_backbone(name, config, args)
        parent = "" if config.backbone == RANDOM else weights_id(backbone)
        folder = RunFolder(Path(config.out), rank() == 0)
        with folder.opened(config.resume, config.overwrite):
            trainer = Pretrainer(config, args, transform, backbone, loader, device)
            if config.resume:
                trainer.load_state(folder.resume(config.choices()))
            if rank() == 0:
                log.info(
                    "pre-training %s on %d images on %s, %d of %d steps done, into %s",
                    name, len(images), device, trainer.step, config.steps, folder.folder,
                )  # fmt: skip
                if args != given:
                    log.info("a run of %d steps has %s", config.steps, args.step_counts())
            Session(trainer, folder, transform, images, parent, device).run()
    return folder.folder / "backbone.pth"


class Session:
    """A pre-training with its log, its evaluations and its checkpoints."""

    def __init__(
        self,
        trainer: Pretrainer,
        folder: RunFolder,
        transform: TransformArgs,
        images: Sequence[Path],
        parent: str,
        device: torch.device,
    ) -> None:
        self._trainer, self._folder, self._transform = trainer, folder, transform
        self._num_images, self._parent, self._device = len(images), parent, device
        self._shown = fixed_images(images) if folder.is_writer else []
        self._source = trainer.student.backbone.source
        self._knn = folder.history[-1].get("knn_top1") if folder.history else None
        self._is_collapsed = False
        self._loggers: list[TensorBoardLogger] = []
        if trainer.config.tensorboard and folder.is_writer:
            self._loggers = [TensorBoardLogger(folder.folder / "tensorboard")]

    def run(self) -> None:
        """Trains to the end."""
        trainer, config = self._trainer, self._trainer.config
        rows: list[Row] = []
        if config.eval_data and self._knn is None:
            self._evaluate()
        if not trainer.step:
            self._draw_features()
        for row in trainer.steps():
            rows.append(row)
            if trainer.step in (config.steps // 2, config.steps):
                self._draw_features()
            is_end = trainer.step == config.steps
            if config.eval_data and (is_end or trainer.step % config.eval_every == 0):
                self._evaluate()
            if "feature_std" in row:
                self._log(rows)
                rows = []
            if is_end or trainer.step % config.save_every == 0:
                self._save()
        self._folder.draw()
        if trainer.unreadable:
            names = sorted(trainer.unreadable)
            log.warning("%d images could not be read: %s", len(names), ", ".join(names[:20]))

    def _log(self, rows: list[Row]) -> None:
        trainer, config, last = self._trainer, self._trainer.config, rows[-1]
        seconds, waited = (sum(row[name] for row in rows) for name in ("seconds", "wait_s"))
        entry: Row = {"step": trainer.step, "epoch": trainer.step * config.batch / self._num_images}
        entry["lr"] = last["lr"]
        entry |= {k: sum(r[k] for r in rows) / len(rows) for k in last if k.startswith("train_")}
        entry |= {k: last[k] for k in last if k not in (*entry, "seconds", "wait_s")}
        entry["images_per_s"] = len(rows) * config.batch / seconds
        entry["data_wait"] = waited / seconds
        if self._knn is not None:
            entry["knn_top1"] = self._knn
        self._folder.history.append(entry)
        for logger in self._loggers:
            logger({**entry, "epoch": trainer.step})
        if rank() == 0:
            words = "  ".join(
                f"{k} {v:.4g}" for k, v in entry.items() if k not in ("step", "epoch")
            )
            log.info("step %d/%d  %s", trainer.step, config.steps, words)
        if (how := collapse(self._folder.history)) and not self._is_collapsed:
            log.warning("COLLAPSE: %s; lower --lr or raise the teacher's momentum.", how)
        self._is_collapsed = bool(how)

    def _net(self) -> tuple[FeatureNet, ModelSpec]:
        """Returns the teacher's backbone as a model that embeds images."""
        backbone = self._trainer.teacher.branch.backbone
        backbone.source = f"{self._trainer.step} steps of pre-training from {self._source}"
        normalize = self._transform.normalize
        spec = ModelSpec(
            arch=backbone.name,
            outputs=embedding_outputs(is_mean=False),
            input_hw=self._transform.image_size,
            fit="center_crop",
            stride=backbone.stride,
            layers=backbone.layers,
            backbone=backbone.source,
            weights_id=weights_id(backbone),
            mean=normalize.mean,
            std=normalize.std,
            made_with=made_with(),
        )
        net = FeatureNet(backbone, normalize.mean, normalize.std)
        return net.to(self._device).eval(), spec

    def _draw_features(self) -> None:
        if self._shown:
            embedder = Embedder(TorchRuntime(*self._net(), self._device))
            path = self._folder.folder / f"features-{self._trainer.step}.png"
            draw_features(embedder, self._shown, path)

    def _evaluate(self) -> None:
        data = open_class_folders(self._trainer.config.eval_data)
        embedder = Embedder(TorchRuntime(*self._net(), self._device))
        k = min(K, len(data.train))
        found = evaluate_knn(embedder, data.train, data.valid, data.classes, k)
        self._knn = float(found.scores["top1"])
        if rank() == 0:
            log.info("step %d: k-NN top-1 %.4f", self._trainer.step, self._knn)

    def _save(self) -> None:
        trainer = self._trainer
        net, spec = self._net()
        card = {
            "model": spec.arch,
            "weights_id": spec.weights_id,
            "parent_weights_id": self._parent,
            "source": spec.backbone,
            "steps": trainer.step,
            "images": self._num_images,
            "method_args": dataclasses.asdict(trainer.args),
            "made_with": spec.made_with,
        }
        self._folder.save(net, spec, trainer.state(), trainer.config.choices(), card)


def model_name(text: str) -> str:
    """Returns the name of a backbone that this method trains; `dinov2/vits14`, `vitt14`.

    Raises:
        SpecMismatch: There is none, or it is no vision transformer.
    """
    name = text.replace("/", "_")
    name = name if name in BACKBONES else f"{DINOV2}_{name}"
    if name not in BACKBONES or BACKBONES[name].family != DINOV2:
        known = [one.replace("_", "/", 1) for one, i in BACKBONES.items() if i.family == DINOV2]
        raise SpecMismatch(f"--model {text} cannot be pre-trained; expected {', '.join(known)}.")
    return name


def build_backbone(name: str, config: PretrainConfig, args: MethodArgs) -> DinoBackbone:
    """Builds what is trained: new weights, or those of a file.

    Raises:
        ArtifactError: The file cannot be had, or is foreign.
    """
    info = backbone_info(name)
    torch.manual_seed(config.seed)
    if config.backbone != RANDOM:
        weights = None if config.backbone == OFFICIAL else config.backbone
        return cast(DinoBackbone, load_backbone(name, weights, info.embedding_layers))
    source = f"random weights (seed {config.seed})"
    backbone = cast(DinoBackbone, info.build(name, info.embedding_layers, source))
    with torch.no_grad():
        for key, value in backbone.named_parameters():
            if key.endswith("gamma"):
                value.fill_(args.layer_scale_init)
    return backbone


def check_memory(
    config: PretrainConfig, args: MethodArgs, transform: TransformArgs, device: torch.device
) -> None:
    """Raises SpecMismatch where the prototypes alone do not fit into memory."""
    images = config.batch // config.accumulate // world_size()
    num_local = transform.local_view.num_views if transform.local_view else 0
    num_heads = 1 + args.ibot_separate_head
    # Student, teacher, gradient and AdamW's two averages; then logits, and their gradients.
    weights = 5 * num_heads * args.output_dim * args.dino_bottleneck_dim
    logits = 4 * images * (4 + num_local) * args.output_dim
    needed, there = 4 * (weights + logits), _memory(device)
    if there is not None and needed > there:
        raise SpecMismatch(
            f"output_dim {args.output_dim} with {images} images in a part of a step needs "
            f"{needed / 1e9:.1f} GB for the prototypes and there are {there / 1e9:.1f}; lower "
            "output_dim or --batch, or raise --accumulate."
        )


def _memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    names = os.sysconf_names
    if "SC_PHYS_PAGES" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def processes(device: str) -> Iterator[torch.device]:
    """Joins the processes that torchrun started, and picks the device of this one."""
    picked = pick_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield picked
        return
    if picked.type == "cuda":
        picked = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(picked)
    dist.init_process_group("nccl" if picked.type == "cuda" else "gloo")
    try:
        yield picked
    finally:
        dist.destroy_process_group()


def train_from(values: dict[str, Any]) -> Path:
    """Reads a configuration and trains; see `seg.pretraining.train`."""
    return launch(PretrainConfig.read(values))
