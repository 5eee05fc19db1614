"""What a row's values are called: columns and their meaning, labels, splits and ids."""
