"""What embedding texts needs to be kept: encoders, vectors that were paid for, provider keys."""
