"""Self-supervised pre-training of backbones, the DINOv2 method (Oquab et al., 2023)."""
