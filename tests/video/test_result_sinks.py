"""Results beside the overlay, read back by other programs' readers."""

import io
import json
import os

import av
import cv2
import numpy as np
import pytest

from seg import ArtifactError, SourceError
from seg.imaging.cutout import of_color
from seg.results import Mask
from seg.video.base import Frame, Processed, Sink
from seg.video.cutout_sinks import CutOutFolder, CutOutVideo, OtherBackground
from seg.video.polygon_sinks import CocoFile, PolygonLines
from seg.video.raw_frames import RawFrames

CLASSES = ("background", "person")


def labels_of(index):
    labels = np.zeros((48, 64), np.uint8)
    labels[8:24, 4 + 4 * index : 24 + 4 * index] = 1
    labels[12:16, 10 + 4 * index : 14 + 4 * index] = 0  # a hole
    labels[40:44, 50:60] = 1
    return labels


def feed(sink, count=3):
    for index in range(count):
        image = np.full((48, 64, 3), (30, 160, 90), np.uint8)
        frame = Frame(image, index, index * 0.04)
        with_hole = Mask(labels_of(index), CLASSES)
        sink.write(frame, Processed(image, {"segmentation": with_hole}))
    sink.close()
    sink.close()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its own
def test_pycocotools_reads_the_masks_back(tmp_path):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO

    feed(CocoFile(tmp_path / "a.json", False))
    coco = COCO(str(tmp_path / "a.json"))
    assert coco.loadCats(coco.getCatIds()) == [{"id": 1, "name": "person"}]
    assert [image["file_name"] for image in coco.imgs.values()] == [
        "000000.png", "000001.png", "000002.png"
    ]  # fmt: skip
    for index, number in enumerate(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=number))
        whole = sum(coco.annToMask(annotation).astype(int) for annotation in annotations)
        np.testing.assert_array_equal(whole, labels_of(index))
        assert sorted(annotation["area"] for annotation in annotations) == [40, 304]
        first = annotations[0]
        assert first["bbox"] == [4 + 4 * index, 8, 20, 16]


def test_a_coco_file_without_a_frame_is_one(tmp_path):
    pytest.importorskip("pycocotools")
    CocoFile(tmp_path / "a.json", False).close()
    assert json.loads((tmp_path / "a.json").read_text())["annotations"] == []


def test_polygon_lines_have_outlines_and_holes(tmp_path):
    feed(PolygonLines(tmp_path / "a.jsonl", False))
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["time_s"]) for line in lines] == [(0, 0), (1, 0.04), (2, 0.08)]
    large, small = lines[1]["polygons"]
    assert large["outline"] == [[8, 8], [28, 8], [28, 24], [8, 24]] and large["area"] == 304
    assert sorted(map(tuple, large["holes"][0])) == [(14, 12), (14, 16), (18, 12), (18, 16)]
    assert (small["class"], small["holes"], small["bbox"]) == ("person", [], [50, 40, 10, 4])
    with pytest.raises(ArtifactError, match="exists already"):
        PolygonLines(tmp_path / "a.jsonl", False)


def test_cut_out_pngs_have_alpha(tmp_path):
    feed(CutOutFolder(tmp_path / "cut"))
    read = cv2.imread(str(tmp_path / "cut" / "000002.png"), cv2.IMREAD_UNCHANGED)
    assert read.shape == (48, 64, 4) and tuple(read[20, 20]) == (30, 160, 90, 255)
    assert read[30, 30, 3] == 0
    with pytest.raises(ArtifactError, match="exists already"):
        CutOutFolder(tmp_path / "cut")


@pytest.mark.parametrize(("name", "decoder"), [("a.webm", "libvpx-vp9"), ("a.mov", "prores")])
def test_cut_out_videos_have_alpha_and_their_times(tmp_path, name, decoder):
    feed(CutOutVideo(tmp_path / name, fps=25))
    with av.open(str(tmp_path / name)) as file:
        codec = av.CodecContext.create(decoder, "r")  # FFmpeg's own VP9 decoder knows no alpha
        codec.extradata = file.streams.video[0].codec_context.extradata
        frames, times = [], []
        for packet in file.demux(video=0):
            if packet.size:
                times.append(float(packet.pts * packet.time_base))
            frames += codec.decode(packet if packet.size else None)
    np.testing.assert_allclose(times, [0, 0.04, 0.08], atol=1e-6)
    for index, frame in enumerate(frames):
        bgra = frame.to_ndarray(format="bgra").astype(int)
        inside = np.zeros((48, 64), bool)
        inside[18:22, 8 + 4 * index : 20 + 4 * index] = True
        assert bgra[inside][:, 3].min() > 235
        assert bgra[28:36, :40, 3].max() < 20
        assert np.abs(bgra[inside][:, :3] - (30, 160, 90)).mean() < 12
    assert len(frames) == 3


def test_a_cut_out_video_without_a_frame_leaves_no_file(tmp_path):
    CutOutVideo(tmp_path / "a.webm").close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(SourceError, match=r"\.webm or \.mov"):
        CutOutVideo(tmp_path / "a.mp4")


def test_the_sink_inside_gets_the_other_background():
    class Kept(Sink):
        images = ()

        def write(self, frame, processed):
            self.images += (processed.image,)

    kept = Kept()
    feed(OtherBackground(kept, of_color((1, 2, 3))))
    assert len(kept.images) == 3 and tuple(kept.images[0][35, 30]) == (1, 2, 3)
    assert tuple(kept.images[0][20, 18]) == (30, 160, 90)


def test_raw_frames_are_bare_bytes_of_one_size():
    file = io.BytesIO()
    feed(RawFrames(file))
    pixels = np.frombuffer(file.getvalue(), np.uint8).reshape(3, 48, 64, 3)
    assert (pixels == (30, 160, 90)).all()
    small = np.zeros((4, 4, 3), np.uint8)
    sink = RawFrames(file)
    sink.write(Frame(small, 0, 0.0), Processed(small, {}))
    with pytest.raises(SourceError, match="4x4"):
        sink.write(Frame(small[:2], 1, 1.0), Processed(small[:2], {}))


def test_a_reader_that_goes_away_ends_the_loop():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as file:
        sink = RawFrames(file)
        feed(sink, 1)
        assert sink.closed
