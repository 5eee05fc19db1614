"""Take a head from one embedding space to another, by texts that both encoders have embedded."""
