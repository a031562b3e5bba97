"""The networks, on torch: DINOv2's ViT, the frozen backbone around it, and the heads on top."""
