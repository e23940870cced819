"""The engine process: owns the device and the model; tokens in, tokens out. The only place that imports torch."""
