"""Entries, their numbering, processing and encoding into batches; the ports between readers and the pipeline."""
