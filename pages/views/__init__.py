"""The pages: values as the API gives them in, HTML out."""
