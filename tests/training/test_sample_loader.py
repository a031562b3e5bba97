"""Views: labels go with their pixels, padding is ignored, a seed gives the same again."""

import dataclasses

import cv2
import numpy as np
import torch

from seg.data import open_dataset
from seg.data.augment import Augment, copy_paste
from seg.data.samples import instance_table
from seg.models.nets import build_net
from seg.spec import ModelSpec, segmentation_outputs
from seg.training.sample_loader import SampleLoader, digest_of
from tests.training.making import SMALL_LITE, TINY

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(96, 96),
    stride=32,
)
SMALL = SMALL_LITE


def first(sets, config, epoch=0, spec=SPEC):
    return next(iter(SampleLoader(sets, spec, config).epoch(epoch)))


def test_an_epoch_depends_on_seed_and_number_alone(discs):
    sets = [open_dataset(str(discs))]
    stream = SampleLoader(sets, SPEC, SMALL)
    used = [list(stream.epoch(0)), list(stream.epoch(1))]
    fresh = list(SampleLoader(sets, SPEC, SMALL).epoch(1))
    assert all(torch.equal(used[1][1][i], fresh[1][i]) for i in (0, 1))
    assert not torch.equal(used[0][0][0], used[1][0][0])
    assert not torch.equal(fresh[0][0], first(sets, SMALL.with_changes({"seed": 1}), 1)[0])


def test_batches_have_the_promised_shapes(discs):
    stream = SampleLoader([open_dataset(str(discs))], SPEC, SMALL)
    batches = list(stream.epoch(0))
    assert len(batches) == len(stream) == 2
    for images, labels, _ in batches:
        assert images.shape == (4, 3, 64, 64) and images.dtype == torch.float32
        assert labels.shape == (4, 64, 64) and labels.dtype == torch.int64
        assert float(images.min()) >= 0 and float(images.max()) <= 1


def test_labels_follow_their_pixels(discs):
    """The discs are the only bright red; without color changes red and label must agree."""
    plain = SMALL.with_changes({"color": 0.0, "copy_paste_prob": 0.5, "samples": 64, "batch": 64})
    images, labels, _ = first([open_dataset(str(discs))], plain)
    known = labels != 255
    is_red = (images[:, 0] > 0.7) & known
    agree = ((labels == 1) & known) == is_red
    assert (labels == 1).sum() > 1000
    assert float(agree[known].float().mean()) > 0.97  # all but blended edges


def test_what_is_outside_the_image_is_never_background():
    image, labels = np.full((20, 20, 3), 255, np.uint8), np.ones((20, 20), np.uint8)
    augment = Augment((64, 64), (0.5, 1.5), (0.0, 0.0, 0.0), color=0)
    for seed in range(20):
        augment.seed(seed)
        view, seen = augment.view(image, labels)
        assert set(np.unique(seen)) <= {1, 255}
        assert (seen == 255).sum() > 64 * 64 / 2
        assert view[seen == 1].mean() > 230 and view[seen == 255].mean() < 5


def angles(rotate, count=40):
    """Angles, in degrees, of a horizontal bar in views that are all rotated."""
    image = np.zeros((96, 96, 3), np.uint8)
    labels = np.zeros((96, 96), np.uint8)
    labels[46:50, 16:80] = 1
    augment = Augment((96, 96), (1, 1), (0, 0, 0), 0, rotate=rotate, rotate_prob=1)
    found = []
    for seed in range(count):
        augment.seed(seed)
        rows, columns = np.nonzero(augment.view(image, labels)[1] == 1)
        found.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
    return np.abs(found)


def test_views_are_rotated_up_to_the_angle_that_is_asked_for():
    assert 4 < angles(8).max() < 8 + 4 + 1  # rotation, shear, pixels
    assert 22 < angles(30).max() < 30 + 4 + 1
    assert (angles(30) > 15).mean() > 0.3


def test_gray_views_have_no_color():
    image = np.full((64, 64, 3), (20, 90, 200), np.uint8)
    for gray_prob, is_gray in ((1.0, True), (0.0, False)):
        augment = Augment((64, 64), (1, 1), (0, 0, 0), 0.01, gray_prob=gray_prob)
        for seed in range(10):
            augment.seed(seed)
            channels = augment.recolor(image).mean((0, 1))
            assert (np.ptp(channels) < 4) == is_gray  # noise alone differs


def test_a_crop_that_is_no_multiple_of_the_stride_is_padded_with_ignore(discs):
    spec = dataclasses.replace(SPEC, stride=14)
    config = SMALL.with_changes({"crop_hw": (60, 64), "scale": (2.0, 2.5)})
    images, labels, _ = first([open_dataset(str(discs))], config, spec=spec)
    assert images.shape[2:] == (70, 70)
    assert (labels[:, 60:] == 255).all() and (labels[:, :, 64:] == 255).all()
    mean = torch.tensor(spec.mean).view(1, 3, 1, 1)
    assert torch.equal(images[:, :, 60:], mean.expand(4, 3, 10, 70))


def test_weights_decide_how_often_a_set_is_drawn(discs, tmp_path):
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((64, 64, 3), np.uint8))
    sets = [open_dataset(f"{discs},weight=3"), open_dataset(f"{tmp_path},negatives,weight=1")]
    config = SMALL.with_changes({"samples": 2000, "copy_paste_prob": 0})
    order = SampleLoader(sets, SPEC, config).order(np.random.default_rng(0))
    share = np.mean(np.array(order) < len(sets[0].train))
    assert abs(share - 0.75) < 0.03


def test_without_weights_an_epoch_has_each_image_once(discs):
    data = open_dataset(str(discs))
    config = TINY.with_changes({"input_hw": (56, 56)})
    order = SampleLoader([data], SPEC, config).order(np.random.default_rng(0))
    assert sorted(order) == list(range(len(data.train)))


def test_pasting_copies_people_and_nothing_else():
    view = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 255, np.uint8)
    donor_labels = np.zeros((8, 8), np.uint8)
    donor_labels[2:6, 2:6] = 1
    donor_labels[0] = 255
    image, labels = copy_paste(view, (np.full((8, 8, 3), 200, np.uint8), donor_labels))
    assert (labels[2:6, 2:6] == 1).all() and (labels == 1).sum() == 16
    assert (image[3:5, 3:5] == 200).all()
    assert (image[0] == 0).all() and (image[:, 0] == 0).all() and (image[7] == 0).all()


def test_people_come_into_images_without_them_by_pasting_alone(discs, tmp_path):
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((96, 96, 3), np.uint8))
    sets = [open_dataset(str(discs)), open_dataset(f"{tmp_path},negatives,val=0")]

    def share(paste):
        config = SMALL.with_changes({"copy_paste_prob": paste, "scale": (0.6, 0.7)})
        stream = SampleLoader(sets, SPEC, config)
        empty = len(stream.samples) - 1
        assert stream.samples[empty].mask is None
        return np.mean([(stream.view_at(empty, k)[1] == 1).any() for k in range(80)])

    assert share(0) == 0
    assert share(1) > 0.9  # whole images are pasted from; few views of them miss the disc
    assert 0.35 < share(0.5) < 0.65


def test_the_networks_take_what_batches_give(discs):
    images, _, _ = first([open_dataset(str(discs))], SMALL)
    outputs = build_net(SPEC).training_logits(images)
    assert [tuple(o.shape) for o in outputs] == [(4, 2, 16, 16), (4, 2, 4, 4)]


def test_the_last_views_of_an_epoch_are_a_step_of_their_own(discs):
    config = SMALL.with_changes({"samples": 10})
    stream = SampleLoader([open_dataset(str(discs))], SPEC, config)
    assert [len(batch.labels) for batch in stream.epoch(0)] == [4, 4, 2]
    assert len(stream) == 3


def test_a_sample_whose_labels_mean_something_else_is_another(discs):
    sample = open_dataset(str(discs)).train[0]
    other = dataclasses.replace(sample, table=instance_table(1))
    assert other.table != sample.table and digest_of(other) != digest_of(sample)
