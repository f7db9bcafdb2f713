"""An application made by Prisma: quoted names, textual keys, tables of relations."""

from tests.advice_corpus.models import Schema, small_tables, text_key


def _relation(name: str, a: str, b: str, rows: int) -> str:
    """Write the table of a many-to-many relation as Prisma 5 makes it."""
    return f"""
CREATE TABLE "{name}" ("A" text NOT NULL, "B" text NOT NULL);
INSERT INTO "{name}" SELECT {text_key("1 + n % 1000")}, {text_key("1 + n / 1000")}
  FROM generate_series(1, {rows}) n;
CREATE UNIQUE INDEX "{name}_AB_unique" ON "{name}" ("A", "B");
CREATE INDEX "{name}_B_index" ON "{name}" ("B");
ALTER TABLE "{name}"
  ADD CONSTRAINT "{name}_A_fkey" FOREIGN KEY ("A") REFERENCES "{a}" ON DELETE CASCADE,
  ADD CONSTRAINT "{name}_B_fkey" FOREIGN KEY ("B") REFERENCES "{b}" ON DELETE CASCADE;
"""


TABLES = (
    f"""
CREATE TABLE "User" (id text PRIMARY KEY, email text NOT NULL, "emailVerified" timestamp(3),
  role text NOT NULL, "createdAt" timestamp(3) NOT NULL);
INSERT INTO "User" SELECT {text_key("n")}, 'u' || n || '@example.com', NULL,
  CASE WHEN n % 1000 = 0 THEN 'ADMIN' ELSE 'USER' END,
  timestamp '2025-01-01' + n * interval '1 min' FROM generate_series(1, 12000) n;
CREATE UNIQUE INDEX "User_email_key" ON "User" (email);
CREATE INDEX "User_email_idx" ON "User" (email);
CREATE INDEX "User_role_idx" ON "User" (role);

CREATE TABLE "Account" (id text PRIMARY KEY, "userId" text NOT NULL, provider text NOT NULL,
  "providerAccountId" text NOT NULL);
INSERT INTO "Account" SELECT {text_key("n")}, {text_key("n")}, 'github', n::text
  FROM generate_series(1, 6000) n;
CREATE UNIQUE INDEX "Account_provider_providerAccountId_key"
  ON "Account" (provider, "providerAccountId");
ALTER TABLE "Account" ADD CONSTRAINT "Account_userId_fkey" FOREIGN KEY ("userId")
  REFERENCES "User" ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TABLE "Session" (id text NOT NULL, "sessionToken" text NOT NULL, "userId" text NOT NULL,
  expires timestamp(3) NOT NULL);
INSERT INTO "Session" SELECT {text_key("n")}, md5(n::text), {text_key("1 + n % 12000")},
  timestamp '2025-01-01' + n * interval '1 min' FROM generate_series(1, 40000) n;
ALTER TABLE "Session" ADD CONSTRAINT "Session_pkey" PRIMARY KEY (id);
CREATE UNIQUE INDEX "Session_sessionToken_key" ON "Session" ("sessionToken");
CREATE INDEX "Session_sessionToken_idx" ON "Session" ("sessionToken");
ALTER TABLE "Session" ADD CONSTRAINT "Session_userId_fkey" FOREIGN KEY ("userId")
  REFERENCES "User" ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TABLE "Post" (id text NOT NULL, "authorId" text NOT NULL, title text, slug text NOT NULL,
  published boolean NOT NULL, "createdAt" timestamp(3) NOT NULL, "updatedAt" timestamp(3));
INSERT INTO "Post" SELECT {text_key("n")}, {text_key("1 + n % 12000")}, 'Title ' || n,
  'title-' || n, n % 3 > 0, timestamp '2025-01-01' + n * interval '1 min', NULL
  FROM generate_series(1, 20000) n;
ALTER TABLE "Post" ADD CONSTRAINT "Post_pkey" PRIMARY KEY (id);
CREATE UNIQUE INDEX "Post_slug_key" ON "Post" (slug);
CREATE INDEX "Post_authorId_idx" ON "Post" ("authorId");
CREATE INDEX "Post_authorId_createdAt_idx" ON "Post" ("authorId", "createdAt" DESC);
CREATE INDEX "Post_published_createdAt_idx" ON "Post" (published, "createdAt");
ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId")
  REFERENCES "User" ON DELETE RESTRICT ON UPDATE CASCADE;

CREATE TABLE "Comment" (id text NOT NULL, "postId" text NOT NULL, "authorId" text,
  "parentId" text, body text, "createdAt" timestamp(3) NOT NULL);
INSERT INTO "Comment" SELECT {text_key("n")}, {text_key("1 + n % 20000")},
  CASE WHEN n % 3 > 0 THEN {text_key("1 + n % 12000")} END,
  CASE WHEN n % 5 = 0 THEN {text_key("n - 1")} END, 'body',
  timestamp '2025-01-01' + n * interval '1 min' FROM generate_series(1, 30000) n;
ALTER TABLE "Comment" ADD CONSTRAINT "Comment_pkey" PRIMARY KEY (id);
CREATE INDEX "Comment_postId_idx" ON "Comment" ("postId");
CREATE INDEX "Comment_postId_parentId_idx" ON "Comment" ("postId", "parentId");
CREATE INDEX "Comment_authorId_idx" ON "Comment" ("authorId") WHERE "authorId" IS NOT NULL;
ALTER TABLE "Comment"
  ADD CONSTRAINT "Comment_postId_fkey" FOREIGN KEY ("postId") REFERENCES "Post" ON DELETE CASCADE,
  ADD CONSTRAINT "Comment_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"
    ON DELETE SET NULL,
  ADD CONSTRAINT "Comment_parentId_fkey" FOREIGN KEY ("parentId") REFERENCES "Comment";
"""
    + small_tables(
        """
Category: name text unique
Tag: name text unique
Team: name text, slug text unique
TeamMember*300: teamId>Team, role text
Invitation: email text+, teamId>Team
VerificationToken: token text unique, expires timestamp
ApiKey: hash text unique, teamId>>Team
Plan: name text unique
Subscription: planId>Plan, status text+
Invoice*200: subscriptionId>Subscription, total numeric
Notification*300: kind text, createdAt timestamp+
Upload*100: path text unique
AuditEvent*300: kind text+, createdAt timestamp
Setting*1: value jsonb
_prisma_migrations*30: checksum text, migration_name text
""",
        key_type="text",
    )
    + _relation("_PostToReader", "Post", "User", 12000)
)

QUERIES = (
    "SELECT id FROM \"User\" WHERE email = 'u77@example.com'",
    "SELECT id FROM \"User\" WHERE role = 'ADMIN'",
    "SELECT id FROM \"Account\" WHERE provider = 'github' AND \"providerAccountId\" = '77'",
    'SELECT id FROM "Session" WHERE "sessionToken" = md5(\'77\')',
    f'SELECT id FROM "Session" WHERE id = {text_key("77")}',
    "SELECT id FROM \"Post\" WHERE slug = 'title-77'",
    f'SELECT id FROM "Post" WHERE "authorId" = {text_key("77")}',
    f'SELECT id FROM "Post" WHERE "authorId" = {text_key("77")} ORDER BY "createdAt" DESC LIMIT 1',
    'SELECT id FROM "Post" WHERE published ORDER BY "createdAt" LIMIT 10',
    f'SELECT id FROM "Comment" WHERE "postId" = {text_key("77")}',
    f'SELECT id FROM "Comment" WHERE "authorId" = {text_key("77")}',
    f'SELECT "B" FROM "_PostToReader" WHERE "A" = {text_key("77")}',
    f'SELECT "A" FROM "_PostToReader" WHERE "B" = {text_key("7")}',
)

SCHEMA = Schema(
    "prisma",
    TABLES,
    QUERIES,
    writes=(
        f'DELETE FROM "Comment" WHERE "parentId" = {text_key("9")}',
        f'DELETE FROM "Session" WHERE id = {text_key("7")}',
        f"""INSERT INTO "User" VALUES ({text_key("0")}, 'gone', NULL, 'USER', now())""",
        f'DELETE FROM "User" WHERE id = {text_key("0")}',
    ),
    superfluous=frozenset({"User_email_idx", "Session_sessionToken_idx"}),
    pairs=(
        frozenset({"Post_authorId_idx", "Post_authorId_createdAt_idx"}),
        frozenset({"Comment_postId_idx", "Comment_postId_parentId_idx"}),
    ),
    unindexed=frozenset({"Session.Session_userId_fkey", "Comment.Comment_parentId_fkey"}),
    kept=frozenset({"User_role_idx", "_PostToReader_AB_unique", "_PostToReader_B_index"}),
)
