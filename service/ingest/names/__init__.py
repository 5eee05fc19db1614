"""The names of a row's values: columns and their meaning, labels, splits and ids."""
