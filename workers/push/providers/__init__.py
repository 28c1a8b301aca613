"""One package per provider, each with the same five modules: settings, payload, answers (the reaction table), client,
provider.
"""
