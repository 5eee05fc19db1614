"""The NMTune objective: its front door `objective`, and the arithmetic of its `terms`."""
