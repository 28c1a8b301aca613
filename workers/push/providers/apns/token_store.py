"""The store's former place."""

from workers.push.token_store import EXPIRY_S, LocalTokenStore, Minted, SharedTokenStore, TokenStore

__all__ = ["EXPIRY_S", "LocalTokenStore", "Minted", "SharedTokenStore", "TokenStore"]
