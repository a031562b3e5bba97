"""The losses of the DINOv2 method, and how the teacher's logits become probabilities."""
