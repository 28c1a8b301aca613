"""Models and generated input. Parts of the state machines assert: pytest must know before they are imported."""

import pytest

pytest.register_assert_rewrite(
    *(f"tests.property.mailbox_{part}" for part in ("machine", "sessions", "pushes", "model")),
    *(f"tests.property.push_{part}" for part in ("devices", "workers")),
)
