"""The shipped models in a reader's browser: exported to ONNX, run by onnxruntime-web, without a kernel or a network."""
