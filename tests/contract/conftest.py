"""What these tests share: the push sandbox."""

from tests.support.push_fixtures import running_sandbox, sandbox

__all__ = ["running_sandbox", "sandbox"]
