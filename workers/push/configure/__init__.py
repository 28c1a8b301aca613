"""Putting an app into the configuration: its credential judged, copied to a safe place, its section written."""
