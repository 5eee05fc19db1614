"""The threads and processes that claim jobs, and the sweep that repairs what dead workers left."""
