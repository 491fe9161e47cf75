"""Measures of models: held-out perplexity, span scores."""
