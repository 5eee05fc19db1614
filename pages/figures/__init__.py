"""The figures of a report, one question each: report in, `Figure` out."""
