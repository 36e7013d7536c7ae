"""The tables of everything that survives a crash. They use plain SQL types only, so that the same code runs on
PostgreSQL.

Not here: who is online and who has what. That is soft state in memory, which clients announce again after every
connect.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

REVISION = "0009"
"""The last step in `store.migrations.versions`. Every change of these tables needs a step there."""

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

ticket_keys = Table(
    "ticket_keys",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("key_pem", LargeBinary, nullable=False),
    Column("signs_from_s", Double, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", Text, primary_key=True),
    # Of `names.fold_id`: two ids with the same one are one id. `apart` is "" for every id made under that rule, so that
    # the index refuses a second one; an older id that is not folded itself has its own spelling there, and goes on
    # beside another one.
    Column("folded", Text, nullable=False),
    Column("apart", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    # Raised when the account's sessions are revoked; a certificate names the one it was issued under.
    Column("generation", BigInteger, nullable=False),
    # The key, as a thumbprint, of the session that revoked the others; it is alive whichever certificate it shows.
    Column("spared", LargeBinary),
    # By this account, as `files` says too; kept up so that a quota costs no count.
    Column("files_published", BigInteger, nullable=False),
    Column("manifest_bytes", BigInteger, nullable=False),
    Column("created_at_s", Double, nullable=False),
    Index("accounts_by_folded", "folded", "apart", unique=True),
)

groups = Table(
    "groups",
    metadata,
    Column("group_id", Text, primary_key=True),
    # As of accounts.
    Column("folded", Text, nullable=False),
    Column("apart", Text, nullable=False),
    Column("owner", ForeignKey("accounts.user_id"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Index("groups_by_owner", "owner"),
    Index("groups_by_folded", "folded", "apart", unique=True),
)

members = Table(
    "members",
    metadata,
    Column("group_id", ForeignKey("groups.group_id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("accounts.user_id"), primary_key=True),
    Column("joined_at_s", Double, nullable=False),
    Index("members_by_user", "user_id"),
)

requests = Table(
    "requests",
    metadata,
    Column("group_id", ForeignKey("groups.group_id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("accounts.user_id"), primary_key=True),
    Column("asked_at_s", Double, nullable=False),
    Index("requests_by_user", "user_id"),
)

manifests = Table(
    "manifests",
    metadata,
    # Named by its own content, not by the root its publisher claims: an account that publishes another's root with
    # made-up leaves neither spoils the true manifest nor gets to read it.
    Column("digest", LargeBinary, primary_key=True),
    # Empty if they fill more than one page.
    Column("leaves", LargeBinary, nullable=False),
)

pages = Table(
    "pages",
    metadata,
    Column("digest", ForeignKey("manifests.digest", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("leaves", LargeBinary, nullable=False),
)

staged_pages = Table(
    "staged_pages",
    metadata,
    # By account: nobody finds out what others have put, nor publishes what they have not.
    Column("user_id", Text, primary_key=True),
    Column("page_digest", LargeBinary, primary_key=True),
    Column("leaves", LargeBinary, nullable=False),
    Column("put_at_s", Double, nullable=False),
    Index("staged_pages_by_age", "put_at_s"),
)

files = Table(
    "files",
    metadata,
    Column("group_id", ForeignKey("groups.group_id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    # Of `names.normal_file_name`; and apart as of accounts.
    Column("normal", Text, nullable=False),
    Column("apart", Text, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("piece_bytes", Integer, nullable=False),
    Column("publisher", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    ForeignKeyConstraint(["digest"], ["manifests.digest"]),
    Index("files_by_normal", "group_id", "normal", "apart", unique=True),
    Index("files_by_root", "group_id", "root"),
    Index("files_by_digest", "digest"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("request_id", LargeBinary, primary_key=True),
    Column("reply", LargeBinary, nullable=False),
    Column("at_s", Double, nullable=False),
    Index("outcomes_by_age", "at_s"),
)

news = Table(
    "news",
    metadata,
    Column("number", BigInteger, primary_key=True),
    Column("at_s", Double, nullable=False),
    # The tracker that made the change, and told those who are connected to it by itself.
    Column("origin", LargeBinary, nullable=False),
    Column("recipients", LargeBinary, nullable=False),
    Column("fact", LargeBinary, nullable=False),
    Index("news_by_age", "at_s"),
)

invites = Table(
    "invites",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("inviter", Text, nullable=False),
    Column("expires_at_s", Double, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at_s", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("host", Text, nullable=False),
    Index("audit_by_group", "group_id", "number"),
)
