"""What several commands share: options, input, output, the words of messages."""
