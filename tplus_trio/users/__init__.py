"""Users: keys that sign, in memory and in encrypted keyfiles."""

from tplus_trio.users.manager import UserManager, load_user, user_manager
from tplus_trio.users.user import LocalUser, PrivateKey, User, to_user_public_key

__all__ = [
    "LocalUser",
    "PrivateKey",
    "User",
    "UserManager",
    "load_user",
    "to_user_public_key",
    "user_manager",
]
