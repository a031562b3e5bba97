"""Writing ONNX files and engines: graphs, precision, quantization."""
