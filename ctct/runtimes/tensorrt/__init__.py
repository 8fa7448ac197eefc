"""TensorRT engines: building, describing, caching and running them. Nothing here imports torch.

TensorRT and CUDA are imported inside functions, so that nothing else has to load them.
"""
