"""Take a head to another encoder: a refit on its texts, or a bridge of texts that both embed."""
