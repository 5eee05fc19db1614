"""Local encoders: added by users, or in the operator's directory."""
