"""The flags of what is drawn, and where results may go."""

from pathlib import Path

import pytest

from seg import ArtifactError, cli


@pytest.mark.parametrize("text", ["50", "1.01", "-0.1", "nan", "half"])
def test_an_opacity_outside_of_0_to_1_is_refused(text, capsys):
    parser = cli.parser("")
    cli.add_drawing_flags(parser)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--opacity", text])
    assert stop.value.code == 2
    assert f"expected a number from 0 to 1, got '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.png", "folder/../a.png", "link.png"])
def test_an_input_is_known_by_each_of_its_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"an image")
    (tmp_path / "link.png").symlink_to("a.png")
    for source, result in ((Path("a.png"), Path(name)), (Path(name), tmp_path / "a.png")):
        with pytest.raises(ArtifactError, match="is an input"):
            cli.check_paths_differ([source], [result])
    cli.check_paths_differ([Path("a.png")], [Path("folder/a.png")])


def test_two_results_do_not_share_a_name(tmp_path):
    with pytest.raises(ArtifactError, match="is the name of two results"):
        cli.check_paths_differ([], [tmp_path / "a.png", tmp_path / "b" / ".." / "a.png"])
