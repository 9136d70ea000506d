"""Small synthetic datasets, drawn on the spot, to try segdata without a download."""
