"""The Open Inference Protocol, version 2: its requests, answers and errors."""
