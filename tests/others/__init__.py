"""Programs written elsewhere that the tests run against, in languages that pip does not install."""
