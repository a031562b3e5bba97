"""The baseline is the network that the tutorial runs."""

from seg.benchmark.tutorial import open_tutorial


def test_it_is_dinov2_small_with_a_head_for_two_classes():
    with open_tutorial("cpu") as runtime:
        head = sum(p.numel() for p in runtime.net.head.parameters())
        backbone = sum(p.numel() for p in runtime.net.backbone.parameters())
        assert (backbone, head) == (22_056_576, 6_146)  # of the paper's model and the tutorial's
        assert runtime.spec.canvas_hw == (644, 644) and "random" in runtime.spec.backbone
        assert "eager, cpu, float32" in runtime.description
