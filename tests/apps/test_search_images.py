"""The command end to end, on a tiny network with 16 random filters."""

import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seg import cli
from seg.search.image_index import ImageIndex
from seg.spec import METADATA_KEY, ModelSpec, embedding_outputs

COMMANDS = (
    "index", "query", "add", "remove", "duplicates", "cluster", "evaluate", "benchmark",
)  # fmt: skip


def write_embedder(path, seed=0, weights_id="a" * 64):
    """Writes a network whose patches are filtered 8 x 8 pixels, and whose cls is their mean."""
    spec = ModelSpec(
        arch="tiny", outputs=embedding_outputs(is_mean=True), input_hw=(64, 64), stride=8,
        weights_id=weights_id, made_with="a test",
    )  # fmt: skip
    filters = np.random.default_rng(seed).normal(size=(16, 3, 8, 8)).astype(np.float32)
    filters -= filters.mean((1, 2, 3), keepdims=True)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "w"], ["raw"], strides=[8, 8]),
            helper.make_node("Relu", ["raw"], ["patches"]),
            helper.make_node("ReduceMean", ["patches"], ["cls"], axes=[2, 3], keepdims=0),
        ],
        "tiny",
        [tensor("images", TensorProto.FLOAT, ["B", 3, "H", "W"])],
        [
            tensor("cls", TensorProto.FLOAT, ["B", 16]),
            tensor("patches", TensorProto.FLOAT, ["B", 16, "h", "w"]),
        ],
        [numpy_helper.from_array(filters, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, str(path))
    return path


def scene(seed, hw=(120, 160)):
    """An image like no other."""
    rng = np.random.default_rng(seed)
    image = np.full((*hw, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(25):
        (x, y), radius = rng.integers(0, hw[::-1]), int(rng.integers(4, 30))
        cv2.circle(image, (int(x), int(y)), radius, rng.integers(0, 255, 3).tolist(), -1)
    return image


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    return write_embedder(tmp_path_factory.mktemp("embedder") / "embed.onnx")


@pytest.fixture
def search(load_app, capsys):
    app = load_app("search_images")

    def run(*words):
        code = cli.run(app.main, [str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def photos(here):
    """Ten images in two folders, in the current folder."""
    for number in range(10):
        folder = here / "photos" / ("red" if number < 5 else "blue")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), scene(number))
    return here / "photos"


@pytest.fixture
def index(search, photos, here, embedder):
    code, out, err = search(
        "index", photos, "--recursive", "--output", "a.index", "--model", embedder
    )
    assert (code, out) == (0, "a.index: 10 images\n"), err
    assert "10 new, 0 changed, 0 as they were; " in err and "images/s" in err
    assert "index flat: 10 vectors (up to 100,000 vectors, exact search is fast)" in err
    return here / "a.index"


def vectors(path):
    found = ImageIndex.load(path)
    rows = zip(found.entries, found.vectors.vectors, strict=True)
    return {entry.path: vector for entry, vector in rows}


def test_vectors_are_the_networks_own(index, photos, embedder):
    """The oracle: OpenCV, numpy and ONNX Runtime, without this library."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(embedder))
    for path, vector in vectors(index).items():
        image = cv2.resize(cv2.imread(path), (64, 48), interpolation=cv2.INTER_AREA)
        images = image[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
        mean = session.run(["patches"], {"images": np.ascontiguousarray(images)})[0].mean((2, 3))[0]
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=2e-3)


def test_a_query_finds_its_scaled_copy_and_shows_it(search, index, here, photos):
    cv2.imwrite("query.jpg", cv2.resize(scene(7), (200, 150)))
    code, out, err = search(
        "query", "query.jpg", "--index", index, "--top", 3, "--output", "f.html", "f.png"
    )
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "query.jpg" and len(lines) == 4
    assert re.fullmatch(rf"  [01]\.\d+  {photos / 'blue' / '7.png'}", lines[1])
    assert cv2.imread("f.png").shape == (200, 800, 3)
    assert "data:image/jpeg;base64," in (here / "f.html").read_text()
    code, out, err = search("query", "query.jpg", "--index", index, "--output", "f.png")
    assert code == 1 and "f.png exists already" in err and not out


def test_json_is_the_same_answer(search, index, photos):
    code, out, _ = search("query", photos / "red" / "1.png", "--index", index, "--json")
    (answer,) = json.loads(out)
    assert code == 0 and answer["query"] == str(photos / "red" / "1.png")
    found = vectors(index)
    own = found.pop(answer["query"])
    expected = sorted(found, key=lambda path: -float(found[path] @ own))
    assert [hit["path"] for hit in answer["hits"]] == expected
    assert all(hit["is_missing"] is False for hit in answer["hits"])


def test_indexing_again_embeds_only_what_changed(search, index, photos):
    cv2.imwrite(str(photos / "new.png"), scene(20))
    cv2.imwrite(str(photos / "red" / "0.png"), scene(21))
    code, out, err = search("index", photos, "--recursive", "--output", index)
    assert code == 0 and "1 new, 1 changed, 9 as they were" in err
    code, out, err = search("add", photos, "--recursive", "--index", index, "--json")
    assert json.loads(out)["unchanged"] == 11 and json.loads(out)["added"] == 0


def test_an_index_that_is_up_to_date_is_not_written_again(search, index, photos):
    before = index.stat().st_ino
    assert search("index", photos, "--recursive", "--output", index)[0] == 0
    assert index.stat().st_ino == before
    code, _, err = search("index", photos, "--recursive", "--output", index, "--kind", "hnsw")
    assert code == 0 and "index hnsw: 10 vectors, recall@10 1.000 of exact search" in err
    assert ImageIndex.load(index).vectors.kind == "hnsw"
    assert (
        "index hnsw: 10 vectors, recall@10 1.000"
        in search("query", photos / "red", "--index", index)[2]
    )


def test_where_no_image_can_be_read_no_index_is_made(search, here, embedder):
    (here / "bad").mkdir()
    (here / "bad" / "a.png").write_bytes(b"x")
    code, out, err = search("index", "bad", "--output", "b.index", "--model", embedder)
    assert code == 1 and not out and not (here / "b.index").exists()
    assert "error: No image can be read:\n  bad/a.png: not an image, or damaged" in err


def test_removing_leaves_the_files(search, index, photos):
    code, out, _ = search("remove", photos / "red", "--index", index)
    assert (code, out) == (0, "5 removed, 5 left\n")
    assert len(list(photos.rglob("*.png"))) == 10
    (photos / "blue" / "5.png").unlink()
    assert search("remove", "--missing", "--index", index)[1] == "1 removed, 4 left\n"
    code, _, err = search("remove", "nowhere", "--index", index)
    assert code == 1 and "error: Not in the index; nothing was removed:\n  nowhere" in err
    assert search("remove", "--index", index)[0] == 1


def test_duplicates_are_listed_first_and_moved_only_when_told_to(search, index, photos, here):
    cv2.imwrite(str(photos / "half.png"), cv2.resize(scene(3), (80, 60)))
    cv2.imwrite(
        str(photos / "blue" / "flip.jpg"), cv2.flip(scene(6), 1), [cv2.IMWRITE_JPEG_QUALITY, 30]
    )
    assert search("add", photos, "--recursive", "--index", index)[0] == 0
    words = ("duplicates", "--index", index, "--min-similarity", 0)
    code, out, err = search(*words)
    assert code == 0 and "2 images could go; nothing was moved" in err
    assert out.splitlines() == [
        f"keep {photos / 'blue' / '6.png'}",
        f"  could go: {photos / 'blue' / 'flip.jpg'} (mirrored)",
        f"keep {photos / 'red' / '3.png'}",
        f"  could go: {photos / 'half.png'} (scaled to 50%)",
    ]
    assert len(list(photos.rglob("*.*"))) == 12
    code, out, err = search(*words, "--move-to", here / "gone", "--output", "pairs.png")
    assert code == 0 and "2 images moved into" in err
    assert (here / "gone" / "half.png").exists() and (here / "gone" / "blue" / "flip.jpg").exists()
    assert len(list(photos.rglob("*.*"))) == len(vectors(index)) == 10
    assert cv2.imread("pairs.png") is not None
    assert "no near-duplicates" in search(*words)[2]


def test_clusters_go_into_a_folder_of_links(search, index, here):
    code, _out, err = search("cluster", "--index", index, "--output", "groups", "--by", "link")
    assert code == 0 and "clusters, whose mean silhouette is the largest" in err
    links = list((here / "groups").rglob("*.png"))
    assert len(links) == 10 and all(path.is_symlink() for path in links)
    code, _, err = search("cluster", "--index", index, "--k", 11)
    assert code == 1 and "11 clusters need as many images; the index holds 10" in err
    assert search("cluster", "--index", index, "--by", "copy")[0] == 1


def test_evaluate_prints_precision_by_folder_and_recall(search, index):
    code, out, err = search("evaluate", "--index", index, "--top", 2)
    assert code == 0 and "| red | 5 |" in out and "| blue | 5 |" in out
    assert "index flat: recall@10 1.000 of exact search" in err


def test_the_benchmark_runs_small(search):
    code, out, err = search(
        "benchmark", "--vectors", 300, "--dimension", 16, "--queries", 20, "--kind", "flat", "hnsw",
        "--json",
    )  # fmt: skip
    assert code == 0, err
    assert [row["kind"] for row in json.loads(out)["kinds"]] == ["flat", "hnsw"]


def test_another_backbones_vectors_are_refused(search, index, here, photos):
    before = index.read_bytes()
    other = write_embedder(here / "other.onnx", seed=1, weights_id="b" * 64)
    for words in (
        ("query", photos / "red", "--index", index),
        ("add", photos, "--index", index),
        ("index", photos, "--output", index),
    ):
        code, out, err = search(*words, "--model", other)
        assert code == 1 and not out
        assert re.search(r"error: \S+a\.index holds vectors of weights_id a{16}; this model makes "
                         r"weights_id b{16}\. Use the model", err)  # fmt: skip
    assert index.read_bytes() == before
    no_id = write_embedder(here / "none.onnx", weights_id="")
    code, _, err = search("index", photos, "--output", "b.index", "--model", no_id)
    assert code == 1 and "does not say which weights it has" in err
    assert not (here / "b.index").exists()


def test_a_model_for_masks_embeds_nothing(search, photos, tiny):
    code, _, err = search("index", photos, "--recursive", "--output", "b.index", "--model", tiny)
    assert code == 1 and "embedding" in err and "Traceback" not in err


def test_bad_input_is_one_line_and_loses_nothing(search, index, here, photos):
    (here / "cut.index").write_bytes(index.read_bytes()[:-100])
    (here / "words.doc").write_text("words")
    shutil.copytree(photos, here / "kept")
    for words, said in (
        (("query", "words.doc", "--index", index), "words.doc: not an image, or damaged"),
        (("query", photos, "--index", "cut.index"), "cut.index is cut or damaged; make it again"),
        (("query", photos, "--index", "no.index"), "There is no index of images at no.index"),
        (("query", photos, "--index", "words.doc"), "No index of images at words.doc"),
        (("add", "nowhere", "--index", index), "There is no file or folder 'nowhere'"),
        (("index", photos, "--recursive", "--output", "new.index"), "Name a --model that embeds"),
    ):
        code, out, err = search(*words)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == 1 and len(lines) == 1 and said in lines[0] and not out
        assert "Traceback" not in err
    assert len(vectors(index)) == 10
    assert (here / "cut.index").read_bytes() == index.read_bytes()[:-100]


def test_images_that_cannot_be_read_are_named_and_the_exit_code_says_so(search, index, photos):
    (photos / "bad.jpg").write_bytes(b"x")
    code, out, err = search("add", photos, "--recursive", "--index", index)
    assert code == 1 and out == f"{index}: 10 images\n"
    assert f"error: {photos / 'bad.jpg'}: not an image, or damaged" in err


def test_help_fits_a_screen_and_loads_no_numpy(request):
    script = request.config.rootpath / "apps" / "search_images.py"
    code = "import sys, runpy; sys.argv = sys.argv[1:]; "
    code += "\ntry: runpy.run_path(sys.argv[0], run_name='__main__')"
    code += "\nexcept SystemExit: print('numpy' in sys.modules)"
    for command in ((), *((name,) for name in COMMANDS)):
        done = subprocess.run(
            [sys.executable, "-c", code, str(script), *command, "--help"],
            capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip
        lines = done.stdout.splitlines()
        assert len(lines) <= 40 and max(map(len, lines)) <= 100
        if not command:
            assert all(re.search(rf"(?m)^ +{name}\s+[a-z]", done.stdout) for name in COMMANDS)
            assert lines[-1] == "False"
