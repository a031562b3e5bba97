"""apps/benchmark_quality.py on a model of one convolution."""

import json

from seg import cli


def test_every_variant_that_was_asked_for_is_a_row(load_app, tiny, discs, capsys):
    words = ["--data", str(discs), "--model", str(tiny), "--device", "cpu", "--tta", "1"]
    words += ["--epsilon", "1e-4", "1e-2", "--radius", "2", "4"]
    assert cli.run(load_app("benchmark_quality").main, words) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]
    filters = [f"guided, epsilon {e}, radius {r}" for r in (2, 4) for e in ("0.0001", "0.01")]
    assert rows == ["plain", *filters, "--tta 1"]
    assert any(line.startswith("- versions: python") for line in lines)


def test_an_epsilon_that_is_not_positive_is_refused(load_app, tiny, discs, capsys):
    words = ["--data", str(discs), "--model", str(tiny), "--epsilon", "0"]
    assert cli.run(load_app("benchmark_quality").main, words) == 1
    assert "--epsilon is 0; expected a positive number" in capsys.readouterr().err


def test_json_has_scores_and_gains_of_each_variant(load_app, tiny, discs, capsys):
    words = ["--data", str(discs), "--model", str(tiny), "--device", "cpu", "--tta", "1", "--json"]
    assert cli.run(load_app("benchmark_quality").main, words) == 0
    plain, tta = json.loads(capsys.readouterr().out)["variants"]
    assert (plain["name"], tta["name"]) == ("plain", "--tta 1")
    for key, gain in tta["gains"].items():
        assert abs(plain["scores"][key] + gain["gain"] - tta["scores"][key]) < 1e-12
        assert gain["interval_95"][0] <= gain["gain"] <= gain["interval_95"][1]
