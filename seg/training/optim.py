"""What is trained and what is not: freezing parts of a network."""

from torch import nn


def freeze(part: nn.Module) -> None:
    """Takes a part of a network out of training; `train_mode` keeps it in eval mode, too."""
    part.requires_grad_(False).eval()


def train_mode(net: nn.Module) -> None:
    """Puts a network into training mode, except for the parts that are frozen."""
    trained = [parameter.requires_grad for parameter in net.parameters()]
    if trained and not any(trained):
        net.eval()
        return
    net.training = True
    for child in net.children():
        train_mode(child)
