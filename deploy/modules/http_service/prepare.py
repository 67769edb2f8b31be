"""
Make /data ready for a service; runs in its image, as root, before it.

Fargate's volumes belong to root, who lets all look in, and secrets come as variables:
FILE_X becomes the file /data/x, which the service's user may read. STORE_SCHEMA, where
it is set, is made in the database that the PG* variables name.
"""

import os
from pathlib import Path

data = Path(os.environ["DATA_DIR"])
owner = int(os.environ["OWNER"])

for name, value in sorted(os.environ.items()):
    if name.startswith("FILE_"):
        path = data / name.removeprefix("FILE_").lower()
        path.write_text(value.rstrip("\n") + "\n")
        path.chmod(0o400)
        os.chown(path, owner, owner)
os.chown(data, owner, owner)
data.chmod(0o700)

if schema := os.environ.get("STORE_SCHEMA"):
    import psycopg
    from psycopg.sql import SQL, Identifier

    with psycopg.connect(connect_timeout=10) as connection:
        connection.execute(
            SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema))
        )
