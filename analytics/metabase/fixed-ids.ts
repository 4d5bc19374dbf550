// Ids of everything that is provisioned, made from fixed keys: the same in every Metabase, for ever.
import { createHash } from 'node:crypto';
import { idOfName } from '#domain/assignment/deterministic-ids.ts';

/** The 21 letters and digits by which Metabase knows an entity in every instance. Another key is another entity. */
export function entityIdOf(key: string): string {
  // A first "-" would look like an option to command lines, so the alphabet has no sign.
  return createHash('sha256').update(`metabase/${key}`).digest('base64url').replaceAll(/[-_]/g, 'x').slice(0, 21);
}

/** The UUID of a template tag or dashboard parameter. */
export function tagIdOf(ownerKey: string, name: string): string {
  return idOfName(`metabase/${ownerKey}/${name}`);
}
