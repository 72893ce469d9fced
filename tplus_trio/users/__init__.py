"""Users: keys that sign, in memory and in encrypted keyfiles."""

from tplus_trio.users.manager import UserManager, load_user, user_manager
from tplus_trio.users.user import LocalUser, User

__all__ = ["LocalUser", "User", "UserManager", "load_user", "user_manager"]
