import json

from seg import cli


def test_a_clip_is_measured_against_the_masks_of_every_frame(load_app, tiny, clip, capsys):
    words = ["--input", str(clip), "--longest", "0.02", "1", "--json", "--model", str(tiny)]
    assert cli.run(load_app("benchmark_keyframes").main, words) == 0
    always, seldom = json.loads(capsys.readouterr().out)["clips"]["clip.mp4"]
    assert (always["reused_share"], always["iou"], always["worst_iou"]) == (0, 1, None)
    assert 0 <= seldom["reused_share"] <= 0.9 and 0.5 < seldom["iou"] <= 1
    assert always["speed_ratio"] > 0
