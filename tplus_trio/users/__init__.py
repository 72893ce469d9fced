"""Users: Ed25519 signing keys, held in memory or stored in encrypted keyfiles."""

from tplus_trio.users.manager import UserManager, load_user, user_manager
from tplus_trio.users.user import LocalUser, User

__all__ = ["LocalUser", "User", "UserManager", "load_user", "user_manager"]
