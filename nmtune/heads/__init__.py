"""What is trained, versioned and served: a network, the scaling before it and its temperature."""
