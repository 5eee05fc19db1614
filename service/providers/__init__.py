"""Keys of embedding providers, and whether a provider may be used."""
